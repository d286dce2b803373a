"""Read, ListFiles, Archive: the files that jobs left."""

from __future__ import annotations

from collections.abc import Sequence

from jobgate.model.account import Principal
from jobgate.model.attempt import Attempt
from jobgate.model.errors import Conflict, Gone, NotFound
from jobgate.model.facts import Attempts
from jobgate.model.files import Naming, Packed, workspace_path
from jobgate.model.ids import JobName
from jobgate.model.job import Job
from jobgate.model.naming import Called
from jobgate.model.operations import Archive, Read
from jobgate.model.outcomes import Archived, Content
from jobgate.model.state import Failure, JobState
from jobgate.model.storing import Files, ListFiles
from jobgate.operations.context import Context
from jobgate.operations.select import called, served
from jobgate.store.transaction import Transaction


async def read(context: Context, principal: Principal, operation: Read) -> Content:
    """A stored output.

    Raises NotFound for a job, an attempt (`attempt-not-found`, `no-canonical`), an output (`output-not-found`) or a
    file (`file-not-found`) that is not there; of a path in the workspace also Conflict (`job-active`) while the job is
    not over and no attempt is named, and Gone when the file is deleted.
    """
    number, output = operation.number, operation.output
    if number is not None:
        return await context.store.read(lambda tx: _numbered(tx, principal, operation, number))
    if output is None:
        return await context.store.read(lambda tx: _named(tx, principal, operation))
    job, attempts = await context.store.read(lambda tx: served(tx, principal, operation.job))
    attempt = _meant(operation, job, attempts)
    for artifact in attempt.outputs if attempt is not None else ():
        if artifact.output == output and artifact.path == operation.path:
            return Content(artifact=artifact, name=operation.path.rpartition("/")[2])
    raise NotFound("this job has no such file", code="file-not-found")


def _named(tx: Transaction, principal: Principal, operation: Read) -> Content:
    path = operation.path
    job, attempt = _whose(tx, principal, operation)
    for packed in left(tx, job, attempt):
        if packed.path == path:
            _still(tx, job, [packed])
            return Content(artifact=packed.artifact, name=path.rpartition("/")[2])
    raise NotFound("this job has no such file", code="file-not-found")


def _numbered(tx: Transaction, principal: Principal, operation: Read, number: int) -> Content:
    """The file of an output that its attempt left; of several the first."""
    job, attempts = served(tx, principal, operation.job)
    attempt = _meant(operation, job, attempts)
    outputs = tx.jobs.spec(job.spec).outputs
    if not 0 <= number < len(outputs):
        told = f"this job has no output {number}; it has {len(outputs)}, from 0"
        raise NotFound(told, code="output-not-found")
    files = left(tx, job, attempt, number)
    if attempt is None or not files:
        raise NotFound("this job has no such file", code="file-not-found")
    _still(tx, job, files[:1])
    name = Called(job.id, called(tx, job), attempt.id.number).physical(outputs, files[0])
    return Content(artifact=files[0].artifact, name=name)


def _whose(tx: Transaction, principal: Principal, operation: Read | Archive) -> tuple[Job, Attempt | None]:
    """The job, and the attempt of it that is asked for. Without any word on that, the job must be over."""
    if operation.attempt is None and not _chosen_only(operation):
        job, attempts = ended(tx, principal, operation.job)
    else:
        job, attempts = served(tx, principal, operation.job)
    return job, _meant(operation, job, attempts)


def _chosen_only(operation: Read | Archive) -> bool:
    if isinstance(operation, Read):
        return operation.canonical
    return operation.attempt is None and operation.naming is not Naming.NUMBERS


def _meant(operation: Read | Archive, job: Job, attempts: Attempts) -> Attempt | None:
    """The attempt that is asked for; without any word on that, the one that is the job's.

    Raises NotFound (`attempt-not-found`, `no-canonical`).
    """
    number = operation.attempt
    if _chosen_only(operation):
        chosen = canonical(job)
        if chosen is None or number not in (None, chosen):
            raise NotFound("no such attempt of this job is canonical", code="no-canonical")
        return attempts[chosen - 1]
    if number is None:
        return answer(job, attempts)
    if not 1 <= number <= len(attempts):
        raise NotFound("this job has no such attempt", code="attempt-not-found")
    return attempts[number - 1]


async def list_files(context: Context, principal: Principal, operation: ListFiles) -> Files:
    """A page of what the job left. Raises NotFound, Conflict (`job-active`), Gone when some of it is deleted."""

    def work(tx: Transaction) -> Files:
        job, attempts = ended(tx, principal, operation.job)
        files = left(tx, job, answer(job, attempts))
        _still(tx, job, files)
        end = operation.after + operation.limit
        page = tuple(files[operation.after : end])
        return Files(job=job, files=page, more=end if end < len(files) else None)

    return await context.store.read(work)


async def archive(context: Context, principal: Principal, operation: Archive) -> Archived:
    """All files of a job, of one of its outputs, or of another of its attempts.

    Raises NotFound for a job, an output or an attempt that is not there, Conflict (`job-active`) for a job that is not
    over where no attempt is named, Gone (`result-expired`) when some of its files are deleted.
    """

    def work(tx: Transaction) -> Archived:
        job, attempt = _whose(tx, principal, operation)
        name = str(operation.job)
        if operation.output is not None and operation.output >= len(tx.jobs.spec(job.spec).outputs):
            raise NotFound("this job has no such output", code="file-not-found")
        files = left(tx, job, attempt, operation.output)
        _still(tx, job, files)
        if operation.naming is not Naming.NUMBERS and attempt is not None:
            outputs = tx.jobs.spec(job.spec).outputs
            names = Called(job.id, called(tx, job), attempt.id.number)
            name = names.instance
            if operation.naming is Naming.PHYSICAL:
                files = names.files(operation.naming, outputs, files)[1]
        return Archived(
            name=f"{name}.zip",
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


def left(tx: Transaction, job: Job, attempt: Attempt | None, output: int | None = None) -> list[Packed]:
    """An attempt's files, or those of one output, each once, under their paths in the workspace."""
    if attempt is None or not attempt.outputs:
        return []
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


def canonical(job: Job) -> int | None:
    """The number of the attempt that made the job succeed; None as long as none has."""
    return job.canonical if job.state is JobState.SUCCEEDED else None


def answer(job: Job, attempts: Attempts) -> Attempt | None:
    """The attempt whose files are the job's; None where attempts never agreed: then those of none are."""
    return None if job.failure is Failure.UNDECIDED else shown(job, attempts)


def shown(job: Job, attempts: Attempts) -> Attempt | None:
    """The attempt whose outputs and log are the job's: the canonical one, or the last."""
    if job.canonical is not None:
        return attempts[job.canonical - 1]
    return attempts[-1] if attempts else None
