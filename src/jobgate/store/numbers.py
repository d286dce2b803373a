"""Small numbers: drawn from a counter in memory by the only writer, and found again by two indexes.

What a transaction has drawn that then failed is lost until all others are used up and gaps are looked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from jobgate.model.ids import STRIDE, JobId, JobName
from jobgate.model.job import Batch
from jobgate.model.numbers import MOST, WIDTH, Counter, parts, width
from jobgate.store import rows
from jobgate.store.driver import Driver

_PIECE: Final = 1000


def _taken(db: Driver) -> int:
    """What follows the last range that is taken."""
    ends = [1]
    for number, first, count in db.all("number_last"):
        ends.append(number + (width(count) if number == first else WIDTH))
    ends += [first + width(count) for first, count in db.all("first_last")]
    return max(ends)


def _gaps(db: Driver, start: int, beyond: int) -> Iterator[tuple[int, int]]:
    """What lies between the ranges that are taken, from `start` on."""
    at = start
    for begin, end in heapq.merge(_ranges(db, start), _late_ranges(db, start)):
        if begin > at:
            yield at, begin
        at = max(at, end)
    if beyond > at:
        yield at, beyond


def _ranges(db: Driver, start: int) -> Iterator[tuple[int, int]]:
    last = start - 1
    while piece := db.all("number_after", last, _PIECE):
        for number, first, count in piece:
            yield number, number + (width(count) if number == first else WIDTH)
        last = piece[-1][0]


def _late_ranges(db: Driver, start: int) -> Iterator[tuple[int, int]]:
    """Those of jobs that filled a batch."""
    last = start - 1
    while piece := db.all("first_after", last, _PIECE):
        yield from ((first, first + width(count)) for first, count in piece)
        last = piece[-1][0]


class Numbers:
    """Small numbers, in one transaction."""

    def __init__(self, driver: Driver, counter: Counter) -> None:
        self._db = driver
        self._counter = counter

    def draw(self, count: int) -> int:
        """The first of the numbers for so many jobs, 0 when there are none left; saved before there is another draw."""
        return self._counter.draw(count, lambda: _taken(self._db), lambda start, end: _gaps(self._db, start, end))

    def batch(self, number: int) -> Batch | None:
        """The batch that is called so."""
        found = self._before("number_upto", number)
        return found if found is not None and found.number == number else None

    def job(self, number: int) -> tuple[JobName, int] | None:
        """The job that may be called so, and which of its attempts is meant; 0: none. Both may be gone, or not be."""
        for asked in ("number_upto", "first_upto"):
            batch = self._before(asked, number)
            if batch is None or not batch.first or batch.first > number:
                continue
            place, attempt = parts(batch.first, number)
            if place < batch.count:
                return JobName(batch.id, JobId(batch.id + place * STRIDE)), attempt
        return None

    def _before(self, asked: str, number: int) -> Batch | None:
        if not 0 < number <= MOST:
            return None
        row = self._db.one(asked, number)
        return None if row is None else rows.batch_of(*row)
