"""Batches, jobs, specs, events, guards and secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import add
from typing import Final

from msgspec.structs import replace

from jobgate.model.advance import Step, advance
from jobgate.model.attempt import Lease
from jobgate.model.credit import Ledger, ledger
from jobgate.model.errors import Conflict, IllegalMove, NotFound, Reused
from jobgate.model.events import Event, Together
from jobgate.model.facts import Attempts, Closed, Fact, Moved
from jobgate.model.guard import Guard
from jobgate.model.ids import STRIDE, AccountId, BatchId, JobId, SpecId
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.operations import Group
from jobgate.model.state import AttemptState, JobState
from jobgate.model.tally import Tally
from jobgate.model.told import Mourning
from jobgate.store import births, rows
from jobgate.store.driver import Driver, Shared
from jobgate.store.folders import Blobs, Folders
from jobgate.store.guards import naming, outlive, take, taken
from jobgate.store.log import OF_BATCH, OF_JOB, epitaph
from jobgate.store.queue import Head
from jobgate.store.rows import Stand, stand_of
from jobgate.store.tables import NO_JOB, STATE_NUMBERS, STATES
from jobgate.store.tallies import Tallies, mark

_SPECS_KEPT: Final = 4096
_LOOKED: Final = 10_000


class Jobs:
    """Batches, jobs, specs, events, guards and secrets."""

    def __init__(self, driver: Driver, shared: Shared) -> None:
        self._db = driver
        self._shared = shared
        self._loaded: dict[JobId, tuple[Job, Attempts]] = {}
        self._changed: dict[JobId, int] = {}
        """Each with what its row says of `more`."""
        self._facts: list[Fact] = []
        self._tallies = Tallies(driver, shared)
        self._ends: dict[BatchId, int] = {}
        self.lives: dict[AccountId, int] = {}
        """How many more jobs of each account are not over."""
        self._moves: dict[AccountId, list[int]] = {}
        """How many more of each account's are in which state, where that is kept."""
        self._counting: set[AccountId] = set()
        self.steps: list[Step] = []
        """What `advance` came to, in order: the store publishes it after the commit."""
        self.queued = 0
        """Jobs that this transaction put into the queue."""
        self.made = False
        """Whether it made any, or told of some that it deleted."""
        self.touched: dict[BatchId, None] = {}
        """Batches of which something changed beside their jobs."""

    def touch(self, batch: BatchId) -> None:
        """Something of the batch itself changed."""
        self.touched[batch] = None

    # --- making

    def draw(self, now: float, count: int = 1) -> int:
        """The first of `count` new ids."""
        return self._shared.ids.draw(now, count)

    def add(
        self, batch: Batch, groups: Sequence[Group], *, held: bool = False, waits: Sequence[float | None] = ()
    ) -> list[Job]:
        """Makes the batch and all of its jobs; `batch.id` was drawn for as many ids as it has jobs, or gets.

        A batch with `filled` is there already, without jobs.

        `waits`: for each group, the seconds its jobs may wait in the queue. Returns the first of the jobs, `SHOWN` at
        most, in order.
        """
        born = births.add(self._db, self._shared.ids, batch, groups, held=held, waits=waits)
        if batch.count:
            self._tallies.born(batch, JobState.HELD if held else JobState.QUEUED, born)
        self.made = True
        if batch.filled is not None or batch.expires is not None:
            self.touch(batch.id)
        self.queued += 0 if held else batch.count
        self.lives[batch.owner] = self.lives.get(batch.owner, 0) + batch.count
        self._count(batch.owner, None, JobState.HELD if held else JobState.QUEUED, batch.count)
        return born.jobs

    def take(self, owner: AccountId, guard: Guard, batch: BatchId, now: float) -> BatchId | None:
        """Uses up an idempotency key for `batch`; the batch it made before, if it did.

        Raises Reused when it was used with another body, and Gone when what it made was deleted.
        """
        try:
            made = take(self._db, owner, guard, batch, now, kept="batch_get")
        except Reused as error:
            raise self._made_by_key(error) from None
        return None if made is None else BatchId(made)

    def taken(self, owner: AccountId, guard: Guard, now: float) -> bool:
        """Whether the key was used, and `take` would tell what became of it."""
        return taken(self._db, owner, guard, now, kept="batch_get")

    def _made_by_key(self, error: Reused) -> Reused:
        """The error, with the name of the batch or of its only job, while that is kept."""
        try:
            return naming(self.batch(BatchId(error.ident)))
        except NotFound:
            return error

    def rename(self, batch: Batch, name: str | None, labels: Mapping[str, str | None]) -> Batch:
        """The batch with another name, and with these labels, or without those that are None; itself if it is so."""
        kept = {key: value for key, value in {**batch.labels, **labels}.items() if value is not None}
        if name in (None, batch.name) and kept == batch.labels:
            return batch
        for key, value in batch.labels.items() - kept.items():
            self._db.run("label_delete", batch.owner, key, value, batch.id)
        self._db.many("label_add", [(batch.owner, *pair, batch.id) for pair in kept.items() - batch.labels.items()])
        another = replace(batch, name=batch.name if name is None else name, labels=kept, renamed=batch.renamed + 1)
        self._db.run("batch_rename", rows.encode(another), another.name, batch.id)
        return another

    # --- moving

    def advance(
        self, events: Iterable[tuple[JobId, Event | Together]], now: float, lease: Lease | None = None
    ) -> list[Step | IllegalMove | NotFound]:
        """The step of each event, or of those that came together, or why there is none; in order.

        Raises Conflict when `lease` is of an older fence than its node's: another process has its place.
        """
        if lease is not None:
            known = self._db.one("node_get", lease.node)
            if known is None or known[0] != lease.fence:
                raise Conflict("this node's place was taken by another process", code="fenced")
        results: list[Step | IllegalMove | NotFound] = []
        counts = self._shared.counts
        for ident, event in events:
            try:
                job, attempts = self._load(ident)
                spec = self.spec(job.spec)
                step = advance(job, attempts, event, now, spec=spec)
            except (IllegalMove, NotFound) as error:
                results.append(error)
                continue
            if step.facts:
                self._loaded[ident] = (step.job, step.attempts)
                self._changed.setdefault(ident, _more(job))
                self._facts.extend(step.facts)
                self.steps.append(step)
                self._tallies.moved(job, attempts, step.job, step.attempts, spec)
                if job.owner in counts and step.job.state is not job.state:
                    self._count(job.owner, job.state, step.job.state)
                if step.job.state.over is not job.state.over:
                    self.lives[job.owner] = self.lives.get(job.owner, 0) + (1 if job.state.over else -1)
                    if step.job.state.over:
                        self._ends[job.batch] = len(self._facts)
                if step.job.waits and not job.waits:
                    self.queued += 1
            results.append(step)
        return results

    def flush(self) -> None:
        """Writes rows, facts and references to blobs."""
        for batch, end in self._tallies.fold().items():
            mark(self._facts, self._ends[batch], end)
        if not self._changed:
            return
        puts, more = [], []
        for ident, before in self._changed.items():
            job, attempts = self._loaded[ident]
            if (now := _more(job)) != before:
                more.append((now, ident))
            number = STATE_NUMBERS[job.state]
            puts.append((number, job.priority, job.ready, job.ended, job.version, rows.document(job, attempts), ident))
        self._db.many("job_put", puts)
        if more:
            self._db.many("job_more", more)
        self._db.many("event_add", [(f.job, f.seq, f.at, rows.encode(f.data)) for f in self._facts])
        for fact in self._facts:
            if isinstance(fact.data, Moved) and fact.data.state is JobState.QUEUED:
                self._waits_on(fact)
            if isinstance(fact.data, Closed) and (fact.data.outputs or fact.data.logs):
                blobs = Blobs(self._db)
                for artifact in (*fact.data.outputs, *fact.data.logs.values()):
                    if artifact.inline is None:
                        blobs.hold(artifact.digest, fact.job)
        self._changed.clear()
        self._facts.clear()
        self._ends.clear()

    def _waits_on(self, fact: Fact) -> None:
        """It is back in the queue: the time of its last attempt, and the pause after it, are no waiting for room."""
        job, attempts = self._loaded[fact.job]
        if len(attempts) > job.spent and attempts[-1].state is not AttemptState.RETURNED:
            away = fact.at - attempts[-1].created + max(job.ready - fact.at, 0.0)
            self._db.run("job_waits_on", away, fact.job)

    def waits_until(self, job: JobId, ends: float | None) -> None:
        """From now on the job's wait in the queue ends then."""
        self._db.run("job_waits_until", ends, job)

    # --- reading

    def _load(self, ident: JobId) -> tuple[Job, Attempts]:
        known = self._loaded.get(ident)
        if known is None:
            row = self._db.one("job_get", ident)
            if row is None:
                raise NotFound
            known = self._loaded[ident] = rows.job_of(row)
        return known

    def get(self, ids: Iterable[JobId]) -> dict[JobId, tuple[Job, Attempts]]:
        """Those of them that there are."""
        found = {}
        for ident in ids:
            try:
                found[ident] = self._load(ident)
            except NotFound:
                continue
        return found

    def spec(self, ident: SpecId) -> JobSpec:
        """A spec. Raises NotFound when its batch was deleted."""
        spec = self._shared.specs.get(ident)
        if spec is None:
            row = self._db.one("spec_get", ident)
            if row is None:
                raise NotFound
            if len(self._shared.specs) >= _SPECS_KEPT:
                self._shared.specs.clear()
            spec = self._shared.specs[ident] = rows.spec_of(row[0])
        return spec

    def batch(self, ident: BatchId) -> Batch:
        """A batch. Raises NotFound when there is none."""
        row = self._db.one("batch_get", ident)
        if row is None:
            raise NotFound
        return rows.batch_of(*row)

    def members(self, batch: Batch, start: int = 0, most: int | None = None) -> Iterator[tuple[Job, Attempts]]:
        """The jobs of a batch that are still kept, in order; of a part of it: those of `most` places from `start`."""
        self.flush()
        end = batch.count if most is None else min(start + most, batch.count)
        first, last = batch.id + start * STRIDE, batch.id + (end - 1) * STRIDE
        return (rows.job_of(row) for row in self._db.all("job_range", first, last, batch.id))

    def roll(self, batch: Batch, after: JobId, most: int) -> list[Stand]:
        """Numbers and states of the batch's next jobs."""
        self.flush()
        last = batch.id + (batch.count - 1) * STRIDE
        return [stand_of(*row) for row in self._db.all("job_roll", after, last, batch.id, most)]

    def stands(self, batch: Batch, jobs: Iterable[JobId]) -> list[Stand]:
        """The same of some jobs: those of them that are the batch's, and there."""
        self.flush()
        found = (self._db.one("job_stand", job, batch.id) for job in jobs)
        return [stand_of(*row) for row in found if row is not None]

    def tally(self, batch: Batch) -> Tally:
        """How a batch's jobs stand; of a million as soon as of one."""
        self.flush()
        return self._tallies.of(batch)

    def ledger(self, batch: Batch) -> Ledger:
        """What a batch's jobs are worth; of a million as soon as of one."""
        self.flush()
        if batch.count > 1:
            return self._tallies.ledger(batch)
        row = self._db.one("job_get", batch.id)
        if row is None:
            return Ledger()
        job, attempts = rows.job_of(row)
        return ledger(job, attempts, self.spec(job.spec))

    def load(self) -> tuple[int, int]:
        """How many attempts of all accounts wait, and how many run."""
        self.flush()
        return self._tallies.totals.load()

    def counts(self, batch: Batch) -> Mapping[JobState, int]:
        """How many of a batch's jobs are in which state."""
        return self.tally(batch).counts

    def owned(self, owner: AccountId) -> dict[JobState, int]:
        """How many of an account's jobs are in which state."""
        known = self._shared.counts.get(owner)
        if known is None or owner in self._moves:
            self.flush()
            return {STATES[state]: number for state, number in self._db.all("owner_counts", owner)}
        return {STATES[state]: number for state, number in enumerate(known) if number}

    def counted(self, owner: AccountId) -> bool:
        """Whether `owned` is known without a walk over all of the account's jobs."""
        return owner in self._shared.counts

    def keep_count(self, owner: AccountId) -> None:
        """Counts them once, in a transaction that writes; from then on they are kept as they move."""
        self._counting.add(owner)

    def live_of(self, owner: AccountId) -> int:
        """How many of an account's jobs are not over."""
        known = self._shared.live.get(owner)
        if known is None:
            self.flush()
            row = self._db.one("owner_live", owner)
            return int(row[0]) if row else 0
        return known + self.lives.get(owner, 0)

    def settled(self) -> None:
        """The store calls it when this transaction's part is in: what is remembered follows."""
        for owner, more in self.lives.items():
            known = self._shared.live.get(owner)
            if known is None:
                row = self._db.one("owner_live", owner)
                self._shared.live[owner] = int(row[0]) if row else 0
            else:
                self._shared.live[owner] = known + more
        for owner, moves in self._moves.items():
            kept = self._shared.counts.get(owner)
            if kept is not None:
                self._shared.counts[owner] = tuple(map(add, kept, moves))
        for owner in self._counting:
            found = {state: number for state, number in self._db.all("owner_counts", owner)}  # noqa: C416  # rows of Any
            self._shared.counts[owner] = tuple(found.get(number, 0) for number in STATES)

    def _count(self, owner: AccountId, before: JobState | None, after: JobState | None, jobs: int = 1) -> None:
        if owner not in self._shared.counts:
            return
        moves = self._moves.setdefault(owner, [0] * len(STATES))
        if before is not None:
            moves[STATE_NUMBERS[before]] -= jobs
        if after is not None:
            moves[STATE_NUMBERS[after]] += jobs

    def live(self) -> list[tuple[Job, Attempts]]:
        """Every job that may have a live attempt."""
        self.flush()
        return [rows.job_of(row) for row in self._db.all("job_live")]

    def heads(
        self, now: float, limit: int, *, place: str = "", fits: Callable[[Head], bool] = lambda _: True
    ) -> list[Head]:
        """The first `limit` queued jobs of each account that `fits` takes, of those whose time has come.

        `place`: jobs that may run there only are among them; those bound to another place never are. Of one account
        10,000 are looked at.
        """
        self.flush()
        heads: list[Head] = []
        for only in {"", place}:
            owner = -1
            while (row := self._db.one("job_owner_after", only, owner)) is not None:
                owner = row[0]
                heads += islice(filter(fits, self._queue(only, owner, now, limit)), limit)
        return heads

    def _queue(self, only: str, owner: int, now: float, size: int) -> Iterator[Head]:
        for offset in range(0, _LOOKED, size):
            page = self._db.all("job_heads", only, owner, now, size, offset)
            yield from (Head(*columns) for columns in page)
            if len(page) < size:
                return

    def delete(self, ids: Iterable[JobId], now: float, *, told: Mourning = Mourning.NONE) -> None:
        """Deletes jobs with all that belongs to them; a batch goes with its last job. Followers are told as asked."""
        self.flush()
        blobs = Blobs(self._db)
        batches: dict[BatchId, tuple[Batch, dict[SpecId, JobId]]] = {}
        graves: dict[BatchId, JobId] = {}
        cursor, newest = self._db.one("event_last") or (0, NO_JOB)
        for ident in ids:
            row = self._db.one("job_get", ident)
            if row is None:
                continue
            if (known := batches.get(BatchId(row[1]))) is None:
                known = batches[BatchId(row[1])] = (self.batch(BatchId(row[1])), {})
            whole, specs = known
            specs[SpecId(row[3])] = ident
            if whole.named:
                self._db.run("name_delete", ident)
            if told is Mourning.EACH:
                graves[whole.id] = ident
                self._db.run("event_add", -ident, OF_JOB, now, epitaph(row[2], whole.id, last=False))
            self._tallies.gone(BatchId(row[1]), row[4], row[8])
            self._count(row[2], STATES[row[4]], None)
            if not STATES[row[4]].over:
                self._tallies.gone_live(*rows.job_of(row), self.spec(SpecId(row[3])))
                self.lives[row[2]] = self.lives.get(row[2], 0) - 1
            blobs.let_go(ident, now)
            self._db.run("event_delete", ident)
            self._db.run("job_delete", ident)
            self._loaded.pop(ident, None)
            if ident == newest:
                self._db.run("event_delete", NO_JOB)
                self._db.run("event_mark", cursor, NO_JOB, 0, now, b"")  # or the cursor would be given again
        self._tallies.fold()
        for batch, specs in batches.values():
            for spec, job in specs.items():
                self._unneeded(batch, spec, job)
            if self.forget(batch, now) and told is not Mourning.NONE:
                self._mourn(batch, graves.get(batch.id), now)
        self.made = self.made or (told is not Mourning.NONE and bool(batches))

    def _unneeded(self, batch: Batch, spec: SpecId, gone: JobId) -> None:
        """Deletes a spec with the last job that has it. Those lie beside each other: the neighbours of one say it."""
        before = self._db.one("spec_before", batch.id, gone, batch.id)
        after = self._db.one("spec_after", gone, batch.id + (batch.count - 1) * STRIDE, batch.id)
        if not any(row is not None and row[0] == spec for row in (before, after)):
            self._db.run("spec_drop", spec)

    def _mourn(self, batch: Batch, last: JobId | None, now: float) -> None:
        """The grave of its last job says that the batch went too; without one, it has a grave of its own."""
        said = epitaph(batch.owner, batch.id, last=True)
        if last is None:
            self._db.run("event_add", -batch.id, OF_BATCH, now, said)
        else:
            self._db.run("event_say", said, -last)

    def forget(self, batch: Batch, now: float) -> bool:
        """Deletes a batch that has no job any more, or never had one; whether it went."""
        if self._db.one("job_left", batch.id, batch.id + (batch.count - 1) * STRIDE, batch.id) is not None:
            return False
        for key, value in batch.labels.items():
            self._db.run("label_delete", batch.owner, key, value, batch.id)
        self._db.run("spec_delete", batch.id)
        self._db.run("secret_delete", batch.id)
        outlive(self._db, batch.id, now)
        self._db.run("batch_delete", batch.id)
        self._tallies.forget(batch.id)
        self._shared.numbers.freed()
        Blobs(self._db).let_go(-batch.id, now)
        Folders(self._db, self._shared).release(batch.id)
        return True


def _more(job: Job) -> int:
    """What keeps it in the queue while attempts of it are live."""
    return job.wanted if job.waits and job.state is not JobState.QUEUED else 0
