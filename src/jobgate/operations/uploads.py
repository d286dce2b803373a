"""Write, FindUpload, Append: uploads, whole or in parts. Knowing a content's hash gives nobody what another stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from jobgate.model.account import Principal
from jobgate.model.errors import Misplaced, NotFound, RequestError, TooLarge, TooMany, Unavailable
from jobgate.model.files import Stored
from jobgate.model.folder import Entry, FolderKind
from jobgate.model.ids import AccountId, Digest
from jobgate.model.operations import Write
from jobgate.model.outcomes import Written
from jobgate.model.storing import Append, FindUpload, Uploaded
from jobgate.operations.context import Context
from jobgate.operations.select import present
from jobgate.store.transaction import Transaction

T = TypeVar("T")


async def write(context: Context, principal: Principal, operation: Write) -> Written:
    """An upload becomes an entry of the account's uploads. Raises TooLarge, TooMany (`storage-quota`), Unavailable."""
    upload = operation.upload
    if isinstance(upload, bytes):
        upload = await context.blobs.put(upload, limit=context.limits.upload)
    return await _enter(context, principal, upload, operation.lives)


async def _enter(context: Context, principal: Principal, stored: Stored, lives: float) -> Written:
    now = context.clock()

    def work(tx: Transaction) -> Written:
        owner = present(tx, principal).account
        entry = Entry(
            folder=tx.folders.uploads(owner, now),
            name=stored.digest,
            digest=stored.digest,
            size=stored.size,
            used=now,
            expires=now + lives,
        )
        fresh = tx.folders.put(entry)
        if fresh:
            within_quota(tx, context, principal, owner)
        return Written(digest=stored.digest, size=stored.size, fresh=fresh)

    return await or_forsaken(context, (stored,), work, now)


async def find_upload(context: Context, principal: Principal, operation: FindUpload) -> Uploaded:
    """How far it has come; also one that is whole. Raises NotFound (`file-not-found`)."""
    owner, entry = await context.store.read(lambda tx: _known(tx, principal, operation.digest))
    if entry is not None:
        return _whole(entry)
    part = await context.parts.find(owner, operation.digest)
    if part is None:
        raise NotFound("nothing of this upload is here", code="file-not-found")
    return Uploaded(digest=part.digest, offset=part.offset, length=part.length, complete=False)


async def append(context: Context, principal: Principal, operation: Append, content: AsyncIterator[bytes]) -> Uploaded:
    """One more part of it. All that can be refused is refused before any of the content is taken.

    Raises TooLarge, TooMany (`storage-quota`, `too-many-uploads`), Unavailable (`storage-full`), Misplaced, Conflict
    (`upload-busy`), Invalid for another length, or (`mismatch`) for a whole that is another content.
    """
    digest, length, offset = operation.digest, operation.length, operation.offset
    owner, entry = await context.store.read(lambda tx: _known(tx, principal, digest))
    if entry is not None:
        if offset != entry.size or length != entry.size:
            raise Misplaced.at(entry.size, f"all {entry.size} bytes of it are here")
        return _whole(entry)
    if length > context.limits.upload:
        told = f"an upload may have at most {context.limits.upload} bytes here"
        raise TooLarge(told, code="body-too-large")
    part = await context.parts.find(owner, digest)
    more = await context.parts.announced(owner) + (length if part is None else 0)
    await context.store.read(lambda tx: within_quota(tx, context, principal, owner, more))
    if length - offset > context.blobs.free():
        raise Unavailable("the storage has no room for it; try again later", code="storage-full", retry_after=60.0)
    added = await context.parts.append(owner, digest, offset=offset, length=length, pieces=content)
    if not isinstance(added, Stored):
        return Uploaded(digest=digest, offset=added.offset, length=length, complete=False)
    await _enter(context, principal, added, operation.lives)
    return Uploaded(digest=digest, offset=added.size, length=added.size, complete=True, fresh=True)


async def drop_upload(context: Context, principal: Principal, digest: Digest) -> None:
    """Forgets it, whole or not. Raises NotFound, Conflict (`upload-busy`) while a part comes."""
    now = context.clock()

    def work(tx: Transaction) -> bool:
        _, entry = _known(tx, principal, digest)
        if entry is not None:
            tx.folders.remove(entry, now)
        return entry is not None

    was = await context.store.write(work, spare=True)
    owner, _ = await context.store.read(lambda tx: _known(tx, principal, digest))
    if not await context.parts.drop(owner, digest) and not was:
        raise NotFound("there is no such upload", code="file-not-found")


def _known(tx: Transaction, principal: Principal, digest: Digest) -> tuple[AccountId, Entry | None]:
    """Whose it would be, and the account's own upload of that content."""
    owner = present(tx, principal).account
    folder = tx.folders.find(owner, FolderKind.UPLOADS, "")
    return owner, None if folder is None else tx.folders.look(folder.id, digest)


def _whole(entry: Entry) -> Uploaded:
    return Uploaded(digest=entry.digest, offset=entry.size, length=entry.size, complete=True)


# --- what an account may store


def within_quota(tx: Transaction, context: Context, principal: Principal, owner: AccountId, more: int = 0) -> None:
    """Raises TooMany (`storage-quota`) when what the account has stored, and `more`, is over what it may."""
    quota = principal.quota.storage
    most = context.limits.storage or None if quota is None else quota
    if most is not None and tx.folders.bytes_of(owner) + more > most:
        raise TooMany(
            f"this account may have {most} bytes of stored files, and this one would be too much; come again when "
            "some have expired, or ask the operator for more",
            code="storage-quota",
            retry_after=3600.0,
        )


async def or_forsaken(context: Context, stored: Iterable[Stored], work: Callable[[Transaction], T], now: float) -> T:
    """What `work` returns. When it is refused, what was stored for it is nobody's, and deleted within hours."""
    try:
        return await context.store.write(work)
    except (RequestError, Unavailable):
        with suppress(Unavailable):  # then it is found a day later
            lost = [one.digest for one in stored]
            await context.store.write(lambda tx: tx.blobs.forsake(lost, now), spare=True)
        raise
