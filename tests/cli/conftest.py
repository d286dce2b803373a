from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from canned import Canned, Pipe, Terminal, serving

from jobgate.cli.root import run


class Seen(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def whole(self) -> str:
        """All of it, as a golden file has it."""
        said = "".join(f"2> {line}\n" for line in self.err.splitlines())
        return f"{self.out}{said}exit {self.code}\n"


Type = Callable[..., Seen]


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Canned]:
    """A server without an answer yet; the environment leads to it."""
    with serving() as made:
        monkeypatch.setenv("JOBGATE_SERVER", made.url)
        monkeypatch.setenv("JOBGATE_KEY", "jg_key")
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("jobgate.cli.connect.SILENCE", 60.0)  # a loaded machine is no silent server
        yield made


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types a command, at a terminal of so many columns or with its streams in pipes."""

    def typed(*words: str, width: int = 0) -> Seen:
        out, err = (Terminal(), Terminal()) if width else (Pipe(), Pipe())
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(width or 80))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = run(words)
        assert "Traceback" not in err.getvalue(), err.getvalue()
        return Seen(code, out.getvalue(), err.getvalue().replace("\r\x1b[K", ""))

    return typed
