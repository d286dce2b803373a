"""Removal of a tree that a job left: no link is followed, and no tree is too deep, too wide or too forbidding."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from jobgate.files.walk import DIRECTORY

_LOOK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH: Final = 32
"""Directories open at one time. What lies deeper is brought up to the top first."""


def remove_tree(root: Path) -> None:
    """Deletes `root` and all below it; nothing there is no error.

    What cannot be deleted does not save the rest; the first such error is raised at the end.
    """
    with suppress(FileNotFoundError):
        _Removal(root).run()


class _Removal:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._failed: OSError | None = None
        self._raised: list[str] = []
        """Names of deep directories that were brought up to the top."""

    def run(self) -> None:
        top = _open(self._root)
        try:
            self._empty(top)
        finally:
            os.close(top)
        if self._failed is not None:
            raise self._failed
        self._root.rmdir()

    def _empty(self, top: int) -> None:
        stack = [(os.dup(top), "")]
        names = [self._raised]
        self._raised.extend(os.listdir(top))
        try:
            while stack:
                handle, own = stack[-1]
                if not names[-1]:
                    names.pop()
                    os.close(stack.pop()[0])
                    if stack:
                        self._drop(own, stack[-1][0])
                    continue
                name = names[-1].pop()
                below = self._clear(handle, name, top, deep=len(stack) >= _DEPTH)
                if below is not None:
                    stack.append((below, name))
                    names.append(os.listdir(below))
        finally:
            for handle, _ in stack:
                os.close(handle)

    def _clear(self, handle: int, name: str, top: int, *, deep: bool) -> int | None:
        """Deletes what is no directory; a directory comes back open, unless it was deep and is now at the top."""
        try:
            try:
                os.unlink(name, dir_fd=handle)
            except (IsADirectoryError, PermissionError) as error:
                try:
                    below = _open(name, handle)
                except NotADirectoryError:
                    raise error from None
            else:
                return None
            if not deep:
                return below
            os.close(below)
            fresh = f".{secrets.token_hex(16)}"
            os.rename(name, fresh, src_dir_fd=handle, dst_dir_fd=top)
            self._raised.append(fresh)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._failed = self._failed or error
        return None

    def _drop(self, name: str, handle: int) -> None:
        try:
            os.rmdir(name, dir_fd=handle)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._failed = self._failed or error


def _open(name: str | Path, parent: int | None = None) -> int:
    """A directory, open; one that forbids it is made to allow it, and to be emptied. Never by way of a link."""
    seen = os.open(name, _LOOK, dir_fd=parent)
    try:
        path = Path(f"/proc/self/fd/{seen}")
        if os.fstat(seen).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            with suppress(PermissionError):  # another's: what it allows must do
                path.chmod(stat.S_IRWXU)
        return os.open(path, DIRECTORY & ~os.O_NOFOLLOW)
    finally:
        os.close(seen)
