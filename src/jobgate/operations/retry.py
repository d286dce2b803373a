"""Retry: a job that failed gets another attempt, under the same id and the same spec."""

from __future__ import annotations

from collections.abc import Sequence

from jobgate.model.account import Principal
from jobgate.model.advance import Step
from jobgate.model.events import Requeue
from jobgate.model.job import Job
from jobgate.model.operations import Group, Retry
from jobgate.model.outcomes import Changed
from jobgate.model.state import JobState
from jobgate.operations.context import Context
from jobgate.operations.select import present, unretired
from jobgate.operations.slices import Told, look, slices
from jobgate.operations.submit import room_for, waits_of
from jobgate.store.transaction import Transaction


async def retry(context: Context, principal: Principal, operation: Retry) -> Changed:
    """Queues those that failed; `unchanged` are all others. Their time in the queue begins anew.

    Raises NotFound for a batch that is not theirs, Conflict (`retired`), Unrunnable when no environment runs such a job
    any more, and TooMany; of many jobs some are queued then, and the same request does the rest.
    """

    def work(tx: Transaction, jobs: Sequence[Job], now: float) -> tuple[list[Job], list[Job]]:
        unretired(tx, jobs)
        failed = [job for job in jobs if job.state is JobState.FAILED]
        if failed:
            room_for(tx, context, present(tx, principal), len(failed))
        done: list[Job] = []
        for job in failed:
            (wait,) = waits_of(context, job.owner, (Group(tx.jobs.spec(job.spec)),))
            (step,) = tx.jobs.advance([(job.id, Requeue())], now)
            if isinstance(step, Step):
                tx.jobs.waits_until(job.id, None if wait is None else now + wait)
                done.append(step.job)
        return done, [job for job in jobs if job.state is not JobState.FAILED]

    told = Told(operation.selector)
    async for (done, same), lost in slices(context, principal, operation.selector, work, seen=operation.seen):
        told.add(done, same, lost)
    return told.changed(await look(context, principal, operation.selector) if operation.show else None)
