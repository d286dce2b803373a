"""The newest events of one topic, and those who wait for more of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from jobgate.model.ids import BatchId, JobId
from jobgate.model.outcomes import News
from jobgate.model.told import Kind, Told, ends, wanted
from jobgate.store.log import Whose

AT_ONCE: Final = 200
"""Events that are handed over together."""
_GROUP: Final = 32
_MEMO: Final = 64


class Topic(msgspec.Struct, frozen=True):
    """What one may follow: one job, one batch, or all of an account."""

    whose: Whose
    batch: BatchId | None = None
    job: JobId | None = None
    count: int = 0
    """How many jobs the batch was made with."""


class Taken(msgspec.Struct, frozen=True):
    """What follows a cursor, for one who wants some kinds."""

    news: News | None
    cursor: int
    ended: bool
    """Something in it may have been the end."""


class Channel:
    """The newest entries of one topic. Followers at one place get one and the same answer, made once."""

    def __init__(self, topic: Topic, since: int) -> None:
        self.topic = topic
        self.since = since
        """Every entry after this one is here."""
        self.seats = 0
        self.counting = 0
        """How many of the followers want sums."""
        self.sum: Told | None = None
        self.sum_news: News | None = None
        self.summed = float("-inf")
        self.stale = True
        """Something has happened since the sum."""
        self.waiting: set[asyncio.Future[bool]] = set()
        self._entries: deque[tuple[int, tuple[Told, ...]]] = deque()
        self._memo: dict[tuple[int, frozenset[Kind]], Taken] = {}

    def add(self, cursor: int, events: tuple[Told, ...]) -> None:
        """One entry more."""
        self._entries.append((cursor, events))
        self._memo.clear()
        self.stale = True

    def drop(self, cursor: int) -> None:
        """The oldest goes; it is the one at this cursor of the log."""
        if self._entries and self._entries[0][0] == cursor:
            self._entries.popleft()
        self.since = max(self.since, cursor)

    def after(self, cursor: int, kinds: frozenset[Kind]) -> Taken:
        """What follows a public cursor."""
        key = cursor, kinds
        known = self._memo.get(key)
        if known is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            known = self._memo[key] = taken(self._newer(cursor), cursor, kinds)
        return known

    def _newer(self, cursor: int) -> Iterator[Told]:
        """Few as a rule, and at the end."""
        place, first = len(self._entries), cursor // 2
        while place and self._entries[place - 1][0] >= first:
            place -= 1
        for at in range(place, min(place + AT_ONCE, len(self._entries))):
            yield from self._entries[at][1]

    def counted(self, total: Told, now: float) -> None:
        """How the batch stands at this time of the loop."""
        self.sum, self.sum_news = total, News((total,))
        self.stale = False
        self.summed = now


def taken(events: Iterable[Told], cursor: int, kinds: frozenset[Kind]) -> Taken:
    """Of these what follows the cursor."""
    newer = [event for event in events if event.cursor > cursor]
    chosen = tuple(event for event in newer if wanted(kinds, event))
    last = newer[-1].cursor if newer else cursor
    return Taken(News(chosen) if chosen else None, last, any(map(ends, newer)))


class Bell:
    """Wakes those who wait, a group in each pass of the loop: others have their turn between two groups."""

    async def ring(self, waiting: Iterable[asyncio.Future[bool]], *, news: bool) -> float:
        """Tells each whether there is news; the seconds until all of them had their turn."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for place, future in enumerate(waiting, 1):
            if not future.done():
                future.set_result(news)
            if place % _GROUP == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        return loop.time() - began
