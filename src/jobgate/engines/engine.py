"""What every engine promises, and the records it speaks in.

An engine has no memory of its own that a restart could lose, writes no state, and lets out no error but EngineError,
marked transient (`retryable`) or final. The contract suite in `jobgate.testing` holds each to this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from jobgate.model.attempt import Attempt, AttemptId, Exit, Handle, Usage
from jobgate.model.errors import EngineError
from jobgate.model.files import Piece
from jobgate.model.job import JobSpec, RunAs
from jobgate.model.resources import Network, Resources
from jobgate.model.state import Failure, Limit


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do; asked instead of its name."""

    images: bool = False
    """Runs container images it finds itself; otherwise only those of the operator's catalogue."""
    networks: frozenset[Network] = frozenset({Network.NONE})
    pushes: bool = False
    """`changes` tells every change as soon as it is known; otherwise `poll` must be asked, every `pace` seconds."""
    pace: float = 30.0
    """Seconds between two polls, as a safety net where it pushes."""
    holds: bool = False
    """Takes more than may run at once, and starts each as soon as one before it has ended."""
    isolated: bool = False
    """Jobs see neither each other nor the gateway."""
    limits: frozenset[str] = frozenset()
    """Names of those of `Resources` that are enforced, not only asked for."""
    together: bool = False
    """Starts steps at the same time."""
    log: int | None = None
    """Bytes of a log of which it loses none; the middle of a longer one may be gone, and read as zeros."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to be started. Its id is the run's name on the far side: asked twice, it runs once."""

    attempt: AttemptId
    spec: JobSpec
    workspace: Path
    """The directory that becomes the job's; it exists, and its inputs are in it."""
    log: Path
    """The file that gets both streams in order of arrival."""
    resources: Resources
    """The request with the environment's defaults filled in: nothing is zero that is a limit."""
    env: Mapping[str, str] = {}
    """Late variables and opened secrets; they win over the steps' own."""
    run_as: RunAs | None = None
    slot: int = 0
    """Which of the node's places it takes: no two attempts that the engine has at once have the same."""


class Phase(StrEnum):
    """What the engine says of an attempt."""

    GONE = "gone"
    """It knows nothing of it."""
    STARTING = "starting"
    """Accepted; not seen running yet."""
    RUNNING = "running"
    ENDED = "ended"
    RECALLED = "recalled"
    """It was recalled before it had begun: it has not run, and will not."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The truth about one attempt, as the engine knows it now."""

    phase: Phase
    handle: Handle = Handle()
    started: float | None = None
    """Seconds since the epoch, UTC."""
    ended: float | None = None
    exit: Exit | None = None
    """None with ENDED: the command never ran, or was stopped before it left a code."""
    usage: Usage = Usage()
    failure: Failure | None = None
    """Why it was not the program's own end: LIMIT, IMAGE, ENGINE, PREEMPTED."""
    limit: Limit | None = None
    message: str = ""
    steps: tuple[Exit, ...] = ()
    progress: float | None = None


class Engine(Protocol):
    """Runs attempts."""

    @property
    def name(self) -> str:
        """The word it is configured by."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, known after `open`."""
        ...

    @property
    def trouble(self) -> str:
        """Why no job can be started now, as it knows without asking; empty when one can."""
        ...

    async def open(self) -> None:
        """Makes contact with the far side, if that is not done yet; raises EngineError when there is none."""
        ...

    async def close(self) -> None:
        """Lets go of the far side; jobs run on."""
        ...

    async def submit(self, starts: Sequence[Start]) -> Mapping[AttemptId, Handle | EngineError]:
        """Hands over attempts; one answer for each. The same attempt again is the same run."""
        ...

    def changes(self) -> AsyncIterator[Sequence[AttemptId]]:
        """Attempts that moved or ended, as soon as known, those known together in one piece; endless."""
        ...

    async def poll(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Observation]:
        """The truth for every attempt asked; one that is not known is GONE."""
        ...

    async def read(self, attempt: Attempt, offset: int, limit: int) -> Piece:
        """Bytes of the log of a live attempt from `offset`, or from where the next are kept; none at its present end.

        With `limit` 0 only its size is asked, as often as somebody follows.
        """
        ...

    async def cancel(self, attempts: Sequence[AttemptId]) -> None:
        """Asks that they stop: a termination signal, a grace time, a kill. An ended one is no error."""
        ...

    async def recall(self, attempts: Sequence[AttemptId]) -> None:
        """Asks back those that it holds and has not begun; `changes` tells of each that it then knows no more.

        One that has begun runs on, and nothing is told of it.
        """
        ...

    async def collect(self, attempt: Attempt, workspace: Path) -> None:
        """Brings outputs and log into the workspace where they are elsewhere. May be repeated."""
        ...

    async def release(self, attempts: Sequence[AttemptId]) -> None:
        """Their ends are saved: the engine may forget them. Unknown ones are no error."""
        ...
