"""What happens to batches themselves, beside their jobs: leases, retirement, and those that are empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from jobgate.model.ids import AccountId, BatchId, bound
from jobgate.model.job import Batch
from jobgate.store import rows
from jobgate.store.driver import Driver

_SLACK: Final = 60.0
"""Seconds that ids may run ahead of the clock."""
_FAR: Final = 1e15
"""No clock comes there."""


class Batches:
    """Batches, in one transaction. `touched` is told of each that changes."""

    def __init__(self, driver: Driver, touched: Callable[[BatchId], None]) -> None:
        self._db = driver
        self._touched = touched

    # --- looking

    def called(self, owner: AccountId, name: str) -> Batch | None:
        """The account's newest batch of that name that is not retired, or else the newest."""
        row = self._db.one("batch_named", owner, name) or self._db.one("batch_named_any", owner, name)
        return None if row is None else rows.batch_of(*row)

    def due(self, now: float, limit: int) -> list[BatchId]:
        """Batches whose lease has ended, and those that are being retired; the longest first."""
        return [BatchId(row[0]) for row in self._db.all("batch_wakes", now, limit)]

    def next_due(self, now: float) -> float | None:
        """When the next lease ends, of those that have not."""
        row = self._db.one("batch_next_wake", now)
        return None if row is None else row[0]

    def vacant(self, before: float, limit: int) -> list[Batch]:
        """Empty batches that nobody had to do with since then, and holds by a lease that ends later."""
        found: list[Batch] = []
        last, end = 0, bound(before + _SLACK)
        while len(found) < limit and (piece := self._db.all("batch_empty", last, end, limit)):
            some = [rows.batch_of(*row) for row in piece]
            last = some[-1].id
            found += [batch for batch in some if _held(batch) < before]
        return found[:limit]

    # --- changing

    def cancel(self, batch: Batch, now: float) -> Batch:
        """It was cancelled as a whole: an empty one for good, of another its jobs tell. Itself if it was."""
        if batch.cancelled is not None:
            return batch
        cancelled = replace(batch, cancelled=now)
        if batch.vacant is not None:
            return self._put(cancelled)
        save(self._db, cancelled)
        return cancelled

    def renew(self, batch: Batch, expires: float | None) -> Batch:
        """Its lease ends then, or never."""
        return batch if batch.expires == expires else self._put(replace(batch, expires=expires))

    def retire(self, batch: Batch, now: float) -> Batch:
        """It is retired from now on and needs no staged file; due until `settle` says that nothing is left to do."""
        if batch.retired is not None:
            return batch
        cancelled = now if batch.vacant is not None and batch.cancelled is None else batch.cancelled
        self._db.run("needed_delete", batch.id)
        return self._put(replace(batch, retired=now, cancelled=cancelled))

    def settle(self, batch: BatchId) -> None:
        """Nobody has to look at it any more."""
        self._db.run("batch_linger", None, batch)

    def linger(self, batch: BatchId) -> None:
        """Nothing can be done about it until one of its jobs has moved: it is not due any more, until `stir`."""
        self._db.run("batch_linger", _FAR, batch)

    def stir(self) -> None:
        """All that linger are due again: nobody knows what has moved meanwhile."""
        self._db.run("batch_stir", _FAR)

    def _put(self, batch: Batch) -> Batch:
        changed = replace(batch, renamed=batch.renamed + 1)
        save(self._db, changed)
        self._touched(batch.id)
        return changed


def _held(batch: Batch) -> float:
    """Until when somebody had to do with it."""
    return max(batch.created, batch.cancelled or 0.0, batch.expires or 0.0)


def wakes(batch: Batch) -> float | None:
    """When somebody has to look at it."""
    return batch.expires if batch.retired is None else batch.retired


def save(db: Driver, batch: Batch) -> None:
    """Writes all of a batch that can change, but its name and its owner."""
    about = (batch.app, batch.count, batch.expires, rows.encode(batch), batch.first, batch.filled, batch.retired)
    db.run("batch_set", *about, wakes(batch), batch.id)
