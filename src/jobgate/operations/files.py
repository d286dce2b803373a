"""Read, ListFiles, Archive: the files that jobs left."""

from __future__ import annotations

from collections.abc import Sequence

from jobgate.model.account import Principal
from jobgate.model.attempt import Attempt
from jobgate.model.errors import Conflict, Gone, NotFound
from jobgate.model.facts import Attempts
from jobgate.model.files import Packed, workspace_path
from jobgate.model.ids import JobName
from jobgate.model.job import Job
from jobgate.model.operations import Archive, Read
from jobgate.model.outcomes import Archived, Content
from jobgate.model.state import Failure
from jobgate.model.storing import Files, ListFiles
from jobgate.operations.context import Context
from jobgate.operations.select import served
from jobgate.store.transaction import Transaction


async def read(context: Context, principal: Principal, operation: Read) -> Content:
    """A stored output.

    Raises NotFound for a job or a file that is not there; of a path in the workspace also Conflict (`job-active`) while
    the job is not over, and Gone when the file is deleted.
    """
    if operation.output is None:
        return await context.store.read(lambda tx: _named(tx, principal, operation.job, operation.path))
    job, attempts = await context.store.read(lambda tx: served(tx, principal, operation.job))
    attempt = shown(job, attempts)
    for artifact in attempt.outputs if attempt is not None else ():
        if artifact.output == operation.output and artifact.path == operation.path:
            return Content(artifact=artifact, name=operation.path.rpartition("/")[2])
    raise NotFound("this job has no such file", code="file-not-found")


def _named(tx: Transaction, principal: Principal, name: JobName, path: str) -> Content:
    job, attempts = ended(tx, principal, name)
    for packed in left(tx, job, attempts):
        if packed.path == path:
            _still(tx, job, [packed])
            return Content(artifact=packed.artifact, name=path.rpartition("/")[2])
    raise NotFound("this job has no such file", code="file-not-found")


async def list_files(context: Context, principal: Principal, operation: ListFiles) -> Files:
    """A page of what the job left. Raises NotFound, Conflict (`job-active`), Gone when some of it is deleted."""

    def work(tx: Transaction) -> Files:
        job, attempts = ended(tx, principal, operation.job)
        files = left(tx, job, attempts)
        _still(tx, job, files)
        end = operation.after + operation.limit
        page = tuple(files[operation.after : end])
        return Files(job=job, files=page, more=end if end < len(files) else None)

    return await context.store.read(work)


async def archive(context: Context, principal: Principal, operation: Archive) -> Archived:
    """All files of a job, or of one of its outputs.

    Raises NotFound for a job or an output that is not there, Conflict (`job-active`) for a job that is not over, Gone
    (`result-expired`) when some of its files are deleted.
    """

    def work(tx: Transaction) -> Archived:
        job, attempts = ended(tx, principal, operation.job)
        if operation.output is not None and operation.output >= len(tx.jobs.spec(job.spec).outputs):
            raise NotFound("this job has no such output", code="file-not-found")
        files = left(tx, job, attempts, operation.output)
        _still(tx, job, files)
        return Archived(
            name=f"{operation.job}.zip",
            files=tuple(files),
            modified=job.ended or job.created,
            fold_case=operation.fold_case,
        )

    return await context.store.read(work)


def ended(tx: Transaction, principal: Principal, name: JobName) -> tuple[Job, Attempts]:
    """A job of the principal's that is over. Raises NotFound, Conflict (`job-active`)."""
    job, attempts = served(tx, principal, name)
    if not job.state.over:
        raise Conflict("its files can be had when the job is over; wait for its end", code="job-active")
    return job, attempts


def left(tx: Transaction, job: Job, attempts: Attempts, output: int | None = None) -> list[Packed]:
    """Its files, or those of one of its outputs, each once, under their paths in the workspace."""
    attempt = shown(job, attempts)
    if attempt is None or not attempt.outputs or job.failure is Failure.UNDECIDED:
        return []  # where attempts never agreed, those of none are the job's
    outputs = tx.jobs.spec(job.spec).outputs
    files: dict[tuple[str, str], Packed] = {}
    for artifact in attempt.outputs:
        if output in (None, artifact.output):
            path = workspace_path(outputs, artifact)
            files.setdefault((path, artifact.digest), Packed(path, artifact))
    return list(files.values())


def missing(tx: Transaction, job: Job, files: Sequence[Packed]) -> list[Packed]:
    """Those of a job's files that are deleted."""
    blobs = [packed for packed in files if packed.artifact.inline is None]
    kept = tx.blobs.held(job.id) if blobs else frozenset()
    return [packed for packed in blobs if packed.artifact.digest not in kept]


def _still(tx: Transaction, job: Job, files: Sequence[Packed]) -> None:
    if missing(tx, job, files):
        raise Gone("the files were kept for their time, and are deleted", code="result-expired")


def shown(job: Job, attempts: Attempts) -> Attempt | None:
    """The attempt whose outputs and log are the job's: the canonical one, or the last."""
    if job.canonical is not None:
        return attempts[job.canonical - 1]
    return attempts[-1] if attempts else None
