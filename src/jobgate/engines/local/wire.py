"""The gateway's end of the launcher's socket: starts the launcher when there is none, knows the truth of each job."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jobgate.model.errors import EngineError

_LAUNCHER: Final = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
    "import launcher.loop; sys.exit(launcher.loop.main(sys.argv[1:]))"
)
_TRIES: Final = 40
_PAUSE: Final = 0.05
Json = dict[str, Any]


class Launcher:
    """One connection, made anew when the launcher has died. `running` and `ended` are by name."""

    def __init__(self, directory: Path, *, env: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._env = dict(env or {})
        self.running: dict[str, float | None] = {}
        self.ended: dict[str, Json] = {}
        self.rebooted = False
        self.pid = 0
        self._writer: asyncio.StreamWriter | None = None
        self._changed: asyncio.Queue[list[str]] = asyncio.Queue()
        self._out: list[tuple[str, Any]] = []
        self._flushing = False
        self._reading: asyncio.Task[None] | None = None
        self._closed = False
        self._leaving = False

    async def open(self) -> None:
        """Connects, starting the launcher when it is not there. Raises EngineError."""
        reader = await self._connect()
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    async def close(self) -> None:
        """Lets go; the launcher and its jobs go on."""
        self._closed = True
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

    async def _connect(self) -> asyncio.StreamReader:
        path = self._directory / "socket"
        for tried in range(_TRIES):
            try:
                reader, self._writer = await asyncio.open_unix_connection(path, limit=1 << 20)
                self._hello((await _frame(reader))["hello"])
            except (OSError, asyncio.IncompleteReadError):
                await self._drop()
                if tried % 10 == 0:
                    await asyncio.to_thread(self._start)
                await asyncio.sleep(_PAUSE)
            else:
                return reader
        raise EngineError(f"the launcher does not answer; its log is {self._directory / 'log'}", retryable=True)

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        subprocess.run(  # noqa: S603  # our own file, no shell
            [sys.executable, "-I", "-S", "-E", "-c", _LAUNCHER, str(self._directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._env,
            check=False,
            close_fds=True,
        )

    def _hello(self, hello: Json) -> None:
        before = set(self.running) | set(self.ended)
        self.pid = hello["pid"]
        self.rebooted = hello["rebooted"]
        self.running = {job["name"]: job["started"] for job in hello["running"]}
        self.ended = {record["name"]: record for record in hello["ended"]}
        names = before | set(self.running) | set(self.ended)
        if names:
            self._changed.put_nowait(sorted(names))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while not self._closed:
            try:
                self._heard(await _frame(reader))
            except (OSError, asyncio.IncompleteReadError):
                await self._drop()
                if self._leaving:
                    return
                reader = await self._connect()  # it died: the next one knows what it knew
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
        if names:
            self._changed.put_nowait(list(dict.fromkeys(names)))

    async def changes(self) -> list[str]:
        """Names that changed since the last call; waits for the first."""
        return await self._changed.get()

    # --- asking

    def start(self, specs: Sequence[Json]) -> None:
        """Asks for jobs; what becomes of them is heard."""
        for spec in specs:
            self.running.setdefault(spec["name"], None)
        self._ask("start", specs)

    def stop(self, names: Sequence[str]) -> None:
        """Asks that they stop."""
        self._ask("stop", names)

    def forget(self, names: Sequence[str]) -> None:
        """Their ends are saved."""
        for name in names:
            self.ended.pop(name, None)
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
