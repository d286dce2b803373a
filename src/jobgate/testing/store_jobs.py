"""Promises of every store about jobs: their events, keys, claims, counts and the order of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from jobgate.model.advance import Step
from jobgate.model.attempt import Lease
from jobgate.model.errors import Conflict, Gone, IllegalMove, NotFound, Reused, Unavailable
from jobgate.model.events import Broke, Cancel, Claim, Collected, Event, GiveUp, Hold, Rank, Release, Started, Together
from jobgate.model.facts import Fact, rebuild
from jobgate.model.guard import Guard
from jobgate.model.ids import Digest, EnvironmentName, JobId, NodeName, batch_text
from jobgate.model.job import JobSpec, Place, Replication, Retry
from jobgate.model.resources import Resources
from jobgate.model.state import Failure, JobState, Limit
from jobgate.store.queue import Head
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import EVERY, HERE, PLAIN, Lab, Promise, claim, life, members, promise, raised

PERSISTENT: Final = replace(PLAIN, retry=Retry(tries=3, on=frozenset({Failure.PROGRAM}), backoff=10.0))
PAIRED: Final = replace(PLAIN, replication=Replication(replicas=2, quorum=2, errors=2, total=5))
KEY: Final = Guard(key="k", body=Digest("00" * 32), lives=100.0)

# --- events


async def _all_logs_are_whole(lab: Lab, jobs: Sequence[JobId]) -> list[tuple[int, Fact]]:
    """The whole log of the store, when each job's part of it has no gap and makes its row."""
    every = await lab.events()
    cursors = [cursor for cursor, _ in every]
    assert cursors == sorted(set(cursors)), "the cursor does not grow"
    for job in jobs:
        mine = [fact for _, fact in every if fact.job == job]
        assert [fact.seq for fact in mine] == list(range(1, len(mine) + 1)), f"a gap in the log of {job}"
        assert mine == await lab.log(job)
        assert rebuild(mine) == await lab.row(job)
    return every


@promise
async def events_are_gapless_for_each_job_and_in_commit_order_for_all_also_after_a_reopen(lab: Lab) -> None:
    """The global cursor grows with each commit, and a reader who stopped anywhere misses nothing."""
    jobs = members(await lab.submit(3)) + members(await lab.submit(2, spec=PAIRED, held=True))
    order: list[tuple[JobId, int]] = []

    async def rank(job: JobId, priority: int) -> None:
        (step,) = await lab.tell(job, Rank(priority))
        order.extend((fact.job, fact.seq) for fact in step.facts)

    await asyncio.gather(*(rank(job, n) for n in range(1, 4) for job in jobs))
    every = await _all_logs_are_whole(lab, jobs)
    assert [(fact.job, fact.seq) for _, fact in every][5:] == order
    await lab.reopen()
    await lab.tell(jobs[1], *life(lab))
    assert (await _all_logs_are_whole(lab, jobs))[: len(every)] == every
    cursor, read = 0, 0
    while piece := await lab.events(cursor, 3):
        assert len(piece) <= 3
        cursor, read = piece[-1][0], read + len(piece)
    assert read == len(await lab.events()) > len(every)


@promise
async def no_cursor_is_ever_given_twice(lab: Lab) -> None:
    """A reader who has read to the end sees what comes next, though the last events were deleted meanwhile."""
    for reopened in (False, True):
        job = await lab.one()
        await lab.tell(job, *life(lab))
        last = (await lab.events())[-1][0]
        await lab.forget([job])
        if reopened:
            await lab.reopen()
        following = await lab.one()
        news = await lab.events(last)
        assert [fact.job for _, fact in news] == [following], "a new event came under an old cursor"


@promise
async def what_cannot_happen_is_told_and_the_rest_of_the_events_happens(lab: Lab) -> None:
    """Each event has its own answer, in order."""
    job, gone = await lab.one(), JobId(64)
    wrong = await lab.advance([(job, Started(1, 1.0)), (gone, Cancel()), (job, Rank(3))])
    assert [type(answer) for answer in wrong] == [IllegalMove, NotFound, Step]
    row, _ = await lab.row(job)
    assert (row.priority, row.version) == (3, 2)
    assert await lab.store.read(lambda tx: tx.jobs.get([gone])) == {}


def the_log_alone_is_the_job(spec: JobSpec, told: Sequence[Event | Together], *, at_once: bool) -> Promise:
    """Whatever is told, one by one or in one transaction: the events of the log make the row, also after a reopen."""

    @promise
    async def held(lab: Lab) -> None:
        batch = await lab.submit(2, spec=spec)
        job, untouched = members(batch)
        pairs = [(job, event) for event in told]
        if at_once:
            await lab.advance(pairs)
        else:
            for pair in pairs:
                await lab.advance([pair])
        for _ in range(2):
            await _all_logs_are_whole(lab, [job, untouched])
            found = await lab.store.read(lambda tx: dict(tx.jobs.counts(batch)))
            row, _ = await lab.row(job)
            expected = {row.state: 1}
            expected[JobState.QUEUED] = expected.get(JobState.QUEUED, 0) + 1
            assert found == expected
            assert await lab.live() == 2 - row.state.over
            await lab.reopen()

    return held


# --- keys


@promise
async def a_key_makes_one_batch_and_belongs_to_its_account_scope_and_body(lab: Lab) -> None:
    """The same key with the same body is the first batch again, with another body a conflict."""
    first = await lab.submit(2, guard=KEY)
    assert await lab.submit(2, guard=KEY) == first
    await lab.reopen()
    assert await lab.submit(2, guard=KEY) == first
    error = await raised(lab.submit(guard=replace(KEY, body=Digest("11" * 32))), Reused)
    assert (error.code, error.made, error.job) == ("key-reused", batch_text(first.id), False)
    others = [
        await lab.submit(guard=KEY, owner=lab.other),
        await lab.submit(guard=replace(KEY, scope="elsewhere")),
        await lab.submit(guard=replace(KEY, key="another")),
    ]
    assert len({first.id, *(batch.id for batch in others)}) == 4
    assert len(await lab.page()) == 4


@promise
async def of_many_submits_with_one_key_at_once_one_makes_the_batch(lab: Lab) -> None:
    """The others get it."""
    made = await asyncio.gather(*(lab.submit(3, guard=KEY) for _ in range(8)))
    assert len({batch.id for batch in made}) == 1
    assert len(await lab.page()) == 3


@promise
async def a_key_lives_as_long_as_its_batch_and_its_time_and_no_longer(lab: Lab) -> None:
    """It is free again when both are over; until then it makes no second batch, though the first was deleted."""
    batch = await lab.submit(guard=KEY)
    lab.tick(2 * KEY.lives)
    assert await lab.submit(guard=KEY) == batch
    await lab.tell(JobId(batch.id), *life(lab))
    await lab.forget(members(batch))
    second = await lab.submit(guard=KEY)
    assert second.id != batch.id
    await lab.tell(JobId(second.id), *life(lab))
    await lab.forget(members(second))
    await raised(lab.submit(guard=replace(KEY, body=Digest("11" * 32))), Conflict)
    await raised(lab.submit(guard=KEY), Gone)
    lab.tick(2 * KEY.lives)
    assert (await lab.submit(guard=replace(KEY, body=Digest("11" * 32)))).id != second.id


# --- claims


@promise
async def a_save_of_a_stale_or_unknown_fence_is_refused_and_nothing_of_it_is_kept(lab: Lab) -> None:
    """The node's new process goes on where the old one was."""
    job = await lab.one()
    await lab.tell(job, claim(lab))
    old = lab.lease
    lab.lease = await lab.enter(old.node)
    assert lab.lease.fence > old.fence
    before = await lab.seen()
    strangers = (old, replace(old, fence=lab.lease.fence + 1), Lease(NodeName("stranger"), 1))
    for stale in strangers:

        def save(tx: Transaction, stale: Lease = stale) -> None:
            tx.jobs.advance([(job, Rank(7))], lab.now)
            tx.jobs.advance([(job, Started(1, lab.now))], lab.now, stale)

        error = await raised(lab.store.write(save), Conflict)
        assert error.code == "fenced"
        await lab.unchanged(before)
    await lab.enter("another")
    await lab.tell(job, Started(1, lab.now))
    assert (await lab.row(job))[0].state is JobState.RUNNING


@promise
async def no_two_claimers_ever_get_one_job(lab: Lab) -> None:
    """Neither in one process nor in two."""
    jobs = members(await lab.submit(40))
    beside = await lab.place.open()
    leases = [await lab.enter(f"n{n}") for n in range(4)]
    taken: list[tuple[JobId, Lease]] = []

    async def claimer(lease: Lease) -> None:
        store = lab.store if lease.node < "n2" else beside

        def work(tx: Transaction) -> list[JobId]:
            heads = tx.jobs.heads(lab.now, 3)
            claims = [(head.job, Claim(HERE, lease)) for head in heads]
            return [step.job.id for step in tx.jobs.advance(claims, lab.now, lease) if isinstance(step, Step)]

        got = [jobs[0]]
        while got:
            try:
                got = await store.write(work)
            except Unavailable:
                continue  # another store has the database now: nothing was changed, and it comes again
            taken.extend((job, lease) for job in got)

    try:
        await asyncio.gather(*(claimer(lease) for lease in leases for _ in range(2)))
        assert sorted(job for job, _ in taken) == jobs
        for job, lease in taken:
            _, attempts = await lab.row(job)
            assert [attempt.lease for attempt in attempts] == [lease]
        assert sorted([job.id for job, _ in await lab.store.read(lambda tx: tx.jobs.live())]) == jobs
    finally:
        await beside.close()


# --- counts


@promise
async def the_count_of_live_jobs_is_true_after_whatever_happens(lab: Lab) -> None:
    """After ends, cancels, deletions, retries, writes that were undone, and a reopen."""

    async def holds() -> None:
        for owner in (lab.owner, lab.other):
            assert await lab.live(owner) == sum(
                number for state, number in (await lab.owned(owner)).items() if not state.over
            )

    def undone(*works: Callable[[Transaction], object]) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            for one in works:
                one(tx)
            assert tx.jobs.live_of(lab.owner) >= 0
            raise Conflict("undone")

        return work

    def cancels(job: JobId) -> Callable[[Transaction], object]:
        return lambda tx: lab.told(tx, job, Cancel())

    for _ in range(2):
        first = members(await lab.submit(4, spec=PERSISTENT))
        await holds()
        await asyncio.gather(
            lab.submit(2),
            lab.tell(first[0], *life(lab)),
            lab.tell(first[1], *life(lab, code=1)),
            lab.submit(3, owner=lab.other, held=True),
            raised(lab.store.write(undone(lambda tx: lab.make(tx, 9))), Conflict),
            raised(lab.store.write(undone(cancels(first[2]))), Conflict),
        )
        await holds()
        assert (await lab.row(first[1]))[0].state is JobState.QUEUED
        await lab.tell(first[2], Cancel())
        await lab.forget(first[:2])
        await holds()

        def at_once(tx: Transaction) -> None:
            batch = lab.make(tx, 3)
            lab.told(tx, members(batch)[0], Cancel(), Cancel())
            assert tx.jobs.live_of(lab.owner) == sum(
                number for state, number in tx.jobs.owned(lab.owner).items() if not state.over
            )

        await lab.store.write(at_once)
        await holds()
        await lab.reopen()
        await holds()


@promise
async def the_counts_of_a_batch_and_of_an_account_are_those_of_its_jobs(lab: Lab) -> None:
    """In the transaction that changes them too."""
    batch, beside = await lab.submit(5), await lab.submit(2)
    jobs = members(batch)
    await lab.tell(jobs[0], *life(lab))
    await lab.tell(jobs[1], *life(lab, code=1))
    await lab.tell(jobs[2], Hold())

    def work(tx: Transaction) -> dict[JobState, int]:
        lab.told(tx, jobs[3], Cancel())
        return dict(tx.jobs.counts(batch))

    expected = dict.fromkeys((JobState.SUCCEEDED, JobState.FAILED, JobState.HELD, JobState.CANCELLED), 1)
    expected[JobState.QUEUED] = 1
    assert await lab.store.write(work) == expected
    assert await lab.store.read(lambda tx: tx.jobs.counts(batch)) == expected
    assert await lab.owned() == expected | {JobState.QUEUED: 3}
    assert await lab.owned(lab.other) == {}
    found = await lab.store.read(lambda tx: [job.id for job, _ in tx.jobs.members(beside)])
    assert found == members(beside)


# --- the queue


@promise
async def heads_are_each_accounts_first_by_priority_then_age(lab: Lab) -> None:
    """Those that are held, taken, over, or whose time has not come are none."""
    old, urgent, young = await lab.one(), await lab.one(priority=5), await lab.one()
    foreign = members(await lab.submit(3, owner=lab.other, priority=-3))
    await lab.one(held=True)
    taken, over, later = await lab.one(), await lab.one(), await lab.one(spec=PERSISTENT, priority=9)
    await lab.tell(taken, claim(lab))
    await lab.tell(over, *life(lab))
    await lab.tell(later, *life(lab, code=1))
    assert await lab.heads() == [urgent, old, young, *foreign]
    assert await lab.heads(2) == [urgent, old, *foreign[:2]]
    ready = (await lab.row(later))[0].ready
    assert await lab.store.read(lambda tx: tx.due.next_ready(lab.now)) == ready
    assert await lab.heads(now=ready) == [later, urgent, old, young, *foreign]
    assert await lab.store.read(lambda tx: tx.due.next_ready(ready)) is None
    await lab.tell(young, Rank(6))
    await lab.tell(old, Hold())
    await lab.reopen()
    assert await lab.heads() == [young, urgent, *foreign]
    await lab.tell(old, Release())
    (head, *_) = await lab.store.read(lambda tx: tx.jobs.heads(lab.now, 1))
    row, _ = await lab.row(young)
    assert (head.owner, head.priority, head.created, head.spec) == (lab.owner, 6, row.created, row.spec)


@promise
async def a_job_is_overdue_when_it_has_waited_for_as_long_as_it_may(lab: Lab) -> None:
    """One that is taken or over is not."""
    soon, held, taken = await lab.one(wait=10.0), await lab.one(wait=20.0, held=True), await lab.one(wait=5.0)
    await lab.one()
    await lab.tell(taken, claim(lab))
    created = (await lab.row(soon))[0].created
    assert await lab.store.read(lambda tx: tx.due.next_overdue()) == created + 10.0
    assert await lab.store.read(lambda tx: tx.due.overdue(created + 9.0, EVERY)) == []
    assert await lab.store.read(lambda tx: tx.due.overdue(created + 10.0, EVERY)) == [soon]
    await lab.reopen()
    assert sorted(await lab.store.read(lambda tx: tx.due.overdue(lab.now + 99.0, EVERY))) == [soon, held]
    assert len(await lab.store.read(lambda tx: tx.due.overdue(lab.now + 99.0, 1))) == 1
    await lab.tell(soon, GiveUp(Failure.LIMIT, "too long", Limit.WAIT))
    await lab.tell(held, Cancel())
    assert await lab.store.read(lambda tx: tx.due.next_overdue()) is None


@promise
async def a_queue_of_one_place_hides_nobody_from_another(lab: Lab) -> None:
    """Jobs bound to a place are that place's only; of the others those are seen that fit, however many do not."""
    there = EnvironmentName("there")
    bound = members(await lab.submit(5, spec=replace(PLAIN, place=Place(environment=there)), priority=9))
    large = members(await lab.submit(5, spec=replace(PLAIN, resources=Resources(cores=99)), priority=8))
    small, other = await lab.one(), await lab.one(owner=lab.other)

    def first(tx: Transaction, **more: Any) -> list[JobId]:
        return [head.job for head in tx.jobs.heads(lab.now, 2, **more)]

    def fits(head: Head) -> bool:
        return head.job not in large

    assert await lab.store.read(lambda tx: first(tx, place=HERE)) == [*large[:2], other]
    assert await lab.store.read(lambda tx: first(tx, place=HERE, fits=fits)) == [small, other]
    assert sorted(await lab.store.read(lambda tx: first(tx, place=there, fits=fits))) == sorted(
        [*bound[:2], small, other]
    )


@promise
async def the_time_of_a_try_and_the_pause_after_it_are_no_waiting_for_room(lab: Lab) -> None:
    """So a job that is tried again has as long as it had."""
    job = await lab.one(spec=PERSISTENT, wait=50.0)
    created = (await lab.row(job))[0].created
    await lab.tell(job, *life(lab, code=1))
    row, (attempt,) = await lab.row(job)
    away = row.ready - attempt.created
    assert away > 10.0, "the pause alone is as long"
    due = await lab.store.read(lambda tx: tx.due.next_overdue())
    assert due is not None
    assert abs(due - (created + 50.0 + away)) < 1e-3


@promise
async def what_may_have_a_live_attempt_is_found_after_a_reopen(lab: Lab) -> None:
    """In each state from the claim to the end, and while it is being cancelled."""
    jobs = members(await lab.submit(6))
    await lab.tell(jobs[0], claim(lab))
    await lab.tell(jobs[1], claim(lab), Started(1, lab.now))
    await lab.tell(jobs[2], *life(lab)[:3])
    await lab.tell(jobs[3], claim(lab), Cancel())
    await lab.tell(jobs[4], *life(lab))
    rows = [await lab.row(job) for job in jobs[:4]]
    await lab.reopen()
    found = await lab.store.read(lambda tx: tx.jobs.live())
    assert sorted(found, key=lambda pair: pair[0].id) == rows
    await lab.tell(jobs[3], Broke(1, Failure.ENGINE))
    await lab.tell(jobs[2], Collected(1))
    assert len(await lab.store.read(lambda tx: tx.jobs.live())) == 2


SUITE: Final[tuple[Promise, ...]] = (
    events_are_gapless_for_each_job_and_in_commit_order_for_all_also_after_a_reopen,
    no_cursor_is_ever_given_twice,
    what_cannot_happen_is_told_and_the_rest_of_the_events_happens,
    a_key_makes_one_batch_and_belongs_to_its_account_scope_and_body,
    of_many_submits_with_one_key_at_once_one_makes_the_batch,
    a_key_lives_as_long_as_its_batch_and_its_time_and_no_longer,
    a_save_of_a_stale_or_unknown_fence_is_refused_and_nothing_of_it_is_kept,
    no_two_claimers_ever_get_one_job,
    the_count_of_live_jobs_is_true_after_whatever_happens,
    the_counts_of_a_batch_and_of_an_account_are_those_of_its_jobs,
    heads_are_each_accounts_first_by_priority_then_age,
    a_job_is_overdue_when_it_has_waited_for_as_long_as_it_may,
    a_queue_of_one_place_hides_nobody_from_another,
    the_time_of_a_try_and_the_pause_after_it_are_no_waiting_for_room,
    what_may_have_a_live_attempt_is_found_after_a_reopen,
)
"""Every promise of this file."""
