"""What the verbs need of the world; `app.py` fills it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from jobgate.model.attempt import Attempt
from jobgate.model.catalogue import Catalogue
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.files import Stored
from jobgate.model.history import Kind, Past
from jobgate.model.ids import Digest
from jobgate.model.limits import Limits
from jobgate.model.sight import Snapshot
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


class Tail(Protocol):
    """The log of a live attempt; the runner that owns it answers."""

    async def __call__(self, attempt: Attempt, offset: int, limit: int) -> bytes | None:
        """Bytes from `offset`; None when it is nobody's here."""
        ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Handed to every verb."""

    store: Store
    feed: Feed
    blobs: Blobs
    tail: Tail
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

    @property
    def pulls(self) -> bool:
        """Whether some environment fetches images."""
        return any(environment.images for environment in self.environments)
