"""Inputs that a submit brings, and those that a job fetches itself: with a real gateway and a real web server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from websites import Server, ok

from jobgate import app
from jobgate.config import Egress, Environment, Settings, Storage
from jobgate.config import Server as Listening
from jobgate.model.account import Principal
from jobgate.model.errors import Invalid, NotFound, RequestError
from jobgate.model.files import Copied, FileRef, HostFile, Input, Output, Remote, StagedFile, UserFile
from jobgate.model.guard import Guard
from jobgate.model.ids import Digest, FolderId
from jobgate.model.job import Argv, Job, JobSpec, Origin, Step
from jobgate.model.limits import Limits
from jobgate.model.operations import Count, Find, Group, Operation, Request, Submit, Until
from jobgate.model.outcomes import JobView, Submitted
from jobgate.model.selectors import Of
from jobgate.model.state import Failure, JobState, Limit
from jobgate.model.storing import MakeFolder, PutEntry, Stage
from jobgate.operations.handle import handle

GUARD = Guard(scope="test", key="key", body=Digest("b" * 64))


class Site:
    """A gateway whose operator lets jobs have the files of one directory, and a web server."""

    def __init__(self, gateway: app.Gateway, server: Server, who: Principal, files: Path) -> None:
        self.gateway = gateway
        self.server = server
        self.who = who
        self.files = files

    async def ask(self, operation: Operation, **more: Any) -> Any:
        return await handle(self.gateway.context, Request(operation=operation, principal=self.who, **more))

    async def submit(self, *sources: FileRef, script: str = "cat in/*", **more: Any) -> Submitted:
        made: Submitted = await self.ask(_submit(sources, script, **more))
        return made

    async def ended(self, made: Submitted) -> JobView:
        ident = made.batch.id
        await self.ask(Count(ident), until=Until.ENDED, within=30.0)
        found = await self.ask(Find(selector=Of(ident)))
        view: JobView = found.jobs[0]
        return view

    async def said(self, made: Submitted) -> bytes:
        """What a job that ends well wrote."""
        view = await self.ended(made)
        assert view.job.state is JobState.SUCCEEDED, view.job.message
        (log,) = view.attempts[-1].logs.values()
        assert log.inline is not None
        return log.inline

    async def failed(self, made: Submitted) -> Job:
        view = await self.ended(made)
        assert view.job.state is JobState.FAILED
        return view.job

    async def counted(self) -> tuple[int, int]:
        """Jobs of the account, and blobs that nobody needs."""

        def look(tx: Any) -> tuple[int, int]:
            return sum(tx.jobs.owned(self.who.account).values()), len(tx.blobs.orphans(1e12, 100))

        return await self.gateway.store.read(look)


def _submit(sources: Sequence[FileRef], script: str, guard: Guard | None = None, **more: Any) -> Submit:
    inputs = tuple(Input(path=f"in/{place}", source=source) for place, source in enumerate(sources))
    spec = JobSpec(steps=(Step(command=Argv(("sh", "-c", script))),), inputs=inputs, **more)
    return Submit(groups=(Group(spec),), origin=Origin(dialect="test"), guard=guard)


def run(tmp_path: Path, body: Callable[[Site], Awaitable[None]]) -> None:
    async def whole() -> None:
        files = tmp_path / "files"
        files.mkdir()
        server = Server(lambda path: ok(path.encode()))
        async with server.up():
            settings = Settings(
                server=Listening(data=str(tmp_path / "data"), stop_jobs=True),
                storage=Storage(reserve=0, host_files=(str(files),)),
                egress=Egress(hosts={"files.test": f"127.0.0.1:{server.port}"}),
                environments={"local": Environment(slots=2, sandbox="none")},
                limits=Limits(input=100_000),
            )
            gateway = await app.start(settings)
            try:
                account = await gateway.store.write(lambda tx: tx.accounts.create("lab", 0.0))
                await body(Site(gateway, server, Principal(account=account.id, name="lab"), files))
            finally:
                await app.stop_gateway(gateway, stop_jobs=True)

    asyncio.run(whole())


def test_a_job_gets_what_its_files_were_when_it_was_submitted(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        (site.files / "h").write_text("host ")
        held = await site.gateway.storage.put(b"staged ", limit=None)
        await site.ask(Stage(files=(("s.dat", held),)))
        await site.ask(MakeFolder("sandbox"))
        box = await site.gateway.storage.put(b"boxed ", limit=None)
        await site.ask(PutEntry(folder="sandbox", name="b", content=box))
        sources = (
            HostFile("h"),
            StagedFile("s.dat"),
            UserFile(FolderId(0), "b", "sandbox"),
            Copied("http://files.test/copied"),
        )
        gate = site.files / "gate"
        made = await site.submit(*sources, script=f"until [ -e {gate} ]; do sleep 0.01; done; cat in/*")
        (site.files / "h").write_text("another")
        other = await site.gateway.storage.put(b"another ", limit=None)
        await site.ask(PutEntry(folder="sandbox", name="b", content=other))
        gate.touch()
        assert await site.said(made) == b"host staged boxed /copied"

    run(tmp_path, body)


def test_a_repeated_request_is_answered_without_copying_again(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        (site.files / "h").write_text("host")
        sources = (HostFile("h"), Copied("http://files.test/copied"))
        made = await site.submit(*sources, guard=GUARD)
        (site.files / "h").unlink()
        again = await site.submit(*sources, guard=GUARD)
        assert (again.batch.id, again.replayed) == (made.batch.id, True)
        assert len(site.server.requests) == 1

    run(tmp_path, body)


def test_many_jobs_that_name_one_file_copy_it_once(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        one = _submit((Copied("http://files.test/a"), HostFile("h")), "true").groups[0].spec
        (site.files / "h").write_text("host")
        groups = (Group(one, 3), Group(one, 2), Group(one, 4, lambda _: one))
        made = await site.ask(Submit(groups=groups, origin=Origin(dialect="test"), held=True))
        assert made.batch.count == 9
        assert len(site.server.requests) == 1

    run(tmp_path, body)


def test_specs_that_are_made_later_bring_their_own_files(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        def each(place: int) -> JobSpec:
            return _submit((Copied(f"http://files.test/{place}"),), "cat in/0").groups[0].spec

        made = await site.ask(Submit(groups=(Group(each(0), 3, each),), origin=Origin(dialect="test")))
        assert await site.said(made) == b"/0"
        assert sorted(line.split()[1] for line in site.server.requests) == [b"/0", b"/1", b"/2"]

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (HostFile("none"), "host-file"),
        (Copied("http://unknown.test/"), "copy-failed"),
        (StagedFile("none"), "file-not-found"),
        (UserFile(FolderId(0), "none", "sandbox"), "file-not-found"),
    ],
)
def test_one_file_that_cannot_be_had_refuses_the_whole_and_what_was_copied_is_nobodys(
    tmp_path: Path, source: FileRef, code: str
) -> None:
    async def body(site: Site) -> None:
        (site.files / "h").write_text("host")
        with pytest.raises((Invalid, NotFound)) as refused:
            await site.submit(HostFile("h"), source)
        assert refused.value.code == code
        assert await site.counted() == (0, 1 if source != HostFile("none") else 0)

    run(tmp_path, body)


def test_nothing_is_copied_for_more_jobs_than_an_account_may_have(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        one = _submit((Copied("http://files.test/a"),), "true").groups[0].spec
        with pytest.raises(RequestError):
            await site.ask(Submit(groups=(Group(one, 1_000_000), Group(one)), origin=Origin(dialect="test")))
        assert site.server.requests == []

    run(tmp_path, body)


RIGHT = {"size": 5, "md5": hashlib.md5(b"/file").hexdigest()}  # noqa: S324  # what the contract compares by


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"md5": "0" * 32, "size": 5}, "MD5"),
        ({"md5": RIGHT["md5"], "size": 6}, "5 bytes, not 6"),
        ({"digest": "0" * 64}, "SHA-256"),
    ],
)
def test_a_fetched_input_that_is_not_what_was_said_is_a_failure_of_the_job(
    tmp_path: Path, more: dict[str, Any], says: str
) -> None:
    async def body(site: Site) -> None:
        job = await site.failed(await site.submit(Remote("http://files.test/file", **more)))
        assert job.failure is Failure.INPUT
        assert says in job.message

    run(tmp_path, body)


def test_a_fetched_input_that_is_what_was_said_is_there(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        digest = hashlib.sha256(b"/file").hexdigest()
        remote = Remote("http://files.test/file", digest=digest, **RIGHT)  # type: ignore[arg-type]  # a digest is a text
        assert await site.said(await site.submit(remote)) == b"/file"

    run(tmp_path, body)


def test_an_output_over_its_limit_fails_the_job_and_the_others_are_kept(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        outputs = (Output(path="small", limit=5), Output(path="large", limit=4, required=True))
        made = await site.submit(script="printf 12345 | tee small > large", outputs=outputs)
        view = await site.ended(made)
        assert (view.job.failure, view.job.limit) == (Failure.LIMIT, Limit.OUTPUT)
        assert view.job.message == "it left more than it may: large (4 bytes at most)"
        assert [file.path for file in view.attempts[-1].outputs] == ["small"]

    run(tmp_path, body)
