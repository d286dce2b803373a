"""What can happen to a job: the inputs of `advance`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec

from jobgate.model.attempt import Exit, Handle, Lease, Usage
from jobgate.model.files import Artifact
from jobgate.model.ids import EnvironmentName
from jobgate.model.state import Failure, Limit, Verdict


class Hold(msgspec.Struct, frozen=True, tag="hold", gc=False):
    """The owner wants it to wait."""


class Release(msgspec.Struct, frozen=True, tag="release", gc=False):
    """The owner lets it go on."""


class Requeue(msgspec.Struct, frozen=True, tag="requeue", gc=False):
    """The owner wants a job that failed tried once more [Slurm: requeue]."""


class Rank(msgspec.Struct, frozen=True, tag="rank", gc=False):
    """The owner gives it another priority."""

    priority: int


class Cancel(msgspec.Struct, frozen=True, tag="cancel", gc=False):
    """The owner, or a limit of the request, wants it stopped."""

    message: str = ""


class GiveUp(msgspec.Struct, frozen=True, tag="give_up", gc=False):
    """The gateway ends its waiting: for room, longer than it may; or for a judge's word that will not come."""

    failure: Failure
    message: str
    limit: Limit | None = None


class Offer(msgspec.Struct, frozen=True, tag="offer", gc=False):
    """An attempt is laid out for an environment that fetches its work."""

    environment: EnvironmentName


class Claim(msgspec.Struct, frozen=True, tag="claim", gc=False):
    """A node takes the next wanted attempt, or the offered one that is named."""

    environment: EnvironmentName
    lease: Lease
    number: int | None = None
    straight: bool = False
    """Nothing has to be brought in: what follows is the hand-over to the engine."""


class Adopt(msgspec.Struct, frozen=True, tag="adopt", gc=False):
    """A node takes over a live attempt whose lease ended, or its own from before its restart."""

    number: int
    lease: Lease


class Staged(msgspec.Struct, frozen=True, tag="staged", gc=False):
    """The inputs are there; saved before the engine is asked to start it."""

    number: int


class Started(msgspec.Struct, frozen=True, tag="started", gc=False):
    """The engine says that the command runs."""

    number: int
    at: float
    handle: Handle = Handle()


class Report(msgspec.Struct, frozen=True, tag="report", gc=False):
    """How far the attempt says it is, 0 to 1."""

    number: int
    progress: float


class Exited(msgspec.Struct, frozen=True, tag="exited", omit_defaults=True):
    """The command is over. `failure` and `limit` when it was stopped rather than ended."""

    number: int
    at: float
    exit: Exit | None = None
    usage: Usage = Usage()
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""
    steps: tuple[Exit, ...] = ()


class Collected(msgspec.Struct, frozen=True, tag="collected", omit_defaults=True):
    """Outputs and logs are stored, or are known not to come."""

    number: int
    outputs: tuple[Artifact, ...] = ()
    skipped: int = 0
    logs: Mapping[str, Artifact] = {}
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""


class Broke(msgspec.Struct, frozen=True, tag="broke", gc=False):
    """The attempt is over without an exit: an input, an image or the engine failed."""

    number: int
    failure: Failure
    message: str = ""
    limit: Limit | None = None


class GiveBack(msgspec.Struct, frozen=True, tag="give_back", gc=False):
    """Its node had it too early: it is certain never to have started, and waits in the queue again."""

    number: int


class Vanished(msgspec.Struct, frozen=True, tag="vanished", gc=False):
    """The engine does not know the attempt, and nothing can settle what became of it."""

    number: int
    message: str = ""


class Judge(msgspec.Struct, frozen=True, tag="judge", gc=False):
    """A judge compared an attempt with its siblings. Of a bitwise comparison nobody is told: `advance` makes it."""

    number: int
    verdict: Verdict
    best: bool = False
    """Of those that agree, the one to take."""


Event = (
    Hold
    | Release
    | Requeue
    | Rank
    | Cancel
    | GiveUp
    | Offer
    | Claim
    | Adopt
    | Staged
    | Started
    | Report
    | Exited
    | Collected
    | Broke
    | GiveBack
    | Vanished
    | Judge
)
Together = tuple[Event, ...]
"""Events of one job that became known at the same time: its command ended, and nothing is left to be collected."""
EVENTS: tuple[type[Event], ...] = get_args(Event)
