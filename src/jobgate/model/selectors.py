"""Which jobs an operation means."""

from __future__ import annotations

import msgspec

from jobgate.model.ids import BatchId, JobId, JobName
from jobgate.model.state import JobState


class Ids(msgspec.Struct, frozen=True, tag="ids"):
    """These; unknown and foreign ones come back as missing."""

    jobs: tuple[JobName, ...]
    missing: tuple[str, ...] = ()
    """Names asked for that cannot be ids at all."""


class Of(msgspec.Struct, frozen=True, tag="of"):
    """All of one batch. A batch of one may be named by its job."""

    batch: BatchId
    start: int = 0
    """The place of the first of them in the batch."""


class Where(msgspec.Struct, frozen=True, kw_only=True, tag="where", omit_defaults=True):
    """Own jobs that meet all conditions, newest first."""

    states: frozenset[JobState] = frozenset()
    """Empty: all."""
    timed_out: bool | None = None
    """Of failed jobs only those that did, or did not, end at their wall time; other states are not touched."""
    label: tuple[str, str] | None = None
    app: str | None = None
    batch: BatchId | None = None
    since: float | None = None
    """Created then or later."""
    before: float | None = None
    """Created earlier."""
    after: JobId | None = None
    """The last of the page before."""
    limit: int = 100


Selector = Ids | Of | Where
