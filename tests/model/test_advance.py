from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from told import HERE, LEASE, PAIRED, PERSISTENT, PLAIN, lives

from jobgate.model.advance import ON_ATTEMPT, advance, unwanted
from jobgate.model.attempt import Exit
from jobgate.model.errors import IllegalMove
from jobgate.model.events import (
    EVENTS,
    Broke,
    Cancel,
    Claim,
    Collected,
    Event,
    Exited,
    GiveBack,
    Hold,
    Judge,
    Release,
    Report,
    Requeue,
    Staged,
    Started,
    Vanished,
)
from jobgate.model.facts import Attempts, Fact, Moved, Submitted, born, rebuild
from jobgate.model.ids import AccountId, BatchId, JobId, SpecId
from jobgate.model.job import Job, JobSpec, Replication
from jobgate.model.state import ATTEMPT_MOVES, MOVES, AttemptState, Failure, JobState, Limit, Verdict


class Life:
    """A job, its attempts, its log and what it was told."""

    def __init__(self, spec: JobSpec = PLAIN, *, held: bool = False) -> None:
        self.spec = spec
        self.now = 100.0
        birth = Submitted(BatchId(64), AccountId(1), SpecId(1), wanted=spec.replication.replicas, held=held)
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

    def started(self, number: int = 1) -> Life:
        return self.tell(Claim(HERE, LEASE, straight=True), Started(number, self.now))

    def ended(self, number: int = 1, code: int = 0) -> Life:
        return self.tell(Exited(number, self.now, Exit(code)), Collected(number))


def walked(spec: JobSpec, told: list[Event]) -> Life:
    life = Life(spec)
    for event in told:
        before = (life.job, life.attempts, len(life.log))
        try:
            life.tell(event)
        except IllegalMove:
            assert (life.job, life.attempts, len(life.log)) == before
            continue
        job, attempts = before[:2]
        if life.job.state is not job.state:
            moves = [f.data.state for f in life.log[before[2] :] if isinstance(f.data, Moved)]
            states = [job.state, *moves]
            for old, new in itertools.pairwise(states):
                assert new in MOVES[old], f"{old} -> {new} by {event}"
        for old_attempt, new_attempt in zip(attempts, life.attempts, strict=False):
            if old_attempt.state is not new_attempt.state:
                assert new_attempt.state in ATTEMPT_MOVES[old_attempt.state]
        if job.state.over and not (job.state is JobState.FAILED and isinstance(event, Requeue)):
            assert (life.job.state, life.job.ended) == (job.state, job.ended)
        if job.state is JobState.CANCELLING:
            assert life.job.state in (JobState.CANCELLING, JobState.CANCELLED)
    return life


@given(lives)
def test_whatever_happens_only_drawn_moves_are_made_and_the_log_is_the_job(one: tuple[JobSpec, list[Event]]) -> None:
    spec, told = one
    life = walked(spec, told)
    assert [f.seq for f in life.log] == list(range(1, len(life.log) + 1))
    assert rebuild(life.log) == (life.job, life.attempts)
    assert life.job.wanted >= 0
    if life.job.state.over:
        assert life.job.wanted == 0
        assert all(a.state.over for a in life.attempts)


@given(lives)
def test_the_log_survives_the_wire(one: tuple[JobSpec, list[Event]]) -> None:
    spec, told = one
    life = walked(spec, told)
    wire = msgspec.msgpack.encode(life.log)
    assert msgspec.msgpack.decode(wire, type=list[Fact]) == life.log
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(life.job), type=Job) == life.job


@given(lives)
def test_every_job_can_be_brought_to_an_end(one: tuple[JobSpec, list[Event]]) -> None:
    spec, told = one
    life = walked(spec, told)
    life.tell(Cancel("enough"))
    for attempt in life.attempts:
        life.tell(Vanished(attempt.id.number) if not attempt.state.over else Cancel())
    assert life.job.state.over


@given(lives)
def test_every_job_ends_by_itself_when_every_attempt_does(one: tuple[JobSpec, list[Event]]) -> None:
    spec, told = one
    life = walked(spec, told)
    life.tell(Release())
    for _ in range(60):
        if life.job.state.over:
            return
        live = next((a for a in life.attempts if not a.state.over), None)
        pending = next((a for a in life.attempts if a.verdict is Verdict.PENDING), None)
        inconclusive = [a for a in life.attempts if a.verdict is Verdict.INCONCLUSIVE]
        if live is not None:
            life.tell(Broke(live.id.number, Failure.PROGRAM))
        elif pending is not None:
            life.tell(Judge(pending.id.number, Verdict.VALID))
        elif life.job.wanted:
            life.tell(Claim(HERE, LEASE))
        else:
            life.tell(Judge(inconclusive[0].id.number, Verdict.INVALID))
    pytest.fail(f"still {life.job}")


@given(lives)
def test_cancel_twice_is_cancel_once(one: tuple[JobSpec, list[Event]]) -> None:
    spec, told = one
    life = walked(spec, [*told, Cancel("once")])
    before = (life.job, life.attempts)
    life.tell(Cancel("twice"))
    assert (life.job, life.attempts) == before


def test_every_event_is_decided_in_every_state_of_an_attempt() -> None:
    about_attempts = {e for e in EVENTS if "number" in e.__struct_fields__ and e is not Claim}
    assert set(ON_ATTEMPT) == about_attempts
    for row in ON_ATTEMPT.values():
        assert set(row) == set(AttemptState)


def test_every_state_but_the_first_is_reached_by_some_arrow_and_only_ends_have_none() -> None:
    reached = set().union(*MOVES.values())
    assert reached | {JobState.HELD, JobState.QUEUED} == set(JobState)
    assert {s for s in JobState if not MOVES[s]} == {JobState.SUCCEEDED, JobState.CANCELLED}
    assert MOVES[JobState.FAILED] == {JobState.QUEUED}, "by its owner's word"


def test_a_job_whose_command_ends_well_succeeds_with_the_code_of_its_attempt() -> None:
    job = Life().started().ended().job
    assert (job.state, job.exit_code, job.canonical, job.progress) == (JobState.SUCCEEDED, 0, 1, 1.0)


def test_what_became_known_together_settles_the_job_once_and_comes_to_the_same() -> None:
    apart, together = Life().started().ended(code=3), Life().tell(Claim(HERE, LEASE, straight=True))
    known = (Started(1, 101.0), Exited(1, 103.0, Exit(3)), Collected(1))
    step = advance(together.job, together.attempts, known, 104.0, spec=PLAIN)
    assert (step.job.state, step.job.failure, step.job.exit_code) == (JobState.FAILED, Failure.PROGRAM, 3)
    assert step.job.state is apart.job.state
    assert [f.data.state for f in step.facts if isinstance(f.data, Moved)] == [JobState.FAILED]
    assert step.job.started == 101.0


def test_of_events_that_came_together_all_happen_or_none() -> None:
    life = Life().tell(Claim(HERE, LEASE, straight=True))
    with pytest.raises(IllegalMove):
        advance(life.job, life.attempts, (Started(1, 1.0), Collected(1)), 104.0, spec=PLAIN)


def test_another_code_than_zero_fails_as_the_program_and_is_not_tried_again() -> None:
    job = Life().started().ended(code=3).job
    assert (job.state, job.failure, job.exit_code, job.wanted) == (JobState.FAILED, Failure.PROGRAM, 3, 0)


def test_a_job_is_over_only_after_its_outputs_are_stored() -> None:
    life = Life().started().tell(Exited(1, 102.0, Exit(0)))
    assert life.job.state is JobState.STAGING_OUT
    assert life.tell(Collected(1)).job.state is JobState.SUCCEEDED


def test_outputs_that_cannot_be_stored_fail_a_job_that_ended_well() -> None:
    life = Life().started().tell(Exited(1, 102.0, Exit(0)), Collected(1, failure=Failure.OUTPUT, message="gone"))
    assert (life.job.state, life.job.failure, life.job.message) == (JobState.FAILED, Failure.OUTPUT, "gone")


def test_wall_time_over_is_a_limit_and_keeps_the_exit_of_the_kill() -> None:
    end = Exited(1, 103.0, Exit(143, 15), failure=Failure.LIMIT, limit=Limit.WALLTIME)
    job = Life().started().tell(end, Collected(1)).job
    assert (job.failure, job.limit, job.exit_code) == (Failure.LIMIT, Limit.WALLTIME, 143)


def test_a_cancelled_job_never_succeeds_even_when_its_command_ended_well_meanwhile() -> None:
    for life in (
        Life().started().tell(Cancel()).ended(),
        Life().started().tell(Exited(1, 102.0, Exit(0)), Cancel(), Collected(1)),
    ):
        assert life.job.state is JobState.CANCELLED


def test_cancel_before_any_start_is_at_once() -> None:
    assert Life().tell(Cancel("no more")).job.state is JobState.CANCELLED
    assert Life(held=True).tell(Cancel()).job.state is JobState.CANCELLED


def test_cancel_of_a_finished_job_changes_nothing() -> None:
    life = Life().started().ended()
    facts = len(life.log)
    assert life.tell(Cancel()).job.state is JobState.SUCCEEDED
    assert len(life.log) == facts


def test_an_engine_that_breaks_is_tried_again_three_times_without_being_asked() -> None:
    life = Life()
    for number in (1, 2, 3):
        assert life.job.state is JobState.QUEUED
        life.tell(Claim(HERE, LEASE), Broke(number, Failure.ENGINE, "refused"))
    assert (life.job.state, life.job.failure, len(life.attempts)) == (JobState.FAILED, Failure.ENGINE, 3)
    assert [a.tried for a in life.attempts] == [1, 2, 3]


def test_an_attempt_lost_after_its_start_is_not_tried_again_unless_the_policy_names_it() -> None:
    assert Life().started().tell(Vanished(1)).job.failure is Failure.LOST
    assert Life(PERSISTENT).started().tell(Vanished(1)).job.state is JobState.QUEUED


def test_an_attempt_lost_before_its_start_is_tried_again() -> None:
    life = Life().tell(Claim(HERE, LEASE, straight=True), Vanished(1))
    assert (life.job.state, life.job.wanted) == (JobState.QUEUED, 1)


def test_the_pause_before_a_further_try_doubles() -> None:
    life = Life(PERSISTENT)
    pauses = []
    for number in (1, 2):
        life.started(number).ended(number, code=1)
        pauses.append(life.job.ready - life.now)
    assert pauses == [10.0, 20.0]


def test_a_quorum_of_two_waits_for_the_validator_and_takes_the_first_valid() -> None:
    life = Life(PAIRED).started(1).started(2).ended(1).ended(2)
    assert life.job.state is JobState.STAGING_OUT
    life.tell(Judge(1, Verdict.VALID), Judge(2, Verdict.VALID))
    assert (life.job.state, life.job.canonical) == (JobState.SUCCEEDED, 1)


def test_replicas_that_disagree_want_one_more_until_the_total() -> None:
    life = Life(PAIRED).started(1).started(2).ended(1).ended(2)
    for number in (1, 2):
        life.tell(Judge(number, Verdict.INCONCLUSIVE))
    assert (life.job.state, life.job.wanted) == (JobState.QUEUED, 1)
    for number in (3, 4, 5):
        life.started(number).ended(number).tell(Judge(number, Verdict.INCONCLUSIVE))
    assert (life.job.state, life.job.failure) == (JobState.FAILED, Failure.UNDECIDED)


@pytest.mark.parametrize(
    "late", [Staged(1), Started(1, 1.0), Exited(1, 1.0), Collected(1), Vanished(1), Report(1, 0.5)]
)
def test_what_comes_after_the_end_of_an_attempt_changes_nothing(late: Event) -> None:
    life = Life().started().ended()
    facts = len(life.log)
    assert len(life.tell(late).log) == facts


@pytest.mark.parametrize("wrong", [Collected(1), Started(2, 1.0), Claim(HERE, LEASE), Judge(1, Verdict.VALID)])
def test_what_cannot_happen_is_refused_and_changes_nothing(wrong: Event) -> None:
    life = Life().started()
    before: Any = (life.job, life.attempts, list(life.log))
    with pytest.raises(IllegalMove):
        life.tell(wrong)
    assert (life.job, life.attempts, life.log) == before


def test_a_job_on_hold_starts_nothing_until_it_is_released() -> None:
    life = Life().tell(Hold())
    with pytest.raises(IllegalMove):
        life.tell(Claim(HERE, LEASE))
    assert life.tell(Release()).started().job.state is JobState.RUNNING


def test_hold_and_release_do_not_shorten_the_pause_before_a_further_try() -> None:
    life = Life(PERSISTENT).started().ended(code=1)
    pause = life.job.ready
    assert pause > life.now
    assert life.tell(Hold(), Release()).job.ready == pause


@given(lives)
def test_only_a_job_that_failed_is_queued_again_and_gets_one_more_start_at_least(
    one: tuple[JobSpec, list[Event]],
) -> None:
    spec, told = one
    life = walked(spec, told)
    before, made = life.job, len(life.attempts)
    life.tell(Requeue())
    if before.state is not JobState.FAILED:
        assert life.job == before
        return
    assert (life.job.state, life.job.wanted) == (JobState.QUEUED, spec.replication.replicas)
    assert (life.job.ended, life.job.failure, life.job.exit_code, life.job.ready) == (None, None, None, 0.0)
    life.tell(Claim(HERE, LEASE))
    assert len(life.attempts) == made + 1
    tries = [a for a in life.attempts[:-1] if a.replica == 1 and a.state is not AttemptState.RETURNED]
    assert life.attempts[-1].tried == 1 + len(tries)
    assert rebuild(life.log) == (life.job, life.attempts)


@given(lives, st.booleans())
def test_a_claim_that_is_given_back_leaves_the_job_as_it_was_before_it(
    one: tuple[JobSpec, list[Event]],
    straight: bool,  # the claim's own word
) -> None:
    spec, told = one
    life = walked(spec, told)
    before, made = life.job, len(life.attempts)
    assume(before.wanted and before.state is JobState.QUEUED)
    claim = Claim(HERE, LEASE, straight=straight)
    plain = advance(before, life.attempts, claim, life.now, spec=spec).attempts[-1]
    life.tell(claim, GiveBack(made + 1))
    job, given = life.job, life.attempts[-1]
    assert (job.state, job.wanted, job.ready, job.started) == (
        before.state,
        before.wanted,
        before.ready,
        before.started,
    )
    assert (given.state, given.started, given.failure) == (AttemptState.RETURNED, None, None)
    assert rebuild(life.log) == (life.job, life.attempts)
    life.tell(claim)
    assert (life.attempts[-1].replica, life.attempts[-1].tried) == (plain.replica, plain.tried)


def test_what_is_given_back_uses_up_no_try_however_often_that_happens() -> None:
    life = Life()
    for number in range(1, 8):
        life.tell(Claim(HERE, LEASE, straight=True), GiveBack(number))
    assert (life.job.state, life.job.wanted) == (JobState.QUEUED, 1)
    life.started(8)
    assert life.attempts[-1].tried == 1
    assert life.ended(8).job.state is JobState.SUCCEEDED


def test_a_job_that_is_cancelled_while_it_is_given_back_is_cancelled() -> None:
    life = Life().tell(Claim(HERE, LEASE, straight=True), Cancel("no more"), GiveBack(1))
    assert (life.job.state, life.job.wanted) == (JobState.CANCELLED, 0)


def test_what_has_started_cannot_be_given_back() -> None:
    life = Life().started()
    with pytest.raises(IllegalMove):
        life.tell(GiveBack(1))


def test_each_retry_of_a_failed_job_is_one_attempt_though_its_spec_allows_one_try() -> None:
    life = Life().started().ended(code=3)
    for number in (2, 3, 4):
        life.tell(Requeue()).started(number).ended(number, code=number)
        assert (life.job.state, life.job.exit_code, len(life.attempts)) == (JobState.FAILED, number, number)
    life.tell(Requeue()).started(5).ended(5)
    assert (life.job.state, life.job.canonical, life.job.exit_code) == (JobState.SUCCEEDED, 5, 0)


def test_what_the_policy_tries_again_it_tries_again_after_a_retry_with_its_pauses_from_the_first() -> None:
    life = Life(PERSISTENT)
    for number in (1, 2, 3):
        life.started(number).ended(number, code=1)
    assert life.job.state is JobState.FAILED
    pauses = []
    life.tell(Requeue())
    for number in (4, 5):
        life.started(number).ended(number, code=1)
        pauses.append(life.job.ready - life.now)
    assert (life.job.state, pauses) == (JobState.QUEUED, [10.0, 20.0])
    assert life.started(6).ended(6, code=1).job.state is JobState.FAILED
    assert [a.tried for a in life.attempts] == [1, 2, 3, 4, 5, 6]


def test_an_engine_that_breaks_after_a_retry_has_its_faults_counted_anew() -> None:
    life = Life().started().ended(code=1).tell(Requeue(), Claim(HERE, LEASE), Broke(2, Failure.ENGINE, "refused"))
    assert (life.job.state, life.job.wanted) == (JobState.QUEUED, 1)


def test_replicas_from_before_a_retry_agree_with_none_after_it() -> None:
    life = Life(PAIRED).started(1).started(2).ended(1).ended(2).tell(Judge(1, Verdict.VALID))
    for number in (3, 4, 5):
        life.tell(Judge(number - 1, Verdict.INVALID)).started(number).ended(number)
    life.tell(Judge(5, Verdict.INVALID))
    assert (life.job.state, life.attempts[0].verdict) == (JobState.FAILED, Verdict.VALID)
    life.tell(Requeue()).started(6).started(7).ended(6).ended(7).tell(Judge(6, Verdict.VALID))
    assert life.job.state is JobState.STAGING_OUT
    assert life.tell(Judge(7, Verdict.VALID)).job.canonical == 6


def test_a_log_with_a_gap_is_refused() -> None:
    life = Life().started().ended()
    with pytest.raises(IllegalMove):
        rebuild(life.log[:2] + life.log[3:])
    with pytest.raises(IllegalMove):
        rebuild([])


def test_the_engine_is_asked_to_stop_what_a_cancelled_or_decided_job_still_runs() -> None:
    life = Life().started()
    assert unwanted(life.job, life.attempts, life.spec) == ()
    life.tell(Cancel())
    assert unwanted(life.job, life.attempts, life.spec) == (life.attempts[0].id,)
    assert unwanted(life.ended().job, life.attempts, life.spec) == ()


def test_a_quorum_met_while_another_replica_runs_makes_that_one_unwanted() -> None:
    three = msgspec.structs.replace(PAIRED, replication=Replication(replicas=3, quorum=2, total=5))
    life = Life(three).started(1).started(2).started(3).ended(1).ended(2)
    life.tell(Judge(1, Verdict.VALID), Judge(2, Verdict.VALID))
    assert [a.number for a in unwanted(life.job, life.attempts, three)] == [3]
    assert life.tell(Exited(3, 200.0, Exit(143, 15)), Collected(3)).job.state is JobState.SUCCEEDED
