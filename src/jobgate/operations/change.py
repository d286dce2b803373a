"""Cancel, Change, Delete: events of the owner's, other names, and forgetting; slice by slice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final

from msgspec import UNSET

from jobgate.model.account import Principal
from jobgate.model.advance import Step
from jobgate.model.errors import Conflict, Invalid
from jobgate.model.events import Cancel as CancelEvent
from jobgate.model.events import Event, Hold, Rank, Release
from jobgate.model.guard import Seen
from jobgate.model.ids import BatchId, JobId, JobName, job_text
from jobgate.model.job import Batch, Job, check_labels
from jobgate.model.operations import Cancel, Change, Count, Delete
from jobgate.model.outcomes import Changed, Deleted
from jobgate.model.selectors import Of, Selector
from jobgate.model.told import Mourning
from jobgate.operations.context import Context
from jobgate.operations.find import count
from jobgate.operations.select import batch_of, unretired
from jobgate.operations.slices import First, Told, as_seen, look, slices
from jobgate.store.transaction import Transaction

PATIENCE = 20.0
"""Seconds that a forced deletion waits for the engine's word on live jobs."""
_NAMED: Final = 10
"""Live jobs that a refusal names."""
_BEGIN: Final = 32
"""Jobs of the first slice of those that are deleted: a spec of each may be a megabyte."""
_Live = dict[BatchId, list[JobId]]


async def cancel(context: Context, principal: Principal, operation: Cancel) -> Changed:
    """Asks that they stop; `unchanged` are those over already. Raises NotFound for a batch that is not theirs."""
    told = await _cancel(context, principal, operation, {})
    return told.changed(await look(context, principal, operation.selector) if operation.show else None)


async def change(context: Context, principal: Principal, operation: Change) -> Changed:
    """Another priority; held or let go; another name, other labels. `unchanged` are those over already.

    Raises NotFound for a batch that is not theirs, Conflict (`retired`), and Invalid when the name of a batch is asked
    for that a job of it stands for, or labels that are too long together.
    """
    selector = operation.selector
    events: list[Event] = []
    if operation.priority is not None:
        events.append(Rank(operation.priority))
    if operation.hold is not None:
        events.append(Hold() if operation.hold else Release())
    renames = operation.name is not None or bool(operation.labels) or operation.expires is not UNSET
    if renames and isinstance(selector, Of) and not events:
        await context.store.write(lambda tx: _rename_whole(tx, principal, selector, operation))
        return Told(selector).changed(await look(context, principal, selector) if operation.show else None)
    renamed = set[BatchId]()

    def first(tx: Transaction, jobs: Sequence[Job], now: float) -> None:
        del now
        unretired(tx, jobs)
        if isinstance(selector, Of):
            unretired(tx, (), batch := batch_of(tx, principal, selector.batch))
            idents = {batch.id}
        else:
            idents = {job.batch for job in jobs}
        for ident in idents - renamed if renames else ():
            renamed.add(ident)
            _rename(tx, selector, operation, ident)

    told = await _apply(context, principal, operation, events, first=first)
    return told.changed(await look(context, principal, selector) if operation.show else None)


async def delete(context: Context, principal: Principal, operation: Delete) -> Deleted:
    """Forgets jobs that are over. Raises Conflict (`job-active`), and deletes nothing, when one is not.

    One that failed, and that its owner has queued again before its slice came, is left as it is.
    """
    selector = operation.selector
    if operation.force:
        live: _Live = {}
        message = "removed by its owner"
        await _cancel(context, principal, Cancel(selector=selector, message=message, seen=operation.seen), live)
        await _ended(context, live)
    else:
        await _all_over(context, principal, selector, operation.seen)

    def work(tx: Transaction, jobs: Sequence[Job], now: float) -> tuple[list[JobName], list[JobName]]:
        if isinstance(selector, Of) and not jobs and (batch := batch_of(tx, principal, selector.batch)).vacant:
            tx.jobs.forget(batch, now)
        over = [job for job in jobs if job.state.over]
        live_still = [job for job in jobs if not job.state.over] if operation.force else []
        whole = isinstance(selector, Of) and not live_still
        tx.jobs.delete([job.id for job in over], now, told=Mourning.WHOLE if whole else Mourning.EACH)
        return _names(over), _names(live_still)

    gone, stopping, missing = First[JobName](selector), First[JobName](selector), list[str]()
    async for (over, live_still), lost in slices(context, principal, selector, work, begin=_BEGIN, spare=True):
        gone.add(over)
        stopping.add(live_still)
        missing += lost
    return Deleted(
        jobs=tuple(gone.named), stopping=tuple(stopping.named), missing=tuple(missing), more=gone.more + stopping.more
    )


def _names(jobs: Sequence[Job]) -> list[JobName]:
    return [JobName(job.batch, job.id) for job in jobs]


# --- names and labels


def _rename_whole(tx: Transaction, principal: Principal, selector: Of, operation: Change) -> None:
    """Raises NotFound, Conflict (`changed`, `retired`), and Invalid (`too-long`)."""
    if operation.seen is not None:
        as_seen(tx, principal, selector, operation.seen)
    batch = batch_of(tx, principal, selector.batch)
    unretired(tx, (), batch)
    _renamed(tx, operation, batch)


def _rename(tx: Transaction, selector: Selector, operation: Change, ident: BatchId) -> None:
    """Raises Invalid (`of-batch`) when one job of several was named: name and labels are the batch's; or `too-long`."""
    batch = tx.jobs.batch(ident)
    if batch.count > 1 and not isinstance(selector, Of):
        field = "labels" if operation.labels else "name"
        raise Invalid(f"{field}: they belong to the batch of this job; change them there", code="of-batch", field=field)
    _renamed(tx, operation, batch)


def _renamed(tx: Transaction, operation: Change, batch: Batch) -> None:
    renamed = tx.jobs.rename(batch, operation.name, operation.labels)
    check_labels(renamed.labels)
    if operation.expires is not UNSET:
        tx.batches.renew(renamed, operation.expires)


# --- slices


async def _cancel(context: Context, principal: Principal, operation: Cancel, live: _Live) -> Told:
    """Puts into `live` those that are not over yet. A batch that is meant as a whole remembers it."""
    event, selector = CancelEvent(operation.message or "cancelled by its owner"), operation.selector

    def first(tx: Transaction, jobs: Sequence[Job], now: float) -> None:
        if isinstance(selector, Of) and (not jobs or any(not job.state.over for job in jobs)):
            tx.batches.cancel(batch_of(tx, principal, selector.batch), now)

    return await _apply(context, principal, operation, (event,), live, first=first)


async def _apply(  # noqa: PLR0913  # whom, what, and what is told of it
    context: Context,
    principal: Principal,
    operation: Cancel | Change,
    events: Sequence[Event],
    live: _Live | None = None,
    *,
    first: Callable[[Transaction, Sequence[Job], float], None] = lambda _tx, _jobs, _now: None,
) -> Told:
    """Tells each job; `first` is done with each slice before."""
    selector = operation.selector

    def work(tx: Transaction, jobs: Sequence[Job], now: float) -> tuple[list[Job], list[Job]]:
        first(tx, jobs, now)
        done: list[Job] = []
        for job in jobs:
            if not job.state.over:
                last = tx.jobs.advance([(job.id, event) for event in events], now)[-1] if events else None
                done.append(last.job if isinstance(last, Step) else job)
        return done, [job for job in jobs if job.state.over]

    told, spare = Told(selector), isinstance(operation, Cancel)
    async for (some, same), lost in slices(context, principal, selector, work, seen=operation.seen, spare=spare):
        told.add(some, same, lost)
        if live is not None:
            for job in some:
                if not job.state.over:
                    live.setdefault(job.batch, []).append(job.id)
    return told


async def _all_over(context: Context, principal: Principal, selector: Selector, seen: Seen | None) -> None:
    """Raises Conflict (`job-active`) when one is not, or (`changed`), and NotFound for a batch that is not theirs."""
    if isinstance(selector, Of) and seen is None:
        counted = await count(context, principal, Count(selector.batch))
        if all(state.over for state, number in counted.counts.items() if number):
            return

    def work(tx: Transaction, jobs: Sequence[Job], now: float) -> list[Job]:
        del tx, now
        return [job for job in jobs if not job.state.over]

    async with aclosing(slices(context, principal, selector, work, seen=seen, reading=True)) as pieces:
        async for live, _ in pieces:
            if live:
                names = ", ".join(job_text(job.batch, job.id) for job in live[:_NAMED])
                raise Conflict(f"not over: {names}; cancel them first, or ask with force", code="job-active")


async def _ended(context: Context, live: _Live) -> None:
    """Returns when all are over, or patience is."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    for batch, members in live.items():

        async def left(members: Sequence[JobId] = members) -> int:
            found = await context.store.read(lambda tx: tx.jobs.get(members))
            return sum(1 for job, _ in found.values() if not job.state.over)

        await context.feed.until(batch, left, max(0.0, deadline - loop.time()))
