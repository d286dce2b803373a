from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace
from store_places import PLACES

from jobgate.model.account import Account, Action, Deed, Kind
from jobgate.model.facts import rebuild
from jobgate.model.folder import Entry, FolderKind
from jobgate.model.guard import Guard
from jobgate.model.ids import AccountId, BatchId, Digest, FolderId, JobId
from jobgate.model.queue import Standing
from jobgate.model.state import JobState
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import HERE, Lab, claim, life, members

every_store = pytest.mark.parametrize("place", sorted(PLACES))
A: Final = Digest("aa" * 32)
B: Final = Digest("bb" * 32)
C: Final = Digest("cc" * 32)


def run(place: str, folder: Path, body: Callable[[Lab], Awaitable[None]]) -> None:
    async def whole() -> None:
        where = PLACES[place](folder)
        lab = Lab(where, await where.open())
        try:
            await lab.furnish()
            await body(lab)
        finally:
            await lab.store.close()

    asyncio.run(whole())


async def merge(lab: Lab, gone: AccountId | None = None, heir: AccountId | None = None) -> dict[str, int]:
    """As another process does it, beside the one whose store is open."""
    giver, taker = gone or lab.owner, heir or lab.other

    def work(tx: Transaction) -> dict[str, int]:
        told = dict(tx.accounts.merge(tx.accounts.get(giver), tx.accounts.get(taker), lab.tick()))
        tx.accounts.record(Deed(at=lab.now, actor="op", action=Action.MERGED, account=giver, other=taker, told=told))
        return told

    store = await lab.place.open()
    try:
        return await store.write(work)
    finally:
        await store.close()


@every_store
def test_jobs_batches_labels_and_first_facts_become_the_heirs(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batch = await lab.submit(3, labels={"k": "v"})
        ended = members(batch)[0]
        await lab.tell(ended, *life(lab))
        told = await merge(lab)
        assert (told["batches"], told["jobs"]) == (1, 3)
        assert await lab.page(lab.owner) == []
        assert await lab.page(lab.other, labels=(("k", "v"),)) == members(batch)[::-1]
        assert (await lab.batch(batch.id)).owner == lab.other
        for job in members(batch):
            row, attempts = await lab.row(job)
            assert row.owner == lab.other
            assert rebuild(await lab.log(job)) == (row, attempts)

    run(place, tmp_path, body)


@every_store
def test_a_job_of_another_account_stays_its_own(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        third = (await lab.store.write(lambda tx: tx.accounts.create("third", lab.now))).id
        foreign = await lab.one(owner=third, labels={"k": "v"})
        before = await lab.row(foreign), await lab.log(foreign)
        await lab.one()
        await merge(lab)
        assert (await lab.row(foreign), await lab.log(foreign)) == before

    run(place, tmp_path, body)


@every_store
def test_a_job_that_runs_goes_on_and_its_batch_can_be_deleted_whole(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        job = await lab.one(labels={"k": "v"}, secrets={"s": b"x"})
        first, *rest = life(lab)
        await lab.tell(job, first)
        await merge(lab)
        await lab.tell(job, *rest)
        row, _ = await lab.row(job)
        assert (row.owner, row.state) == (lab.other, JobState.SUCCEEDED)
        await lab.forget([job])
        assert await lab.page(lab.other, labels=(("k", "v"),)) == []

    run(place, tmp_path, body)


@every_store
def test_a_store_that_was_open_counts_live_jobs_right_afterwards(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        await lab.submit(3)
        await lab.submit(2, owner=lab.other)
        assert (await lab.live(), await lab.live(lab.other)) == (3, 2)
        await merge(lab)
        assert (await lab.live(), await lab.live(lab.other)) == (0, 5)
        await lab.submit(1, owner=lab.other)
        assert await lab.live(lab.other) == 6

    run(place, tmp_path, body)


@every_store
def test_an_open_store_names_the_heir_in_its_next_read_and_its_next_write(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        third = (await lab.store.write(lambda tx: tx.accounts.create("third", lab.now))).id
        assert await lab.store.read(lambda tx: tx.accounts.heir(lab.owner)) == lab.owner
        await merge(lab)
        assert await lab.store.read(lambda tx: tx.accounts.heir(lab.owner)) == lab.other
        assert await lab.store.write(lambda tx: tx.accounts.heir(lab.owner)) == lab.other
        await merge(lab, lab.other, third)
        assert await lab.store.write(lambda tx: tx.accounts.heir(lab.owner)) == third
        await lab.reopen()
        assert await lab.store.read(lambda tx: tx.accounts.heir(lab.owner)) == third

    run(place, tmp_path, body)


@every_store
def test_a_merge_that_fails_leaves_everything_as_it_was(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        await lab.submit(3, labels={"k": "v"})
        before = await lab.seen()

        def work(tx: Transaction) -> None:
            tx.accounts.merge(tx.accounts.get(lab.owner), tx.accounts.get(lab.other), lab.now)
            tx.accounts.record(Deed(at=lab.now, actor="op", action=Action.MERGED, account=lab.owner, other=lab.other))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await lab.store.write(work)
        await lab.unchanged(before)
        assert await lab.store.write(lambda tx: tx.accounts.heir(lab.owner)) == lab.owner

    run(place, tmp_path, body)


@every_store
def test_credentials_prove_the_heir_and_the_one_that_is_gone_is_blocked(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        await lab.store.write(lambda tx: tx.accounts.add(lab.owner, Kind.BOINC, b"digest", lab.now))
        await merge(lab)
        found = await lab.store.read(lambda tx: tx.accounts.credential(Kind.BOINC, b"digest"))
        assert found is not None
        assert (found[0].account, found[1].id) == (lab.other, lab.other)
        gone: Account = await lab.store.read(lambda tx: tx.accounts.get(lab.owner))
        assert (gone.blocked, gone.merged) == (True, lab.other)

    run(place, tmp_path, body)


def key(body: Digest, lives: float) -> Guard:
    return Guard(key="k", body=body, lives=lives)


@every_store
@pytest.mark.parametrize(("lives", "stays"), [(10.0, "heirs"), (1000.0, "gone's")])
def test_of_two_equal_idempotency_keys_the_one_that_holds_longer_stays(
    place: str, lives: float, stays: str, tmp_path: Path
) -> None:
    async def body(lab: Lab) -> None:
        mine = await lab.submit(guard=key(A, lives))
        theirs = await lab.submit(owner=lab.other, guard=key(A, 100.0))
        lone = await lab.submit(guard=replace(key(B, 5.0), key="lone"))
        await merge(lab)
        again = await lab.submit(owner=lab.other, guard=key(A, lives))
        assert again.id == (theirs.id if stays == "heirs" else mine.id)
        assert (await lab.submit(owner=lab.other, guard=replace(key(B, 5.0), key="lone"))).id == lone.id

    run(place, tmp_path, body)


async def upload(lab: Lab, owner: AccountId, digest: Digest, expires: float | None) -> FolderId:
    def work(tx: Transaction) -> FolderId:
        folder = tx.folders.uploads(owner, lab.now)
        tx.folders.put(Entry(folder=folder, name=digest, digest=digest, size=1, used=lab.now, expires=expires))
        return folder

    return await lab.store.write(work)


@every_store
def test_uploads_become_one_folder_and_each_lives_for_the_longer_of_both_times(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        for owner, digest, expires in (
            (lab.owner, A, lab.now + 50),
            (lab.owner, B, lab.now + 60),
            (lab.other, B, lab.now + 10),
            (lab.owner, C, None),
            (lab.other, C, lab.now + 10),
        ):
            await upload(lab, owner, digest, expires)
        begun = lab.now
        assert (await merge(lab))["files"] == 3
        folder = await lab.store.write(lambda tx: tx.folders.uploads(lab.other, lab.now))
        entries = {d: await lab.store.read(lambda tx, d=d: tx.folders.get(folder, d)) for d in (A, B, C)}  # type: ignore[misc]  # mypy does not infer a lambda with a default
        assert [entries[d].expires for d in (A, B, C)] == [begun + 50, begun + 60, None]
        assert await lab.store.read(lambda tx: tx.blobs.orphans(lab.now + 1e9, 10)) == []
        assert await lab.store.write(lambda tx: tx.folders.expire(begun + 1e9, 10)) == 2
        assert set(await lab.store.read(lambda tx: tx.blobs.orphans(begun + 2e9, 10))) == {A, B}

    run(place, tmp_path, body)


@every_store
def test_uploads_of_one_who_had_none_go_over_whole(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        folder = await upload(lab, lab.owner, A, None)
        await merge(lab)
        assert await lab.store.write(lambda tx: tx.folders.uploads(lab.other, lab.now)) == folder
        assert await lab.store.write(lambda tx: tx.folders.uploads(lab.owner, lab.now)) != folder

    run(place, tmp_path, body)


@every_store
def test_two_folders_of_one_name_are_kept_apart_by_the_name_of_the_one_that_is_gone(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        def work(tx: Transaction) -> list[tuple[str, list[str]]]:
            for owner, name in ((lab.owner, "of lab"), (lab.other, "of other")):
                folder, _ = tx.folders.make(owner, FolderKind.FILES, "data", lab.now)
                tx.folders.set(Entry(folder=folder.id, name=name, digest=A, size=1, used=lab.now), lab.now)
            tx.accounts.merge(tx.accounts.get(lab.owner), tx.accounts.get(lab.other), lab.now)
            found = tx.folders.page(lab.other, "", 10)
            return [(each.name, [entry.name for entry in tx.folders.entries(each.id, limit=10)]) for each in found]

        assert await lab.store.write(work) == [("data", ["of other"]), ("data~lab", ["of lab"])]

    run(place, tmp_path, body)


@every_store
def test_what_both_have_used_is_the_heirs_also_when_a_server_saves_what_it_remembers(
    place: str, tmp_path: Path
) -> None:
    async def body(lab: Lab) -> None:
        remembered = {lab.owner: Standing(usage=3.0), lab.other: Standing(usage=4.0)}
        await lab.store.write(lambda tx: tx.accounts.use(remembered, lab.now))
        await merge(lab)
        for _ in range(2):
            found = await lab.store.read(lambda tx: tx.accounts.standings(lab.now))
            assert found[lab.other].usage == pytest.approx(7.0, rel=1e-3)
            assert found[lab.owner].usage == 0
            await lab.store.write(lambda tx: tx.accounts.use(remembered, lab.now))

    run(place, tmp_path, body)


@every_store
def test_a_claim_after_the_merge_takes_the_heirs_turn(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        job = JobId(BatchId((await lab.submit()).id))
        await merge(lab)
        heads = await lab.store.read(lambda tx: tx.jobs.heads(lab.now + 1, 10))
        assert [(head.job, head.owner) for head in heads] == [(job, lab.other)]
        (step,) = await lab.tell(job, claim(lab))
        assert step.job.owner == lab.other
        assert step.attempts[-1].environment == HERE
        assert (await lab.page(lab.other)) == [job]

    run(place, tmp_path, body)


@every_store
def test_the_trail_only_grows_and_is_read_by_account(place: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        first = Deed(at=1.0, actor="op", action=Action.CREATED, account=lab.owner, told={"name": "lab"})
        rotated = Deed(at=2.0, actor="op", action=Action.KEY_ROTATED)
        for deed in (first, rotated, replace(first, at=3.0, action=Action.BLOCKED)):
            await lab.store.write(lambda tx, deed=deed: tx.accounts.record(deed))  # type: ignore[misc]  # mypy does not infer a lambda with a default
        await lab.reopen()
        assert [d.action for d in await lab.store.read(lambda tx: tx.accounts.history(lab.owner))] == [
            Action.CREATED,
            Action.BLOCKED,
        ]
        assert await lab.store.read(lambda tx: tx.accounts.history(AccountId(0))) == [rotated]

    run(place, tmp_path, body)
