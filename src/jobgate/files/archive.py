"""A zip archive of stored files, made while it is sent.

Nothing is compressed: what is large among a job's results mostly is already, and so the size is known before the first
byte. Memory holds a piece of one file and the list of files. Python's own `zipfile` writes the format, to a sink that
hands on what it gets; every entry bears the one time given, so that the same files make the same archive.

Sources: APPNOTE.TXT 6.3.10, sections 4.3 (layout), 4.4.17 (names), 4.5.3 (zip64).
"""

from __future__ import annotations

import re
import unicodedata
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, Protocol

from jobgate.model.errors import JobgateError
from jobgate.model.files import PATH_LIMIT, SEGMENT_LIMIT, Artifact, Packed
from jobgate.model.ids import Digest

_FIRST: Final = (1980, 1, 1, 0, 0, 0)
_LAST: Final = (2107, 12, 31, 23, 59, 58)
"""Before and after these the format has no time."""
_REGULAR: Final = 0o100000
_UNIX: Final = 3
PIECE: Final = 64 * 1024
"""Bytes that are sent at once at least, but for the last."""

_HEAD: Final = 30
_ENTRY: Final = 46
_END: Final = 22
_TRAILER: Final = 16
_WIDE_HEAD: Final = 20
_WIDE_TRAILER: Final = 8
_WIDE_END: Final = 76
"""Bytes of the format's parts without names, and what zip64 adds to them."""

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_ODD: Final = frozenset({"Cc", "Cs"})
_SUFFIX: Final = 16
"""Bytes of a name's end behind a dot that stay its end when the name gets a number."""


class Blobs(Protocol):
    """The part of a storage that gives files back."""

    def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See `Storage.open`."""
        ...


class Archive:
    """One archive: its size, and its bytes. `modified` are the seconds since 1970 that every entry bears."""

    def __init__(self, files: Sequence[Packed], modified: float, *, fold_case: bool = False) -> None:
        names = safe_names((file.path for file in files), fold_case=fold_case)
        self._entries = [(name, file.artifact) for name, file in zip(names, files, strict=True)]
        self._time = moment(modified)

    @property
    def size(self) -> int:
        """Bytes of the whole archive."""
        limit, position, table = zipfile.ZIP64_LIMIT, 0, 0
        for name, artifact in self._entries:
            length, wide = len(name.encode()), artifact.size > limit
            numbers = 2 * wide + (position > limit)
            table += _ENTRY + length + (4 + 8 * numbers if numbers else 0)
            position += _HEAD + length + artifact.size + _TRAILER + (_WIDE_HEAD + _WIDE_TRAILER if wide else 0)
        wide = len(self._entries) > zipfile.ZIP_FILECOUNT_LIMIT or max(position, table) > limit
        return position + table + _END + (_WIDE_END if wide else 0)

    async def stream(self, blobs: Blobs) -> AsyncGenerator[bytes, None]:
        """All of its bytes, in pieces.

        Raises NotFound when a file is not kept any more, JobgateError when one is shorter than it was: then what was
        sent is no archive, as its length tells.
        """
        sink = _Sink()
        with zipfile.ZipFile(sink, "w") as archive:
            for name, artifact in self._entries:
                with archive.open(self._info(name, artifact), "w", force_zip64=_wide(artifact)) as entry:
                    left = artifact.size
                    async with aclosing(content(blobs, artifact)) as pieces:
                        async for piece in pieces:
                            left -= entry.write(piece)
                            for full in sink.full():
                                yield full
                if left:
                    raise JobgateError(f"a stored file lacks {left} of its bytes: {artifact.digest}")
        for rest in sink.rest():
            yield rest

    def _info(self, name: str, artifact: Artifact) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, self._time)
        info.create_system = _UNIX
        info.external_attr = (_REGULAR | artifact.mode) << 16
        return info


def _wide(artifact: Artifact) -> bool:
    return artifact.size > zipfile.ZIP64_LIMIT


async def content(blobs: Blobs, artifact: Artifact) -> AsyncGenerator[bytes, None]:
    """What it holds, in pieces. Raises NotFound."""
    if artifact.inline is not None:
        yield artifact.inline
        return
    pieces = blobs.open(artifact.digest, 0, artifact.size)
    try:
        async for piece in pieces:
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()  # the client has gone: its file is let go of at once


def moment(seconds: float) -> tuple[int, int, int, int, int, int]:
    """The time as an archive has it, in UTC: the format knows no zone."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError):
        return _LAST if seconds > 0 else _FIRST
    return min(max((at.year, at.month, at.day, at.hour, at.minute, at.second), _FIRST), _LAST)


class _Sink:
    """Takes what is written, and hands it on in pieces of a good size. It cannot seek, so `zipfile` writes forward."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, piece: bytes, /) -> int:
        """Holds it."""
        self._held += piece
        return len(piece)

    def flush(self) -> None:
        """There is nothing below."""

    def close(self) -> None:
        """The same."""

    def full(self) -> Iterator[bytes]:
        """What is held, if it is enough to send."""
        if len(self._held) >= PIECE:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """All that is held."""
        held, self._held = bytes(self._held), bytearray()
        for start in range(0, len(held), 4 * PIECE):
            yield held[start : start + 4 * PIECE]


# --- names


def safe_names(names: Iterable[str], *, fold_case: bool = False) -> list[str]:
    """A name for each, in order, under which it can be unpacked below one directory; no two are the same.

    None is absolute, climbs, begins with a drive, holds a backslash or a control character, or names a file where
    another needs a directory. A name that is taken gets ` (2)`. With `fold_case` names that differ in case alone are
    the same, as they are on many systems.
    """
    given = _Given(fold_case=fold_case)
    return [given.give(_segments(name)) for name in names]


def _segments(name: str) -> list[str]:
    """The name's parts, each as every system takes it; of a path too long the last ones."""
    parts = [_segment(part) for part in name.split("/") if part not in ("", ".", "..")]
    while len(parts) > 1 and sum(len(part.encode()) + 1 for part in parts) > PATH_LIMIT:
        parts.pop(0)
    return parts or ["_"]


def _segment(part: str) -> str:
    plain = "".join("_" if c == "\\" or unicodedata.category(c) in _ODD else c for c in part)
    if _DRIVE.match(plain):
        plain = f"{plain[0]}_{plain[2:]}"
    return _cut(plain, SEGMENT_LIMIT)


def _cut(text: str, limit: int) -> str:
    """As many of its characters as fit in so many bytes."""
    return text.encode()[:limit].decode(errors="ignore")


def _numbered(part: str, number: int) -> str:
    stem, dot, suffix = part.rpartition(".")
    if not stem or len(suffix.encode()) > _SUFFIX:
        stem, dot, suffix = part, "", ""
    end = f" ({number}){dot}{suffix}"
    return _cut(stem, SEGMENT_LIMIT - len(end.encode())) + end


class _Given:
    """Names that were given, and the directories that these need."""

    def __init__(self, *, fold_case: bool) -> None:
        self._fold = fold_case
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._numbers: dict[str, int] = {}

    def give(self, segments: Sequence[str]) -> str:
        """The path, with a number wherever a part of it is taken."""
        path = ""
        for part in segments[:-1]:
            path = self._free(path, part, directory=True)
            self._directories.add(self._key(path))
            path += "/"
        path = self._free(path, segments[-1], directory=False)
        self._files.add(self._key(path))
        return path

    def _free(self, above: str, part: str, *, directory: bool) -> str:
        path = above + part
        known = self._key(path)
        number = self._numbers.get(known, 1)
        while (key := self._key(path)) in self._files or (not directory and key in self._directories):
            number += 1
            path = above + _numbered(part, number)
        if not directory and number > 1:
            self._numbers[known] = number
        return path

    def _key(self, path: str) -> str:
        return unicodedata.normalize("NFC", path).casefold() if self._fold else path
