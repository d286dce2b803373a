"""Credit: what work is worth, in BOINC's unit [BOINC, section 11].

200 credits are a day of a thousand million floating-point operations a second. An attempt that succeeded is granted
what its job was said to take, or the fixed credit of its template; one that failed, nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from jobgate.model.attempt import Attempt
from jobgate.model.job import Job, JobSpec
from jobgate.model.state import JobState, Verdict

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
    """Floating-point operations of the jobs that are not over, each as often as it has replicas."""


def worth(spec: JobSpec) -> float:
    """The credit of one successful attempt."""
    return spec.credit if spec.credit is not None else spec.resources.operations * PER_OPERATION


def owed(spec: JobSpec) -> float:
    """Floating-point operations of all replicas of one job."""
    return spec.resources.operations * spec.replication.replicas


def granted(attempt: Attempt, spec: JobSpec) -> bool:
    """Whether it is known to be good: it succeeded, and where replicas are compared, a quorum agrees with it."""
    return attempt.succeeded and (spec.replication.quorum == 1 or attempt.verdict is Verdict.VALID)


def ledger(job: Job, attempts: Sequence[Attempt], spec: JobSpec) -> Ledger:
    """What one job is worth, and what it has come to."""
    value = worth(spec)
    return Ledger(
        estimate=value * spec.replication.replicas,
        canonical=value if job.state is JobState.SUCCEEDED else 0.0,
        total=value * sum(1 for attempt in attempts if granted(attempt, spec)),
        cpu_seconds=sum(attempt.usage.cpu_seconds for attempt in attempts if attempt.state.over),
        operations=0.0 if job.state.over else owed(spec),
    )


def ends(known: Ledger, now: float, throughput: float) -> float | None:
    """When what is not over will be, at so many operations a second; None where nothing says what it takes."""
    return now + known.operations / throughput if known.operations > 0 < throughput else None
