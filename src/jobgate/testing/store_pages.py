"""Promises of every store about finding and forgetting: pages, filters, deletion, blobs, folders, accounts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from jobgate.model.account import Kind
from jobgate.model.attempt import LOG, Exit
from jobgate.model.errors import Conflict, Invalid, NotFound
from jobgate.model.events import Cancel, Collected, Exited, Started
from jobgate.model.files import Artifact
from jobgate.model.folder import Entry
from jobgate.model.ids import STRIDE, AccountId, BatchId, Digest, JobId
from jobgate.model.job import Batch, Job
from jobgate.model.queue import HALF_LIFE, Standing
from jobgate.model.selectors import Where
from jobgate.model.state import Failure, JobState, Limit
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import EVERY, PLAIN, START, Lab, Promise, claim, life, members, promise, raised

A, B, C = (Digest(letter * 64) for letter in "abc")
LATER: Final = 1e9

# --- pages


@promise
async def pages_neither_miss_nor_repeat_while_jobs_come_and_go(lab: Lab) -> None:
    """What was there when the first page was asked for, and still is, comes once, newest first."""
    there = [job for n in (3, 1, 4, 1, 5) for job in members(await lab.submit(n))]
    gone = members(await lab.submit(2))
    for job in gone:
        await lab.tell(job, Cancel())
    for limit in (1, 3, 7, 100):
        seen: list[JobId] = []
        after: JobId | None = None
        while True:
            page = await lab.page(limit=limit, after=after)
            assert len(page) <= limit + 1
            seen += page[:limit]
            fresh = await lab.submit(2)
            await lab.forget(gone[-1:])
            if len(page) <= limit:
                break
            after = page[limit - 1]
            await lab.tell(JobId(fresh.id), Cancel())
            await lab.forget([JobId(fresh.id)])
        assert [job for job in seen if job in there] == there[::-1]
        assert seen == sorted(set(seen), reverse=True)


@promise
async def one_more_than_the_limit_says_that_there_is_more(lab: Lab) -> None:
    """And exactly the limit says that there is not."""
    jobs = members(await lab.submit(4))[::-1]
    assert await lab.page(limit=3) == jobs
    assert await lab.page(limit=4) == jobs
    assert await lab.page(limit=2) == jobs[:3]
    assert await lab.page(limit=2, after=jobs[1]) == jobs[2:]
    assert await lab.page(limit=2, after=jobs[3]) == []


class _Kept(msgspec.Struct, frozen=True):
    job: Job
    batch: Batch


Check = Callable[[_Kept], bool]
_CONDITIONS: Final[tuple[tuple[dict[str, Any], Check], ...]] = (
    ({}, lambda kept: kept.job.id > 0),
    ({"states": frozenset({JobState.QUEUED, JobState.HELD})}, lambda kept: kept.job.state in ("queued", "held")),
    ({"states": frozenset({JobState.FAILED})}, lambda kept: kept.job.state == "failed"),
    ({"timed_out": True}, lambda kept: kept.job.state != "failed" or kept.job.limit is Limit.WALLTIME),
    ({"timed_out": False}, lambda kept: kept.job.limit is not Limit.WALLTIME),
    ({"label": ("colour", "red")}, lambda kept: kept.batch.labels.get("colour") == "red"),
    ({"label": ("colour", "")}, lambda kept: kept.batch.labels.get("colour") == ""),
    ({"app": "sum"}, lambda kept: kept.batch.app == "sum"),
    ({"app": "%"}, lambda kept: kept.batch.app == "%"),
    ({"since": START + 3.0}, lambda kept: kept.job.created >= START + 3.0),
    ({"before": START + 3.0}, lambda kept: kept.job.created < START + 3.0),
)


async def _mixture(lab: Lab) -> list[_Kept]:
    """Jobs of several batches, in several states; the other account has the same."""
    batches = []
    for owner in (lab.owner, lab.other):
        lab.now = START
        for labels, app in itertools.product(({}, {"colour": "red"}, {"colour": "", "b": "red"}), ("", "sum")):
            batch = await lab.submit(4, owner=owner, labels=labels, app=app, held=app == "" and not labels)
            jobs = members(batch)
            now = lab.now
            if not (app == "" and not labels):
                killed = Exited(1, now, Exit(143), failure=Failure.LIMIT, limit=Limit.WALLTIME)
                await lab.tell(jobs[0], *life(lab))
                await lab.tell(jobs[1], *life(lab, code=1))
                await lab.tell(jobs[2], claim(lab), Started(1, now), killed, Collected(1))
            lab.now = now
            batches.append(batch)
    mine = [batch for batch in batches if batch.owner == lab.owner]
    rows = [_Kept((await lab.row(job))[0], batch) for batch in mine for job in members(batch)]
    return sorted(rows, key=lambda kept: kept.job.id, reverse=True)


@promise
async def a_list_holds_exactly_the_accounts_own_jobs_that_meet_all_conditions(lab: Lab) -> None:
    """By state, label, app, batch and time, each alone and two together."""
    rows = await _mixture(lab)
    batch = rows[7].batch
    conditions = (*_CONDITIONS, ({"batch": batch.id}, lambda kept: kept.batch.id == batch.id))
    found_any = 0
    for (first, is_first), (second, is_second) in itertools.combinations_with_replacement(conditions, 2):
        if set(first) & set(second) and first != second:
            continue
        expected = [kept.job.id for kept in rows if is_first(kept) and is_second(kept)]
        found_any += bool(expected)
        assert await lab.page(**{**first, **second}) == expected, (first, second)
        paged: list[JobId] = []
        while True:
            page = await lab.page(**{**first, **second}, limit=2, after=paged[-1] if paged else None)
            paged += page[:2]
            if len(page) < 3:
                break
        assert paged == expected, (first, second)
    assert found_any > 20


# --- forgetting


def _files(lab: Lab, *digests: Digest) -> tuple[Exited, Collected]:
    outputs = tuple(Artifact(str(n), digest, 9) for n, digest in enumerate(digests))
    inline = Artifact("inline", Digest("f" * 64), 1, inline=b"x")
    return Exited(1, lab.now, Exit(0)), Collected(1, (*outputs, inline), logs={LOG: Artifact(LOG, C, 5)})


async def _orphans(lab: Lab, since: float = LATER) -> list[Digest]:
    return sorted(await lab.store.read(lambda tx: tx.blobs.orphans(START + since, EVERY)))


@promise
async def a_deleted_job_leaves_nothing_and_its_batch_goes_with_the_last(lab: Lab) -> None:
    """Row, events, then batch, labels, specs and secrets; what they held of blobs is let go."""
    untouched = await lab.submit(2, labels={"a": "b"}, secrets={"s": b"other"})
    before = await lab.seen()
    batch = await lab.submit(2, labels={"a": "b"}, secrets={"s": b"sealed"})
    first, last = members(batch)
    await lab.store.write(lambda tx: tx.blobs.hold(B, -batch.id))
    for job in (first, last):
        await lab.tell(job, claim(lab), *_files(lab, A))
    assert await _orphans(lab) == []
    await lab.forget([first, JobId(64), first])
    assert await lab.store.read(lambda tx: tx.jobs.get([first])) == {}
    assert await lab.log(first) == []
    assert await lab.sealed(batch.id) == {"s": b"sealed"}
    assert await _orphans(lab) == []
    assert [job.id for job, _ in await lab.store.read(lambda tx: list(tx.jobs.members(batch)))] == [last]
    spec = (await lab.row(last))[0].spec
    await lab.forget([last])
    assert await _orphans(lab) == [A, B, C]
    await raised(lab.batch(batch.id), NotFound)
    assert await lab.sealed(batch.id) == {}
    await lab.reopen()
    await raised(lab.store.read(lambda tx: tx.jobs.spec(spec)), NotFound)
    await lab.store.write(lambda tx: tx.blobs.bury(START + LATER, EVERY))
    await lab.unchanged(before)
    assert await lab.sealed(untouched.id) == {"s": b"other"}
    assert await lab.page(label=("a", "b")) == members(untouched)[::-1]


@promise
async def what_is_over_for_its_time_is_found_and_nothing_else_is(lab: Lab) -> None:
    """For its record and for its files, oldest first, in portions."""
    jobs = members(await lab.submit(6))
    for job in jobs[:4]:
        await lab.tell(job, claim(lab), *_files(lab, A))
    await lab.tell(jobs[4], claim(lab))
    ended = [(await lab.row(job))[0].ended or 0.0 for job in jobs[:4]]
    assert ended == sorted(set(ended))
    after = JobId(jobs[-1] + STRIDE)

    async def expired(before: JobId, at: float, limit: int = EVERY) -> list[JobId]:
        return await lab.store.read(lambda tx: tx.jobs.expired(before, at, limit))

    async def with_files(at: float, limit: int = EVERY) -> list[JobId]:
        return sorted(await lab.store.read(lambda tx: tx.jobs.with_files(at, limit)))

    assert await expired(after, ended[0]) == await with_files(ended[0]) == []
    assert await expired(after, ended[2]) == await with_files(ended[2]) == jobs[:2]
    assert await expired(after, START + LATER) == await with_files(START + LATER) == jobs[:4]
    assert await expired(jobs[2], START + LATER) == jobs[:2]
    assert await expired(after, START + LATER, 3) == jobs[:3]
    assert len(await with_files(START + LATER, 3)) == 3
    await lab.store.write(lambda tx: tx.blobs.let_go(jobs[0], lab.now))
    assert await with_files(START + LATER) == jobs[1:4]


@promise
async def a_blob_that_nobody_needs_is_an_orphan_until_it_is_needed_or_buried(lab: Lab) -> None:
    """As long as one holder is left it is none."""

    async def does(work: Callable[[Transaction], object]) -> None:
        await lab.store.write(work)

    await does(lambda tx: tx.blobs.hold(A, 64))
    await does(lambda tx: tx.blobs.hold(A, 128))
    await does(lambda tx: tx.blobs.hold(A, 64))
    await does(lambda tx: tx.blobs.drop(A, 64, lab.now))
    assert await _orphans(lab) == []
    dropped = lab.tick()
    await does(lambda tx: tx.blobs.drop(A, 128, dropped))
    assert await _orphans(lab) == [A]
    assert await _orphans(lab, dropped - START) == []
    lab.tick()
    await does(lambda tx: tx.blobs.drop(A, 128, lab.now))
    assert await _orphans(lab, dropped - START + 0.5) == [A], "it has been one since the first time"
    await does(lambda tx: tx.blobs.hold(A, 192))
    assert await _orphans(lab) == []
    await does(lambda tx: tx.blobs.let_go(192, lab.now))
    await lab.reopen()
    assert await _orphans(lab) == [A]
    await does(lambda tx: tx.blobs.bury(START + LATER, EVERY))
    assert await _orphans(lab) == []


@promise
async def uploads_expire_when_unused_and_let_go_of_their_blobs(lab: Lab) -> None:
    """A use lengthens their life; a name never changes its content."""
    folder = await lab.store.write(lambda tx: tx.folders.uploads(lab.owner, lab.now))
    assert await lab.store.write(lambda tx: tx.folders.uploads(lab.owner, lab.now)) == folder
    assert await lab.store.write(lambda tx: tx.folders.uploads(lab.other, lab.now)) != folder
    entries = [
        Entry(folder=folder, name=digest, digest=digest, size=3, used=START, expires=expires)
        for digest, expires in ((A, START + 10.0), (B, START + 20.0), (C, None))
    ]

    async def put(entry: Entry) -> bool:
        return await lab.store.write(lambda tx: tx.folders.put(entry))

    async def expire(seconds: float, limit: int = EVERY) -> int:
        return await lab.store.write(lambda tx: tx.folders.expire(START + seconds, limit))

    assert [await put(entry) for entry in entries] == [True, True, True]
    await raised(put(replace(entries[0], digest=B)), Invalid)
    used = replace(entries[0], used=START + 5.0, expires=START + 30.0)
    assert await put(used) is False
    await lab.reopen()
    assert await lab.store.read(lambda tx: tx.folders.get(folder, A)) == used
    assert await expire(20.0) == 0
    assert await expire(25.0) == 1
    assert (await raised(lab.store.read(lambda tx: tx.folders.get(folder, B)), NotFound)).code == "file-not-found"
    assert await _orphans(lab) == [B]
    assert await put(entries[1]) is True
    assert await _orphans(lab) == []
    assert [await expire(LATER, 1) for _ in range(3)] == [1, 1, 0]
    assert await lab.store.read(lambda tx: tx.folders.get(folder, C)) == entries[2]


# --- accounts


@promise
async def an_account_has_one_name_and_a_credential_one_account(lab: Lab) -> None:
    """Of those who ask at once for one name, one gets it."""
    made = await asyncio.gather(
        *(lab.store.write(lambda tx: tx.accounts.create("third", lab.now)) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in made) == 3, made
    third = await lab.store.read(lambda tx: tx.accounts.named("third"))
    digest = b"d" * 32
    key = await lab.store.write(lambda tx: tx.accounts.add(third.id, Kind.API_KEY, digest, lab.now))
    await raised(lab.store.write(lambda tx: tx.accounts.add(lab.owner, Kind.API_KEY, digest, lab.now)), Conflict)
    await lab.store.write(lambda tx: tx.accounts.add(lab.owner, Kind.BOINC, digest, lab.now))
    await lab.store.write(lambda tx: tx.accounts.replace(replace(key, revoked=True)))
    await lab.store.write(lambda tx: tx.accounts.put(replace(third, blocked=True)))
    await lab.reopen()
    found = await lab.store.read(lambda tx: tx.accounts.credential(Kind.API_KEY, digest))
    assert found == (replace(key, revoked=True), replace(third, blocked=True))
    assert await lab.store.read(lambda tx: tx.accounts.credential(Kind.MIKE, digest)) is None
    assert [account.name for account in await lab.store.read(lambda tx: tx.accounts.all())] == ["lab", "other", "third"]
    await raised(lab.store.read(lambda tx: tx.accounts.named("nobody")), NotFound)
    await raised(lab.store.read(lambda tx: tx.accounts.get(AccountId(64))), NotFound)
    taken = replace(third, name="lab")
    await raised(lab.store.write(lambda tx: tx.accounts.put(taken)), Conflict)


@promise
async def what_an_account_has_used_decays_also_over_a_reopen(lab: Lab) -> None:
    """By half in a day, and its weight is the account's."""
    heavy = replace(await lab.store.read(lambda tx: tx.accounts.get(lab.owner)), weight=4.0)
    await lab.store.write(lambda tx: tx.accounts.put(heavy))
    await lab.store.write(lambda tx: tx.accounts.use({lab.owner: Standing(8.0, 4.0)}, START))
    await lab.reopen()
    found = await lab.store.read(lambda tx: tx.accounts.standings(START + 2 * HALF_LIFE))
    assert found == {lab.owner: Standing(2.0, 4.0), lab.other: Standing(0.0, 1.0)}


@promise
async def ids_drawn_after_a_reopen_are_new(lab: Lab) -> None:
    """Though the clock went back meanwhile."""
    drawn = {(await lab.submit(50)).id}
    for _ in range(2):
        await lab.reopen()
        lab.now = START
        later = await lab.submit(50)
        assert all(later.id > known for known in drawn)
        drawn.add(later.id)
    assert len(await lab.page()) == 150


@promise
async def a_batch_of_a_hundred_thousand_jobs_is_one_transaction(lab: Lab) -> None:
    """Whole, counted, and each job's place follows from its id."""
    before = lab.place.commits(lab.store)
    batch = await lab.submit(100_000, spec=PLAIN)
    assert lab.place.commits(lab.store) == before + 1
    assert await lab.store.read(lambda tx: tx.jobs.counts(batch)) == {JobState.QUEUED: 100_000}
    last = members(batch)[-1]
    assert (await lab.row(last))[0].batch == batch.id
    assert len(await lab.store.read(lambda tx: tx.jobs.page(lab.owner, Where(limit=10, before=LATER * 9)))) == 11
    assert await lab.live() == 100_000
    assert BatchId(last - 99_999 * STRIDE) == batch.id


SUITE: Final[tuple[Promise, ...]] = (
    pages_neither_miss_nor_repeat_while_jobs_come_and_go,
    one_more_than_the_limit_says_that_there_is_more,
    a_list_holds_exactly_the_accounts_own_jobs_that_meet_all_conditions,
    a_deleted_job_leaves_nothing_and_its_batch_goes_with_the_last,
    what_is_over_for_its_time_is_found_and_nothing_else_is,
    a_blob_that_nobody_needs_is_an_orphan_until_it_is_needed_or_buried,
    uploads_expire_when_unused_and_let_go_of_their_blobs,
    an_account_has_one_name_and_a_credential_one_account,
    what_an_account_has_used_decays_also_over_a_reopen,
    ids_drawn_after_a_reopen_are_new,
    a_batch_of_a_hundred_thousand_jobs_is_one_transaction,
)
"""Every promise of this file."""
