"""Staged files: names that always hold the same, for as long as they are to live and a batch needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from store_places import sqlite
from workbench import MANY, Bench

from jobgate.files.disk import Disk
from jobgate.model.account import Principal, Quota
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import Conflict, Invalid, NotFound, TooMany
from jobgate.model.files import Input, StagedFile, Stored
from jobgate.model.ids import BatchId, Digest, EnvironmentName
from jobgate.model.job import Argv, JobSpec, Origin, Step
from jobgate.model.operations import Group, Request, Submit
from jobgate.model.resources import GIB, Resources
from jobgate.model.storing import AskStaged, Stage, Staged
from jobgate.operations.handle import handle
from jobgate.testing.store_lab import Lab

DAY = 86_400.0
A, B = Stored(Digest("a" * 64), 3), Stored(Digest("b" * 64), 5)


class Yard(Bench):
    """A bench whose jobs can run somewhere."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        here = ComputeEnvironment(
            name=EnvironmentName("here"), engine="none", slots=1, room=Resources(cores=1, memory=GIB, disk=GIB)
        )
        self.context = replace(self.context, environments=(here,))

    async def stage(self, *files: tuple[str, Stored], **more: Any) -> Staged:
        staged: Staged = await self.ask(Stage(files=files, **more))
        return staged

    async def absent(self, *names: str, **more: Any) -> tuple[int, ...]:
        staged: Staged = await self.ask(AskStaged(names=names, **more))
        return staged.absent

    async def submit(self, *names: str, into: BatchId | None = None) -> BatchId:
        inputs = tuple(Input(path=f"in/{place}", source=StagedFile(name)) for place, name in enumerate(names))
        spec = JobSpec(steps=(Step(command=Argv(("true",))),), inputs=inputs)
        made = await self.ask(Submit(groups=(Group(spec, 2),), origin=Origin(dialect="test"), into=into))
        ident: BatchId = made.batch.id
        return ident

    async def expire(self, later: float) -> None:
        self.lab.tick(later)
        while await self.lab.store.write(lambda tx: tx.folders.expire(self.lab.now, 2)) == 2:
            pass

    async def orphans(self) -> list[str]:
        return list(await self.lab.store.read(lambda tx: tx.blobs.orphans(self.lab.now + 1, MANY)))


def run(tmp_path: Path, body: Callable[[Yard], Awaitable[None]]) -> None:
    async def whole() -> None:
        place = sqlite(tmp_path)
        lab = Lab(place, await place.open())
        await lab.furnish()
        try:
            await body(Yard(lab))
        finally:
            await lab.store.close()

    asyncio.run(whole())


def test_a_name_holds_what_was_staged_and_the_same_again_changes_nothing(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        assert await yard.absent("a.dat", "b c", "a.dat") == (0, 1, 2)
        await yard.stage(("a.dat", A), ("b c", B), ("a.dat", A))
        await yard.stage(("a.dat", A))
        assert await yard.absent("a.dat", "none", "b c") == (1,)
        assert await yard.stage() == Staged()

    run(tmp_path, body)


def test_another_content_under_a_known_name_is_refused_and_nothing_of_the_request_is_kept(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.stage(("a", A))
        with pytest.raises(Conflict) as refused:
            await yard.stage(("new", B), ("a", B))
        assert (refused.value.code, refused.value.field) == ("immutable", "a")
        assert await yard.absent("new", "a") == (0,)
        assert await yard.orphans() == [B.digest]

    run(tmp_path, body)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "ä", "a\n", "x" * 192, "a\0"])
def test_a_name_that_could_lead_anywhere_is_none(tmp_path: Path, name: str) -> None:
    async def body(yard: Yard) -> None:
        for operation in (Stage(files=((name, A),)), AskStaged(names=("a", name))):
            with pytest.raises(Invalid) as refused:
                await yard.ask(operation)
            assert refused.value.code == "bad-name"

    run(tmp_path, body)


def test_names_are_those_of_one_account(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.stage(("a", A))
        other = yard.lab.other
        assert (await yard.ask(AskStaged(names=("a",)), who=other)).absent == (0,)
        await yard.ask(Stage(files=(("a", B),)), who=other)

    run(tmp_path, body)


def test_what_is_staged_counts_as_stored_and_more_than_an_account_may_have_is_refused(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        who = Principal(account=yard.lab.owner, name="lab", quota=Quota(storage=7))
        request = Request(operation=Stage(files=(("a", A), ("b", B))), principal=who)
        with pytest.raises(TooMany) as refused:
            await handle(yard.context, request)
        assert refused.value.code == "storage-quota"
        assert await yard.absent("a", "b") == (0, 1)

    run(tmp_path, body)


def test_a_file_lives_for_a_day_at_least_and_until_the_latest_time_that_was_named(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.stage(("short", A), until=1.0)
        await yard.stage(("long", B), until=yard.lab.now + 9 * DAY)
        await yard.stage(("long", B), until=yard.lab.now + 2 * DAY)
        await yard.expire(DAY - 100)
        assert await yard.absent("short", "long") == ()
        await yard.expire(DAY)
        assert await yard.absent("long") == ()
        await yard.expire(DAY)
        assert await yard.absent("short", "long") == (0,)
        await yard.absent("long", until=yard.lab.now + 20 * DAY)
        await yard.expire(19 * DAY)
        assert await yard.absent("long") == ()
        await yard.expire(19 * DAY)
        assert await yard.absent("long") == (0,)
        assert set(await yard.orphans()) == {A.digest, B.digest}

    run(tmp_path, body)


def test_a_file_lives_as_long_as_a_batch_that_it_is_associated_with(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        batch = await yard.batch(1)
        await yard.stage(("a", A), batch=batch.id)
        await yard.stage(("b", B))
        await yard.absent("b", "none", batch=batch.id)
        await yard.expire(100 * DAY)
        assert await yard.absent("a", "b") == ()
        await yard.lab.store.write(lambda tx: tx.folders.release(batch.id))
        await yard.expire(100 * DAY)
        assert await yard.absent("a", "b") == (0, 1)

    run(tmp_path, body)


def test_files_that_stay_past_their_time_do_not_keep_others_from_going(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        batch = await yard.batch(1)
        await yard.stage(*((f"a{number}", A) for number in range(5)), batch=batch.id)
        await yard.expire(10.0)
        await yard.stage(("z", B))
        await yard.expire(5 * DAY)
        assert await yard.absent("a0", "a4", "z") == (2,)

    run(tmp_path, body)


def test_a_file_that_jobs_use_lives_until_their_batch_is_deleted(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.stage(("a", A))
        batch = await yard.submit("a", "a")
        await yard.expire(100 * DAY)
        assert await yard.absent("a") == ()
        jobs = [job.id for job, _ in await yard.lab.store.read(lambda tx: list(tx.jobs.members(tx.jobs.batch(batch))))]
        await yard.lab.forget(jobs)
        await yard.expire(100 * DAY)
        assert await yard.absent("a") == (0,)
        assert await yard.orphans() == [A.digest]

    run(tmp_path, body)


def test_a_batch_that_is_not_the_askers_or_not_there_is_not_found(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        foreign = await yard.batch(1, owner=yard.lab.other)
        for ident in (foreign.id, BatchId(1)):
            for operation in (Stage(files=(("a", A),), batch=ident), AskStaged(names=("a",), batch=ident)):
                with pytest.raises(NotFound):
                    await yard.ask(operation)
        assert await yard.absent("a") == (0,)

    run(tmp_path, body)


def test_a_submit_that_names_a_file_that_is_not_there_makes_nothing_and_says_which(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.stage(("a", A))
        before = await yard.lab.seen()
        with pytest.raises(NotFound, match=r"'gone\.dat'") as refused:
            await yard.submit("a", "gone.dat")
        assert refused.value.code == "file-not-found"
        await yard.lab.unchanged(before)

    run(tmp_path, body)


def test_of_two_accounts_that_become_one_no_staged_file_is_lost(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        lab = yard.lab
        batch = await yard.batch(1)
        await yard.stage(("same", A), ("mine", A), ("clash", A), batch=batch.id)
        await yard.ask(Stage(files=(("same", A), ("clash", B), ("clash.1", A))), who=lab.other)
        gone, heir = await lab.store.read(lambda tx: [tx.accounts.get(ident) for ident in (lab.owner, lab.other)])
        await lab.store.write(lambda tx: tx.accounts.merge(gone, heir, lab.now))
        who = lab.other
        asked = AskStaged(names=("same", "mine", "clash", "clash.1", "clash.2"))
        assert (await yard.ask(asked, who=who)).absent == (4,)
        await yard.ask(Stage(files=(("clash", B), ("mine", A))), who=who)
        lab.tick(100 * DAY)
        await lab.store.write(lambda tx: tx.folders.expire(lab.now, MANY))
        assert (await yard.ask(asked, who=who)).absent == (2, 4)

    run(tmp_path, body)


def test_the_storage_deletes_what_nobody_needs(tmp_path: Path) -> None:
    """The blobs of a refused request become orphans by the way that all do."""

    async def body(yard: Yard) -> None:
        yard.context = replace(yard.context, blobs=Disk(tmp_path / "blobs"))
        kept = await yard.context.blobs.put(b"kept", limit=None)
        await yard.stage(("a", kept))
        lost = await yard.context.blobs.put(b"lost", limit=None)
        with pytest.raises(Conflict):
            await yard.stage(("a", lost))
        assert await yard.orphans() == [lost.digest]

    run(tmp_path, body)


def test_a_batch_that_is_retired_lets_go_of_its_files_and_is_no_batch_to_live_with(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.stage(("a", A))
        batch = await yard.submit("a")
        await yard.lab.store.write(lambda tx: tx.batches.retire(tx.jobs.batch(batch), yard.lab.now))
        with pytest.raises(NotFound):
            await yard.absent("a", batch=batch)
        await yard.expire(100 * DAY)
        assert await yard.absent("a") == (0,)

    run(tmp_path, body)


def test_files_staged_for_an_empty_batch_are_there_when_its_jobs_come(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        made = await yard.ask(Submit(groups=(), origin=Origin(dialect="test"), empty=True))
        await yard.stage(("a", A), batch=made.batch.id)
        await yard.expire(100 * DAY)
        await yard.submit("a", into=made.batch.id)
        await yard.expire(100 * DAY)
        assert await yard.absent("a") == ()

    run(tmp_path, body)
