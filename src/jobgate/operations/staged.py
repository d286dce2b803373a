"""Stage, AskStaged: files under names whose content never changes [BOINC, section 8]."""

from __future__ import annotations

from typing import Final

from jobgate.model.account import Principal
from jobgate.model.errors import Conflict, Invalid, NotFound
from jobgate.model.files import STAGED_NAME
from jobgate.model.folder import Entry, FolderKind
from jobgate.model.ids import AccountId, BatchId
from jobgate.model.storing import AskStaged, Stage, Staged
from jobgate.operations.context import Context
from jobgate.operations.select import present
from jobgate.operations.uploads import or_forsaken, within_quota
from jobgate.store.transaction import Transaction

_DAY: Final = 86_400.0
"""Seconds that a staged file lives at least."""


async def stage(context: Context, principal: Principal, operation: Stage) -> Staged:
    """All of them are held, or none of those that are new.

    Raises Invalid (`bad-name`), NotFound for a batch that is not the asker's or is retired, Conflict (`immutable`)
    whose field is the name that holds another content, TooMany (`storage-quota`).
    """
    for name, _ in operation.files:
        _check(name)
    now = context.clock()
    until = max(operation.until, now + _DAY)

    def work(tx: Transaction) -> Staged:
        owner = present(tx, principal).account
        batch = _batch(tx, owner, operation.batch)
        folder, _ = tx.folders.make(owner, FolderKind.STAGED, "", now)
        more = False
        for name, stored in operation.files:
            entry = tx.folders.look(folder.id, name)
            if entry is None:
                entry = Entry(
                    folder=folder.id, name=name, digest=stored.digest, size=stored.size, used=now, expires=until
                )
                tx.folders.put(entry)
                more = True
            elif entry.digest != stored.digest:
                told = f"the name {name!r} holds another content, and that never changes; take another name"
                raise Conflict(told, code="immutable", field=name)
            _keep(tx, entry, until, batch)
        if more:
            within_quota(tx, context, principal, owner)
        return Staged()

    return await or_forsaken(context, (stored for _, stored in operation.files), work, now)


async def ask_staged(context: Context, principal: Principal, operation: AskStaged) -> Staged:
    """Which of them are not held. Raises Invalid (`bad-name`), NotFound as `stage` does."""
    for name in operation.names:
        _check(name)
    until = max(operation.until, context.clock() + _DAY)

    def work(tx: Transaction) -> Staged:
        owner = present(tx, principal).account
        batch = _batch(tx, owner, operation.batch)
        folder = tx.folders.find(owner, FolderKind.STAGED, "")
        absent = []
        for place, name in enumerate(operation.names):
            entry = None if folder is None else tx.folders.look(folder.id, name)
            if entry is None:
                absent.append(place)
            else:
                _keep(tx, entry, until, batch)
        return Staged(absent=tuple(absent))

    return await context.store.write(work)


def staged(tx: Transaction, owner: AccountId, name: str) -> Entry:
    """What the account's name holds. Raises NotFound (`file-not-found`)."""
    folder = tx.folders.find(owner, FolderKind.STAGED, "")
    entry = None if folder is None else tx.folders.look(folder.id, name)
    if entry is None:
        raise NotFound(f"there is no staged file {name!r}", code="file-not-found", field=name)
    return entry


def _check(name: str) -> None:
    if not STAGED_NAME.fullmatch(name):
        told = "a staged file's name has 1 to 191 letters, digits, blanks, and . _ -"
        raise Invalid(told, code="bad-name", field="name")


def _batch(tx: Transaction, owner: AccountId, ident: BatchId | None) -> BatchId | None:
    """The batch that files are to live with; None when none is named. Raises NotFound."""
    if ident is None:
        return None
    batch = tx.jobs.batch(ident)
    if batch.owner != owner or batch.retired is not None:
        raise NotFound
    return batch.id


def _keep(tx: Transaction, entry: Entry, until: float, batch: BatchId | None) -> None:
    tx.folders.prolong(entry, until)
    if batch is not None:
        tx.folders.need(entry, batch)
