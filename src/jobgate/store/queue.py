"""The queue as it stands: who has jobs in it, which are the first, and how many there are.

What is asked here is asked while a million jobs wait. So the first of a line are read, and of a long one the rest is
counted batch by batch: the jobs of one batch lie beside each other, and those that still wait are its last.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from jobgate.model.ids import STRIDE, AccountId, BatchId, EnvironmentName, JobId, SpecId
from jobgate.model.job import PRIORITIES, Batch
from jobgate.store.driver import Driver, Row

EXACT: Final = 2_000
"""Jobs of a line that are counted one by one."""
_LEAPS: Final = 500
"""Batches that are leaped over before a line counts as endless."""
_LOOKED: Final = 8
"""Jobs looked at for each that is wanted."""
_LEVELS: Final = 50
"""Priorities of one account that are searched for a batch's first job."""
_ABOVE_ALL: Final = PRIORITIES[1] + 1
_BELOW_ALL: Final = PRIORITIES[0] - 1


class Head(msgspec.Struct, frozen=True, gc=False):
    """A queued job, as far as the queue's order needs it."""

    job: JobId
    owner: AccountId
    priority: int
    created: float
    spec: SpecId


class Length(msgspec.Struct, frozen=True, gc=False):
    """How many jobs there are in a line, or in a part of it."""

    jobs: int
    more: bool = False
    """There are more: nobody counted to the end."""


class Queue:
    """Reads only. `place`: jobs that may run there only are in its queue, beside those that are bound to none."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver

    def owners(self, place: EnvironmentName) -> list[AccountId]:
        """Accounts that have jobs in it."""
        found: dict[AccountId, None] = {}
        for only in {"", place}:
            owner = -1
            while (row := self._db.one("job_owner_after", only, owner)) is not None:
                owner = row[0]
                found[AccountId(owner)] = None
        return list(found)

    def heads(
        self, place: EnvironmentName, owner: AccountId, now: float, limit: int, fits: Callable[[Head], bool]
    ) -> list[Head]:
        """An account's first jobs there that `fits` takes, of those whose time has come."""
        looked = limit * _LOOKED
        lines = [self._line(only, owner, now, looked) for only in {"", place}]
        return list(islice(filter(fits, heapq.merge(*lines, key=lambda head: (-head.priority, head.job))), limit))

    def _line(self, only: str, owner: AccountId, now: float, most: int) -> Iterator[Head]:
        size = min(most, 64)
        for offset in range(0, most, size):
            page = self._db.all("job_heads", only, owner, now, size, offset)
            yield from (Head(*columns) for columns in page)
            if len(page) < size:
                return

    def length(
        self, place: EnvironmentName, owner: AccountId, before: tuple[int, JobId] | None = None, exact: int = EXACT
    ) -> Length:
        """How many jobs an account has there; those before a priority and job only.

        More than `exact` are counted batch by batch, as if none within a batch had left the queue out of turn.
        """
        return self._length({"", place}, owner, before, exact)

    def waiting(self, places: Sequence[EnvironmentName], owner: AccountId, exact: int = EXACT) -> Length:
        """How many jobs an account has in the queues of all of these, each counted once."""
        return self._length({"", *places}, owner, None, exact)

    def oldest(self, place: EnvironmentName, owner: AccountId) -> JobId | None:
        """The one of an account's jobs there that was made first; of further priorities than a few, none is seen."""
        found: list[int] = []
        for only in {"", place}:
            level: Row | None = self._db.one("queue_lower", only, owner, _ABOVE_ALL)
            while level is not None and len(found) < _LEVELS:
                found.append(level[0])
                level = self._db.one("queue_lower", only, owner, level[1])
        return JobId(min(found)) if found else None

    def _length(self, lines: Iterable[str], owner: AccountId, before: tuple[int, JobId] | None, exact: int) -> Length:
        total, more = 0, False
        for only in lines:
            number = self._counted(only, owner, before, exact + 1)
            if number > exact:
                leaped = self._leaped(only, owner, before)
                number, more = max(leaped.jobs, number), more or leaped.more
            total += number
        return Length(total, more)

    def first(self, places: Sequence[EnvironmentName], batch: Batch) -> JobId | None:
        """The first in turn of a batch's jobs; of its jobs with further priorities than a few, none is seen."""
        last = batch.id + (batch.count - 1) * STRIDE
        for only in ("", *places):
            level: Row | None = self._db.one("queue_lower", only, batch.owner, _ABOVE_ALL)
            for _ in range(_LEVELS):
                if level is None:
                    break
                found = self._db.one("queue_next", only, batch.owner, level[1], batch.id - 1)
                if found is not None and found[0] <= last:
                    return JobId(found[0])
                level = self._db.one("queue_lower", only, batch.owner, level[1])
        return None

    def _counted(self, only: str, owner: AccountId, before: tuple[int, JobId] | None, most: int) -> int:
        priority, job = before if before is not None else (_BELOW_ALL, 0)
        number = len(self._db.all("queue_above", only, owner, priority, most))
        if before is not None and number < most:
            number += len(self._db.all("queue_before", only, owner, priority, job, most - number))
        return number

    def _leaped(self, only: str, owner: AccountId, before: tuple[int, JobId] | None) -> Length:
        total = 0
        end = (-before[0], before[1]) if before is not None else (-_BELOW_ALL, 0)
        at: Row | None = self._db.one("queue_lower", only, owner, _ABOVE_ALL)
        for _ in range(_LEAPS):
            if at is None:
                return Length(total)
            job, priority, batch = at
            if (-priority, job) >= end:
                return Length(total)
            last = self._last(BatchId(batch), JobId(job))
            stop = min(last, end[1] - STRIDE) if -priority == end[0] else last
            total += max((stop - job) // STRIDE + 1, 1)
            at = self._db.one("queue_next", only, owner, priority, last) or self._db.one(
                "queue_lower", only, owner, priority
            )
        return Length(total, more=True)

    def _last(self, batch: BatchId, job: JobId) -> JobId:
        """The last job of a batch."""
        row = self._db.one("batch_count", batch)
        return JobId(batch + (row[0] - 1) * STRIDE) if row is not None else job
