"""What every store promises, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from jobgate.model.advance import Step
from jobgate.model.errors import Invalid
from jobgate.model.ids import BatchId
from jobgate.store.transaction import Transaction

T = TypeVar("T")


class Listener(Protocol):
    """Is told of each commit, on the loop, before those who wrote are answered."""

    def __call__(self, steps: list[Step], queued: int) -> None:
        """`steps`: every move of a job, in commit order; `queued`: jobs that came into the queue.

        Jobs that were made and held are told as neither.
        """
        ...


class BatchListener(Protocol):
    """Is told of each commit that changed batches beside their jobs, on the loop, before those who wrote are answered.

    One was filled, cancelled while it was empty, given another lease, or retired; or made with a lease.
    """

    def __call__(self, batches: set[BatchId], /) -> None:
        """Which."""
        ...


class Store(Protocol):
    """Keeps everything. A write that has returned is synced to disk."""

    async def write(self, work: Callable[[Transaction], T], *, spare: bool = False) -> T:
        """What `work` returns, when it is on disk. Concurrent writes share one commit.

        `spare`: it makes room, or ends what runs. On a full disk it may use the room set aside for that, and `work` is
        then called again.

        What `work` raises comes out here, and nothing of it is kept. Raises Unavailable when the database cannot be
        written; then nothing is kept either.
        """
        ...

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, over one consistent view. Raises Unavailable when the database cannot be read."""
        ...

    def listen(self, listener: Listener) -> None:
        """From now on `listener` is told of each commit."""
        ...

    def listen_batches(self, listener: BatchListener) -> None:
        """From now on `listener` is told of each commit that changed batches."""
        ...

    def listen_outbox(self, wake: Callable[[], None]) -> None:
        """From now on `wake` is called on the loop after each commit that made a delivery to a webhook due."""
        ...

    async def close(self) -> None:
        """Finishes what was asked and lets go of the database."""
        ...


def database_path(data: Path, url: str = "") -> Path:
    """The SQLite file meant by the configuration. Raises Invalid for a database this version cannot speak to."""
    if not url:
        return data / "jobgate.sqlite"
    if url.startswith("sqlite:///"):
        return Path(url.removeprefix("sqlite:///"))
    raise Invalid("the database must be sqlite:///PATH; other databases are not supported yet", field="server.database")
