"""The sentences that say why a job waits: with numbers, and with nobody's name who is not to be named."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from jobgate.model.allowance import Allowance, InUse
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.history import Kind
from jobgate.model.ids import AccountId, BatchId, EnvironmentName, JobId, SpecId
from jobgate.model.job import Job
from jobgate.model.queue import Reason, Room, less
from jobgate.model.resources import GIB, Gpu, Resources
from jobgate.model.sight import Down, Running, Sight
from jobgate.model.state import JobState
from jobgate.model.waits import Offer, Turn, Waits, clears, duration, explained, held, no_environment, not_before, told

NAME: Final = EnvironmentName("gpu-a")
ROOM: Final = Resources(cores=8.0, memory=16 * GIB, disk=100 * GIB, gpus=(Gpu(4),))
PLACE: Final = ComputeEnvironment(name=NAME, engine="local", room=ROOM, slots=4)
ME, VISION, LAB = AccountId(1), AccountId(2), AccountId(3)
NOW: Final = 1_760_000_000.0


def sight(running: int, each: Resources, *, down: Down | None = None) -> Sight:
    free = ROOM
    for _ in range(running):
        free = less(free, each)
    job = Running(Kind(NAME), LAB, each, NOW - 1.0)
    return Sight(room=Room(free, ROOM, max(4 - running, 0)), running=(job,) * running, down=down)


def turn(
    reason: Reason,
    asked: Resources = Resources(cores=1.0),  # noqa: B008  # it is frozen
    *,
    seen: Sight | None = None,
    ahead: dict[AccountId, int] | None = None,
    more: bool = False,
) -> Turn:
    return Turn(environment=PLACE, asked=asked, reason=reason, sight=seen, ahead=ahead or {}, more=more, kept=720.0)


def said(turn: Turn, names: dict[AccountId, str] | None = None) -> str:
    return told(turn, ME, names or {}, NOW)


@pytest.mark.parametrize(
    ("running", "each", "asked", "text"),
    [
        (4, Resources(cores=1.0), Resources(cores=1.0), "4 jobs hold its 4 slots, this one needs 1 core"),
        (3, Resources(gpus=(Gpu(1),)), Resources(gpus=(Gpu(2),)), "3 jobs hold 3 of its 4 GPUs, this one needs 2"),
        (1, Resources(cores=6.5), Resources(cores=2.5), "1 job holds 6.5 of its 8 cores, this one needs 2.5"),
        (
            *(2, Resources(memory=7 * GIB), Resources(memory=4 * GIB)),
            "2 jobs hold 14.0 GiB of its 16.0 GiB of memory, this one needs 4.0 GiB",
        ),
        (
            *(1, Resources(disk=90 * GIB), Resources(disk=20 * GIB)),
            "1 job holds 90.0 GiB of its 100.0 GiB of disk, this one needs 20.0 GiB",
        ),
    ],
)
def test_a_busy_environment_is_told_by_what_the_job_lacks(
    running: int, each: Resources, asked: Resources, text: str
) -> None:
    assert said(turn(Reason.BUSY, asked, seen=sight(running, each))) == f"gpu-a is busy: {text}"


@pytest.mark.parametrize(
    ("ahead", "names", "text"),
    [
        ({}, {}, "it is the next to start on gpu-a"),
        ({ME: 1}, {}, "1 job of its own account comes first on gpu-a"),
        ({VISION: 2}, {}, "2 jobs of other accounts come first on gpu-a"),
        ({VISION: 2, LAB: 1}, {}, "3 jobs of other accounts come first on gpu-a"),
        ({ME: 1_200, VISION: 2}, {}, "1,202 jobs come first on gpu-a: 1,200 of its own account, 2 of other accounts"),
        ({VISION: 3}, {VISION: "vision"}, "3 jobs of account vision come first on gpu-a"),
        (
            *({ME: 1, VISION: 3, LAB: 2}, {VISION: "vision", LAB: "lab"}),
            "6 jobs come first on gpu-a: 1 of its own account, 3 of account vision, 2 of account lab",
        ),
    ],
)
def test_who_comes_first_is_told_by_numbers_and_by_names_to_those_who_may_know_them(
    ahead: dict[AccountId, int], names: dict[AccountId, str], text: str
) -> None:
    waits = turn(Reason.TURN, ahead=ahead)
    assert said(waits, names) == text
    assert waits.place == sum(ahead.values()) + 1


def test_of_a_line_that_nobody_counted_to_its_end_there_is_no_place() -> None:
    waits = turn(Reason.TURN, ahead={ME: 2_500}, more=True)
    assert waits.place is None
    assert said(waits) == "more than 2,500 jobs of its own account come first on gpu-a"


@pytest.mark.parametrize(
    ("allowance", "cores", "text", "clearing"),
    [
        (Allowance(8, 0.0, InUse(8, 8.0)), 1.0, "lab holds 8 of its 8 running jobs", "a job of its account ends"),
        (Allowance(8, 8.0, InUse(8, 8.0)), 1.0, "lab holds 8 of its 8 running jobs", "a job of its account ends"),
        (
            *(Allowance(0, 16.0, InUse(3, 16.0)), 1.0),
            *("lab holds 16 of its 16 cores", "enough of what its account runs ends"),
        ),
        (
            *(Allowance(9, 16.0, InUse(3, 12.5)), 4.0),
            *("lab holds 12.5 of its 16 cores, this one needs 4", "enough of what its account runs ends"),
        ),
        (
            *(Allowance(0, 4.0), 6.0),
            "it needs 6 cores, and lab may have 4 at once",
            "the operator lets the account have more cores at once",
        ),
    ],
)
def test_a_quota_is_told_by_what_its_account_holds_of_it(
    allowance: Allowance, cores: float, text: str, clearing: str
) -> None:
    waits = replace(turn(Reason.QUOTA, Resources(cores=cores)), allowance=allowance)
    assert said(waits, {ME: "lab"}) == text
    assert clears(waits) == clearing
    assert "lab" not in said(waits)


def test_an_environment_that_is_down_is_told_with_its_cause_and_for_how_long() -> None:
    down = Down(NOW - 300.0, "the launcher does not answer")
    waits = turn(Reason.ENVIRONMENT_DOWN, seen=sight(0, ROOM, down=down), more=True)
    assert said(waits) == "gpu-a is down for 5 min: the launcher does not answer"
    assert said(turn(Reason.ENVIRONMENT_DOWN)) == "gpu-a is down: no node runs it"
    assert "back" in clears(waits)
    assert explained(waits, (), ME, {}, NOW).place is None


def test_room_that_is_kept_is_told_by_how_long_the_larger_job_has_waited() -> None:
    assert said(turn(Reason.ROOM_KEPT)) == "gpu-a keeps room for a larger job that has waited 12 min"


def test_every_reason_is_a_sentence_and_says_what_clears_it() -> None:
    job = Job(
        id=JobId(64), batch=BatchId(64), owner=ME, spec=SpecId(1), state=JobState.QUEUED, created=0.0, ready=NOW + 25
    )
    offer = Offer(
        name=NAME, fits=False, free=0, slots=4, blocks=Reason.NO_ENVIRONMENT, text="it has no GPUs, and 2 are asked for"
    )
    found: list[Waits] = [
        held(),
        not_before(job, NOW),
        no_environment((offer,), own=False),
        no_environment((), own=True),
        *(explained(turn(reason), (), ME, {}, NOW) for reason in (Reason.BUSY, Reason.TURN, Reason.ROOM_KEPT)),
    ]
    for waits in found:
        for text in (waits.text, waits.clears):
            assert text
            assert text[-1] not in ".!"
            assert "please" not in text
    assert not_before(job, NOW).text == "its next try is not before 2025-10-09 08:53:45 UTC, in 25 s"
    assert no_environment((offer,), own=False).text == (
        "no environment can run it: gpu-a: it has no GPUs, and 2 are asked for"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-1.0, "0 s"), (0.0, "0 s"), (0.25, "0.2 s"), (25.0, "25 s"), (90.0, "2 min"), (3_600.0, "60 min")),
        *((7_200.0, "2 h"), (86_400.0, "24 h"), (200_000.0, "2 d")),
    ],
)
def test_a_duration_is_told_in_its_own_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
