"""Who waits for which job: woken by commits, never polling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from jobgate.model.advance import Step
from jobgate.model.ids import BatchId, JobId
from jobgate.model.state import JobState
from jobgate.store.ring import Ring
from jobgate.store.store import Store

_HANDED_OVER = (JobState.RUNNING, JobState.STAGING_OUT)


class _Waiter:
    """One who waits for the jobs of a batch. `left` may be too small for a moment, and is then counted again."""

    __slots__ = ("future", "handed_over", "left")

    def __init__(self, future: asyncio.Future[None], *, handed_over: bool) -> None:
        self.future = future
        self.handed_over = handed_over
        self.left = 0

    def heard(self, step: Step) -> None:
        state = step.job.state
        if state.over or (self.handed_over and state in _HANDED_OVER):
            self.left -= 1
            if self.left <= 0 and not self.future.done():
                self.future.set_result(None)


class _Watch:
    """One who waits for any move of a batch, or of one job of it."""

    __slots__ = ("future", "job")

    def __init__(self, future: asyncio.Future[None], job: JobId | None) -> None:
        self.future = future
        self.job = job

    def heard(self, step: Step) -> None:
        if (self.job is None or step.job.id == self.job) and not self.future.done():
            self.future.set_result(None)


class Feed:
    """Hears every commit of a store and wakes those who wait for what is in it."""

    def __init__(self) -> None:
        self._waiters: dict[BatchId, list[_Waiter | _Watch]] = {}
        self._ring: Ring | None = None
        self._news: dict[JobId, set[asyncio.Event]] = {}
        self.closed = False
        """The server is stopping: nobody waits any more."""

    def __call__(self, steps: list[Step], queued: int) -> None:
        """A commit; `Store.listen` takes this."""
        del queued
        if self._ring is not None:
            self._ring.heard()
        if self._news:
            for step in steps:
                for news in self._news.get(step.job.id, ()):
                    news.set()
        if not self._waiters:
            return
        for step in steps:
            for waiter in self._waiters.get(step.job.batch, ()):
                waiter.heard(step)

    def touched(self, batches: set[BatchId]) -> None:
        """Batches themselves changed; `Store.listen_batches` takes this."""
        if self._ring is not None:
            self._ring.touched(batches)
        for batch in batches & self._waiters.keys():
            for waiter in self._waiters[batch]:
                if not waiter.future.done():
                    waiter.future.set_result(None)

    @contextmanager
    def telling(self, job: JobId, news: asyncio.Event) -> Iterator[None]:
        """While it is entered, each commit about `job` sets `news`, and so does the end of the server."""
        heard = self._news.setdefault(job, set())
        heard.add(news)
        try:
            yield
        finally:
            heard.discard(news)
            if not heard:
                self._news.pop(job, None)

    async def until(
        self, batch: BatchId, left: Callable[[], Awaitable[int]], within: float, *, handed_over: bool = False
    ) -> bool:
        """Whether `left()` came down to 0 in time. `left` counts the jobs of `batch` that are awaited still."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not self.closed:
            waiter = _Waiter(loop.create_future(), handed_over=handed_over)
            self._waiters.setdefault(batch, []).append(waiter)
            try:
                waiter.left += await left()
                if waiter.left <= 0 and await left() <= 0:
                    return True
                if waiter.left > 0:
                    async with asyncio.timeout_at(deadline):
                        await waiter.future
            except TimeoutError:
                return await left() <= 0
            finally:
                self._waiters[batch].remove(waiter)
                if not self._waiters[batch]:
                    del self._waiters[batch]
        return False

    async def changed(
        self, batch: BatchId, job: JobId | None, same: Callable[[], Awaitable[bool]], within: float
    ) -> bool:
        """Whether `same()` was false in time; it is asked again whenever the job, or any of the batch's, has moved."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not self.closed:
            watch = _Watch(loop.create_future(), job)
            self._waiters.setdefault(batch, []).append(watch)
            try:
                if not await same():
                    return True
                async with asyncio.timeout_at(deadline):
                    await watch.future
            except TimeoutError:
                return not await same()
            finally:
                self._waiters[batch].remove(watch)
                if not self._waiters[batch]:
                    del self._waiters[batch]
        return False

    def behind(self) -> float:
        """Seconds that those who follow events are behind; see `Ring.behind`."""
        return 0.0 if self._ring is None else self._ring.behind()

    def ring(self, store: Store, clock: Callable[[], float]) -> Ring:
        """The newest events, for those who follow; kept from the first of them on."""
        if self._ring is None:
            self._ring = Ring(store, clock)
            self._ring.closed = self.closed
        return self._ring

    def close(self) -> None:
        """Everyone who waits is answered with what there is."""
        self.closed = True
        if self._ring is not None:
            self._ring.close()
        for heard in self._news.values():
            for news in heard:
                news.set()
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_result(None)
