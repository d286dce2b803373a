"""Control groups: made, entered for the moment of a start, and asked what the kernel did in them.

Their files are kept open: opening one costs more than all that is done with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from .processes import complain

KEPT = 256
"""Files kept open."""

Group = tuple[str, dict[str, str]]
"""A path and the limits in it."""


class Groups:
    """The control groups of one launcher."""

    def __init__(self, parents: Iterable[str] = ()) -> None:
        """`parents`: where those of its jobs hang. What a launcher that was killed left there goes, if it is empty."""
        self.parents = set(parents)
        for parent in self.parents:
            remove_below(parent)
        self.limits: dict[str, dict[str, str]] = {}
        """By path, as they are now."""
        self.files: dict[str, int] = {}

    def prepare(self, path: str, values: dict[str, str]) -> None:
        """A group with its limits; one that cannot be made limits nothing, and says so."""
        if self.limits.get(path) == values:
            return
        self.limits[path] = values
        try:
            os.makedirs(path, exist_ok=True)
            for file, value in values.items():
                with open(f"{path}/{file}", "w", encoding="ascii") as control:
                    control.write(value)
        except OSError as error:
            complain(f"control group {path}: {error}")

    def enter_all(self, groups: Iterable[Group]) -> None:
        """For the moment of a start this process is in them, and what it starts stays there."""
        for path, values in groups:
            if not self.enter(path):  # somebody has removed it
                self.limits.pop(path, None)
                self.prepare(path, values)
                if not self.enter(path):
                    complain(f"control group {path} cannot be entered: this job is not limited by it")

    def leave_all(self, groups: Iterable[Group]) -> None:
        """Back to where they hang."""
        for path, _ in groups:
            self.enter(path.rsplit("/", 2)[0])

    def enter(self, path: str) -> bool:
        """Whether this process could."""
        name = f"{path}/cgroup.procs"
        try:
            os.write(self.file(name, os.O_WRONLY), b"0")
        except OSError:
            self.close(name)
            return False
        return True

    def oom_kills(self, name: str | None) -> int:
        """How often the kernel killed for want of memory, by the file that counts it."""
        if not name:
            return 0
        try:
            words = os.pread(self.file(name, os.O_RDONLY), 4096, 0).split()
            return int(words[words.index(b"oom_kill") + 1])
        except (OSError, ValueError, IndexError):
            self.close(name)
            return 0

    def file(self, name: str, flags: int) -> int:
        """An open file of a group. Raises OSError."""
        fd = self.files.get(name)
        if fd is None:
            if len(self.files) >= KEPT:
                for kept in list(self.files):
                    self.close(kept)
            fd = self.files[name] = os.open(name, flags | os.O_CLOEXEC)
        return fd

    def close(self, name: str) -> None:
        """The file, if it is open."""
        fd = self.files.pop(name, None)
        if fd is not None:
            os.close(fd)

    def dissolve(self) -> None:
        """Removes those that nobody is in."""
        for name in list(self.files):
            self.close(name)
        for parent in self.parents | {os.path.dirname(path) for path in self.limits}:
            remove_below(parent)
            with contextlib.suppress(OSError):
                os.rmdir(parent)


def remove_below(parent: str) -> None:
    """Removes the groups that hang there and that nobody is in; the kernel keeps the others."""
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            with contextlib.suppress(OSError):
                os.rmdir(f"{parent}/{name}")
