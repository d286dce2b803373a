"""Facts about processes and files, from /proc and the file system."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import time
from collections.abc import Iterable
from typing import Any

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds."""
MARK = b"JOBGATE_ATTEMPT="
HOME = "JOBGATE_LAUNCHER"
"""Environment variable by which a plain job's processes are known."""

Json = dict[str, Any]
encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
libc = ctypes.CDLL(None, use_errno=True)


def boot_id() -> str:
    """Names this run of the machine. The variable is for tests of a reboot."""
    given = os.environ.get("JOBGATE_BOOT_ID")
    if given:
        return given
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def born_at(pid: int) -> int:
    """Start time of a process in clock ticks, 0 when there is none: with pid and boot id it names the process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def ticks() -> int:
    """Now, as `born_at` counts."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // TICK


def children(family: int) -> list[int]:
    """Pids in an open file of children."""
    with contextlib.suppress(OSError):
        return [int(word) for word in os.pread(family, 1 << 16, 0).split()]
    return []


def children_of(pid: int) -> list[int]:
    """Direct children of a process."""
    try:
        fd = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    found = children(fd)
    os.close(fd)
    return found


def processes() -> list[int]:
    """All that this one can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def home_of(directory: str) -> str:
    """A word for the launcher's directory, which another launcher's jobs, of the same names, do not bear."""
    status = os.stat(directory)
    return f"{status.st_dev:x}-{status.st_ino:x}"


def mark(pid: int, home: str) -> str | None:
    """The name of the job of this home that a process was started by; "" if it has ended; None if it does not say."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read().split(b"\0")
    except (ProcessLookupError, FileNotFoundError):
        return ""
    except OSError:
        return None
    if f"{HOME}={home}".encode() in words:
        for word in words:
            if word.startswith(MARK):
                return word[len(MARK) :].decode(errors="replace")
    return None


def inside(pid: int, groups: Iterable[tuple[str, Any]]) -> bool:
    """Whether a process is in one of these control groups, by the last two parts of their paths."""
    ends = tuple("/" + "/".join(path.split("/")[-2:]) for path, _ in groups)
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
        return any(line.rstrip("\n").endswith(ends) for line in file) if ends else False
    return False


def exit_code(path: str) -> int | None:
    """The last word of a sandbox's status file."""
    return _status(path, "exit-code")


def child_pid(path: str) -> int | None:
    """The first process of a sandbox."""
    return _status(path, "child-pid")


def _status(path: str, key: str) -> int | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    value = json.loads(line).get(key)
                    if isinstance(value, int):
                        return value
    except OSError:
        pass
    return None


def complain(text: str) -> None:
    """To the launcher's own log; what a full disk does not take is lost."""
    with contextlib.suppress(OSError):
        os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n".encode())
