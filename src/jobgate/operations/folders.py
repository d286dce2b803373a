"""Folders and their entries; the account's uploads are one of them, read like the others."""

from __future__ import annotations

from typing import Final

from jobgate.model.account import Principal
from jobgate.model.errors import Conflict, NotFound
from jobgate.model.files import Artifact, Stored, check_path, check_segment
from jobgate.model.folder import Entry, Folder, FolderKind
from jobgate.model.ids import Digest, drawn
from jobgate.model.outcomes import Content, Written
from jobgate.model.storing import (
    DropEntry,
    DropFolder,
    Dropped,
    Entries,
    FindFolder,
    Folders,
    Holding,
    ListEntries,
    ListFolders,
    MakeFolder,
    PutEntry,
    ReadEntry,
)
from jobgate.operations.context import Context
from jobgate.operations.select import present
from jobgate.operations.uploads import drop_upload, or_forsaken, within_quota
from jobgate.store.transaction import Transaction

_SLICE: Final = 500
"""Entries that one transaction forgets: what others wait for at most."""


# --- folders


async def list_folders(context: Context, principal: Principal, operation: ListFolders) -> Folders:
    """A page of the account's folders."""

    def work(tx: Transaction) -> Folders:
        owner = present(tx, principal).account
        found = tx.folders.page(owner, operation.after, operation.limit + 1)
        shown = tuple(_holding(tx, folder) for folder in found[: operation.limit])
        return Folders(folders=shown, more=len(found) > operation.limit)

    return await context.store.read(work)


async def make_folder(context: Context, principal: Principal, operation: MakeFolder) -> Folders:
    """The folder; one that is there stays as it is. Raises Invalid for a name that cannot be."""
    check_segment(operation.name, "name")
    now = context.clock()

    def work(tx: Transaction) -> Folders:
        owner = present(tx, principal).account
        folder, fresh = tx.folders.make(owner, FolderKind.FILES, operation.name, now)
        return Folders(folders=(_holding(tx, folder),), fresh=fresh)

    return await context.store.write(work)


async def find_folder(context: Context, principal: Principal, operation: FindFolder) -> Folders:
    """The folder. Raises NotFound."""
    return await context.store.read(lambda tx: Folders(folders=(_holding(tx, _folder(tx, principal, operation.name)),)))


async def drop_folder(context: Context, principal: Principal, operation: DropFolder) -> Dropped:
    """Forgets it. Raises NotFound, Conflict (`folder-not-empty`) unless its entries may go too.

    Of many entries it is done slice by slice: when it breaks off, the same request does the rest.
    """
    now = context.clock()

    def work(tx: Transaction) -> bool:
        folder = _folder(tx, principal, operation.name)
        if not operation.force and tx.folders.entries(folder.id, limit=1):
            raise Conflict("it has files; delete them, or ask with force=true", code="folder-not-empty")
        return tx.folders.delete(folder.id, now, _SLICE)

    while not await context.store.write(work, spare=True):
        pass
    return Dropped()


def _folder(tx: Transaction, principal: Principal, name: str) -> Folder:
    found = tx.folders.find(present(tx, principal).account, FolderKind.FILES, name)
    if found is None:
        raise NotFound("this account has no such folder", code="folder-not-found")
    return found


def _holding(tx: Transaction, folder: Folder) -> Holding:
    files, size = tx.folders.holds(folder.id)
    return Holding(folder=folder, created=drawn(folder.id), files=files, size=size)


# --- entries


async def list_entries(context: Context, principal: Principal, operation: ListEntries) -> Entries:
    """A page of a folder. Raises NotFound; an account without uploads has an empty list of them."""

    def work(tx: Transaction) -> Entries:
        if operation.folder is None:
            folder = tx.folders.find(present(tx, principal).account, FolderKind.UPLOADS, "")
            if folder is None:
                return Entries(entries=())
        else:
            folder = _folder(tx, principal, operation.folder)
        limit = operation.limit
        found = tx.folders.entries(folder.id, prefix=operation.prefix, after=operation.after, limit=limit + 1)
        return Entries(entries=tuple(found[:limit]), more=len(found) > limit)

    return await context.store.read(work)


async def read_entry(context: Context, principal: Principal, operation: ReadEntry) -> Content:
    """What it holds. Raises NotFound."""

    def work(tx: Transaction) -> Content:
        entry = _entry(tx, principal, operation.folder, operation.name)
        return Content(artifact=Artifact(entry.name, entry.digest, entry.size), name=entry.name.rpartition("/")[2])

    return await context.store.read(work)


async def put_entry(context: Context, principal: Principal, operation: PutEntry) -> Written:
    """Names the content.

    Raises NotFound for a folder, or an upload, that is not there, Invalid for a path that cannot be, Conflict
    (`changed`) when the entry is not what was expected, TooMany (`storage-quota`).
    """
    check_path(operation.name, "path")
    now = context.clock()

    def work(tx: Transaction) -> Written:
        folder = _folder(tx, principal, operation.folder)
        known = tx.folders.look(folder.id, operation.name)
        _expected(known, operation.match, there=operation.there)
        stored = operation.content
        if not isinstance(stored, Stored):
            upload = _entry(tx, principal, None, stored)
            stored = Stored(upload.digest, upload.size)
        entry = Entry(folder=folder.id, name=operation.name, digest=stored.digest, size=stored.size, used=now)
        fresh = tx.folders.set(entry, now)
        if known is None or known.size < stored.size:
            within_quota(tx, context, principal, folder.owner)
        return Written(digest=stored.digest, size=stored.size, fresh=fresh)

    if isinstance(operation.content, Stored):
        return await or_forsaken(context, (operation.content,), work, now)
    return await context.store.write(work)


async def drop_entry(context: Context, principal: Principal, operation: DropEntry) -> Dropped:
    """Forgets it. Raises NotFound, Conflict (`changed`), and of an upload (`upload-busy`)."""
    now = context.clock()
    if operation.folder is None:
        await drop_upload(context, principal, Digest(operation.name))
        return Dropped()

    def work(tx: Transaction) -> Dropped:
        entry = _entry(tx, principal, operation.folder, operation.name)
        _expected(entry, operation.match)
        tx.folders.remove(entry, now)
        return Dropped()

    return await context.store.write(work, spare=True)


def _entry(tx: Transaction, principal: Principal, folder: str | None, name: str) -> Entry:
    """Raises NotFound."""
    if folder is not None:
        return tx.folders.get(_folder(tx, principal, folder).id, name)
    uploads = tx.folders.find(present(tx, principal).account, FolderKind.UPLOADS, "")
    if uploads is None:
        raise NotFound(f"there is no stored file {name}", code="file-not-found")
    return tx.folders.get(uploads.id, name)


def _expected(known: Entry | None, match: tuple[Digest, ...] | None, *, there: bool | None = None) -> None:
    if there is False and known is not None:
        raise Conflict("there is a file of this name already", code="changed")
    if there and known is None:
        raise Conflict("there is no file of this name", code="changed")
    if match is not None and (known is None or known.digest not in match):
        raise Conflict("the file is not what it was; read it again", code="changed")
