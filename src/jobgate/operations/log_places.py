"""Where the bytes of a log are: stored, or still growing. Places are counted in the log as it was written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from jobgate.model.attempt import Attempt
from jobgate.model.errors import Gone, NotFound
from jobgate.model.files import Artifact, Piece
from jobgate.operations.context import Context

PIECE: Final = 64 * 1024
"""Bytes that are read at once."""

Read = Callable[[int, int], Awaitable[bytes]]
"""So many bytes from a place on."""


class StoredLog:
    """A log that is complete: in the row, or a blob. None: nothing was written."""

    def __init__(self, context: Context, artifact: Artifact | None) -> None:
        self._context = context
        self._artifact = artifact
        cut = artifact.cut if artifact is not None else None
        self._bytes = 0 if artifact is None else artifact.size
        self.digest = None if artifact is None else artifact.digest
        self.truncated = cut is not None
        self.size = self._bytes if cut is None else 2 * cut.at + cut.lost
        """As it was written."""
        self._head = self.size if cut is None else cut.at
        self._tail = 0 if cut is None else self.size - cut.at
        """Where what is kept of its end begins."""

    def parts(self, first: int, end: int, *, whole: bool) -> tuple[int, list[tuple[int, int]]]:
        """The place of the first byte kept, and which of the kept bytes follow, as places and lengths among these.

        `whole`: across a cut, and the mark that stands for it; otherwise up to the cut.
        """
        if not self.truncated:
            return first, [(first, end - first)] if end > first else []
        if first < self._head:
            last = self._bytes - (self.size - end) if whole else min(end, self._head)
            return first, [(first, last - first)] if last > first else []
        first = max(first, self._tail)
        place = self._bytes - (self.size - first)
        return first, [(place, end - first)] if end > first else []

    def after(self, offset: int) -> list[tuple[int, int]]:
        """What follows for one who has read up to `offset` of the live log: where it is cut, the mark and the end."""
        if self.truncated and self._head <= offset < self._tail:
            return [(self._head, self._bytes - self._head)]
        return self.parts(min(offset, self.size), self.size, whole=True)[1]

    async def pieces(self, parts: list[tuple[int, int]]) -> AsyncGenerator[bytes, None]:
        """Their bytes. Raises Gone."""
        for place, length in parts:
            if self._artifact is None or self._artifact.inline is not None:
                yield b"" if self._artifact is None else (self._artifact.inline or b"")[place : place + length]
                continue
            try:
                async for piece in self._context.blobs.open(self._artifact.digest, place, length):
                    yield piece
            except NotFound as error:
                raise gone() from error

    async def lines(self, number: int) -> int:
        """Where the last so many lines begin; of a log whose middle is cut, no further back than its kept end."""

        async def read(place: int, length: int) -> bytes:
            return b"".join([piece async for piece in self.pieces([(place, length)])])

        behind = self._bytes - (self.size - self._tail) if self.truncated else 0
        place = await last_lines(read, behind, self._bytes, number)
        return self.size - (self._bytes - place)


class LiveLog:
    """A log that grows, as long as it was when it was looked at; of no attempt, nothing."""

    digest: None = None

    def __init__(
        self, context: Context, attempt: Attempt | None, stored: Callable[[int], Awaitable[StoredLog | None]]
    ) -> None:
        self._context = context
        self._attempt = attempt
        self._stored = stored
        self.size = 0
        self.truncated = False

    async def _read(self, offset: int, limit: int) -> Piece:
        found = None if self._attempt is None else await self._context.logs.read(self._attempt, offset, limit)
        return found or Piece(offset, b"", 0)

    def parts(self, first: int, end: int, *, whole: bool) -> tuple[int, list[tuple[int, int]]]:
        """As `StoredLog.parts`; nothing is known to be cut."""
        del whole
        return first, [(first, end - first)] if end > first else []

    async def pieces(self, parts: list[tuple[int, int]]) -> AsyncGenerator[bytes, None]:
        """What there was when it was looked at, also when it is stored meanwhile."""
        for first, length in parts:
            offset, end = first, first + length
            while offset < end:
                piece = await self._read(offset, min(end - offset, PIECE))
                content = piece.content[: max(end - piece.offset, 0)]
                if not content:
                    break
                if piece.offset > offset:
                    yield mark(piece.offset - offset)
                yield content
                offset = piece.offset + len(content)
            if offset < end and self._attempt is not None:
                stored = await self._stored(self._attempt.id.number)
                if stored is not None:
                    async for content in stored.pieces(stored.parts(offset, end, whole=False)[1]):
                        yield content

    async def lines(self, number: int) -> int:
        """Where the last so many lines begin."""

        async def read(place: int, length: int) -> bytes:
            piece = await self._read(place, length)
            return piece.content if piece.offset == place else b""

        return await last_lines(read, 0, self.size, number)


async def last_lines(read: Read, begin: int, end: int, number: int) -> int:
    """The place in `begin` to `end` where the last so many lines begin. The end of the last line is no line of its own.

    A gap is where reading back ends.
    """
    place, left = end, number + 1
    if place > begin and not (await read(place - 1, 1)).endswith(b"\n"):
        left = number
    while place > begin and number:
        start = max(begin, place - PIECE)
        content = await read(start, place - start)
        if len(content) < place - start:
            return place
        at = len(content)
        while left and (at := content.rfind(b"\n", 0, at)) >= 0:
            left -= 1
        if not left:
            return start + at + 1
        place = start
    return begin if number else end


def mark(lost: int) -> bytes:
    """What stands for bytes that nobody has any more."""
    return f"\n--- {lost} bytes were cut here ---\n".encode()


def gone() -> Gone:
    """What is said of a log whose time has ended."""
    return Gone("the log was kept for its time, and is deleted", code="result-expired")


async def part(context: Context, artifact: Artifact, offset: int, limit: int) -> bytes:
    """So many of the bytes that are kept. Raises Gone."""
    if artifact.inline is not None:
        return artifact.inline[offset : offset + limit]
    if offset >= artifact.size:
        return b""
    try:
        return b"".join([piece async for piece in context.blobs.open(artifact.digest, offset, limit)])
    except NotFound as error:
        raise gone() from error
