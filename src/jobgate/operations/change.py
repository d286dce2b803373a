"""Cancel, Change, Delete: events of the owner's, and forgetting."""

from __future__ import annotations

from collections.abc import Sequence

from jobgate.model.account import Principal
from jobgate.model.advance import Step
from jobgate.model.errors import Conflict
from jobgate.model.events import Cancel as CancelEvent
from jobgate.model.events import Event, Hold, Rank, Release
from jobgate.model.ids import JobId, job_text
from jobgate.model.job import Job
from jobgate.model.operations import Cancel, Change, Changed, Delete, Deleted, Selector
from jobgate.operations.context import Context
from jobgate.operations.select import select
from jobgate.store.transaction import Transaction

PATIENCE = 20.0
"""Seconds that a forced deletion waits for the engine's word on live jobs."""


async def cancel(context: Context, principal: Principal, operation: Cancel) -> Changed:
    """Asks that they stop; `unchanged` are those over already. Raises NotFound for a batch that is not theirs."""
    event = CancelEvent(operation.message or "cancelled by its owner")
    return await _apply(context, principal, operation.selector, (event,))


async def change(context: Context, principal: Principal, operation: Change) -> Changed:
    """Another priority; held or let go. Raises NotFound for a batch that is not theirs."""
    events: list[Event] = []
    if operation.priority is not None:
        events.append(Rank(operation.priority))
    if operation.hold is not None:
        events.append(Hold() if operation.hold else Release())
    return await _apply(context, principal, operation.selector, events)


async def _apply(context: Context, principal: Principal, selector: Selector, events: Sequence[Event]) -> Changed:
    now = context.clock()

    def work(tx: Transaction) -> Changed:
        jobs, missing, _ = select(tx, principal, selector)
        done: list[Job] = []
        unchanged: list[Job] = []
        for job, _ in jobs:
            if job.state.over:
                unchanged.append(job)
                continue
            last = tx.jobs.advance([(job.id, event) for event in events], now)[-1] if events else None
            done.append(last.job if isinstance(last, Step) else job)
        return Changed(done=tuple(done), unchanged=tuple(unchanged), missing=missing)

    return await context.store.write(work)


async def delete(context: Context, principal: Principal, operation: Delete) -> Deleted:
    """Forgets jobs that are over. Raises Conflict (`job-active`), and deletes nothing, when one is not."""
    if operation.force:
        changed = await cancel(context, principal, Cancel(selector=operation.selector, message="removed by its owner"))
        await _ended(context, [job for job in changed.done if not job.state.over])
    now = context.clock()

    def work(tx: Transaction) -> Deleted:
        jobs, missing, _ = select(tx, principal, operation.selector)
        live = [job for job, _ in jobs if not job.state.over]
        if live and not operation.force:
            names = ", ".join(job_text(job.id) for job in live[:10])
            raise Conflict(f"not over: {names}; cancel them first, or ask with force", code="job-active")
        over = [job.id for job, _ in jobs if job.state.over]
        tx.jobs.delete(over, now)
        return Deleted(jobs=tuple(over), stopping=tuple(job.id for job in live), missing=missing)

    return await context.store.write(work)


async def _ended(context: Context, jobs: Sequence[Job]) -> None:
    """Returns when all are over, or patience is."""
    ids: dict[object, list[JobId]] = {}
    for job in jobs:
        ids.setdefault(job.batch, []).append(job.id)
    for members in ids.values():
        batch = next(job.batch for job in jobs if job.id == members[0])

        async def left(members: list[JobId] = members) -> int:
            found = await context.store.read(lambda tx: tx.jobs.get(members))
            return sum(1 for job, _ in found.values() if not job.state.over)

        await context.feed.until(batch, left, PATIENCE)
