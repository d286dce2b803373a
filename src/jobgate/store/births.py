"""The rows of a new batch: a million jobs of one request are made by a few statements.

Jobs whose rows differ in nothing but their numbers are one statement; what differs is written many rows at a time, and
each spec is made, written and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Final

import msgspec

from jobgate.model.credit import Ledger, owed, worth
from jobgate.model.facts import Submitted, born
from jobgate.model.ids import STRIDE, Ids, JobId, SpecId
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.operations import Group
from jobgate.model.state import JobState
from jobgate.store import rows
from jobgate.store.batches import save
from jobgate.store.driver import Driver
from jobgate.store.tables import STATE_NUMBERS

SHOWN: Final = 1000
"""Jobs of a new batch that are told one by one."""
_RUN: Final = 64
"""From so many on, equal rows are one statement."""


class Born(msgspec.Struct, frozen=True):
    """What was made."""

    jobs: list[Job]
    """The first of them, `SHOWN` at most."""
    ledger: Ledger
    """What they are worth together."""
    wanted: int
    """Attempts of all of them."""


class _Worth:
    """What jobs are worth together: equal ones at once, others while their specs are made."""

    def __init__(self) -> None:
        self.estimate = self.operations = 0.0

    def specs(self, group: Group) -> Iterator[JobSpec]:
        """Those of a group, each of them once."""
        if group.each is None:
            self._add(group.spec, group.count)
            yield group.spec
            return
        for place in range(group.count):
            spec = group.each(place)
            self._add(spec, 1)
            yield spec

    def _add(self, spec: JobSpec, count: int) -> None:
        self.estimate += worth(spec) * spec.replication.replicas * count
        self.operations += owed(spec) * count


class _Run(msgspec.Struct):
    """Jobs in a row that share all but their spec, of which each has `each` jobs."""

    job: int
    spec: int
    each: int
    count: int
    place: str
    ends: float | None
    wanted: int
    priority: int


def add(  # noqa: PLR0913  # what is made, and in what state
    db: Driver, ids: Ids, batch: Batch, groups: Sequence[Group], *, held: bool, waits: Sequence[float | None]
) -> Born:
    """Writes the batch, its specs and its jobs, each with its first fact. Raises what making a group's specs raises.

    One that was made empty is there already.
    """
    if batch.filled is None:
        _batch(db, batch)
    else:
        save(db, batch)
    now = _begins(batch)
    first = ids.draw(now, sum(1 if group.each is None else group.count for group in groups))
    value = _Worth()
    made = chain.from_iterable(map(value.specs, groups))
    db.load("spec_add", ((i, batch.id, rows.encode(spec)) for i, spec in zip(_from(first), made, strict=False)))
    state = STATE_NUMBERS[JobState.HELD if held else JobState.QUEUED]
    runs = list(_runs(batch, first, groups, waits))
    for run in runs:
        tail = (run.place, state, run.priority, now, 0.0, run.ends, 1)
        if run.wanted != 1:  # the columns do not say so
            whole = ((rows.document(job, ()), job) for job in _told(batch, run, held))
            db.load("job_whole", ((job.id, batch.id, batch.owner, job.spec, *tail, doc) for doc, job in whole))
        elif run.count >= _RUN:
            db.run("job_run", run.count - 1, run.job, batch.id, batch.owner, run.spec, run.each, *tail)
        else:
            db.many("job_add", ((j, batch.id, batch.owner, spec, *tail) for j, spec in _pairs(run)))
    for run in runs:
        if run.count >= _RUN and run.each == run.count:
            data = rows.encode(_birth(batch, run, run.spec, held))
            db.run("event_run", run.count - 1, run.job, now, data)
    db.load("event_add", _facts(batch, runs, held))
    return _born(batch, runs, held, Ledger(estimate=value.estimate, operations=value.operations))


def _batch(db: Driver, batch: Batch) -> None:
    about = (batch.app, batch.count, batch.expires, rows.encode(batch), batch.name, batch.number, batch.first)
    db.run("batch_add", batch.id, batch.owner, *about, batch.expires)
    if batch.labels:
        db.many("label_add", [(batch.owner, key, value, batch.id) for key, value in batch.labels.items()])


def _begins(batch: Batch) -> float:
    """When its jobs are made."""
    return batch.created if batch.filled is None else batch.filled


def _from(first: int) -> Iterator[int]:
    return iter(range(first, 1 << 63, STRIDE))


def _runs(batch: Batch, first: int, groups: Sequence[Group], waits: Sequence[float | None]) -> Iterator[_Run]:
    """The groups, neighbours that can be written together as one."""
    job, spec = int(batch.id), first
    last: _Run | None = None
    for group, wait in zip(groups, chain(waits, repeat(None)), strict=False):
        each = 1 if group.each is not None else group.count
        place = group.spec.place.environment or ""
        ends, wanted = None if wait is None else _begins(batch) + wait, group.spec.replication.replicas
        priority = batch.priority if group.priority is None else group.priority
        alike = (each, place, ends, wanted, priority)
        if last is not None and (last.each, last.place, last.ends, last.wanted, last.priority) == alike:
            last.count += group.count
        else:
            if last is not None:
                yield last
            last = _Run(job, spec, each, group.count, place, ends, wanted, priority)
        job += group.count * STRIDE
        spec += group.count // each * STRIDE
    if last is not None:
        yield last


def _pairs(run: _Run) -> Iterator[tuple[int, int]]:
    """Each job of a run, and its spec."""
    for place in range(run.count):
        yield run.job + place * STRIDE, run.spec + place // run.each * STRIDE


def _birth(batch: Batch, run: _Run, spec: int, held: bool) -> Submitted:
    return Submitted(batch.id, batch.owner, SpecId(spec), run.priority, run.wanted, held)


def _facts(batch: Batch, runs: Iterable[_Run], held: bool) -> Iterator[tuple[int, int, float, bytes]]:
    """The first fact of each job, but of those that one statement writes."""
    for run in runs:
        if run.count >= _RUN and run.each == run.count:
            continue
        data = b""
        for place in range(run.count):
            if place % run.each == 0:
                data = rows.encode(_birth(batch, run, run.spec + place // run.each * STRIDE, held))
            yield run.job + place * STRIDE, 1, _begins(batch), data


def _told(batch: Batch, run: _Run, held: bool) -> Iterator[Job]:
    for job, spec in _pairs(run):
        yield born(JobId(job), _begins(batch), _birth(batch, run, spec, held))


def _born(batch: Batch, runs: Sequence[_Run], held: bool, ledger: Ledger) -> Born:
    jobs = chain.from_iterable(_told(batch, run, held) for run in runs)
    return Born(list(islice(jobs, SHOWN)), ledger, sum(run.count * run.wanted for run in runs))
