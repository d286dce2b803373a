"""Promises of every store about batches themselves: numbers, names, being filled, leases, retirement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from jobgate.model.errors import Conflict, NotFound
from jobgate.model.events import Cancel
from jobgate.model.ids import STRIDE, BatchId, JobId, JobName
from jobgate.model.job import Batch
from jobgate.model.numbers import WIDTH, of_attempt, of_job, width
from jobgate.model.state import JobState
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import Lab, Promise, life, members, promise, raised


async def _empty(lab: Lab, room: int = 100, **more: Any) -> Batch:
    return await lab.submit(0, room=room, **more)


async def _filled(lab: Lab, batch: Batch, count: int, names: tuple[str, ...] = ()) -> Batch:
    return await lab.store.write(lambda tx: lab.fill(tx, batch, count, names))


async def _job(lab: Lab, number: int) -> tuple[JobName, int] | None:
    return await lab.store.read(lambda tx: tx.numbers.job(number))


async def _numbered(lab: Lab, number: int) -> Batch | None:
    return await lab.store.read(lambda tx: tx.numbers.batch(number))


# --- numbers


@promise
async def every_batch_job_and_attempt_has_a_number_of_its_own(lab: Lab) -> None:
    """Also one that was made empty, and its jobs once it is filled; and after a reopen."""
    made = [await lab.submit(count) for count in (1, 3, 200, 1)]
    empty = await _empty(lab)
    made.append(await lab.submit(2))
    made.append(await _filled(lab, empty, 4))
    for _ in range(2):
        known: set[int] = set()
        for batch in made:
            assert await _numbered(lab, batch.number) == batch
            assert await _numbered(lab, batch.number + 1) is None
            for place in range(batch.count):
                job = JobName(batch.id, JobId(batch.id + place * STRIDE))
                number = of_job(batch.first, place)
                assert await _job(lab, number) == (job, 0)
                assert await _job(lab, of_attempt(number, 2)) == (job, 2)
                assert number not in known
                known.add(number)
        assert (made[-1].number in known) is False
        await lab.reopen()
    later = await lab.submit()
    assert later.number >= max(of_job(batch.first, batch.count) for batch in made)


@promise
async def a_number_that_nothing_has_finds_nothing(lab: Lab) -> None:
    """Nor does that of an empty batch find a job."""
    empty = await _empty(lab)
    batch = await lab.submit(2)
    for number in (-1, 0, empty.number, empty.number + 3, batch.first + width(2), 1 << 31, 1 << 40):
        assert await _job(lab, number) is None
    assert await _numbered(lab, empty.number) == empty
    await lab.tell(members(batch)[0], *life(lab))
    await lab.store.write(lambda tx: tx.jobs.advance([(members(batch)[1], Cancel())], lab.now))
    await lab.forget(members(batch))
    assert await _job(lab, batch.first) is None
    assert await _numbered(lab, batch.number) is None


@promise
async def a_write_that_fails_gives_no_number_twice(lab: Lab) -> None:
    """What it had drawn may be lost."""
    first = await lab.submit(3)

    def work(tx: Transaction) -> None:
        lab.make(tx, 5)
        raise NotFound

    await raised(lab.store.write(work), NotFound)
    second = await lab.submit(3)
    assert second.number >= first.number + 3 * WIDTH
    await lab.reopen()
    assert (await lab.submit()).number >= second.number + 3 * WIDTH


# --- names


@promise
async def a_name_is_one_jobs_until_that_job_is_deleted(lab: Lab) -> None:
    """All names of a batch are taken, or none; another account's do not count."""
    batch = await lab.submit(3, names=("a", "", "c"))
    jobs = members(batch)
    assert await lab.store.read(lambda tx: tx.names.of(jobs)) == {jobs[0]: "a", jobs[2]: "c"}
    assert await lab.store.read(lambda tx: tx.names.find(lab.owner, "c")) == JobName(batch.id, jobs[2])
    assert await lab.store.read(lambda tx: tx.names.find(lab.other, "c")) is None
    before = await lab.seen()
    error = await raised(lab.submit(2, names=("new", "c")), Conflict)
    assert error.code == "name-taken"
    await raised(lab.submit(2, names=("new", "new")), Conflict)
    await lab.unchanged(before)
    await lab.submit(2, names=("c", "new"), owner=lab.other)
    await lab.tell(jobs[2], *life(lab))
    await lab.forget([jobs[2]])
    assert await lab.store.read(lambda tx: tx.names.of(jobs)) == {jobs[0]: "a"}
    again = await lab.submit(1, names=("c",))
    assert await lab.store.read(lambda tx: tx.names.find(lab.owner, "c")) == JobName(again.id, JobId(again.id))


@promise
async def ten_thousand_names_are_taken_at_once(lab: Lab) -> None:
    """And the first that is taken is told among them."""
    names = tuple(f"job {n}" for n in range(10_000))
    batch = await lab.submit(len(names), names=names)
    found = await lab.store.read(lambda tx: tx.names.of(members(batch)))
    assert tuple(found[job] for job in members(batch)) == names
    others = tuple(f"other {n}" for n in range(5000))
    error = await raised(lab.submit(7000, names=(*others, *names[-2000:])), Conflict)
    assert names[-2000] in error.message


@promise
async def names_of_an_account_that_is_merged_stay_and_equal_ones_are_told_apart(lab: Lab) -> None:
    """The one that comes in is changed, as often as it takes."""
    mine = await lab.submit(3, names=("a", "a~other", "b"))
    moved = await lab.submit(2, names=("a", "z"), owner=lab.other)
    empty = await _empty(lab, owner=lab.other)

    def merge(tx: Transaction) -> Mapping[str, int]:
        gone, heir = (tx.accounts.get(ident) for ident in (lab.other, lab.owner))
        return tx.accounts.merge(gone, heir, lab.now)

    told = await lab.store.write(merge)
    assert told["names_changed"] == 1
    found = await lab.store.read(lambda tx: tx.names.of([*members(mine), *members(moved)]))
    assert [found[job] for job in members(mine)] == ["a", "a~other", "b"]
    assert [found[job] for job in members(moved)] == ["a~other~2", "z"]
    assert await lab.store.read(lambda tx: tx.names.find(lab.owner, "z")) == JobName(moved.id, members(moved)[1])
    assert (await lab.batch(empty.id)).owner == lab.owner


# --- batches that are filled later


@promise
async def an_empty_batch_is_one_and_has_no_jobs(lab: Lab) -> None:
    """It is counted, listed, cancelled and deleted as one."""
    batch = await _empty(lab, name="later", labels={"a": "b"})
    tally = await lab.store.read(lambda tx: tx.jobs.tally(batch))
    assert (tally.state, tally.live, tally.counts) == (JobState.HELD, 0, {})
    assert await lab.batches() == [batch]
    assert await lab.batches(labels=(("a", "b"),), name="later") == [batch]
    assert await lab.page() == await lab.page(batch=batch.id) == await lab.page(name="later") == []
    cancelled = await lab.store.write(lambda tx: tx.batches.cancel(batch, lab.tick()))
    assert await lab.batch(batch.id) == cancelled
    tally = await lab.store.read(lambda tx: tx.jobs.tally(cancelled))
    assert (tally.state, tally.ended) == (JobState.CANCELLED, lab.now)
    again = await lab.store.write(lambda tx: tx.batches.cancel(cancelled, lab.tick()))
    assert again == cancelled
    await lab.store.write(lambda tx: tx.jobs.forget(cancelled, lab.now))
    await raised(lab.batch(batch.id), NotFound)
    assert await lab.batches(labels=(("a", "b"),)) == []


@promise
async def a_batch_that_is_filled_is_as_one_that_was_made_with_its_jobs(lab: Lab) -> None:
    """Of one job and of many: its jobs are there, counted, queued, listed by the time they were made, and end."""
    for count in (1, 3, 700):
        await _lives(lab, count)


async def _lives(lab: Lab, count: int) -> None:
    batch = await _empty(lab, 1000, name=f"of {count}")
    other = await lab.submit()
    between = lab.tick(100.0)
    filled = await _filled(lab, batch, count)
    jobs = members(filled)
    assert jobs[0] == JobId(batch.id)
    assert jobs[-1] < other.id
    assert await lab.batch(batch.id) == filled
    assert await lab.store.read(lambda tx: tx.jobs.counts(filled)) == {JobState.QUEUED: count}
    assert await lab.page(batch=filled.id, ascending=True) == jobs
    assert await lab.page(since=between) == await lab.page(since=between, name=f"of {count}") == jobs[::-1]
    row, _ = await lab.row(jobs[-1])
    assert row.created == filled.filled
    await lab.tell(jobs[0], *life(lab))
    counts = {JobState.SUCCEEDED: 1} | ({JobState.QUEUED: count - 1} if count > 1 else {})
    assert await lab.store.read(lambda tx: tx.jobs.counts(filled)) == counts
    await lab.store.write(lambda tx: tx.jobs.advance([(job, Cancel()) for job in jobs[1:]], lab.now))
    tally = await lab.store.read(lambda tx: tx.jobs.tally(filled))
    assert (tally.live, sum(tally.counts.values())) == (0, count)
    await lab.forget(jobs)
    await raised(lab.batch(batch.id), NotFound)
    await lab.tell(JobId(other.id), Cancel())


# --- leases and retirement


@promise
async def a_batch_is_due_when_its_lease_ends_and_until_it_is_settled(lab: Lab) -> None:
    """Neither early, nor once more; and what lingers is not due until it is stirred."""
    batch = await lab.submit(expires=lab.now + 100.0)
    later = await lab.submit(expires=lab.now + 300.0)
    await lab.submit()

    async def due(at: float) -> list[BatchId]:
        return await lab.store.read(lambda tx: tx.batches.due(at, 10))

    assert batch.expires is not None
    assert later.expires is not None
    assert await due(batch.expires - 0.001) == []
    assert await due(batch.expires) == [batch.id]
    assert await lab.store.read(lambda tx: tx.batches.next_due(lab.now)) == batch.expires
    assert await lab.store.read(lambda tx: tx.batches.next_due(batch.expires or 0.0)) == later.expires
    renewed = await lab.store.write(lambda tx: tx.batches.renew(batch, None))
    assert await due(batch.expires) == []
    retired = await lab.store.write(lambda tx: tx.batches.retire(renewed, lab.now))
    assert (retired.retired, await due(lab.now)) == (lab.now, [batch.id])
    assert await lab.store.write(lambda tx: tx.batches.retire(retired, lab.now + 5)) == retired
    await lab.store.write(lambda tx: tx.batches.linger(batch.id))
    await lab.reopen()
    assert await due(later.expires) == [later.id]
    await lab.store.write(lambda tx: tx.batches.stir())
    assert await due(lab.now) == [batch.id]
    await lab.store.write(lambda tx: tx.batches.settle(batch.id))
    await lab.store.write(lambda tx: tx.batches.stir())
    assert await due(lab.now) == []


@promise
async def a_retired_batch_leaves_the_lists_and_is_found_by_its_id(lab: Lab) -> None:
    """Its jobs too, whichever index leads to them."""
    batch = await lab.submit(2, name="n", app="a", labels={"k": "v"})
    kept = await lab.submit(1, name="n", app="a", labels={"k": "v"})
    failed = JobId(batch.id)
    await lab.tell(failed, Cancel())
    retired = await lab.store.write(lambda tx: tx.batches.retire(batch, lab.now))
    conditions: list[dict[str, Any]] = [{}, {"name": "n"}, {"app": "a"}, {"labels": (("k", "v"),)}, {"looks": 1000}]
    conditions += [{"since": 0.0}, {"states": frozenset({JobState.CANCELLED, JobState.QUEUED})}]
    for asked in conditions:
        assert await lab.page(**asked) == members(kept), asked
    assert await lab.page(states=frozenset({JobState.CANCELLED})) == []
    assert await lab.page(batch=batch.id, ascending=True) == members(batch)
    assert await lab.batches() == [kept, retired], "whoever lists them looks which are retired"
    assert await lab.store.read(lambda tx: tx.batches.called(lab.owner, "n")) == kept
    gone = await lab.store.write(lambda tx: tx.batches.retire(kept, lab.now))
    assert await lab.store.read(lambda tx: tx.batches.called(lab.owner, "n")) == gone


@promise
async def changes_of_batches_are_heard_after_their_commit(lab: Lab) -> None:
    """Filled, cancelled, given another lease, retired, made with a lease; not what concerns jobs alone."""
    heard: list[set[BatchId]] = []
    lab.store.listen_batches(heard.append)
    await lab.submit(2)
    assert heard == []
    leased = await lab.submit(expires=lab.now + 10)
    batch = await _empty(lab)
    filled = await _filled(lab, batch, 1)
    other = await _empty(lab)
    await lab.store.write(lambda tx: tx.batches.cancel(other, lab.now))
    renewed = await lab.store.write(lambda tx: tx.batches.renew(filled, 5.0))
    await lab.store.write(lambda tx: tx.batches.renew(renewed, 5.0))
    await lab.store.write(lambda tx: tx.batches.retire(replace(renewed), lab.now))
    assert heard == [{leased.id}, {batch.id}, {other.id}, {batch.id}, {batch.id}]


SUITE: Final[tuple[Promise, ...]] = (
    every_batch_job_and_attempt_has_a_number_of_its_own,
    a_number_that_nothing_has_finds_nothing,
    a_write_that_fails_gives_no_number_twice,
    a_name_is_one_jobs_until_that_job_is_deleted,
    ten_thousand_names_are_taken_at_once,
    names_of_an_account_that_is_merged_stay_and_equal_ones_are_told_apart,
    an_empty_batch_is_one_and_has_no_jobs,
    a_batch_that_is_filled_is_as_one_that_was_made_with_its_jobs,
    a_batch_is_due_when_its_lease_ends_and_until_it_is_settled,
    a_retired_batch_leaves_the_lists_and_is_found_by_its_id,
    changes_of_batches_are_heard_after_their_commit,
)
"""Every promise, as a function of a fresh place."""
