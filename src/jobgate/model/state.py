"""The names of every state, and which moves between them exist. `advance.py` makes the moves.

.. code-block:: text

    job:      held ⇄ queued → staging_in → running → staging_out → succeeded | failed
                       any that is not over → cancelling → cancelled
              failed → queued, by its owner's word
    attempt:  offered → claimed → starting → running → collecting → ended | lost
              claimed | starting → returned
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a job stands."""

    HELD = "held"
    """Waits for its owner's word; nothing starts it. Moved on by release or cancel."""
    QUEUED = "queued"
    """Waits for room, or for its next try. Moved on by a claim, cancel, or its longest wait."""
    STAGING_IN = "staging_in"
    """An attempt is claimed; its inputs are brought in."""
    RUNNING = "running"
    """An attempt has started."""
    STAGING_OUT = "staging_out"
    """The command is over; outputs are brought to storage."""
    CANCELLING = "cancelling"
    """Cancel was asked; the engine's word on every live attempt is awaited."""
    SUCCEEDED = "succeeded"
    """Over: the outputs and the exit code are those of the canonical attempt."""
    FAILED = "failed"
    """Over: the failure says why. Its owner may have it queued for another attempt."""
    CANCELLED = "cancelled"
    """Over: stopped because it was asked."""

    @property
    def over(self) -> bool:
        """Whether nothing moves it any more, but for its owner's retry of one that failed."""
        return self in OVER


OVER: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

_HERE_AND_THERE: Final = frozenset({JobState.QUEUED, JobState.STAGING_IN, JobState.RUNNING, JobState.STAGING_OUT})
"""Between these a job goes to and fro with its attempts; several of them may be on their way at once."""

MOVES: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.HELD: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset(
        {JobState.HELD, JobState.STAGING_IN, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.STAGING_IN: _HERE_AND_THERE | {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLING},
    JobState.RUNNING: _HERE_AND_THERE | {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLING},
    JobState.STAGING_OUT: _HERE_AND_THERE
    | {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLING, JobState.CANCELLED},
    JobState.CANCELLING: frozenset({JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset(),
}
for _state in _HERE_AND_THERE - {JobState.QUEUED}:
    MOVES[_state] -= {_state}
"""Every move a job can make; the property tests hold `advance` to it, and the docs are drawn from it.

Queued to succeeded happens with replicas only: another attempt has won meanwhile. Staging in to succeeded or failed
also happens when a start and an end become known together.
"""


class AttemptState(StrEnum):
    """Where one attempt stands."""

    OFFERED = "offered"
    """Made for an environment that comes to fetch work [BOINC: unsent]."""
    CLAIMED = "claimed"
    """A node has it under a lease and brings in its inputs."""
    STARTING = "starting"
    """About to be handed to the engine; whether it was is unknown until the engine is asked."""
    RUNNING = "running"
    """The engine says that it started."""
    COLLECTING = "collecting"
    """The command is over; outputs are being stored."""
    ENDED = "ended"
    """Over, and known how."""
    LOST = "lost"
    """Over; what became of it cannot be known."""
    RETURNED = "returned"
    """Over; given back to the queue before its command was started. It counts as no try."""

    @property
    def over(self) -> bool:
        """Whether nothing moves it any more."""
        return self in _ATTEMPT_OVER


_ATTEMPT_OVER: Final = frozenset({AttemptState.ENDED, AttemptState.LOST, AttemptState.RETURNED})


ATTEMPT_MOVES: Final[dict[AttemptState, frozenset[AttemptState]]] = {
    AttemptState.OFFERED: frozenset({AttemptState.CLAIMED, AttemptState.ENDED}),
    AttemptState.CLAIMED: frozenset(
        {AttemptState.STARTING, AttemptState.ENDED, AttemptState.LOST, AttemptState.RETURNED}
    ),
    AttemptState.STARTING: frozenset(
        {
            AttemptState.RUNNING,
            AttemptState.COLLECTING,
            AttemptState.ENDED,
            AttemptState.LOST,
            AttemptState.RETURNED,
        }
    ),
    AttemptState.RUNNING: frozenset({AttemptState.COLLECTING, AttemptState.ENDED, AttemptState.LOST}),
    AttemptState.COLLECTING: frozenset({AttemptState.ENDED, AttemptState.LOST}),
    AttemptState.ENDED: frozenset(),
    AttemptState.LOST: frozenset(),
    AttemptState.RETURNED: frozenset(),
}


class Verdict(StrEnum):
    """What comparing replicas said of an attempt [BOINC: validate_state]."""

    NONE = "none"
    """Nothing to compare."""
    PENDING = "pending"
    """Waits to be compared."""
    VALID = "valid"
    """It is one of the quorum that agrees, or agrees with it."""
    INVALID = "invalid"
    """It differs from the quorum that agrees, or its validator named it on no line."""
    INCONCLUSIVE = "inconclusive"
    """Compared, or never to be, and no quorum agreed."""
    UNNEEDED = "unneeded"
    """Not started, or stopped, because the job was decided without it [BOINC: didn't need]."""
    TOO_LATE = "too_late"
    """It succeeded when the job was decided already, and was not compared."""


class Failure(StrEnum):
    """Why a job or an attempt failed."""

    PROGRAM = "program"
    """The command ended with another code than 0, or by a signal."""
    INPUT = "input"
    """An input could not be brought in."""
    OUTPUT = "output"
    """A required output is missing, or the outputs could not be stored."""
    IMAGE = "image"
    """The image is unknown here, or could not be made ready."""
    LIMIT = "limit"
    """Stopped at a limit; `Limit` says which."""
    ENGINE = "engine"
    """The engine refused or broke."""
    LOST = "lost"
    """The engine does not know the attempt any more."""
    PREEMPTED = "preempted"
    """The environment took its place back."""
    UNDECIDED = "undecided"
    """The replicas never agreed."""


class Limit(StrEnum):
    """The limit that stopped it."""

    WAIT = "wait"
    """Longest time in the queue."""
    STAGING = "staging"
    WALLTIME = "walltime"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT = "output"
    """Too many or too large output files."""
    ATTEMPTS = "attempts"
