"""Where the promises of engines are tried: an open engine, attempts made up for it, and what it said of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from jobgate.engines.engine import Engine, Observation, Phase, Start
from jobgate.model.attempt import Attempt, AttemptId, Handle
from jobgate.model.errors import EngineError
from jobgate.model.ids import BatchId, EnvironmentName, JobId
from jobgate.model.job import Argv, Command, Host, JobSpec, Place, Program, Step
from jobgate.model.resources import MIB, Resources
from jobgate.model.state import AttemptState

SMALL: Final = Resources(cores=1, memory=256 * MIB, disk=64 * MIB, walltime=60)
PATIENCE: Final = 60.0
"""Seconds after which a promise that waits for something is broken."""
_LOOK: Final = 0.02
"""Seconds between two questions, where nothing is pushed."""
_numbers = count(1)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What the suite has to know of an engine."""

    name: str
    work: Path
    """Where workspaces and logs are made."""
    build: Callable[[], Engine]
    """The engine on its far side, not open yet; built again: the next gateway's, on the same far side."""
    finish: Callable[[Engine], Awaitable[None]]
    """Ends all that is on the far side, and closes the engine."""
    alive: Callable[[str], bool]
    """Whether a process with this word in its command line is there."""
    kill: Callable[[Engine], None] | None = None
    """Kills what stands between the engine and its jobs; None where nothing does."""
    program: Program = Host()
    """What has a POSIX shell, `sleep`, `head` and `tr` in it."""
    home: str = "/local"
    """Where the workspace is to appear."""


class Site:
    """An open engine, and what it said of each attempt."""

    def __init__(self, subject: Subject, engine: Engine) -> None:
        self.subject = subject
        self.engine = engine
        self.seen: dict[AttemptId, Observation] = {}
        self._begun: list[AttemptId] = []
        self._news = asyncio.Event()

    async def hear(self) -> None:
        """Until cancelled: what the engine says, pushed or asked for."""
        if self.engine.capabilities.pushes:
            while True:
                try:
                    async for ids in self.engine.changes():
                        await self._look(ids)
                except EngineError:
                    await asyncio.sleep(_LOOK)
        while True:
            await self._look(self._begun)
            await asyncio.sleep(_LOOK)

    async def _look(self, ids: Iterable[AttemptId]) -> None:
        self.seen.update(await self.engine.poll(list(ids)))
        self._news.set()

    def start(
        self, command: Command | str, resources: Resources = SMALL, *, steps: tuple[Step, ...] = (), slot: int = 0
    ) -> Start:
        """An attempt nobody has asked for yet; a text is a line for the shell."""
        number = next(_numbers)
        attempt = AttemptId(BatchId(number), JobId(number), 1)
        workspace = self.subject.work / str(attempt)
        workspace.mkdir()
        return Start(
            attempt=attempt,
            spec=JobSpec(steps=steps or (self.step(command),), place=Place(home=self.subject.home)),
            workspace=workspace,
            log=self.subject.work / f"{attempt}.log",
            resources=resources,
            slot=slot,
        )

    def step(self, command: Command | str) -> Step:
        """A step of the subject's program."""
        words = Argv(("sh", "-c", command)) if isinstance(command, str) else command
        return Step(command=words, program=self.subject.program)

    async def begin(self, *starts: Start) -> None:
        """Hands them over; none may be refused."""
        answers = await self.engine.submit(starts)
        for start in starts:
            answer = answers[start.attempt]
            assert isinstance(answer, Handle), f"it was refused: {answer}"
            self._begun.append(start.attempt)

    async def until(self, start: Start, *phases: Phase) -> Observation:
        """What is said of it in one of these phases."""
        async with asyncio.timeout(PATIENCE):
            while (seen := self.seen.get(start.attempt)) is None or seen.phase not in phases:
                self._news.clear()
                await self._news.wait()
        return seen

    async def ended(self, start: Start) -> Observation:
        """Its end."""
        return await self.until(start, Phase.ENDED, Phase.GONE)

    async def run(self, command: Command | str, resources: Resources = SMALL) -> tuple[Observation, str]:
        """What became of it, and its log."""
        start = self.start(command, resources)
        await self.begin(start)
        seen = await self.ended(start)
        return seen, (await self.log(start)).decode(errors="replace")

    async def log(self, start: Start) -> bytes:
        """Its whole log, brought home."""
        await self.engine.collect(attempt(start), start.workspace)
        return start.log.read_bytes() if start.log.exists() else b""

    async def tail(self, start: Start, until: bytes, offset: int = 0) -> bytes:
        """What a live one has written from there on, as soon as it ends like that."""
        said = b""
        async with asyncio.timeout(PATIENCE):
            while not said.endswith(until):
                piece = await self.engine.read(attempt(start), offset + len(said), 1 << 16)
                said += piece.content
                if not piece.content:
                    await asyncio.sleep(_LOOK)
        return said

    async def gone(self, word: str) -> None:
        """Returns when no process with that word is there any more."""
        async with asyncio.timeout(PATIENCE):
            while self.subject.alive(word):  # noqa: ASYNC110  # a process that dies sends no event to strangers
                await asyncio.sleep(_LOOK)


@asynccontextmanager
async def opened(subject: Subject, *, leave: bool = False) -> AsyncIterator[Site]:
    """The subject's engine, open and heard; with `leave`, only let go of at the end, as a gateway does."""
    engine = subject.build()
    await engine.open()
    site = Site(subject, engine)
    hearing = asyncio.ensure_future(site.hear())
    try:
        yield site
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await (engine.close() if leave else subject.finish(engine))


def attempt(start: Start) -> Attempt:
    """The record of a start, as it is while it runs."""
    return Attempt(
        id=start.attempt, state=AttemptState.RUNNING, environment=EnvironmentName("any"), created=time.time()
    )
