"""Who waits for which job: woken by commits, never polling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from jobgate.model.advance import Step
from jobgate.model.ids import BatchId, JobId
from jobgate.model.state import JobState

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


class Feed:
    """Hears every commit of a store and wakes those who wait for what is in it."""

    def __init__(self) -> None:
        self._waiters: dict[BatchId, list[_Waiter]] = {}
        self._news: dict[JobId, set[asyncio.Event]] = {}
        self.closed = False
        """The server is stopping: nobody waits any more."""

    def __call__(self, steps: list[Step], queued: int) -> None:
        """A commit; `Store.listen` takes this."""
        del queued
        if self._news:
            for step in steps:
                for news in self._news.get(step.job.id, ()):
                    news.set()
        if not self._waiters:
            return
        for step in steps:
            for waiter in self._waiters.get(step.job.batch, ()):
                waiter.heard(step)

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

    def close(self) -> None:
        """Everyone who waits is answered with what there is."""
        self.closed = True
        for heard in self._news.values():
            for news in heard:
                news.set()
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_result(None)
