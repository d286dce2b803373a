"""Which jobs an operation means."""

from __future__ import annotations

import msgspec

from jobgate.model.ids import BatchId, EnvironmentName, JobId, JobName
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
    """Own jobs that meet all conditions, newest first.

    With `batch` the jobs are that batch's; an operator may name anybody's.
    """

    states: frozenset[JobState] = frozenset()
    """Empty: all."""
    timed_out: bool | None = None
    """Of failed jobs only those that did, or did not, end at their wall time; other states are not touched."""
    labels: tuple[tuple[str, str], ...] = ()
    """All of them are borne by the job's batch."""
    app: str | None = None
    name: str | None = None
    """The batch's."""
    environment: EnvironmentName | None = None
    """Where the last attempt was made; of a job without one, where alone it may run."""
    batch: BatchId | None = None
    since: float | None = None
    """Created then or later."""
    before: float | None = None
    """Created earlier."""
    after: JobId | None = None
    """The last of the page before."""
    needs_batch: bool = False
    """A batch that is unknown or foreign is not found; otherwise it has no jobs."""
    ascending: bool = False
    """In order of their numbers; of one batch only."""
    limit: int = 100
    looks: int | None = None
    """About so many jobs are looked at for one answer: it may then be short, though there is more. None: all."""


class BatchCalled(msgspec.Struct, frozen=True, kw_only=True, tag="batch_called", gc=False):
    """An own batch by what people or small APIs call it: by its number if that is not 0, else by its name.

    Of several with one name the newest is meant that is not retired, or else the newest.
    """

    number: int = 0
    name: str = ""


class JobCalled(msgspec.Struct, frozen=True, kw_only=True, tag="job_called", gc=False):
    """An own job by its number if that is not 0, else by its name.

    The number may be that of one of its attempts, and the name followed by `_` and an attempt's number from 0: then
    that attempt is meant.
    """

    number: int = 0
    name: str = ""


class BatchesWhere(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Own batches that meet all conditions, newest first."""

    states: frozenset[JobState] = frozenset()
    """Where the batch stands, as `standing` says; empty: all."""
    labels: tuple[tuple[str, str], ...] = ()
    app: str | None = None
    name: str | None = None
    since: float | None = None
    """Created then or later."""
    before: float | None = None
    """Created earlier."""
    after: BatchId | None = None
    """The last of the page before."""
    limit: int = 100
    retired: bool = False
    """Those too that are retired."""
    looks: int = 2000
    """So many batches are looked at for one answer: it may then be short, though there are more."""


Selector = Ids | Of | Where
