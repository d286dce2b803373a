"""What several attempts of one job come to: how many more are needed, which agree, and when it has to fail.

Pure, and over the attempts that count: those since the owner last asked for another try. A job with one replica and a
quorum of 1 is `plain`: nothing of this touches it, its retry policy alone decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from jobgate.model.attempt import Attempt
from jobgate.model.files import Artifact
from jobgate.model.ids import Digest, EnvironmentName
from jobgate.model.job import Bitwise, Job, JobSpec, Replication
from jobgate.model.state import AttemptState, Failure, JobState, Limit, Verdict

Attempts = tuple[Attempt, ...]
File = tuple[int, str]
"""The place of an output in the spec, and the path in it; for a log the place is -1 and the path its name."""


class Shortfall(StrEnum):
    """What kept a job from an answer [BOINC: error_mask]."""

    UNSENT = "unsent"
    """No environment took it."""
    ERRORS = "errors"
    """Too many of its attempts failed."""
    SUCCESSES = "successes"
    """Too many succeeded without enough of them agreeing."""
    TOTAL = "total"
    """Another attempt was needed, and no more are allowed."""
    CANCELLED = "cancelled"
    NO_CANONICAL = "no_canonical"
    """There were enough attempts, and nobody could say which of them agree."""


def counted(job: Job, attempts: Attempts) -> Attempts:
    """The attempts that retry and quorum look at: those since the owner last asked for another, none given back."""
    return tuple(a for a in attempts[job.spent :] if a.state is not AttemptState.RETURNED)


# --- one look at all of them


def good(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Those whose answer counts: they succeeded in time, and were not found invalid."""
    return [a for a in attempts if a.succeeded and a.verdict not in (Verdict.INVALID, Verdict.TOO_LATE)]


def errors(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Those that failed; not those that were stopped because nobody needed them."""
    return [a for a in attempts if a.state.over and not a.succeeded and a.verdict is not Verdict.UNNEEDED]


def winner(attempts: Attempts, rule: Replication) -> Attempt | None:
    """The canonical attempt, once a quorum agrees: the one its judge named best, or the first."""
    if rule.quorum == 1:
        return next((a for a in attempts if a.succeeded and a.verdict is not Verdict.TOO_LATE), None)
    valid = [a for a in attempts if a.verdict is Verdict.VALID]
    if len(valid) < rule.quorum:
        return None
    return next((a for a in valid if a.best), valid[0])


def judgeable(attempts: Attempts, rule: Replication) -> bool:
    """Whether a judge's word is awaited: there are enough to compare, and one among them nobody has compared yet."""
    if rule.quorum == 1:
        return False
    found = good(attempts)
    return (
        len(found) >= rule.quorum
        and any(a.verdict is Verdict.PENDING for a in found)
        and winner(attempts, rule) is None
    )


def needed(attempts: Attempts, rule: Replication) -> int:
    """How many more attempts the job needs, whether they are allowed or not; none while a judge's word is awaited."""
    if winner(attempts, rule) is not None or judgeable(attempts, rule):
        return 0
    found, live = len(good(attempts)), _live(attempts)
    target = rule.replicas if live or found < rule.quorum else max(rule.replicas, found + 1)
    return max(0, target - live - found)


def allowed(attempts: Attempts, rule: Replication) -> int:
    """How many more attempts there may be."""
    return max(0, rule.total - len(attempts))


def shortfalls(attempts: Attempts, rule: Replication) -> frozenset[Shortfall]:
    """Why a replicated job has to fail; empty while it need not.

    A quorum is looked at first. A job that what is live can still decide does not fail for want of further attempts.
    """
    if winner(attempts, rule) is not None or judgeable(attempts, rule):
        return frozenset()
    found: set[Shortfall] = set()
    answers = len(good(attempts))
    if len(errors(attempts)) > rule.errors:
        found.add(Shortfall.ERRORS)
    if answers > rule.successes:
        found.add(Shortfall.SUCCESSES)
    if needed(attempts, rule) and not allowed(attempts, rule):
        live = _live(attempts)
        if not live or live + answers < rule.quorum:
            found.add(Shortfall.TOTAL)
    return frozenset(found)


def decided(attempts: Attempts, rule: Replication) -> bool:
    """Whether nothing that is live can change what becomes of the job; a plain one has one attempt at a time."""
    return not rule.plain and (winner(attempts, rule) is not None or bool(shortfalls(attempts, rule)))


def shortfall(job: Job, attempts: Attempts, spec: JobSpec) -> frozenset[Shortfall]:
    """Why the job has no answer, now that it is over or being cancelled; empty for one that succeeded or goes on.

    Of a plain job too, where an attempt that its retry policy does not repeat is one error too many.
    """
    if job.state in (JobState.CANCELLED, JobState.CANCELLING):
        return frozenset({Shortfall.CANCELLED})
    if job.state is not JobState.FAILED:
        return frozenset()
    since, rule = counted(job, attempts), spec.replication
    if not since or job.limit is Limit.WAIT:
        return frozenset({Shortfall.UNSENT})
    if not rule.plain:
        return shortfalls(since, rule) or frozenset({Shortfall.NO_CANONICAL})
    found = set()
    if len(since) >= rule.total:
        found.add(Shortfall.TOTAL)
    if len(errors(since)) > rule.errors or not found:
        found.add(Shortfall.ERRORS)
    return frozenset(found)


def next_replica(job: Job, attempts: Attempts) -> tuple[int, int]:
    """The replica the next attempt is for, and which try of it: a failed one's again, or a new one's first."""
    last: dict[int, Attempt] = {a.replica: a for a in counted(job, attempts)}
    for replica, attempt in last.items():
        if attempt.state.over and (not attempt.succeeded or attempt.verdict is Verdict.INVALID):
            return replica, attempt.tried + 1
    replica = len(last) + 1
    earlier = (a for a in attempts[: job.spent] if a.replica == replica and a.state is not AttemptState.RETURNED)
    return replica, 1 + sum(1 for _ in earlier)


def undecided(attempts: Attempts, short: frozenset[Shortfall], rule: Replication) -> str:
    """For people: that the replicas never agreed, with the numbers."""
    answers = len(good(attempts))
    if Shortfall.SUCCESSES in short:
        return f"the replicas never agreed: {answers} succeeded, and {rule.successes} may without a quorum"
    return f"the replicas never agreed: of {len(attempts)} attempts, which is all it may have, {answers} succeeded"


# --- who agrees


def ending(attempts: Attempts, failed: Failure | None, rule: Replication) -> Verdict:
    """What is to be said of one of `attempts` as it ends."""
    if rule.plain:
        return Verdict.NONE
    if decided(attempts, rule):
        if failed is not None:
            return Verdict.UNNEEDED
        pure = rule.quorum > 1 and isinstance(rule.compare, Bitwise) and winner(attempts, rule) is not None
        return Verdict.PENDING if pure else Verdict.TOO_LATE
    return Verdict.PENDING if rule.quorum > 1 and failed is None else Verdict.NONE


def awaits_judge(attempt: Attempt, rule: Replication) -> bool:
    """Whether a judge has a say in it: no word is taken back, and a bitwise comparison needs none."""
    judged = rule.quorum > 1 and not isinstance(rule.compare, Bitwise)
    return judged and attempt.verdict in (Verdict.PENDING, Verdict.INCONCLUSIVE)


def product(attempt: Attempt, spec: JobSpec) -> dict[File, Artifact]:
    """What is compared: the files of its outputs; of a job that names no outputs, its logs."""
    if not spec.outputs:
        return {(-1, name): artifact for name, artifact in attempt.logs.items()}
    return {(artifact.output, artifact.path): artifact for artifact in attempt.outputs}


def verdicts(attempts: Attempts, spec: JobSpec) -> dict[int, Verdict]:
    """What needs no judge, by the attempt's number: the bitwise comparison, and that a quorum came before a word."""
    rule = spec.replication
    if rule.quorum == 1:
        return {}
    chosen = winner(attempts, rule)
    if not isinstance(rule.compare, Bitwise):
        late = (a for a in attempts if chosen is not None and a.verdict is Verdict.PENDING)
        return {a.id.number: Verdict.TOO_LATE for a in late}
    open_ones = [a for a in good(attempts) if a.verdict in (Verdict.PENDING, Verdict.INCONCLUSIVE)]
    if not open_ones or not any(a.verdict is Verdict.PENDING for a in open_ones):
        return {}
    if chosen is not None:
        agreed: frozenset[tuple[File, Digest]] | None = _digests(chosen, spec)
    else:
        found = good(attempts)
        if len(found) < rule.quorum:
            return {}
        groups: dict[frozenset[tuple[File, Digest]], int] = {}
        for attempt in found:
            key = _digests(attempt, spec)
            groups[key] = groups.get(key, 0) + 1
        agreed = next((key for key, size in groups.items() if size >= rule.quorum), None)
    said = {}
    for attempt in open_ones:
        if agreed is None:
            verdict = Verdict.INCONCLUSIVE
        else:
            verdict = Verdict.VALID if _digests(attempt, spec) == agreed else Verdict.INVALID
        if verdict is not attempt.verdict:
            said[attempt.id.number] = verdict
    return said


def _digests(attempt: Attempt, spec: JobSpec) -> frozenset[tuple[File, Digest]]:
    return frozenset((file, artifact.digest) for file, artifact in product(attempt, spec).items())


def ruling(lines: Sequence[Sequence[int]], numbers: Sequence[int], quorum: int) -> dict[int, tuple[Verdict, bool]]:
    """Verdicts for `numbers` from groups of attempts that agree, each with its best first; and which is the best.

    The first group that is a quorum is valid and all else is not. Where none is, what stands in a group is
    inconclusive, and what stands in none is invalid.
    """
    known = set(numbers)
    groups = [list(dict.fromkeys(n for n in line if n in known)) for line in lines]
    chosen = next((group for group in groups if len(group) >= quorum), None)
    if chosen is not None:
        return {n: (Verdict.VALID if n in chosen else Verdict.INVALID, n == chosen[0]) for n in numbers}
    named = {n for group in groups for n in group}
    return {n: (Verdict.INCONCLUSIVE if n in named else Verdict.INVALID, False) for n in numbers}


# --- where the next one goes


def may_take(
    environment: EnvironmentName, attempts: Attempts, able: Callable[[], Iterable[EnvironmentName]], rule: Replication
) -> bool:
    """Whether a replica may start in `environment`: not while another that could run it has had fewer of its siblings.

    Those that answered, or may still, count before those that failed. `able`: the environments that could run it and
    are not down; it is asked only where the answer matters. With one environment, all go there.
    """
    if rule.plain or not attempts:
        return True
    had = _had(attempts)
    none = (0, 0)
    own = had.get(environment, none)
    return own == none or all(own <= had.get(other, none) for other in able())


def _had(attempts: Attempts) -> Mapping[EnvironmentName, tuple[int, int]]:
    had: dict[EnvironmentName, tuple[int, int]] = {}
    for attempt in attempts:
        counts, every = had.get(attempt.environment, (0, 0))
        answers = attempt.succeeded or not attempt.state.over
        had[attempt.environment] = (counts + answers, every + 1)
    return had


def _live(attempts: Attempts) -> int:
    return sum(1 for a in attempts if not a.state.over)
