"""What is called by a number or a name is found among the asker's own, and the operation that is meant is done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from workbench import Bench, run

from jobgate.model.account import Principal, Scope
from jobgate.model.errors import Conflict, Forbidden, Invalid, NotFound
from jobgate.model.ids import STRIDE, AccountId, BatchId, JobId, JobName, batch_text, job_text
from jobgate.model.job import Batch, Origin, Place
from jobgate.model.numbers import of_attempt, of_job
from jobgate.model.operations import (
    Called,
    Cancel,
    Count,
    Find,
    Group,
    Known,
    KnownJob,
    Operation,
    Request,
    Submit,
)
from jobgate.model.outcomes import Counted, Found, Submitted
from jobgate.model.selectors import BatchCalled, Ids, JobCalled, Of, Where
from jobgate.model.state import JobState
from jobgate.operations.called import PIECE
from jobgate.operations.handle import handle
from jobgate.testing.store_lab import PLAIN, life

ORIGIN = Origin(dialect="test")
OWN = replace(PLAIN, place=Place(own=True))
"""It can be submitted where there is no environment."""


async def submit(bench: Bench, *names: str, count: int = 0, who: AccountId | None = None, **more: object) -> Batch:
    groups = (Group(OWN, count or len(names)),) if count or names else ()
    made: Submitted = await bench.ask(replace(Submit(groups=groups, origin=ORIGIN, names=names), **more), who)
    return made.batch


def job(batch: Batch, place: int = 0) -> JobName:
    return JobName(batch.id, JobId(batch.id + place * STRIDE))


async def known(bench: Bench, *called: BatchCalled | JobCalled, who: AccountId | None = None) -> Known:
    told: list[Known] = []

    def then(found: Known) -> Operation:
        told.append(found)
        return Find(selector=Where(limit=1))

    batches = tuple(one for one in called if isinstance(one, BatchCalled))
    jobs = tuple(one for one in called if isinstance(one, JobCalled))
    await bench.ask(Called(batches=batches, jobs=jobs, then=then), who)
    return told[0]


def test_a_job_is_found_by_its_number_its_name_and_its_id(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        await submit(bench, count=5)
        batch = await submit(bench, "a", "", "c")
        ways = (
            JobCalled(number=of_job(batch.first, 2)),
            JobCalled(name="c"),
            JobCalled(name=job_text(batch.id, job(batch, 2).job)),
        )
        assert (await known(bench, *ways)).jobs == (KnownJob(job(batch, 2)),) * 3

    run(tmp_path, body)


def test_an_attempt_is_found_by_its_number_and_by_the_jobs_name_and_a_number_from_0(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, "run_7", "run_7_0")
        for place in (0, 1):
            await bench.lab.tell(job(batch, place).job, *life(bench.lab))
        ways = (
            JobCalled(number=of_attempt(of_job(batch.first, 0), 1)),
            JobCalled(name="run_7_0_0"),
            JobCalled(name=f"{job(batch)}_0"),
            JobCalled(name="run_7_0"),
        )
        found = (await known(bench, *ways)).jobs
        first, second = KnownJob(job(batch), 1), KnownJob(job(batch, 1), 1)
        assert found == (first, second, first, KnownJob(job(batch, 1)))

    run(tmp_path, body)


@pytest.mark.parametrize("name", ["", "_", "_0", "a_", "a_1", "a_00", "a_-1", "a_x", "a_99999999999", "A", "a\0"])
def test_what_is_no_name_is_nothing(tmp_path: Path, name: str) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, "a")
        await bench.lab.tell(job(batch).job, *life(bench.lab))
        assert (await known(bench, JobCalled(name=name), BatchCalled(name=name))) == Known((None,), (None,))

    run(tmp_path, body)


def test_numbers_that_no_job_has_are_nothing(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, count=2)
        beyond = of_job(batch.first, 2)
        for number in (-1, beyond, beyond + 5, 1 << 31, 1 << 70, batch.first + 1):
            assert (await known(bench, JobCalled(number=number))).jobs == (None,)
        for number in (-1, batch.number + 1, beyond, 1 << 70):
            assert (await known(bench, BatchCalled(number=number))).batches == (None,)

    run(tmp_path, body)


def test_another_accounts_things_are_nothing_but_to_an_operator(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, "a", name="b")
        ways = (
            BatchCalled(number=batch.number),
            BatchCalled(name="b"),
            BatchCalled(name=batch_text(batch.id)),
            JobCalled(number=batch.first),
            JobCalled(name="a"),
            JobCalled(name=str(job(batch))),
        )
        assert await known(bench, *ways, who=bench.lab.other) == Known((None,) * 3, (None,) * 3)
        operator = Principal(account=bench.lab.other, name="", scopes=frozenset(Scope))
        asked: list[Known] = []

        def then(found: Known) -> Operation:
            asked.append(found)
            return Find(selector=Where(limit=1))

        called = Called(batches=(ways[0], ways[2]), jobs=(ways[3], ways[5]), then=then)
        await handle(bench.context, Request(operation=called, principal=operator))
        assert asked == [Known((batch, batch), (KnownJob(job(batch)),) * 2)]

    run(tmp_path, body)


def test_many_are_found_in_order_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, "a", "b")
        passed = 0

        async def pass_by() -> None:
            nonlocal passed
            while True:
                passed += 1
                await asyncio.sleep(0)

        many = 3 * PIECE + 1
        other = asyncio.create_task(pass_by())
        found = await known(bench, *(JobCalled(name="ab"[at % 2]) for at in range(many)), BatchCalled(name="none"))
        other.cancel()
        assert found == Known((None,), tuple(KnownJob(job(batch, at % 2)) for at in range(many)))
        assert passed >= 3

    run(tmp_path, body)


def test_the_newest_batch_of_a_name_is_meant(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        await submit(bench, count=1, name="b")
        second = await submit(bench, count=2, name="b")
        assert (await known(bench, BatchCalled(name="b"))).batches == (second,)

    run(tmp_path, body)


def test_the_operation_that_is_meant_is_done_and_its_own_scope_is_asked(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, count=2)

        def then(found: Known) -> Operation:
            (meant,) = found.batches
            if meant is None:
                raise NotFound("no batch")
            return Cancel(selector=Of(meant.id))

        called = Called(batches=(BatchCalled(number=batch.number),), then=then)
        reader = Principal(account=bench.lab.owner, name="", scopes=frozenset({Scope.READ}))
        with pytest.raises(Forbidden):
            await handle(bench.context, Request(operation=called, principal=reader))
        await bench.ask(called)
        assert await bench.counts(batch) == {JobState.CANCELLED: 2}
        with pytest.raises(NotFound, match="no batch"):
            await bench.ask(called, bench.lab.other)

    run(tmp_path, body)


# --- names


def test_jobs_are_shown_with_their_names_and_others_with_their_ids(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        plain = await submit(bench, count=1)
        batch = await submit(bench, "x", "", "z")
        found: Found = await bench.ask(Find(selector=Where()))
        assert [view.called for view in found.jobs] == ["z", str(job(batch, 1)), "x", str(job(plain))]
        one: Found = await bench.ask(Find(selector=Ids((job(batch, 2),))))
        assert [view.name for view in one.jobs] == ["z"]
        assert (batch.named, plain.named) == (True, False)

    run(tmp_path, body)


@pytest.mark.parametrize(("names", "first"), [(("n", "a", "b"), "a"), (("n", "m", "n", "a"), "n")])
def test_names_are_taken_all_or_none_and_the_first_that_is_taken_is_told(
    tmp_path: Path, names: tuple[str, ...], first: str
) -> None:
    async def body(bench: Bench) -> None:
        await submit(bench, "a", "b")
        await submit(bench, "n", "m", who=bench.lab.other)
        before = await bench.lab.seen()
        with pytest.raises(Conflict, match=f"called {first};") as refused:
            await submit(bench, *names)
        assert refused.value.code == "name-taken"
        await bench.lab.unchanged(before)
        assert (await known(bench, JobCalled(name="n"))).jobs == (None,)

    run(tmp_path, body)


@pytest.mark.parametrize("name", ["x" * 192, "a\nb", "\0", "\u200b"])
def test_a_name_is_short_and_can_be_printed(tmp_path: Path, name: str) -> None:
    async def body(bench: Bench) -> None:
        with pytest.raises(Invalid) as refused:
            await submit(bench, "a", name)
        assert refused.value.field == "jobs[1].name"
        await submit(bench, "x" * 191, "naïve name with blanks")

    run(tmp_path, body)


def test_there_are_as_many_names_as_jobs(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        with pytest.raises(Invalid):
            await submit(bench, "a", count=2)

    run(tmp_path, body)


# --- batches that are filled later


def test_an_empty_batch_is_held_until_it_is_filled(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, empty=True, name="later", labels={"a": "b"})
        counted: Counted = await bench.ask(Count(batch.id))
        assert (counted.state, counted.counts, counted.batch.count) == (JobState.HELD, {}, 0)
        filled = await submit(bench, "one", "two", into=batch.id, name="not this")
        assert (filled.id, filled.name, filled.count, filled.number) == (batch.id, "later", 2, batch.number)
        again: Counted = await bench.ask(Count(batch.id))
        assert (again.state, again.counts) == (JobState.QUEUED, {JobState.QUEUED: 2})
        assert again.version > counted.version
        assert (await known(bench, JobCalled(number=of_job(filled.first, 1)))).jobs == (KnownJob(job(batch, 1)),)

    run(tmp_path, body)


def test_a_batch_is_filled_once_and_by_its_owner(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, empty=True)
        with pytest.raises(NotFound):
            await submit(bench, count=1, into=batch.id, who=bench.lab.other)
        await submit(bench, count=1, into=batch.id)
        cancelled = await submit(bench, empty=True)
        await bench.ask(Cancel(selector=Of(cancelled.id)))
        for one, was in ((batch, "filled"), (await submit(bench, count=1), "filled"), (cancelled, "cancelled")):
            with pytest.raises(Conflict, match=was) as refused:
                await submit(bench, count=1, into=one.id)
            assert refused.value.code == "not-empty"

    run(tmp_path, body)


def test_what_cannot_fill_a_batch_leaves_it_empty(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        await submit(bench, "a")
        batch = await submit(bench, empty=True)
        with pytest.raises(Conflict):
            await submit(bench, "b", "a", into=batch.id)
        assert (await bench.lab.batch(batch.id)) == batch
        assert await submit(bench, "b", into=batch.id)
        assert await bench.lab.live() == 2
        assert await bench.lab.owned() == {JobState.QUEUED: 2}

    run(tmp_path, body)


def test_nothing_else_has_the_ids_that_an_empty_batch_reserves(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await submit(bench, empty=True)
        other = await submit(bench, count=1)
        assert BatchId(batch.id + (bench.context.limits.fill - 1) * STRIDE) < other.id

    run(tmp_path, body)
