"""ArchiveBatch: what all jobs of a batch left, looked up job by job while it is sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Final

from jobgate.model.account import Principal
from jobgate.model.attempt import LOG
from jobgate.model.errors import Conflict, Gone
from jobgate.model.facts import Attempts
from jobgate.model.files import Naming, Packed
from jobgate.model.ids import JobId, batch_text, job_text, place
from jobgate.model.job import Batch, Job
from jobgate.model.naming import Called
from jobgate.model.storing import ArchiveBatch, Bundle, Gathered
from jobgate.operations.context import Context
from jobgate.operations.files import answer, canonical, left, missing, shown
from jobgate.operations.select import batch_of, kept
from jobgate.store.transaction import Transaction

_SLICE: Final = 50
"""Jobs that are looked up at once: their files are in memory together."""
LOG_NAME: Final = "log.txt"


async def archive_batch(context: Context, principal: Principal, operation: ArchiveBatch) -> Gathered:
    """All files of its jobs that are over, or by BOINC's names of those that have a canonical attempt.

    Raises NotFound, Conflict (`job-active`) when one is not and `partial` was not asked for, Gone when files of the
    first jobs are deleted. What is found deleted later breaks it off.
    """

    def begin(tx: Transaction) -> tuple[Batch, int, list[Bundle]]:
        batch = batch_of(tx, principal, operation.batch)
        kept(batch)
        counts = tx.jobs.counts(batch)
        if not operation.partial and any(number for state, number in counts.items() if not state.over):
            told = "some of its jobs are not over; wait for their end, or ask with partial=true for what there is"
            raise Conflict(told, code="job-active")
        return batch, sum(counts.values()), _slice(tx, batch, 0)[1]

    def _slice(tx: Transaction, batch: Batch, start: int) -> tuple[int, list[Bundle]]:
        kept(tx.jobs.batch(batch.id))
        jobs = list(tx.jobs.members(batch, start, _SLICE))
        if operation.naming is not Naming.NUMBERS:
            ready = [(job, attempts) for job, attempts in jobs if canonical(job) is not None]
        else:
            ready = [(job, attempts) for job, attempts in jobs if job.state.over]
        wanted = batch.named and operation.naming is not Naming.NUMBERS
        names = tx.names.of([job.id for job, _ in ready]) if wanted else {}
        return len(jobs), [_bundle(tx, operation, batch, names, *one) for one in ready]

    async def bundles() -> AsyncGenerator[Bundle, None]:
        seen = 0
        for start in range(0, batch.count, _SLICE):
            found, piece = await context.store.read(partial(_slice, batch=batch, start=start))
            seen += found
            for bundle in piece:
                yield bundle
        if seen < there:
            raise Gone("some of its jobs were deleted while they were sent")

    batch, there, _ = await context.store.read(begin)
    return Gathered(name=f"{batch_text(batch.id)}.zip", bundles=bundles(), fold_case=operation.fold_case)


def _bundle(  # noqa: PLR0913, PLR0917  # a job, and all that is asked about it
    tx: Transaction,
    operation: ArchiveBatch,
    batch: Batch,
    names: Mapping[JobId, str],
    job: Job,
    attempts: Attempts,
) -> Bundle:
    """What one job adds. Raises Gone when some of it is deleted, unless `partial` takes what there is."""
    attempt, log = answer(job, attempts), shown(job, attempts)
    files = left(tx, job, attempt)
    if operation.logs and log is not None and LOG in log.logs:
        files.insert(0, Packed(LOG_NAME, log.logs[LOG]))
    gone = missing(tx, job, files)
    if gone and not operation.partial:
        told = "some of its files were kept for their time, and are deleted; with partial=true the others come"
        raise Gone(told, code="result-expired")
    kept = [packed for packed in files if packed not in gone] if gone else files
    folder = str(place(batch.id, job.id) + 1)
    if operation.naming is not Naming.NUMBERS and attempt is not None:
        outputs = tx.jobs.spec(job.spec).outputs
        name = names.get(job.id) or job_text(batch.id, job.id)
        folder, kept = Called(job.id, name, attempt.id.number).files(operation.naming, outputs, kept)
    return Bundle(folder=folder, modified=job.ended or job.created, files=tuple(kept))
