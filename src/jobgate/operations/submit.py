"""Submit: one batch, its jobs, secrets, key and first events in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from jobgate.model.account import Principal
from jobgate.model.environment import refusal, runnable
from jobgate.model.errors import Invalid, TooLarge, TooMany, Unavailable
from jobgate.model.files import Input, Stored, UserFile
from jobgate.model.folder import Entry
from jobgate.model.ids import BatchId, FolderId
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.operations import Group, Submit
from jobgate.model.outcomes import Submitted
from jobgate.operations.context import Context
from jobgate.operations.select import present
from jobgate.operations.webhooks import named
from jobgate.store.jobs import SHOWN
from jobgate.store.transaction import Transaction


async def submit(context: Context, principal: Principal, operation: Submit) -> Submitted:
    """The batch, on disk.

    Raises Invalid, NotFound, Unrunnable, TooLarge, TooMany, Conflict or Unavailable; then nothing was made.
    """
    count = sum(group.count for group in operation.groups)
    if count < 1:
        raise Invalid("a batch needs at least one job", field="jobs")
    if count > context.limits.batch:
        told = f"a batch has at most {context.limits.batch} jobs here, and this one {count}"
        raise TooLarge(told, code="batch-too-large", field="count")
    if context.blobs.free() <= 0:
        raise Unavailable("the disk is full to its floor; nothing new is taken", code="storage-full", retry_after=60.0)
    waits = _waits(context, principal, operation.groups)
    now = context.clock()
    return await context.store.write(lambda tx: _write(tx, context, principal, operation, waits, now))


def _waits(context: Context, principal: Principal, groups: Sequence[Group]) -> list[float | None]:
    """The longest wait of each group's jobs. Raises NotFound or Unrunnable when one of them could never run here.

    Jobs of one request share what they have in common: what was looked at once is not looked at again.
    """
    known: dict[tuple[int, int], float | None] = {}
    waits = []
    for group in groups:
        spec = group.spec
        for step in spec.steps:
            context.catalogue.check(step, pulls=context.pulls)
        key = (id(spec.resources), id(spec.place))
        if key not in known:
            runnable(context.environments, spec, principal.account)
            known[key] = _wait(context, principal, spec)
        waits.append(known[key])
    return waits


def _write(  # noqa: PLR0913, PLR0917  # one transaction sees all of it
    tx: Transaction,
    context: Context,
    principal: Principal,
    operation: Submit,
    waits: Sequence[float | None],
    now: float,
) -> Submitted:
    count = sum(group.count for group in operation.groups)
    principal = present(tx, principal)
    ident = BatchId(tx.jobs.draw(now, count))
    if operation.guard is not None:
        made = tx.jobs.take(principal.account, operation.guard, ident, now)
        if made is not None:
            earlier = tx.jobs.batch(made)
            return Submitted(batch=earlier, jobs=_jobs(tx, earlier), replayed=True)
    quota = principal.quota.live_jobs
    most = context.limits.live_jobs if quota is None else quota
    if count > most or (live := tx.jobs.live_of(principal.account)) + count > most:
        said = f"{live} of" if count <= most else "at most"
        raise TooMany(
            f"this account has {said} {most} jobs that are not over; come again when some have ended",
            code="too-many-jobs",
            retry_after=60.0,
        )
    batch = Batch(
        id=ident,
        owner=principal.account,
        count=count,
        origin=operation.origin,
        created=now,
        name=operation.name,
        app=operation.app,
        labels=operation.labels,
        priority=operation.priority,
        expires=operation.expires,
        webhook=named(tx, principal, operation.webhook),
    )
    groups = [_resolved(tx, principal, group, ident, now) for group in operation.groups]
    jobs = tx.jobs.add(batch, groups, held=operation.held, waits=waits)
    tx.jobs.seal(ident, {name: context.seal(ident, name, value) for name, value in operation.secrets.items()})
    return Submitted(batch=batch, jobs=tuple(jobs) if count <= SHOWN else ())


def _jobs(tx: Transaction, batch: Batch) -> tuple[Job, ...]:
    if batch.count > SHOWN:
        return ()
    return tuple(job for job, _ in tx.jobs.members(batch))


def _wait(context: Context, principal: Principal, spec: JobSpec) -> float | None:
    """The seconds a job may wait: its own word, or the longest of the places that can run it."""
    if spec.place.wait is not None:
        return spec.place.wait
    places = [e.longest_wait for e in context.environments if refusal(e, spec, principal.account) is None]
    return max(places, default=None)


def _resolved(tx: Transaction, principal: Principal, group: Group, batch: BatchId, now: float) -> Group:
    """The group with the owner's stored files as the blobs they are now, each held by the batch."""
    if not group.spec.inputs:
        return group
    inputs = []
    for item in group.spec.inputs:
        source = item.source
        if isinstance(source, UserFile):
            folder = source.folder or tx.folders.uploads(principal.account, now)
            entry = tx.folders.get(FolderId(folder), source.name)
            _use(tx, entry, now)
            source = Stored(entry.digest, entry.size)
        if isinstance(source, Stored):
            tx.blobs.hold(source.digest, -batch)
        inputs.append(Input(path=item.path, source=source, executable=item.executable))
    return Group(replace(group.spec, inputs=tuple(inputs)), group.count)


def _use(tx: Transaction, entry: Entry, now: float) -> None:
    """A use lengthens an entry's life by as long as it had when it was stored."""
    lives = None if entry.expires is None else now + (entry.expires - entry.used)
    tx.folders.put(replace(entry, used=now, expires=lives))
