"""Credit: what work is worth, in BOINC's unit [BOINC, section 11].

200 credits are a day of a thousand million floating-point operations a second. An attempt that succeeded is granted
what its job was said to take, or the fixed credit of its template; one that failed, nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from jobgate.model.job import JobSpec

PER_OPERATION: Final = 200 / 86_400e9
"""Credits."""
USUAL_SPEED: Final = 1e9
"""Floating-point operations a second, where nothing was measured."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the jobs of a batch are worth, and what they have come to."""

    estimate: float = 0.0
    """Credit if each replica that is wanted succeeds."""
    canonical: float = 0.0
    """Credit granted to canonical attempts."""
    total: float = 0.0
    """Credit granted to all attempts."""
    cpu_seconds: float = 0.0
    """Of all attempts that are over."""
    operations: float = 0.0
    """Floating-point operations of the jobs that are not over."""


def worth(spec: JobSpec) -> float:
    """The credit of one successful attempt."""
    return spec.credit if spec.credit is not None else spec.resources.operations * PER_OPERATION
