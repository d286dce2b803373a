"""Who follows the log of a live attempt is told when it has grown.

An engine writes a log without a word to anyone, so its size is looked at: by one task for each followed attempt,
however many follow it, and only while somebody does. Its end needs no look: that is a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from jobgate.model.attempt import Attempt, AttemptId

PACE: Final = 0.05
"""Seconds between two looks."""


class _Follower:
    __slots__ = ("beyond", "news")

    def __init__(self, beyond: int, news: asyncio.Event) -> None:
        self.beyond = beyond
        self.news = news


class Growth:
    """Watches the logs that somebody follows. `size` tells how long one is; 0 when it is nobody's here."""

    def __init__(self, size: Callable[[Attempt], Awaitable[int]]) -> None:
        self._size = size
        self._followers: dict[AttemptId, set[_Follower]] = {}
        self._looking: dict[AttemptId, asyncio.Task[None]] = {}

    @contextmanager
    def telling(self, attempt: Attempt, beyond: int, news: asyncio.Event) -> Iterator[None]:
        """While it is entered, `news` is set when the log is longer than `beyond`."""
        follower = _Follower(beyond, news)
        followers = self._followers.setdefault(attempt.id, set())
        followers.add(follower)
        if attempt.id not in self._looking:
            self._looking[attempt.id] = asyncio.get_running_loop().create_task(self._look(attempt))
        try:
            yield
        finally:
            followers.discard(follower)

    async def _look(self, attempt: Attempt) -> None:
        """Until nobody follows it."""
        followers = self._followers[attempt.id]
        try:
            while followers:
                size = await self._size(attempt)
                for follower in followers:
                    if size > follower.beyond:
                        follower.news.set()
                await asyncio.sleep(PACE)
        finally:
            del self._looking[attempt.id], self._followers[attempt.id]

    async def stop(self) -> None:
        """Looks no more."""
        tasks = list(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
