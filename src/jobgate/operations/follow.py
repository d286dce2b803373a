"""Follow: the events of one batch, of one job, or of an account; as pages, or as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.account import Principal
from jobgate.model.errors import Gone, NotFound
from jobgate.model.ids import STRIDE, JobId
from jobgate.model.operations import Follow
from jobgate.model.outcomes import End, Following, News, Page
from jobgate.model.told import Kind, Told, before, tell, upto, wanted
from jobgate.operations.context import Context
from jobgate.operations.select import batch_of, one, present
from jobgate.store.channel import AT_ONCE, Topic, taken
from jobgate.store.log import Piece, Whose
from jobgate.store.ring import Ring, Seat
from jobgate.store.transaction import Transaction

LONGEST: Final = 3600.0
"""Seconds of one stream: who follows for longer comes again with the cursor, and shows the credential again."""
_PIECES: Final = 32
"""Pieces of the log that one page may cost."""
_NOTHING: Final = News()


class _Begun(msgspec.Struct, frozen=True):
    """Who follows what, from where."""

    topic: Topic
    after: int
    over: bool
    head: int


async def follow(context: Context, principal: Principal, operation: Follow) -> Page | Following:
    """The events after the cursor, as far as there are; of a page that would be empty, those that come in time.

    Raises NotFound for a batch or job that is not theirs, Gone (`gone`) for a cursor older than what is kept.
    """
    begun = await context.store.read(lambda tx: _begin(tx, principal, operation))
    if not operation.live:
        return await _page(context, operation, begun)
    if begun.over and operation.after is not None and await _told_all(context, begun):
        return Following(items=None)
    return Following(items=_items(context, operation, begun))


def _begin(tx: Transaction, principal: Principal, operation: Follow) -> _Begun:
    topic = _topic(tx, principal, operation)
    head = tx.log.head()
    if operation.after:
        _kept(tx, topic, operation.after)
        after = min(operation.after, upto(head))
    else:
        now = operation.live and operation.after is None
        after = upto(head if now else tx.log.before(topic.whose))
    return _Begun(topic, after, _over(tx, topic), head)


def _topic(tx: Transaction, principal: Principal, operation: Follow) -> Topic:
    """Raises NotFound."""
    if operation.job is not None:
        job, _ = one(tx, principal, operation.job)
        return Topic(Whose(job.owner, job.id, job.id), job.batch, job.id)
    if operation.batch is not None:
        batch = batch_of(tx, principal, operation.batch)
        last = JobId(batch.id + ((batch.count or batch.room) - 1) * STRIDE)
        return Topic(Whose(batch.owner, JobId(batch.id), last), batch.id, count=batch.count)
    return Topic(Whose(present(tx, principal).account))


def _kept(tx: Transaction, topic: Topic, after: int) -> None:
    """Raises Gone when retention has removed events after the cursor that belonged to the topic, or may have."""
    expired = tx.log.expired(topic.whose.owner)
    if before(after) >= expired or topic.job is not None:
        return
    if topic.batch is not None and sum(tx.jobs.counts(tx.jobs.batch(topic.batch)).values()) == topic.count:
        return
    gone = Gone("events after this cursor were kept for their time, and are deleted")
    gone.oldest = upto(expired)
    raise gone


def _over(tx: Transaction, topic: Topic) -> bool:
    """Whether nothing more will happen: all of it is over, or deleted, or another account's now."""
    try:
        if topic.job is not None:
            found = tx.jobs.get((topic.job,)).get(topic.job)
            return found is None or found[0].state.over
        if topic.batch is not None:
            return tx.jobs.tally(tx.jobs.batch(topic.batch)).state.over
    except NotFound:
        return True
    return False


# --- pages


async def _page(context: Context, operation: Follow, begun: _Begun) -> Page:
    ring = context.feed.ring(context.store, context.clock)
    page = await _walk(context, ring, operation, begun.topic, begun.after)
    if page.events or page.more or begun.over or operation.within <= 0:
        return page
    seat = await ring.join(begun.topic, counting=False)
    try:
        page = await _walk(context, ring, operation, begun.topic, page.cursor)
        async with asyncio.timeout(operation.within):
            while not (page.events or page.more or ring.closed):
                await seat.wait()
                page = await _walk(context, ring, operation, begun.topic, page.cursor)
    except TimeoutError:
        pass  # what there is by then is an empty page
    finally:
        seat.leave()
    return page


async def _walk(context: Context, ring: Ring, operation: Follow, topic: Topic, cursor: int) -> Page:
    """The next events, and no more pieces of the log than a page may cost."""
    events: list[Told] = []
    for _ in range(_PIECES):
        piece = await _next(context, ring, topic.whose, cursor)
        events += _chosen(piece, operation.kinds, cursor)
        cursor = max(cursor, upto(piece.upto))
        if len(events) > operation.limit:
            return Page(events=tuple(events[: operation.limit]), cursor=events[operation.limit - 1].cursor, more=True)
        if piece.head:
            return Page(events=tuple(events), cursor=cursor)
    return Page(events=tuple(events), cursor=cursor, more=True)


async def _next(context: Context, ring: Ring, whose: Whose, cursor: int) -> Piece:
    async with ring.turn:
        piece = await context.store.read(lambda tx: tx.log.piece(whose, before(cursor), AT_ONCE))
        if not piece.head:
            await asyncio.sleep(0)  # others have their turn before the next piece, whoever asks for it
    return piece


def _chosen(piece: Piece, kinds: frozenset[Kind], cursor: int) -> list[Told]:
    told = (event for entry in piece.entries for event in tell(entry))
    return [event for event in told if event.cursor > cursor and wanted(kinds, event)]


async def _told_all(context: Context, begun: _Begun) -> bool:
    """Whether nothing lies after the cursor; False too when that would take long to find out."""
    ring, cursor = context.feed.ring(context.store, context.clock), begun.after
    for _ in range(_PIECES):
        piece = await _next(context, ring, begun.topic.whose, cursor)
        if any(event.cursor > cursor for entry in piece.entries for event in tell(entry)):
            return False
        cursor = max(cursor, upto(piece.upto))
        if piece.head:
            return True
    return False


# --- streams


class _Reader:
    """Where one follower is, and the next that it has to be told."""

    def __init__(self, context: Context, ring: Ring, seat: Seat, operation: Follow, begun: _Begun) -> None:
        self._context = context
        self._ring = ring
        self._seat = seat
        self._kinds = operation.kinds
        self._whose = begun.topic.whose
        self._summed: Told | None = None
        self.cursor = begun.after
        self.ended = True
        """Whether it may be over: something said so, or nobody has looked yet."""

    async def more(self) -> tuple[News | None, bool]:
        """The next events, and whether there may be more already."""
        cursor = self.cursor
        if not self._seat.holds(before(cursor)):
            return await self.behind()
        found = self._seat.after(cursor, self._kinds)
        self.cursor = found.cursor
        self.ended = self.ended or found.ended
        return found.news, found.cursor > cursor

    async def behind(self, head: int | None = None) -> tuple[News | None, bool]:
        """The same, from the store; `head`: no more than up to there."""
        piece = await _next(self._context, self._ring, self._whose, self.cursor)
        told = (event for entry in piece.entries for event in tell(entry))
        found = taken(told, self.cursor, self._kinds)
        self.cursor = max(self.cursor, upto(piece.upto))
        self.ended = self.ended or found.ended
        return found.news, head is None or piece.upto < head

    def sum(self) -> News | None:
        """How the batch stands, if that is news."""
        known = self._seat.sum(self.cursor)
        if known is None or known[0] is self._summed:
            return None
        self._summed, news = known
        if self._summed.cursor >= self.cursor:
            self.cursor = self._summed.cursor
            return news
        return News((replace(self._summed, cursor=self.cursor),))


async def _items(context: Context, operation: Follow, begun: _Begun) -> AsyncGenerator[News | End, None]:
    ring, topic = context.feed.ring(context.store, context.clock), begun.topic
    counting = topic.job is None and topic.batch is not None and Kind.BATCH in operation.kinds
    seat = await ring.join(topic, counting=counting)
    reader = _Reader(context, ring, seat, operation, begun)
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST
    try:
        yield _NOTHING
        while not ring.closed and loop.time() < until:
            if reader.ended:
                reader.ended = False
                over, head = await context.store.read(lambda tx: (_over(tx, topic), tx.log.head()))
                if over:
                    more = True
                    while more:
                        news, more = await reader.behind(head)
                        if news is not None:
                            yield news
                    yield End(reader.cursor)
                    return
            news, more = await reader.more()
            if news is not None:
                yield news
            if more:
                continue
            if counting and (total := reader.sum()) is not None:
                yield total
            elif not await seat.wait():
                reader.ended = True  # what retention deletes is no event
                yield _NOTHING
    finally:
        seat.leave()
