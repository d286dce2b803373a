"""Small numbers: which job and attempt one means, and how ranges are drawn when there are no new ones left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.numbers import WIDTH, Counter, of_attempt, of_job, parts, width


@given(first=st.integers(1, 1 << 20), place=st.integers(0, 1 << 16), attempt=st.integers(0, 14))
def test_a_number_says_which_job_and_which_of_its_attempts(first: int, place: int, attempt: int) -> None:
    number = of_job(first, place) if attempt == 0 else of_attempt(of_job(first, place), attempt)
    assert parts(first, number) == (place, attempt)


@pytest.mark.parametrize("attempt", [15, 16, 400])
def test_all_attempts_from_the_fifteenth_on_share_one_number(attempt: int) -> None:
    assert of_attempt(of_job(1, 0), attempt) == of_attempt(of_job(1, 0), 15) < of_job(1, 1)


class _Taken:
    """The ranges that are taken."""

    def __init__(self) -> None:
        self.ranges: dict[int, int] = {}

    def last(self) -> int:
        return max((first + size for first, size in self.ranges.items()), default=1)

    def gaps(self, start: int, beyond: int) -> Iterator[tuple[int, int]]:
        at = start
        for first, size in sorted(self.ranges.items()):
            if first > at:
                yield at, first
            at = max(at, first + size)
        if beyond > at:
            yield at, beyond


@given(steps=st.lists(st.one_of(st.integers(1, 4), st.just(0), st.just(-1)), max_size=60), most=st.integers(0, 400))
def test_ranges_never_meet_and_one_is_found_as_long_as_there_is_room(steps: list[int], most: int) -> None:
    """A positive step makes a batch of so many jobs, 0 deletes the oldest, and -1 is a restart."""
    taken, counter = _Taken(), Counter(most)
    for step in steps:
        if step == -1:
            counter = Counter(most)
        elif step == 0:
            if taken.ranges:
                del taken.ranges[next(iter(taken.ranges))]
                counter.freed()
        else:
            room = any(end - begin >= width(step) for begin, end in taken.gaps(1, most + 1))
            first = counter.draw(step, taken.last, taken.gaps)
            assert bool(first) == room
            if first:
                assert first >= 1
                assert first + width(step) <= most + 1
                for other, size in taken.ranges.items():
                    assert first + width(step) <= other or other + size <= first
                taken.ranges[first] = width(step)


def test_after_the_last_number_comes_the_lowest_gap_that_is_large_enough() -> None:
    taken, counter = _Taken(), Counter(6 * WIDTH)
    for _ in range(6):
        first = counter.draw(1, taken.last, taken.gaps)
        taken.ranges[first] = WIDTH
    for place in (1, 3, 4):
        del taken.ranges[of_job(1, place)]
    assert counter.draw(2, taken.last, taken.gaps) == of_job(1, 3)
