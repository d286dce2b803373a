"""Small numbers: what batches, jobs and attempts are called where an integer has 32 bits [BOINC, section 2.4].

Every batch has a range of them: its own number, and for each of its jobs `WIDTH`: the job's, and one for each of its
attempts. A batch that was made with its jobs is called what its first job is called; one that was made empty has a
number of its own. A number is free again when its batch is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

MOST: Final = (1 << 31) - 1
"""The greatest there is."""
WIDTH: Final = 16
"""Numbers that each job has."""


def of_job(first: int, place: int) -> int:
    """The number of the job at a place, from 0; `first` is that of its batch's first job."""
    return first + place * WIDTH


def of_attempt(job: int, attempt: int) -> int:
    """The number of an attempt, from 1; all from the fifteenth on share one."""
    return job + min(attempt, WIDTH - 1)


def parts(first: int, number: int) -> tuple[int, int]:
    """The place of the job, and which of its attempts; 0: the job itself."""
    return divmod(number - first, WIDTH)


def width(count: int) -> int:
    """How many numbers a batch of so many jobs has."""
    return max(count, 1) * WIDTH


class Counter:
    """Draws ranges of numbers; one object per gateway, owned by its only writer. What it knows is in memory alone.

    When it has come to the end it goes on in the lowest gap that is large enough; when that is full, in the next one
    above it.
    """

    def __init__(self, most: int = MOST) -> None:
        self._beyond = most + 1
        self._next = 0
        """0: nobody has looked yet."""
        self._end = self._beyond
        self._barren = self._beyond + 1
        """No gap has so many, until a batch is deleted."""

    def draw(self, count: int, last: Callable[[], int], gaps: Callable[[int, int], Iterable[tuple[int, int]]]) -> int:
        """The first number of a range for so many jobs; 0 when there is no room for them.

        `last` tells what follows the last range that is taken, and `gaps` what lies between those that are, from a
        number on and below another. What was drawn is to be among them before there is another draw.
        """
        size = width(count)
        if not self._next:
            self._next = last()
        if self._next + size > self._end and not self._move(size, gaps):
            return 0
        first = self._next
        self._next += size
        return first

    def freed(self) -> None:
        """A batch was deleted."""
        self._barren = self._beyond + 1

    def _move(self, size: int, gaps: Callable[[int, int], Iterable[tuple[int, int]]]) -> bool:
        """To the next gap above for so many, or else to the lowest; whether there is one."""
        if size >= self._barren:
            return False
        for start in (self._end, 1):
            for begin, end in gaps(start, self._beyond):
                if end - begin >= size:
                    self._next, self._end = begin, end
                    return True
        self._barren = size
        return False
