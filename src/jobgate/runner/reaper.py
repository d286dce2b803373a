"""Ends waits that were too long, and deletes what has been kept for its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from jobgate.model.events import GiveUp
from jobgate.model.history import Kind, Past
from jobgate.model.ids import EPOCH_MS, Digest, JobId
from jobgate.model.state import Failure, Limit
from jobgate.model.webhook import KEPT
from jobgate.runner.world import World
from jobgate.store.transaction import Transaction

Pasts = Sequence[tuple[Kind, Past]]
DAY: Final = 86_400.0
_AT_ONCE: Final = 500
"""Rows changed in one transaction: requests pass between two of them."""
_MOURNING: Final = 3_600.0
"""Seconds that a blob is kept after nobody needs it: a request may be storing it again just now."""


Chore = Callable[[float], Awaitable[None]]
"""Sweeps something of its own; is told what time it is."""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is over is kept, in seconds. ``[retention]`` of the configuration."""

    files: float = 30 * DAY
    """Outputs and logs, after their job's end."""
    records: float = 90 * DAY
    """Jobs and their events, after their end."""


class Reaper:
    """Wakes once in `pace` seconds, and when a job's wait is over. `chores` are what else is to be swept.

    While the disk is `full`, what nobody needs is deleted at once.
    """

    def __init__(
        self,
        world: World,
        retention: Retention,
        chores: Sequence[Chore] = (),
        *,
        pace: float = 30.0,
        full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._world = world
        self._retention = retention
        self._chores = chores
        self._pace = pace
        self._full = full
        self._searched = -DAY

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.sweep()
            later = await self._world.store.read(lambda tx: tx.due.next_overdue())
            pause = self._pace if later is None else min(max(later - self._world.clock(), 0.05), self._pace)
            await asyncio.sleep(pause)

    async def sweep(self) -> None:
        """All that is due now."""
        files = (self._expired_files, self._expired_records, self._vacant, self._uploads, self._unclaimed, self._bury)
        for duty in (self._overdue, self._deliveries, *files):
            while await duty():  # noqa: ASYNC110  # it works in pieces; nothing is waited for
                await asyncio.sleep(0)  # requests pass between two pieces
        for chore in self._chores:
            await chore(self._world.clock())
        standings, now = self._world.standings(self._world.clock()), self._world.clock()
        await self._world.write(lambda tx: tx.accounts.use(standings, now))
        await self.remember()

    async def remember(self) -> None:
        """Saves past runs, to estimate by after a restart."""
        pasts, gone = self._world.history.unsaved()
        now = self._world.clock()
        for start in range(0, max(len(pasts), len(gone)), _AT_ONCE):
            some, dropped = pasts[start : start + _AT_ONCE], gone[start : start + _AT_ONCE]

            def work(tx: Transaction, some: Pasts = some, dropped: Sequence[Kind] = dropped) -> None:
                tx.pasts.forget(dropped)
                tx.pasts.put(some, now)

            await self._world.write(work)
            await asyncio.sleep(0)  # requests pass between two pieces

    async def _overdue(self) -> bool:
        now = self._world.clock()

        def work(tx: Transaction) -> int:
            jobs = tx.due.overdue(now, _AT_ONCE)
            message = "no environment had room for it in the longest time it may wait"
            tx.jobs.advance([(job, GiveUp(Failure.LIMIT, message, Limit.WAIT)) for job in jobs], now)
            return len(jobs)

        return await self._some(work)

    async def _expired_files(self) -> bool:
        now = self._world.clock()

        def work(tx: Transaction) -> int:
            jobs = tx.due.with_files(now - self._retention.files, _AT_ONCE)
            for job in jobs:
                tx.blobs.let_go(job, now)
            return len(jobs)

        return await self._some(work)

    async def _expired_records(self) -> bool:
        now = self._world.clock()
        ended = now - self._retention.records
        before = JobId(max(int(ended * 1000) - EPOCH_MS, 0) << 22)

        def work(tx: Transaction) -> int:
            jobs = tx.due.expired(before, ended, _AT_ONCE)
            tx.log.expire(jobs)
            tx.jobs.delete(jobs, now)
            return max(len(jobs), tx.log.bury(before, ended, _AT_ONCE))

        return await self._some(work)

    async def _vacant(self) -> bool:
        """Batches that nobody came to fill, or that were cancelled before."""
        now = self._world.clock()

        def work(tx: Transaction) -> int:
            batches = tx.batches.vacant(now - self._retention.records, _AT_ONCE)
            for batch in batches:
                tx.jobs.forget(batch, now)
            return len(batches)

        return await self._some(work)

    async def _deliveries(self) -> bool:
        before = self._world.clock() - KEPT
        return await self._some(lambda tx: tx.outbox.expire(before, _AT_ONCE))

    async def _uploads(self) -> bool:
        now = self._world.clock()
        return await self._some(lambda tx: tx.folders.expire(now, _AT_ONCE))

    async def _unclaimed(self) -> bool:
        """Once a day: what was stored a day ago and nobody came to need is an orphan.

        So end uploads whose record could not be written, and whatever a killed server had not come to record.
        """
        now = self._world.clock()
        if now < self._searched + DAY:
            return False
        self._searched = now
        async for digests in self._world.storage.aged(now - DAY):
            for start in range(0, len(digests), _AT_ONCE):
                await self._forsake(digests[start : start + _AT_ONCE], now)
                await asyncio.sleep(0)  # requests pass between two pieces
        return False

    async def _forsake(self, digests: Sequence[Digest], now: float) -> None:
        lost = await self._world.store.read(lambda tx: tx.blobs.unclaimed(digests))
        if lost:
            await self._world.write(lambda tx: tx.blobs.forsake(lost, now), spare=True)

    async def _bury(self) -> bool:
        """Deletes blobs that nobody has needed for an hour. What a crash leaves of them is found a day later."""
        now = self._world.clock()
        since = now if self._full() else now - _MOURNING
        if not await self._world.store.read(lambda tx: tx.blobs.orphans(since, 1)):
            return False
        digests = await self._world.write(lambda tx: tx.blobs.bury(since, _AT_ONCE), spare=True)
        kept = await self._world.storage.delete(digests)
        if kept:
            await self._world.write(lambda tx: tx.blobs.forsake(kept, now), spare=True)
        return len(digests) == _AT_ONCE and not kept

    async def _some(self, work: Callable[[Transaction], int]) -> bool:
        """Whether there may be more."""
        return await self._world.write(work, spare=True) == _AT_ONCE
