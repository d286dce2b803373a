"""The only thing that moves a state.

`advance` takes a job, its attempts and an event, and gives a Step: the job and attempts after it, the facts that say
what changed, and how many further attempts are wanted. Every pair of state and event is decided:

- an event about an attempt is looked up in `ON_ATTEMPT` by the attempt's state: it *moves*, or it is *late* (the same
  word again, or one overtaken by another: nothing changes, no fact), or *illegal* (the caller's bug: IllegalMove);
- an event about the job is decided by the job's state in the same way;
- after either, `_settle` looks at all attempts together and says where the job stands. It alone knows retry and cancel,
  and asks `replicas` what several attempts come to.

An illegal event raises and leaves job and attempts as they were: they are values.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

import msgspec

from jobgate.model.attempt import Attempt, AttemptId
from jobgate.model.errors import IllegalMove
from jobgate.model.events import (
    Adopt,
    Broke,
    Cancel,
    Claim,
    Collected,
    Event,
    Exited,
    GiveBack,
    GiveUp,
    Hold,
    Judge,
    Offer,
    Rank,
    Release,
    Report,
    Requeue,
    Staged,
    Started,
    Together,
    Vanished,
)
from jobgate.model.facts import (
    Attempts,
    Closed,
    Fact,
    FactData,
    Judged,
    Moved,
    Opened,
    Progressed,
    Ranked,
    Reached,
    Taken,
    Wanted,
    evolve,
)
from jobgate.model.ids import EnvironmentName
from jobgate.model.job import Bitwise, Job, JobSpec
from jobgate.model.replicas import (
    Shortfall,
    allowed,
    awaits_judge,
    counted,
    decided,
    ending,
    errors,
    judgeable,
    needed,
    next_replica,
    shortfalls,
    undecided,
    verdicts,
    winner,
)
from jobgate.model.state import AttemptState, Failure, JobState, Limit, Verdict


class Step(msgspec.Struct, frozen=True):
    """What one event came to."""

    job: Job
    attempts: Attempts
    facts: tuple[Fact, ...]
    wanted: int
    compared: bool = False
    """Several attempts of it are compared by more than their digests, which somebody has to do."""


class On(Enum):
    """What an event about an attempt means in one of its states."""

    MOVES = "moves"
    LATE = "late"
    ILLEGAL = "illegal"


_A = AttemptState
_LIVE: Final = (_A.CLAIMED, _A.STARTING, _A.RUNNING, _A.COLLECTING)


_OVER: Final = (_A.ENDED, _A.LOST, _A.RETURNED)


def _row(*moves: AttemptState, late: tuple[AttemptState, ...] = _OVER) -> dict[AttemptState, On]:
    return {s: On.MOVES if s in moves else On.LATE if s in late else On.ILLEGAL for s in _A}


ON_ATTEMPT: Final[dict[type[Event], dict[AttemptState, On]]] = {
    Adopt: _row(*_LIVE),
    Staged: _row(_A.CLAIMED, late=(_A.STARTING, _A.RUNNING, _A.COLLECTING, *_OVER)),
    Started: _row(_A.STARTING, late=(_A.RUNNING, _A.COLLECTING, *_OVER)),
    Report: _row(_A.RUNNING, late=(_A.STARTING, _A.COLLECTING, *_OVER)),
    Exited: _row(_A.STARTING, _A.RUNNING, late=(_A.COLLECTING, *_OVER)),
    Collected: _row(_A.COLLECTING),
    Broke: _row(_A.OFFERED, *_LIVE),
    GiveBack: _row(_A.CLAIMED, _A.STARTING),
    Vanished: _row(*_LIVE),
    Judge: _row(_A.ENDED, late=(_A.LOST, _A.RETURNED)),
}
"""Each event about an attempt, in each state of it."""

_NEVER_STARTED: Final = (_A.OFFERED, _A.CLAIMED)
_S = JobState


def advance(job: Job, attempts: Attempts, event: Event | Together, now: float, *, spec: JobSpec) -> Step:
    """The job after `event`, at `now`; events that became known together all happen, then the job is settled once.

    Raises IllegalMove when an event cannot happen in this state, and then none did; one that comes too late changes
    nothing.
    """
    log = _Log(job, attempts, now)
    for one in event if isinstance(event, tuple) else (event,):
        _hear(log, one, spec)
    if log.facts:
        _settle(log, spec)
    compared = len(log.attempts) > 1 and not isinstance(spec.replication.compare, Bitwise)
    return Step(log.job, log.attempts, tuple(log.facts), log.job.wanted, compared)


def _hear(log: _Log, event: Event, spec: JobSpec) -> None:
    match event:
        case Claim() if event.number is None:
            _open(log, event)
        case Hold() | Release() | Requeue() | Rank() | Cancel() | GiveUp() | Offer():
            _on_job(log, event)
        case _:
            _on_attempt(log, event, spec)


def unwanted(job: Job, attempts: Attempts, spec: JobSpec) -> tuple[AttemptId, ...]:
    """The live attempts that the engine should stop: all of a job being cancelled, or decided without them.

    Their own end, as the engine reports it, is what ends them.
    """
    if job.state is not _S.CANCELLING and not decided(counted(job, attempts), spec.replication):
        return ()
    stoppable = (_A.CLAIMED, _A.STARTING, _A.RUNNING)
    return tuple(a.id for a in attempts if a.state in stoppable)


class _Log:
    """The facts so far, each already evolved."""

    def __init__(self, job: Job, attempts: Attempts, now: float) -> None:
        self.job = job
        self.attempts = attempts
        self.now = now
        self.facts: list[Fact] = []

    def say(self, data: FactData) -> None:
        fact = Fact(self.job.id, self.job.version + 1, self.now, data)
        self.job, self.attempts = evolve(self.job, self.attempts, fact)
        self.facts.append(fact)

    def attempt(self, number: int) -> Attempt:
        if not 1 <= number <= len(self.attempts):
            raise IllegalMove(f"there is no attempt {number}")
        return self.attempts[number - 1]

    def live(self) -> Iterator[Attempt]:
        return (a for a in self.attempts if not a.state.over)

    @property
    def counted(self) -> Attempts:
        """The attempts that retry and quorum look at: since the owner last asked for another, and not given back."""
        return counted(self.job, self.attempts)


def _on_job(log: _Log, event: Event) -> None:
    state = log.job.state
    match event:
        case Hold() if state is _S.QUEUED:
            log.say(Moved(_S.HELD, ready=log.job.ready))
        case Release() if state is _S.HELD:
            log.say(Moved(_S.QUEUED, ready=log.job.ready))
        case Requeue() if state is _S.FAILED:
            log.say(Moved(_S.QUEUED))
        case Rank(priority) if not state.over and priority != log.job.priority:
            log.say(Ranked(priority))
        case Cancel(message) if not state.over and state is not _S.CANCELLING:
            _cancel(log, message)
        case GiveUp() if state in (_S.HELD, _S.QUEUED) or (state is _S.STAGING_OUT and not any(log.live())):
            _withdraw(log)
            _end(log, Moved(_S.FAILED, event.message, event.failure, event.limit, *_last_exit(log.attempts)))
        case Offer(environment):
            _offer(log, environment)
        case _:
            pass  # the wish is met already, or came too late


def _withdraw(log: _Log) -> None:
    """Offers that nobody took are taken back."""
    for attempt in list(log.live()):
        if attempt.state is _A.OFFERED:
            log.say(Closed(attempt.id.number, _A.ENDED, verdict=Verdict.UNNEEDED))


def _cancel(log: _Log, message: str) -> None:
    _withdraw(log)
    if any(log.live()):
        log.say(Moved(_S.CANCELLING, message))
    else:
        _end(log, Moved(_S.CANCELLED, message, None, None, *_last_exit(log.attempts)))


def _end(log: _Log, end: Moved) -> None:
    """The job is over; what waited to be compared never is."""
    for attempt in log.counted:
        if attempt.verdict is Verdict.PENDING:
            log.say(Judged(attempt.id.number, Verdict.INCONCLUSIVE))
    log.say(end)


def _offer(log: _Log, environment: EnvironmentName) -> None:
    if log.job.state.over or log.job.wanted < 1 or log.job.state in (_S.HELD, _S.CANCELLING):
        raise IllegalMove("no further attempt is wanted")
    log.say(Opened(len(log.attempts) + 1, _A.OFFERED, environment, *next_replica(log.job, log.attempts)))


def _open(log: _Log, event: Claim) -> None:
    if log.job.state.over or log.job.wanted < 1 or log.job.state in (_S.HELD, _S.CANCELLING):
        raise IllegalMove("no further attempt is wanted")
    state = _A.STARTING if event.straight else _A.CLAIMED
    replica, tried = next_replica(log.job, log.attempts)
    log.say(Opened(len(log.attempts) + 1, state, event.environment, replica, tried, event.lease))


def _on_attempt(log: _Log, event: Event, spec: JobSpec) -> None:
    number: int = getattr(event, "number")  # noqa: B009  # the job's own events, which have none, went another way
    attempt = log.attempt(number)
    if isinstance(event, Claim):
        if attempt.state is not _A.OFFERED or log.job.state is _S.HELD:
            raise IllegalMove(f"attempt {number} is not on offer")
        log.say(Reached(number, _A.CLAIMED))
        log.say(Taken(number, event.lease))
        return
    match ON_ATTEMPT[type(event)][attempt.state]:
        case On.LATE:
            return
        case On.ILLEGAL:
            raise IllegalMove(f"{type(event).__name__} cannot meet an attempt that is {attempt.state.value}")
        case On.MOVES:
            _move(log, attempt, event, spec)


def _move(log: _Log, attempt: Attempt, event: Event, spec: JobSpec) -> None:
    number = attempt.id.number
    match event:
        case Adopt(_, lease):
            if lease != attempt.lease:
                log.say(Taken(number, lease))
        case Staged():
            log.say(Reached(number, _A.STARTING))
        case Started(_, at, handle):
            log.say(Reached(number, _A.RUNNING, at=at, handle=handle))
        case Report(_, progress):
            bounded = min(1.0, max(0.0, progress))
            if bounded != log.job.progress:
                log.say(Progressed(bounded))
        case Exited():
            log.say(_exited(number, event))
        case Collected():
            log.say(_collected(log, attempt, event, spec))
        case Broke(_, failure, message, limit):
            log.say(Closed(number, _A.ENDED, failure, limit, message, ending(log.counted, failure, spec.replication)))
        case GiveBack():
            log.say(Closed(number, _A.RETURNED))
            if log.job.state is not _S.CANCELLING:
                log.say(Wanted(log.job.wanted + 1, log.job.ready))
        case Vanished(_, message):
            log.say(
                Closed(
                    number, _A.LOST, Failure.LOST, None, message, ending(log.counted, Failure.LOST, spec.replication)
                )
            )
        case Judge(_, verdict, best):
            counts = number > log.job.spent and not log.job.state.over and awaits_judge(attempt, spec.replication)
            if counts and (verdict, best) != (attempt.verdict, attempt.best):
                log.say(Judged(number, verdict, best))
        case _:
            raise IllegalMove(f"{type(event).__name__} is not about an attempt")


def _exited(number: int, event: Exited) -> Reached:
    failure = event.failure
    if failure is None and (event.exit is None or event.exit.code != 0):
        failure = Failure.PROGRAM
    return Reached(
        number,
        _A.COLLECTING,
        at=event.at,
        exit=event.exit,
        usage=event.usage,
        failure=failure,
        limit=event.limit,
        message=event.message,
        steps=event.steps,
    )


def _collected(log: _Log, attempt: Attempt, event: Collected, spec: JobSpec) -> Closed:
    failed = attempt.failure or event.failure
    return Closed(
        attempt.id.number,
        _A.ENDED,
        failed,
        attempt.limit or event.limit,
        attempt.message or event.message,
        ending(log.counted, failed, spec.replication),
        event.outputs,
        event.skipped,
        event.logs,
    )


def _settle(log: _Log, spec: JobSpec) -> None:
    """Where the job stands, now that an attempt or a wish has changed."""
    job, rule = log.job, spec.replication
    if job.state.over or job.state is _S.HELD:
        return
    if job.state is _S.CANCELLING:
        if not any(log.live()):
            _end(log, Moved(_S.CANCELLED, job.message, None, None, *_last_exit(log.attempts)))
        return
    if not rule.plain:
        for number, verdict in verdicts(log.counted, spec).items():
            log.say(Judged(number, verdict))
    chosen = winner(log.counted, rule)
    if chosen is not None:
        _withdraw(log)
        if log.job.wanted:
            log.say(Wanted(0))
        if not any(log.live()):
            code = chosen.exit.code if chosen.exit else None
            log.say(Moved(_S.SUCCEEDED, canonical=chosen.id.number, exit_code=code))
            return
    elif _want(log, spec) if rule.plain else _replicate(log, spec):
        return
    state = _standing(log, spec)
    if state is not log.job.state:
        log.say(Moved(state, ready=log.job.ready))


def _replicate(log: _Log, spec: JobSpec) -> bool:
    """Asks for the replicas that are missing; True when the job failed because they may not be, or are of no use."""
    rule, attempts = spec.replication, log.counted
    short = shortfalls(attempts, rule)
    if short:
        _withdraw(log)
        failed = errors(attempts)
        told = None
        if failed and (Shortfall.ERRORS in short or not any(a.succeeded for a in attempts)):
            told = min(failed, key=lambda a: a.ended or a.created)
        return _fail(log, told, sum(1 for _ in log.live()), undecided(attempts, short, rule))
    missing = min(needed(attempts, rule), allowed(attempts, rule))
    if missing != log.job.wanted:
        failed = errors(attempts)
        pause = spec.retry.backoff * 2.0 ** (_tried(attempts, failed[-1]) - 1) if failed and missing else 0.0
        log.say(Wanted(missing, log.now + pause if pause else 0.0))
    return False


def _want(log: _Log, spec: JobSpec) -> bool:
    """Asks for the next try of a plain job; True when it failed because there may be none."""
    attempts = log.counted
    live = sum(1 for _ in log.live())
    bad = [a for a in attempts if a.state.over]
    missing = 0 if live else 1
    if missing and not all(_may_retry(attempts, a, spec) for a in bad):
        return _fail(log, bad[-1], live)
    if missing != log.job.wanted:
        pause = spec.retry.backoff * 2.0 ** (_tried(attempts, bad[-1]) - 1) if bad and missing else 0.0
        log.say(Wanted(missing, log.now + pause if pause else 0.0))
    return False


def _may_retry(attempts: Attempts, attempt: Attempt, spec: JobSpec) -> bool:
    """Whether the retry policy names what happened to `attempt`, and tries are left."""
    tried = _tried(attempts, attempt)
    if attempt.failure is Failure.ENGINE or (attempt.failure is Failure.LOST and attempt.started is None):
        return tried < max(spec.retry.faults, spec.retry.tries)
    return attempt.failure in spec.retry.on and tried < spec.retry.tries


def _tried(attempts: Attempts, attempt: Attempt) -> int:
    """Which of the `attempts` at its replica it is."""
    return sum(1 for a in attempts if a.replica == attempt.replica and a.id.number <= attempt.id.number)


def _fail(log: _Log, attempt: Attempt | None, live: int, message: str = "") -> bool:
    """Fails the job with an attempt's word, or as undecided; False while something of it is still live."""
    if log.job.wanted:
        log.say(Wanted(0))
    if live:
        return False
    if attempt is None:
        _end(log, Moved(_S.FAILED, message, Failure.UNDECIDED, Limit.ATTEMPTS))
    else:
        code = attempt.exit.code if attempt.exit else None
        _end(log, Moved(_S.FAILED, attempt.message, attempt.failure, attempt.limit, attempt.id.number, code))
    return True


def _standing(log: _Log, spec: JobSpec) -> JobState:
    states = {a.state for a in log.live()}
    if _A.RUNNING in states:
        return _S.RUNNING
    if _A.COLLECTING in states:
        return _S.STAGING_OUT
    if states & {_A.CLAIMED, _A.STARTING}:
        return _S.STAGING_IN
    if judgeable(log.counted, spec.replication):
        return _S.STAGING_OUT
    return _S.QUEUED


def _last_exit(attempts: Attempts) -> tuple[int | None, int | None]:
    """Number and exit code of the last attempt whose command ended."""
    for attempt in reversed(attempts):
        if attempt.exit is not None:
            return attempt.id.number, attempt.exit.code
    return None, None
