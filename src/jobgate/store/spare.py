"""Room beside the database that nobody else can fill, for what has to go on when the disk is full.

To delete is to write: SQLite notes first what it will forget. So some room is set aside in a file, and given up step by
step, to writes that make room or end what runs. It is set aside again when there is some.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

SIZE: Final = 8 << 20
"""Bytes set aside; enough for thousands of deletions."""
STEP: Final = 512 << 10
"""Bytes given up at a time: what a running job takes of it before the database does is lost, and no more than that."""
_EASE: Final = 4
"""Room is set aside again when there is so many times what is missing."""


class Spare:
    """A file that holds room. A disk with none left to hold is no error: then there is nothing to give."""

    def __init__(self, path: Path, *, size: int = SIZE) -> None:
        self._path = path
        self._size = size
        self.held = path.stat().st_size if path.exists() else 0
        self.refill()
        if shutil.disk_usage(path.parent).free < STEP:
            self.give()  # what starts on a full disk needs a little before it can ask

    @property
    def short(self) -> bool:
        """Whether some of it was given up."""
        return self.held < self._size

    def give(self) -> bool:
        """Gives up one step; whether there was one."""
        if not self.held:
            return False
        self.held = max(self.held - STEP, 0)
        with suppress(OSError):
            os.truncate(self._path, self.held)
            return True
        return False

    def refill(self) -> None:
        """Sets aside again what is missing, if there is room for it and for others too."""
        missing = self._size - self.held
        if missing <= 0 or shutil.disk_usage(self._path.parent).free < missing * _EASE:
            return
        with suppress(OSError):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(handle, 0, self._size)
                self.held = self._size
            finally:
                os.close(handle)
