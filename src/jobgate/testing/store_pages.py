"""Promises of every store about what is kept and forgotten: deletion, blobs, folders, accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from jobgate.model.account import Kind
from jobgate.model.attempt import LOG, Exit
from jobgate.model.errors import Conflict, Invalid, NotFound
from jobgate.model.events import Collected, Exited
from jobgate.model.files import Artifact
from jobgate.model.folder import Entry
from jobgate.model.ids import STRIDE, AccountId, BatchId, Digest, JobId
from jobgate.model.queue import HALF_LIFE, Standing
from jobgate.model.state import JobState
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import EVERY, PLAIN, START, Lab, Promise, claim, members, promise, raised

A, B, C = (Digest(letter * 64) for letter in "abc")
LATER: Final = 1e9

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
    assert await lab.page(labels=(("a", "b"),)) == members(untouched)[::-1]


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
        return await lab.store.read(lambda tx: tx.due.expired(before, at, limit))

    async def with_files(at: float, limit: int = EVERY) -> list[JobId]:
        return sorted(await lab.store.read(lambda tx: tx.due.with_files(at, limit)))

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
    assert (await lab.leaf(limit=10, before=LATER * 9))[1] == members(batch)[-10]
    assert await lab.live() == 100_000
    assert BatchId(last - 99_999 * STRIDE) == batch.id


SUITE: Final[tuple[Promise, ...]] = (
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
