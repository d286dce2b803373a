"""What those who follow are told: the public events, made of the facts by a pure function.

A cursor of the log stands for one fact. A public cursor is twice that, and one more for `batch.ended`, which comes of
the same fact as the end of the batch's last job: so each event has a cursor of its own, and a reader who was cut off
between the two resumes between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, StrEnum
from typing import Final

import msgspec

from jobgate.model.facts import Closed, Fact, Moved, Opened, Progressed, Ranked, Reached, Submitted
from jobgate.model.ids import AccountId, BatchId, EnvironmentName, JobId, NodeName
from jobgate.model.state import AttemptState, Failure, JobState, Limit
from jobgate.model.tally import Tally


class Kind(StrEnum):
    """What a follower chooses among."""

    JOB = "job"
    ATTEMPT = "attempt"
    FAILURE = "failure"
    """Of the job's events those that tell of a failed one."""
    BATCH = "batch"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A fact with its place in the log of all jobs, and whose it is."""

    cursor: int
    fact: Fact
    batch: BatchId
    owner: AccountId


class Mourning(Enum):
    """What followers are told of a deletion."""

    NONE = 0
    """Nothing: it was time."""
    EACH = 1
    """Each job, and the batch when it went with the last."""
    WHOLE = 2
    """The batch alone, when all of it is gone."""


class Grave(msgspec.Struct, frozen=True, gc=False):
    """A job that its owner deleted, or a batch as a whole; it stays in the log when what it tells of is gone."""

    cursor: int
    at: float
    batch: BatchId
    owner: AccountId
    job: JobId | None
    """None: all jobs of the batch that were left."""
    last: bool
    """The batch went with it."""

    @property
    def about(self) -> JobId:
        """The job; of a batch its first, which bears the same id."""
        return JobId(self.batch) if self.job is None else self.job


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One public event. `event` is its kind, a dot, and what happened."""

    cursor: int
    event: str
    at: float
    batch: BatchId
    job: JobId | None = None
    seq: int | None = None
    """Of the fact in the job's own log."""
    state: JobState | None = None
    attempt: int | None = None
    environment: EnvironmentName | None = None
    node: NodeName | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""
    priority: int | None = None
    progress: float | None = None
    counts: tuple[tuple[JobState, int], ...] | None = None
    """The batch's jobs by state."""
    count: int | None = None
    """How many jobs the batch was made with."""

    @property
    def kind(self) -> Kind:
        """The word before the dot."""
        return Kind(self.event.partition(".")[0])


FAILED: Final = f"{Kind.JOB}.{JobState.FAILED}"
ENDED: Final = f"{Kind.BATCH}.ended"
COUNTS: Final = f"{Kind.BATCH}.counts"
DELETED: Final = f"{Kind.JOB}.deleted"
BATCH_DELETED: Final = f"{Kind.BATCH}.deleted"
_ENDS: Final = frozenset({ENDED, DELETED, BATCH_DELETED})


def wanted(kinds: frozenset[Kind], event: Told) -> bool:
    """Whether it is of one of the kinds."""
    return event.kind in kinds or (event.event == FAILED and Kind.FAILURE in kinds)


def ends(event: Told) -> bool:
    """Whether a job or a batch was over with it, or is gone."""
    return event.event in _ENDS or (event.state is not None and event.state.over)


def before(cursor: int) -> int:
    """The cursor of the log after which everything lies that follows the public one, and perhaps that one itself."""
    return (cursor - 1) // 2 if cursor > 0 else 0


def public(cursor: int) -> int:
    """The cursor of what is told of the fact at this one of the log."""
    return 2 * cursor


def upto(cursor: int) -> int:
    """The public cursor when everything up to this one of the log was told; `batch.ended` has it."""
    return 2 * cursor + 1


def tell(entry: Entry | Grave) -> tuple[Told, ...]:
    """What a fact is in public; of what is the gateway's own business, nothing."""
    if isinstance(entry, Grave):
        return tuple(_mourned(entry))
    event = _told(entry, public(entry.cursor), entry.fact)
    if event is None:
        return ()
    data = entry.fact.data
    if not isinstance(data, Moved) or data.batch_end is None:
        return (event,)
    end = Told(
        cursor=upto(entry.cursor),
        event=ENDED,
        at=entry.fact.at,
        batch=entry.batch,
        state=data.batch_end.state,
        counts=data.batch_end.counts,
    )
    return event, end


def _mourned(grave: Grave) -> Iterator[Told]:
    if grave.job is not None:
        yield Told(cursor=public(grave.cursor), event=DELETED, at=grave.at, batch=grave.batch, job=grave.job)
    if grave.last:
        yield Told(cursor=upto(grave.cursor), event=BATCH_DELETED, at=grave.at, batch=grave.batch)


def summed_up(cursor: int, at: float, batch: BatchId, count: int, tally: Tally) -> Told:
    """How a batch stands: everything up to this public cursor is in it."""
    counts = tuple((state, tally.counts[state]) for state in JobState if tally.counts.get(state))
    return Told(cursor=cursor, event=COUNTS, at=at, batch=batch, state=tally.state, counts=counts, count=count)


_REACHED: Final = {
    AttemptState.STARTING: "attempt.starting",
    AttemptState.RUNNING: "attempt.running",
    AttemptState.COLLECTING: "attempt.collecting",
}
_CLOSED: Final = {
    AttemptState.ENDED: "attempt.ended",
    AttemptState.LOST: "attempt.lost",
    AttemptState.RETURNED: "attempt.returned",
}
"""Claimed is no news: it was opened so, or was on offer and somebody took it."""
_MOVED: Final = {state: f"{Kind.JOB}.{state}" for state in JobState}


def _told(entry: Entry, cursor: int, fact: Fact) -> Told | None:
    batch, job, seq, at = entry.batch, fact.job, fact.seq, fact.at
    match fact.data:
        case Submitted(held=held):
            state = JobState.HELD if held else JobState.QUEUED
            return Told(cursor=cursor, event=_MOVED[state], at=at, batch=batch, job=job, seq=seq, state=state)
        case Moved() as moved:
            return Told(
                cursor=cursor,
                event=_MOVED[moved.state],
                at=at,
                batch=batch,
                job=job,
                seq=seq,
                state=moved.state,
                exit_code=moved.exit_code,
                failure=moved.failure,
                limit=moved.limit,
                message=moved.message,
            )
        case Ranked(priority):
            return Told(cursor=cursor, event="job.changed", at=at, batch=batch, job=job, seq=seq, priority=priority)
        case Progressed(progress):
            return Told(cursor=cursor, event="job.progress", at=at, batch=batch, job=job, seq=seq, progress=progress)
        case Opened() as opened:
            return Told(
                cursor=cursor,
                event="attempt.opened",
                at=at,
                batch=batch,
                job=job,
                seq=seq,
                attempt=opened.number,
                environment=opened.environment,
                node=None if opened.lease is None else opened.lease.node,
            )
        case Reached() as reached if reached.state in _REACHED:
            return Told(
                cursor=cursor,
                event=_REACHED[reached.state],
                at=at if reached.at is None else reached.at,
                batch=batch,
                job=job,
                seq=seq,
                attempt=reached.number,
                exit_code=None if reached.exit is None else reached.exit.code,
                failure=reached.failure,
                limit=reached.limit,
                message=reached.message,
            )
        case Closed() as closed:
            return Told(
                cursor=cursor,
                event=_CLOSED[closed.state],
                at=at,
                batch=batch,
                job=job,
                seq=seq,
                attempt=closed.number,
                failure=closed.failure,
                limit=closed.limit,
                message=closed.message,
            )
        case _:
            return None
