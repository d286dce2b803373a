"""What happened to a job, as its event log keeps it: the facts of one job, in order, are the job.

`evolve` is the only reader of a fact that changes anything: `advance` decides which facts an event makes and then
evolves them, and a replay of the log evolves the same facts again. So the log alone can rebuild the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.attempt import Attempt, AttemptId, Exit, Handle, Lease, Usage
from jobgate.model.errors import IllegalMove
from jobgate.model.files import Artifact
from jobgate.model.ids import AccountId, BatchId, EnvironmentName, JobId, SpecId
from jobgate.model.job import Job
from jobgate.model.state import AttemptState, Failure, JobState, Limit, Verdict
from jobgate.model.tally import BatchEnd

Attempts = tuple[Attempt, ...]


class Submitted(msgspec.Struct, frozen=True, tag="submitted", omit_defaults=True):
    """The job exists. Everything its row is born with."""

    batch: BatchId
    owner: AccountId
    spec: SpecId
    priority: int = 0
    wanted: int = 1
    held: bool = False
    ready: float = 0.0


class Moved(msgspec.Struct, frozen=True, tag="moved", omit_defaults=True):
    """The job's own state changed."""

    state: JobState
    message: str = ""
    failure: Failure | None = None
    limit: Limit | None = None
    canonical: int | None = None
    exit_code: int | None = None
    ready: float = 0.0
    batch_end: BatchEnd | None = None
    """With it the last live job of its batch ended. The store says so, in the log: `advance` sees one job only."""


class Wanted(msgspec.Struct, frozen=True, tag="wanted", gc=False):
    """So many further attempts are to be made, and none of them before `ready`."""

    count: int
    ready: float = 0.0


class Opened(msgspec.Struct, frozen=True, tag="opened", omit_defaults=True):
    """An attempt was made, offered or claimed: one fewer is wanted."""

    number: int
    state: AttemptState
    environment: EnvironmentName
    replica: int = 1
    tried: int = 1
    lease: Lease | None = None


class Taken(msgspec.Struct, frozen=True, tag="taken", gc=False):
    """An attempt is another node's, or the same node's after its restart."""

    number: int
    lease: Lease


class Reached(msgspec.Struct, frozen=True, tag="reached", omit_defaults=True):
    """An attempt went on: claimed, starting, running or collecting."""

    number: int
    state: AttemptState
    at: float | None = None
    """When it happened on the far side, if that is known better than the time of the record."""
    handle: Handle | None = None
    exit: Exit | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""
    steps: tuple[Exit, ...] = ()


class Closed(msgspec.Struct, frozen=True, tag="closed", omit_defaults=True):
    """An attempt is over."""

    number: int
    state: AttemptState
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""
    verdict: Verdict = Verdict.NONE
    outputs: tuple[Artifact, ...] = ()
    skipped: int = 0
    logs: Mapping[str, Artifact] = {}


class Judged(msgspec.Struct, frozen=True, tag="judged", gc=False, omit_defaults=True):
    """An attempt's verdict."""

    number: int
    verdict: Verdict
    best: bool = False


class Progressed(msgspec.Struct, frozen=True, tag="progressed", gc=False):
    """How far the job says it is."""

    progress: float


class Ranked(msgspec.Struct, frozen=True, tag="ranked", gc=False):
    """Its priority among its own account's jobs changed."""

    priority: int


FactData = Submitted | Moved | Wanted | Opened | Taken | Reached | Closed | Judged | Progressed | Ranked


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One entry of a job's event log. `seq` starts at 1 and has no gaps."""

    job: JobId
    seq: int
    at: float
    data: FactData


def born(job: JobId, at: float, fact: Submitted) -> Job:
    """The job as its first fact makes it."""
    return Job(
        id=job,
        batch=fact.batch,
        owner=fact.owner,
        spec=fact.spec,
        state=JobState.HELD if fact.held else JobState.QUEUED,
        created=at,
        priority=fact.priority,
        version=1,
        wanted=fact.wanted,
        ready=fact.ready,
    )


def rebuild(facts: Iterable[Fact]) -> tuple[Job, Attempts]:
    """The job and its attempts, from its log alone.

    Raises IllegalMove when the log has a gap, or does not begin at its beginning.
    """
    job: Job | None = None
    attempts: Attempts = ()
    for fact in facts:
        if job is None:
            if fact.seq != 1 or not isinstance(fact.data, Submitted):
                raise IllegalMove("a log begins with the submission")
            job = born(fact.job, fact.at, fact.data)
        else:
            job, attempts = evolve(job, attempts, fact)
    if job is None:
        raise IllegalMove("an empty log is no job")
    return job, attempts


def evolve(job: Job, attempts: Attempts, fact: Fact) -> tuple[Job, Attempts]:
    """The job and its attempts after `fact`.

    Raises IllegalMove when it is not the next one.
    """
    if fact.seq != job.version + 1:
        raise IllegalMove(f"fact {fact.seq} cannot follow {job.version}")
    job = replace(job, version=fact.seq)
    match fact.data:
        case Submitted():
            raise IllegalMove("a job is submitted once")
        case Moved() as moved:
            return _moved(job, moved, fact.at, len(attempts)), attempts
        case Wanted(count, ready):
            return replace(job, wanted=count, ready=ready), attempts
        case Progressed(progress):
            return replace(job, progress=progress), attempts
        case Ranked(priority):
            return replace(job, priority=priority), attempts
        case Opened() as opened:
            attempt = Attempt(
                id=AttemptId(job.batch, job.id, opened.number),
                replica=opened.replica,
                tried=opened.tried,
                state=opened.state,
                environment=opened.environment,
                lease=opened.lease,
                created=fact.at,
            )
            return replace(job, wanted=max(job.wanted - 1, 0)), (*attempts, attempt)
        case Taken(number, lease):
            return job, _put(attempts, replace(_get(attempts, number), lease=lease))
        case Judged(number, verdict, best):
            return job, _put(attempts, replace(_get(attempts, number), verdict=verdict, best=best))
        case Reached() as reached:
            attempt = _reached(_get(attempts, reached.number), reached, fact.at)
            if attempt.started is not None and job.started is None:
                job = replace(job, started=attempt.started)
            return job, _put(attempts, attempt)
        case Closed() as closed:
            attempt = _get(attempts, closed.number)
            return job, _put(
                attempts,
                replace(
                    attempt,
                    state=closed.state,
                    ended=attempt.ended if attempt.ended is not None else fact.at,
                    failure=closed.failure or attempt.failure,
                    limit=closed.limit or attempt.limit,
                    message=closed.message or attempt.message,
                    verdict=closed.verdict,
                    outputs=closed.outputs,
                    skipped=closed.skipped,
                    logs=closed.logs,
                ),
            )


def _moved(job: Job, fact: Moved, at: float, attempts: int) -> Job:
    over, again = fact.state.over, job.state.over
    return replace(
        job,
        state=fact.state,
        message=fact.message,
        failure=fact.failure,
        limit=fact.limit,
        canonical=fact.canonical,
        exit_code=fact.exit_code if over or again else job.exit_code,
        ready=fact.ready,
        ended=at if over else None,
        wanted=0 if over or fact.state is JobState.CANCELLING else job.wanted,
        progress=1.0 if fact.state is JobState.SUCCEEDED else 0.0 if again else job.progress,
        spent=attempts if again else job.spent,
    )


_WITH_END: Final = frozenset({AttemptState.COLLECTING})


def _reached(attempt: Attempt, fact: Reached, at: float) -> Attempt:
    when = fact.at if fact.at is not None else at
    return replace(
        attempt,
        state=fact.state,
        started=when if fact.state is AttemptState.RUNNING and attempt.started is None else attempt.started,
        ended=when if fact.state in _WITH_END else attempt.ended,
        handle=fact.handle or attempt.handle,
        exit=fact.exit or attempt.exit,
        usage=fact.usage or attempt.usage,
        failure=fact.failure or attempt.failure,
        limit=fact.limit or attempt.limit,
        message=fact.message or attempt.message,
        steps=fact.steps or attempt.steps,
    )


def _get(attempts: Attempts, number: int) -> Attempt:
    if not 1 <= number <= len(attempts):
        raise IllegalMove(f"there is no attempt {number}")
    return attempts[number - 1]


def _put(attempts: Attempts, attempt: Attempt) -> Attempts:
    place = attempt.id.number - 1
    return (*attempts[:place], attempt, *attempts[place + 1 :])
