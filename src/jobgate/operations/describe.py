"""Describe, Programs: what the asker has, uses and may name."""

from __future__ import annotations

from msgspec.structs import replace

from jobgate.model.account import Account, Principal
from jobgate.model.allowance import InUse
from jobgate.model.limits import Limits
from jobgate.model.operations import Describe, Programs
from jobgate.model.outcomes import Described, Offered
from jobgate.operations.context import Context
from jobgate.store.transaction import Transaction


async def describe(context: Context, principal: Principal, operation: Describe) -> Described:
    """The account that asks, as it stands."""
    del operation
    now, held = context.clock(), context.snapshot().held

    def work(tx: Transaction) -> Described:
        account = tx.accounts.get(tx.accounts.heir(principal.account))
        counts = tx.jobs.owned(account.id)
        standing = tx.accounts.standings(now).get(account.id)
        return Described(
            account=account,
            counts=counts,
            scopes=principal.scopes,
            live=sum(number for state, number in counts.items() if not state.over),
            held=held.get(account.id, InUse()),
            stored=tx.folders.bytes_of(account.id),
            usage=0.0 if standing is None else standing.usage,
            credit=tx.accounts.credit(account.id),
            limits=_own(context.limits, account),
        )

    if not await context.store.read(lambda tx: tx.jobs.counted(tx.accounts.heir(principal.account))):
        await context.store.write(lambda tx: tx.jobs.keep_count(tx.accounts.heir(principal.account)))
    return await context.store.read(work)


def _own(limits: Limits, account: Account) -> Limits:
    """The limits as they are for this account."""
    quota = account.quota
    return replace(
        limits,
        live_jobs=limits.live_jobs if quota.live_jobs is None else quota.live_jobs,
        running=limits.running if quota.running is None else quota.running,
        cores=limits.cores if quota.cores is None else quota.cores,
        calls=limits.calls if quota.calls is None else quota.calls,
        storage=limits.storage if quota.storage is None else quota.storage,
    )


async def programs(context: Context, principal: Principal, operation: Programs) -> Offered:
    """What of the catalogue the account may use."""
    del operation
    return Offered(context.catalogue.seen_by(principal.name))
