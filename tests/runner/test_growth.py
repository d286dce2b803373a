"""Who follows a log hears that it grew; nobody looks at one that nobody follows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from jobgate.model.attempt import Attempt, AttemptId
from jobgate.model.ids import BatchId, EnvironmentName, JobId
from jobgate.model.state import AttemptState
from jobgate.runner import growth
from jobgate.runner.growth import Growth


def attempt(number: int = 1) -> Attempt:
    ident = AttemptId(BatchId(64), JobId(64), number)
    return Attempt(id=ident, state=AttemptState.RUNNING, environment=EnvironmentName("here"), created=0.0)


class Log:
    """A log of some size; each look at it is counted, and told."""

    def __init__(self) -> None:
        self.size = 0
        self.looks = 0
        self.looked = asyncio.Event()

    async def __call__(self, of: Attempt) -> int:
        del of
        self.looks += 1
        self.looked.set()
        return self.size

    async def next_look(self) -> None:
        self.looked.clear()
        await self.looked.wait()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "PACE", 0.001)


def run(body: Callable[[Growth, Log], Awaitable[None]]) -> None:
    async def whole() -> None:
        log = Log()
        watched = Growth(log)
        try:
            async with asyncio.timeout(30):
                await body(watched, log)
        finally:
            await watched.stop()

    asyncio.run(whole())


def test_news_come_when_the_log_is_longer_than_a_follower_has_read_and_only_then() -> None:
    async def body(watched: Growth, log: Log) -> None:
        news = asyncio.Event()
        with watched.telling(attempt(), 5, news):
            for log.size in (0, 4, 5):
                await log.next_look()
                await log.next_look()
                assert not news.is_set()
            log.size = 6
            await news.wait()

    run(body)


def test_followers_of_one_log_share_its_looks_and_each_hears_at_its_own_place() -> None:
    async def body(watched: Growth, log: Log) -> None:
        near, far = asyncio.Event(), asyncio.Event()
        with watched.telling(attempt(), 1, near), watched.telling(attempt(), 9, far):
            assert len([task for task in asyncio.all_tasks() if "_look" in repr(task)]) == 1
            log.size = 5
            await near.wait()
            assert not far.is_set()
            log.size = 10
            await far.wait()

    run(body)


def test_nobody_looks_when_nobody_follows() -> None:
    async def body(watched: Growth, log: Log) -> None:
        looking: set[asyncio.Task[object]] = set()
        with watched.telling(attempt(), 0, asyncio.Event()):
            await log.next_look()
            looking = {task for task in asyncio.all_tasks() if "_look" in repr(task)}
        await asyncio.wait(looking)
        seen = log.looks
        news = asyncio.Event()
        log.size = 1
        with watched.telling(attempt(), 0, news):
            await news.wait()
        assert log.looks > seen

    run(body)
