"""One start of one replica of a job, in one environment, on one node [BOINC: instance, result]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from jobgate.model.files import Artifact
from jobgate.model.ids import BatchId, EnvironmentName, JobId, NodeName, job_name, job_text, ordinal
from jobgate.model.state import AttemptState, Failure, Limit, Verdict


class AttemptId(msgspec.Struct, frozen=True, gc=False, order=True):
    """The job and the attempt's number in it, from 1: the run's name on the far side."""

    batch: BatchId
    job: JobId
    number: int

    def __str__(self) -> str:
        return f"{job_text(self.batch, self.job)}-{self.number}"

    @classmethod
    def parse(cls, wire: str) -> AttemptId:
        """The id written as `2n6r0kqa-640-2`; raises NotFound for anything else."""
        job, _, number = wire.rpartition("-")
        name = job_name(job)
        return cls(name.batch, name.job, ordinal(number))


class Handle(msgspec.Struct, frozen=True, gc=False):
    """What the engine calls it: opaque to everyone else."""

    value: str = ""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What an attempt used."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    max_memory: int = 0
    """Bytes."""


class Exit(msgspec.Struct, frozen=True, gc=False):
    """How a command ended. `code` is 128 + n when signal n ended it."""

    code: int
    signal: int | None = None


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Whose attempt it is. A save that bears an older fence than the node's is refused."""

    node: NodeName
    fence: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one attempt stands."""

    id: AttemptId
    replica: int = 1
    tried: int = 1
    """Which try of its replica, from 1."""
    state: AttemptState
    environment: EnvironmentName
    lease: Lease | None = None
    handle: Handle = Handle()
    created: float
    started: float | None = None
    ended: float | None = None
    exit: Exit | None = None
    usage: Usage = Usage()
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""
    verdict: Verdict = Verdict.NONE
    best: bool = False
    """Its judge named it first of those that agree."""
    outputs: tuple[Artifact, ...] = ()
    skipped: int = 0
    """Links, devices and names that were refused when collecting."""
    logs: Mapping[str, Artifact] = {}
    """Stream name to its stored bytes; the merged one is `LOG`."""
    steps: tuple[Exit, ...] = ()
    """Exit of each step that ended, in order."""

    @property
    def succeeded(self) -> bool:
        """Ended, and nothing went wrong."""
        return self.state is AttemptState.ENDED and self.failure is None and self.verdict is not Verdict.UNNEEDED


LOG: Final = "log"
"""Name of the stream that holds output and errors in order of arrival."""
