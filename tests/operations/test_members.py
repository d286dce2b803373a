"""All jobs of a batch come out of the store, exactly as many as were announced, and no change is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from told import LEASE
from workbench import Bench, ids, run

from jobgate.model.attempt import Exit
from jobgate.model.errors import NotFound
from jobgate.model.events import Claim, Collected, Event, Exited, Started
from jobgate.model.ids import BatchId, JobId
from jobgate.model.job import Batch, Origin, Place
from jobgate.model.operations import Cancel, Count, Delete, Group, Load, Members, Submit
from jobgate.model.outcomes import JobView, Loaded, Portion, Streamed
from jobgate.model.resources import Resources
from jobgate.model.selectors import Of
from jobgate.model.state import JobState
from jobgate.operations import members as verb
from jobgate.operations.marks import Marks
from jobgate.testing.store_lab import HERE, PLAIN

ANYWHERE = replace(PLAIN, place=Place(own=True))
LIFE: tuple[Event, ...] = (
    Claim(HERE, LEASE, None, straight=True),
    Started(1, 5.0),
    Exited(1, 6.0, Exit(0)),
    Collected(1),
)


async def ask(bench: Bench, *batches: Batch, since: float | None = None) -> Streamed:
    found = await bench.ask(Members(batches=tuple(batch.id for batch in batches), since=since))
    assert isinstance(found, Streamed)
    return found


async def whole(portions: AsyncIterator[Portion]) -> dict[BatchId, list[JobView]]:
    """All of it; raises AssertionError unless there are as many of each batch as its first portion says."""
    found: dict[BatchId, list[JobView]] = {}
    totals: dict[BatchId, int] = {}
    last: BatchId | None = None
    async for portion in portions:
        batch = portion.batch.batch.id
        assert portion.begins == (batch != last)
        last = batch
        found.setdefault(batch, []).extend(portion.jobs)
        totals[batch] = portion.total
    assert {batch: len(jobs) for batch, jobs in found.items()} == totals
    return found


async def told(bench: Bench, *batches: Batch, since: float | None = None) -> tuple[float, set[JobId]]:
    answer = await ask(bench, *batches, since=since)
    found = await whole(answer.portions)
    return answer.at, {view.job.id for jobs in found.values() for view in jobs}


async def live(bench: Bench, jobs: Iterable[JobId], *events: Event) -> None:
    pairs = [(job, event) for job in jobs for event in events]
    await bench.lab.store.write(lambda tx: tx.jobs.advance(pairs, bench.lab.tick()))


def test_every_job_is_told_in_order_with_its_attempts_and_its_spec(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        long = await bench.batch(2 * verb.PAGE + 1, spec=replace(PLAIN, resources=Resources(operations=1e9)))
        short = await bench.batch(3)
        await live(bench, ids(short)[:1], *LIFE)
        found = await whole((await ask(bench, short, long)).portions)
        assert list(found) == [short.id, long.id]
        assert [view.job.id for view in found[long.id]] == list(ids(long))
        assert {view.spec.resources.operations for view in found[long.id]} == {1e9}
        first = found[short.id][0]
        assert first.job.state is JobState.SUCCEEDED
        assert len(first.attempts) == 1

    run(tmp_path, body)


def test_a_batch_of_somebody_else_is_refused_before_anything_is_told(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        mine, other = await bench.batch(1), await bench.batch(1, owner=bench.lab.other)
        with pytest.raises(NotFound):
            await ask(bench, mine, other)

    run(tmp_path, body)


def test_the_stream_says_how_the_batch_stands_and_what_it_is_worth(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(2, spec=replace(PLAIN, resources=Resources(operations=1e12)))
        answer = await ask(bench, batch)
        (portion,) = [portion async for portion in answer.portions]
        assert portion.batch.counts == {JobState.QUEUED: 2}
        assert portion.batch.ledger is not None
        assert portion.batch.ledger.operations == 2e12
        assert portion.batch.est_end is not None
        assert portion.batch.est_end - answer.at == pytest.approx(2000, abs=5)

    run(tmp_path, body)


@pytest.mark.parametrize("all_of_it", [False, True])
def test_jobs_deleted_before_their_turn_are_told_all_the_same(tmp_path: Path, *, all_of_it: bool) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(3 * verb.PAGE)
        await live(bench, ids(batch)[:1], *LIFE)
        answer = await ask(bench, batch)
        first = await anext(answer.portions)
        assert first.total == batch.count
        doomed = ids(batch) if all_of_it else ids(batch)[verb.PAGE + 1 :]
        await bench.ask(Cancel(selector=Of(batch.id)))
        await bench.lab.forget(doomed)
        rest = [view async for portion in answer.portions for view in portion.jobs]
        assert [view.job.id for view in (*first.jobs, *rest)] == list(ids(batch))
        assert all(view.job.state.over and view.spec.steps for view in rest)
        found = await whole((await ask(bench, batch)).portions) if not all_of_it else {}
        assert sum(map(len, found.values())) == batch.count - len(doomed) or all_of_it

    run(tmp_path, body)


def test_a_batch_deleted_before_its_turn_has_no_jobs(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch, beside = await bench.over(2), await bench.batch(1)
        answer = await ask(bench, batch, beside)
        await bench.ask(Delete(selector=Of(batch.id)))
        found = await whole(answer.portions)
        assert {ident: len(jobs) for ident, jobs in found.items()} == {batch.id: 0, beside.id: 1}

    run(tmp_path, body)


def test_who_asks_again_is_told_what_has_changed_and_what_is_new(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(1200)
        at, everything = await told(bench, batch)
        assert everything == set(ids(batch))
        assert (await told(bench, batch, since=at))[1] == set()
        await live(bench, ids(batch)[7:1200:600], LIFE[0])
        fresh = await bench.batch(2)
        then, changed = await told(bench, batch, fresh, since=at)
        assert changed == {ids(batch)[7], ids(batch)[607], *ids(fresh)}
        assert then > at
        assert (await told(bench, batch, since=then))[1] == set()
        assert (await told(bench, batch, since=float(f"{at:f}")))[1] == {ids(batch)[7], ids(batch)[607]}

    run(tmp_path, body)


def test_a_moment_that_is_not_known_means_everything(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(3)
        at, everything = await told(bench, batch)
        assert (await told(bench, batch, since=at + 0.5))[1] == everything
        bench.context = replace(bench.context, marks=Marks())
        assert (await told(bench, batch, since=at))[1] == everything

    run(tmp_path, body)


def test_of_very_many_events_nobody_looks_for_those_that_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(3)
        at, everything = await told(bench, batch)
        await bench.batch(50)
        assert (await told(bench, batch, since=at))[1] == set()
        monkeypatch.setattr(verb, "LONGEST", 49)
        assert (await told(bench, batch, since=at))[1] == everything

    run(tmp_path, body)


@settings(max_examples=40)
@given(
    moves=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=25),
    polls=st.lists(st.integers(0, 6), min_size=1, max_size=8),
)
def test_beside_writers_no_change_is_lost(moves: list[tuple[int, bool]], polls: list[int]) -> None:
    """One writes, another asks from answer to answer: in the end it knows each job as it is."""

    async def body(bench: Bench) -> None:
        batch = await bench.batch(5)
        known: dict[JobId, int] = {}
        done = asyncio.Event()

        async def writes() -> None:
            left = {job: iter(LIFE) for job in ids(batch)}
            for at, yields in moves:
                event = next(left[ids(batch)[at]], None)
                if event is not None:
                    await live(bench, [ids(batch)[at]], event)
                if yields:
                    await asyncio.sleep(0)
            done.set()

        async def asks(since: float | None) -> float:
            answer = await ask(bench, batch, since=since)
            async for portion in answer.portions:
                known.update((view.job.id, view.job.version) for view in portion.jobs)
            return answer.at

        async def polled() -> None:
            at: float | None = None
            for pause in polls:
                at = await asks(at)
                for _ in range(pause):
                    await asyncio.sleep(0)
            await done.wait()
            await asks(at)

        await asyncio.gather(writes(), polled())
        now = await bench.lab.store.read(lambda tx: {job.id: job.version for job, _ in tx.jobs.members(batch)})
        assert known == now

    with TemporaryDirectory() as folder:
        run(Path(folder), body)


def test_moments_are_unique_and_rise_whatever_the_clock_does() -> None:
    marks = Marks(kept=3)
    drawn = [marks.draw(now) for now in (100.0, 100.0, 99.0, 100.0000005, 101.0)]
    assert drawn == sorted(set(drawn))
    assert [float(f"{at:f}") for at in drawn] == drawn
    for cursor, at in enumerate(drawn):
        marks.put(at, cursor)
    assert [marks.find(at) for at in drawn] == [None, None, 2, 3, 4]


def test_the_load_is_that_of_all_accounts(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        mine, other = await bench.batch(3), await bench.batch(2, owner=bench.lab.other)
        await bench.batch(9, held=True)
        await live(bench, [*ids(mine)[:1], *ids(other)[:1]], LIFE[0])
        assert await bench.ask(Load()) == Loaded(waiting=3, running=2)

    run(tmp_path, body)


def test_jobs_are_told_with_the_names_that_their_owner_gave_them(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        named = Submit(groups=(Group(ANYWHERE, 3),), origin=Origin(dialect="test"), names=("a#1.0", "", "a#3.0"))
        made = await bench.ask(named)
        found = await whole((await ask(bench, made.batch)).portions)
        assert [view.name for view in found[made.batch.id]] == ["a#1.0", "", "a#3.0"]

    run(tmp_path, body)


def test_an_empty_batch_has_no_jobs_and_no_worth_yet(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        made = await bench.ask(Submit(groups=(), origin=Origin(dialect="test"), empty=True))
        at, jobs = await told(bench, made.batch)
        assert jobs == set()
        sized = replace(ANYWHERE, resources=Resources(operations=1e12))
        filled = Submit(groups=(Group(sized, 2),), origin=Origin(dialect="test"), into=made.batch.id)
        await bench.ask(filled)
        assert len((await told(bench, made.batch, since=at))[1]) == 2
        counted = await bench.ask(Count(made.batch.id, ledger=True))
        assert counted.ledger.operations == 2e12

    run(tmp_path, body)
