"""Members: all jobs of batches on their way out of the store, page by page; or those that have changed since.

How many jobs will be told is said before the first of them. So which they are is settled first, by their numbers; one
that is deleted before its turn comes is told all the same, as far as it was known.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import msgspec

from jobgate.model.account import Principal
from jobgate.model.errors import NotFound
from jobgate.model.ids import STRIDE, JobId, SpecId, place
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.operations import Members
from jobgate.model.outcomes import Counted, JobView, Portion, Streamed
from jobgate.model.state import JobState
from jobgate.operations.context import Context
from jobgate.operations.find import Worth, counted
from jobgate.operations.select import batch_of, view
from jobgate.store.rows import Stand
from jobgate.store.tables import STATE_NUMBERS, STATES
from jobgate.store.transaction import Transaction

PAGE: Final = 100
"""Jobs read in one transaction: requests pass between two of them."""
_NUMBERS: Final = 2_000
"""Numbers read in one."""
LONGEST: Final = 100_000
"""Events that are walked over to find what has changed; of more, all jobs are told."""
_STEP: Final = 10_000
"""Of them in one transaction."""


async def members(context: Context, principal: Principal, operation: Members) -> Streamed:
    """The jobs, as they come. Raises NotFound for a batch that is not theirs, before anything is told."""
    at = context.marks.draw(context.clock())

    def work(tx: Transaction) -> tuple[int, list[Batch]]:
        return tx.log.head(), [batch_of(tx, principal, ident) for ident in operation.batches]

    head, batches = await context.store.read(work)
    context.marks.put(at, head)
    since = None if operation.since is None else context.marks.find(operation.since)
    changed = None if since is None or head - since > LONGEST else await _changed(context, since, head)
    return Streamed(at=at, portions=_portions(context, batches, changed))


async def _changed(context: Context, since: int, head: int) -> list[int]:
    """Jobs with an event after the one cursor, up to the other, in order; whosesoever they are."""
    found: set[int] = set()
    for start in range(since, head, _STEP):
        found.update(await context.store.read(partial(_touched, after=start, upto=min(start + _STEP, head))))
        await asyncio.sleep(0)
    return sorted(found)


def _touched(tx: Transaction, after: int, upto: int) -> list[JobId]:
    return tx.log.touched(after, upto)


class _Roll(msgspec.Struct):
    """What is settled before the first job of a batch is told."""

    stands: Counted
    jobs: array[int] = msgspec.field(default_factory=lambda: array("q"))
    states: bytearray = msgspec.field(default_factory=bytearray)
    """Of each of them, as the store writes it."""
    spec: JobSpec | None = None
    """Of the first of them."""

    def enter(self, tx: Transaction, jobs: Sequence[Stand]) -> None:
        """These too."""
        if jobs and self.spec is None:
            self.spec = tx.jobs.spec(jobs[0].spec)
        self.jobs.extend(one.job for one in jobs)
        self.states.extend(STATE_NUMBERS[one.state] for one in jobs)


async def _portions(
    context: Context, batches: Sequence[Batch], changed: Sequence[int] | None
) -> AsyncIterator[Portion]:
    for batch in batches:
        roll = await _roll(context, batch, changed)
        total = len(roll.jobs)
        for start in range(0, max(total, 1), PAGE):
            jobs = await context.store.read(partial(_page, roll=roll, start=start))
            yield Portion(roll.stands, jobs, begins=start == 0, total=total)
            await asyncio.sleep(0)


async def _roll(context: Context, batch: Batch, changed: Sequence[int] | None) -> _Roll:
    """Which jobs are told of the batch."""
    roll = await context.store.read(lambda tx: _Roll(_stands(tx, context, batch)))
    if changed is None:
        after: int | None = batch.id - 1
        while after is not None:
            after = await context.store.read(partial(_enter, roll=roll, after=after))
            await asyncio.sleep(0)
        return roll
    last = batch.id + (roll.stands.batch.count - 1) * STRIDE
    few = changed[bisect_left(changed, batch.id) : bisect_right(changed, last)]
    for start in range(0, len(few), PAGE):
        await context.store.read(partial(_enter_some, roll=roll, jobs=few[start : start + PAGE]))
        await asyncio.sleep(0)
    return roll


def _stands(tx: Transaction, context: Context, batch: Batch) -> Counted:
    """How it stands now; of one that was deleted meanwhile, that it has no jobs."""
    try:
        return Worth(context).of(tx, counted(tx, tx.jobs.batch(batch.id)))
    except NotFound:
        return Counted(batch=batch, counts={}, version=0)


def _enter(tx: Transaction, roll: _Roll, after: int) -> int | None:
    """The next jobs of the batch; after which one to go on, if there may be more."""
    found = tx.jobs.roll(roll.stands.batch, JobId(after), _NUMBERS)
    roll.enter(tx, found)
    return found[-1].job if len(found) == _NUMBERS else None


def _enter_some(tx: Transaction, roll: _Roll, jobs: Sequence[int]) -> None:
    """Those of these that are the batch's, and there."""
    roll.enter(tx, tx.jobs.stands(roll.stands.batch, map(JobId, jobs)))


def _page(tx: Transaction, roll: _Roll, start: int) -> tuple[JobView, ...]:
    """The jobs from a place of the roll on."""
    batch, jobs = roll.stands.batch, roll.jobs[start : start + PAGE]
    if not jobs:
        return ()
    first, span = place(batch.id, JobId(jobs[0])), (jobs[-1] - jobs[0]) // STRIDE + 1
    if span <= 2 * len(jobs):
        found = {job.id: (job, attempts) for job, attempts in tx.jobs.members(batch, first, span)}
    else:
        found = tx.jobs.get(map(JobId, jobs))
    batches, names = {batch.id: batch}, tx.names.of(list(found)) if batch.named else {}
    return tuple(
        view(tx, *there, batches, names.get(there[0].id, ""))
        if (there := found.get(JobId(job))) is not None
        else _gone(roll, start + at)
        for at, job in enumerate(jobs)
    )


def _gone(roll: _Roll, at: int) -> JobView:
    """One that was deleted since it was counted: as it stood then; if it was not over, nobody can say how it ended."""
    batch, state = roll.stands.batch, STATES[roll.states[at]]
    assert roll.spec is not None  # noqa: S101  # there is one as soon as there is a job
    job = Job(
        id=JobId(roll.jobs[at]),
        batch=batch.id,
        owner=batch.owner,
        spec=SpecId(0),
        state=state if state.over else JobState.CANCELLED,
        created=batch.created,
        priority=batch.priority,
    )
    return JobView(job=job, batch=batch, spec=roll.spec)
