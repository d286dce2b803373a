"""What the native API shows of jobs, attempts and batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from jobgate.dialects.dialect import Reply
from jobgate.dialects.native.again import draft_of
from jobgate.dialects.native.states import NAMES
from jobgate.dialects.native.wire import (
    AllowedView,
    AttemptView,
    BatchView,
    CreditView,
    ExitView,
    FailureView,
    FileView,
    JobView,
    UsageView,
    Value,
)
from jobgate.dialects.native.wire_replicas import replication_draft
from jobgate.dialects.native.wire_waits import waits_view
from jobgate.model.attempt import Attempt, Exit, Usage
from jobgate.model.credit import Ledger
from jobgate.model.files import Artifact, Keep, workspace_path
from jobgate.model.ids import EnvironmentName, batch_text, job_text, place
from jobgate.model.job import AppRef, Argv, Batch, ImageRef, Job, JobSpec, Script
from jobgate.model.numbers import of_job
from jobgate.model.outcomes import Alike, Counted
from jobgate.model.outcomes import JobView as Whole
from jobgate.model.state import Failure, JobState, Verdict

EVERYTHING: Final = frozenset({"spec", "outputs"})
"""What one job shows without being asked; the jobs of a list do not."""
_NO_USAGE: Final = Usage()
T = TypeVar("T")


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    return Reply(status=status, headers=headers or {}, body=msgspec.json.encode(body))


def _said(value: T) -> T | UnsetType:
    """The value, where there is one."""
    return value or UNSET


def job_view(job: Job, batch: Batch, name: str = "") -> JobView:
    """A job of which nothing more is known, as when it was just made."""
    return JobView(
        id=job_text(batch.id, job.id),
        batch=batch_text(batch.id),
        number=place(batch.id, job.id) + 1,
        small_number=of_job(batch.first, place(batch.id, job.id)) if batch.first else UNSET,
        job_name=_said(name),
        state=NAMES[job.state],
        created=moment(job.created),
        name=_said(batch.name),
        labels=_said(dict(batch.labels)),
        priority=job.priority,
        started=_moment(job.started),
        ended=_moment(job.ended),
        exit_code=UNSET if job.exit_code is None else job.exit_code,
        failure=UNSET if job.failure is None else job.failure.value,
        limit=UNSET if job.limit is None else job.limit.value,
        message=_said(job.message),
        progress=_said(job.progress),
        dialect=batch.origin.dialect,
    )


def whole_view(whole: Whole, expand: Collection[str] = EVERYTHING) -> JobView:
    """A job with what was asked for: of spec, outputs and attempts."""
    job, attempts, spec = whole.job, whole.attempts, whole.spec
    shown = attempts[job.canonical - 1] if job.canonical is not None and job.canonical <= len(attempts) else None
    shown = shown or (attempts[-1] if attempts else None)
    over = job.state.over
    step = spec.steps[0]
    command: tuple[str, ...] | UnsetType = UNSET
    script: str | UnsetType = UNSET
    if "spec" in expand:
        match step.command:
            case Argv(words):
                command = words
            case Script(text):
                script = text
    return msgspec.structs.replace(
        job_view(job, whole.batch, whole.name),
        app=step.program.name if isinstance(step.program, AppRef) else UNSET,
        image=step.program.name if isinstance(step.program, ImageRef) else UNSET,
        command=command,
        script=script,
        parameters=_said(_values(spec)),
        environment=_said(shown.environment if shown else spec.place.environment or EnvironmentName("")),
        node=shown.lease.node if shown and shown.lease else UNSET,
        replication=UNSET if spec.replication.plain else replication_draft(spec.replication) or UNSET,
        canonical=_canonical(job, spec),
        attempt_count=len(attempts),
        attempts=tuple(attempt_view(one, spec) for one in attempts) if "attempts" in expand else UNSET,
        draft=(draft_of(spec) or UNSET) if "draft" in expand else UNSET,
        outputs=_files(job, spec, shown) if over and "outputs" in expand else UNSET,
        missing=_said(_missing(spec, shown)) if over and "outputs" in expand else UNSET,
        skipped=_said(shown.skipped if shown and over else 0),
        waits=UNSET if whole.waits is None else waits_view(whole.waits),
    )


def _canonical(job: Job, spec: JobSpec) -> int | UnsetType:
    agreed = job.state is JobState.SUCCEEDED and not spec.replication.plain
    return job.canonical if agreed and job.canonical is not None else UNSET


def _values(spec: JobSpec) -> dict[str, Value]:
    return dict(spec.parameters)


def _files(job: Job, spec: JobSpec, shown: Attempt | None) -> tuple[FileView, ...]:
    """Where attempts never agreed, those of none are the job's."""
    files = shown.outputs if shown and job.failure is not Failure.UNDECIDED else ()
    return tuple(file_view(workspace_path(spec.outputs, file), file) for file in files)


def _missing(spec: JobSpec, shown: Attempt | None) -> tuple[str, ...]:
    """Outputs of which there is nothing, though the command ended as they ask."""
    if shown is None or shown.exit is None or not spec.outputs:
        return ()
    there = {file.output for file in shown.outputs}
    wanted = Keep if shown.exit.code == 0 else {Keep.ALWAYS}
    return tuple(item.path for number, item in enumerate(spec.outputs) if number not in there and item.keep in wanted)


def file_view(path: str, artifact: Artifact) -> FileView:
    """A file under its path in the workspace."""
    return FileView(path=path, size=artifact.size, sha256=artifact.digest, output=artifact.output, mode=artifact.mode)


def attempt_view(attempt: Attempt, spec: JobSpec) -> AttemptView:
    """One start of a job."""
    asked, end, usage = spec.resources, attempt.exit, attempt.usage
    allowed = AllowedView(
        cores=_said(asked.cores),
        memory=_said(asked.memory),
        disk=_said(asked.disk),
        walltime=UNSET if asked.walltime is None else asked.walltime,
    )
    return AttemptView(
        id=str(attempt.id),
        number=attempt.id.number,
        replica=attempt.replica,
        try_=attempt.tried,
        state=attempt.state.value,
        environment=attempt.environment,
        node=attempt.lease.node if attempt.lease else UNSET,
        created=moment(attempt.created),
        started=_moment(attempt.started),
        ended=_moment(attempt.ended),
        exit_code=UNSET if end is None else end.code,
        signal=UNSET if end is None or end.signal is None else end.signal,
        failure=UNSET if attempt.failure is None else attempt.failure.value,
        limit=UNSET if attempt.limit is None else attempt.limit.value,
        message=_said(attempt.message),
        verdict=UNSET if attempt.verdict is Verdict.NONE else attempt.verdict.value,
        usage=UNSET
        if usage == _NO_USAGE
        else UsageView(cpu_seconds=usage.cpu_seconds, wall_seconds=usage.wall_seconds, max_memory=usage.max_memory),
        allowed=UNSET if allowed == AllowedView() else allowed,
        steps=_said(tuple(map(_exit, attempt.steps))),
    )


def _exit(one: Exit) -> ExitView:
    return ExitView(exit_code=one.code, signal=UNSET if one.signal is None else one.signal)


def batch_view(counted: Counted) -> BatchView:
    """The batch, with its jobs counted by state."""
    batch, counts = counted.batch, counted.counts
    kept = sum(counts.values())
    over = sum(number for state, number in counts.items() if state.over)
    return BatchView(
        id=batch_text(batch.id),
        small_number=_said(batch.number),
        name=batch.name,
        count=batch.count,
        state=NAMES[counted.state],
        created=moment(batch.created),
        started=_moment(counted.started),
        ended=_moment(counted.ended if counted.state.over else None),
        over=counted.state.over,
        counts={NAMES[state]: counts[state] for state in NAMES if counts.get(state)},
        progress=round(over / kept, 4) if kept else float(counted.state.over),
        labels=_said(dict(batch.labels)),
        priority=batch.priority,
        app=_said(batch.app),
        environments=_said(tuple(counted.environments)),
        open=_said(batch.vacant is JobState.HELD and batch.retired is None),
        expires=_moment(batch.expires),
        retired=_moment(batch.retired),
        dialect=batch.origin.dialect,
        failures=UNSET if counted.failures is None else tuple(map(failure_view, counted.failures)),
        waits=UNSET if counted.waits is None else waits_view(counted.waits),
        credit=UNSET if counted.ledger is None else _credit(counted.ledger),
        cpu_seconds=UNSET if counted.ledger is None else _said(round(counted.ledger.cpu_seconds, 3)),
    )


def _credit(ledger: Ledger) -> CreditView | UnsetType:
    """Where there is any."""
    if not ledger.estimate and not ledger.total:
        return UNSET
    return CreditView(estimate=ledger.estimate, canonical=ledger.canonical, total=ledger.total)


def failure_view(alike: Alike) -> FailureView:
    """Jobs that failed in the same way."""
    return FailureView(
        failure=UNSET if alike.failure is None else alike.failure.value,
        limit=UNSET if alike.limit is None else alike.limit.value,
        exit_code=UNSET if alike.exit_code is None else alike.exit_code,
        message=_said(alike.message),
        count=alike.count,
        such_as=str(alike.such_as),
        last_line=UNSET if alike.last_line is None else alike.last_line,
    )


def moment(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(seconds: float | None) -> str | UnsetType:
    return UNSET if seconds is None else moment(seconds)
