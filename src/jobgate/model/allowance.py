"""What an account's quota leaves it to start: jobs and cores at once, over all environments of a node."""

from __future__ import annotations

from typing import Final

import msgspec

from jobgate.model.account import Quota
from jobgate.model.limits import Limits
from jobgate.model.resources import Resources

_DUST: Final = 1e-9
"""Of a core: what sums of fractions are off by."""


class InUse(msgspec.Struct, frozen=True, gc=False):
    """What the jobs of one account have now, from their claim to the end of their command."""

    jobs: int = 0
    cores: float = 0.0

    def plus(self, other: InUse) -> InUse:
        """Both together."""
        return InUse(self.jobs + other.jobs, self.cores + other.cores)


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """What one account may have at once, and what it has of that."""

    running: int = 0
    """Jobs at most; 0: any number."""
    cores: float = 0.0
    """Cores at most; 0: any number."""
    held: InUse = InUse()

    def full(self) -> bool:
        """No further job of any size may start."""
        return 0 < self.running <= self.held.jobs

    def takes(self, asked: Resources) -> bool:
        """Whether a job that asks for this may start beside the others."""
        return not self.full() and (not self.cores or self.held.cores + asked.cores <= self.cores + _DUST)

    def ever(self, asked: Resources) -> bool:
        """Whether it may start at all, as the quota is."""
        return not self.cores or asked.cores <= self.cores + _DUST

    def less(self, asked: Resources) -> Allowance:
        """What is left when such a job has started."""
        return Allowance(self.running, self.cores, self.held.plus(InUse(1, asked.cores)))


def bounds(quota: Quota, limits: Limits) -> Allowance | None:
    """What the account may have at once, of which nothing is taken yet; None: whatever there is."""
    running = limits.running if quota.running is None else quota.running
    cores = limits.cores if quota.cores is None else quota.cores
    return Allowance(running, cores) if running or cores else None
