"""What is kept of a batch's jobs as they move is what counting them would say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import create_engine
from store_places import FILE, sqlite
from told import LEASE, SPECS, legal

from jobgate.model.attempt import Exit
from jobgate.model.events import Cancel, Claim, Collected, Event, Exited, Started
from jobgate.model.facts import Fact, Moved
from jobgate.model.ids import JobId
from jobgate.model.job import Batch, JobSpec
from jobgate.model.state import JobState
from jobgate.model.tally import ENDS, BatchEnd, Tally
from jobgate.store.tallies import DELETED
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import HERE, Lab, members, promise

Told = tuple[int, Event]
"""Which of the jobs, and what is told about it."""


def ended(fact: Fact) -> bool:
    return isinstance(fact.data, Moved) and fact.data.state.over


def shown(tally: Tally) -> Tally:
    """The end is one when all are over: a job that ended may have been asked for another attempt."""
    return replace(tally, ended=None) if tally.live else tally


def counted(tx: Transaction, batch: Batch) -> Tally:
    """As one counts who looks at each job."""
    jobs = [job for job, _ in tx.jobs.members(batch)]
    counts: dict[JobState, int] = {}
    for job in jobs:
        counts[job.state] = counts.get(job.state, 0) + 1
    return Tally(
        counts=counts,
        version=sum(job.version for job in jobs) + (batch.count - len(jobs)) * DELETED,
        started=min((job.started for job in jobs if job.started is not None), default=None),
        ended=max((job.ended for job in jobs if job.ended is not None), default=None),
    )


@st.composite
def stories(draw: st.DrawFn) -> tuple[JobSpec, int, bool, list[list[Told]]]:
    """A batch, and transactions in which something is told about its jobs."""
    spec = draw(st.sampled_from(SPECS))
    count = draw(st.integers(1, 4))
    each = [draw(legal(spec)) for _ in range(count)]
    order = draw(st.permutations([job for job, life in enumerate(each) for _ in life]))
    left = [iter(life) for life in each]
    told = [(job, next(left[job])) for job in order]
    cuts = sorted(draw(st.lists(st.integers(0, len(told)), max_size=4)))
    pieces = [told[a:b] for a, b in zip([0, *cuts], [*cuts, len(told)], strict=True)]
    return spec, count, draw(st.booleans()), [piece for piece in pieces if piece]


async def kept(lab: Lab, batch: Batch) -> Tally:
    return await lab.store.read(lambda tx: tx.jobs.tally(batch))


async def recounted(lab: Lab, batch: Batch) -> Tally:
    return await lab.store.read(lambda tx: counted(tx, batch))


async def marked(lab: Lab) -> list[BatchEnd]:
    """The ends of batches that the log tells of."""
    moves = [fact.data for _, fact in await lab.events() if isinstance(fact.data, Moved)]
    return [moved.batch_end for moved in moves if moved.batch_end is not None]


async def told(lab: Lab, job: JobId, *events: Event) -> None:
    await lab.store.write(lambda tx: tx.jobs.advance([(job, event) for event in events], lab.tick()))


def work(tx: Transaction, batch: Batch, told: Sequence[Told], now: float) -> Tally:
    jobs = members(batch)
    tx.jobs.advance([(jobs[job], event) for job, event in told], now)
    return tx.jobs.tally(batch)


@settings(max_examples=150)
@given(story=stories(), deleted=st.sets(st.integers(0, 3)))
def test_the_tally_says_what_counting_would_whatever_happens(
    story: tuple[JobSpec, int, bool, list[list[Told]]], deleted: set[int]
) -> None:
    spec, count, held, pieces = story

    async def body(lab: Lab) -> None:
        batch = await lab.submit(count, spec=spec, held=held)
        marks = version = 0
        for piece in pieces:
            head = await lab.store.read(lambda tx: tx.log.head())
            after = await lab.store.write(partial(work, batch=batch, told=piece, now=lab.tick()))
            recount = await recounted(lab, batch)
            assert shown(after) == shown(recount)
            assert await kept(lab, batch) == after
            assert recount.version >= version
            version = recount.version
            marks += recount.live == 0 and any(ended(fact) for _, fact in await lab.events(head))
        log = await lab.events()
        ends = [
            fact.data.batch_end for _, fact in log if isinstance(fact.data, Moved) and fact.data.batch_end is not None
        ]
        assert len(ends) == marks
        end = await kept(lab, batch)
        if end.live == 0:
            assert ends[-1] == BatchEnd(*(end.counts.get(state, 0) for state in ENDS))
            assert end.state is ends[-1].state
        over = [job for job, _ in await lab.store.read(lambda tx: list(tx.jobs.members(batch))) if job.state.over]
        gone = [job.id for place, job in enumerate(over) if place in deleted]
        await lab.forget(gone)
        if len(gone) == count:
            await lab.reopen()
            assert await lab.store.read(lambda tx: tx.jobs._db.all("tally_of", batch.id)[0][-3]) is None  # noqa: SLF001  # the row itself
            return
        left = await lab.store.read(lambda tx: (tx.jobs.tally(batch), counted(tx, batch)))
        assert (left[0].counts, left[0].version) == (left[1].counts, left[1].version)
        assert left[0].version > version or not gone

    with TemporaryDirectory() as folder:
        promise(body)(sqlite(Path(folder)))


LIFE = (
    Claim(HERE, LEASE, None, straight=True),
    Started(1, 5.0),
    Exited(1, 6.0, Exit(0)),
    Collected(1),
)


@pytest.mark.parametrize("again", [False, True])
def test_a_tally_goes_on_after_a_restart_and_knows_which_batches_have_one(tmp_path: Path, *, again: bool) -> None:
    async def body(lab: Lab) -> None:
        batch, lone = await lab.submit(2), await lab.submit(1)
        jobs = [*members(batch), *members(lone)]
        for job in jobs:
            if again:
                await lab.reopen()
            await told(lab, job, *LIFE)
        for made in (batch, lone):
            tally = await kept(lab, made)
            assert tally == await recounted(lab, made)
            assert tally.state is JobState.SUCCEEDED
        ends = [
            fact.data.batch_end
            for _, fact in await lab.events()
            if isinstance(fact.data, Moved) and fact.data.batch_end
        ]
        assert ends == [BatchEnd(2), BatchEnd(1)]

    promise(body)(sqlite(tmp_path))


def test_what_is_rolled_back_leaves_no_trace_in_the_tally(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batch = await lab.submit(3)
        before = await kept(lab, batch)

        def breaks(tx: Transaction) -> None:
            tx.jobs.advance([(job, Cancel()) for job in members(batch)], lab.tick())
            assert tx.jobs.tally(batch).counts == {JobState.CANCELLED: 3}
            raise ValueError("after all")

        with pytest.raises(ValueError, match="after all"):
            await lab.store.write(breaks)
        assert await kept(lab, batch) == before

    promise(body)(sqlite(tmp_path))


def test_the_migration_counts_the_batches_that_are_there(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batches = [await lab.submit(count, held=count == 3) for count in (1, 2, 3, 5)]
        for batch in batches:
            for place, job in enumerate(members(batch)[1:]):
                await told(lab, job, *LIFE[: 4 if place else 1])
        await lab.forget(members(batches[3])[2:3])
        before = [await kept(lab, batch) for batch in batches]
        assert any(tally.started for tally in before)
        assert any(tally.ended for tally in before)
        await lab.store.close()
        _again(tmp_path / FILE)
        lab.store = await lab.place.open()
        after = [await kept(lab, batch) for batch in batches]
        assert after == before

    promise(body)(sqlite(tmp_path))


def _again(path: Path) -> None:
    """Takes back what the migration did, and does it again."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for table in ("tally", "reaped"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        with Operations.context(MigrationContext.configure(connection)):
            import_module("jobgate.store.migrations.versions.0007_tallies").upgrade()
    engine.dispose()


STATES = st.dictionaries(st.sampled_from(JobState), st.integers(0, 3))


@given(counts=STATES, started=st.none() | st.floats(0, 9))
def test_a_batch_is_over_when_all_its_jobs_are(counts: dict[JobState, int], started: float | None) -> None:
    tally = Tally(counts=counts, version=1, started=started)
    assert tally.state.over == (tally.live == 0)
    there = {state for state, number in counts.items() if number}
    if tally.state.over and there:
        assert tally.state in there
    if JobState.RUNNING in there:
        assert tally.state is JobState.RUNNING


def test_facts_of_before_there_were_marks_are_read_as_they_are() -> None:
    old = msgspec.msgpack.encode({"type": "moved", "state": "succeeded", "canonical": 1})
    assert msgspec.msgpack.decode(old, type=Moved).batch_end is None
