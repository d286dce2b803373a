"""The gateway's end of the launcher's socket: starts the launcher when there is none, knows the truth of each job."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from jobgate.model.errors import EngineError

_LAUNCHER: Final = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
    "import launcher.main; sys.exit(launcher.main.main(sys.argv[1:]))"
)
_TRIES: Final = 6
"""Tries before the first contact is given up, and before a launcher that died is said to be away."""
_PAUSE: Final = 0.02
_LONGEST: Final = 2.0
"""Seconds between two tries, at first and at last."""
_READY: Final = 20.0
"""Seconds a launcher has to become ready."""
_BROKEN: Final = (OSError, asyncio.IncompleteReadError, ValueError, KeyError)
"""What a connection fails with: the far side gone, or no sense in what it says."""
Json = dict[str, Any]
_log = structlog.get_logger("jobgate.launcher")


class Launcher:
    """One connection, made anew when the launcher has died. `running` and `ended` are by name."""

    def __init__(self, directory: Path, *, env: Mapping[str, str] | None = None, groups: Sequence[Path] = ()) -> None:
        self._directory = directory
        self._groups = tuple(map(str, groups))
        self._env = dict(env or {})
        self.running: dict[str, float | None] = {}
        self.ended: dict[str, Json] = {}
        self.recalled: set[str] = set()
        """Taken back before they began."""
        self.rebooted = False
        self.pid = 0
        self.away = ""
        """Why there is no launcher; empty when there is, or has only just gone."""
        self._full = ""
        self._asked: dict[str, Json] = {}
        """Starts that are not confirmed yet: the next launcher is asked again, should this one not have read them."""
        self._stops: set[str] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._changed: asyncio.Queue[list[str]] = asyncio.Queue()
        self._out: list[tuple[str, Any]] = []
        self._flushing = False
        self._reading: asyncio.Task[None] | None = None
        self._tries = 0
        self._leaving = False

    @property
    def trouble(self) -> str:
        """Why no job can be started now; empty when one can."""
        return self.away or self._full

    def knows(self, name: str) -> bool:
        """Whether it was asked for already."""
        return name in self.running or name in self.ended

    def settled(self, name: str) -> bool:
        """Whether nothing further will become of it."""
        return name in self.ended or name in self.recalled

    async def open(self) -> None:
        """Connects, starting the launcher when it is not there. Raises EngineError."""
        for _ in range(_TRIES):
            reader = await self._meet()
            if reader is not None:
                self._reading = asyncio.get_running_loop().create_task(self._read(reader))
                return
        raise EngineError(self.away, retryable=True)

    async def close(self) -> None:
        """Lets go; the launcher and its jobs go on."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._drop()

    async def _drop(self) -> None:
        """Closes the connection, if there is one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _meet(self) -> asyncio.StreamReader | None:
        """One try: connects, after starting a launcher where none answers. Otherwise pauses, each time for longer."""
        reader = await self._connect()
        if reader is None:
            reason = await asyncio.to_thread(self._start)
            reader = await self._connect()
        if reader is not None:
            self._tries, self.away = 0, ""
            return reader
        self._tries += 1
        if self._tries == _TRIES:
            self.away = f"the launcher does not answer: {reason or f'its log is {self._directory}/log'}"
            _log.warning("the launcher is away; it is tried again and again", why=self.away)
        elif self.away and reason:
            self.away = f"the launcher does not answer: {reason}"
        await asyncio.sleep(min(_PAUSE * 2**self._tries, _LONGEST))
        return None

    async def _connect(self) -> asyncio.StreamReader | None:
        try:
            reader, self._writer = await asyncio.open_unix_connection(self._directory / "socket", limit=1 << 20)
            self._hello((await _frame(reader))["hello"])
        except _BROKEN:
            await self._drop()
            return None
        return reader

    def _start(self) -> str:
        """Why a launcher could not be started; empty when it was, or one is there."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            started = subprocess.run(  # noqa: S603  # our own file, no shell
                [sys.executable, "-I", "-S", "-E", "-c", _LAUNCHER, str(self._directory), *self._groups],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._env,
                check=False,
                close_fds=True,
                timeout=_READY,
            )
        except OSError as error:
            return str(error)
        except subprocess.TimeoutExpired:
            return f"it was not ready after {_READY:g} s"
        return started.stdout.decode(errors="replace")

    def _hello(self, hello: Json) -> None:
        before = set(self.running) | set(self.ended)
        self.pid = hello["pid"]
        self.rebooted = hello["rebooted"]
        self._full = hello.get("trouble", "")  # a launcher of before this version does not say
        self.running = {job["name"]: job["started"] for job in hello["running"]}
        self.ended = {record["name"]: record for record in hello["ended"]}
        self._confirm(name for name, started in self.running.items() if started is not None)
        self._confirm(self.ended)
        again = [spec for name, spec in self._asked.items() if name not in self.running]
        self.running.update(dict.fromkeys(spec["name"] for spec in again))
        first = [("start", again), ("stop", sorted(self._stops))]
        self._out = [*((word, items) for word, items in first if items), *self._out]
        names = before | set(self.running) | set(self.ended)
        if names:
            self._changed.put_nowait(sorted(names))

    def _confirm(self, names: Iterable[str]) -> None:
        for name in names:
            self._asked.pop(name, None)
        self._stops.difference_update(self.ended)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        self._flush_soon()
        while True:
            try:
                self._heard(await _frame(reader))
            except _BROKEN:
                await self._drop()
                if self._leaving:
                    return
                while (found := await self._meet()) is None:
                    pass
                reader = found  # it knows what the one before it knew
                self._flush_soon()

    def _heard(self, frame: Json) -> None:
        names = []
        for job in frame.get("started", ()):
            self.running[job["name"]] = job["started"]
            names.append(job["name"])
        for record in frame.get("ended", ()):
            self.running.pop(record["name"], None)
            self.ended[record["name"]] = record
            names.append(record["name"])
        for name in frame.get("recalled", ()):
            self.running.pop(name, None)
            self._asked.pop(name, None)
            self.recalled.add(name)
            names.append(name)
        if "trouble" in frame:
            self._full = frame["trouble"]
            if self._full:
                _log.warning("the launcher starts no job", why=self._full)
        if names:
            self._confirm(names)
            self._changed.put_nowait(list(dict.fromkeys(names)))

    async def changes(self) -> list[str]:
        """Names that changed since the last call; waits for the first."""
        return await self._changed.get()

    # --- asking

    def start(self, specs: Sequence[Json]) -> None:
        """Asks for jobs; what becomes of them is heard."""
        for spec in specs:
            if not self.knows(spec["name"]):
                self.recalled.discard(spec["name"])
                self.running[spec["name"]] = None
                self._asked[spec["name"]] = spec
        self._ask("start", specs)

    def stop(self, names: Sequence[str]) -> None:
        """Asks that they stop."""
        self._stops.update(name for name in names if name not in self.ended)
        self._ask("stop", names)

    def recall(self, names: Sequence[str]) -> None:
        """Asks for those back that have not begun."""
        self._ask("recall", [name for name in names if self.running.get(name, 0.0) is None])

    def forget(self, names: Sequence[str]) -> None:
        """Their ends are saved."""
        for name in names:
            self.recalled.discard(name)
            self.ended.pop(name, None)
            self._asked.pop(name, None)
            self._stops.discard(name)
        self._ask("forget", names)

    def shutdown(self, *, stop_jobs: bool) -> None:
        """Asks the launcher to go when its jobs have ended; with `stop_jobs`, they are killed."""
        self._leaving = True
        self._ask("shutdown", [stop_jobs])

    def _ask(self, word: str, items: Sequence[Any]) -> None:
        if items:
            self._out.append((word, items))
            self._flush_soon()

    def _flush_soon(self) -> None:
        """The rest of this pass of the loop joins the frame."""
        if not self._flushing and self._out:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._writer is not None and self._out:
            words, self._out = self._out, []
            data = json.dumps({"do": words}).encode()
            self._writer.write(struct.pack(">I", len(data)) + data)


async def _frame(reader: asyncio.StreamReader) -> Json:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    frame: Json = json.loads(await reader.readexactly(length))
    return frame
