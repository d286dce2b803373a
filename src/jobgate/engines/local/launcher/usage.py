"""What a job takes of the disk: its workspace, files that it unlinked and holds open, and its log.

It is looked at now and then, not held: a quota of the file system is the operator's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable

from .processes import Json, children_of, libc

PUNCH_HOLE = 0x03
"""FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE."""
NAMES = 100_000
"""In one workspace at most: so many are looked at in about half a second."""
DEEP = 1_000
"""Directories in each other at most."""
OPEN = 20_000
"""Open files looked at, of one job."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def taken(spec: Json, pids: Iterable[int], enough: int) -> int:
    """Bytes on disk; more than `enough` when there is more than can be looked at."""
    total = used(spec["root"], enough)
    if total <= enough:
        total += unlinked(spec["root"], pids)
    cap = spec.get("cap")
    if cap:
        with contextlib.suppress(OSError):
            total += max(os.stat(spec["log"]).st_blocks * 512 - 2 * cap - (1 << 20), 0)
    return total


def used(root: str, enough: int) -> int:
    """Bytes that a tree takes; stops counting beyond `enough`. Goes by directories, not by paths: none is too long."""
    try:
        chain = [(os.open(root, DIRECTORY), ["."])]
    except OSError:
        return 0
    total = names = 0
    seen: set[int] = set()
    try:
        while chain:
            handle, below = chain[-1]
            if not below:
                os.close(chain.pop()[0])
                continue
            try:
                inner = os.open(below.pop(), DIRECTORY, dir_fd=handle)
            except OSError:
                continue
            found: list[str] = []
            chain.append((inner, found))
            with os.scandir(inner) as entries:
                for entry in entries:
                    names += 1
                    with contextlib.suppress(OSError):
                        total += blocks(entry.stat(follow_symlinks=False), seen)
                        if entry.is_dir(follow_symlinks=False):
                            found.append(entry.name)
            if total > enough or names > NAMES or len(chain) > DEEP:
                return max(total, enough + 1)
    finally:
        for handle, _ in chain:
            os.close(handle)
    return total


def blocks(status: os.stat_result, seen: set[int]) -> int:
    """Bytes of a file on disk, of one with several names once."""
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        if status.st_ino in seen:
            return 0
        seen.add(status.st_ino)
    return status.st_blocks * 512


def unlinked(root: str, pids: Iterable[int]) -> int:
    """Bytes of files without a name, on the workspace's file system, that processes hold open."""
    total = looked = 0
    seen: set[int] = set()
    try:
        device = os.stat(root).st_dev
    except OSError:
        return 0
    stack = list(pids)
    while stack and looked < OPEN:
        pid = stack.pop()
        stack += children_of(pid)
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                looked += 1
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{name}")
                    nameless = status.st_nlink == 0 and status.st_dev == device and stat.S_ISREG(status.st_mode)
                    if nameless and status.st_ino not in seen:
                        seen.add(status.st_ino)
                        total += status.st_blocks * 512
    return total


def trim(spec: Json) -> int:
    """The middle of a log that is too long is given back to the disk; its length, which is returned, stays."""
    cap = spec.get("cap")
    if not cap:
        return 0
    try:
        size = os.stat(spec["log"]).st_size
        if size <= 2 * cap:
            return size
        fd = os.open(spec["log"], os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    half = cap // 2
    libc.fallocate(fd, PUNCH_HOLE, ctypes.c_int64(half), ctypes.c_int64(size - cap))
    os.close(fd)
    return size
