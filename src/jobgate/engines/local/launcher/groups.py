"""Control groups: one a slot, made when first needed, gone with the launcher."""

from __future__ import annotations

import contextlib
import os

from .processes import complain


class Groups:
    """The groups that were made here, with the limits they have now."""

    def __init__(self) -> None:
        self._limits: dict[str, dict[str, str]] = {}

    def prepare(self, path: str, values: dict[str, str]) -> None:
        """A group with its limits; one that cannot be made limits nothing, and says so."""
        if self._limits.get(path) == values:
            return
        self._limits[path] = values
        try:
            os.makedirs(path, exist_ok=True)
            for name, value in values.items():
                with open(f"{path}/{name}", "w", encoding="ascii") as control:
                    control.write(value)
        except OSError as error:
            complain(f"control group {path}: {error}")

    def dissolve(self) -> None:
        """Removes those that nobody is in."""
        for path in self._limits:
            with contextlib.suppress(OSError):
                os.rmdir(path)


def join(path: str) -> None:
    """This process enters a control group."""
    with contextlib.suppress(OSError):
        fd = os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)


def kills(path: str | None) -> int:
    """How often the kernel killed for want of memory, by the group's own count."""
    if not path:
        return 0
    try:
        with open(path, encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, ValueError):
        return 0
