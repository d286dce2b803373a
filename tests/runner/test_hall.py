"""How much of an environment may be claimed, and how much handed over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobgate.engines.engine import Capabilities, Engine
from jobgate.files.workspace import Workspace
from jobgate.model.allowance import InUse
from jobgate.model.attempt import Attempt, AttemptId
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.history import Kind
from jobgate.model.ids import AccountId, BatchId, EnvironmentName, JobId
from jobgate.model.job import Argv, JobSpec, Step
from jobgate.model.resources import Resources
from jobgate.model.sight import Down
from jobgate.model.state import AttemptState
from jobgate.runner.hall import Hall, Live
from jobgate.runner.holdings import Holdings

HERE = EnvironmentName("here")
SPEC = JobSpec(steps=(Step(command=Argv(("true",))),))


def hall(*, holds: bool, slots: int = 2, mean: float = 0.001, held: Holdings | None = None) -> Hall:
    engine: Any = SimpleNamespace(capabilities=Capabilities(holds=holds))
    room = Resources(cores=4, memory=4000, disk=4000)
    made = Hall(ComputeEnvironment(name=HERE, engine="x", room=room, slots=slots), cast("Engine", engine), held)
    made.mean = mean
    return made


def live(number: int, cores: float = 1.0) -> Live:
    attempt = Attempt(
        id=AttemptId(BatchId(number), JobId(number), 1), state=AttemptState.STARTING, environment=HERE, created=0.0
    )
    asked = Resources(cores=cores, memory=100, disk=100)
    return Live(attempt, AccountId(1), SPEC, asked, Workspace(Path("/nowhere"), Path("/nowhere.log")))


def handed(place: Hall, *jobs: Live) -> int:
    """How many of them could be handed over, one after the other."""
    count = 0
    for job in jobs:
        place.take(job)
        if not place.fits_now(job):
            break
        place.enter(job)
        count += 1
    return count


def test_an_engine_that_does_not_hold_gets_one_for_each_slot() -> None:
    assert handed(hall(holds=False), *(live(n) for n in range(10))) == 2


def test_an_engine_that_holds_gets_more_when_jobs_are_short_and_none_when_they_are_long() -> None:
    assert handed(hall(holds=True), *(live(n) for n in range(10))) == 10
    assert handed(hall(holds=True, mean=60.0), *(live(n) for n in range(10))) == 2


def test_no_two_that_the_engine_has_share_a_slot() -> None:
    place, jobs = hall(holds=True), [live(n) for n in range(20)]
    handed(place, *jobs)
    slots = [job.slot for job in jobs if job.slot is not None]
    assert len(slots) == len(set(slots)) == 20


@pytest.mark.parametrize("large_first", [True, False])
def test_nothing_waits_at_the_engine_beside_one_that_not_every_slot_could_have(
    large_first: bool,
) -> None:  # a parameter of the test
    place = hall(holds=True)
    jobs = [live(1, 3.0), live(2), live(3)] if large_first else [live(1), live(2), live(3, 3.0)]
    assert handed(place, *jobs) == 2


def test_what_left_makes_room_for_the_next() -> None:
    place = hall(holds=False)
    first, second, third = live(1), live(2), live(3)
    assert handed(place, first, second, third) == 2
    place.forget(first)
    assert place.fits_now(third)


def test_more_is_claimed_only_when_it_is_worth_a_commit() -> None:
    place = hall(holds=True)
    ahead = place.ahead
    assert place.room().slots == 2 + ahead
    handed(place, *(live(n) for n in range(2 + ahead)))
    assert place.room().slots == 0
    assert place.busy
    for job in list(place.live.values())[: ahead // 2 - 1]:
        place.forget(job)
    assert place.room().slots == 0
    for job in list(place.live.values())[:2]:
        place.forget(job)
    assert place.room().slots >= ahead // 2


def test_what_was_ready_long_ago_and_is_not_known_to_have_begun_came_too_early() -> None:
    place, jobs = hall(holds=True), [live(n) for n in range(6)]
    handed(place, *jobs[:4])
    for job in jobs[4:]:
        place.take(job)
    running, waiting, young, ended, ready, stopped = jobs
    running.said_started = stopped.stopped = True
    for job in (running, waiting, ended, ready, stopped):
        job.began = 10.0
    young.began = 12.0
    place.leave(ended)
    assert place.early(11.0) == [waiting, ready]
    assert place.early(9.0) == []


@pytest.mark.parametrize("slots", [1, 2, 64])
def test_after_a_wrong_guess_nothing_is_claimed_ahead_until_short_jobs_have_ended_again(slots: int) -> None:
    place = hall(holds=True, slots=slots)
    assert place.ahead > 0
    place.misjudged(1.0)
    assert place.ahead == 0
    for _ in range(100):
        place.lasted(0.001)
    assert place.ahead > 0


# --- being looked at


def test_the_sight_shows_what_is_free_and_what_has_its_room_in_the_order_of_getting_it() -> None:
    place = hall(holds=True, slots=2)
    cast("Any", place.engine).trouble = ""
    first, second, third = live(1), live(2, 2.0), live(3)
    for job, began in ((second, 20.0), (first, 10.0)):
        place.take(job)
        place.enter(job)
        job.began = began
    place.take(third)
    seen = place.sight(30.0)
    assert seen.room.slots == 0
    assert (seen.room.free.cores, seen.room.free.memory, seen.room.total.cores) == (0.0, 3700, 4)
    assert [(one.asked.cores, one.since) for one in seen.running] == [(1.0, 10.0), (2.0, 20.0), (1.0, None)]
    assert {one.kind for one in seen.running} == {Kind(HERE, AccountId(1), "true")}
    assert seen.down is None
    place.leave(first)
    assert [one.asked.cores for one in place.sight(31.0).running] == [2.0, 1.0], "what is collected has no room"


def test_a_slot_is_free_as_long_as_fewer_jobs_are_claimed_than_there_are_slots() -> None:
    place, free = hall(holds=True, slots=2), []
    for job in (live(n) for n in range(3)):
        free.append(place.free)
        place.take(job)
    assert free == [True, True, False]
    place.forget(next(iter(place.live.values())))
    assert not place.free


def test_trouble_is_told_from_when_it_was_first_seen_until_it_is_over() -> None:
    place, engine = hall(holds=False), SimpleNamespace(trouble="")
    place.engine = cast("Engine", engine)
    assert place.trouble(1.0) is None
    engine.trouble = "the launcher does not answer"
    assert place.trouble(2.0) == Down(2.0, "the launcher does not answer")
    engine.trouble, place.refused = "", "nobody is there"
    assert place.trouble(3.0) == Down(2.0, "nobody is there")
    place.refused = ""
    place.unstaged[live(1).attempt.id] = "no space left"
    assert place.trouble(4.0) == Down(2.0, "no space left")
    place.unstaged.clear()
    assert place.trouble(5.0) is None
    place.refused = "again"
    assert place.trouble(6.0) == Down(6.0, "again")


def test_what_an_account_has_is_counted_over_all_halls_from_the_claim_to_the_end_of_the_command() -> None:
    held = Holdings()
    halls = [hall(holds=False, held=held) for _ in range(2)]
    jobs = [live(number) for number in range(3)]
    for place, job in zip((*halls, halls[0]), jobs, strict=True):
        place.take(job)
    assert held.of(AccountId(1)) == InUse(3, 3.0)
    halls[0].enter(jobs[0])
    halls[0].back(jobs[0])
    assert held.of(AccountId(1)).jobs == 3
    halls[0].enter(jobs[0])
    halls[0].leave(jobs[0])
    assert held.of(AccountId(1)).jobs == 2
    halls[0].forget(jobs[0])
    halls[0].forget(jobs[0])
    halls[1].forget(jobs[1])
    assert held.of(AccountId(1)).jobs == 1
    halls[0].forget(jobs[2])
    assert held.all() == {}
