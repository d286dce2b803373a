"""Blobs in a directory: `ab/cdef…`, written beside and renamed, so that a name is there whole or not at all.

What is half written lies in `tmp/`, in a directory of its process, which holds a lock on it for as long as it lives:
the next to start deletes those that nobody holds. A lock on the whole keeps a blob that is stored again from being
deleted at that moment, by another thread or another process.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from jobgate.files.storage import Readable, Source
from jobgate.model.errors import Invalid, NotFound, TooLarge, Unavailable
from jobgate.model.files import Stored
from jobgate.model.ids import Digest

_PIECE: Final = 256 * 1024
_FRESH: Final = 600.0
"""Seconds in which a blob that was just stored is never deleted: whoever stored it is still saying so."""
_SYNCING: Final = 16
"""Syncs that wait for the disk together."""
_SHARDS: Final = tuple(f"{number:02x}" for number in range(256))


class Disk:
    """Storage in one directory; `reserve` bytes of its file system stay free."""

    def __init__(self, root: Path, *, reserve: int = 0) -> None:
        self._root = root
        self._reserve = reserve
        temporary = root / "tmp"
        temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked(fcntl.LOCK_EX):
            for name in _SHARDS:
                (root / name).mkdir(exist_ok=True, mode=0o700)
            _sync(root)
            _sweep(temporary)
            self._temporary = temporary / secrets.token_hex(16)
            self._temporary.mkdir(mode=0o700)
            handle = os.open(self._temporary, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(handle, fcntl.LOCK_EX)
        weakref.finalize(self, os.close, handle)

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest[2:]

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)

    def free(self) -> int:
        """Bytes that can still be stored."""
        return max(shutil.disk_usage(self._root).free - self._reserve, 0)

    def size(self) -> int:
        """Bytes that could be stored, were nothing else on its file system."""
        return max(shutil.disk_usage(self._root).total - self._reserve, 0)

    # --- in

    async def put(self, source: Source, *, limit: int | None) -> Stored:
        """Stores the content; see `Storage.put`."""
        return (await self.put_all((source,), limit=limit))[0]

    async def put_all(self, sources: Sequence[Source], *, limit: int | None) -> list[Stored]:
        """Stores each of them; see `Storage.put_all`."""
        if not sources:
            return []
        if self.free() <= 0:
            raise _full()
        sourced = [(self._temporary / secrets.token_hex(16), source) for source in sources]
        try:
            stored = await _write(sourced, limit)
            await asyncio.to_thread(self._enter, stored)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full() from error
            raise Unavailable(f"the storage cannot be written: {error.strerror}") from error
        finally:
            for path, _ in sourced:
                path.unlink(missing_ok=True)
        return [stored[path] for path, _ in sourced]

    async def adopt(self, path: Path, digest: Digest) -> Stored:
        """A file beside the blobs becomes one, by a rename.

        Raises Invalid (`mismatch`) when its content is not what the digest says, Unavailable. It is away afterwards,
        unless the storage cannot be written: then it may be tried again.
        """
        try:
            return await asyncio.to_thread(self._adopt, path, digest)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full() from error
            raise Unavailable(f"the storage cannot be written: {error.strerror}") from error

    def _adopt(self, path: Path, digest: Digest) -> Stored:
        found = _hashed(path)
        if found.digest != digest:
            path.unlink(missing_ok=True)
            raise Invalid(f"the content is another: its SHA-256 is {found.digest}", code="mismatch", field="sha256")
        path.chmod(0o400)
        os.utime(path)  # it is stored now, however long it took to come
        self._enter({path: found})
        path.unlink(missing_ok=True)  # it was there already
        return found

    def _enter(self, written: Mapping[Path, Stored]) -> None:
        """Gives each its name when all of it is on disk; when this returns, the names are too."""
        fresh = []
        with self._locked(fcntl.LOCK_SH):
            for path, stored in written.items():
                if not self._renew(stored):
                    fresh.append((path, self._path(stored.digest)))
        _sync_all([path for path, _ in fresh])
        for path, target in fresh:
            path.rename(target)
        _sync_all([self._root / name for name in {stored.digest[:2] for stored in written.values()}])

    def _renew(self, stored: Stored) -> bool:
        """Whether it is there already, and so is kept for a while. One of another size was spoilt, and is replaced."""
        target = self._path(stored.digest)
        try:
            if target.stat().st_size != stored.size:
                return False
            os.utime(target)
        except FileNotFoundError:
            return False
        return True

    # --- out

    async def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The content, in pieces; see `Storage.open`."""
        try:
            file = await asyncio.to_thread(self._path(digest).open, "rb")
        except FileNotFoundError as error:
            raise NotFound("this file is not kept any more", code="file-not-found") from error
        with file:
            await asyncio.to_thread(file.seek, offset)
            left = length if length is not None else -1
            while left != 0:
                piece = await asyncio.to_thread(file.read, _PIECE if left < 0 else min(left, _PIECE))
                if not piece:
                    return
                left -= len(piece) if left > 0 else 0
                yield piece

    async def copy_to(self, digest: Digest, target: Path, *, executable: bool = False) -> None:
        """A file of its own; see `Storage.copy_to`. Never a link: a job could write through it."""
        try:
            await asyncio.to_thread(_copy, self._path(digest), target, 0o755 if executable else 0o644)
        except FileNotFoundError as error:
            raise NotFound("this file is not kept any more", code="file-not-found") from error

    # --- away

    async def delete(self, digests: Iterable[Digest]) -> list[Digest]:
        """Deletes them; see `Storage.delete`."""
        return await asyncio.to_thread(self._delete, list(digests))

    def _delete(self, digests: Iterable[Digest]) -> list[Digest]:
        kept = []
        with self._locked(fcntl.LOCK_EX):
            for digest in digests:
                path = self._path(digest)
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _FRESH:
                        path.unlink()
                    else:
                        kept.append(digest)
        return kept

    async def aged(self, before: float) -> AsyncIterator[list[Digest]]:
        """Blobs last stored before then; see `Storage.aged`."""
        for name in _SHARDS:
            yield await asyncio.to_thread(_aged, self._root / name, before)


def _full() -> Unavailable:
    return Unavailable("the storage is full; try again later", code="storage-full", retry_after=60.0)


def _sweep(temporary: Path) -> None:
    """Deletes what processes that are no more left between write and rename."""
    for left in temporary.iterdir():
        if not left.is_dir():
            left.unlink()
            continue
        handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(left)
        finally:
            os.close(handle)


class _Writer:
    """A new file, its digest and its size."""

    def __init__(self, file: BinaryIO, limit: int | None) -> None:
        self._file = file
        self._limit = limit
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Raises TooLarge."""
        self._size += len(piece)
        if self._limit is not None and self._size > self._limit:
            raise TooLarge(f"it is larger than {self._limit} bytes")
        self._digest.update(piece)
        self._file.write(piece)

    def end(self) -> Stored:
        """Hands all of it to the kernel, which begins to write it down; the sync that follows finds less to do."""
        self._file.flush()
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return Stored(Digest(self._digest.hexdigest()), self._size)


async def _write(sourced: Sequence[tuple[Path, Source]], limit: int | None) -> dict[Path, Stored]:
    """A file of each; those that are read without waiting are written in one go."""
    plain = [(path, source) for path, source in sourced if not isinstance(source, AsyncIterator)]
    stored = await asyncio.to_thread(_write_now, plain, limit) if plain else {}
    for path, source in sourced:
        if isinstance(source, AsyncIterator):
            stored[path] = await _write_stream(path, source, limit)
    return stored


def _write_now(plain: Sequence[tuple[Path, bytes | Readable]], limit: int | None) -> dict[Path, Stored]:
    stored = {}
    for path, source in plain:
        with _new(path) as file:
            writer = _Writer(file, limit)
            if isinstance(source, bytes):
                writer.write(source)
            else:
                while piece := source.read(_PIECE):
                    writer.write(piece)
            stored[path] = writer.end()
    return stored


async def _write_stream(path: Path, source: AsyncIterator[bytes], limit: int | None) -> Stored:
    with await asyncio.to_thread(_new, path) as file:
        writer = _Writer(file, limit)
        async for piece in source:
            await asyncio.to_thread(writer.write, piece)
        return await asyncio.to_thread(writer.end)


def _new(path: Path) -> BinaryIO:
    """A file that is written once."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb")


def _hashed(path: Path) -> Stored:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Stored(Digest(digest), os.fstat(file.fileno()).st_size)


def _sync_all(paths: Sequence[Path]) -> None:
    """All at the same time: the file system writes them down in one go, where one by one each would wait for its own.

    Not by `syncfs`, which would wait for whatever running jobs have written too.
    """
    if len(paths) <= 1:
        for path in paths:
            _sync(path)
        return
    with ThreadPoolExecutor(min(len(paths), _SYNCING), "jobgate-sync") as pool:
        for _ in pool.map(_sync, paths):
            pass


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _aged(directory: Path, before: float) -> list[Digest]:
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < before:
                    found.append(Digest(directory.name + entry.name))
    return found


def _copy(source: Path, target: Path, mode: int) -> None:
    with source.open("rb") as read, target.open("xb") as write:
        size = os.fstat(read.fileno()).st_size
        done = 0
        while done < size:
            sent = os.copy_file_range(read.fileno(), write.fileno(), size - done)
            if not sent:
                break
            done += sent
        os.fchmod(write.fileno(), mode)
