"""One attempt's directory: inputs brought in, outputs collected, never anything outside it.

A job may still be writing while its outputs are read, and it is not trusted: every step down the tree is taken from an
open directory, without following a link, and what is opened is looked at before it is read.
"""

from __future__ import annotations

import asyncio
import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from jobgate.files.storage import Storage
from jobgate.model.errors import FetchError, Invalid, NotFound
from jobgate.model.files import (
    ARTIFACT_INLINE_LIMIT,
    ATTEMPT_INLINE_LIMIT,
    Artifact,
    Inline,
    Input,
    Output,
    OutputKind,
    Remote,
    Stored,
    check_segment,
)
from jobgate.model.ids import Digest
from jobgate.net.egress import Egress

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_AT_ONCE: Final = 4
_DEPTH: Final = 64
"""Directories below one another that are walked; what lies deeper is skipped."""
_PIECE: Final = 256 * 1024


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    artifacts: tuple[Artifact, ...]
    skipped: int
    """Links, devices, sockets and impossible names."""
    missing: tuple[str, ...]
    """Required outputs that are not there."""
    over: bool
    """There was more than may be collected; the first were."""


class _Found(msgspec.Struct, frozen=True):
    """One regular file, open."""

    output: int
    path: str
    handle: int
    size: int
    mode: int


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

    async def collect(
        self, outputs: Sequence[Output], *, storage: Storage, max_files: int, max_bytes: int
    ) -> Collection:
        """Stores every regular file that the outputs name. May be repeated. Raises Unavailable when storage is."""
        found, skipped, missing, over = await asyncio.to_thread(self._find, outputs, max_files, max_bytes)
        artifacts = []
        inline_left = ATTEMPT_INLINE_LIMIT
        try:
            for file in found:
                if file.size <= min(ARTIFACT_INLINE_LIMIT, inline_left):
                    content = os.pread(file.handle, file.size, 0)
                    inline_left -= len(content)
                    digest = Digest(hashlib.sha256(content).hexdigest())
                    artifacts.append(Artifact(file.path, digest, len(content), file.output, file.mode, content))
                else:
                    stored = await storage.put(_read(file.handle, file.size), limit=None)
                    artifacts.append(Artifact(file.path, stored.digest, stored.size, file.output, file.mode))
        finally:
            for file in found:
                os.close(file.handle)
        return Collection(artifacts=tuple(artifacts), skipped=skipped, missing=missing, over=over)

    def _find(
        self, outputs: Sequence[Output], max_files: int, max_bytes: int
    ) -> tuple[list[_Found], int, tuple[str, ...], bool]:
        walk = _Walk(self.root, max_files, max_bytes)
        missing = []
        for place, output in enumerate(outputs):
            before = len(walk.found)
            walk.output(place, output)
            if output.required and len(walk.found) == before:
                missing.append(output.name or output.path)
        return walk.found, walk.skipped, tuple(missing), walk.over

    async def remove(self) -> None:
        """Deletes it with its log, following no link. May be repeated."""
        await asyncio.to_thread(self.remove_now)

    def remove_now(self) -> None:
        """As `remove`, in a thread that may wait for the disk."""
        self.log.unlink(missing_ok=True)
        try:
            _remove_tree(self.root)
        except FileNotFoundError:
            return


class _Walk:
    """Looks for files below one directory and keeps them open."""

    def __init__(self, root: Path, max_files: int, max_bytes: int) -> None:
        self._root = root
        self._files = max_files
        self._bytes = max_bytes
        self.found: list[_Found] = []
        self.skipped = 0
        self.over = False

    def output(self, place: int, output: Output) -> None:
        """Everything that one output names."""
        segments = PurePosixPath(output.path).parts
        top = os.open(self._root, _DIRECTORY)
        try:
            match output.kind:
                case OutputKind.FILE:
                    self._down(place, top, segments, "")
                case OutputKind.DIRECTORY:
                    self._directory(place, top, segments)
                case OutputKind.WILDCARD:
                    self._match(place, top, segments, "")
        finally:
            os.close(top)

    def _down(self, place: int, top: int, segments: Sequence[str], prefix: str) -> None:
        handle = self._enter(top, segments[:-1])
        if handle is None:
            return
        try:
            self._take(place, handle, segments[-1], prefix + segments[-1])
        finally:
            os.close(handle)

    def _enter(self, top: int, segments: Sequence[str]) -> int | None:
        """An open directory below `top`, by names none of which is a link."""
        handle = os.dup(top)
        for segment in segments:
            try:
                below = os.open(segment, _DIRECTORY, dir_fd=handle)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    self.skipped += 1
                os.close(handle)
                return None
            os.close(handle)
            handle = below
        return handle

    def _directory(self, place: int, top: int, segments: Sequence[str]) -> None:
        start = self._enter(top, segments)
        if start is None:
            return
        inside = os.dup(start)  # links in here may lead to files in here
        stack: list[tuple[int, str, int]] = [(start, "", 0)]
        try:
            while stack:
                handle, prefix, depth = stack.pop()
                try:
                    for name, is_directory in self._names(handle):
                        if not is_directory:
                            self._take(place, handle, name, prefix + name, inside)
                        elif depth >= _DEPTH or self.over:
                            self.skipped += 1
                        elif (below := self._enter(handle, (name,))) is not None:
                            stack.append((below, f"{prefix}{name}/", depth + 1))
                finally:
                    os.close(handle)
        finally:
            os.close(inside)
            for handle, _, _ in stack:
                os.close(handle)

    def _match(self, place: int, handle: int, segments: Sequence[str], prefix: str) -> None:
        for name, is_directory in list(self._names(handle)):
            if not fnmatch.fnmatchcase(name, segments[0]):
                continue
            if len(segments) == 1:
                if not is_directory:
                    self._take(place, handle, name, prefix + name)
            elif is_directory and (below := self._enter(handle, (name,))) is not None:
                try:
                    self._match(place, below, segments[1:], f"{prefix}{name}/")
                finally:
                    os.close(below)

    def _names(self, handle: int) -> Iterator[tuple[str, bool]]:
        """Names that can be told to anyone, in order; the others are skipped."""
        with os.scandir(handle) as entries:
            listed = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        for name, is_directory in listed:
            try:
                check_segment(name, "name")
            except (Invalid, UnicodeEncodeError):
                self.skipped += 1
            else:
                yield name, is_directory

    def _take(
        self, place: int, directory: int, name: str, path: str, inside: int | None = None
    ) -> None:  # where, what, and as what
        if self.over:
            return
        try:
            handle = os.open(name, _FILE, dir_fd=directory)
        except FileNotFoundError:
            return
        except OSError as error:
            linked = self._linked(directory, name, inside) if error.errno == errno.ELOOP else None
            if linked is None:
                self.skipped += 1
                return
            handle = linked
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            os.close(handle)
            self.skipped += 1
            return
        size = sum(file.size for file in self.found) + status.st_size
        if len(self.found) >= self._files or size > self._bytes:
            os.close(handle)
            self.over = True
            return
        self.found.append(_Found(place, path, handle, status.st_size, stat.S_IMODE(status.st_mode)))

    def _linked(self, directory: int, name: str, inside: int | None) -> int | None:
        """The file a link leads to, when both lie in the collected directory [Charity Engine contract, section 7].

        The path is walked again from there, name by name; a link on the way, or out of it, leads nowhere.
        """
        if inside is None:
            return None
        try:
            target = os.readlink(name, dir_fd=directory)
            base = os.path.relpath(f"/proc/self/fd/{directory}", "/")
            here = os.path.realpath(f"/{base}")
            top = os.path.realpath(f"/proc/self/fd/{inside}")
        except OSError:
            return None
        whole = os.path.normpath(target if target.startswith("/") else f"{here}/{target}")
        if not whole.startswith(f"{top}/"):
            return None
        parts = whole[len(top) + 1 :].split("/")
        parent = self._enter(inside, parts[:-1])
        if parent is None:
            return None
        try:
            return os.open(parts[-1], _FILE, dir_fd=parent)
        except OSError:
            return None
        finally:
            os.close(parent)


async def _read(handle: int, size: int) -> AsyncIterator[bytes]:
    """As much as it had when it was found: a file that still grows is cut there."""
    offset = 0
    while offset < size:
        piece = await asyncio.to_thread(os.pread, handle, min(_PIECE, size - offset), offset)
        if not piece:
            return
        offset += len(piece)
        yield piece


def _remove_tree(root: Path) -> None:
    """Depth first without recursion, so that no tree is too deep; directories that forbid it are made to allow it."""
    stack = [(os.open(root, _DIRECTORY), "")]
    names: list[list[str]] = [os.listdir(stack[0][0])]
    while stack:
        handle, own = stack[-1]
        if names[-1]:
            name = names[-1].pop()
            try:
                os.unlink(name, dir_fd=handle)
            except FileNotFoundError:
                continue
            except (IsADirectoryError, PermissionError):
                below = _open_for_removal(handle, name)
                stack.append((below, name))
                names.append(os.listdir(below))
        else:
            stack.pop()
            names.pop()
            os.close(handle)
            if stack:
                os.rmdir(own, dir_fd=stack[-1][0])
    root.rmdir()


def _open_for_removal(parent: int, name: str) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)
