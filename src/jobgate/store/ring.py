"""The newest events, once for all who follow: each commit is read back once, and those it concerns are woken.

A follower has no queue. It holds a cursor, and takes what lies after it when it is ready: from here while it keeps up,
from the log in the store when it has fallen behind. So a thousand who stall cost no more than a thousand who do not.

The more follow, the larger the steps: when waking all of them took some time, the next step waits `REST` times as long.
One alone hears at once, and a thousand together leave most of the loop to others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from jobgate.model.errors import NotFound, Unavailable
from jobgate.model.ids import AccountId, BatchId, JobId
from jobgate.model.outcomes import News
from jobgate.model.told import Entry, Grave, Kind, Told, summed_up, tell, upto
from jobgate.store.channel import Bell, Channel, Taken, Topic
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction

BEAT: Final = 15.0
"""Seconds after which everyone who waits is woken without news."""
REST: Final = 3.0
COUNTS: Final = 0.25
"""Seconds between two sums of a batch."""
KEPT: Final = 8192
"""Entries that are kept for those who keep up."""
_PIECE: Final = 250
_TRUST: Final = 1.0
"""Seconds before the store is asked again when it could not be read."""


class Seat:
    """One follower's place at a topic."""

    def __init__(self, ring: Ring, channel: Channel, *, counting: bool) -> None:
        self._ring = ring
        self._channel = channel
        self._counting = counting
        channel.seats += 1
        channel.counting += counting

    def holds(self, cursor: int) -> bool:
        """Whether all that follows this cursor of the log is here."""
        return cursor >= self._channel.since

    def after(self, cursor: int, kinds: frozenset[Kind]) -> Taken:
        """What follows a public cursor."""
        return self._channel.after(cursor, kinds)

    def sum(self, cursor: int) -> tuple[Told, News] | None:
        """How the batch stands, for one who was told everything up to this public cursor; None until that is known."""
        known, news = self._channel.sum, self._channel.sum_news
        if known is None or news is None or (known.cursor < cursor and self._channel.stale):
            return None
        return known, news

    async def wait(self) -> bool:
        """Whether there is news; now and then there is none. At once when the server stops."""
        if self._ring.closed:
            return True
        future = asyncio.get_running_loop().create_future()
        self._channel.waiting.add(future)
        try:
            return bool(await future)
        finally:
            self._channel.waiting.discard(future)

    def leave(self) -> None:
        """It follows no more."""
        self._channel.seats -= 1
        self._channel.counting -= self._counting
        self._ring.left(self._channel)


class Ring:
    """The newest events of what is followed."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._batches: dict[BatchId, Channel] = {}
        self._jobs: dict[JobId, Channel] = {}
        self._owners: dict[AccountId, Channel] = {}
        self._order: deque[tuple[int, tuple[Channel, ...]]] = deque()
        self._head = 0
        self._seats = 0
        self._untold = 0.0
        """When the first was committed of what was not read back yet; 0: all was."""
        self._bell = Bell()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.turn = asyncio.Lock()
        """Who reads behind the ring takes it for each piece: one piece in each pass of the loop."""
        self.closed = False

    @property
    def size(self) -> int:
        """Entries that are kept."""
        return len(self._order)

    async def join(self, topic: Topic, *, counting: bool) -> Seat:
        """A seat at the topic; what comes from now on is kept for it."""
        if not self._seats:
            self._order.clear()
            self._head = await self._store.read(lambda tx: tx.log.head())
        channel = self._find(topic)
        if channel is None:
            channel = Channel(topic, self._head)
            self._enter(channel)
        self._seats += 1
        seat = Seat(self, channel, counting=counting)
        self.heard()
        return seat

    def left(self, channel: Channel) -> None:
        """One follower fewer."""
        self._seats -= 1
        if not self._seats:
            self._news.set()  # and so its task ends
        if channel.seats:
            return
        topic = channel.topic
        if topic.job is not None:
            del self._jobs[topic.job]
        elif topic.batch is not None:
            del self._batches[topic.batch]
        else:
            del self._owners[topic.whose.owner]

    def heard(self) -> None:
        """Something was committed."""
        if self._seats:
            self._untold = self._untold or self._clock()
            self._news.set()
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._run())
                self._task.add_done_callback(self._ended)

    def touched(self, batches: set[BatchId]) -> None:
        """Something of these changed that is no event: who follows them looks whether they are over."""
        for batch in batches & self._batches.keys():
            channel = self._batches[batch]
            channel.stale = True
            for future in channel.waiting:
                if not future.done():
                    future.set_result(False)
        self.heard()

    def behind(self) -> float:
        """Seconds since the first commit that those who follow were not told of; 0 when they know it all."""
        return max(self._clock() - self._untold, 0.0) if self._untold and self._seats else 0.0

    def close(self) -> None:
        """Nobody follows any more; everyone is told so."""
        self.closed = True
        self._news.set()
        for channel in self._channels():
            for future in channel.waiting:
                if not future.done():
                    future.set_result(True)

    def _find(self, topic: Topic) -> Channel | None:
        if topic.job is not None:
            return self._jobs.get(topic.job)
        return self._owners.get(topic.whose.owner) if topic.batch is None else self._batches.get(topic.batch)

    def _enter(self, channel: Channel) -> None:
        topic = channel.topic
        if topic.job is not None:
            self._jobs[topic.job] = channel
        elif topic.batch is not None:
            self._batches[topic.batch] = channel
        else:
            self._owners[topic.whose.owner] = channel

    def _channels(self) -> Iterator[Channel]:
        for channels in (self._batches, self._jobs, self._owners):
            yield from channels.values()

    # --- what comes in

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "the ring failed", "exception": error})

    async def _run(self) -> None:
        """As long as somebody follows: waits, reads, wakes, and rests."""
        loop = asyncio.get_running_loop()
        beat = loop.time() + BEAT
        while self._seats and not self.closed:
            try:
                async with asyncio.timeout_at(min(beat, self._due())):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                woken = await self._read()
            except Unavailable:
                self._news.set()
                await asyncio.sleep(_TRUST)
                continue
            lasted = await self._bell.ring([future for channel in woken for future in channel.waiting], news=True)
            if loop.time() >= beat:
                beat = loop.time() + BEAT
                everyone = [future for channel in self._channels() for future in channel.waiting]
                lasted += await self._bell.ring(everyone, news=False)
            await asyncio.sleep(REST * lasted)

    async def _read(self) -> dict[Channel, None]:
        """All that was committed since the last time, in pieces, between which others have their turn."""
        woken: dict[Channel, None] = {}
        self._untold = 0.0
        while self._seats and not self.closed:
            if await self._store.read(lambda tx: self._piece(tx, woken)):
                break
            await asyncio.sleep(0)
        return woken

    def _piece(self, tx: Transaction, woken: dict[Channel, None]) -> bool:
        """Takes in the next piece of the log; whether it was the last, and then batches are summed up."""
        piece = tx.log.tail(self._head, _PIECE, self._followed)
        for entry in piece.entries:
            events = tell(entry)
            if events:
                channels = tuple(self._of(entry))
                for channel in channels:
                    channel.add(entry.cursor, events)
                    woken[channel] = None
                self._order.append((entry.cursor, channels))
        self._head = max(self._head, piece.upto)
        while len(self._order) > KEPT:
            cursor, channels = self._order.popleft()
            for channel in channels:
                channel.drop(cursor)
        if piece.head:
            self._sum_up(tx, woken)
        return piece.head

    def _followed(self, owner: AccountId, batch: BatchId, job: JobId) -> bool:
        return batch in self._batches or owner in self._owners or job in self._jobs

    def _of(self, entry: Entry | Grave) -> Iterator[Channel]:
        batch, owner = entry.batch, entry.owner
        job = entry.about if isinstance(entry, Grave) else entry.fact.job
        found = self._batches.get(batch), self._owners.get(owner), self._jobs.get(job)
        return (channel for channel in found if channel is not None)

    # --- sums

    def _due(self) -> float:
        """When the next batch is to be summed up."""
        moved = (channel for channel in self._batches.values() if channel.stale and channel.counting)
        return min((channel.summed + COUNTS for channel in moved), default=float("inf"))

    def _sum_up(self, tx: Transaction, woken: dict[Channel, None]) -> None:
        """Each batch that has moved, at most once in COUNTS seconds, for all its followers together."""
        now = asyncio.get_running_loop().time()
        for batch, channel in self._batches.items():
            if channel.stale and channel.counting and channel.summed + COUNTS <= now:
                try:
                    known = tx.jobs.batch(batch)
                except NotFound:
                    continue
                cursor, tally = upto(self._head), tx.jobs.tally(known)
                channel.counted(summed_up(cursor, self._clock(), batch, known.count, tally), now)
                woken[channel] = None
