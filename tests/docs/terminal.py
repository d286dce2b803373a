"""What a reader of a page has in front of them: terminals in one folder, and Python beside them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateways import JOBGATE, end_launchers

PATIENCE: Final = 200
"""Seconds that one block may take."""
PYTHON: Final = Path(__file__).with_name("python_turns.py")

# On a reader's machine the port is free and the folder theirs. Here others run too, so both are this run's own.
_COMMAND: Final = """#!/bin/sh
# jobgate, at a port of this run's own where the page names none
case "$1 $*" in "serve "*--port*) ;; "serve "*) shift; set -- serve --port {port} "$@" ;; esac
exec {jobgate} "$@"
"""


class Turns:
    """A program that carries out one block after the other, and says how each ended."""

    def __init__(self, words: list[str], folder: Path, env: Mapping[str, str]) -> None:
        self._said, said = os.pipe()
        self.fd = said
        self._process = subprocess.Popen(  # noqa: S603  # a shell or Python, by their own names
            [*words, str(said)] if words[0] == sys.executable else words,
            stdin=subprocess.PIPE,
            cwd=folder,
            env=dict(env),
            pass_fds=(said,),
            start_new_session=True,
            text=True,
        )
        os.close(said)
        self._ended = os.pidfd_open(self._process.pid)

    def do(self, line: str) -> int | None:
        """How it ended; None when it did not in time, or its status when it took the whole program with it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._said, self._ended], [], [], PATIENCE)
        if self._said in ready and (status := os.read(self._said, 100)):
            return int(status)
        return self._process.wait() if ready else None

    def end(self) -> None:
        """It and what it started go."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        os.close(self._said)
        os.close(self._ended)


class Staying:
    """A block that goes on, in a terminal of its own."""

    def __init__(self, script: Path, folder: Path, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # the page's own words
            ["/bin/bash", "-eu", str(script)],
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self._reader: threading.Thread | None = None

    def printed(self, words: str) -> tuple[bool, str]:
        """Whether it printed them, and all that it printed till then."""
        assert self._process.stdout is not None
        told = ""
        for line in self._process.stdout:
            told += line
            if words in line:
                self._reader = threading.Thread(target=self._process.stdout.read, daemon=True)
                self._reader.start()
                return True, told
        return False, told

    def end(self) -> None:
        """As Ctrl-C ends it, or a kill where that is not enough."""
        for word in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, word)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
                break
        if self._reader is not None:
            self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Desk:
    """One reader's folder: a shell that keeps its variables, a Python that keeps its names, terminals that stay."""

    def __init__(self, folder: Path, given: Mapping[str, str]) -> None:
        self.folder = folder
        self._port = _free_port()
        command = folder / ".venv" / "bin" / "jobgate"
        command.parent.mkdir(parents=True)
        command.write_text(_COMMAND.format(port=self._port, jobgate=JOBGATE))
        command.chmod(0o755)
        (folder / ".curlrc").write_text("silent\nshow-error\n")  # as on a terminal, where no meter is shown
        self.env = {
            "PATH": f"{command.parent}:{JOBGATE.parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            **given,
        }
        self._lent = {"/var/tmp/jobgate": str(folder / "jobgate"), ":8080": f":{self._port}"}  # noqa: S108  # see above
        self._staying: list[Staying] = []
        self._shell: Turns | None = None
        self._python: Turns | None = None
        self._count = 0

    def sh(self, text: str, *, fails: bool = False) -> tuple[int | None, str]:
        """A block of shell: how it ended, and what a terminal would show."""
        if self._shell is None:
            self._shell = Turns(["/bin/bash", "--noprofile", "--norc"], self.folder, self.env)
        script, out = self._write("sh", text)
        fd = self._shell.fd
        words = f"set {'+' if fails else '-'}e; set -u; {{ . {script}; }} > {out} 2>&1 < /dev/null {fd}>&-; "
        status = self._shell.do(f"{words}STATUS=$?; env -0 > .env; printf '%s\\n' $STATUS >&{fd}")
        return status, self._told(out)

    def python(self, text: str) -> tuple[int | None, str]:
        """A block of Python, with what the shell has exported."""
        if self._python is None:
            self._python = Turns([sys.executable, str(PYTHON)], self.folder, self.env)
        script, out = self._write("py", text)
        status = self._python.do(f"{script}\t{out}\t{self.folder / '.env'}")
        return status, self._told(out)

    def stay(self, text: str, words: str) -> tuple[bool, str]:
        """A block that goes on: whether it came to print `words`, and what it printed till then."""
        script, _ = self._write("sh", text)
        staying = Staying(script, self.folder, self.env)
        self._staying.append(staying)
        printed, told = staying.printed(words)
        return printed, self._as_written(told)

    def end(self) -> None:
        """Everything that the page started ends."""
        for each in (self._python, self._shell, *reversed(self._staying)):
            if each is not None:
                each.end()
        end_launchers(self.folder)

    def _write(self, kind: str, text: str) -> tuple[Path, Path]:
        self._count += 1
        for written, ours in self._lent.items():
            text = text.replace(written, ours)
        script = self.folder / f".block-{self._count}.{kind}"
        script.write_text(text)
        return script, script.with_suffix(".out")

    def _told(self, out: Path) -> str:
        return self._as_written(out.read_text(errors="replace") if out.exists() else "")

    def _as_written(self, told: str) -> str:
        for written, ours in self._lent.items():
            told = told.replace(ours, written)
        return told


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
