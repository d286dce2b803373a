"""The bar and its displays: pure pictures of counts, and quiet where nobody looks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.client import display
from jobgate.client.progress import GLYPHS, PLAIN, Tally, bar, cells, line, numbers, span

FIT = Tally(counts={"succeeded": 605, "failed": 7, "running": 32, "queued": 356}, count=1000, name="fit")
STATES = ("held", "queued", "staging_in", "running", "staging_out", "cancelling", "succeeded", "failed", "cancelled")
counted = st.dictionaries(st.sampled_from(STATES), st.integers(0, 10**6))


@given(counts=counted, width=st.integers(0, 120))
def test_a_bar_is_as_wide_as_asked_and_shows_each_failure_and_no_state_that_is_empty(
    counts: dict[str, int], width: int
) -> None:
    count = sum(counts.values())
    picture = bar(counts, count, width)
    assert len(picture) == width
    assert picture == bar(counts, count, width, ascii=True).translate(str.maketrans("".join(PLAIN), "".join(GLYPHS)))
    assert re.fullmatch("█*▚*▒*░*", picture)
    if counts.get("failed") and width:
        assert "▚" in picture
    if not counts.get("failed"):
        assert "▚" not in picture
    if count and counts.get("succeeded") == count and width:
        assert picture == "█" * width


@given(counts=counted, width=st.integers(4, 120))
def test_with_room_for_all_what_is_there_has_a_cell(counts: dict[str, int], width: int) -> None:
    count = sum(counts.values())
    running = sum(counts.get(state, 0) for state in ("staging_in", "running", "staging_out", "cancelling"))
    done, failed = counts.get("succeeded", 0), counts.get("failed", 0)
    parts = (done, failed, running, count - done - failed - running)
    assert all(bool(part) == bool(cell) for part, cell in zip(parts, cells(counts, count, width), strict=True) if count)


def test_a_line_says_name_bar_numbers_rate_and_what_is_left() -> None:
    said = line(FIT, 32, 61)
    assert said == "fit  " + bar(FIT.counts, 1000, 32) + "  612/1,000   ✗ 7   ● 32   · 356  61/s  about 6 s left"
    assert numbers(FIT.counts, 1000, ascii=True) == "612/1,000   x 7   = 32   . 356"
    assert numbers({}, 0) == "0/0"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (6, "6 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_duration_has_two_parts_at_most(seconds: float, said: str) -> None:
    assert span(seconds) == said


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tallies(count: int) -> Iterator[Tally]:
    for over in range(count + 1):
        failed = {"failed": 1} if over > 50 else {}
        yield Tally(counts={"succeeded": over - len(failed), "queued": count - over, **failed}, count=count, name="fit")


def test_off_a_terminal_lines_come_at_the_start_each_tenth_the_first_failure_and_after_a_while() -> None:
    told: list[str] = []
    clock = Clock()
    shown = display.AsLines(told.append, clock)
    for tally in tallies(1000):
        shown.show(tally)
    assert len(told) == 12
    assert "0/1,000" in told[0]
    assert "✗ 1" in told[1]
    assert "1,000/1,000" in told[-1]
    shown.show(tally)
    assert len(told) == 12
    clock.now = 31
    shown.show(tally)
    assert len(told) == 13


def test_on_a_terminal_one_line_is_redrawn_at_most_four_times_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    clock = Clock()
    shown = display.OnTerminal(clock)
    for tally in tallies(1000):
        clock.now += 0.01
        shown.show(tally)
    shown.end()
    picture = capsys.readouterr().err
    assert picture.count("fit") <= 45
    assert "1,000/1,000" in picture


def test_in_a_notebook_one_output_is_updated_and_names_of_strangers_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    class Handle:
        def update(self, picture: str) -> None:
            drawn.append(picture)

    def displayed(picture: str, display_id: bool) -> Handle:
        drawn.append("first: " + picture)
        return Handle()

    module = ModuleType("IPython.display")
    vars(module).update(HTML=str, display=displayed)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    clock = Clock()
    shown = display.InNotebook(clock)
    for tally in tallies(100):
        clock.now += 0.1
        shown.show(Tally(counts=tally.counts, count=100, name="<script>"))
    shown.end()
    assert sum(picture.startswith("first: ") for picture in drawn) == 1
    assert all("<script>" not in picture and "&lt;script&gt;" in picture for picture in drawn)


def test_a_bar_of_a_million_jobs_costs_no_more_than_one_of_ten() -> None:
    assert len(bar({"succeeded": 999_999, "failed": 1}, 1_000_000)) == 40
    assert bar({"succeeded": 999_999, "failed": 1}, 1_000_000)[-1] == "▚"
