"""Blobs in a directory: `ab/cdef…`, written beside and renamed, so that a name is there whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO, Final

from jobgate.files.storage import Source
from jobgate.model.errors import NotFound, TooLarge, Unavailable
from jobgate.model.files import Stored
from jobgate.model.ids import Digest

_PIECE: Final = 256 * 1024
_FRESH: Final = 600.0
"""Seconds in which a blob that was just stored is never deleted: whoever stored it is still saying so."""


class Disk:
    """Storage in one directory; `reserve` bytes of its file system stay free."""

    def __init__(self, root: Path, *, reserve: int = 0) -> None:
        self._root = root
        self._reserve = reserve
        self._temporary = root / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._temporary.iterdir():
            left.unlink()  # a process that was killed between write and rename

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest[2:]

    def free(self) -> int:
        """Bytes that can still be stored."""
        return max(shutil.disk_usage(self._root).free - self._reserve, 0)

    async def put(self, source: Source, *, limit: int | None) -> Stored:
        """Stores the content; see `Storage.put`."""
        if self.free() <= 0:
            raise Unavailable("the storage is full; try again later", code="storage-full", retry_after=60.0)
        temporary = self._temporary / secrets.token_hex(16)
        digest, size = hashlib.sha256(), 0
        try:
            with await asyncio.to_thread(temporary.open, "xb") as file:
                async for piece in _pieces(source):
                    size += len(piece)
                    if limit is not None and size > limit:
                        raise TooLarge(f"it is larger than {limit} bytes")
                    digest.update(piece)
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(_settle, file)
            name = Digest(digest.hexdigest())
            await asyncio.to_thread(self._enter, temporary, name)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Unavailable(
                    "the storage is full; try again later", code="storage-full", retry_after=60.0
                ) from error
            raise Unavailable(f"the storage cannot be written: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return Stored(name, size)

    def _enter(self, temporary: Path, digest: str) -> None:
        target = self._path(digest)
        if target.exists():
            os.utime(target)
            return
        target.parent.mkdir(exist_ok=True, mode=0o700)
        temporary.chmod(0o400)
        temporary.rename(target)
        for directory in (target.parent, self._root):
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

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

    async def delete(self, digests: Iterable[Digest]) -> None:
        """Deletes them; see `Storage.delete`."""
        await asyncio.to_thread(self._delete, list(digests))

    def _delete(self, digests: Iterable[Digest]) -> None:
        for digest in digests:
            path = self._path(digest)
            try:
                if time.time() - path.stat().st_mtime > _FRESH:
                    path.unlink()
            except FileNotFoundError:
                continue


async def _pieces(source: Source) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        yield source
    elif isinstance(source, AsyncIterator):
        async for piece in source:
            yield piece
    else:
        while piece := await asyncio.to_thread(source.read, _PIECE):
            yield piece


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


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
