"""What is kept of credit and of load as jobs move is what adding up every job and attempt would say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import create_engine
from store_places import FILE, sqlite
from told import LEASE, SPECS, legal

from jobgate.model.attempt import Attempt, Exit, Usage
from jobgate.model.credit import PER_OPERATION, Ledger, ledger
from jobgate.model.events import Cancel, Claim, Collected, Event, Exited, Offer, Requeue, Started
from jobgate.model.ids import AccountId, BatchId
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.operations import Group
from jobgate.model.resources import Resources
from jobgate.model.state import AttemptState, JobState
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import HERE, PLAIN, Lab, members, promise, raised

Told = tuple[int, Event]
Kept = tuple[Ledger, tuple[int, int], float]
"""A batch's ledger, the load, and an account's credit."""

SAYS = replace(PLAIN, resources=Resources(operations=4.5e11))
LIFE = (
    Claim(HERE, LEASE, None, straight=True),
    Started(1, 5.0),
    Exited(1, 6.0, Exit(0), usage=Usage(cpu_seconds=0.75)),
    Collected(1),
)


def added(known: Iterable[Ledger]) -> Ledger:
    """One after the other."""
    sums = dict.fromkeys(Ledger.__struct_fields__, 0.0)
    for one in known:
        for name in sums:
            sums[name] += getattr(one, name)
    return Ledger(**sums)


def load_of(jobs: Iterable[tuple[Job, Sequence[Attempt]]]) -> tuple[int, int]:
    waiting = running = 0
    for job, attempts in jobs:
        states = [attempt.state for attempt in attempts if not attempt.state.over]
        offered = states.count(AttemptState.OFFERED)
        waiting += offered + (0 if job.state is JobState.HELD else job.wanted)
        running += len(states) - offered
    return waiting, running


def recounted(tx: Transaction, batches: Sequence[Batch]) -> tuple[list[Ledger], tuple[int, int]]:
    """As one counts who looks at each job and attempt."""
    each = [list(tx.jobs.members(batch)) for batch in batches]
    ledgers = [added(ledger(job, attempts, tx.jobs.spec(job.spec)) for job, attempts in jobs) for jobs in each]
    return ledgers, load_of(pair for jobs in each for pair in jobs)


def same(one: Ledger, other: Ledger) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in Ledger.__struct_fields__)
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in pairs)


async def kept(lab: Lab, batch: Batch) -> Ledger:
    return await lab.store.read(lambda tx: tx.jobs.ledger(batch))


async def credit(lab: Lab, owner: AccountId | None = None) -> float:
    return await lab.store.read(lambda tx: tx.accounts.credit(lab.owner if owner is None else owner))


async def told(lab: Lab, batch: Batch, places: Iterable[int], *events: Event) -> None:
    jobs = members(batch)
    await lab.store.write(lambda tx: tx.jobs.advance([(jobs[at], event) for at in places for event in events], lab.now))


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """Some that can be retried or compared, and say what they take or are granted."""
    spec = draw(st.sampled_from(SPECS))
    operations = draw(st.sampled_from([0.0, 1e9, 3e12, 7.5]))
    return replace(spec, resources=Resources(operations=operations), credit=draw(st.none() | st.floats(0, 1e6)))


@st.composite
def stories(draw: st.DrawFn) -> tuple[JobSpec, int, bool, list[list[Told]]]:
    """A batch, and transactions in which something is told about its jobs."""
    spec = draw(specs())
    count = draw(st.integers(1, 4))
    each = [draw(legal(spec)) for _ in range(count)]
    order = draw(st.permutations([job for job, life in enumerate(each) for _ in life]))
    left = [iter(life) for life in each]
    said = [(job, next(left[job])) for job in order]
    cuts = sorted(draw(st.lists(st.integers(0, len(said)), max_size=4)))
    pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    return spec, count, draw(st.booleans()), [piece for piece in pieces if piece]


def _advance(tx: Transaction, batch: Batch, said: Sequence[Told], now: float) -> None:
    jobs = members(batch)
    tx.jobs.advance([(jobs[job], event) for job, event in said], now)


@settings(max_examples=150)
@given(story=stories(), deleted=st.sets(st.integers(0, 3)))
def test_the_sums_say_what_adding_up_would_whatever_happens(
    story: tuple[JobSpec, int, bool, list[list[Told]]], deleted: set[int]
) -> None:
    spec, count, held, pieces = story

    async def body(lab: Lab) -> None:
        batch = await lab.submit(count, spec=spec, held=held)
        beside = await lab.submit(2)
        for piece in pieces:
            await lab.store.write(partial(_advance, batch=batch, said=piece, now=lab.tick()))
            (worth, other), load = await lab.store.read(lambda tx: recounted(tx, [batch, beside]))
            assert same(await kept(lab, batch), worth)
            assert await kept(lab, beside) == other
            assert await lab.store.read(lambda tx: tx.jobs.load()) == load
            assert math.isclose(await credit(lab), worth.total, rel_tol=1e-9, abs_tol=1e-9)
        before, granted = await kept(lab, batch), await credit(lab)
        await lab.forget([job for place, job in enumerate(members(batch)) if place in deleted])
        await lab.reopen()
        gone = deleted.issuperset(range(count))
        there = [beside] if gone else [batch, beside]
        ledgers, load = await lab.store.read(lambda tx: recounted(tx, there))
        assert await lab.store.read(lambda tx: tx.jobs.load()) == load
        assert await credit(lab) == granted
        if not gone and count > 1:
            after = await kept(lab, batch)
            assert replace(after, operations=0.0) == replace(before, operations=0.0)
            assert math.isclose(after.operations, ledgers[0].operations, rel_tol=1e-9, abs_tol=1e-9)

    with TemporaryDirectory() as folder:
        promise(body)(sqlite(Path(folder)))


def test_equal_jobs_and_different_ones_are_worth_what_their_operations_are(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        def make(tx: Transaction) -> Batch:
            ident = BatchId(tx.jobs.draw(lab.now, 15))
            batch = Batch(id=ident, owner=lab.owner, count=15, origin=lab.make(tx).origin, created=lab.now)
            each = Group(SAYS, 2, lambda place: replace(SAYS, credit=float(place)))
            sizes = [Group(replace(PLAIN, resources=Resources(operations=n * 1e9))) for n in range(10, 20)]
            tx.jobs.add(batch, [each, *sizes, Group(replace(PLAIN, credit=2.0), 3)])
            return batch

        batch = await lab.store.write(make)
        known = await kept(lab, batch)
        assert math.isclose(known.estimate, 145e9 * PER_OPERATION + 1.0 + 6.0)
        assert known.operations == 145e9 + 2 * 4.5e11
        lone = await lab.submit(1, spec=SAYS)
        assert await kept(lab, lone) == Ledger(estimate=4.5e11 * PER_OPERATION, operations=4.5e11)

    promise(body)(sqlite(tmp_path))


def test_a_batch_that_is_over_has_no_operations_left_and_the_credit_it_was_estimated_at(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batch = await lab.submit(3, spec=SAYS)
        await told(lab, batch, range(3), *LIFE)
        known = await kept(lab, batch)
        assert known.operations == 0
        assert known.cpu_seconds == 2.25
        assert math.isclose(known.total, known.estimate)
        assert math.isclose(known.canonical, known.estimate)

    promise(body)(sqlite(tmp_path))


def test_what_an_account_was_granted_stays_when_its_jobs_go_and_moves_with_the_account(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batch = await lab.submit(2, spec=SAYS)
        lone = await lab.submit(1, spec=replace(SAYS, credit=0.5))
        await told(lab, batch, range(2), *LIFE)
        await told(lab, lone, range(1), *LIFE)
        granted = 2 * 4.5e11 * PER_OPERATION + 0.5
        await lab.forget([*members(batch), *members(lone)])
        assert math.isclose(await credit(lab), granted)
        assert await credit(lab, lab.other) == 0

        def merge(tx: Transaction) -> None:
            tx.accounts.merge(tx.accounts.get(lab.owner), tx.accounts.get(lab.other), lab.now)

        await lab.store.write(merge)
        assert await credit(lab) == 0
        assert math.isclose(await credit(lab, lab.other), granted)

    promise(body)(sqlite(tmp_path))


def test_what_is_rolled_back_is_granted_to_nobody(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batch = await lab.submit(2, spec=SAYS)
        before = await kept(lab, batch)

        def breaks(tx: Transaction) -> None:
            tx.jobs.advance([(job, event) for job in members(batch) for event in LIFE], lab.now)
            assert tx.jobs.ledger(batch).total > 0
            raise ValueError

        await raised(lab.store.write(breaks), ValueError)
        assert await kept(lab, batch) == before
        assert await credit(lab) == 0
        assert await lab.store.read(lambda tx: tx.jobs.load()) == (2, 0)

    promise(body)(sqlite(tmp_path))


def test_a_job_that_its_owner_has_tried_again_is_work_again(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batch = await lab.submit(2, spec=SAYS)
        failed = (*LIFE[:2], Exited(1, 6.0, Exit(1), usage=Usage(cpu_seconds=1.5)), Collected(1))
        await told(lab, batch, [0], *failed)
        assert (await kept(lab, batch)).operations == 4.5e11
        await told(lab, batch, [0], Requeue())
        known = await kept(lab, batch)
        assert (known.operations, known.total, known.cpu_seconds) == (9e11, 0, 1.5)

    promise(body)(sqlite(tmp_path))


def test_the_migration_reads_the_processor_time_and_the_load_from_the_jobs_there_are(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batches = [await lab.submit(count, held=count == 3, spec=SPECS[2 * (count == 4)]) for count in (1, 2, 3, 4)]
        for batch in batches:
            await told(lab, batch, [0], *LIFE)
        await told(lab, batches[1], [1], *LIFE[:2])
        await told(lab, batches[3], [1], Offer(HERE))
        await told(lab, batches[3], [2], Cancel())
        known = [await kept(lab, batch) for batch in batches]
        load = await lab.store.read(lambda tx: tx.jobs.load())
        assert sum(one.cpu_seconds for one in known) > 0 < min(load)
        await lab.store.close()
        _again(tmp_path / FILE)
        lab.store = await lab.place.open()
        assert [await kept(lab, batch) for batch in batches] == known
        assert await lab.store.read(lambda tx: tx.jobs.load()) == load

    promise(body)(sqlite(tmp_path))


def _again(path: Path) -> None:
    """Takes back what the migration did, and does it again."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE load")
        connection.exec_driver_sql("ALTER TABLE account DROP COLUMN credit")
        for name in Ledger.__struct_fields__:
            connection.exec_driver_sql(f"ALTER TABLE tally DROP COLUMN {name}")
        with Operations.context(MigrationContext.configure(connection)):
            import_module("jobgate.store.migrations.versions.0013_credit").upgrade()
    engine.dispose()
