"""Who may have signed a link: the accounts that own what it is about, with their credentials as they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from jobgate.model.account import SEALED, Account, Credential, Principal, Scope, Signature
from jobgate.model.ids import AccountId
from jobgate.model.selectors import BatchCalled
from jobgate.operations.called import PIECE, batch_called, job_called
from jobgate.operations.context import Context
from jobgate.store.transaction import Transaction

Kept = tuple[Credential, Account, bytes]


async def signers(context: Context, signature: Signature) -> list[Kept]:
    """Every credential that a right signature may have been made with, its value still sealed."""
    owners = await _owners(context, signature)
    return await context.store.read(lambda tx: list(_kept(tx, signature, owners)))


def _kept(tx: Transaction, signature: Signature, owners: Sequence[AccountId]) -> Iterator[Kept]:
    for ident in owners:
        account = tx.accounts.get(ident)
        for credential in tx.accounts.credentials(ident):
            if (
                credential.kind is signature.kind
                and (sealed := tx.secrets.sealed(credential.id).get(SEALED)) is not None
            ):
                yield credential, account, sealed


async def _owners(context: Context, signature: Signature) -> list[AccountId]:
    """Of a number the one owner; a name may be that of things of several accounts."""
    if signature.of.number:
        anybody = Principal(account=AccountId(0), name="", scopes=frozenset({Scope.OPERATE}))
        owner = await context.store.read(lambda tx: _owner(tx, anybody, signature))
        return [] if owner is None else [owner]
    holders = await context.store.read(lambda tx: tx.accounts.holders(signature.kind))
    owners: list[AccountId] = []

    def some(tx: Transaction, start: int) -> None:
        asked = holders[start : start + PIECE]
        owners.extend(one for one in asked if _owner(tx, Principal(account=one, name=""), signature) is not None)

    for start in range(0, len(holders), PIECE):
        await context.store.read(partial(some, start=start))
        await asyncio.sleep(0)  # whoever asks is not known yet, and the accounts may be many
    return owners


def _owner(tx: Transaction, principal: Principal, signature: Signature) -> AccountId | None:
    """Whose the thing is, as far as this principal may know of it."""
    if isinstance(signature.of, BatchCalled):
        batch = batch_called(tx, principal, signature.of)
        return None if batch is None else batch.owner
    job = job_called(tx, principal, signature.of)
    return None if job is None else tx.jobs.batch(job.name.batch).owner
