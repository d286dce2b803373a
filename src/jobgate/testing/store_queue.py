"""Promises of every store about looking at the queue while very many jobs wait, and about past runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from jobgate.model.account import Action, Deed, Quota
from jobgate.model.allowance import Allowance, InUse
from jobgate.model.errors import NotFound
from jobgate.model.events import Broke, Cancel, GiveBack, Rank, Started
from jobgate.model.history import Kind, Past
from jobgate.model.ids import AccountId, EnvironmentName, JobId
from jobgate.model.job import Place, Replication, Retry
from jobgate.model.limits import Limits
from jobgate.model.state import AttemptState, Failure, JobState
from jobgate.store.queue import Length
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import HERE, PLAIN, Lab, Promise, claim, members, promise, raised

THERE: Final = EnvironmentName("there")
PAIRED: Final = replace(PLAIN, replication=Replication(replicas=2, quorum=2), retry=Retry(backoff=10.0))
NO_LIMITS: Final = Limits()
ONLY_HERE: Final = replace(PLAIN, place=Place(environment=HERE))
ONLY_THERE: Final = replace(PLAIN, place=Place(environment=THERE))


async def _length(
    lab: Lab, before: tuple[int, JobId] | None = None, exact: int = 1000, place: EnvironmentName = HERE
) -> Length:
    return await lab.store.read(lambda tx: tx.queue.length(place, lab.owner, before, exact))


@promise
async def a_line_has_the_jobs_that_may_run_in_its_place_and_those_before_one_come_by_priority_then_age(
    lab: Lab,
) -> None:
    """Counted one by one, and batch by batch where the line is longer than is counted so."""
    first = members(await lab.submit(4))
    bound = members(await lab.submit(3, spec=ONLY_HERE))
    await lab.submit(5, spec=ONLY_THERE)
    await lab.submit(6, owner=lab.other)
    await lab.submit(2, held=True)
    urgent = members(await lab.submit(2, priority=5))
    for exact in (1000, 1, 0):
        assert await _length(lab, exact=exact) == Length(9)
        assert await _length(lab, exact=exact, place=THERE) == Length(11)
        assert await _length(lab, (5, urgent[0]), exact) == Length(0)
        assert await _length(lab, (5, urgent[1]), exact) == Length(1)
        assert await _length(lab, (0, first[0]), exact) == Length(2)
        assert await _length(lab, (0, first[3]), exact) == Length(5)
        assert await _length(lab, (0, bound[2]), exact) == Length(8)
        assert await _length(lab, (-3, first[0]), exact) == Length(9)
    for job in first[:3]:
        await lab.tell(job, claim(lab))
    for exact in (1000, 1, 0):
        assert await _length(lab, (0, bound[2]), exact) == Length(5), "those that were claimed are in no line"


@promise
async def a_line_of_more_batches_than_are_leaped_over_is_said_to_be_longer_than_was_counted(lab: Lab) -> None:
    """Nobody waits for a count of a million batches."""
    await lab.store.write(lambda tx: len([lab.make(tx) for _ in range(600)]))
    assert await _length(lab) == Length(600)
    found = await _length(lab, exact=10)
    assert found.more
    assert 10 < found.jobs <= 600


@promise
async def the_accounts_of_a_line_are_those_that_have_jobs_in_it(lab: Lab) -> None:
    """Bound to the place, or to none."""

    async def owners(place: EnvironmentName) -> set[AccountId]:
        return set(await lab.store.read(lambda tx: tx.queue.owners(place)))

    assert await owners(HERE) == set()
    await lab.submit(2, spec=ONLY_THERE)
    mine = members(await lab.submit(2, owner=lab.other))
    assert await owners(HERE) == {lab.other}
    assert await owners(THERE) == {lab.owner, lab.other}
    for job in mine:
        await lab.tell(job, Cancel("not wanted"))
    assert await owners(HERE) == set()


@promise
async def an_accounts_first_jobs_in_a_place_come_from_both_its_lines_by_priority_then_age(lab: Lab) -> None:
    """Only those whose time has come, and which the caller takes."""
    free = members(await lab.submit(3))
    bound = members(await lab.submit(2, spec=ONLY_HERE, priority=1))
    late = members(await lab.submit(2))

    async def heads(limit: int, *refused: JobId) -> list[JobId]:
        found = await lab.store.read(
            lambda tx: tx.queue.heads(HERE, lab.owner, lab.now, limit, lambda head: head.job not in refused)
        )
        return [head.job for head in found]

    assert await heads(100) == [*bound, *free, *late]
    assert await heads(3) == [*bound, free[0]]
    assert await heads(3, bound[1], free[0]) == [bound[0], *free[1:]]
    await lab.tell(late[1], Rank(9))
    assert await heads(1) == [late[1]]


@promise
async def the_first_of_a_batch_is_its_job_whose_turn_is_next(lab: Lab) -> None:
    """Wherever its jobs are bound to, and whatever their priority is by now."""
    await lab.submit(3, priority=7)
    batch = await lab.submit(4)
    await lab.submit(3)
    jobs = members(batch)

    async def first() -> JobId | None:
        return await lab.store.read(lambda tx: tx.queue.first((HERE, THERE), batch))

    assert await first() == jobs[0]
    await lab.tell(jobs[0], claim(lab))
    assert await first() == jobs[1]
    await lab.tell(jobs[3], Rank(2))
    assert await first() == jobs[3]
    for job in jobs[1:]:
        await lab.tell(job, Cancel("not wanted"))
    assert await first() is None
    bound = await lab.submit(2, spec=ONLY_THERE)
    found = await lab.store.read(lambda tx: tx.queue.first((HERE, THERE), bound))
    assert found == members(bound)[0]


@promise
async def a_job_is_in_the_queue_while_it_wants_more_replicas_though_others_of_it_are_live(lab: Lab) -> None:
    """At its own place in the line, once, and no longer; also after a reopen."""
    (before,) = members(await lab.submit(1))
    (paired,) = members(await lab.submit(1, spec=PAIRED))
    (after,) = members(await lab.submit(1))

    async def heads() -> list[JobId]:
        found = await lab.store.read(lambda tx: tx.jobs.heads(lab.now + 1e6, 10))
        seen = await lab.store.read(lambda tx: tx.queue.heads(HERE, lab.owner, lab.now + 1e6, 10, lambda _: True))
        assert [head.job for head in found] == [head.job for head in seen]
        assert await _length(lab) == Length(len(found))
        return [head.job for head in found]

    assert await heads() == [before, paired, after]
    await lab.tell(paired, claim(lab), Started(1, lab.now))
    assert (await lab.row(paired))[0].state is JobState.RUNNING
    assert await heads() == [before, paired, after]
    await lab.reopen()
    assert await heads() == [before, paired, after]
    await lab.tell(paired, claim(lab))
    assert await heads() == [before, after]
    await lab.tell(paired, Broke(2, Failure.ENGINE))
    assert await heads() == [before, paired, after], "the one that failed is replaced"
    assert (await lab.row(paired))[0].ready > 0
    assert await lab.store.read(lambda tx: tx.due.next_ready(0.0)) == (await lab.row(paired))[0].ready
    await lab.tell(paired, Cancel("not wanted"))
    assert await heads() == [before, after]


@promise
async def what_is_given_back_is_in_its_line_where_it_was(lab: Lab) -> None:
    """Its time with a node was waiting too; also after a reopen."""
    first, second = members(await lab.submit(2))
    waiting = await lab.one(wait=50.0)
    due = await lab.store.read(lambda tx: tx.due.next_overdue())
    for number in (1, 2):
        for job in (first, waiting):
            await lab.tell(job, claim(lab), GiveBack(number))
    await lab.reopen()
    assert await lab.heads() == [first, second, waiting]
    assert await lab.store.read(lambda tx: tx.due.next_overdue()) == due
    row, attempts = await lab.row(first)
    assert (row.state, [one.state for one in attempts]) == (JobState.QUEUED, [AttemptState.RETURNED] * 2)


@promise
async def a_spec_goes_with_the_last_job_that_has_it(lab: Lab) -> None:
    """In whatever order they go; so no deletion is larger than the jobs it names."""
    jobs = members(await lab.submit(3))
    lone = await lab.one()
    spec = (await lab.row(jobs[0]))[0].spec
    other = (await lab.row(lone))[0].spec
    await lab.reopen()
    for job in (jobs[1], jobs[0], jobs[2]):
        assert await lab.store.read(lambda tx: tx.jobs.spec(spec)) == PLAIN
        await lab.reopen()  # nothing is remembered
        await lab.tell(job, Cancel())
        await lab.forget([job])
    await lab.reopen()
    await raised(lab.store.read(lambda tx: tx.jobs.spec(spec)), NotFound)
    assert await lab.store.read(lambda tx: tx.jobs.spec(other)) == PLAIN


@promise
async def past_runs_are_kept_by_kind_and_the_last_word_counts(lab: Lab) -> None:
    """Also after a reopen; what is forgotten is gone."""
    ours, every = Kind(HERE, lab.owner, "sleep"), Kind(HERE)
    await lab.store.write(lambda tx: tx.pasts.put([(ours, Past((1.0,), (0.1,))), (every, Past((2.0,)))], lab.tick()))
    await lab.store.write(lambda tx: tx.pasts.put([(ours, Past((1.0, 3.0)))], lab.tick()))
    await lab.reopen()
    assert await lab.store.read(lambda tx: tx.pasts.all()) == [(every, Past((2.0,))), (ours, Past((1.0, 3.0)))]
    await lab.store.write(lambda tx: tx.pasts.forget([ours, Kind(THERE)]))
    assert await lab.store.read(lambda tx: tx.pasts.all()) == [(every, Past((2.0,)))]


@promise
async def a_quota_on_what_runs_is_known_with_the_next_transaction_whoever_set_it(lab: Lab) -> None:
    """Of an account's own, or of the limits; what merged accounts still have is their heir's."""
    in_use = {lab.owner: InUse(2, 2.5), lab.other: InUse(1, 1.0)}

    async def allowances(limits: Limits = NO_LIMITS) -> Mapping[AccountId, Allowance]:
        asked = (lab.owner, lab.other)
        return await lab.store.write(lambda tx: tx.accounts.allowances(asked, limits, in_use.__getitem__))

    def limited(tx: Transaction) -> None:
        tx.accounts.put(replace(tx.accounts.get(lab.owner), quota=Quota(running=3), weight=2.0))
        tx.accounts.record(Deed(at=lab.tick(), actor="op", action=Action.LIMITED, account=lab.owner))

    def merged(tx: Transaction) -> None:
        tx.accounts.merge(tx.accounts.get(lab.other), tx.accounts.get(lab.owner), lab.tick())
        tx.accounts.record(Deed(at=lab.tick(), actor="op", action=Action.MERGED, account=lab.other, other=lab.owner))

    assert await allowances() == {}
    assert set(await allowances(replace(NO_LIMITS, cores=4.0))) == {lab.owner, lab.other}
    beside = await lab.place.open()
    try:
        await beside.write(limited)
        assert await allowances() == {lab.owner: Allowance(3, 0.0, InUse(2, 2.5))}
        both = {lab.owner: Allowance(3, 4.0, InUse(2, 2.5)), lab.other: Allowance(9, 4.0, InUse(1, 1.0))}
        assert await allowances(Limits(running=9, cores=4.0)) == both
        apart = await lab.store.read(lambda tx: tx.accounts.apart())
        assert {owner: account.weight for owner, account in apart.items()} == {lab.owner: 2.0}
        assert await lab.store.read(lambda tx: tx.accounts.apart()) is apart, "read once, until one changes"
        await beside.write(merged)
        assert (await allowances())[lab.owner] == Allowance(3, 0.0, InUse(3, 3.5))
    finally:
        await beside.close()
    await lab.reopen()
    assert (await allowances())[lab.owner].held == InUse(3, 3.5)


SUITE: Final[tuple[Promise, ...]] = (
    a_line_has_the_jobs_that_may_run_in_its_place_and_those_before_one_come_by_priority_then_age,
    a_line_of_more_batches_than_are_leaped_over_is_said_to_be_longer_than_was_counted,
    the_accounts_of_a_line_are_those_that_have_jobs_in_it,
    an_accounts_first_jobs_in_a_place_come_from_both_its_lines_by_priority_then_age,
    the_first_of_a_batch_is_its_job_whose_turn_is_next,
    a_job_is_in_the_queue_while_it_wants_more_replicas_though_others_of_it_are_live,
    what_is_given_back_is_in_its_line_where_it_was,
    a_spec_goes_with_the_last_job_that_has_it,
    past_runs_are_kept_by_kind_and_the_last_word_counts,
    a_quota_on_what_runs_is_known_with_the_next_transaction_whoever_set_it,
)
"""Every promise of this file."""
