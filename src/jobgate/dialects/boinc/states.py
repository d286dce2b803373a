"""The model's states in this API's numbers and words [BOINC, section 4]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from jobgate.model.attempt import Attempt
from jobgate.model.outcomes import Counted, JobView
from jobgate.model.replicas import Shortfall, shortfall
from jobgate.model.state import AttemptState, Failure, JobState, Limit, Verdict

NEW, IN_PROGRESS, COMPLETE, ABORTED, RETIRED = range(5)

BITS: Final[Mapping[Shortfall, tuple[int, str]]] = {
    Shortfall.UNSENT: (1, "couldnt_send_result"),
    Shortfall.ERRORS: (2, "too_many_error_results"),
    Shortfall.SUCCESSES: (4, "too_many_success_results"),
    Shortfall.TOTAL: (8, "too_many_total_results"),
    Shortfall.CANCELLED: (16, "cancelled"),
    Shortfall.NO_CANONICAL: (32, "no_canonical_result"),
}
"""Bits of the error mask, and their words."""


def of_batch(stands: Counted) -> int:
    """The batch's state, 0 to 4."""
    if stands.batch.retired is not None:
        return RETIRED
    if stands.batch.cancelled is not None and (stands.state.over or stands.state is JobState.CANCELLING):
        return ABORTED
    if not stands.batch.count:
        return NEW
    return COMPLETE if stands.state.over else IN_PROGRESS


def errors(view: JobView) -> tuple[int, tuple[str, ...]]:
    """The error mask, and its bits' words; 0 of a job that succeeded, or is not over."""
    job = view.job
    if job.state is JobState.SUCCEEDED or not (job.state.over or job.state is JobState.CANCELLING):
        return 0, ()
    found = sorted(BITS[one] for one in shortfall(job, view.attempts, view.spec))
    return sum(bit for bit, _ in found), tuple(word for _, word in found)


def detail(view: JobView) -> str:
    """The word of `query_batch`: whether something of it runs now."""
    state = view.job.state
    if state is JobState.SUCCEEDED:
        return "done"
    if state.over or state is JobState.CANCELLING:
        return "error"
    return "in_progress" if any(not attempt.state.over for attempt in view.attempts) else "queued"


_UNSENT: Final = frozenset({AttemptState.OFFERED, AttemptState.RETURNED})
"""An attempt that was given back before its command was started was never sent."""


def polled(view: JobView) -> str:
    """The word of `query_batch2`: whether something of it was ever sent."""
    state = view.job.state
    if state is JobState.SUCCEEDED:
        return "DONE"
    if state.over or state is JobState.CANCELLING:
        return "ERROR"
    return "IN_PROGRESS" if any(attempt.state not in _UNSENT for attempt in view.attempts) else "UNSENT"


_JUDGED: Final[Mapping[Verdict, str]] = {
    Verdict.PENDING: "Completed, waiting for validation",
    Verdict.VALID: "Completed and validated",
    Verdict.INVALID: "Completed, marked as invalid",
    Verdict.INCONCLUSIVE: "Completed, validation inconclusive",
    Verdict.TOO_LATE: "Completed, too late to validate",
    Verdict.NONE: "Completed and validated",
}
"""Without a comparison the first success is the answer, which is as good as validated."""
_FAILED: Final[Mapping[Failure, str]] = {
    Failure.INPUT: "Error while downloading",
    Failure.IMAGE: "Error while downloading",
    Failure.PROGRAM: "Error while computing",
    Failure.LIMIT: "Aborted",
    Failure.OUTPUT: "Error while uploading",
    Failure.ENGINE: "Error",
    Failure.LOST: "Timed out - no response",
    Failure.PREEMPTED: "Abandoned",
    Failure.UNDECIDED: "Validate error",
}


def of_attempt(view: JobView, attempt: Attempt) -> str:
    """The instance's state in words."""
    if not attempt.state.over:
        return "Unsent" if attempt.state is AttemptState.OFFERED else "In progress"
    if attempt.verdict is Verdict.UNNEEDED or attempt.state is AttemptState.RETURNED:
        return "Didn't need"
    if attempt.failure is not None:
        if view.job.state in (JobState.CANCELLED, JobState.CANCELLING):
            return "Cancelled by server"
        if attempt.limit is Limit.OUTPUT:
            return "Upload failed"
        return _FAILED[attempt.failure]
    if attempt.state is AttemptState.LOST:
        return "Timed out - no response"
    return _JUDGED[attempt.verdict]


def last_over(attempts: Sequence[Attempt]) -> Attempt | None:
    """The last instance that ran and is over."""
    over = (attempt for attempt in reversed(attempts) if attempt.state.over and attempt.state not in _UNSENT)
    return next((attempt for attempt in over if attempt.verdict is not Verdict.UNNEEDED), None)


def exits(attempts: Iterable[Attempt]) -> list[int]:
    """The exit status of each instance that ended in an error."""
    return [attempt.exit.code for attempt in attempts if attempt.failure is not None and attempt.exit is not None]
