"""From a request to its outcome: a choice among the verbs, and the waiting that any of them may ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, get_args

from msgspec.structs import replace

from jobgate.model.account import may
from jobgate.model.errors import NotFound
from jobgate.model.ids import BatchId, JobName
from jobgate.model.operations import (
    SCOPES,
    Archive,
    Called,
    Cancel,
    Change,
    Count,
    Delete,
    Describe,
    Environments,
    Estimate,
    Find,
    FindBatches,
    Follow,
    Load,
    Members,
    Operation,
    Oversee,
    Programs,
    Read,
    ReadLog,
    Renew,
    Request,
    Retire,
    Retry,
    Submit,
    Until,
    Write,
)
from jobgate.model.outcomes import Outcome, Submitted
from jobgate.model.selectors import Ids, Of
from jobgate.model.state import JobState
from jobgate.model.webhooking import OnWebhooks
from jobgate.operations import change, files, find, logs, uploads
from jobgate.operations.called import meant
from jobgate.operations.context import Context
from jobgate.operations.describe import describe, programs
from jobgate.operations.environments import environments
from jobgate.operations.estimate import estimate
from jobgate.operations.follow import follow
from jobgate.operations.load import load
from jobgate.operations.members import members
from jobgate.operations.oversee import oversee
from jobgate.operations.retire import renew, retire
from jobgate.operations.retry import retry
from jobgate.operations.select import named
from jobgate.operations.stored import STORED
from jobgate.operations.submit import submit
from jobgate.operations.webhooks import on_webhooks
from jobgate.store.transaction import Transaction

_BEFORE_ENGINE = (JobState.HELD, JobState.QUEUED, JobState.STAGING_IN)


async def handle(context: Context, request: Request) -> Outcome:
    """What came of it.

    Raises a RequestError or Unavailable; then nothing was changed, but for a large selection that broke off: the same
    request completes it.
    """
    may(request.principal, SCOPES[type(request.operation)])
    if isinstance(request.operation, Called):
        operation = await meant(context, request.principal, request.operation)
        return await handle(context, replace(request, operation=operation))
    if request.until is Until.ACCEPTED or request.within <= 0:
        return await _do(context, request)
    if isinstance(request.operation, Submit):
        return await _submit_and_wait(context, request)
    batch = _batch(request)
    if batch is not None and request.until is Until.CHANGED:
        await _wait_for_change(context, request, batch)
    elif batch is not None:
        await _wait(context, request, batch)
    return await _do(context, request)


VERBS: Final[Mapping[type[Operation], Callable[..., Awaitable[Outcome]]]] = {
    Submit: submit,
    Find: find.find,
    FindBatches: find.find_batches,
    Count: find.count,
    Describe: describe,
    Programs: programs,
    Cancel: change.cancel,
    Retry: retry,
    Change: change.change,
    Delete: change.delete,
    Retire: retire,
    Renew: renew,
    Read: files.read,
    Archive: files.archive,
    ReadLog: logs.read_log,
    Write: uploads.write,
    Environments: environments,
    Oversee: oversee,
    Estimate: estimate,
    Follow: follow,
    Members: members,
    Load: load,
    **dict.fromkeys(get_args(OnWebhooks), on_webhooks),
    **STORED,
}
"""Who carries out which; a test holds it to the operations there are. `Called` is not among them: it stands for one."""


async def _do(context: Context, request: Request) -> Outcome:
    content = () if request.content is None else (request.content,)  # for a verb that takes its body as it comes
    return await VERBS[type(request.operation)](context, request.principal, request.operation, *content)


async def _submit_and_wait(context: Context, request: Request) -> Outcome:
    """The batch as it ended; one that has not when the time is over is cancelled before the answer says so."""
    outcome = await _do(context, request)
    if not isinstance(outcome, Submitted) or await _wait(context, request, outcome.batch.id):
        return outcome
    if not context.feed.closed:  # a server that stops has no say in how long a job may take
        late = Cancel(selector=Of(outcome.batch.id), message="it did not end in the time the request gave it")
        await change.cancel(context, request.principal, late)
    return outcome


def _batch(request: Request) -> BatchId | None:
    """Whose events to wait for: the batch asked about, or that of the one job."""
    match request.operation:
        case Count(batch) | Find(selector=Of(batch)):
            return batch
        case Find(selector=Ids(jobs=(name,))):
            return name.batch
        case _:
            return None


async def _wait(context: Context, request: Request, batch: BatchId) -> bool:
    handed_over = request.until is Until.HANDED_OVER

    async def left() -> int:
        try:
            stands = await context.store.read(lambda tx: tx.jobs.tally(tx.jobs.batch(batch)))
        except NotFound:
            return 0
        if stands.vacant is not None:
            return 0 if stands.vacant.over else 1  # whoever fills it wakes those who wait
        awaited = _BEFORE_ENGINE if handed_over else tuple(s for s in JobState if not s.over)
        return sum(stands.counts.get(state, 0) for state in awaited)

    match request.operation:
        case Find(selector=Ids(jobs=(name,))):

            async def left_of_one() -> int:
                found = await context.store.read(lambda tx: named(tx, name))
                return 1 if found is not None and not found[0].state.over else 0

            return await context.feed.until(batch, left_of_one, request.within, handed_over=handed_over)
        case _:
            return await context.feed.until(batch, left, request.within, handed_over=handed_over)


async def _wait_for_change(context: Context, request: Request, batch: BatchId) -> bool:
    match request.operation:
        case Find(selector=Ids(jobs=(name,))):

            async def same_one() -> bool:
                return await context.store.read(lambda tx: _version(tx, name)) in request.seen

            return await context.feed.changed(batch, name.job, same_one, request.within)
        case _:

            async def same() -> bool:
                try:
                    version = await context.store.read(lambda tx: find.counted(tx, tx.jobs.batch(batch)).version)
                except NotFound:
                    return False
                return version in request.seen

            return await context.feed.changed(batch, None, same, request.within)


def _version(tx: Transaction, name: JobName) -> int | None:
    """That of a job as it is shown; None when there is none."""
    found = named(tx, name)
    return None if found is None else found[0].version + tx.jobs.batch(name.batch).renamed
