"""Several attempts of one job: at most one answer, never without a quorum, and every job ends."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from told import BITWISE, EITHER, LEASE, PAIRED, PLAIN, legal

from jobgate.model import replicas
from jobgate.model.advance import advance, unwanted
from jobgate.model.attempt import Attempt, AttemptId, Exit
from jobgate.model.events import Broke, Cancel, Claim, Collected, Event, Exited, GiveUp, Judge, Started
from jobgate.model.facts import Attempts, Fact, Submitted, born, rebuild
from jobgate.model.files import Artifact
from jobgate.model.ids import AccountId, BatchId, Digest, EnvironmentName, JobId, SpecId
from jobgate.model.job import Job, JobSpec, Numeric, Replication
from jobgate.model.replicas import Shortfall, judgeable, may_take, product, ruling, shortfall, winner
from jobgate.model.state import AttemptState, Failure, JobState, Limit, Verdict

PLACES = tuple(EnvironmentName(name) for name in ("north", "south", "west"))


class Life:
    """A job with its attempts and its log."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.now = 100.0
        birth = Submitted(BatchId(64), AccountId(1), SpecId(1), wanted=spec.replication.replicas)
        self.job: Job = born(JobId(64), self.now, birth)
        self.attempts: Attempts = ()
        self.log = [Fact(self.job.id, 1, self.now, birth)]

    def tell(self, *events: Event) -> Life:
        for event in events:
            self.now += 1
            step = advance(self.job, self.attempts, event, self.now, spec=self.spec)
            self.job, self.attempts = step.job, step.attempts
            self.log.extend(step.facts)
        return self

    def start(self, times: int = 1) -> Life:
        for _ in range(times):
            self.tell(Claim(PLACES[0], LEASE, straight=True), Started(len(self.attempts) + 1, self.now))
        return self

    def leaves(self, number: int, content: str) -> Life:
        """The attempt ends well with one file."""
        artifact = Artifact("a", Digest(content * 64), 1)
        return self.tell(Exited(number, self.now, Exit(0)), Collected(number, outputs=(artifact,)))

    def fails(self, number: int, code: int = 1) -> Life:
        return self.tell(Exited(number, self.now, Exit(code), message=f"code {code}"), Collected(number))

    @property
    def verdicts(self) -> list[Verdict]:
        return [a.verdict for a in self.attempts]


def bitwise(**rule: int) -> JobSpec:
    pair = Replication(replicas=2, quorum=2)
    return msgspec.structs.replace(BITWISE, replication=msgspec.structs.replace(pair, **rule))


replicated = st.builds(
    lambda quorum, more, total, errors, successes, judged: msgspec.structs.replace(
        BITWISE,
        replication=Replication(
            replicas=quorum + more,
            quorum=quorum,
            errors=errors,
            successes=max(successes, quorum),
            total=quorum + more + total,
            **({"compare": Numeric()} if judged else {}),
        ),
    ),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 5),
    st.booleans(),
).filter(lambda spec: not spec.replication.plain)


def told_of(spec: JobSpec, events: list[Event]) -> Life:
    life = Life(spec)
    for event in events:
        before = [a.verdict for a in life.attempts]
        life.tell(event)
        for old, new in zip(before, life.attempts, strict=False):
            assert old in (new.verdict, Verdict.NONE, Verdict.PENDING, Verdict.INCONCLUSIVE), "a word was taken back"
    return life


@given(st.data())
def test_a_job_succeeds_with_one_canonical_attempt_of_a_quorum_that_agrees_and_never_without(
    data: st.DataObject,
) -> None:
    spec = data.draw(replicated)
    life = told_of(spec, data.draw(legal(spec)))
    rule, counted = spec.replication, replicas.counted(life.job, life.attempts)
    assert len(counted) <= rule.total
    if life.job.state is not JobState.SUCCEEDED:
        return
    assert life.job.canonical is not None
    canonical = life.attempts[life.job.canonical - 1]
    assert canonical.succeeded
    if rule.quorum > 1:
        valid = [a for a in counted if a.verdict is Verdict.VALID]
        assert canonical in valid
        assert len(valid) >= rule.quorum
        if not isinstance(rule.compare, Numeric):
            left = [{f: x.digest for f, x in product(a, spec).items()} for a in valid]
            assert all(one == left[0] for one in left)


@given(st.data())
def test_whatever_happens_a_replicated_job_ends_once_its_attempts_do_and_its_log_alone_rebuilds_it(
    data: st.DataObject,
) -> None:
    spec = data.draw(replicated)
    life = told_of(spec, data.draw(legal(spec)))
    if life.job.state is JobState.HELD:
        life.tell(GiveUp(Failure.LIMIT, "held too long", Limit.WAIT))
    for turn in itertools.count():
        if life.job.state.over:
            break
        assert turn < 200
        counted = life.attempts[life.job.spent :]
        live = [a for a in life.attempts if not a.state.over]
        stopped = unwanted(life.job, life.attempts, spec)
        if stopped:
            life.tell(Broke(stopped[0].number, Failure.ENGINE, "stopped"))
        elif judgeable(counted, spec.replication):
            numbers = [a.id.number for a in counted if a.verdict in (Verdict.PENDING, Verdict.INCONCLUSIVE)]
            said = ruling([data.draw(st.permutations(numbers))[: data.draw(st.integers(0, 3))]], numbers, 2)
            life.tell(*(Judge(n, verdict, best) for n, (verdict, best) in said.items()))
        elif life.job.wanted and (not live or data.draw(st.booleans())):
            life.start()
        elif live:
            _end(life, live[0], data.draw(st.sampled_from(["a", "b", ""])))
        else:
            pytest.fail(f"nothing is left to happen to {life.job}")
    assert all(a.state.over for a in life.attempts)
    assert not any(a.verdict is Verdict.PENDING for a in life.attempts[life.job.spent :])
    assert rebuild(life.log) == (life.job, life.attempts)
    assert bool(shortfall(life.job, life.attempts, spec)) is (life.job.state is not JobState.SUCCEEDED)


def _end(life: Life, attempt: Attempt, content: str) -> None:
    number = attempt.id.number
    if attempt.state is AttemptState.COLLECTING:
        life.tell(Collected(number))
    elif attempt.state in (AttemptState.OFFERED, AttemptState.CLAIMED) or not content:
        life.tell(Broke(number, Failure.PROGRAM, "no"))
    else:
        life.leaves(number, content)


# --- the rules, one by one


def test_two_replicas_with_the_same_files_decide_the_job_without_a_judge() -> None:
    life = Life(bitwise()).start(2).leaves(2, "a")
    assert (life.verdicts[1], life.job.state) == (Verdict.PENDING, JobState.RUNNING)
    life.leaves(1, "a")
    assert (life.job.state, life.job.canonical) == (JobState.SUCCEEDED, 1)
    assert life.verdicts == [Verdict.VALID, Verdict.VALID]


def test_two_that_differ_are_inconclusive_and_a_third_decides_which_of_them_was_right() -> None:
    life = Life(bitwise()).start(2).leaves(1, "a").leaves(2, "b")
    assert (life.verdicts, life.job.wanted) == ([Verdict.INCONCLUSIVE] * 2, 1)
    life.start().leaves(3, "b")
    assert life.verdicts == [Verdict.INVALID, Verdict.VALID, Verdict.VALID]
    assert life.job.canonical == 2


def test_of_a_job_that_names_no_outputs_the_logs_are_compared() -> None:
    spec = msgspec.structs.replace(bitwise(), outputs=())
    logs = [{"log": Artifact("log", Digest(c * 64), 1)} for c in "aab"]
    same, other = Life(spec).start(2), Life(spec).start(2)
    for life, two in ((same, 1), (other, 2)):
        for number, log in ((1, logs[0]), (2, logs[two])):
            life.tell(Exited(number, 1.0, Exit(0)), Collected(number, logs=log))
    assert (same.job.state, other.job.state) == (JobState.SUCCEEDED, JobState.QUEUED)


def test_a_quorum_of_one_takes_the_first_and_calls_the_next_too_late() -> None:
    life = Life(EITHER).start(2).tell(Exited(1, 1.0, Exit(0))).leaves(2, "a")
    assert life.job.state is JobState.STAGING_OUT
    life.tell(Collected(1))
    assert (life.job.canonical, life.verdicts) == (2, [Verdict.TOO_LATE, Verdict.NONE])


def test_a_replica_that_is_stopped_because_the_job_is_decided_was_not_needed_and_is_no_error() -> None:
    life = Life(bitwise(replicas=3, errors=0)).start(3).leaves(1, "a").leaves(2, "a")
    assert [a.number for a in unwanted(life.job, life.attempts, life.spec)] == [3]
    life.tell(Exited(3, life.now, Exit(143, 15)), Collected(3))
    assert (life.job.state, life.verdicts[2]) == (JobState.SUCCEEDED, Verdict.UNNEEDED)


@pytest.mark.parametrize(("content", "verdict"), [("a", Verdict.VALID), ("b", Verdict.INVALID)])
def test_one_that_ends_well_after_the_decision_is_compared_where_that_needs_no_judge(
    content: str, verdict: Verdict
) -> None:
    life = Life(bitwise(replicas=3)).start(3).leaves(2, "a").leaves(3, "a").leaves(1, content)
    assert (life.job.state, life.verdicts[0]) == (JobState.SUCCEEDED, verdict)


def test_replicas_that_were_never_started_are_not_asked_for_once_the_job_is_decided() -> None:
    life = Life(bitwise(replicas=3)).start(2).leaves(1, "a").leaves(2, "a")
    assert (life.job.state, life.job.wanted, len(life.attempts)) == (JobState.SUCCEEDED, 0, 2)


def test_failures_are_replaced_as_long_as_they_are_no_more_than_the_errors_allowed() -> None:
    life = Life(bitwise(errors=1, total=9)).start(2).fails(1, 5)
    assert (life.job.wanted, life.job.state) == (1, JobState.RUNNING)
    life.start().fails(3, 6)
    assert [a.number for a in unwanted(life.job, life.attempts, life.spec)] == [2], "it cannot help any more"
    life.fails(2, 143)
    assert (life.job.failure, life.job.message, life.job.exit_code) == (Failure.PROGRAM, "code 5", 5)
    assert shortfall(life.job, life.attempts, life.spec) == {Shortfall.ERRORS}


def test_more_successes_without_agreement_than_allowed_fail_the_job_as_undecided() -> None:
    life = Life(bitwise(successes=3, total=9)).start(2).leaves(1, "a").leaves(2, "b")
    life.start().leaves(3, "c").start().leaves(4, "d")
    assert (life.job.state, life.job.failure) == (JobState.FAILED, Failure.UNDECIDED)
    assert shortfall(life.job, life.attempts, life.spec) == {Shortfall.SUCCESSES}


def test_a_job_that_needs_another_attempt_and_may_have_none_fails() -> None:
    life = Life(bitwise(total=3)).start(2).leaves(1, "a").leaves(2, "b").start().fails(3)
    assert (life.job.failure, life.job.limit) == (Failure.UNDECIDED, Limit.ATTEMPTS)
    assert shortfall(life.job, life.attempts, life.spec) == {Shortfall.TOTAL}


def test_a_job_without_further_attempts_goes_on_while_those_that_run_can_decide_it() -> None:
    life = Life(bitwise(replicas=3, total=3)).start(3).fails(1).leaves(2, "a").leaves(3, "a")
    assert life.job.state is JobState.SUCCEEDED


def test_where_every_attempt_failed_the_job_has_the_word_of_the_one_that_failed_first() -> None:
    life = Life(bitwise(errors=5, total=3)).start(2).fails(2, 7).start().fails(3, 8).fails(1, 9)
    assert (life.job.failure, life.job.message, life.job.canonical) == (Failure.PROGRAM, "code 7", 2)


def test_the_best_of_a_quorum_is_canonical_and_a_later_word_changes_nothing() -> None:
    life = Life(PAIRED).start(2).leaves(1, "a").leaves(2, "b")
    step = advance(
        life.job,
        life.attempts,
        (Judge(1, Verdict.VALID), Judge(2, Verdict.VALID, best=True)),
        life.now,
        spec=PAIRED,
    )
    assert (step.job.state, step.job.canonical) == (JobState.SUCCEEDED, 2)
    later = advance(step.job, step.attempts, Judge(2, Verdict.INVALID), life.now, spec=PAIRED)
    assert later.facts == ()


def test_while_a_judge_is_awaited_nothing_more_is_started_and_giving_up_ends_it() -> None:
    spec = msgspec.structs.replace(PAIRED, replication=msgspec.structs.replace(PAIRED.replication, replicas=3))
    life = Life(spec).start(2).leaves(1, "a").leaves(2, "b")
    assert (life.job.state, life.job.wanted) == (JobState.STAGING_OUT, 0)
    life.tell(GiveUp(Failure.UNDECIDED, "the validator job x failed"))
    assert (life.job.state, life.job.failure, life.verdicts) == (
        JobState.FAILED,
        Failure.UNDECIDED,
        [Verdict.INCONCLUSIVE] * 2,
    )
    assert shortfall(life.job, life.attempts, spec) == {Shortfall.NO_CANONICAL}


def test_a_bitwise_job_hears_no_judge() -> None:
    life = Life(bitwise()).start(2).leaves(1, "a").leaves(2, "b")
    facts = len(life.log)
    life.tell(Judge(1, Verdict.VALID), Judge(2, Verdict.VALID))
    assert len(life.log) == facts


def test_why_a_plain_job_failed_is_told_in_the_same_words() -> None:
    once = msgspec.structs.replace(PLAIN, replication=Replication(errors=1, total=1))
    for spec, why in ((once, Shortfall.TOTAL), (PLAIN, Shortfall.ERRORS)):
        life = Life(spec).start().fails(1)
        assert shortfall(life.job, life.attempts, spec) == {why}
    unsent = Life(PLAIN).tell(GiveUp(Failure.LIMIT, "no room", Limit.WAIT))
    assert shortfall(unsent.job, unsent.attempts, PLAIN) == {Shortfall.UNSENT}
    stopped = Life(PLAIN).tell(Cancel())
    assert shortfall(stopped.job, stopped.attempts, PLAIN) == {Shortfall.CANCELLED}
    assert shortfall(Life(PLAIN).job, (), PLAIN) == frozenset()


@given(st.lists(st.lists(st.integers(1, 6), max_size=6), max_size=4), st.sets(st.integers(1, 5)), st.integers(2, 3))
def test_a_ruling_says_something_of_each_and_makes_a_quorum_valid_or_none(
    lines: list[list[int]], numbers: set[int], quorum: int
) -> None:
    said = ruling(lines, sorted(numbers), quorum)
    assert set(said) == numbers
    valid = [n for n, (verdict, _) in said.items() if verdict is Verdict.VALID]
    assert not valid or (len(valid) >= quorum and any(set(valid) <= set(line) for line in lines))
    assert sum(best for _, best in said.values()) == bool(valid)


# --- where the next one goes


def attempt_in(number: int, place: EnvironmentName, *, failed: bool = False) -> Attempt:
    return Attempt(
        id=AttemptId(BatchId(64), JobId(64), number),
        state=AttemptState.ENDED,
        environment=place,
        created=0.0,
        failure=Failure.PROGRAM if failed else None,
    )


siblings = st.lists(st.tuples(st.sampled_from(PLACES), st.booleans()), max_size=8).map(
    lambda items: tuple(attempt_in(n + 1, place, failed=failed) for n, (place, failed) in enumerate(items))
)


@given(siblings, st.sets(st.sampled_from(PLACES), min_size=1))
def test_some_place_that_is_up_may_always_take_the_next_replica_and_a_fresh_one_before_any_other(
    attempts: Attempts, able: set[EnvironmentName]
) -> None:
    rule = Replication(replicas=3)
    taking = {place for place in able if may_take(place, attempts, lambda: able, rule)}
    assert taking
    fresh = able - {a.environment for a in attempts}
    assert not fresh or taking == fresh


def test_with_one_place_every_replica_goes_there_and_a_plain_job_asks_nobody() -> None:
    (north, *_), rule = PLACES, Replication(replicas=3)
    here = (attempt_in(1, north), attempt_in(2, north))
    assert may_take(north, here, lambda: (north,), rule)
    assert may_take(north, here, lambda: pytest.fail("asked"), Replication())


def test_a_place_where_one_failed_is_taken_again_before_one_where_another_answered() -> None:
    north, south, _ = PLACES
    attempts = (attempt_in(1, north, failed=True), attempt_in(2, south))
    able = (north, south)
    assert may_take(north, attempts, lambda: able, Replication(replicas=2))
    assert not may_take(south, attempts, lambda: able, Replication(replicas=2))


def test_the_winner_of_a_job_that_names_no_best_is_the_first_that_is_valid() -> None:
    life = Life(bitwise()).start(2).leaves(2, "a").leaves(1, "a")
    chosen = winner(life.attempts, life.spec.replication)
    assert chosen is not None
    assert chosen.id.number == 1


def test_only_attempts_that_more_than_their_digests_decide_about_are_compared_by_somebody() -> None:
    tolerant = msgspec.structs.replace(BITWISE, replication=Replication(replicas=2, quorum=2, compare=Numeric()))
    for spec, several in ((BITWISE, False), (tolerant, True)):
        life = Life(spec)
        first = advance(life.job, life.attempts, Claim(PLACES[0], LEASE, None, straight=True), 1.0, spec=spec)
        second = advance(first.job, first.attempts, Claim(PLACES[1], LEASE, None, straight=True), 2.0, spec=spec)
        assert (first.compared, second.compared) == (False, several)
