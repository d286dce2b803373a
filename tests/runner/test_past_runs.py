"""Past runs in memory: bounded, the newest counting most, saved by what changed."""

from __future__ import annotations

from msgspec.structs import replace

from jobgate.model.history import ENOUGH, FADES, Kind, Pace, Past
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import Argv, JobSpec, Step
from jobgate.model.resources import Resources
from jobgate.runner.history import NOTES, RUNS, History

HERE = EnvironmentName("here")
ME, OTHER = AccountId(1), AccountId(2)


def spec(word: str = "sleep") -> JobSpec:
    return JobSpec(steps=(Step(command=Argv((word,))),))


def test_a_run_counts_for_its_program_its_account_and_its_environment() -> None:
    history = History()
    for _ in range(ENOUGH):
        history.note(HERE, ME, spec(), 2.0, 0.1)
    for kind in (Kind(HERE, ME, "sleep"), Kind(HERE, ME, "other"), Kind(HERE, OTHER, "sleep"), Kind(HERE)):
        assert history.past(kind) == Past((2.0,) * ENOUGH, (0.1,) * ENOUGH)
    assert history.past(Kind(EnvironmentName("there"))) == Past()


def test_a_program_with_few_runs_is_known_by_those_of_a_wider_kind() -> None:
    history = History()
    for _ in range(ENOUGH):
        history.note(HERE, OTHER, spec("long"), 100.0, None)
    history.note(HERE, ME, spec("short"), 1.0, None)
    assert history.past(Kind(HERE, ME, "short")).ran == (*(100.0,) * ENOUGH, 1.0)
    for _ in range(ENOUGH - 1):
        history.note(HERE, ME, spec("short"), 1.0, None)
    assert history.past(Kind(HERE, ME, "short")).ran == (1.0,) * ENOUGH


def test_the_newest_runs_are_kept_and_a_start_that_waited_for_others_says_nothing_of_starts() -> None:
    history = History()
    for number in range(RUNS + 50):
        history.note(HERE, ME, spec(), float(number), None)
    assert history.past(Kind(HERE, ME, "sleep")) == Past(tuple(map(float, range(50, RUNS + 50))), ())


def test_a_flood_of_ends_between_two_questions_is_bounded() -> None:
    history = History()
    for number in range(3 * NOTES):
        history.note(HERE, ME, spec(str(number)), 1.0, None)
    changed, gone = history.unsaved()
    assert len(changed) == NOTES + 2
    assert gone == []


def test_kinds_that_did_not_run_for_long_are_forgotten_and_named_so_that_they_are_deleted() -> None:
    history = History(kinds=4)
    for word in ("a", "b", "c", "a", "d"):
        history.note(HERE, ME, spec(word), 1.0, None)
    changed, gone = history.unsaved()
    assert {kind.program for kind, _ in changed} == {"", "a", "d"}
    assert {kind.program for kind in gone} == {"b", "c"}


def test_only_what_changed_is_saved_and_what_was_saved_is_known_after_a_restart() -> None:
    history = History()
    history.note(HERE, ME, spec("a"), 1.0, 0.5)
    saved, _ = history.unsaved()
    assert history.unsaved() == ([], [])
    history.note(HERE, ME, spec("b"), 2.0, None)
    again, _ = history.unsaved()
    assert {kind.program for kind, _ in again} == {"", "b"}
    anew = History({**dict(saved), **dict(again)}.items())
    assert anew.past(Kind(HERE)) == Past((1.0, 2.0), (0.5,))
    assert anew.unsaved() == ([], [])


def sized(word: str, operations: float) -> JobSpec:
    return replace(spec(word), resources=Resources(operations=operations))


def test_a_slots_speed_is_what_good_runs_said_they_take_by_the_time_they_took() -> None:
    history = History()
    history.note(HERE, ME, spec(), 50.0, None, well=True)
    history.note(HERE, ME, sized("a", 1e12), 50.0, None)
    assert history.past(Kind(HERE)).pace == Pace()
    history.note(HERE, ME, sized("a", 3e10), 10.0, None, well=True)
    assert history.past(Kind(HERE)).pace.speed == 3e9
    history.note(HERE, ME, sized("a", 5e9), 5.0, None, well=True)
    assert history.past(Kind(HERE, ME, "a")).pace.speed == (3e10 * FADES + 5e9) / (10 * FADES + 5)
    assert history.past(Kind(HERE, OTHER, "b")).pace == history.past(Kind(HERE)).pace


def test_a_program_with_enough_sized_runs_has_a_speed_of_its_own_and_keeps_it_over_a_restart() -> None:
    history = History()
    for _ in range(3 * ENOUGH):
        history.note(HERE, OTHER, sized("slow", 1e9), 10.0, None, well=True)
    for number in range(ENOUGH):
        if number < ENOUGH - 1:
            assert history.past(Kind(HERE, ME, "fast")).pace.runs > ENOUGH
        history.note(HERE, ME, sized("fast", 1e11), 10.0, None, well=True)
    assert round(history.past(Kind(HERE, ME, "fast")).pace.speed) == 1e10
    anew = History(history.unsaved()[0])
    assert anew.past(Kind(HERE, ME, "fast")) == history.past(Kind(HERE, ME, "fast"))


def test_a_clock_that_went_back_makes_no_run_shorter_than_nothing() -> None:
    history = History()
    history.note(HERE, ME, spec(), -5.0, -1.0)
    assert history.past(Kind(HERE)) == Past((0.0,), (0.0,))
