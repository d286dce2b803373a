"""Leases end on time and never early, and what is retired is cancelled and gives its files up, also after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace
from store_places import sqlite
from workbench import Bench, Breaks

from jobgate.auth.seal import Seal
from jobgate.files.disk import Disk
from jobgate.model.attempt import Exit
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import NotFound
from jobgate.model.events import Collected, Exited, Started
from jobgate.model.files import Artifact
from jobgate.model.ids import STRIDE, Digest, JobId
from jobgate.model.job import Batch
from jobgate.model.limits import Limits
from jobgate.model.operations import Count, Renew, Retire
from jobgate.model.outcomes import Counted
from jobgate.model.state import JobState
from jobgate.net.egress import Egress, EgressSettings
from jobgate.runner.history import History
from jobgate.runner.leases import Leases
from jobgate.runner.reaper import DAY, Reaper, Retention
from jobgate.runner.saver import Saver
from jobgate.runner.world import World
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import EVERY, Lab, claim

T = TypeVar("T")
FILE = Artifact("out", Digest("ab" * 32), 20_000)


class Heard(Breaks):
    """A store that says when something was written."""

    def __init__(self, store: Store, news: asyncio.Event) -> None:
        super().__init__(store, EVERY)
        self.news = news
        self.once: Callable[[], object] = lambda: None
        """Happens behind the next look."""

    async def read(self, work: Callable[[Transaction], T]) -> T:
        try:
            return await super().read(work)
        finally:
            once, self.once = self.once, lambda: None
            once()

    async def write(self, work: Callable[[Transaction], T], *, spare: bool = False) -> T:
        try:
            return await super().write(work, spare=spare)
        finally:
            self.news.set()


class Site:
    """A store and the duty over it, with the real clock that can be put on."""

    def __init__(self, lab: Lab, folder: Path, egress: Egress) -> None:
        self.lab = lab
        self.skipped = 0.0
        self.news = asyncio.Event()
        seal = Seal(bytes(32))
        self.world = World(
            store=Heard(lab.store, self.news),
            storage=Disk(folder / "blobs"),
            egress=egress,
            work=folder / "work",
            lease=lab.lease,
            saver=Saver(lab.store, lab.lease, self.clock, lambda: None),
            clock=self.clock,
            opener=seal.open,
            catalogue=Catalogue(),
            limits=Limits(),
            standings={},
            history=History(),
        )
        self.bench = Bench(lab)
        self.bench.context = replace(self.bench.context, clock=self.clock)

    def clock(self) -> float:
        return datetime.now(UTC).timestamp() + self.skipped

    def start(self) -> asyncio.Task[None]:
        duty = Leases(self.world)
        self.lab.store.listen(duty.heard)
        self.lab.store.listen_batches(duty.touched)
        return self.world.spawn(duty.run())

    async def until(self, enough: Callable[[], Awaitable[bool]]) -> None:
        """Returns as soon as a commit makes it so."""
        async with asyncio.timeout(60):
            while True:
                self.news.clear()
                if await enough():
                    return
                await self.news.wait()

    async def leased(self, count: int, seconds: float | None) -> Batch:
        self.lab.now = self.clock()
        expires = None if seconds is None else self.clock() + seconds
        return await self.lab.submit(count, expires=expires)

    async def stands(self, batch: Batch) -> Counted:
        counted: Counted = await self.bench.ask(Count(batch.id))
        return counted

    async def held(self, holder: int) -> int:
        return len(await self.lab.store.read(lambda tx: tx.blobs.held(holder)))

    async def run(self, job: JobId) -> None:
        """It runs, and does not end."""
        await self.lab.tell(job, claim(self.lab), Started(1, self.lab.now))

    async def end(self, job: JobId) -> None:
        await self.lab.tell(job, Exited(1, self.lab.now, Exit(0)), Collected(1, (FILE,)))


def sited(tmp_path: Path, body: Callable[[Site], Awaitable[None]]) -> None:
    async def whole() -> None:
        place = sqlite(tmp_path)
        lab = Lab(place, await place.open())
        await lab.furnish()
        site = Site(lab, tmp_path, Egress(EgressSettings()))
        try:
            await body(site)
        finally:
            await site.world.stop()
            await lab.store.close()

    asyncio.run(whole())


def retired(site: Site, *batches: Batch) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        found = [await site.lab.batch(batch.id) for batch in batches]
        return all(batch.retired is not None for batch in found)

    return look


def test_a_lease_ends_on_time_and_not_early(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        site.start()
        batch = await site.leased(3, 0.3)
        assert batch.expires is not None
        await site.until(retired(site, batch))
        seen = await site.stands(batch)
        assert seen.batch.retired is not None
        assert seen.batch.retired >= batch.expires
        assert seen.counts == {JobState.CANCELLED: 3}

    sited(tmp_path, body)


def test_a_lease_that_ends_between_two_looks_is_not_overlooked(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        batch = await site.leased(1, 50.0)
        assert isinstance(site.world.store, Heard)
        site.world.store.once = lambda: setattr(site, "skipped", 51.0)
        site.start()
        await site.until(retired(site, batch))

    sited(tmp_path, body)


def test_a_lease_that_is_put_off_does_not_end_and_one_that_is_drawn_near_does(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        batch, other = await site.leased(1, 100.0), await site.leased(1, None)
        site.skipped = 101.0
        await site.bench.ask(Renew(batch=batch.id, expires=site.clock() + 1000.0))
        site.start()
        await site.bench.ask(Renew(batch=other.id, expires=site.clock() - 1.0))
        await site.until(retired(site, other))
        assert (await site.lab.batch(batch.id)).retired is None
        await site.bench.ask(Renew(batch=batch.id, expires=site.clock() - 1.0))
        await site.until(retired(site, batch))

    sited(tmp_path, body)


def test_leases_that_end_together_all_end_also_large_ones_and_empty_ones(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        batches = [await site.leased(1, 50.0) for _ in range(100)] + [await site.leased(1200, 50.0)]
        empty = await site.lab.submit(room=10, expires=site.clock() + 50.0)
        site.skipped = 51.0
        site.start()
        await site.until(retired(site, *batches, empty))

        async def settled() -> bool:
            return not await site.lab.store.read(lambda tx: tx.batches.due(site.clock(), 1))

        await site.until(settled)
        assert set(await site.lab.owned()) == {JobState.CANCELLED}
        assert (await site.stands(empty)).state is JobState.CANCELLED

    sited(tmp_path, body)


def test_files_go_when_a_batch_is_retired_and_those_of_running_jobs_when_they_end(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        batch = await site.leased(3, None)
        first, second, third = (JobId(batch.id + place * STRIDE) for place in range(3))
        for job in (first, second):
            await site.run(job)
        await site.end(first)
        await site.lab.store.write(lambda tx: tx.blobs.hold(FILE.digest, -batch.id))
        assert await site.held(first) == 1
        site.start()
        told: Counted = await site.bench.ask(Retire(batch=batch.id))
        assert told.batch.retired is not None
        assert told.counts == {JobState.SUCCEEDED: 1, JobState.CANCELLING: 1, JobState.CANCELLED: 1}

        async def lingers() -> bool:
            return not await site.held(first) and not await site.lab.store.read(lambda tx: tx.batches.due(1e12, 9))

        await site.until(lingers)
        assert await site.held(-batch.id) == 1, "an attempt may still read its inputs"
        await site.end(second)

        async def nothing() -> bool:
            return sum([await site.held(holder) for holder in (first, second, third, -batch.id)]) == 0

        await site.until(nothing)
        again: Counted = await site.bench.ask(Retire(batch=batch.id))
        assert again.version == (await site.stands(batch)).version

    sited(tmp_path, body)


def test_what_a_killed_process_had_begun_the_next_one_completes(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        batch = await site.leased(700, 10.0)
        await site.lab.store.write(lambda tx: tx.batches.retire(tx.jobs.batch(batch.id), site.clock()))
        lingering = await site.leased(1, None)
        await site.run(JobId(lingering.id))
        task = site.start()
        await site.bench.ask(Retire(batch=lingering.id))

        async def ended() -> bool:
            counts = (await site.stands(batch)).counts
            return counts == {JobState.CANCELLED: 700}

        await site.until(ended)

        async def lingers() -> bool:
            return not await site.lab.store.read(lambda tx: tx.batches.due(1e12, 9))

        await site.until(lingers)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await site.end(JobId(lingering.id))
        assert await site.held(lingering.id) == 1
        site.start()

        async def gone() -> bool:
            return await site.held(lingering.id) == 0

        await site.until(gone)

    sited(tmp_path, body)


def test_empty_batches_go_with_the_time_of_records_unless_a_lease_holds_them(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        site.lab.now = site.clock()
        empty = await site.lab.submit(room=10)
        leased = await site.lab.submit(room=10, expires=site.clock() + 90 * DAY)
        site.skipped = 20 * DAY
        reaper = Reaper(site.world, Retention(records=30 * DAY))
        await reaper.sweep()
        assert await site.lab.batch(empty.id) == empty
        site.skipped = 31 * DAY
        await reaper.sweep()
        for batch, there in ((empty, False), (leased, True)):
            try:
                assert (await site.lab.batch(batch.id) == batch) is there
            except NotFound:
                assert not there

    sited(tmp_path, body)
