"""How a batch's jobs stand, kept as they move: one row a batch, so that no count walks over a million jobs.

A transaction gathers what its moves come to for each batch and adds it in one statement when it ends, together with the
moves themselves. Here, with one writer, `tally_add` changes the batch's row. A database with many writers appends the
same sums as a row of their own, and `tally_of`, which adds up whatever rows there are, stays as it is (decision 0011).

A batch of one has no tally: its job says it all. An empty batch has none until it is filled.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.attempt import Attempt
from jobgate.model.facts import Fact, Moved
from jobgate.model.ids import BatchId
from jobgate.model.job import Batch, Job
from jobgate.model.state import JobState
from jobgate.model.tally import ENDS, BatchEnd, Tally
from jobgate.store import rows
from jobgate.store.driver import Driver, Shared
from jobgate.store.tables import STATE_NUMBERS, STATES

DELETED: Final = 1 << 32
"""What a deleted job adds to its batch's version: more than the facts that went with it."""
_KNOWN: Final = 65_536


class _Sum(msgspec.Struct):
    """What a transaction's moves come to for one batch."""

    counts: list[int]
    facts: int = 0
    ends: int = 0
    started: float | None = None
    ended: float | None = None


class Tallies:
    """The tallies, in one transaction."""

    def __init__(self, driver: Driver, shared: Shared) -> None:
        self._db = driver
        self._known = shared.tallied
        self._sums: dict[BatchId, _Sum] = {}
        self._lone: dict[BatchId, BatchEnd] = {}

    def born(self, batch: Batch, state: JobState) -> None:
        """All jobs of a new batch are in `state`."""
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[batch.id] = batch.count > 1
        if batch.count > 1:
            counts = [batch.count if number == STATE_NUMBERS[state] else 0 for number in STATES]
            self._db.run("tally_new", batch.id, *counts, batch.count, None, None)

    def moved(self, before: Job, after: Job) -> None:
        """A job went from the one to the other."""
        if not self._kept(after.batch):
            if after.state.over and not before.state.over:
                self._lone[after.batch] = _end_of(after.state)
            elif before.state.over and not after.state.over:
                self._lone.pop(after.batch, None)
            return
        known = self._sum(after.batch)
        known.counts[STATE_NUMBERS[before.state]] -= 1
        known.counts[STATE_NUMBERS[after.state]] += 1
        known.facts += after.version - before.version
        known.ends += after.state.over and not before.state.over
        if before.started is None and after.started is not None:
            known.started = after.started if known.started is None else min(known.started, after.started)
        if after.ended is not None and after.ended != before.ended:
            known.ended = after.ended if known.ended is None else max(known.ended, after.ended)

    def gone(self, batch: BatchId, state: int, version: int) -> None:
        """A job of that state and version is deleted."""
        if self._kept(batch):
            known = self._sum(batch)
            known.counts[state] -= 1
            known.facts -= version

    def fold(self) -> dict[BatchId, BatchEnd]:
        """Adds what was gathered; the batches of it that have no live job any more, and had one."""
        ended, self._lone = self._lone, {}
        for batch, one in self._sums.items():
            found = self._db.all(
                "tally_add", *one.counts, one.facts, one.started, one.started, one.ended, one.ended, batch
            )
            if one.ends and found and found[0][0] == 0:
                ended[batch] = BatchEnd(*found[0][1:])
        self._sums.clear()
        return ended

    def forget(self, batch: BatchId) -> None:
        """The batch is deleted."""
        if self._kept(batch):
            self._sums.pop(batch, None)
            self._db.run("tally_delete", batch)

    def of(self, batch: Batch) -> Tally:
        """How the batch's jobs stand; everything gathered must have been added."""
        if batch.vacant is not None:
            return Tally(counts={}, version=0, ended=batch.cancelled, vacant=batch.vacant)
        if batch.count == 1:
            row = self._db.one("job_get", batch.id)
            return Tally(counts={}, version=DELETED) if row is None else _of_one(*rows.job_of(row))
        *numbers, facts, started, ended = self._db.all("tally_of", batch.id)[0]
        counts = {STATES[state]: number for state, number in enumerate(numbers) if number}
        lost = batch.count - sum(counts.values())
        return Tally(counts=counts, version=(facts or 0) + lost * DELETED, started=started, ended=ended)

    def _kept(self, batch: BatchId) -> bool:
        known = self._known.get(batch)
        if known is None:
            known = self._known[batch] = self._db.one("tally_is", batch) is not None
        return known

    def _sum(self, batch: BatchId) -> _Sum:
        known = self._sums.get(batch)
        if known is None:
            known = self._sums[batch] = _Sum([0] * len(STATES))
        return known


def mark(facts: list[Fact], upto: int, end: BatchEnd) -> None:
    """Of the first `upto` facts the last that ended a job says that it ended its batch too."""
    place = upto - 1
    while not isinstance(moved := facts[place].data, Moved) or not moved.state.over:
        place -= 1
    facts[place] = replace(facts[place], data=replace(moved, batch_end=end))


def _of_one(job: Job, attempts: tuple[Attempt, ...]) -> Tally:
    del attempts
    return Tally(counts={job.state: 1}, version=job.version, started=job.started, ended=job.ended)


def _end_of(state: JobState) -> BatchEnd:
    return BatchEnd(*(int(state is end) for end in ENDS))
