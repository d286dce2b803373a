"""Retire, Renew: a batch's owner is done with it, or holds on to it for longer."""

from __future__ import annotations

import math

from jobgate.model.account import Principal
from jobgate.model.errors import Invalid
from jobgate.model.operations import Cancel, Count, Renew, Retire
from jobgate.model.outcomes import Counted
from jobgate.model.selectors import Of
from jobgate.operations.change import cancel
from jobgate.operations.context import Context
from jobgate.operations.find import count, counted
from jobgate.operations.select import batch_of, unretired
from jobgate.store.transaction import Transaction


async def retire(context: Context, principal: Principal, operation: Retire) -> Counted:
    """The batch, in no list any more, and all its jobs asked to stop. The runner deletes its files as they end.

    Raises NotFound.
    """
    now = context.clock()

    def mark(tx: Transaction) -> None:
        tx.batches.retire(batch_of(tx, principal, operation.batch), now)

    await context.store.write(mark, spare=True)  # it makes room
    stands = await count(context, principal, Count(operation.batch))
    if all(state.over for state, number in stands.counts.items() if number):
        return stands
    await cancel(context, principal, Cancel(selector=Of(operation.batch), message="its batch was retired by its owner"))
    return await count(context, principal, Count(operation.batch))


async def renew(context: Context, principal: Principal, operation: Renew) -> Counted:
    """The batch with its lease. Raises NotFound, Conflict (`retired`), and Invalid for a time that is none."""
    expires = operation.expires
    if expires is not None and not (math.isfinite(expires) and expires > 0):
        raise Invalid("expires: this is no time", field="expires")

    def work(tx: Transaction) -> Counted:
        batch = batch_of(tx, principal, operation.batch)
        unretired(tx, (), batch)
        return counted(tx, tx.batches.renew(batch, expires))

    return await context.store.write(work, spare=True)  # without it, work would be lost when the lease ends
