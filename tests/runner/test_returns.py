"""Jobs claimed ahead of long ones are given back to the queue: with a reason, a place and their turn again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobgate import app
from jobgate.config import Egress, Environment, Server, Settings, Storage
from jobgate.model.account import Principal
from jobgate.model.attempt import LOG
from jobgate.model.events import GiveBack
from jobgate.model.facts import Attempts, Fact, rebuild
from jobgate.model.ids import AccountId
from jobgate.model.job import Argv, Batch, Job, JobSpec, Origin, Step
from jobgate.model.operations import Count, Group, Request, Submit, Until
from jobgate.model.outcomes import Counted, Submitted
from jobgate.model.state import AttemptState, JobState
from jobgate.operations.handle import handle
from jobgate.operations.waits import Look
from jobgate.runner import returns
from jobgate.runner.saver import Saver

LONG = 6
SHORT = JobSpec(steps=(Step(command=Argv(("true",))),))


def settings(data: Path, slots: int = 1) -> Settings:
    return Settings(
        server=Server(data=str(data), stop_jobs=True),
        storage=Storage(reserve=0),
        egress=Egress(),
        environments={"local": Environment(slots=slots, sandbox="none", cores=8)},
    )


def waits_at(gate: Path, word: str = "once") -> JobSpec:
    """It says the word, and ends when somebody writes to the gate."""
    return JobSpec(steps=(Step(command=Argv(("sh", "-c", f"echo {word}; read line < {gate}"))),))


class Gate:
    """Where jobs wait until so many may pass; each that does takes one line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._handle = os.open(path, os.O_RDWR)  # with both ends open nothing blocks and no line is lost

    def opens(self, jobs: int) -> None:
        os.write(self._handle, b"go\n" * jobs)

    def close(self) -> None:
        os.close(self._handle)


class House:
    """A gateway, and one account that asks it."""

    def __init__(self, gateway: app.Gateway, account: AccountId) -> None:
        self.gateway = gateway
        self.who = Principal(account=account, name="lab")

    async def ask(self, operation: Any, **more: Any) -> Any:
        return await handle(self.gateway.context, Request(operation=operation, principal=self.who, **more))

    async def submit(self, spec: JobSpec, count: int = 1, priority: int = 0) -> Batch:
        groups = (Group(spec, count=count),)
        made = await self.ask(Submit(groups=groups, origin=Origin(dialect="test"), priority=priority))
        assert isinstance(made, Submitted)
        return made.batch

    async def counted(self, batch: Batch, enough: Callable[[Counted], bool]) -> Counted:
        """The counts, as soon as they are enough: woken by changes."""
        version: int | None = None
        async with asyncio.timeout(60):
            while True:
                more = {} if version is None else {"until": Until.CHANGED, "within": 30.0, "seen": (version,)}
                seen = await self.ask(Count(batch.id), **more)
                assert isinstance(seen, Counted)
                if enough(seen):
                    return seen
                version = seen.version

    async def queued(self, batch: Batch, number: int) -> Counted:
        return await self.counted(batch, lambda seen: seen.counts.get(JobState.QUEUED, 0) == number)

    async def over(self, batch: Batch) -> list[tuple[Job, Attempts]]:
        await self.counted(batch, lambda seen: seen.state.over)
        return await self.gateway.store.read(lambda tx: list(tx.jobs.members(batch)))

    async def facts(self, job: Job) -> list[Fact]:
        return await self.gateway.store.read(lambda tx: tx.log.of(job.id))

    async def misled(self, gate: Gate, patch: pytest.MonkeyPatch) -> Batch:
        """Jobs that wait at the gate, after so many short ones that they are claimed ahead; and a node less patient."""
        await self.over(await self.submit(SHORT, 100))
        patch.setattr(returns, "PATIENCE", 0.05)
        return await self.submit(waits_at(gate.path), LONG)


def run(tmp_path: Path, body: Callable[[House, Gate], Awaitable[None]]) -> None:
    async def whole() -> None:
        gate = Gate(tmp_path / "gate")
        gateway = await app.start(settings(tmp_path / "data"))
        account = await gateway.store.write(lambda tx: tx.accounts.create("lab", 0.0))
        try:
            await body(House(gateway, AccountId(account.id)), gate)
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)
            gate.close()

    asyncio.run(whole())


def test_jobs_claimed_ahead_of_a_long_one_are_queued_again_and_say_why_they_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(house: House, gate: Gate) -> None:
        batch = await house.misled(gate, monkeypatch)
        await house.queued(batch, LONG - 1)
        context = house.gateway.context

        def look(tx: Any) -> list[Any]:
            waits = Look(tx, context, house.who)
            jobs = [job for job, _ in tx.jobs.members(batch) if job.state is JobState.QUEUED]
            return [waits.waits(job, tx.jobs.spec(job.spec)) for job in jobs]

        told = await house.gateway.store.read(look)
        assert [(one.reason, one.place) for one in told] == [
            ("busy", 1),
            *(("turn", place) for place in range(2, LONG)),
        ]
        gate.opens(LONG)
        for job, attempts in await house.over(batch):
            assert job.state is JobState.SUCCEEDED
            *given, last = attempts
            assert {one.state for one in given} <= {AttemptState.RETURNED}
            assert last.tried == 1
            assert last.logs[LOG].inline == b"once\n"
            facts = await house.facts(job)
            assert rebuild(facts) == (job, attempts)

    run(tmp_path, body)


def test_a_job_of_higher_rank_passes_those_that_were_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(house: House, gate: Gate) -> None:
        batch = await house.misled(gate, monkeypatch)
        await house.queued(batch, LONG - 1)
        urgent = await house.submit(SHORT, priority=9)
        gate.opens(1)
        ((job, _),) = await house.over(urgent)
        gate.opens(LONG - 1)
        starts = sorted(one.started or 0.0 for one, _ in await house.over(batch))
        assert starts[0] < (job.started or 0.0) < starts[1]

    run(tmp_path, body)


@pytest.mark.parametrize("saved", [True, False])
def test_a_gateway_that_is_gone_while_it_gives_back_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:  # a parameter of the test
    async def body() -> None:
        gate, recalled = Gate(tmp_path / "gate"), asyncio.Event()
        add = Saver.add

        def hears(self: Saver, job: Any, event: Any, *rest: Any, **more: Any) -> None:
            if isinstance(event, GiveBack):
                recalled.set()
                if not saved:
                    return
            add(self, job, event, *rest, **more)

        first = await app.start(settings(tmp_path / "data"))
        account = await first.store.write(lambda tx: tx.accounts.create("lab", 0.0))
        with monkeypatch.context() as patch:
            patch.setattr(Saver, "add", hears)
            house = House(first, AccountId(account.id))
            batch = await house.misled(gate, patch)
            async with asyncio.timeout(30):
                await recalled.wait()
            await app.stop_gateway(first)
        second = await app.start(settings(tmp_path / "data"))
        try:
            house = House(second, AccountId(account.id))
            gate.opens(LONG)
            for job, attempts in await house.over(batch):
                assert (job.state, sum(one.started is not None for one in attempts)) == (JobState.SUCCEEDED, 1)
                assert attempts[-1].logs[LOG].inline == b"once\n"
        finally:
            await app.stop_gateway(second, stop_jobs=True)
            gate.close()

    asyncio.run(body())


def test_without_a_job_beyond_the_slots_there_is_no_timer() -> None:
    hall, calls = SimpleNamespace(busy=False), list[Any]()
    way: Any = returns.Returns(SimpleNamespace(), hall, calls.append)  # type: ignore[arg-type]  # no more is asked
    way.watch()
    assert way._timer is None  # noqa: SLF001  # what it does not do can be seen nowhere else
