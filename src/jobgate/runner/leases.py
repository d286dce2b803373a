"""Ends leases, and lets go of what retired batches have left.

When a batch's lease ends it is retired. What is retired is cancelled, slice by slice, and each of its jobs lets its
files go as soon as it is over. Nothing polls: the duty sleeps until the next lease ends, and is woken by commits. How
far it has come is in the store, so it goes on after a kill where it was.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from jobgate.model.advance import Step
from jobgate.model.errors import NotFound
from jobgate.model.events import Cancel
from jobgate.model.facts import Attempts
from jobgate.model.ids import BatchId, JobId
from jobgate.model.job import Batch, Job
from jobgate.runner.world import World
from jobgate.store.transaction import Transaction

_AT_ONCE: Final = 100
"""Batches that are looked up together."""
_SLICE: Final = 500
"""Jobs of one transaction: requests pass between two of them."""
_LONGEST: Final = 60.0
"""Seconds until it looks again: the clock may have been set meanwhile."""
_ENDED: Final = "the lease of its batch ended"
_RETIRED: Final = "its batch was retired by its owner"


class Leases:
    """One node's duty."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._news = asyncio.Event()
        self._lingering: dict[BatchId, set[JobId]] = {}
        """Retired batches with jobs that are not over, and which of these have moved."""

    def heard(self, steps: list[Step], queued: int) -> None:
        """A commit; `Store.listen` takes this."""
        del queued
        for step in steps if self._lingering else ():
            moved = self._lingering.get(step.job.batch)
            if moved is not None and step.job.state.over:
                moved.add(step.job.id)
                self._news.set()

    def touched(self, batches: set[BatchId]) -> None:
        """Batches were changed; `Store.listen_batches` takes this."""
        del batches
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        self._lingering.clear()
        await self._world.write(lambda tx: tx.batches.stir(), spare=True)
        while True:
            self._news.clear()
            begun = self._world.clock()
            await self.sweep()
            later = await self._next(begun)
            try:
                async with asyncio.timeout(_LONGEST if later is None else min(later - self._world.clock(), _LONGEST)):
                    await self._news.wait()
            except TimeoutError:
                pass  # a lease has ended, or it is time to look

    async def sweep(self) -> None:
        """All that can be done now."""
        for batch, moved in list(self._lingering.items()):
            if moved:
                self._lingering[batch] = set()
                await self._moved(batch, moved)
        while due := await self._due():
            for ident in due:
                await self._end(ident)
                await asyncio.sleep(0)  # requests pass between two batches

    async def _next(self, begun: float) -> float | None:
        """When the next lease ends, or has ended since the sweep began: that looked no later for certain."""
        return await self._world.store.read(lambda tx: tx.batches.next_due(begun))

    async def _due(self) -> list[BatchId]:
        now = self._world.clock()
        return await self._world.store.read(lambda tx: tx.batches.due(now, _AT_ONCE))

    async def _end(self, ident: BatchId) -> None:
        """The batch is retired, and every job of it is over or asked to stop; then it is settled, or lingers."""
        self._lingering[ident] = set()
        batch, start, live = await self._world.write(lambda tx: self._begin(tx, ident), spare=True)
        while batch is not None and start < batch.count:
            await asyncio.sleep(0)  # requests pass between two slices
            live += await self._world.write(partial(self._slice, batch=batch, start=start), spare=True)
            start += _SLICE
        if batch is None or not live:
            del self._lingering[ident]
        if batch is not None and batch.count > _SLICE:
            await self._world.write(lambda tx: _rest(tx, ident, live, self._world.clock()), spare=True)

    def _begin(self, tx: Transaction, ident: BatchId) -> tuple[Batch | None, int, int]:
        """The first slice, and for a batch that has no more of them all: one commit is enough.

        None when it is gone, or was given another lease meanwhile.
        """
        now = self._world.clock()
        try:
            batch = tx.jobs.batch(ident)
        except NotFound:
            return None, 0, 0
        if batch.retired is None:
            if batch.expires is None or batch.expires > now:
                return None, 0, 0
            batch = tx.batches.retire(batch, now)
        live = self._slice(tx, batch, 0)
        if batch.count <= _SLICE:
            _rest(tx, ident, live, now)
        return batch, _SLICE, live

    def _slice(self, tx: Transaction, batch: Batch, start: int) -> int:
        """How many of these jobs are not over after they were asked to stop."""
        now, live = self._world.clock(), 0
        ended = batch.expires is not None and batch.retired is not None and batch.expires <= batch.retired
        for job, attempts in list(tx.jobs.members(batch, start, _SLICE)):
            if not job.state.over:
                (step,) = tx.jobs.advance([(job.id, Cancel(_ENDED if ended else _RETIRED))], now)
                if isinstance(step, Step):
                    job, attempts = step.job, step.attempts  # noqa: PLW2901  # as it is now
            if _settled(job, attempts):
                tx.blobs.let_go(job.id, now)
            else:
                live += 1
        return live

    async def _moved(self, ident: BatchId, jobs: set[JobId]) -> None:
        """Jobs of a lingering batch are over: their files go, and with the last of them so does the rest."""

        def work(tx: Transaction) -> bool:
            now = self._world.clock()
            for job, attempts in tx.jobs.get(jobs).values():
                if _settled(job, attempts):
                    tx.blobs.let_go(job.id, now)
            try:
                return tx.jobs.tally(tx.jobs.batch(ident)).live == 0
            except NotFound:
                return True

        if await self._world.write(work, spare=True):
            await self._end(ident)


def _settled(job: Job, attempts: Attempts) -> bool:
    """Nothing of it comes any more: a job can be over while an attempt that was not needed still runs."""
    return job.state.over and all(attempt.state.over for attempt in attempts)


def _rest(tx: Transaction, ident: BatchId, live: int, now: float) -> None:
    """Its inputs go with the last of its jobs."""
    if live:
        tx.batches.linger(ident)
        return
    tx.batches.settle(ident)
    tx.blobs.let_go(-ident, now)
