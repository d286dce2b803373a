"""The data folder has one holder at a time: a server, or a command that may not run beside one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from jobgate.model.errors import Conflict, Unavailable

LOCK: Final = "server.lock"


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Holds the folder; the kernel lets go of it when this process ends, however it ends.

    Raises Conflict (`data-in-use`), naming the process that holds it, and Unavailable when the folder is not writable.
    """
    try:
        handle = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"the data folder {data} cannot be used: {error.strerror}", code="data-unusable") from error
    try:
        _lock(handle, data)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, data: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = ""
        with suppress(OSError, ValueError):
            holder = f" (process {int(os.pread(handle, 20, 0))})"
        raise Conflict(
            f"the data folder {data} is in use by another jobgate{holder}: one server at a time has a data folder",
            code="data-in-use",
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
