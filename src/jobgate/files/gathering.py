"""A zip archive whose list of files is not known when it begins, made while it is sent.

Its directory stands at its end, so a line of it is written for each file that was sent: to memory at first, to a
temporary file where there are many. Memory holds a piece of one file, and the list of one job's.

Sources: APPNOTE.TXT 6.3.10, sections 4.3 (layout), 4.4.4 (bits 3 and 11), 4.5.3 (zip64).
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final, Self

from jobgate.files.archive import PIECE, Blobs, content, moment, safe_names
from jobgate.model.errors import JobgateError
from jobgate.model.files import Artifact
from jobgate.model.storing import Bundle

_LIMIT: Final = 0xFFFF_FFFF
_MOST: Final = 0xFFFF
"""Where the numbers of the plain format end."""
_IN_MEMORY: Final = 1 << 20
"""Bytes of the directory that stay in memory."""
_LATER: Final = 1 << 3
_UTF8: Final = 1 << 11
"""Flags: checksum and sizes stand behind the content; the name is in UTF-8."""
_PLAIN: Final = 20
_WIDE: Final = 45
"""Version that reads it."""
_UNIX: Final = 3 << 8
_REGULAR: Final = 0o100000

_HEAD: Final = struct.Struct("<4s5H3L2H")
_BEHIND: Final = struct.Struct("<4s3L")
_WIDE_BEHIND: Final = struct.Struct("<4sL2Q")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_WIDE_END: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")


async def gathered(
    bundles: AsyncIterator[Bundle], blobs: Blobs, *, fold_case: bool = False
) -> AsyncGenerator[bytes, None]:
    """All of its bytes, in pieces. Each job's files lie below its folder, under names that can be unpacked anywhere.

    What the bundles raise, NotFound for a file that is not kept any more, or JobgateError for one that is shorter than
    it was, breaks it off: what was sent is no archive, as its missing end tells.
    """
    with _Zip() as archive:
        try:
            async for bundle in bundles:
                time = _dos(moment(bundle.modified))
                folder = bundle.folder and f"{safe_names((bundle.folder,))[0]}/"
                names = safe_names((packed.path for packed in bundle.files), fold_case=fold_case)
                for name, packed in zip(names, bundle.files, strict=True):
                    path = f"{folder}{name}".encode()
                    async with aclosing(_file(archive, path, packed.artifact, time, blobs)) as pieces:
                        async for piece in pieces:
                            yield piece
        finally:
            if isinstance(bundles, AsyncGenerator):
                await bundles.aclose()
        for piece in archive.end():
            yield piece


async def _file(archive: _Zip, path: bytes, artifact: Artifact, time: int, blobs: Blobs) -> AsyncGenerator[bytes, None]:
    """One file; what is small joins the next."""
    if artifact.inline is not None:
        for piece in archive.small(path, artifact.inline, artifact.mode, time):
            yield piece
        return
    begun = archive.position
    archive.head(path, time, wide=artifact.size > _LIMIT)
    checksum, size = 0, 0
    async with aclosing(content(blobs, artifact)) as pieces:
        async for piece in pieces:
            checksum, size = zlib.crc32(piece, checksum), size + len(piece)
            for full in archive.write(piece):
                yield full
    if size != artifact.size:
        raise JobgateError(f"a stored file lacks {artifact.size - size} of its bytes: {artifact.digest}")
    archive.behind(checksum, size)
    archive.enter(path, begun, checksum, size, artifact.mode, time, flags=_LATER)


class _Zip:
    """The format, written forward: what is to be sent, and the lines of the directory."""

    def __init__(self) -> None:
        self.position = 0
        self._held = bytearray()
        self._directory = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed by the one who enters it
        self._entries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.close()

    def write(self, piece: bytes) -> Iterator[bytes]:
        """Takes it; gives what is held, once it is enough to send."""
        self._held += piece
        self.position += len(piece)
        if len(self._held) >= PIECE:
            held, self._held = bytes(self._held), bytearray()
            yield held

    def _keep(self, piece: bytes) -> None:
        self._held += piece
        self.position += len(piece)

    def small(self, path: bytes, whole: bytes, mode: int, time: int) -> Iterator[bytes]:
        """A file that is in memory: its checksum and size are known before it."""
        begun, checksum, size = self.position, zlib.crc32(whole), len(whole)
        self._keep(_HEAD.pack(b"PK\3\4", _PLAIN, _UTF8, 0, *_split(time), checksum, size, size, len(path), 0) + path)
        self.enter(path, begun, checksum, size, mode, time, flags=0)
        yield from self.write(whole)

    def head(self, path: bytes, time: int, *, wide: bool) -> None:
        """Before a file whose checksum will stand behind it."""
        extra = struct.pack("<2H2Q", 1, 16, 0, 0) if wide else b""
        size, version = (_LIMIT, _WIDE) if wide else (0, _PLAIN)
        words = (b"PK\3\4", version, _UTF8 | _LATER, 0, *_split(time), 0, size, size, len(path), len(extra))
        self._keep(_HEAD.pack(*words) + path + extra)

    def behind(self, checksum: int, size: int) -> None:
        """Behind such a file."""
        shape = _WIDE_BEHIND if size > _LIMIT else _BEHIND
        self._keep(shape.pack(b"PK\7\x08", checksum, size, size))

    def enter(  # noqa: PLR0913, PLR0917  # a line has so many columns
        self, path: bytes, begun: int, checksum: int, size: int, mode: int, time: int, *, flags: int
    ) -> None:
        """A line of the directory."""
        wide = [*((size, size) if size > _LIMIT else ()), *((begun,) if begun > _LIMIT else ())]
        extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        version = _WIDE if wide else _PLAIN
        line = _ENTRY.pack(
            b"PK\1\2",
            version | _UNIX,
            version,
            flags | _UTF8,
            0,
            *_split(time),
            checksum,
            min(size, _LIMIT),
            min(size, _LIMIT),
            len(path),
            len(extra),
            0,
            0,
            0,
            (_REGULAR | mode) << 16,
            min(begun, _LIMIT),
        )
        self._directory.write(line + path + extra)
        self._entries += 1

    def end(self) -> Iterator[bytes]:
        """All that is held, the directory, and the words that say where it stands."""
        yield bytes(self._held)
        begin, size, entries = self.position, self._directory.tell(), self._entries
        self._directory.seek(0)
        while piece := self._directory.read(PIECE):
            yield piece
        last = b""
        if entries > _MOST or max(begin, size) > _LIMIT:
            rest = (_WIDE | _UNIX, _WIDE, 0, 0, entries, entries, size, begin)
            last = _WIDE_END.pack(b"PK\6\6", _WIDE_END.size - 12, *rest)
            last += _LOCATOR.pack(b"PK\6\7", 0, begin + size, 1)
        count = min(entries, _MOST)
        yield last + _END.pack(b"PK\5\6", 0, 0, count, count, min(size, _LIMIT), min(begin, _LIMIT), 0)


def _dos(at: tuple[int, int, int, int, int, int]) -> int:
    """The time as the format has it: two seconds are its smallest step."""
    year, month, day, hour, minute, second = at
    return (year - 1980) << 25 | month << 21 | day << 16 | hour << 11 | minute << 5 | second // 2


def _split(time: int) -> tuple[int, int]:
    return time & _MOST, time >> 16
