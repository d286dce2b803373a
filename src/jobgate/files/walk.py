"""The walk through what a job left: never out of it, whatever lies there.

The job is not trusted and may still be writing. Every step down is taken from an open directory without following a
link; what is to be read is looked at through a handle that cannot read, and opened only if it is a regular file.
Open at one time are the directories from the top down to one place, and the file that was just found.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from jobgate.model.errors import Invalid
from jobgate.model.files import PATH_LIMIT, Output, OutputKind, check_segment

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
DEPTH: Final = 64
"""Directories below one another that are walked; what lies deeper is skipped."""
_REFUSED: Final = frozenset(
    {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV, errno.ENAMETOOLONG}
)
"""Errors that a job's own doing explains. Any other is the machine's, and ends the walk: nothing is lost in silence."""
_PLAIN: Final = 0o777
"""The bits of a mode that are kept: a file that comes back runs as nobody but its caller."""


class Found(msgspec.Struct, frozen=True):
    """One regular file, open; whoever takes it closes `handle`."""

    output: int
    path: str
    handle: int
    size: int
    mode: int


class Walk:
    """Looks for files below one directory, up to `max_files` and `max_bytes`."""

    def __init__(self, root: Path, max_files: int, max_bytes: int) -> None:
        self._root = root
        self._files_left = max_files
        self._bytes_left = max_bytes
        self._owner = -1
        self._room: int | None = None
        self.missing: list[str] = []
        """Required outputs that are not there."""
        self.large: list[str] = []
        """Outputs that are larger than they may be; what is too much of them is not collected."""
        self.skipped = 0
        """Links, devices, sockets, impossible names, and what may not be read."""
        self.over = False
        """There was more than may be collected."""

    def files(self, outputs: Sequence[Output]) -> Generator[Found, None, None]:
        """Every file the outputs name, in their order. Raises OSError when the disk cannot be read."""
        top = os.open(self._root, DIRECTORY)
        try:
            self._owner = os.fstat(top).st_uid
            for place, output in enumerate(outputs):
                seen, self._room = self._files_left, output.limit or None
                yield from self._output(place, output, top)
                if self._room is not None and self._room < 0:
                    self.large.append(f"{output.name or output.path} ({output.limit} bytes at most)")
                elif output.required and self._files_left == seen:
                    self.missing.append(output.name or output.path)
        finally:
            os.close(top)

    def _output(self, place: int, output: Output, top: int) -> Iterator[Found]:
        segments = PurePosixPath(output.path).parts
        match output.kind:
            case OutputKind.FILE:
                yield from self._single(place, top, segments)
            case OutputKind.DIRECTORY:
                yield from self._directory(place, top, segments)
            case OutputKind.WILDCARD:
                yield from self._match(place, top, segments, "")

    def _single(self, place: int, top: int, segments: Sequence[str]) -> Iterator[Found]:
        handle = self._enter(top, segments[:-1])
        if handle is None:
            return
        try:
            yield from self._take(place, handle, segments[-1], segments[-1])
        finally:
            os.close(handle)

    def _directory(self, place: int, top: int, segments: Sequence[str]) -> Iterator[Found]:
        inside = self._enter(top, segments)
        if inside is None:
            return
        stack = [(os.dup(inside), "")]
        names = [self._names(inside)]
        try:
            while stack:
                handle, prefix = stack[-1]
                name, is_directory = next(names[-1], ("", False))
                if not name:
                    names.pop()
                    os.close(stack.pop()[0])
                elif not is_directory:
                    yield from self._take(place, handle, name, prefix + name, inside)
                elif len(stack) > DEPTH or self.over:
                    self.skipped += 1
                elif (below := self._enter(handle, (name,))) is not None:
                    stack.append((below, f"{prefix}{name}/"))
                    names.append(self._names(below))
        finally:
            os.close(inside)
            for handle, _ in stack:
                os.close(handle)

    def _match(self, place: int, handle: int, segments: Sequence[str], prefix: str) -> Iterator[Found]:
        for name, is_directory in self._names(handle):
            if not fnmatch.fnmatchcase(name, segments[0]):
                continue
            if len(segments) == 1:
                if not is_directory:
                    yield from self._take(place, handle, name, prefix + name)
            elif is_directory and (below := self._enter(handle, (name,))) is not None:
                try:
                    yield from self._match(place, below, segments[1:], f"{prefix}{name}/")
                finally:
                    os.close(below)

    # --- steps

    def _enter(self, top: int, segments: Sequence[str]) -> int | None:
        """An open directory below `top`, by names none of which is a link; None when there is no such."""
        handle = os.dup(top)
        for segment in segments:
            try:
                below = os.open(segment, DIRECTORY, dir_fd=handle)
            except OSError as error:
                self._explained(error)
                return None
            finally:
                os.close(handle)
            handle = below
        return handle

    def _explained(self, error: OSError) -> None:
        """Counts what is skipped; what has gone is not. Raises the error when no job can have caused it."""
        if error.errno == errno.ENOENT:
            return
        if error.errno not in _REFUSED:
            raise error
        self.skipped += 1

    def _names(self, handle: int) -> Iterator[tuple[str, bool]]:
        """Names that can be told to anyone, files before directories; the others are skipped."""
        with os.scandir(handle) as entries:
            listed = sorted((entry.is_dir(follow_symlinks=False), entry.name) for entry in entries)
        for is_directory, name in listed:
            try:
                check_segment(name, "name")
            except (Invalid, UnicodeEncodeError):
                self.skipped += 1
            else:
                yield name, is_directory

    def _take(self, place: int, directory: int, name: str, path: str, inside: int | None = None) -> Iterator[Found]:
        """The file of that name, if it is one. Links are followed to what lies below `inside`, where that is given."""
        if self.over:
            return
        try:
            opened = self._open(directory, name, inside)
        except OSError as error:
            self._explained(error)
            return
        if opened is None or len(path.encode()) > PATH_LIMIT:
            if opened is not None:
                os.close(opened[0])
            self.skipped += 1
            return
        handle, status = opened
        if self._room is not None:
            self._room -= status.st_size
            if self._room < 0:
                os.close(handle)
                return
        if self._files_left < 1 or status.st_size > self._bytes_left:
            os.close(handle)
            self.over = True
            return
        self._files_left -= 1
        self._bytes_left -= status.st_size
        yield Found(place, path, handle, status.st_size, stat.S_IMODE(status.st_mode) & _PLAIN)

    def _open(self, directory: int, name: str, inside: int | None) -> tuple[int, os.stat_result] | None:
        """The regular file, open for reading; None for anything else. A device is never opened."""
        seen = os.open(name, _LOOK, dir_fd=directory)
        try:
            status = os.fstat(seen)
            if stat.S_ISLNK(status.st_mode):
                return None if inside is None else self._linked(directory, name, inside)
            if not stat.S_ISREG(status.st_mode) or self._borrowed(status):
                return None
            return os.open(f"/proc/self/fd/{seen}", _READ), status
        finally:
            os.close(seen)

    def _borrowed(self, status: os.stat_result) -> bool:
        """Whether it may be another's file that the job only gave a second name: it might not be allowed to read it."""
        return status.st_nlink > 1 and status.st_uid != self._owner

    def _linked(self, directory: int, name: str, inside: int) -> tuple[int, os.stat_result] | None:
        """The file a link leads to, when both lie in the collected directory [Charity Engine contract, section 7].

        The path is walked again from there, name by name; a link on the way, or out of it, leads nowhere.
        """
        target = os.readlink(name, dir_fd=directory)
        here, top = (str(Path(f"/proc/self/fd/{handle}").readlink()) for handle in (directory, inside))
        whole = os.path.normpath(target if target.startswith("/") else f"{here}/{target}")
        if not whole.startswith(f"{top}/"):
            return None
        parts = whole[len(top) + 1 :].split("/")
        skipped = self.skipped
        parent = self._enter(inside, parts[:-1])
        self.skipped = skipped  # the link is counted, not the way
        if parent is None:
            return None
        try:
            with suppress(FileNotFoundError):
                return self._open(parent, parts[-1], None)
            return None
        finally:
            os.close(parent)
