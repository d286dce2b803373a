"""How many jobs of a batch are in which state, and what that makes of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from jobgate.model.state import JobState

ENDS: Final = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class BatchEnd(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last job of a batch that was not over has ended: how many of those kept ended in which way."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def state(self) -> JobState:
        """The batch's own."""
        return JobState.FAILED if self.failed else JobState.CANCELLED if self.cancelled else JobState.SUCCEEDED

    @property
    def counts(self) -> tuple[tuple[JobState, int], ...]:
        """Those that there are."""
        numbers = self.succeeded, self.failed, self.cancelled
        return tuple((state, number) for state, number in zip(ENDS, numbers, strict=True) if number)


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of a batch that are still kept."""

    counts: Mapping[JobState, int]
    """Only states that some job is in."""
    version: int
    """Grows with each fact of a job of the batch, and with each job that is deleted."""
    started: float | None = None
    """When the first of them started."""
    ended: float | None = None
    """When one of them ended last; it may have been asked for another attempt since."""
    vacant: JobState | None = None
    """Where a batch stands that never had jobs."""

    @property
    def live(self) -> int:
        """How many are not over."""
        return sum(number for state, number in self.counts.items() if not state.over)

    @property
    def state(self) -> JobState:
        """Where the batch stands: over when all its jobs are, running as soon as one has started."""
        if self.vacant is not None:
            return self.vacant
        live = {state for state, number in self.counts.items() if number and not state.over}
        if not live:
            counts = self.counts
            return BatchEnd(failed=counts.get(JobState.FAILED, 0), cancelled=counts.get(JobState.CANCELLED, 0)).state
        if live == {JobState.CANCELLING}:
            return JobState.CANCELLING
        if self.started is not None or live - {JobState.HELD, JobState.QUEUED}:
            return JobState.RUNNING
        return JobState.QUEUED if JobState.QUEUED in live else JobState.HELD
