"""Environments: the places that jobs may run in, as they stand."""

from __future__ import annotations

from jobgate.model.account import Principal, Scope
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import NotFound
from jobgate.model.ids import drawn
from jobgate.model.operations import Environments
from jobgate.model.outcomes import Places, PlaceView
from jobgate.model.sight import Snapshot
from jobgate.operations.context import Context
from jobgate.operations.outlook import ACCOUNTS
from jobgate.operations.select import present
from jobgate.store.queue import EXACT
from jobgate.store.transaction import Transaction


async def environments(context: Context, principal: Principal, operation: Environments) -> Places:
    """Those the account may know of. Raises NotFound for a name that is none of them."""
    snapshot = context.snapshot()

    def work(tx: Transaction) -> Places:
        asker = present(tx, principal)
        shown = [e for e in context.environments if operation.name in (None, e.name) and _knows(asker, e)]
        if operation.name is not None and not shown:
            raise NotFound("there is no such environment", field="name")
        return Places(places=tuple(_seen(tx, snapshot, environment) for environment in shown), account=asker.account)

    return await context.store.read(work)


def _knows(principal: Principal, environment: ComputeEnvironment) -> bool:
    return environment.owner in (None, principal.account) or Scope.OPERATE in principal.scopes


def _seen(tx: Transaction, snapshot: Snapshot, environment: ComputeEnvironment) -> PlaceView:
    owners = tx.queue.owners(environment.name)[:ACCOUNTS]
    exact = EXACT // max(len(owners), 1)
    queued = sum(tx.queue.length(environment.name, owner, exact=exact).jobs for owner in owners)
    oldest = [job for owner in owners if (job := tx.queue.oldest(environment.name, owner)) is not None]
    return PlaceView(
        environment=environment,
        sight=snapshot.places.get(environment.name),
        queued=queued,
        oldest=drawn(min(oldest)) if oldest else None,
    )
