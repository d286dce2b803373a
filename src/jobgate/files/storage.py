"""What every storage of blobs promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from jobgate.model.files import Stored
from jobgate.model.ids import Digest


class Readable(Protocol):
    """A file, or anything that is read like one; read in a thread."""

    def read(self, size: int, /) -> bytes:
        """At most so many of the next bytes; none at the end."""
        ...


Source = bytes | Readable | AsyncIterator[bytes]


class Storage(Protocol):
    """Blobs, named by the SHA-256 of their content. What `put` returned is synced to disk."""

    async def put(self, source: Source, *, limit: int | None) -> Stored:
        """Stores the content; equal content is stored once.

        Raises TooLarge over `limit` bytes, Unavailable (`storage-full`) when there is no room; then nothing is left.
        """
        ...

    async def put_all(self, sources: Sequence[Source], *, limit: int | None) -> list[Stored]:
        """Stores each of them, in order, as `put` would; together they share one sync. `limit` is that of each."""
        ...

    def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The content, in pieces. Raises NotFound."""
        ...

    async def copy_to(self, digest: Digest, target: Path, *, executable: bool = False) -> None:
        """The content as a file of its own at `target`, which is new. Raises NotFound."""
        ...

    async def delete(self, digests: Iterable[Digest]) -> list[Digest]:
        """Deletes them, and says which stay: those that were stored in the last minutes. Unknown ones are no error."""
        ...

    def aged(self, before: float) -> AsyncIterator[list[Digest]]:
        """All blobs that were last stored before then, in parts of no particular order or size."""
        ...

    def free(self) -> int:
        """Bytes that can still be stored."""
        ...
