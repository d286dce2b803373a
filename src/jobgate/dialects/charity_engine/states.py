"""The six states of this API, and its reasons, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from jobgate.model.errors import Invalid
from jobgate.model.job import Job
from jobgate.model.state import Failure, JobState, Limit

ABORTED: Final = "aborted"
FAILED: Final = "failed"

NAMES: Final[Mapping[JobState, str]] = {
    JobState.HELD: "provisioning",
    JobState.QUEUED: "provisioning",
    JobState.STAGING_IN: "downloading",
    JobState.RUNNING: "running",
    JobState.STAGING_OUT: "running",
    JobState.CANCELLING: "running",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: FAILED,
    JobState.CANCELLED: ABORTED,
}
"""A failed job is `aborted` instead when its time limit struck. One being cancelled runs until the engine's word."""

REASONS: Final[Mapping[Failure, str]] = {
    Failure.PROGRAM: "exit-code",
    Failure.INPUT: "input-fetch",
    Failure.OUTPUT: "output-store",
    Failure.IMAGE: "input-fetch",
    Failure.LIMIT: "system",
    Failure.ENGINE: "system",
    Failure.LOST: "system",
    Failure.PREEMPTED: "system",
    Failure.UNDECIDED: "system",
}

LIMITS: Final[Mapping[Limit, str]] = {
    Limit.WAIT: "no-host",
    Limit.STAGING: "input-fetch",
    Limit.WALLTIME: "timeout",
    Limit.MEMORY: "exit-code",
    Limit.DISK: "exit-code",
    Limit.OUTPUT: "output-store",
    Limit.ATTEMPTS: "system",
}
"""The limit that struck says more than that one did."""

TEXTS: Final[Mapping[str, str]] = {
    "user": "it was aborted",
    "timeout": "the time limit was reached",
    "exit-code": "the command failed",
    "input-fetch": "an input or the image could not be fetched",
    "output-store": "the outputs could not be stored",
    "no-host": "no host was found in time",
    "system": "the system failed",
}
"""For people, where the job itself has no message."""


def status(job: Job) -> str:
    """The job's state in this API's words."""
    return ABORTED if timed_out(job) else NAMES[job.state]


def timed_out(job: Job) -> bool:
    """Whether the time limit ended it."""
    return job.state is JobState.FAILED and job.limit is Limit.WALLTIME


def reason(job: Job) -> str | None:
    """Why it failed or was aborted; None for any other state."""
    if job.state is JobState.CANCELLED:
        return "user"
    if job.state is not JobState.FAILED:
        return None
    if job.limit is not None:
        return LIMITS[job.limit]
    return REASONS[job.failure or Failure.ENGINE]


def wanted(names: Iterable[str], field: str) -> tuple[frozenset[JobState], bool | None]:
    """A filter's names, in any case, as `Where.states` and `Where.timed_out`. Raises Invalid for an unknown one."""
    chosen = {name.lower() for name in names}
    if unknown := chosen - set(NAMES.values()):
        known = ", ".join(dict.fromkeys(NAMES.values()))
        told = f"{field}: {min(unknown)[:40]!r} is no status; there are: {known}"
        raise Invalid(told, code="invalid-field", field=field)
    states = {state for state, name in NAMES.items() if name in chosen}
    if ABORTED in chosen:
        states.add(JobState.FAILED)
    both = {ABORTED, FAILED} & chosen
    return frozenset(states), (ABORTED in both) if len(both) == 1 else None
