"""Oversee: the whole server at a glance, of kept counts and what the runner has in memory; nothing is scanned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Final

from jobgate.model.account import Principal
from jobgate.model.ids import AccountId, drawn
from jobgate.model.operations import Oversee
from jobgate.model.outcomes import Overseen, Part
from jobgate.model.queue import Reason, Standing
from jobgate.operations.context import Context
from jobgate.operations.outlook import ACCOUNTS
from jobgate.operations.waits import Look
from jobgate.store.queue import EXACT
from jobgate.store.transaction import Transaction

SHOWN: Final = 50
"""Accounts of an answer."""


async def oversee(context: Context, principal: Principal, operation: Oversee) -> Overseen:
    """Who has what of the server, and what they wait for."""
    del operation
    snapshot = context.snapshot()
    up = [sight for sight in snapshot.places.values() if sight.down is None]
    running = Counter(one.owner for sight in snapshot.places.values() for one in sight.running)

    def work(tx: Transaction) -> Overseen:
        names = [environment.name for environment in context.environments]
        waiting = dict.fromkeys(owner for name in names for owner in tx.queue.owners(name))
        owners = sorted({*waiting, *running}, key=lambda owner: (-running[owner], owner))
        exact = EXACT // max(len(waiting), 1)
        queued = {owner: tx.queue.waiting(names, owner, exact).jobs for owner in islice(waiting, ACCOUNTS)}
        oldest = [job for owner in queued for name in names if (job := tx.queue.oldest(name, owner)) is not None]
        look = Look(tx, context, principal)

        def waits(owner: AccountId) -> Reason | None:
            for environment in context.environments if queued.get(owner) else ():
                outlook = look.outlook(environment)
                reason = Reason.ENVIRONMENT_DOWN if outlook is None else outlook.blocks(owner)
                if reason is not None:
                    return reason
            return None

        used, due = _shares(snapshot.standings, owners)
        return Overseen(
            since=snapshot.since,
            starts=snapshot.starts,
            slots=sum(e.slots for e in context.environments if snapshot.places.get(e.name) in up),
            free=sum(sight.room.slots for sight in up),
            running=sum(running.values()),
            queued=sum(queued.values()),
            oldest=drawn(min(oldest)) if oldest else None,
            behind=context.feed.behind(),
            parts=tuple(
                Part(
                    account=owner,
                    name=tx.accounts.get(owner).name,
                    running=running[owner],
                    queued=queued.get(owner, 0),
                    used=used[owner],
                    due=due[owner],
                    waits=waits(owner),
                )
                for owner in owners[:SHOWN]
            ),
            more=len(owners[SHOWN:]),
        )

    return await context.store.read(work)


def _shares(
    standings: Mapping[AccountId, Standing], owners: list[AccountId]
) -> tuple[dict[AccountId, float], dict[AccountId, float]]:
    """What each has of all that was used, and what is its due by weight among those that have jobs."""
    mine = {owner: standings.get(owner, Standing()) for owner in owners}
    whole = sum(standing.usage for standing in standings.values())
    weights = sum(standing.weight for standing in mine.values())
    used = {owner: standing.usage / whole if whole else 0.0 for owner, standing in mine.items()}
    return used, {owner: standing.weight / weights for owner, standing in mine.items()}
