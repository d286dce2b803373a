"""Find, Count, Describe: looking without touching."""

from __future__ import annotations

from msgspec.structs import replace

from jobgate.model.account import Principal
from jobgate.model.errors import TooLarge
from jobgate.model.ids import BatchId
from jobgate.model.job import Batch
from jobgate.model.operations import Count, Describe, Find
from jobgate.model.outcomes import Counted, Described, Found
from jobgate.model.selectors import Ids, Of, Where
from jobgate.operations.context import Context
from jobgate.operations.select import batch_of, select, view
from jobgate.operations.waits import Look
from jobgate.store.transaction import Transaction


async def find(context: Context, principal: Principal, operation: Find) -> Found:
    """The jobs meant. Raises NotFound for a batch that is not theirs, TooLarge for more than one answer shows."""
    most = context.limits.shown
    selector = operation.selector
    within = replace(selector, limit=most) if isinstance(selector, Where) and selector.limit > most else selector

    def work(tx: Transaction) -> Found:
        if isinstance(selector, Of) and (batch := batch_of(tx, principal, selector.batch)).count > most:
            _fits(sum(tx.jobs.counts(batch).values()), most)
        if isinstance(selector, Ids):
            _fits(len(selector.jobs), most)
        jobs, missing, more = select(tx, principal, within)
        if within is not selector and more is not None:
            _fits(most + 1, most)
        batches: dict[BatchId, Batch] = {}
        views = tuple(view(tx, job, attempts, batches) for job, attempts in jobs)
        if operation.waits:
            look = Look(tx, context, principal)
            views = tuple(replace(one, waits=look.waits(one.job, one.spec)) for one in views)
        return Found(jobs=views, missing=missing, more=more)

    return await context.store.read(work)


def _fits(number: int, most: int) -> None:
    """Raises TooLarge (`too-many-selected`)."""
    if number > most:
        raise TooLarge(f"these are more than the {most} jobs that one answer shows", code="too-many-selected")


async def count(context: Context, principal: Principal, operation: Count) -> Counted:
    """The batch's jobs by state. Raises NotFound."""

    def work(tx: Transaction) -> Counted:
        batch = batch_of(tx, principal, operation.batch)
        counts = tx.jobs.counts(batch)
        waits = Look(tx, context, principal).of_batch(batch, counts) if operation.waits else None
        return Counted(batch=batch, counts=counts, waits=waits)

    return await context.store.read(work)


async def describe(context: Context, principal: Principal, operation: Describe) -> Described:
    """The account that asks."""
    del operation

    def work(tx: Transaction) -> Described:
        account = tx.accounts.get(tx.accounts.heir(principal.account))
        return Described(account=account, counts=tx.jobs.owned(account.id))

    return await context.store.read(work)
