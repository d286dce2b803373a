"""A job that failed gets another attempt by its owner's word, under the same id."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from workbench import Bench, ids, names, run

from jobgate.model.account import Principal, Quota
from jobgate.model.attempt import Exit
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import Conflict, NotFound, TooMany, Unrunnable
from jobgate.model.events import Cancel as CancelEvent
from jobgate.model.events import Collected, Event, Exited, Started
from jobgate.model.facts import rebuild
from jobgate.model.ids import EnvironmentName, JobId
from jobgate.model.job import Batch
from jobgate.model.limits import Limits
from jobgate.model.operations import Request, Retry
from jobgate.model.outcomes import Changed, Counted, JobView
from jobgate.model.resources import Resources
from jobgate.model.selectors import Ids, Of
from jobgate.model.state import JobState
from jobgate.operations.handle import handle
from jobgate.operations.select import SLICE
from jobgate.testing.store_lab import HERE, claim

PLACE = ComputeEnvironment(
    name=HERE, engine="local", room=Resources(cores=8.0, memory=1 << 40, disk=1 << 40), slots=8, longest_wait=100.0
)


async def ask(bench: Bench, operation: Retry, **changes: Any) -> Changed:
    context = replace(
        bench.context, environments=changes.pop("environments", (PLACE,)), limits=Limits(**changes.pop("limits", {}))
    )
    principal = Principal(account=changes.pop("who", bench.lab.owner), name="", **changes)
    outcome = await handle(context, Request(operation=operation, principal=principal))
    assert isinstance(outcome, Changed)
    return outcome


def _end(code: int, number: int = 1) -> tuple[Event, ...]:
    return (Started(number, 1.0), Exited(number, 2.0, Exit(code)), Collected(number))


async def failed(bench: Bench, count: int, **more: Any) -> Batch:
    """A batch all of whose jobs failed."""
    batch = await bench.batch(count, **more)
    pairs = [(job, (claim(bench.lab), *_end(3))) for job in ids(batch)]
    steps = await bench.lab.advance(pairs)
    assert len(steps) == count
    return batch


def test_a_failed_job_is_queued_again_and_counts_as_live(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await failed(bench, 1)
        (name,) = names(batch)
        before = (await bench.lab.row(name.job))[0]
        assert await bench.lab.live() == 0
        changed = await ask(bench, Retry(selector=Ids((name,)), show=True))
        assert [job.state for job in changed.done] == [JobState.QUEUED]
        assert isinstance(changed.shown, JobView)
        assert (changed.shown.job.id, changed.shown.job.spec, len(changed.shown.attempts)) == (name.job, before.spec, 1)
        assert await bench.lab.live() == 1
        assert await bench.lab.heads() == [name.job]
        await bench.lab.tell(name.job, claim(bench.lab), *_end(0, 2))
        job, attempts = await bench.lab.row(name.job)
        assert (job.state, job.canonical, [one.id.number for one in attempts]) == (JobState.SUCCEEDED, 2, [1, 2])
        assert rebuild(await bench.lab.log(name.job)) == (job, attempts)
        assert await bench.lab.live() == 0

    run(tmp_path, body)


def test_its_time_in_the_queue_begins_anew(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await failed(bench, 1, wait=10.0)
        bench.lab.now += 1000.0
        await ask(bench, Retry(selector=Of(batch.id)))
        asked = bench.lab.now

        async def overdue(at: float) -> list[JobId]:
            return await bench.lab.store.read(lambda tx: tx.due.overdue(at, 10))

        assert await overdue(asked + 99.0) == []
        assert await overdue(asked + 101.0) == [ids(batch)[0]]
        await bench.lab.tell(ids(batch)[0], claim(bench.lab))
        bench.lab.now += 500.0
        assert await overdue(asked + 10_000.0) == [], "an attempt is under way"

    run(tmp_path, body)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED, JobState.CANCELLED])
def test_a_job_that_did_not_fail_is_left_as_it_is(tmp_path: Path, state: JobState) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(1)
        (job,) = ids(batch)
        if state is JobState.CANCELLED:
            await bench.lab.tell(job, CancelEvent())
        elif state is not JobState.QUEUED:
            await bench.lab.tell(job, claim(bench.lab), *(_end(0) if state is JobState.SUCCEEDED else _end(0)[:1]))
        before = await bench.lab.row(job)
        changed = await ask(bench, Retry(selector=Ids(names(batch))))
        assert (changed.done, changed.unchanged, changed.same) == ((), (before[0],), 1)
        assert await bench.lab.row(job) == before

    run(tmp_path, body)


def test_of_a_batch_all_that_failed_are_queued_slice_by_slice(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await failed(bench, 2 * SLICE + 10)
        await ask(bench, Retry(selector=Ids(names(batch)[:5])))
        changed = asyncio.create_task(ask(bench, Retry(selector=Of(batch.id), show=True)))
        commits = await bench.commits(changed)
        assert commits == 3
        told = changed.result()
        assert (told.states, told.same) == ({JobState.QUEUED: 2 * SLICE + 5}, 5)
        assert isinstance(told.shown, Counted)
        assert told.shown.counts == {JobState.QUEUED: batch.count}
        assert await bench.lab.live() == batch.count

    run(tmp_path, body)


def test_a_retry_keeps_to_the_number_of_live_jobs_of_its_account(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await failed(bench, SLICE + 10)
        await bench.batch(5)
        with pytest.raises(TooMany) as caught:
            await ask(bench, Retry(selector=Of(batch.id)), quota=Quota(live_jobs=SLICE + 5))
        assert caught.value.code == "too-many-jobs"
        assert await bench.counts(batch) == {JobState.QUEUED: SLICE, JobState.FAILED: 10}
        with pytest.raises(TooMany):
            await ask(bench, Retry(selector=Of(batch.id)), limits={"live_jobs": SLICE + 14})
        assert (await ask(bench, Retry(selector=Of(batch.id)), limits={"live_jobs": SLICE + 15})).same == SLICE

    run(tmp_path, body)


def test_a_job_that_no_environment_runs_any_more_stays_failed(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await failed(bench, 1)
        elsewhere = replace(PLACE, name=EnvironmentName("x"), taints=frozenset({"no"}))
        for places in ((), (elsewhere,)):
            with pytest.raises(Unrunnable):
                await ask(bench, Retry(selector=Of(batch.id)), environments=places)
        assert await bench.counts(batch) == {JobState.FAILED: 1}

    run(tmp_path, body)


def test_the_job_of_another_account_is_not_found(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await failed(bench, 2)
        with pytest.raises(NotFound):
            await ask(bench, Retry(selector=Of(batch.id)), who=bench.lab.other)
        changed = await ask(bench, Retry(selector=Ids(names(batch))), who=bench.lab.other)
        assert changed.missing == tuple(map(str, names(batch)))
        assert await bench.counts(batch) == {JobState.FAILED: 2}

    run(tmp_path, body)


def test_a_retry_of_what_is_not_as_it_was_seen_does_nothing(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await failed(bench, 1)
        (name,) = names(batch)
        version = (await bench.lab.row(name.job))[0].version
        with pytest.raises(Conflict) as caught:
            await ask(bench, Retry(selector=Ids((name,)), seen=(version - 1,)))
        assert caught.value.code == "changed"
        assert await bench.counts(batch) == {JobState.FAILED: 1}
        assert (await ask(bench, Retry(selector=Ids((name,)), seen=(version,)))).done

    run(tmp_path, body)
