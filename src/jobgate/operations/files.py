"""Read, Archive, ReadLog, Write: bytes in and out."""

from __future__ import annotations

from collections.abc import Sequence

from jobgate.model.account import Principal
from jobgate.model.attempt import LOG, Attempt
from jobgate.model.errors import Conflict, Gone, NotFound, TooMany
from jobgate.model.facts import Attempts
from jobgate.model.files import Artifact, Output, OutputKind, Packed
from jobgate.model.folder import Entry
from jobgate.model.job import Job
from jobgate.model.operations import Archive, Read, ReadLog, Write
from jobgate.model.outcomes import Archived, Content, Log, Written
from jobgate.operations.context import Context
from jobgate.operations.select import one
from jobgate.store.transaction import Transaction


async def read(context: Context, principal: Principal, operation: Read) -> Content:
    """A stored output. Raises NotFound for a job or a file that is not there."""
    job, attempts = await context.store.read(lambda tx: one(tx, principal, operation.job))
    attempt = shown(job, attempts)
    for artifact in attempt.outputs if attempt is not None else ():
        if artifact.output == operation.output and artifact.path == operation.path:
            return Content(artifact=artifact, name=operation.path.rpartition("/")[2])
    raise NotFound("this job has no such file", code="file-not-found")


async def archive(context: Context, principal: Principal, operation: Archive) -> Archived:
    """All files of a job, or of one of its outputs.

    Raises NotFound for a job or an output that is not there, Conflict (`job-active`) for a job that is not over, Gone
    (`result-expired`) when some of its files are deleted.
    """

    def work(tx: Transaction) -> Archived:
        job, attempts = one(tx, principal, operation.job)
        if not job.state.over or job.ended is None:
            raise Conflict("its files can be had when the job is over; wait for its end", code="job-active")
        outputs = tx.jobs.spec(job.spec).outputs
        if operation.output is not None and operation.output >= len(outputs):
            raise NotFound("this job has no such output", code="file-not-found")
        attempt = shown(job, attempts)
        wanted = [a for a in attempt.outputs if operation.output in (None, a.output)] if attempt is not None else []
        kept = tx.blobs.held(job.id)
        if any(artifact.inline is None and artifact.digest not in kept for artifact in wanted):
            raise Gone("the files were kept for their time, and are deleted", code="result-expired")
        files = {(path := _path(outputs, artifact), artifact.digest): Packed(path, artifact) for artifact in wanted}
        name = f"{operation.job}.zip"
        return Archived(name=name, files=tuple(files.values()), modified=job.ended, fold_case=operation.fold_case)

    return await context.store.read(work)


def _path(outputs: Sequence[Output], artifact: Artifact) -> str:
    """Where in the workspace it lay."""
    output = outputs[artifact.output]
    match output.kind:
        case OutputKind.FILE:
            return output.path
        case OutputKind.DIRECTORY:
            return f"{output.path}/{artifact.path}"
        case OutputKind.WILDCARD:
            return artifact.path


def shown(job: Job, attempts: Attempts) -> Attempt | None:
    """The attempt whose outputs and log are the job's: the canonical one, or the last."""
    if job.canonical is not None:
        return attempts[job.canonical - 1]
    return attempts[-1] if attempts else None


async def read_log(context: Context, principal: Principal, operation: ReadLog) -> Log:
    """A piece of the merged log. Raises NotFound."""
    job, attempts = await context.store.read(lambda tx: one(tx, principal, operation.job))
    attempt = shown(job, attempts)
    content, ended = b"", job.state.over
    if attempt is not None:
        stored = attempt.logs.get(LOG)
        if stored is not None:
            content = await _piece(context, stored, operation.offset, operation.limit)
            ended = ended and operation.offset + len(content) >= stored.size
        elif not attempt.state.over:
            content = await context.tail(attempt, operation.offset, operation.limit) or b""
            ended = False
    return Log(job=job, offset=operation.offset, content=content, complete=ended)


async def _piece(context: Context, artifact: Artifact, offset: int, limit: int) -> bytes:
    if artifact.inline is not None:
        return artifact.inline[offset : offset + limit]
    if offset >= artifact.size:
        return b""
    try:
        return b"".join([piece async for piece in context.blobs.open(artifact.digest, offset, limit)])
    except NotFound as error:
        raise Gone("the log was kept for its time, and is deleted", code="result-expired") from error


async def write(context: Context, principal: Principal, operation: Write) -> Written:
    """An upload becomes an entry of the account's uploads. Raises TooLarge, TooMany (`storage-quota`), Unavailable."""
    now = context.clock()
    quota = principal.quota.storage
    most = context.limits.storage or None if quota is None else quota
    upload = operation.upload
    if isinstance(upload, bytes):
        upload = await context.blobs.put(upload, limit=context.limits.upload)

    def work(tx: Transaction) -> Written:
        owner = tx.accounts.heir(principal.account)
        folder = tx.folders.uploads(owner, now)
        entry = Entry(
            folder=folder,
            name=upload.digest,
            digest=upload.digest,
            size=upload.size,
            used=now,
            expires=now + operation.lives,
        )
        fresh = tx.folders.put(entry)
        if fresh and most is not None and tx.folders.bytes_of(owner) > most:
            raise TooMany(
                f"this account may have {most} bytes of stored files, and this one would be too much; come again when "
                "some have expired, or ask the operator for more",
                code="storage-quota",
                retry_after=3600.0,
            )
        return Written(digest=upload.digest, size=upload.size, fresh=fresh)

    return await context.store.write(work)
