"""Quotas on what runs, held by a real runner with real local engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from jobgate import app
from jobgate.auth.desk import AccountDesk
from jobgate.config import Environment, Server, Settings, Storage
from jobgate.model.account import Principal, Quota
from jobgate.model.advance import Step as Move
from jobgate.model.allowance import InUse
from jobgate.model.ids import STRIDE, AccountId, JobId
from jobgate.model.job import Argv, JobSpec, Origin, Step
from jobgate.model.limits import Limits
from jobgate.model.operations import Find, Group, Request, Submit
from jobgate.model.outcomes import Found, Submitted
from jobgate.model.queue import Reason
from jobgate.model.selectors import Of
from jobgate.model.state import AttemptState, JobState
from jobgate.operations.handle import handle
from jobgate.runner import dispatch
from jobgate.runner.dispatch import Dispatch

NEVER = 3_600.0


def settings(data: Path, **limits: float) -> Settings:
    place = Environment(slots=2, sandbox="none")
    return Settings(
        server=Server(data=str(data)),
        storage=Storage(reserve=0),
        environments={"here": place, "there": place},
        limits=msgspec.convert(limits, Limits),
    )


class House:
    """A gateway with two environments of two slots, looked at after each commit."""

    def __init__(self, gateway: app.Gateway, folder: Path) -> None:
        self.gateway = gateway
        self.go = folder / "go"
        self._moved = asyncio.Event()
        gateway.store.listen(self._heard)

    def _heard(self, steps: list[Move], queued: int) -> None:
        del steps, queued
        self._moved.set()

    async def account(self, name: str) -> Principal:
        made = await self.gateway.store.write(lambda tx: tx.accounts.create(name, 0.0))
        return Principal(account=AccountId(made.id), name=name)

    async def submit(self, who: Principal, number: int, *, waits: bool) -> list[JobId]:
        """Jobs that end at once, or when `go` is there."""
        script = f"until [ -e {self.go} ]; do sleep 0.02; done" if waits else ":"
        spec = JobSpec(steps=(Step(command=Argv(("sh", "-c", script))),))
        asked = Submit(groups=(Group(spec, number),), origin=Origin(dialect="test"))
        made = await handle(self.gateway.context, Request(operation=asked, principal=who))
        assert isinstance(made, Submitted)
        self.batch = made.batch
        return [JobId(made.batch.id + STRIDE * n) for n in range(number)]

    async def reasons(self, who: Principal) -> list[tuple[Reason, str]]:
        """Of the jobs of the last batch that wait."""
        asked = Request(operation=Find(selector=Of(self.batch.id), waits=True), principal=who)
        found = await handle(self.gateway.context, asked)
        assert isinstance(found, Found)
        return [(one.waits.reason, one.waits.text) for one in found.jobs if one.waits is not None]

    async def until(self, jobs: Sequence[JobId], state: JobState, number: int) -> None:
        """Returns when so many of them are in that state."""
        async with asyncio.timeout(30):
            while True:
                self._moved.clear()
                found = await self.gateway.store.read(lambda tx: tx.jobs.get(jobs))
                if sum(job.state is state for job, _ in found.values()) >= number:
                    return
                await self._moved.wait()

    async def most_at_once(self, jobs: Sequence[JobId]) -> int:
        """How many of them ran at the same moment."""
        found = await self.gateway.store.read(lambda tx: tx.jobs.get(jobs))
        moments: list[tuple[float, int]] = []
        for _, attempts in found.values():
            for attempt in attempts:
                assert attempt.state is AttemptState.ENDED
                assert attempt.started is not None
                assert attempt.ended is not None
                moments += [(attempt.started, 1), (attempt.ended, -1)]
        now = most = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most


def housed(folder: Path, body: Callable[[House], Awaitable[None]], **limits: float) -> None:
    async def whole() -> None:
        gateway = await app.start(settings(folder / "data", **limits))
        try:
            await body(House(gateway, folder))
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)

    asyncio.run(whole())


async def limit(folder: Path, quota: Quota) -> None:
    """As another process does it, as far as the gateway can tell."""
    desk = AccountDesk(folder / "data" / "jobgate.sqlite", "operator")
    await asyncio.to_thread(desk.limit, "lab", quota)


def test_over_two_environments_no_more_run_than_the_quota_and_each_end_starts_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_QUOTA_PACE", NEVER)  # nothing but an end wakes anybody

    async def body(house: House) -> None:
        lab, birds = await house.account("lab"), await house.account("birds")
        await limit(tmp_path, Quota(running=2))
        mine = await house.submit(lab, 3, waits=True)
        await house.until(mine, JobState.RUNNING, 2)
        assert await house.reasons(lab) == [(Reason.QUOTA, "lab holds 2 of its 2 running jobs")]
        assert house.gateway.context.snapshot().held == {lab.account: InUse(2, 2.0)}
        theirs = await house.submit(birds, 6, waits=False)
        await house.until(theirs, JobState.SUCCEEDED, 6)
        many = await house.submit(lab, 40, waits=False)
        house.go.touch()
        await house.until([*mine, *many], JobState.SUCCEEDED, 43)
        assert await house.most_at_once([*mine, *many]) <= 2

    housed(tmp_path, body)


def test_a_quota_of_cores_for_all_accounts_bounds_each_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_QUOTA_PACE", NEVER)

    async def body(house: House) -> None:
        lab, birds = await house.account("lab"), await house.account("birds")
        jobs = {who.name: await house.submit(who, 20, waits=False) for who in (lab, birds)}
        for mine in jobs.values():
            await house.until(mine, JobState.SUCCEEDED, 20)
            assert await house.most_at_once(mine) == 1

    housed(tmp_path, body, cores=1.5)


def test_a_quota_that_another_process_raises_lets_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_QUOTA_PACE", 0.02)

    async def body(house: House) -> None:
        lab = await house.account("lab")
        await limit(tmp_path, Quota(running=1))
        mine = await house.submit(lab, 3, waits=True)
        await house.until(mine, JobState.RUNNING, 1)
        assert [reason for reason, _ in await house.reasons(lab)] == [Reason.QUOTA] * 2
        await limit(tmp_path, Quota(running=2))
        await house.until(mine, JobState.RUNNING, 2)
        assert [text for _, text in await house.reasons(lab)] == ["lab holds 2 of its 2 running jobs"]
        await limit(tmp_path, Quota())
        await house.until(mine, JobState.RUNNING, 3)
        house.go.touch()
        await house.until(mine, JobState.SUCCEEDED, 3)

    housed(tmp_path, body)


def test_after_a_restart_the_jobs_that_still_run_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_QUOTA_PACE", NEVER)
    looks = asyncio.Semaphore(0)
    claim = Dispatch._claim  # noqa: SLF001  # a look at the queue is nothing that a commit tells of

    async def looked(self: Dispatch) -> object:
        found = await claim(self)
        looks.release()
        return found

    async def whole() -> None:
        gateway = await app.start(settings(tmp_path / "data", running=2))
        house = House(gateway, tmp_path)
        lab = await house.account("lab")
        mine = await house.submit(lab, 4, waits=True)
        await house.until(mine, JobState.RUNNING, 2)
        await app.stop_gateway(gateway)
        monkeypatch.setattr(Dispatch, "_claim", looked)
        again = House(await app.start(settings(tmp_path / "data", running=2)), tmp_path)
        try:
            again.batch = house.batch
            async with asyncio.timeout(30):
                await looks.acquire()  # an environment with room has looked
            assert again.gateway.context.snapshot().held == {lab.account: InUse(2, 2.0)}
            assert [reason for reason, _ in await again.reasons(lab)] == [Reason.QUOTA] * 2
            again.go.touch()
            await again.until(mine, JobState.SUCCEEDED, 4)
            assert await again.most_at_once(mine) == 2
            assert again.gateway.context.snapshot().held == {}
        finally:
            await app.stop_gateway(again.gateway, stop_jobs=True)

    asyncio.run(whole())
