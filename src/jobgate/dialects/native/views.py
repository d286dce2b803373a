"""What the native API shows of jobs and batches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from jobgate.dialects.dialect import Reply
from jobgate.dialects.native.states import NAMES
from jobgate.dialects.native.wire import BatchView, FileView, JobView
from jobgate.model.ids import batch_text, job_text, place
from jobgate.model.job import Batch, Job
from jobgate.model.outcomes import JobView as Whole
from jobgate.model.state import JobState


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    return Reply(status=status, headers=headers or {}, body=msgspec.json.encode(body))


def job_view(job: Job, batch: Batch, whole: Whole | None = None) -> JobView:
    """The job; with its attempts' number and files where they were looked up."""
    attempts = whole.attempts if whole else ()
    shown = attempts[job.canonical - 1] if job.canonical is not None and job.canonical <= len(attempts) else None
    shown = shown or (attempts[-1] if attempts else None)
    files = shown.outputs if shown and job.state.over else ()
    return JobView(
        id=job_text(batch.id, job.id),
        batch=batch_text(batch.id),
        number=place(batch.id, job.id) + 1,
        state=NAMES[job.state],
        created=moment(job.created),
        name=batch.name or UNSET,
        labels=dict(batch.labels) or UNSET,
        priority=job.priority,
        started=UNSET if job.started is None else moment(job.started),
        ended=UNSET if job.ended is None else moment(job.ended),
        exit_code=UNSET if job.exit_code is None else job.exit_code,
        failure=UNSET if job.failure is None else job.failure.value,
        limit=UNSET if job.limit is None else job.limit.value,
        message=job.message or UNSET,
        attempts=len(attempts) if whole else UNSET,
        outputs=tuple(FileView(path=f.path, size=f.size, sha256=f.digest, output=f.output) for f in files)
        if whole
        else UNSET,
        skipped=(shown.skipped if shown and job.state.over else 0) or UNSET,
    )


def batch_view(batch: Batch, counts: Mapping[JobState, int]) -> BatchView:
    """The batch, with its jobs counted by state."""
    return BatchView(
        id=batch_text(batch.id),
        name=batch.name,
        count=batch.count,
        created=moment(batch.created),
        ended=all(state.over for state, number in counts.items() if number),
        counts={NAMES[state]: counts[state] for state in JobState if counts.get(state)},
        labels=dict(batch.labels) or UNSET,
    )


def moment(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
