"""Cancel, Change, Delete: events of the owner's, and forgetting.

Each may mean a million jobs, and all accounts share one writer. So it is done in slices, each a transaction of its own
between which others have their turn. What breaks off in between is partly done; the same request again does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from jobgate.model.account import Principal
from jobgate.model.advance import Step
from jobgate.model.errors import Conflict, NotFound
from jobgate.model.events import Cancel as CancelEvent
from jobgate.model.events import Event, Hold, Rank, Release
from jobgate.model.ids import BatchId, JobId, JobName, job_text
from jobgate.model.job import Job
from jobgate.model.operations import Cancel, Change, Count, Delete
from jobgate.model.outcomes import Changed, Deleted
from jobgate.model.selectors import Ids, Of, Selector
from jobgate.operations.context import Context
from jobgate.operations.find import count
from jobgate.operations.select import Piece, piece
from jobgate.store.jobs import SHOWN
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction

PATIENCE = 20.0
"""Seconds that a forced deletion waits for the engine's word on live jobs."""
_TURNS: Final[WeakKeyDictionary[Store, asyncio.Lock]] = WeakKeyDictionary()
"""Of each store: requests with more than one slice take turns, or a hundred of them would make one long commit."""
_NAMED: Final = 10
"""Live jobs that a refusal names."""
_Live = dict[BatchId, list[JobId]]
T = TypeVar("T")


async def cancel(context: Context, principal: Principal, operation: Cancel) -> Changed:
    """Asks that they stop; `unchanged` are those over already. Raises NotFound for a batch that is not theirs."""
    return await _cancel(context, principal, operation, {})


async def change(context: Context, principal: Principal, operation: Change) -> Changed:
    """Another priority; held or let go. Raises NotFound for a batch that is not theirs."""
    events: list[Event] = []
    if operation.priority is not None:
        events.append(Rank(operation.priority))
    if operation.hold is not None:
        events.append(Hold() if operation.hold else Release())
    return await _apply(context, principal, operation.selector, events)


async def delete(context: Context, principal: Principal, operation: Delete) -> Deleted:
    """Forgets jobs that are over. Raises Conflict (`job-active`), and deletes nothing, when one is not.

    Jobs that are over stay so: what was seen before the first slice holds at the last.
    """
    selector = operation.selector
    if operation.force:
        live: _Live = {}
        await _cancel(context, principal, Cancel(selector=selector, message="removed by its owner"), live)
        await _ended(context, live)
    else:
        await _all_over(context, principal, selector)

    def work(tx: Transaction, jobs: Sequence[Job], now: float) -> tuple[list[JobName], list[JobName]]:
        over = [JobName(job.batch, job.id) for job in jobs if job.state.over]
        tx.jobs.delete([name.job for name in over], now)
        return over, [JobName(job.batch, job.id) for job in jobs if not job.state.over] if operation.force else []

    gone, stopping, missing = _First[JobName](selector), _First[JobName](selector), list[str]()
    async for (over, live_still), lost in _slices(context, principal, selector, work):
        gone.add(over)
        stopping.add(live_still)
        missing += lost
    return Deleted(
        jobs=tuple(gone.named), stopping=tuple(stopping.named), missing=tuple(missing), more=gone.more + stopping.more
    )


# --- slices


class _First(Generic[T]):
    """What an answer names: all that were asked for by name; of others the first `SHOWN`, and how many more."""

    def __init__(self, selector: Selector) -> None:
        self._most = len(selector.jobs) if isinstance(selector, Ids) else SHOWN
        self.named: list[T] = []
        self.more = 0

    def add(self, items: Sequence[T]) -> None:
        room = self._most - len(self.named)
        self.named += items[:room]
        self.more += len(items[room:])


async def _slices(
    context: Context,
    principal: Principal,
    selector: Selector,
    work: Callable[[Transaction, Sequence[Job], float], T],
    *,
    reading: bool = False,
) -> AsyncGenerator[tuple[T, tuple[str, ...]], None]:
    """What `work` returns for each slice of the jobs, and names of those missing. Raises NotFound at the first only."""
    turn = _TURNS.setdefault(context.store, asyncio.Lock())
    rest: Selector | None = selector
    while rest is not None:
        asked, now = rest, context.clock()

        def one(tx: Transaction, asked: Selector = asked, now: float = now) -> tuple[T, Piece]:
            found = piece(tx, principal, asked)
            return work(tx, [job for job, _ in found[0]], now), found

        try:
            if reading:
                result, (_, missing, rest) = await context.store.read(one)
            elif asked is selector:
                result, (_, missing, rest) = await context.store.write(one)
            else:
                async with turn:
                    result, (_, missing, rest) = await context.store.write(one)
        except NotFound:
            if asked is selector:
                raise
            return  # the batch went with its last job, which was in the slice before, or another's request took it
        yield result, missing
        await asyncio.sleep(0)


async def _cancel(context: Context, principal: Principal, operation: Cancel, live: _Live) -> Changed:
    """Puts into `live` those that are not over yet."""
    event = CancelEvent(operation.message or "cancelled by its owner")
    return await _apply(context, principal, operation.selector, (event,), live)


async def _apply(
    context: Context, principal: Principal, selector: Selector, events: Sequence[Event], live: _Live | None = None
) -> Changed:
    def work(tx: Transaction, jobs: Sequence[Job], now: float) -> tuple[list[Job], list[Job]]:
        done: list[Job] = []
        for job in jobs:
            if not job.state.over:
                last = tx.jobs.advance([(job.id, event) for event in events], now)[-1] if events else None
                done.append(last.job if isinstance(last, Step) else job)
        return done, [job for job in jobs if job.state.over]

    done, unchanged, missing = _First[Job](selector), _First[Job](selector), list[str]()
    async for (some, same), lost in _slices(context, principal, selector, work):
        done.add(some)
        unchanged.add(same)
        missing += lost
        if live is not None:
            for job in some:
                if not job.state.over:
                    live.setdefault(job.batch, []).append(job.id)
    return Changed(
        done=tuple(done.named),
        unchanged=tuple(unchanged.named),
        missing=tuple(missing),
        more=done.more + unchanged.more,
    )


async def _all_over(context: Context, principal: Principal, selector: Selector) -> None:
    """Raises Conflict (`job-active`) when one is not, NotFound for a batch that is not theirs."""
    if isinstance(selector, Of):
        counted = await count(context, principal, Count(selector.batch))
        if all(state.over for state, number in counted.counts.items() if number):
            return

    def work(tx: Transaction, jobs: Sequence[Job], now: float) -> list[str]:
        del tx, now
        return [job_text(job.batch, job.id) for job in jobs if not job.state.over][:_NAMED]

    async with aclosing(_slices(context, principal, selector, work, reading=True)) as slices:
        async for live, _ in slices:
            if live:
                raise Conflict(f"not over: {', '.join(live)}; cancel them first, or ask with force", code="job-active")


async def _ended(context: Context, live: _Live) -> None:
    """Returns when all are over, or patience is."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    for batch, members in live.items():

        async def left(members: Sequence[JobId] = members) -> int:
            found = await context.store.read(lambda tx: tx.jobs.get(members))
            return sum(1 for job, _ in found.values() if not job.state.over)

        await context.feed.until(batch, left, max(0.0, deadline - loop.time()))
