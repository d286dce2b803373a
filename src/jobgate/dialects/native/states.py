"""Native spells the model's states as the model does, in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobgate.model.state import JobState

NAMES: Final[Mapping[JobState, str]] = {
    JobState.HELD: "held",
    JobState.QUEUED: "queued",
    JobState.STAGING_IN: "staging_in",
    JobState.RUNNING: "running",
    JobState.STAGING_OUT: "staging_out",
    JobState.CANCELLING: "cancelling",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
"""Written out, so that a state renamed in the model is not renamed under our clients."""
