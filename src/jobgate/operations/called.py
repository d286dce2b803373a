"""Called: what things are that people, or small APIs, call by numbers or names."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Final

from jobgate.model.account import Principal, Scope
from jobgate.model.errors import NotFound
from jobgate.model.ids import JobName, batch_id, job_name
from jobgate.model.job import Batch
from jobgate.model.operations import Called, Known, KnownJob, Operation
from jobgate.model.selectors import BatchCalled, JobCalled
from jobgate.operations.context import Context
from jobgate.operations.select import batch_of, one, present
from jobgate.store.transaction import Transaction

_NUMBER: Final = re.compile("0|[1-9][0-9]{0,8}")
"""Of an attempt, from 0."""
PIECE: Final = 500
"""Things looked up in one transaction: requests pass between two of them."""


async def meant(context: Context, principal: Principal, operation: Called) -> Operation:
    """The operation that was meant, on the asker's own things; an operator's may be anybody's.

    Raises what `then` raises.
    """
    batches: list[Batch | None] = []
    jobs: list[KnownJob | None] = []

    def some(tx: Transaction, start: int) -> None:
        asker = present(tx, principal)
        end = start + PIECE
        batches.extend(batch_called(tx, asker, called) for called in operation.batches[start:end])
        jobs.extend(job_called(tx, asker, called) for called in operation.jobs[start:end])

    await context.store.read(partial(some, start=0))
    for start in range(PIECE, max(len(operation.batches), len(operation.jobs)), PIECE):
        await asyncio.sleep(0)
        await context.store.read(partial(some, start=start))
    return operation.then(Known(batches=tuple(batches), jobs=tuple(jobs)))


def batch_called(tx: Transaction, principal: Principal, called: BatchCalled) -> Batch | None:
    """The batch that is meant, if the principal has it."""
    if called.number:
        batch = tx.numbers.batch(called.number)
        return batch if batch is not None and _owns(principal, batch) else None
    found = tx.batches.called(principal.account, called.name) if called.name else None
    if found is not None:
        return found
    try:
        return batch_of(tx, principal, batch_id(called.name))
    except NotFound:
        return None


def _owns(principal: Principal, batch: Batch) -> bool:
    return batch.owner == principal.account or Scope.OPERATE in principal.scopes


def job_called(tx: Transaction, principal: Principal, called: JobCalled) -> KnownJob | None:
    """The job, and perhaps the attempt, that is meant, if the principal has it."""
    if called.number:
        found = tx.numbers.job(called.number)
        return None if found is None else _there(tx, principal, *found)
    name = _named(tx, principal, called.name)
    if name is not None:
        return _there(tx, principal, name, 0)
    whole, mark, last = called.name.rpartition("_")
    name = _named(tx, principal, whole) if mark and _NUMBER.fullmatch(last) else None
    return None if name is None else _there(tx, principal, name, int(last) + 1)


def _named(tx: Transaction, principal: Principal, name: str) -> JobName | None:
    """The job of this name, or else of this id."""
    found = tx.names.find(principal.account, name) if name else None
    if found is not None:
        return found
    try:
        return job_name(name)
    except NotFound:
        return None


def _there(tx: Transaction, principal: Principal, name: JobName, attempt: int) -> KnownJob | None:
    """Unless it is not there, or is another's, or has no such attempt."""
    try:
        _, attempts = one(tx, principal, name)
    except NotFound:
        return None
    return KnownJob(name, attempt) if attempt <= len(attempts) else None
