"""Saves events of many jobs in one commit: at once when nothing else goes on, lingering while other work is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jobgate.model.advance import Step
from jobgate.model.attempt import Lease
from jobgate.model.errors import Conflict, JobgateError, Unavailable
from jobgate.model.events import Event, Together
from jobgate.model.ids import JobId
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction

LINGER = 0.01
"""Seconds that ends wait for company while every slot has its next job already (hot path, section 5)."""
PATIENCE = 0.5
"""Seconds before a save that the database refused is tried again."""

Done = Callable[[Step | JobgateError], None]


class Saver:
    """Events on their way to the store, in order. Nothing is dropped: what cannot be saved now is saved later."""

    def __init__(self, store: Store, lease: Lease, clock: Callable[[], float], fenced: Callable[[], None]) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._fenced = fenced
        self._waiting: list[tuple[JobId, Event | Together, Done | None]] = []
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.lost = False

    def add(self, job: JobId, event: Event | Together, done: Done | None = None, *, linger: bool = False) -> None:
        """Saves `event` with the next commit; `done` hears what it came to, after the commit."""
        self._waiting.append((job, event, done))
        self._idle.clear()
        self._wake.set()
        if not linger:
            self._hurry.set()

    def hurry(self) -> None:
        """Does not wait for company any longer."""
        self._hurry.set()

    async def drain(self) -> None:
        """Returns when everything is saved."""
        self._hurry.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Until cancelled."""
        while not self.lost:
            await self._wake.wait()
            if not self._hurry.is_set():
                try:
                    async with asyncio.timeout(LINGER):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
            self._wake.clear()
            self._hurry.clear()
            items, self._waiting = self._waiting, []
            if items:
                await self._save(items)
            if not self._waiting:
                self._idle.set()

    async def _save(self, items: list[tuple[JobId, Event | Together, Done | None]]) -> None:
        pairs = [(job, event) for job, event, _ in items]

        def work(tx: Transaction) -> list[Step | JobgateError]:
            return list(tx.jobs.advance(pairs, self._clock(), self._lease))

        while True:
            try:
                results = await self._store.write(work, spare=True)  # what has ended is known, full disk or not
                break
            except Unavailable:
                await asyncio.sleep(PATIENCE)
            except Conflict:
                self.lost = True
                self._idle.set()
                self._fenced()
                return
        for (_, _, done), result in zip(items, results, strict=True):
            if done is not None:
                done(result)
