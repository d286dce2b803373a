"""The log of a job that runs, a file that grows. The launcher gives the middle of one too long back to the disk.

What was given back is a hole in the file, and reads as zeros; whoever reads goes on behind it. A hole has whole blocks
only, and the zeros that stand for the rest of one at either edge are left out with it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from jobgate.model.files import Piece


def size_of(path: Path) -> Piece:
    """How long it is: nothing is read, and nothing is waited for."""
    try:
        return Piece(0, b"", path.stat().st_size)
    except FileNotFoundError:
        return Piece(0, b"", 0)


def piece_of(path: Path, offset: int, limit: int) -> Piece:
    """So many bytes at most, all of them kept; none at its end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Piece(offset, b"", 0)
    try:
        size = os.fstat(handle).st_size
        while offset < size:
            start, end, after = _kept(handle, offset, size)
            if start < end:
                return Piece(start, os.pread(handle, min(limit, end - start), start), size)
            offset = after
        return Piece(offset, b"", size)
    finally:
        os.close(handle)


def _kept(handle: int, offset: int, size: int) -> tuple[int, int, int]:
    """The next bytes that are kept, where they begin and end, and where the next hole begins."""
    try:
        start = os.lseek(handle, offset, os.SEEK_DATA)
        after = os.lseek(handle, start, os.SEEK_HOLE)
    except OSError as error:  # behind the last byte that is no hole; or the file system knows of none
        return (size, size, size) if error.errno == errno.ENXIO else (offset, size, size)
    block, end = os.fstat(handle).st_blksize, after
    first = start - start % block
    if after < size:
        edge = os.pread(handle, min(block, after), max(after - block, 0))
        end -= len(edge) - len(edge.rstrip(b"\0"))
    if first and os.lseek(handle, first - 1, os.SEEK_DATA) == first:
        edge = os.pread(handle, block, first)
        start = max(start, first + len(edge) - len(edge.lstrip(b"\0")))
    return start, end, after
