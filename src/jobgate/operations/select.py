"""From a selector to the jobs it means: only the asker's own; a foreign one is missing like an unknown one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from jobgate.model.account import Principal, Scope
from jobgate.model.errors import Conflict, Gone, NotFound
from jobgate.model.facts import Attempts
from jobgate.model.ids import AccountId, BatchId, JobId, JobName, batch_text, job_text
from jobgate.model.job import Batch, Job
from jobgate.model.outcomes import JobView
from jobgate.model.selectors import Ids, Of, Selector, Where
from jobgate.store.transaction import Transaction

Selected = tuple[list[tuple[Job, Attempts]], tuple[str, ...], JobId | None]
Piece = tuple[list[tuple[Job, Attempts]], tuple[str, ...], Selector | None]
SLICE: Final = 500
"""Jobs that one transaction changes: what others wait for at most."""


def select(tx: Transaction, principal: Principal, selector: Selector) -> Selected:
    """Jobs, names of those missing, and where the next page begins. Raises NotFound for a batch that is not theirs."""
    principal = present(tx, principal)
    match selector:
        case Ids(jobs, missing):
            known = tx.jobs.get(name.job for name in jobs)
            found, absent = list[tuple[Job, Attempts]](), list[str]()
            for name in jobs:
                if (pair := _named(known, name)) is not None and own(principal, pair[0]):
                    found.append(pair)
                else:
                    absent.append(str(name))
            return found, (*missing, *absent), None
        case Of(batch, start):
            return list(tx.jobs.members(batch_of(tx, principal, batch), start)), (), None
        case Where():
            page, more = tx.lists.jobs(_whose(tx, principal, selector), selector)
            return page, (), more


def piece(tx: Transaction, principal: Principal, selector: Selector, most: int = SLICE) -> Piece:
    """The first of the jobs meant, so many at most; names of those missing; and the selector of the rest, if any.

    Raises NotFound for a batch that is not theirs.
    """
    match selector:
        case Ids(jobs, missing):
            found, missing, _ = select(tx, principal, Ids(jobs[:most], missing))
            return found, missing, Ids(jobs[most:]) if len(jobs) > most else None
        case Of(ident, start):
            batch, end = batch_of(tx, principal, ident), start + most
            return list(tx.jobs.members(batch, start, most)), (), Of(ident, end) if end < batch.count else None
        case Where(limit=limit):
            found, missing, more = select(tx, principal, replace(selector, limit=min(limit, most)))
            left = limit - len(found)
            return found, missing, None if more is None or left < 1 else replace(selector, after=more, limit=left)


def _whose(tx: Transaction, principal: Principal, where: Where) -> AccountId:
    """Whose jobs are listed: the asker's, or those of the batch that an operator names."""
    if where.batch is None or Scope.OPERATE not in principal.scopes:
        return principal.account
    try:
        return tx.jobs.batch(where.batch).owner
    except NotFound:
        return principal.account


def present(tx: Transaction, principal: Principal) -> Principal:
    """Who asks, as of this transaction: its account may have been merged into another since it was recognized."""
    heir = tx.accounts.heir(principal.account)
    return principal if heir == principal.account else replace(principal, account=heir)


def own(principal: Principal, job: Job) -> bool:
    """Whether the principal may know of it."""
    return job.owner == principal.account or Scope.OPERATE in principal.scopes


def batch_of(tx: Transaction, principal: Principal, ident: BatchId) -> Batch:
    """The batch, or that of the job with this number. Raises NotFound when there is none, or it is another's."""
    principal, batch = present(tx, principal), tx.jobs.batch(ident)
    if batch.owner != principal.account and Scope.OPERATE not in principal.scopes:
        raise NotFound
    return batch


def view(tx: Transaction, job: Job, attempts: Attempts, batches: dict[BatchId, Batch], name: str = "") -> JobView:
    """A job with all that belongs to it; `batches` remembers those read already."""
    batch = _whole(tx, job, batches)
    return JobView(job=job, batch=batch, spec=tx.jobs.spec(job.spec), attempts=attempts, name=name)


def views(tx: Transaction, jobs: Sequence[tuple[Job, Attempts]]) -> tuple[JobView, ...]:
    """Each with all that belongs to it, and what it is called."""
    batches: dict[BatchId, Batch] = {}
    called = [job.id for job, _ in jobs if _whole(tx, job, batches).named]
    names = tx.names.of(called) if called else {}
    return tuple(view(tx, job, attempts, batches, names.get(job.id, "")) for job, attempts in jobs)


def _whole(tx: Transaction, job: Job, batches: dict[BatchId, Batch]) -> Batch:
    """The batch of a job."""
    batch = batches.get(job.batch)
    if batch is None:
        batch = batches[job.batch] = tx.jobs.batch(job.batch)
    return batch


def named(tx: Transaction, name: JobName) -> tuple[Job, Attempts] | None:
    """The job of this name, whoever owns it; None when there is none."""
    return _named(tx.jobs.get((name.job,)), name)


def _named(known: Mapping[JobId, tuple[Job, Attempts]], name: JobName) -> tuple[Job, Attempts] | None:
    """`A-2` is missing where batch A has one job, though its number may be that of a job of the next batch."""
    found = known.get(name.job)
    return found if found is not None and found[0].batch == name.batch else None


def called(tx: Transaction, job: Job) -> str:
    """What the owner calls it: its name, or its id."""
    named = tx.names.of((job.id,)) if tx.jobs.batch(job.batch).named else {}
    return named.get(job.id) or job_text(job.batch, job.id)


def one(tx: Transaction, principal: Principal, name: JobName) -> tuple[Job, Attempts]:
    """One job of the principal's. Raises NotFound."""
    found = named(tx, name)
    if found is None or not own(present(tx, principal), found[0]):
        raise NotFound
    return found


def served(tx: Transaction, principal: Principal, name: JobName) -> tuple[Job, Attempts]:
    """One job of the principal's, whose files may still be had. Raises NotFound, Gone."""
    found = one(tx, principal, name)
    kept(tx.jobs.batch(found[0].batch))
    return found


def kept(batch: Batch) -> None:
    """Raises Gone (`result-expired`) when the batch is retired."""
    if batch.retired is not None:
        raise Gone("the batch is retired, and its files and logs are deleted", code="result-expired")


def unretired(tx: Transaction, jobs: Sequence[Job], *batches: Batch) -> None:
    """Raises Conflict (`retired`) when one of the batches, or of the jobs' batches, is."""
    for batch in (*batches, *map(tx.jobs.batch, {job.batch for job in jobs})):
        if batch.retired is not None:
            told = f"the batch {batch_text(batch.id)} is retired: its owner was done with it, and nothing of it changes"
            raise Conflict(told, code="retired")
