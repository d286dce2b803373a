"""Answers with a stored file: ranges, entity tags, HEAD; once for all dialects.

Source: RFC 9110 sections 8.8.3, 13 and 14; RFC 6266.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from jobgate.model.errors import Unsatisfiable
from jobgate.model.files import Artifact
from jobgate.model.ids import Digest

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z", re.ASCII | re.IGNORECASE)
_DIGITS: Final = 18


class Source(Protocol):
    """The part of a storage that gives files back."""

    def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See `Storage.open`."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """Status, headers, and which bytes follow."""

    status: int
    headers: dict[str, str]
    offset: int
    length: int


def answer(artifact: Artifact, name: str, headers: Mapping[str, str]) -> Answer:
    """What a request with these headers gets of the file. Raises Unsatisfiable."""
    tag = f'"{artifact.digest}"'
    out = {
        "accept-ranges": "bytes",
        "etag": tag,
        **saved(name),
    }
    if _matches(headers.get("if-none-match", ""), tag):
        return Answer(304, out, 0, 0)
    wanted = headers.get("range", "")
    match = _RANGE.match(wanted) if headers.get("if-range", tag) == tag else None
    if match is not None and _is_range(match[1], match[2]):
        part = _part(match[1], match[2], artifact.size)
        if part is None:
            raise Unsatisfiable.beyond(artifact.size)
        first, last = part
        length = last - first + 1
        out |= {"content-range": f"bytes {first}-{last}/{artifact.size}", "content-length": str(length)}
        return Answer(206, out, first, length)
    return Answer(200, {**out, "content-length": str(artifact.size)}, 0, artifact.size)


def _is_range(first: str, last: str) -> bool:
    """Section 14.1.1: one without a number, or that ends before it begins, is none, and ignored."""
    if not first or not last:
        return bool(first or last)
    first, last = first.lstrip("0"), last.lstrip("0")
    return (len(first), first) <= (len(last), last)


def _part(first: str, last: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None when there is nothing of it. A number beyond all files is as good as its end."""
    if not first:
        count = min(int(last[:_DIGITS]) if len(last) <= _DIGITS else size, size)
        return (size - count, size - 1) if count else None
    start = int(first) if len(first) <= _DIGITS else size
    end = min(int(last) if last and len(last) <= _DIGITS else size - 1, size - 1)
    return (start, end) if start <= end and start < size else None


def _matches(given: str, tag: str) -> bool:
    return given.strip() == "*" or tag in (word.strip().removeprefix("W/") for word in given.split(","))


def saved(name: str) -> dict[str, str]:
    """Headers of what is to be saved under that name, and never shown or shared."""
    return {
        "content-disposition": disposition(name),
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
        "cache-control": "private, no-cache",
    }


def disposition(name: str) -> str:
    """Always to be saved, never to be shown; a plain name for old clients beside the true one."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name) or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def content(source: Source, artifact: Artifact, offset: int, length: int) -> AsyncIterator[bytes]:
    """The bytes. Raises NotFound when they are not kept any more."""
    if artifact.inline is not None:
        yield artifact.inline[offset : offset + length]
        return
    async for piece in source.open(artifact.digest, offset, length):
        yield piece
