"""How a launcher comes to be: it leaves whoever started it, and there is one for a directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable

from .heir import adopt
from .loop import Launcher


def main(arguments: Iterable[str]) -> int:
    """The launcher of one directory, and of the control groups below which its jobs' own hang.

    A second one for the same directory leaves at once.

    Ends when the launcher is ready, with 0, or could not be, with 1 and the reason on standard output.
    """
    directory, *groups = arguments
    directory = os.path.abspath(directory)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(writing)
        with open(reading, "rb") as said:
            reason = said.read()
        os.write(1, reason)
        return 1 if reason else 0
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(reading)
    launcher = None
    try:
        detach(directory)
        if lock(directory):
            launcher = Launcher(directory, groups)
            adopt(launcher)
    except OSError as error:
        os.write(writing, str(error).encode())
        return 1
    os.close(writing)
    if launcher is not None:
        launcher.serve()
    return 0


def detach(directory: str) -> None:
    """No streams of whoever started it; complaints go to its log, where that can be had."""
    os.chdir("/")
    os.umask(0o022)
    null = os.open("/dev/null", os.O_RDWR)
    try:
        log = os.open(f"{directory}/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        log = null
    for to, fd in enumerate((null, null, log)):
        os.dup2(fd, to)
    for fd in {null, log} - {0, 1, 2}:
        os.close(fd)


def lock(directory: str) -> bool:
    """Whether this is the only one. Held to its end; who holds it stands in the file."""
    fd = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    with contextlib.suppress(OSError):  # a full disk: the number is only for the reader
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
    return True
