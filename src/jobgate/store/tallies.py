"""How a batch's jobs stand, kept as they move: one row a batch, so that no count walks over a million jobs.

A transaction gathers what its moves come to for each batch and adds it in one statement when it ends, together with the
moves themselves. Here, with one writer, `tally_add` changes the batch's row. A database with many writers appends the
same sums as a row of their own, and `tally_of`, which adds up whatever rows there are, stays as it is (decision 0011).

A batch of one has no tally: its job says it all. An empty batch has none until it is filled.

The same row has the batch's ledger. What was granted stays in it when jobs are deleted, as long as the batch is there.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.attempt import Attempt
from jobgate.model.credit import Ledger, owed, worth
from jobgate.model.facts import Attempts, Fact, Moved
from jobgate.model.ids import BatchId
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.state import JobState
from jobgate.model.tally import ENDS, BatchEnd, Tally
from jobgate.store import rows
from jobgate.store.births import Born
from jobgate.store.driver import Driver, Shared
from jobgate.store.tables import LEDGER, STATE_NUMBERS, STATES
from jobgate.store.totals import Totals, gained

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
    canonical: float = 0.0
    total: float = 0.0
    cpu: float = 0.0
    operations: float = 0.0


class Tallies:
    """The tallies, in one transaction."""

    def __init__(self, driver: Driver, shared: Shared) -> None:
        self._db = driver
        self.totals = Totals(driver)
        self._known = shared.tallied
        self._sums: dict[BatchId, _Sum] = {}
        self._lone: dict[BatchId, BatchEnd] = {}

    def born(self, batch: Batch, state: JobState, born: Born) -> None:
        """All jobs of a new batch are in `state`."""
        if state is not JobState.HELD:
            self.totals.wait(born.wanted)
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[batch.id] = batch.count > 1
        if batch.count > 1:
            counts = [batch.count if number == STATE_NUMBERS[state] else 0 for number in STATES]
            worth = born.ledger
            self._db.run("tally_new", batch.id, *counts, batch.count, None, None, worth.estimate, worth.operations)

    def moved(self, before: Job, had: Attempts, after: Job, has: Attempts, spec: JobSpec) -> None:
        """A job went from the one to the other, and its attempts with it."""
        value = worth(spec)
        gain = gained(had, has, spec if value else None)
        was, over = before.state.over, after.state.over
        self.totals.moved(before, after, gain)
        if gain.good:
            self.totals.grant(after.owner, gain.good * value)
        if not self._kept(after.batch):
            if over and not was:
                self._lone[after.batch] = _end_of(after.state)
            elif was and not over:
                self._lone.pop(after.batch, None)
            return
        known = self._sum(after.batch)
        known.counts[STATE_NUMBERS[before.state]] -= 1
        known.counts[STATE_NUMBERS[after.state]] += 1
        known.facts += after.version - before.version
        known.ends += over and not was
        known.cpu += gain.cpu
        if over is not was:
            known.operations += owed(spec) * (was - over)
        if value:
            known.total += gain.good * value
            known.canonical += value * ((after.state is JobState.SUCCEEDED) - (before.state is JobState.SUCCEEDED))
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

    def gone_live(self, job: Job, attempts: Attempts, spec: JobSpec) -> None:
        """A job that was not over is deleted; `gone` is told, too."""
        self.totals.gone(job, attempts)
        if self._kept(job.batch):
            self._sum(job.batch).operations -= owed(spec)

    def fold(self) -> dict[BatchId, BatchEnd]:
        """Adds what was gathered; the batches of it that have no live job any more, and had one."""
        self.totals.fold()
        ended, self._lone = self._lone, {}
        for batch, one in self._sums.items():
            times = one.started, one.started, one.ended, one.ended
            worth = one.canonical, one.total, one.cpu, one.operations
            found = self._db.all("tally_add", *one.counts, one.facts, *times, *worth, batch)
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

    def ledger(self, batch: Batch) -> Ledger:
        """What the jobs of a batch of several are worth; everything gathered must have been added."""
        *sums, live = self._db.all("ledger_of", batch.id)[0]
        known = Ledger(**{name: value or 0.0 for name, value in zip(LEDGER, sums, strict=True)})
        return known if live else replace(known, operations=0.0)  # a sum of fractions need not come back to 0

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
