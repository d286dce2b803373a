"""Hard limits by control group where the machine lets us, else by rlimit. One group a slot, used again and again.

Sources: engines contract E5; the kernel's cgroup-v1 and cgroup-v2 documents.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

import msgspec

from jobgate.model.resources import Resources

_CONTROLLERS: Final = ("memory", "pids", "cpu")
"""Of version 1: each has a tree of its own."""
_V2_PERIOD: Final = 100_000
_KEPT: Final = 1024
PROCESSES: Final = 1024
"""Processes and threads of one job."""


class Hold(msgspec.Struct, frozen=True):
    """What the launcher is told of one job's limits."""

    cgroups: tuple[tuple[str, dict[str, str]], ...] = ()
    rlimits: tuple[tuple[int, int], ...] = ()
    oom: str = ""
    """File that counts the kernel's kills for want of memory."""


class Limits:
    """How this machine limits jobs, found out once."""

    def __init__(self, name: str, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._name = name
        self._root = root
        self._version = _version(root, name)
        self._holds: dict[tuple[int, float, int], Hold] = {}

    @property
    def version(self) -> int:
        """Of the control groups that limit jobs: 1, 2, or 0 where none can be made."""
        return self._version

    @property
    def groups(self) -> tuple[Path, ...]:
        """The control groups below which those of jobs hang."""
        if self._version == 1:
            return tuple(self._root / controller / self._name for controller in _CONTROLLERS)
        return (self._root / self._name,) if self._version else ()

    def remove(self) -> None:
        """Takes the group away again, by who only wanted to know; one that is in use stays."""
        places = [self._root / self._name]
        for controller in _CONTROLLERS:
            places += [self._root / controller / self._name / "slot-0", self._root / controller / self._name]
        for place in places:
            with contextlib.suppress(OSError):
                place.rmdir()

    @property
    def enforced(self) -> frozenset[str]:
        """Names of the resources that are limited, not only asked for."""
        always = {"walltime", "disk"}
        return frozenset(always | ({"memory", "cores"} if self._version else set()))

    def hold(self, slot: int, asked: Resources) -> Hold:
        """The limits of the job in that slot."""
        key = (slot, asked.cores, asked.memory)
        hold = self._holds.get(key)
        if hold is None:
            if len(self._holds) >= _KEPT:
                self._holds.clear()
            hold = self._holds[key] = self._hold(slot, asked)
        return hold

    def _hold(self, slot: int, asked: Resources) -> Hold:
        if self._version == 1:
            return self._v1(slot, asked)
        if self._version == 2:  # noqa: PLR2004  # the version
            return self._v2(slot, asked)
        space = max(asked.memory, 64 << 20) * 4  # address space is no memory: programs reserve far more than they touch
        return Hold(rlimits=((resource.RLIMIT_AS, space),) if asked.memory else ())

    def _v1(self, slot: int, asked: Resources) -> Hold:
        groups: list[tuple[str, dict[str, str]]] = []
        memory = self._root / "memory" / self._name / f"slot-{slot}"
        if asked.memory:
            groups.append((str(memory), {"memory.limit_in_bytes": str(asked.memory)}))
        groups.append((str(self._root / "pids" / self._name / f"slot-{slot}"), {"pids.max": str(PROCESSES)}))
        if asked.cores:
            quota = {"cpu.cfs_quota_us": str(max(int(asked.cores * _V2_PERIOD), 1000))}
            groups.append((str(self._root / "cpu" / self._name / f"slot-{slot}"), quota))
        return Hold(cgroups=tuple(groups), oom=str(memory / "memory.oom_control") if asked.memory else "")

    def _v2(self, slot: int, asked: Resources) -> Hold:
        group = self._root / self._name / f"slot-{slot}"
        values = {"pids.max": str(PROCESSES)}
        if asked.memory:
            values |= {"memory.max": str(asked.memory), "memory.swap.max": "0"}
        if asked.cores:
            values["cpu.max"] = f"{max(int(asked.cores * _V2_PERIOD), 1000)} {_V2_PERIOD}"
        return Hold(cgroups=((str(group), values),), oom=str(group / "memory.events") if asked.memory else "")


def _version(root: Path, name: str) -> int:
    """1, 2, or 0 where no group can be made."""
    if os.geteuid() != 0:
        return 0
    try:
        if (root / "cgroup.controllers").exists():
            (root / "cgroup.subtree_control").write_text("+memory +pids +cpu")
            (root / name).mkdir(exist_ok=True)
            (root / name / "cgroup.subtree_control").write_text("+memory +pids +cpu")
            return 2
        for controller in _CONTROLLERS:
            (root / controller / name / "slot-0").mkdir(parents=True, exist_ok=True)
            with (root / controller / name / "slot-0" / "cgroup.procs").open("a"):
                pass
    except OSError:
        return 0
    return 1
