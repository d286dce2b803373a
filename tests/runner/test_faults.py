"""One whole job life, with an error at the n-th transaction, for every n; and a disk that is full."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from jobgate import app
from jobgate.config import Egress, Environment, Server, Settings, Storage
from jobgate.engines.engine import Start
from jobgate.engines.local.run import LocalEngine
from jobgate.files.disk import Disk
from jobgate.files.storage import Source
from jobgate.files.workspace import Workspace
from jobgate.model.account import Principal
from jobgate.model.attempt import AttemptId, Handle
from jobgate.model.errors import EngineError, Unavailable
from jobgate.model.facts import Attempts, rebuild
from jobgate.model.files import Inline, Input, Output, OutputKind, Stored
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import Argv, Job, JobSpec, Origin, Step
from jobgate.model.operations import Count, Group, Request, Submit, Until
from jobgate.model.outcomes import Submitted
from jobgate.model.state import Failure, JobState
from jobgate.operations.handle import handle
from jobgate.runner import collect, dispatch, saver, world
from jobgate.store.sqlite import SqliteStore

SPEC = JobSpec(
    steps=(Step(command=Argv(("sh", "-c", "cat in; echo out > out/file"))),),
    inputs=(Input(path="in", source=Inline(b"hello\n")),),
    outputs=(Output(path="out", kind=OutputKind.DIRECTORY),),
)
ONE = Submit(groups=(Group(SPEC),), origin=Origin(dialect="test"))


def settings(data: Path) -> Settings:
    return Settings(
        server=Server(data=str(data), stop_jobs=True),
        storage=Storage(reserve=0),
        egress=Egress(),
        environments={"local": Environment(slots=2, sandbox="none")},
    )


async def life(data: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int) -> int:
    """Submits one job and waits for its end; how many transactions that took."""
    calls = 0
    begin = SqliteStore._begin  # noqa: SLF001  # the one place where every transaction begins

    def begins(self: SqliteStore, connection: sqlite3.Connection) -> None:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise sqlite3.OperationalError("disk I/O error")
        begin(self, connection)

    gateway = await app.start(settings(data))
    try:
        account = await gateway.store.write(lambda tx: tx.accounts.create("lab", 0.0))
        who = Principal(account=AccountId(account.id), name="lab")
        monkeypatch.setattr(SqliteStore, "_begin", begins)
        try:
            made = await handle(gateway.context, Request(operation=ONE, principal=who))
        except Unavailable:
            monkeypatch.setattr(SqliteStore, "_begin", begin)
            assert (await gateway.store.read(lambda tx: tx.jobs.owned(account.id))) == {}
            return calls
        assert isinstance(made, Submitted)
        counted = Request(operation=Count(made.batch.id), principal=who, until=Until.ENDED, within=30.0)
        await handle(gateway.context, counted)
        monkeypatch.setattr(SqliteStore, "_begin", begin)
        job = made.jobs[0].id
        facts = await gateway.store.read(lambda tx: tx.log.of(job))
        row = (await gateway.store.read(lambda tx: tx.jobs.get([job])))[job]
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
        assert rebuild(facts) == row
        assert row[0].state is JobState.SUCCEEDED
        assert len(row[1]) == 1
        assert [(a.path, a.inline) for a in row[1][0].outputs] == [("file", b"out\n")]
        return calls
    finally:
        await app.stop_gateway(gateway, stop_jobs=True)


def test_an_error_at_any_transaction_of_a_jobs_life_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saver, "PATIENCE", 0.01)
    monkeypatch.setattr(world, "PATIENCE", 0.01)
    most = asyncio.run(life(tmp_path / "0", monkeypatch, 0))
    assert most >= 4
    for n in range(1, most + 1):
        asyncio.run(life(tmp_path / str(n), monkeypatch, n))


async def ran(gateway: app.Gateway, work: Submit) -> tuple[Job, Attempts]:
    """A new account's one job, when it is over."""
    account = await gateway.store.write(lambda tx: tx.accounts.create("lab", 0.0))
    who = Principal(account=AccountId(account.id), name="lab")
    made = await handle(gateway.context, Request(operation=work, principal=who))
    assert isinstance(made, Submitted)
    counted = Request(operation=Count(made.batch.id), principal=who, until=Until.ENDED, within=30.0)
    await handle(gateway.context, counted)
    (job,) = made.jobs
    return (await gateway.store.read(lambda tx: tx.jobs.get([job.id])))[job.id]


@pytest.mark.parametrize("refused", [5, None])
def test_an_engine_that_is_away_uses_up_no_try_and_not_more_than_the_time_for_staging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    monkeypatch.setattr(dispatch, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(dispatch, "_LONGEST_PAUSE", 0.01)
    calls = 0
    submit = LocalEngine.submit

    async def away(self: LocalEngine, starts: Sequence[Start]) -> Mapping[AttemptId, Handle | EngineError]:
        nonlocal calls
        calls += 1
        if refused is None or calls <= refused:
            raise EngineError("nobody is there", retryable=True)
        return await submit(self, starts)

    async def body() -> None:
        place = Environment(slots=2, sandbox="none", longest_staging=60.0 if refused else 0.2)
        gateway = await app.start(msgspec.structs.replace(settings(tmp_path / "data"), environments={"local": place}))
        try:
            monkeypatch.setattr(LocalEngine, "submit", away)
            job, attempts = await ran(gateway, ONE)
            down = gateway.context.snapshot().places[EnvironmentName("local")].down
            assert (down is None) is (refused is not None), "told as long as it is so, and no longer"
            if refused:
                assert (job.state, len(attempts), calls) == (JobState.SUCCEEDED, 1, refused + 1)
            else:
                assert (job.state, job.failure, job.message) == (JobState.FAILED, Failure.ENGINE, "nobody is there")
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)

    asyncio.run(body())


@pytest.mark.parametrize("until", [7, None])
def test_outputs_wait_for_a_full_disk_as_long_as_staging_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: int | None
) -> None:
    monkeypatch.setattr(collect, "_PAUSE", 0.001)
    monkeypatch.setattr(collect, "_LONGEST_PAUSE", 0.01)
    tries = 0
    put = Disk.put_all

    async def full(self: Disk, sources: Sequence[Source], *, limit: int | None) -> list[Stored]:
        nonlocal tries
        tries += 1
        if until is None or tries < until:
            raise Unavailable("the storage is full", code="storage-full")
        return await put(self, sources, limit=limit)

    spec = msgspec.structs.replace(SPEC, steps=(Step(command=Argv(("sh", "-c", "head -c 100000 /dev/zero > out/f"))),))

    async def body() -> None:
        place = Environment(slots=1, sandbox="none", longest_staging=60.0 if until else 0.2)
        gateway = await app.start(msgspec.structs.replace(settings(tmp_path / "data"), environments={"local": place}))
        try:
            monkeypatch.setattr(Disk, "put_all", full)
            one = Submit(groups=(Group(spec),), origin=Origin(dialect="test"))
            job, attempts = await ran(gateway, one)
            if until:
                assert (job.state, tries) == (JobState.SUCCEEDED, until)
                assert [artifact.size for artifact in attempts[0].outputs] == [100_000]
            else:
                assert (job.state, job.failure, job.exit_code) == (JobState.FAILED, Failure.OUTPUT, 0)
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)

    asyncio.run(body())


def test_a_workspace_that_cannot_be_made_now_is_made_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_FIRST_PAUSE", 0.001)
    made_of = Workspace.create
    tries = 0

    def create(self: Workspace) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise OSError(28, "No space left on device")
        made_of(self)

    monkeypatch.setattr(Workspace, "create", create)

    async def body() -> None:
        gateway = await app.start(settings(tmp_path / "data"))
        try:
            one = Submit(
                groups=(Group(JobSpec(steps=(Step(command=Argv(("true",))),))),), origin=Origin(dialect="test")
            )
            job, attempts = await ran(gateway, one)
            assert (job.state, len(attempts), tries) == (JobState.SUCCEEDED, 1, 4)
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)

    asyncio.run(body())


def test_a_full_storage_refuses_uploads_and_new_work_and_says_so(tmp_path: Path) -> None:
    async def body() -> None:
        huge = Settings(
            server=Server(data=str(tmp_path / "data"), stop_jobs=True),
            storage=Storage(reserve=1 << 60),
            environments={"local": Environment(slots=1, sandbox="none", disk=1 << 30)},
        )
        gateway = await app.start(huge)
        try:
            assert gateway.front.ready() == "the storage is full"
            with pytest.raises(Unavailable) as refused:
                await gateway.storage.put(b"x", limit=None)
            assert refused.value.code == "storage-full"
            who = Principal(account=AccountId(1), name="lab")
            with pytest.raises(Unavailable) as refused:
                await handle(gateway.context, Request(operation=ONE, principal=who))
            assert refused.value.code == "storage-full"
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)

    asyncio.run(body())
