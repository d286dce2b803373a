"""Promises of every store about transactions: whole or not at all, shared, heard, refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from jobgate.model.advance import Step
from jobgate.model.errors import Conflict, NotFound, Unavailable
from jobgate.model.events import Cancel, Rank
from jobgate.model.facts import Submitted
from jobgate.model.guard import Guard
from jobgate.model.ids import BatchId, Digest, JobId
from jobgate.model.job import Batch
from jobgate.model.state import JobState
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import EVERY, Lab, Promise, claim, life, members, promise, raised, refused

T = TypeVar("T")

GUARD: Final = Guard(key="k", body=Digest("00" * 32))
_PATIENCE: Final = 30.0
"""Seconds after which what should have come at once is held to be missing."""


# --- whole or nothing


@promise
async def a_submit_is_there_whole_also_after_a_reopen(lab: Lab) -> None:
    """Batch, jobs, key, secrets and first events are on disk when the write has returned."""
    batch = await lab.submit(3, guard=GUARD, secrets={"s": b"sealed"}, labels={"a": "b"})
    for _ in range(2):
        assert await lab.batch(batch.id) == batch
        assert await lab.sealed(batch.id) == {"s": b"sealed"}
        assert await lab.page(labels=(("a", "b"),)) == list(reversed(members(batch)))
        for job in members(batch):
            row, attempts = await lab.row(job)
            assert (row.state, row.version, attempts) == (JobState.QUEUED, 1, ())
            (first,) = await lab.log(job)
            assert isinstance(first.data, Submitted)
        assert await lab.submit(3, guard=GUARD) == batch
        await lab.reopen()


@promise
async def a_submit_that_fails_at_any_step_leaves_nothing(lab: Lab) -> None:
    """Neither batch, jobs, key, secrets, events nor a count of live jobs."""
    await lab.submit(2)
    before = await lab.seen()
    for steps in range(1, 5):
        drawn: list[BatchId] = []

        def work(tx: Transaction, steps: int = steps, drawn: list[BatchId] = drawn) -> None:
            ident = BatchId(tx.jobs.draw(lab.now, 2))
            drawn.append(ident)
            tx.jobs.take(lab.owner, GUARD, ident, lab.now)
            if steps > 1:
                lab.make(tx, 2, labels={"a": "b"})
            if steps > 2:
                tx.secrets.seal(ident, {"s": b"sealed"})
            if steps > 3:
                tx.jobs.advance([(JobId(tx.jobs.draw(lab.now)), Cancel())], lab.now)
                tx.flush()
            raise Conflict("not this one", code=str(steps))

        await raised(lab.store.write(work), Conflict)
        await lab.unchanged(before)
        assert await lab.sealed(drawn[0]) == {}
        assert await lab.live() == 2
    assert await lab.submit(guard=GUARD), "the key is free"


class _Odd(BaseException):
    """Nobody's error, as a cancelled task's is."""


@promise
async def what_a_work_raises_comes_out_to_its_asker_alone(lab: Lab) -> None:
    """Its neighbours of the same commit are kept, and nothing of itself is."""
    errors: dict[int, BaseException] = {1: Conflict("one"), 4: ValueError("four"), 5: NotFound("five"), 6: _Odd("six")}

    def work(place: int) -> Callable[[Transaction], Batch]:
        def run(tx: Transaction) -> Batch:
            made = lab.make(tx, place + 1, priority=place)
            if place in errors:
                raise errors[place]
            return made

        return run

    outcomes = await asyncio.gather(*(lab.store.write(work(n)) for n in range(8)), return_exceptions=True)
    for place, outcome in enumerate(outcomes):
        if place in errors:
            assert outcome is errors[place], f"{outcome!r} came out, not {errors[place]!r}"
        else:
            assert isinstance(outcome, Batch), repr(outcome)
    kept = [made for made in outcomes if isinstance(made, Batch)]
    assert sorted(await lab.page()) == sorted(job for made in kept for job in members(made))
    assert await lab.live() == sum(made.count for made in kept)


@promise
async def a_row_that_cannot_be_is_the_fault_of_its_asker_alone(lab: Lab) -> None:
    """What breaks a rule of the tables undoes its own transaction; its neighbours are kept."""
    first = await lab.submit()
    before = await lab.seen()

    def twice(tx: Transaction) -> None:
        tx.jobs.add(first, [])

    outcomes = await asyncio.gather(lab.submit(2), lab.store.write(twice), lab.submit(3), return_exceptions=True)
    assert isinstance(outcomes[1], Exception)
    assert not isinstance(outcomes[1], Unavailable), "trying again would not help"
    assert [made.count for made in outcomes if isinstance(made, Batch)] == [2, 3], outcomes
    await raised(lab.store.write(twice), Exception)
    assert before["counts"] != (await lab.seen())["counts"]
    assert len(await lab.page()) == 6


@promise
async def a_write_whose_asker_went_away_is_whole_or_absent(lab: Lab) -> None:
    """Those who asked with it are answered."""
    tasks = [asyncio.ensure_future(lab.submit(n + 1)) for n in range(6)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [made.count for made in outcomes if isinstance(made, Batch)] == [1, 3, 5, 6]
    found: dict[BatchId, int] = {}
    for job in await lab.page():
        row, _ = await lab.row(job)
        found[row.batch] = found.get(row.batch, 0) + 1
    for ident, count in found.items():
        assert (await lab.batch(ident)).count == count


# --- commits


@promise
async def concurrent_writes_share_commits(lab: Lab) -> None:
    """A hundred that are asked at once need a few commits, and come back each with its own answer."""
    before = lab.place.commits(lab.store)
    batches = await asyncio.gather(*(lab.submit(n % 3 + 1) for n in range(100)))
    commits = lab.place.commits(lab.store) - before
    assert [batch.count for batch in batches] == [n % 3 + 1 for n in range(100)]
    assert len({batch.id for batch in batches}) == 100
    assert 1 <= commits <= 10, f"{commits} commits"


@promise
async def a_lone_write_waits_for_no_timer_and_no_company(lab: Lab) -> None:
    """It comes back although the clock of its loop stands still, and is a commit of its own."""
    before = lab.place.commits(lab.store)
    loop = asyncio.get_running_loop()
    now = loop.time()
    setattr(loop, "time", lambda: now)  # noqa: B010  # a method is covered for a moment
    task = asyncio.ensure_future(lab.submit())
    timer = threading.Timer(_PATIENCE, loop.call_soon_threadsafe, (task.cancel,))
    timer.start()
    try:
        assert await task
    finally:
        timer.cancel()
        delattr(loop, "time")
    assert lab.place.commits(lab.store) == before + 1


@promise
async def writes_that_came_during_a_commit_share_the_next(lab: Lab) -> None:
    """Nobody is forgotten, however they come."""
    before = lab.place.commits(lab.store)
    wave = [asyncio.ensure_future(lab.submit()) for _ in range(20)]
    for _ in range(20):
        await asyncio.sleep(0)
        wave.append(asyncio.ensure_future(lab.submit()))
    await asyncio.gather(*wave)
    assert len(await lab.page()) == 40
    assert lab.place.commits(lab.store) - before < 40


# --- who is told


@promise
async def the_listener_hears_every_step_in_commit_order_before_the_writer_is_answered(lab: Lab) -> None:
    """And nothing of a write that was undone."""
    heard: list[Step] = []
    told: list[int] = []
    answered: list[int] = []
    jobs = members(await lab.submit(6))

    def listener(steps: list[Step], queued: int) -> None:
        heard.extend(steps)
        told.append(queued)

    lab.store.listen(listener)

    async def rank(place: int) -> None:
        def work(tx: Transaction) -> None:
            lab.told(tx, jobs[place], Rank(place + 1), Rank(place + 2))
            if place == 2:
                raise Conflict("undone")

        try:
            await lab.store.write(work)
        except Conflict:
            return
        answered.append(place)
        mine = [step for step in heard if step.job.id == jobs[place]]
        assert [step.job.priority for step in mine] == [place + 1, place + 2], "answered before it was heard"

    await asyncio.gather(*(rank(place) for place in range(6)))
    assert answered == [0, 1, 3, 4, 5]
    assert jobs[2] not in {step.job.id for step in heard}
    logged = await lab.store.read(lambda tx: tx.log.all(0, EVERY))
    of_steps = [(fact.job, fact.seq) for step in heard for fact in step.facts]
    assert of_steps == [(fact.job, fact.seq) for _, fact in logged if fact.seq > 1]
    await lab.submit(4)
    await lab.submit(2, held=True)
    assert sum(told) == 4


# --- refused


@promise
async def what_was_asked_before_the_close_is_done_and_what_comes_after_it_is_refused(lab: Lab) -> None:
    """A closed store answers Unavailable; closing twice is fine."""
    asked = [asyncio.ensure_future(lab.submit(n)) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    await lab.store.close()
    assert [(await task).count for task in asked] == [1, 2, 3]
    before = lab.place.commits(lab.store)
    await refused(lab.submit())
    outcomes = await asyncio.gather(lab.submit(), lab.submit(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 2
    await refused(lab.seen())
    await lab.store.close()
    assert lab.place.commits(lab.store) == before
    lab.store = await lab.place.open()
    assert len(await lab.page()) == 6


@promise
async def a_blocked_database_refuses_keeps_nothing_and_works_again_after(lab: Lab) -> None:
    """Where the suite knows how to block one."""
    if lab.place.blocked is None:
        return
    await lab.submit(2)
    before = await lab.seen()
    with lab.place.blocked():
        await refused(lab.submit(guard=GUARD))
        outcomes = await asyncio.gather(*(lab.submit(n + 1) for n in range(4)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 4
    await lab.unchanged(before)
    assert await lab.submit(3, guard=GUARD)
    assert await lab.live() == 5


@promise
async def a_full_database_refuses_whole_commits_and_goes_on_when_there_is_room(lab: Lab) -> None:
    """Where the suite knows how to fill one. What there is can still be read."""
    if lab.place.full is None:
        return
    kept = await lab.one()
    before = await lab.seen()
    with lab.place.full(lab.store):
        await refused(lab.submit(20_000, guard=GUARD), "storage-full")
        outcomes = await asyncio.gather(lab.submit(20_000), lab.submit(20_000), return_exceptions=True)
        assert [getattr(outcome, "code", outcome) for outcome in outcomes] == ["storage-full"] * 2
        await lab.unchanged(before)
    await lab.tell(kept, *life(lab))
    assert (await lab.submit(200, guard=GUARD)).count == 200
    assert await lab.live() == 200


# --- reads


def _beside(lab: Lab, body: Callable[[Store], Awaitable[T]]) -> T:
    """What comes of `body` over a second store on the same database, in a loop of its own, meanwhile."""
    outcome: list[T] = []

    async def run() -> None:
        store = await lab.place.open()
        try:
            outcome.append(await body(store))
        finally:
            await store.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    thread.join()
    assert outcome, "the second store failed"
    return outcome[0]


@promise
async def a_read_sees_one_consistent_view(lab: Lab) -> None:
    """What is committed while it looks is not for it."""
    jobs = members(await lab.submit(3))

    async def cancels(store: Store) -> None:
        await store.write(lambda tx: tx.jobs.advance([(job, Cancel()) for job in jobs], lab.tick()))

    def look(tx: Transaction) -> None:
        first = tx.jobs.owned(lab.owner)
        _beside(lab, cancels)
        assert tx.jobs.owned(lab.owner) == first == {JobState.QUEUED: 3}
        assert {row.state for row, _ in tx.jobs.get(jobs).values()} == {JobState.QUEUED}
        assert len(tx.log.all(0, EVERY)) == 3

    await lab.store.read(look)
    assert (await lab.seen())["counts"] == [{JobState.CANCELLED: 3}, {}]


@promise
async def what_a_read_raises_comes_out_and_a_read_changes_nothing(lab: Lab) -> None:
    """Also when it tries to."""
    batch = await lab.submit()
    (job,) = members(batch)
    before = await lab.seen()
    error = NotFound("nothing")

    def fails(tx: Transaction) -> None:
        tx.jobs.get([job])
        raise error

    assert await raised(lab.store.read(fails), NotFound) is error
    await raised(lab.store.read(lambda tx: tx.accounts.create("third", lab.now)), Exception)
    await raised(lab.store.read(lambda tx: (lab.told(tx, job, claim(lab)), tx.jobs.members(batch))), Exception)
    await lab.unchanged(before)
    await lab.tell(job, claim(lab))


SUITE: Final[tuple[Promise, ...]] = (
    a_submit_is_there_whole_also_after_a_reopen,
    a_submit_that_fails_at_any_step_leaves_nothing,
    what_a_work_raises_comes_out_to_its_asker_alone,
    a_row_that_cannot_be_is_the_fault_of_its_asker_alone,
    a_write_whose_asker_went_away_is_whole_or_absent,
    concurrent_writes_share_commits,
    a_lone_write_waits_for_no_timer_and_no_company,
    writes_that_came_during_a_commit_share_the_next,
    the_listener_hears_every_step_in_commit_order_before_the_writer_is_answered,
    what_was_asked_before_the_close_is_done_and_what_comes_after_it_is_refused,
    a_blocked_database_refuses_keeps_nothing_and_works_again_after,
    a_full_database_refuses_whole_commits_and_goes_on_when_there_is_room,
    a_read_sees_one_consistent_view,
    what_a_read_raises_comes_out_and_a_read_changes_nothing,
)
"""Every promise of this file."""
