"""What a job asks for, with units fixed at birth: cores, bytes, seconds, operations."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from jobgate.model.errors import Invalid

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
OPERATIONS: Final = 1e30
"""Of one job at most: sums of them over all jobs there may be are still numbers."""


class Network(StrEnum):
    """What a job may reach."""

    NONE = "none"
    """Nothing, not even the host."""
    OUTBOUND = "outbound"
    """Public addresses; never the host, never a private range."""
    HOST = "host"
    """All that the host reaches, itself too; only where the operator named the environment so."""


class Gpu(msgspec.Struct, frozen=True, gc=False):
    """A number of devices of one kind."""

    count: int = 1
    kind: str = ""
    """Empty: any."""


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one attempt may use. Zero or None means: the environment's default."""

    cores: float = 0.0
    """Processors; fractions are allowed."""
    memory: int = 0
    """Bytes."""
    disk: int = 0
    """Bytes of workspace."""
    gpus: tuple[Gpu, ...] = ()
    walltime: float | None = None
    """Longest run of one attempt, seconds."""
    network: Network = Network.NONE
    operations: float = 0.0
    """Floating-point operations expected, for engines that plan by them [BOINC: rsc_fpops_est]."""
    operations_limit: float = 0.0
    """Floating-point operations after which it is stopped [BOINC: rsc_fpops_bound]."""
    traffic_in: int = 0
    """Bytes the job expects to fetch; a declaration, not a limit."""
    traffic_out: int = 0
    """Bytes the job expects to send; a declaration, not a limit."""

    def __post_init__(self) -> None:
        for name in ("cores", "memory", "disk", "traffic_in", "traffic_out"):
            value = getattr(self, name)
            if not 0 <= value < 1 << 63:
                raise Invalid(f"{name} must not be negative", field=name)
        for name in ("operations", "operations_limit"):
            if not 0 <= getattr(self, name) <= OPERATIONS:
                raise Invalid(f"{name} must be 0 to {OPERATIONS:g}", field=name)
        if self.walltime is not None and not 0 < self.walltime < 1 << 53:
            raise Invalid("walltime must be more than 0 seconds", field="walltime")

    def over(self, under: Resources) -> Resources:
        """This request, with what it leaves open as `under` says."""
        said = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) != _OPEN[name]}
        return msgspec.structs.replace(under, **said) if said else under

    def fits(self, room: Resources) -> bool:
        """Whether this request can be met from `room`; network and wall time are not counted."""
        return (
            self.cores <= room.cores + 1e-9
            and self.memory <= room.memory
            and self.disk <= room.disk
            and sum(g.count for g in self.gpus) <= sum(g.count for g in room.gpus)
        )


_OPEN: Final[Mapping[str, Any]] = msgspec.structs.asdict(Resources())
"""What each member is where nothing is said."""
