"""One attempt's directory: inputs brought in, outputs collected, never anything outside it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from jobgate.files.removal import remove_tree
from jobgate.files.storage import Source, Storage
from jobgate.files.walk import Found, Walk
from jobgate.model.errors import FetchError, NotFound
from jobgate.model.files import (
    ARTIFACT_INLINE_LIMIT,
    ATTEMPT_INLINE_LIMIT,
    Artifact,
    Inline,
    Input,
    Output,
    Remote,
    Stored,
)
from jobgate.model.ids import Digest
from jobgate.net.egress import Egress

_AT_ONCE: Final = 4
_TOGETHER: Final = 128
"""Files that are open at one time, and share one sync, while they are collected."""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    artifacts: tuple[Artifact, ...]
    skipped: int
    """Links, devices, sockets and impossible names."""
    missing: tuple[str, ...]
    """Required outputs that are not there."""
    large: tuple[str, ...] = ()
    """Outputs that are larger than they may be, each with its limit."""
    over: bool
    """There was more than may be collected; the first were."""
    beside: tuple[Stored, ...] = ()
    """What was stored with them."""


class Workspace:
    """`root` becomes the job's own directory; `log` lies beside it."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self.log = log

    def create(self) -> None:
        """Makes it, empty. Raises OSError; one that is there already is no error."""
        self.root.mkdir(mode=0o755, exist_ok=True)

    def pass_on(self, heir: Workspace) -> bool:
        """Whether it was left as it was made, and is now the heir's: a rename instead of a deletion and a creation.

        On some file systems a directory made soon after many deletions costs ten times a rename (hot path, section 1).
        """
        try:
            if os.listdir(self.root) or (self.log.exists() and self.log.stat().st_size):
                return False
            self.root.rename(heir.root)
            heir.root.chmod(0o755)
            if self.log.exists():
                self.log.rename(heir.log)
        except OSError:
            return False
        return True

    # --- in

    async def stage(  # noqa: PLR0913  # what inputs are brought in with
        self,
        inputs: Sequence[Input],
        *,
        storage: Storage,
        egress: Egress,
        secrets: Mapping[str, str],
        input_limit: int,
        timeout: float,
    ) -> None:
        """Brings every input to its place. Raises FetchError naming the input that could not come, without secrets."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def bring(item: Input) -> None:
            async with gate:
                try:
                    await self._bring(item, storage, egress, secrets, input_limit, timeout)
                except (FetchError, NotFound) as error:
                    raise FetchError(f"input {item.path}: {error.message}", code=error.code) from error
                except FileExistsError as error:
                    raise FetchError(f"input {item.path}: another input has its place", code="input") from error

        tasks = [asyncio.ensure_future(bring(item)) for item in inputs]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring(  # noqa: PLR0913, PLR0917  # as above
        self,
        item: Input,
        storage: Storage,
        egress: Egress,
        secrets: Mapping[str, str],
        limit: int,
        timeout: float,
    ) -> None:
        target = self.root / item.path  # checked at birth: relative, without `..`; nobody else writes here yet
        target.parent.mkdir(parents=True, exist_ok=True)
        match item.source:
            case Inline(content):
                with target.open("xb") as file:
                    file.write(content)
            case Stored(digest):
                await storage.copy_to(digest, target, executable=item.executable)
            case Remote() as remote:
                await egress.download(
                    remote.url,
                    target,
                    limit=limit,
                    timeout=timeout,
                    size=remote.size,
                    sha256=remote.digest,
                    md5=remote.md5,
                    basic=secrets.get(remote.secret) if remote.secret else None,
                )
            case _:
                raise FetchError("a file of a folder must be looked up before it is staged", code="input")
        target.chmod(0o755 if item.executable else 0o644)

    # --- out

    async def collect(  # noqa: PLR0913  # what is collected, where to, and up to where
        self,
        outputs: Sequence[Output],
        *,
        storage: Storage,
        max_files: int,
        max_bytes: int,
        inline: int = ATTEMPT_INLINE_LIMIT,
        beside: Sequence[Source] = (),
    ) -> Collection:
        """Stores every regular file that the outputs name; `inline` bytes of them may ride in the row.

        What stands `beside` is stored too, and shares their sync. May be repeated. Raises Unavailable when storage is,
        OSError when the directory cannot be read.
        """
        walk = Walk(self.root, max_files, max_bytes)
        artifacts: list[Artifact] = []
        stored: list[Stored] = []
        with closing(walk.files(outputs)) as files:
            while (found := await asyncio.to_thread(_next, files)) or len(stored) < len(beside):
                try:
                    kept = _small(found, inline)
                    large = [_Reader(file) for file in kept if isinstance(file, Found)]
                    puts = await storage.put_all([*beside[len(stored) :], *large], limit=None)
                finally:
                    for file in found:
                        os.close(file.handle)
                blobs = iter(puts[len(puts) - len(large) :])
                stored += puts[: len(puts) - len(large)]
                done = [file if isinstance(file, Artifact) else _artifact(file, next(blobs)) for file in kept]
                inline -= sum(len(file.inline) for file in done if file.inline is not None)
                artifacts += done
        return Collection(
            artifacts=tuple(artifacts),
            skipped=walk.skipped,
            missing=tuple(walk.missing),
            large=tuple(walk.large),
            over=walk.over,
            beside=tuple(stored),
        )

    async def remove(self) -> None:
        """Deletes it with its log, following no link. May be repeated."""
        await asyncio.to_thread(self.remove_now)

    def remove_now(self) -> None:
        """As `remove`, in a thread that may wait for the disk."""
        self.log.unlink(missing_ok=True)
        remove_tree(self.root)


def _next(files: Iterator[Found]) -> list[Found]:
    """The next few, open."""
    taken: list[Found] = []
    try:
        taken.extend(islice(files, _TOGETHER))
    except BaseException:
        for file in taken:
            os.close(file.handle)
        raise
    return taken


def _small(found: Sequence[Found], inline: int) -> list[Artifact | Found]:
    """The same, in order; the small ones as what is kept of them, as long as there is room in the row."""
    kept: list[Artifact | Found] = []
    for file in found:
        if file.size > min(ARTIFACT_INLINE_LIMIT, inline):
            kept.append(file)
            continue
        content = os.pread(file.handle, file.size, 0)
        inline -= len(content)
        digest = Digest(hashlib.sha256(content).hexdigest())
        kept.append(Artifact(file.path, digest, len(content), file.output, file.mode, content))
    return kept


def _artifact(file: Found, stored: Stored) -> Artifact:
    return Artifact(file.path, stored.digest, stored.size, file.output, file.mode)


class _Reader:
    """As much of a file as it had when it was found: one that still grows is cut there."""

    def __init__(self, file: Found) -> None:
        self._handle = file.handle
        self._size = file.size
        self._offset = 0

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end."""
        piece = os.pread(self._handle, min(size, self._size - self._offset), self._offset)
        self._offset += len(piece)
        return piece
