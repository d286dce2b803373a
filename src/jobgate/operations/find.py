"""Find, FindBatches, Count, Describe: looking without touching."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from jobgate.model.account import Principal
from jobgate.model.credit import ends
from jobgate.model.errors import TooLarge
from jobgate.model.ids import EnvironmentName
from jobgate.model.job import Batch
from jobgate.model.operations import Count, Find, FindBatches
from jobgate.model.outcomes import Counted, Found, FoundBatches
from jobgate.model.selectors import Ids, Of, Where
from jobgate.operations.context import Context
from jobgate.operations.failures import failures
from jobgate.operations.logs import tail
from jobgate.operations.select import batch_of, present, select, views
from jobgate.operations.speed import throughput
from jobgate.operations.waits import Look
from jobgate.store.transaction import Transaction

_FIRST: Final = 8
"""Jobs of a batch that say where it runs."""


async def find(context: Context, principal: Principal, operation: Find) -> Found:
    """The jobs meant. Raises NotFound for a batch that is not theirs, TooLarge for more than one answer shows."""
    most = context.limits.shown
    selector = operation.selector
    within = replace(selector, limit=most) if isinstance(selector, Where) and selector.limit > most else selector

    def work(tx: Transaction) -> Found:
        if isinstance(selector, Where) and selector.needs_batch and selector.batch is not None:
            batch_of(tx, principal, selector.batch)
        if isinstance(selector, Of) and (batch := batch_of(tx, principal, selector.batch)).count > most:
            _fits(sum(tx.jobs.counts(batch).values()), most)
        if isinstance(selector, Ids):
            _fits(len(selector.jobs), most)
        jobs, missing, more = select(tx, principal, within)
        if within is not selector and more is not None:
            _fits(most + 1, most)
        found = views(tx, jobs)
        if operation.waits:
            look = Look(tx, context, principal)
            found = tuple(replace(one, waits=look.waits(one.job, one.spec)) for one in found)
        return Found(jobs=found, missing=missing, more=more)

    found = await context.store.read(work)
    if not operation.tail:
        return found
    told = [replace(one, tail=await tail(context, one.job, one.attempts, operation.tail)) for one in found.jobs]
    return replace(found, jobs=tuple(told))


def _fits(number: int, most: int) -> None:
    """Raises TooLarge (`too-many-selected`)."""
    if number > most:
        raise TooLarge(f"these are more than the {most} jobs that one answer shows", code="too-many-selected")


async def count(context: Context, principal: Principal, operation: Count) -> Counted:
    """The batch's jobs by state. Raises NotFound."""

    def work(tx: Transaction) -> Counted:
        look = Look(tx, context, principal) if operation.waits else None
        stands = _looked(counted(tx, batch_of(tx, principal, operation.batch)), look)
        return Worth(context).of(tx, stands) if operation.ledger else stands

    found = await context.store.read(work)
    if not operation.failures:
        return found
    return replace(found, failures=await failures(context, found.batch))


def counted(tx: Transaction, batch: Batch) -> Counted:
    """How a batch stands."""
    tally = tx.jobs.tally(batch)
    return Counted(
        batch=batch,
        counts=tally.counts,
        version=tally.version + batch.renamed,
        started=tally.started,
        ended=tally.ended,
        environments=_environments(tx, batch),
    )


class Worth:
    """What batches are worth at this moment; how fast the server is, is asked once for all of them."""

    def __init__(self, context: Context) -> None:
        self._now = context.clock()
        self._speed = throughput(context)

    def of(self, tx: Transaction, stands: Counted) -> Counted:
        """With what its jobs are worth, and when the last of them will have ended."""
        known = tx.jobs.ledger(stands.batch)
        over = all(state.over for state, number in stands.counts.items() if number)
        end = stands.ended if over else ends(known, self._now, self._speed)
        return replace(stands, ledger=known, est_end=end)


def _looked(stands: Counted, look: Look | None) -> Counted:
    """With why its jobs wait, where that was asked."""
    return stands if look is None else replace(stands, waits=look.of_batch(stands.batch, stands.counts))


def _environments(tx: Transaction, batch: Batch) -> tuple[EnvironmentName, ...]:
    """In the order in which they come first."""
    found: dict[EnvironmentName, None] = {}
    for job, attempts in tx.jobs.members(batch, 0, _FIRST):
        last = attempts[-1].environment if attempts else tx.jobs.spec(job.spec).place.environment
        if last is not None:
            found[last] = None
    return tuple(found)


async def find_batches(context: Context, principal: Principal, operation: FindBatches) -> FoundBatches:
    """A page of the asker's batches."""
    where = operation.where

    def work(tx: Transaction) -> FoundBatches:
        found: list[Counted] = []
        looks, look = where.looks, Look(tx, context, principal) if operation.waits else None
        worth = Worth(context) if operation.ledger else None
        for batch in tx.lists.batches(present(tx, principal).account, where):
            if len(found) == where.limit:
                return FoundBatches(batches=tuple(found), more=found[-1].batch.id)
            if batch.retired is None or where.retired:
                one = counted(tx, batch)
                if not where.states or one.state in where.states:
                    shown = _looked(one, look)
                    found.append(shown if worth is None else worth.of(tx, shown))
            looks -= 1
            if not looks:
                return FoundBatches(batches=tuple(found), more=batch.id)
        return FoundBatches(batches=tuple(found))

    return await context.store.read(work)
