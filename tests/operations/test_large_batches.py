"""What is done to very many jobs is done in slices, so that others have their turn; an answer has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from workbench import MANY, Bench, Breaks, ids, names, run

from jobgate.model.errors import Conflict, NotFound, TooLarge, Unavailable
from jobgate.model.events import Cancel as CancelEvent
from jobgate.model.events import Claim
from jobgate.model.ids import BatchId
from jobgate.model.job import Batch
from jobgate.model.operations import Cancel, Change, Delete, Find, Operation
from jobgate.model.selectors import Ids, Of, Selector, Where
from jobgate.model.state import JobState
from jobgate.operations.select import SLICE
from jobgate.operations.slices import next_size
from jobgate.store.births import SHOWN
from jobgate.testing.store_lab import HERE

T = TypeVar("T")
TAG = {"tag": "t"}


# --- slices


@pytest.mark.parametrize("operation", [lambda s: Cancel(selector=s), lambda s: Change(selector=s, priority=3)])
@pytest.mark.parametrize("by_tag", [False, True])
def test_a_large_batch_is_changed_slice_by_slice(
    tmp_path: Path, operation: Callable[[Selector], Operation], by_tag: bool
) -> None:
    async def body(bench: Bench) -> None:
        beside = await bench.batch(2)
        batch = await bench.batch(labels=TAG)
        await bench.batch(2)
        selector = Where(labels=(("tag", "t"),), limit=1_000_000) if by_tag else Of(batch.id)
        assert await bench.commits(bench.ask(operation(selector))) == 3
        for row, _ in (await bench.lab.store.read(lambda tx: tx.jobs.get(ids(batch)))).values():
            assert row.state is JobState.CANCELLED or row.priority == 3
        assert await bench.counts(beside) == {JobState.QUEUED: 2}

    run(tmp_path, body)


def test_a_batch_of_one_slice_is_one_transaction(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(SLICE)
        assert await bench.commits(bench.ask(Cancel(selector=Of(batch.id)))) == 1

    run(tmp_path, body)


def test_a_small_batch_is_deleted_in_one_transaction(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.over(32)
        assert await bench.commits(bench.ask(Delete(selector=Of(batch.id)))) == 1

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("size", "took", "next_one"), [(32, 0.001, 64), (32, 0.5, 3), (1, 9.0, 1), (SLICE, 0.0, SLICE)]
)
def test_a_slice_that_took_long_is_followed_by_a_smaller_one_and_a_quick_one_by_a_larger(
    size: int, took: float, next_one: int
) -> None:
    assert next_size(size, took) == next_one


@pytest.mark.parametrize("deletes", [False, True])
def test_others_write_between_two_slices(tmp_path: Path, deletes: bool) -> None:
    async def body(bench: Bench) -> None:
        batch = await (bench.over if deletes else bench.batch)(5 * SLICE)
        other = await bench.batch(1, owner=bench.lab.other)
        whole = asyncio.create_task(bench.ask((Delete if deletes else Cancel)(selector=Of(batch.id))))
        await asyncio.sleep(0)
        for _ in range(2):
            await bench.ask(Cancel(selector=Of(other.id)), bench.lab.other)
            assert not whole.done()
            assert sum((await bench.counts(batch)).values()) > 0
        await whole
        assert await bench.counts(batch) == ({} if deletes else {JobState.CANCELLED: batch.count})

    run(tmp_path, body)


def test_of_many_large_requests_at_once_each_commit_has_one_slice_only(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batches = [await bench.batch() for _ in range(4)]
        calls = asyncio.gather(*(bench.ask(Cancel(selector=Of(batch.id))) for batch in batches))
        assert await bench.commits(calls) == 1 + 4 * 2  # the first of each together: small requests never wait
        for batch in batches:
            assert await bench.counts(batch) == {JobState.CANCELLED: MANY}

    run(tmp_path, body)


def test_what_broke_off_is_completed_by_the_same_request(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch()
        with pytest.raises(Unavailable):
            await bench.ask(Cancel(selector=Of(batch.id)), store=Breaks(bench.lab.store, 1))
        assert await bench.counts(batch) == {JobState.CANCELLED: SLICE, JobState.QUEUED: MANY - SLICE}
        changed = await bench.ask(Cancel(selector=Of(batch.id)))
        assert (len(changed.unchanged), len(changed.done)) == (SLICE, MANY - SLICE)
        with pytest.raises(Unavailable):
            await bench.ask(Delete(selector=Of(batch.id)), store=Breaks(bench.lab.store, 2))
        left = (await bench.counts(batch))[JobState.CANCELLED]
        assert 0 < left < MANY
        deleted = await bench.ask(Delete(selector=Of(batch.id)))
        assert deleted.jobs == names(batch)[MANY - left :][:SHOWN]
        with pytest.raises(NotFound):
            await bench.ask(Delete(selector=Of(batch.id)))

    run(tmp_path, body)


def test_a_batch_that_another_request_deletes_meanwhile_is_no_error(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.over(5 * SLICE)
        whole = asyncio.create_task(bench.ask(Delete(selector=Of(batch.id))))
        await asyncio.sleep(0)
        await bench.lab.store.write(lambda tx: tx.jobs.delete(ids(batch), bench.lab.now))
        assert len((await whole).jobs) <= SLICE

    run(tmp_path, body)


# --- what is said


def test_an_answer_names_the_first_jobs_of_a_batch_and_counts_the_others(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch()
        changed = await bench.ask(Cancel(selector=Of(batch.id)))
        assert tuple(job.id for job in changed.done) == ids(batch)[:SHOWN]
        assert (changed.unchanged, changed.more) == ((), MANY - SHOWN)
        changed = await bench.ask(Cancel(selector=Of(batch.id)))
        assert tuple(job.id for job in changed.unchanged) == ids(batch)[:SHOWN]
        assert (changed.done, changed.more) == ((), MANY - SHOWN)
        deleted = await bench.ask(Delete(selector=Of(batch.id)))
        assert deleted.jobs == names(batch)[:SHOWN]
        assert deleted.more == MANY - SHOWN

    run(tmp_path, body)


def test_jobs_asked_for_by_their_ids_are_all_named_in_the_order_asked(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch, foreign = await bench.batch(), await bench.batch(1, owner=bench.lab.other)
        asked = Ids((*names(batch)[::-1], *names(foreign)), ("nonsense",))
        changed = await bench.ask(Cancel(selector=asked))
        assert tuple(job.id for job in changed.done) == ids(batch)[::-1]
        assert (changed.missing, changed.more) == (("nonsense", str(names(foreign)[0])), 0)
        deleted = await bench.ask(Delete(selector=asked))
        assert (deleted.jobs, deleted.missing) == (names(batch)[::-1], changed.missing)
        assert await bench.counts(foreign) == {JobState.QUEUED: 1}

    run(tmp_path, body)


def test_a_limit_holds_across_slices(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch()
        changed = await bench.ask(Cancel(selector=Where(limit=SLICE + 1)))
        assert tuple(job.id for job in changed.done) == ids(batch)[: -SLICE - 2 : -1]
        assert (await bench.counts(batch))[JobState.CANCELLED] == SLICE + 1

    run(tmp_path, body)


# --- refusals


@pytest.mark.parametrize("kind", [Cancel, Change, Delete])
def test_the_batch_of_another_account_is_not_found_and_stays_as_it_is(tmp_path: Path, kind: type[Any]) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(owner=bench.lab.other)
        for unknown in (batch.id, BatchId(1)):
            with pytest.raises(NotFound):
                await bench.ask(kind(selector=Of(unknown)))
        assert await bench.counts(batch) == {JobState.QUEUED: MANY}

    run(tmp_path, body)


@pytest.mark.parametrize("by", [lambda b: Of(b.id), lambda b: Where(batch=b.id, limit=MANY), lambda b: Ids(names(b))])
def test_nothing_is_deleted_when_the_last_of_all_is_live(tmp_path: Path, by: Callable[[Batch], Selector]) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch()
        over = ids(batch)[:-1]
        ends = [(job, CancelEvent("")) for job in over]
        await bench.lab.store.write(lambda tx: tx.jobs.advance(ends, bench.lab.tick()))
        with pytest.raises(Conflict) as caught:
            await bench.ask(Delete(selector=by(batch)))
        assert caught.value.code == "job-active"
        assert str(names(batch)[-1]) in caught.value.message
        assert await bench.counts(batch) == {JobState.CANCELLED: MANY - 1, JobState.QUEUED: 1}

    run(tmp_path, body)


def test_by_force_live_jobs_are_cancelled_and_deleted(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch()
        deleted = await bench.ask(Delete(selector=Of(batch.id), force=True))
        assert (deleted.jobs, deleted.stopping, deleted.more) == (names(batch)[:SHOWN], (), MANY - SHOWN)
        assert await bench.counts(batch) == {}

    run(tmp_path, body)


def test_a_job_that_does_not_end_in_time_is_said_to_be_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobgate.operations.change.PATIENCE", 0.0)

    async def body(bench: Bench) -> None:
        batch = await bench.batch(2)
        first, second = names(batch)
        claim = Claim(HERE, bench.lab.lease)
        await bench.lab.store.write(lambda tx: bench.lab.told(tx, first.job, claim))
        deleted = await bench.ask(Delete(selector=Of(batch.id), force=True))
        assert (deleted.jobs, deleted.stopping) == ((second,), (first,))

    run(tmp_path, body)


@pytest.mark.parametrize(
    "by", [lambda b: Of(b.id), lambda b: Where(batch=b.id, limit=1_000_000), lambda b: Ids(names(b))]
)
def test_more_jobs_than_one_answer_shows_are_refused(tmp_path: Path, by: Callable[[Batch], Selector]) -> None:
    async def body(bench: Bench) -> None:
        fits, over = await bench.batch(), await bench.batch(MANY + 1)
        found = await bench.ask(Find(selector=by(fits)))
        assert len(found.jobs) == MANY
        with pytest.raises(TooLarge) as caught:
            await bench.ask(Find(selector=by(over)))
        assert caught.value.code == "too-many-selected"

    run(tmp_path, body)


def test_a_page_of_a_larger_batch_is_shown_and_so_is_what_is_left_of_one(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.over(MANY + 1)
        found = await bench.ask(Find(selector=Where(batch=batch.id, limit=10)))
        assert tuple(view.job.id for view in found.jobs) == ids(batch)[:-11:-1]
        assert found.more is not None
        await bench.ask(Delete(selector=Ids(names(batch)[:1])))
        assert len((await bench.ask(Find(selector=Of(batch.id)))).jobs) == MANY

    run(tmp_path, body)
