"""What the verbs need of the world; `app.py` fills it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from jobgate.files.partial import Part
from jobgate.model.attempt import Attempt
from jobgate.model.catalogue import Catalogue
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.files import Origin, Piece, Stored
from jobgate.model.history import Kind, Past
from jobgate.model.ids import AccountId, Digest
from jobgate.model.limits import Limits
from jobgate.model.sight import Snapshot
from jobgate.operations.marks import Marks
from jobgate.store.feed import Feed
from jobgate.store.store import Store


class Blobs(Protocol):
    """The part of a storage that is needed here."""

    async def put(self, source: bytes, *, limit: int | None) -> Stored:
        """Stores the content. Raises TooLarge, Unavailable."""
        ...

    def free(self) -> int:
        """Bytes that can still be stored; 0: no new work is taken."""
        ...

    def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The content, in pieces."""
        ...


class Origins(Protocol):
    """Where a submit's files are copied from."""

    async def bring(self, origins: Iterable[Origin], stored: MutableMapping[Origin, Stored]) -> None:
        """See `files.origins.Origins.bring`."""
        ...


class Logs(Protocol):
    """The logs of live attempts; the runner that owns them answers."""

    async def read(self, attempt: Attempt, offset: int, limit: int) -> Piece | None:
        """See `Engine.read`; None when it is nobody's here."""
        ...

    def telling(self, attempt: Attempt, beyond: int, news: asyncio.Event) -> AbstractContextManager[None]:
        """While it is entered, `news` is set when the log is longer than `beyond`."""
        ...


class Parts(Protocol):
    """Uploads that come in parts."""

    async def find(self, account: AccountId, digest: Digest) -> Part | None:
        """See `Partials.find`."""
        ...

    async def announced(self, account: AccountId) -> int:
        """See `Partials.announced`."""
        ...

    async def append(
        self, account: AccountId, digest: Digest, *, offset: int, length: int, pieces: AsyncIterator[bytes]
    ) -> Part | Stored:
        """See `Partials.append`."""
        ...

    async def drop(self, account: AccountId, digest: Digest) -> bool:
        """See `Partials.drop`."""
        ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Handed to every verb."""

    store: Store
    feed: Feed
    blobs: Blobs
    parts: Parts
    origins: Origins
    logs: Logs
    snapshot: Callable[[], Snapshot] = Snapshot
    """What the runner sees of the environments now."""
    past: Callable[[Kind], Past] = lambda _: Past()
    """Past runs of a kind, or of a wider one; the runner remembers them."""
    clock: Callable[[], float]
    seal: Callable[[int, str, str], bytes]
    """Encrypts a secret's value, bound to its name and the batch or webhook that holds it."""
    environments: tuple[ComputeEnvironment, ...]
    catalogue: Catalogue = Catalogue()
    limits: Limits = Limits()
    marks: Marks = msgspec.field(default_factory=Marks)
    """When answers were given that somebody may ask on from."""

    @property
    def pulls(self) -> bool:
        """Whether some environment fetches images."""
        return any(environment.images for environment in self.environments)
