"""Submit: one batch, its jobs, secrets, key and first events in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from jobgate.model.account import Principal
from jobgate.model.environment import refusal, runnable
from jobgate.model.errors import Conflict, Invalid, JobgateError, NotFound, TooLarge, TooMany, Unavailable
from jobgate.model.files import Input, Origin, StagedFile, Stored, UserFile
from jobgate.model.folder import Entry, FolderKind
from jobgate.model.ids import AccountId, BatchId, FolderId
from jobgate.model.job import Batch, Job, JobSpec, Step, Validator, check_labels, check_name
from jobgate.model.operations import Group, Submit
from jobgate.model.outcomes import Counted, Submitted
from jobgate.model.state import JobState
from jobgate.operations.context import Context
from jobgate.operations.find import counted
from jobgate.operations.select import present
from jobgate.operations.staged import staged
from jobgate.operations.webhooks import named
from jobgate.store.births import SHOWN
from jobgate.store.transaction import Transaction


async def submit(context: Context, principal: Principal, operation: Submit) -> Submitted:
    """The batch, on disk.

    Raises Invalid, NotFound, Unrunnable, TooLarge, TooMany, Conflict or Unavailable; then nothing was made.
    """
    count = sum(group.count for group in operation.groups)
    if operation.empty and (count or operation.into is not None or operation.names or operation.secrets):
        raise Invalid("a batch that is made empty has no jobs, names or secrets yet", field="jobs")
    if operation.empty and operation.app:
        context.catalogue.app(operation.app, principal.name)
    if count < 1 and not operation.empty:
        raise Invalid("a batch needs at least one job", field="jobs")
    if count > context.limits.batch:
        told = f"a batch has at most {context.limits.batch} jobs here, and this one {count}"
        raise TooLarge(told, code="batch-too-large", field="count")
    check_labels(operation.labels)
    _check_names(operation.names, count)
    if context.blobs.free() <= 0:
        raise Unavailable("the disk is full to its floor; nothing new is taken", code="storage-full", retry_after=60.0)
    waits = waits_of(context, principal.account, operation.groups, name=principal.name)
    copied: dict[Origin, Stored] = {}
    try:
        await _copy(context, principal, operation, copied)
        now = context.clock()
        return await context.store.write(lambda tx: _write(tx, context, principal, operation, waits, copied, now))
    except JobgateError:
        if copied:
            lost, now = [stored.digest for stored in copied.values()], context.clock()
            await context.store.write(lambda tx: tx.blobs.forsake(lost, now))
        raise


async def _copy(context: Context, principal: Principal, operation: Submit, copied: dict[Origin, Stored]) -> None:
    """Brings what is to be copied, unless the request was carried out before. Raises what `Origins.bring` does."""
    origins = [*_origins(operation.groups)]
    if not origins:
        return
    count, now = sum(group.count for group in operation.groups), context.clock()

    def wanted(tx: Transaction) -> bool:
        asker = present(tx, principal)
        if operation.guard is not None and tx.jobs.taken(asker.account, operation.guard, now):
            return False
        room_for(tx, context, asker, count)
        return True

    if await context.store.read(wanted):
        await context.origins.bring(origins, copied)


def _origins(groups: Sequence[Group]) -> Iterator[Origin]:
    """What the jobs copy. Specs that are made later are made for it only where the first of them copies."""
    for group in groups:
        if not any(isinstance(item.source, Origin) for item in group.spec.inputs):
            continue
        for spec in (group.spec,) if group.each is None else map(group.each, range(group.count)):
            yield from (item.source for item in spec.inputs if isinstance(item.source, Origin))


def _check_names(names: Sequence[str], count: int) -> None:
    """Raises Invalid."""
    if names and len(names) != count:
        raise Invalid(f"there are {len(names)} names for {count} jobs", field="names")
    for place, name in enumerate(names):
        if name:
            check_name(name, f"jobs[{place}].name")


def waits_of(
    context: Context, account: AccountId, groups: Sequence[Group], *, name: str | None = None
) -> list[float | None]:
    """The longest wait of each group's jobs. Raises NotFound or Unrunnable when one of them could never run here.

    `name` is the account's; without it the jobs were accepted before, and nobody is asked whether they may be.
    Jobs of one request share what they have in common: what was looked at once is not looked at again.
    """
    known: dict[tuple[int, int], float | None] = {}
    waits = []
    for group in groups:
        spec = group.spec
        for step in spec.steps:
            context.catalogue.check(step, pulls=context.pulls, account=name)
        compare = spec.replication.compare
        if isinstance(compare, Validator):
            judge = Step(command=compare.command, program=compare.program)
            context.catalogue.check(judge, pulls=context.pulls, account=name)
        key = (id(spec.resources), id(spec.place))
        if key not in known:
            runnable(context.environments, spec, account)
            known[key] = _wait(context, account, spec)
        waits.append(known[key])
    return waits


def _write(  # noqa: PLR0913, PLR0917  # one transaction sees all of it
    tx: Transaction,
    context: Context,
    principal: Principal,
    operation: Submit,
    waits: Sequence[float | None],
    copied: Mapping[Origin, Stored],
    now: float,
) -> Submitted:
    count = sum(group.count for group in operation.groups)
    principal = present(tx, principal)
    room = context.limits.fill if operation.empty else 0
    ident = BatchId(tx.jobs.draw(now, room or count)) if operation.into is None else operation.into
    if operation.guard is not None:
        made = tx.jobs.take(principal.account, operation.guard, ident, now)
        if made is not None:
            earlier = tx.jobs.batch(made)
            return Submitted(batch=earlier, jobs=_jobs(tx, earlier), replayed=True, counted=counted(tx, earlier))
    room_for(tx, context, principal, count)
    if operation.into is not None:
        batch = _filled(tx, principal, operation, count, now)
    else:
        number = tx.numbers.draw(count)
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
            number=number,
            first=number if count else 0,
            room=room,
            named=any(operation.names),
            webhook=named(tx, principal, operation.webhook),
        )
    resolve = _Resolve(tx, principal, ident, copied, now)
    groups = [resolve.group(group) for group in operation.groups]
    jobs = tx.jobs.add(batch, groups, held=operation.held, waits=waits)
    if batch.named:
        tx.names.add(batch, operation.names)
    tx.secrets.seal(ident, {name: context.seal(ident, name, value) for name, value in operation.secrets.items()})
    state = JobState.HELD if operation.held else JobState.QUEUED
    stands = Counted(batch=batch, counts={state: count} if count else {}, version=count + batch.renamed)
    return Submitted(batch=batch, jobs=tuple(jobs) if count <= SHOWN else (), counted=stands)


def _filled(tx: Transaction, principal: Principal, operation: Submit, count: int, now: float) -> Batch:
    """The empty batch that is meant, as it is with its jobs. Raises NotFound, TooLarge, Conflict (`not-empty`)."""
    batch = tx.jobs.batch(BatchId(operation.into or 0))
    if batch.owner != principal.account:
        raise NotFound
    if batch.vacant is not JobState.HELD or batch.retired is not None:
        was = "retired" if batch.retired is not None else "cancelled" if batch.vacant is not None else "filled"
        raise Conflict(f"this batch was {was} before; jobs are put into an empty batch, and once", code="not-empty")
    if count > batch.room:
        told = f"this batch has room for {batch.room} jobs, and these are {count}"
        raise TooLarge(told, code="batch-too-large", field="count")
    return replace(
        batch,
        count=count,
        app=operation.app or batch.app,
        priority=operation.priority,
        first=tx.numbers.draw(count) if batch.number else 0,
        filled=now,
        named=any(operation.names),
        renamed=batch.renamed + 1,
    )


def room_for(tx: Transaction, context: Context, principal: Principal, count: int) -> None:
    """Raises TooMany (`too-many-jobs`) when the account may not have so many more jobs that are not over."""
    quota = principal.quota.live_jobs
    most = context.limits.live_jobs if quota is None else quota
    if count > most or (live := tx.jobs.live_of(principal.account)) + count > most:
        said = f"{live} of" if count <= most else "at most"
        raise TooMany(
            f"this account has {said} {most} jobs that are not over; come again when some have ended",
            code="too-many-jobs",
            retry_after=60.0,
        )


def _jobs(tx: Transaction, batch: Batch) -> tuple[Job, ...]:
    if not 0 < batch.count <= SHOWN:
        return ()
    return tuple(job for job, _ in tx.jobs.members(batch))


def _wait(context: Context, account: AccountId, spec: JobSpec) -> float | None:
    """The seconds a job may wait: its own word, or the longest of the places that can run it."""
    if spec.place.wait is not None:
        return spec.place.wait
    places = [e.longest_wait for e in context.environments if refusal(e, spec, account) is None]
    return max(places, default=None)


Named = UserFile | StagedFile | Origin | Stored
"""Whatever is a blob before a job is made."""


class _Resolve:
    """Puts the blobs that the owner's stored files are now in the place of their names; the batch holds each."""

    def __init__(
        self,
        tx: Transaction,
        principal: Principal,
        batch: BatchId,
        copied: Mapping[Origin, Stored],
        now: float,
    ) -> None:
        self._tx = tx
        self._principal = principal
        self._batch = batch
        self._copied = copied
        self._now = now
        self._held: dict[Named, Stored] = {}

    def group(self, group: Group) -> Group:
        """The group with blobs. Raises NotFound, for specs that are made later when they are made."""
        if not group.spec.inputs:
            return group
        if (each := group.each) is not None:
            return replace(group, each=lambda place: self._spec(each(place)))
        return replace(group, spec=self._spec(group.spec))

    def _spec(self, spec: JobSpec) -> JobSpec:
        if not any(isinstance(item.source, Named) for item in spec.inputs):
            return spec
        inputs = [
            Input(path=item.path, source=self._blob(item.source), executable=item.executable)
            if isinstance(item.source, Named)
            else item
            for item in spec.inputs
        ]
        return replace(spec, inputs=tuple(inputs))

    def _blob(self, source: Named) -> Stored:
        """What many jobs name is looked up and held once."""
        stored = self._held.get(source)
        if stored is None:
            stored = self._found(source)
            self._tx.blobs.hold(stored.digest, -self._batch)
            self._held[source] = stored
        return stored

    def _found(self, source: Named) -> Stored:
        match source:
            case Stored():
                return source
            case UserFile():
                return self._entry(source)
            case StagedFile(name):
                entry = staged(self._tx, self._principal.account, name)
                self._tx.folders.need(entry, self._batch)
                return Stored(entry.digest, entry.size)
            case _ if source in self._copied:
                return self._copied[source]
            case _:  # the key that was taken when it was looked for has come to its end since
                raise Unavailable("the request was carried out before, and is forgotten just now; send it again")

    def _entry(self, source: UserFile) -> Stored:
        folder = _folder(self._tx, self._principal, source, self._now)
        entry = self._tx.folders.get(folder, source.name)
        _use(self._tx, entry, self._now)
        return Stored(entry.digest, entry.size)


def _folder(tx: Transaction, principal: Principal, source: UserFile, now: float) -> FolderId:
    """Raises NotFound (`file-not-found`) when there is no folder of that name."""
    if not source.named:
        return source.folder or tx.folders.uploads(principal.account, now)
    folder = tx.folders.find(principal.account, FolderKind.FILES, source.named)
    if folder is None:
        raise NotFound(f"there is no folder {source.named}", code="file-not-found", about=source.name)
    return folder.id


def _use(tx: Transaction, entry: Entry, now: float) -> None:
    """A use lengthens an entry's life, if it has an end, by as long as it had when it was stored."""
    if entry.expires is not None:
        tx.folders.put(replace(entry, used=now, expires=now + (entry.expires - entry.used)))
