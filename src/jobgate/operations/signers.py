"""Who may have signed a link: the accounts that own what it is about, with their credentials as they are kept."""

from __future__ import annotations

from collections.abc import Iterator

from jobgate.model.account import SEALED, Account, Credential, Principal, Scope, Signature
from jobgate.model.ids import AccountId
from jobgate.model.selectors import BatchCalled
from jobgate.operations.called import batch_called, job_called
from jobgate.operations.context import Context
from jobgate.store.transaction import Transaction

Kept = tuple[Credential, Account, bytes]


async def signers(context: Context, signature: Signature) -> list[Kept]:
    """Every credential that a right signature may have been made with, its value still sealed."""
    return await context.store.read(lambda tx: list(_kept(tx, signature)))


def _kept(tx: Transaction, signature: Signature) -> Iterator[Kept]:
    for ident in _owners(tx, signature):
        account = tx.accounts.get(ident)
        for credential in tx.accounts.credentials(ident):
            if (
                credential.kind is signature.kind
                and (sealed := tx.secrets.sealed(credential.id).get(SEALED)) is not None
            ):
                yield credential, account, sealed


def _owners(tx: Transaction, signature: Signature) -> Iterator[AccountId]:
    """Of a number the one owner; a name may be that of things of several accounts."""
    if signature.of.number:
        owner = _owner(tx, Principal(account=AccountId(0), name="", scopes=frozenset({Scope.OPERATE})), signature)
        if owner is not None:
            yield owner
        return
    for account in tx.accounts.holders(signature.kind):
        if _owner(tx, Principal(account=account, name=""), signature) is not None:
            yield account


def _owner(tx: Transaction, principal: Principal, signature: Signature) -> AccountId | None:
    """Whose the thing is, as far as this principal may know of it."""
    if isinstance(signature.of, BatchCalled):
        batch = batch_called(tx, principal, signature.of)
        return None if batch is None else batch.owner
    job = job_called(tx, principal, signature.of)
    return None if job is None else tx.jobs.batch(job.name.batch).owner
