"""Uploads that come in parts. What has come lies on disk, below its account, under the digest it was announced by.

A part is told of only when it is synced: a client that goes on from there loses nothing, whatever is killed meanwhile.
One appends at a time; a lock on the file says who, and goes with its process.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from jobgate.model.errors import Conflict, Invalid, Misplaced, TooLarge, TooMany, Unavailable
from jobgate.model.files import Stored
from jobgate.model.ids import AccountId, Digest

T = TypeVar("T")

MOST: Final = 100
"""Uploads of one account that may be half there at one time."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class Part(msgspec.Struct, frozen=True):
    """An upload as far as it has come."""

    digest: Digest
    offset: int
    """Bytes that are there."""
    length: int
    """Bytes that it will have."""


class Adopts(Protocol):
    """The part of a storage that takes a file as it stands."""

    async def adopt(self, path: Path, digest: Digest) -> Stored:
        """See `Disk.adopt`."""
        ...


class Partials:
    """Uploads in parts below one directory, on the storage's own file system: the whole becomes a blob by a rename."""

    def __init__(self, root: Path, storage: Adopts, *, most: int = MOST) -> None:
        self._root = root
        self._storage = storage
        self._most = most
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def find(self, account: AccountId, digest: Digest) -> Part | None:
        """What has come of it, on disk; None when there is nothing."""
        return await asyncio.to_thread(self._find, account, digest)

    def _find(self, account: AccountId, digest: Digest) -> Part | None:
        path = self._path(account, digest)
        if path is None:
            return None
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            os.fsync(handle)  # what a killed process had written and not synced is told of too
            return Part(digest, os.fstat(handle).st_size, _length(path))
        finally:
            os.close(handle)

    async def announced(self, account: AccountId) -> int:
        """Bytes that all of an account's will have when they are whole."""
        return await asyncio.to_thread(lambda: sum(map(_length, self._of(account))))

    async def append(
        self, account: AccountId, digest: Digest, *, offset: int, length: int, pieces: AsyncIterator[bytes]
    ) -> Part | Stored:
        """Adds what `pieces` bring, and makes a blob of it when it is whole; what came is kept when they break off.

        Raises Misplaced when it does not begin at the present end, Conflict (`upload-busy`) while another appends,
        Invalid for another length than before, TooMany for one more than an account may have, TooLarge and Unavailable
        (`storage-full`), which leave it as it was, and Invalid (`mismatch`) for a whole of another content, which
        leaves nothing.
        """
        path, handle = await _through(self._enter, account, digest, offset, length)
        try:
            size = await self._add(handle, offset, length, pieces)
            return await self._storage.adopt(path, digest) if size == length else Part(digest, size, length)
        finally:
            os.close(handle)

    async def _add(self, handle: int, offset: int, length: int, pieces: AsyncIterator[bytes]) -> int:
        """Its size when all of the pieces are on disk."""
        size = offset
        try:
            async for piece in pieces:
                size += len(piece)
                _fits(size, length)
                await _through(_write, handle, piece)
        except (TooLarge, Unavailable):
            os.ftruncate(handle, offset)
            raise
        finally:
            await _through(os.fsync, handle)
        return size

    async def drop(self, account: AccountId, digest: Digest) -> bool:
        """Forgets it; whether there was something. Raises Conflict (`upload-busy`) while one appends."""
        return await _through(self._drop, account, digest)

    def _drop(self, account: AccountId, digest: Digest) -> bool:
        path = self._path(account, digest)
        return path is not None and _unlink(path, lambda _: True, told=True)

    async def expire(self, before: float) -> None:
        """Forgets those to which nothing was added since then."""
        await _through(self._expire, before)

    def _expire(self, before: float) -> None:
        for folder in self._root.iterdir():
            for path in folder.iterdir():
                _unlink(path, lambda status: status.st_mtime < before)
            with suppress(OSError):
                folder.rmdir()

    # --- on disk

    def _of(self, account: AccountId) -> list[Path]:
        folder = self._root / str(account)
        return list(folder.iterdir()) if folder.is_dir() else []

    def _path(self, account: AccountId, digest: Digest) -> Path | None:
        """Where it lies: its name says its digest and its length."""
        return next((path for path in self._of(account) if path.name.startswith(f"{digest}.")), None)

    def _enter(self, account: AccountId, digest: Digest, offset: int, length: int) -> tuple[Path, int]:
        """The file, open and locked; a new one where there is none."""
        folder = self._root / str(account)
        known = self._of(account)
        path, how = next((path for path in known if path.name.startswith(f"{digest}.")), None), 0
        if path is None:
            if offset:
                raise _nothing()
            if len(known) >= self._most:
                told = f"{self._most} uploads are half there; finish or delete one, or wait a day"
                raise TooMany(told, code="too-many-uploads", retry_after=3600.0)
            path, how = folder / f"{digest}.{length}", os.O_CREAT
        elif _length(path) != length:
            told = f"this upload was begun with {_length(path)} bytes; delete it to begin another"
            raise Invalid(told, field="Upload-Length")
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | how, 0o600)
        except FileNotFoundError as error:  # it was finished, or given up, a moment ago
            raise _nothing() from error
        except OSError as error:
            raise _refused(error) from error
        try:
            _lock(handle)
            _ends(os.fstat(handle), offset)
            for directory in (self._root, folder):
                _sync(directory)
        except BaseException:
            os.close(handle)
            raise
        return path, handle


def _fits(size: int, length: int) -> None:
    if size > length:
        raise TooLarge(f"more came than the {length} bytes that Upload-Length says", code="body-too-large")


def _ends(there: os.stat_result, offset: int) -> None:
    """Raises Misplaced unless it ends there."""
    if there.st_nlink == 0:
        raise _nothing()
    if there.st_size != offset:
        raise Misplaced.at(there.st_size, f"{there.st_size} bytes of it are here; go on from there")


def _nothing() -> Misplaced:
    return Misplaced.at(0, "nothing of this upload is here; begin at 0")


def _length(path: Path) -> int:
    return int(path.name.rpartition(".")[2])


def _lock(handle: int) -> None:
    """Raises Conflict when it is another's."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        told = "another request adds to this upload; ask how far it has come, and go on when that has ended"
        raise Conflict(told, code="upload-busy", retryable=True) from error


def _unlink(path: Path, meant: Callable[[os.stat_result], bool], *, told: bool = False) -> bool:
    """Whether it was there, was meant, and is away. One to which something is added stays; `told`: that is raised."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not meant(os.fstat(handle)):
            return False
        _lock(handle)
        path.unlink(missing_ok=True)
    except Conflict:
        if told:
            raise
        return False
    else:
        return True
    finally:
        os.close(handle)


def _write(handle: int, piece: bytes) -> None:
    """Raises Unavailable."""
    view = memoryview(piece)
    try:
        while view:
            view = view[os.write(handle, view) :]
    except OSError as error:
        raise _refused(error) from error


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(error: OSError) -> Unavailable:
    if error.errno in _FULL:
        return Unavailable("the storage is full; try again later", code="storage-full", retry_after=60.0)
    return Unavailable(f"the storage cannot be written: {error.strerror}")


async def _through(work: Callable[..., T], *args: object) -> T:
    """What `work` returns, from a thread. It is waited for even when the request is given up: the file is closed after.

    A file closed under a thread that writes to it could be another's by then.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise
