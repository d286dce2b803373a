"""Every outcome an operation can have, as samples: each job state, each failure and limit, few jobs and many."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from itertools import product
from typing import Any, Final

from msgspec.structs import replace

from jobgate.model.account import Account
from jobgate.model.allowance import InUse
from jobgate.model.attempt import LOG, Attempt, AttemptId, Exit, Usage
from jobgate.model.catalogue import App, Catalogue, Image
from jobgate.model.estimate import Span
from jobgate.model.files import Artifact, Inline, Input, Output, OutputKind, Packed, Remote, Stored
from jobgate.model.folder import Entry, Folder, FolderKind
from jobgate.model.ids import (
    STRIDE,
    AccountId,
    BatchId,
    Digest,
    EnvironmentName,
    FolderId,
    JobId,
    JobName,
    SpecId,
)
from jobgate.model.job import Argv, Batch, Host, ImageRef, Job, JobSpec, Origin, Script, Step
from jobgate.model.limits import Limits
from jobgate.model.operations import (
    Archive,
    Cancel,
    Change,
    Count,
    Delete,
    Describe,
    Estimate,
    Find,
    FindBatches,
    Load,
    Members,
    Operation,
    Programs,
    Read,
    ReadLog,
    Renew,
    Retire,
    Retry,
    Submit,
    Write,
)
from jobgate.model.outcomes import (
    Alike,
    Archived,
    Changed,
    Content,
    Counted,
    Deleted,
    Described,
    Estimated,
    Found,
    FoundBatches,
    JobView,
    Loaded,
    Log,
    Offered,
    Outcome,
    Portion,
    Streamed,
    Submitted,
    Written,
)
from jobgate.model.queue import Reason
from jobgate.model.state import AttemptState, Failure, JobState, Limit
from jobgate.model.storing import (
    Append,
    ArchiveBatch,
    AskStaged,
    DropEntry,
    DropFolder,
    Dropped,
    Entries,
    Files,
    FindFolder,
    FindUpload,
    Folders,
    Gathered,
    Holding,
    ListEntries,
    ListFiles,
    ListFolders,
    MakeFolder,
    OpenedLog,
    OpenLog,
    PutEntry,
    ReadEntry,
    Stage,
    Staged,
    Uploaded,
)
from jobgate.model.waits import Offer, Waits
from jobgate.testing import event_outcomes, place_outcomes, webhook_outcomes

NOW: Final = 1_760_000_000.0
FIRST: Final = 0x0123_4567_89AB_0040
"""Number of the first job of every sample."""
DIGEST: Final = Digest("ab" * 32)
OWNER: Final = AccountId(7)
MISSING: Final = ("j1", "\x00\u202e", "<job>")
"""Names that were asked for and are none; a dialect may have to repeat them."""


def jobs() -> Iterator[Job]:
    """A job in each state; failed in each way, at each limit."""
    for state in JobState:
        if state is not JobState.FAILED:
            yield job(state)
    for failure in Failure:
        yield job(JobState.FAILED, failure=failure)
    for limit in Limit:
        yield job(JobState.FAILED, failure=Failure.LIMIT, limit=limit)


def job(state: JobState, *, failure: Failure | None = None, limit: Limit | None = None) -> Job:
    """One job in that state."""
    begun = state not in (JobState.HELD, JobState.QUEUED, JobState.STAGING_IN)
    return Job(
        id=JobId(FIRST),
        batch=BatchId(FIRST),
        owner=OWNER,
        spec=SpecId(1),
        state=state,
        created=NOW - 100.0,
        started=NOW - 50.0 if begun else None,
        ended=NOW - 1.0 if state.over else None,
        failure=failure,
        limit=limit,
        message="it broke" if failure is Failure.ENGINE else "",
        exit_code=3 if failure is Failure.PROGRAM else 0 if state is JobState.SUCCEEDED else None,
        canonical=1 if state is JobState.SUCCEEDED else None,
        progress=0.5 if begun else 0.0,
        version=4,
    )


def batch(origin: Origin, count: int = 1) -> Batch:
    """What the sample jobs share."""
    return Batch(
        id=BatchId(FIRST), owner=OWNER, count=count, origin=origin, created=NOW - 100.0, labels={"tag": "t"}, name="n"
    )


def attempt(of: Job) -> Attempt:
    """The one attempt of a sample job that has begun."""
    return Attempt(
        id=AttemptId(of.batch, of.id, 1),
        state=AttemptState.ENDED if of.state.over else AttemptState.RUNNING,
        environment=EnvironmentName("local"),
        created=NOW - 60.0,
        started=of.started,
        ended=of.ended,
        exit=Exit(0) if of.state is JobState.SUCCEEDED else None,
        usage=Usage(1.5, 2.5, 4096),
        outputs=(Artifact("a b/ü?#%.txt", DIGEST, 12), Artifact("x", DIGEST, 0, inline=b"")) if of.state.over else (),
        logs={LOG: Artifact(LOG, DIGEST, 5)},
    )


SPECS: Final = (
    JobSpec(
        steps=(Step(command=Argv(("sh", "-c", "true")), program=ImageRef("busybox")),),
        outputs=(Output(path="output", kind=OutputKind.DIRECTORY),),
    ),
    JobSpec(
        steps=(Step(command=Script("#!/bin/sh\n"), program=Host()), Step(command=Argv(("a b", "c")))),
        inputs=(
            Input(path="i", source=Inline(b"\xff")),
            Input(path="s", source=Stored(DIGEST, 3)),
            Input(path="r", source=Remote(url="https://example.org/r", size=1)),
        ),
        outputs=(Output(path="o"), Output(path="p")),
    ),
)
"""A plain one, and one that no other dialect may be able to express."""


def view(of: Job, origin: Origin, spec: JobSpec = SPECS[0]) -> JobView:
    """A sample job with all that belongs to it."""
    attempts = (attempt(of),) if of.started is not None else ()
    return JobView(job=of, batch=batch(origin), spec=spec, attempts=attempts)


def _submitted(origin: Origin) -> Iterator[Outcome]:
    yield submitted(batch(origin), job(JobState.QUEUED))
    yield submitted(batch(origin), job(JobState.SUCCEEDED), replayed=True)
    yield submitted(batch(origin), replayed=True)
    yield submitted(batch(origin, 3), *(replace(job(JobState.HELD), id=JobId(FIRST + i * STRIDE)) for i in range(3)))
    yield submitted(batch(origin, 2000))


def submitted(made: Batch, *jobs: Job, replayed: bool = False) -> Submitted:
    """A batch that was submitted, with those of its jobs that are told one by one."""
    counts = {state: sum(one.state is state for one in jobs) for state in {one.state for one in jobs}}
    counted = Counted(batch=made, counts=counts or {JobState.QUEUED: made.count}, version=made.count)
    return Submitted(batch=made, counted=counted, jobs=jobs, replayed=replayed)


def _found(origin: Origin) -> Iterator[Outcome]:
    for why in waits():
        yield Found(jobs=(replace(view(job(JobState.QUEUED), origin), waits=why),))
    for one in jobs():
        for whence in (origin, Origin(dialect="another")):
            for spec in SPECS:
                yield Found(jobs=(view(one, whence, spec),))
    many = tuple(view(one, origin) for one in jobs())
    yield Found(jobs=many, missing=MISSING, more=JobId(FIRST))
    yield Found(jobs=(), missing=MISSING)


def _counted(origin: Origin) -> Iterator[Outcome]:
    yield from _stands(origin)


def _stands(origin: Origin) -> Iterator[Counted]:
    name = JobName(BatchId(FIRST), JobId(FIRST))
    alike = Alike(failure=Failure.PROGRAM, exit_code=3, count=2, such_as=name, last_line="no\ufffd")
    yield Counted(batch=batch(origin, 9), counts=dict.fromkeys(JobState, 1), version=40, started=NOW, ended=NOW)
    for why in waits():
        yield Counted(batch=batch(origin, 9), counts={JobState.QUEUED: 9}, waits=why)
    yield Counted(batch=batch(origin), counts={}, failures=(alike, Alike(failure=None, count=1, such_as=name)))


def _found_batches(origin: Origin) -> Iterator[Outcome]:
    yield FoundBatches(batches=tuple(_stands(origin)), more=BatchId(FIRST))
    yield FoundBatches(batches=())


def _changed(origin: Origin) -> Iterator[Outcome]:
    every = tuple(jobs())
    counts = dict.fromkeys(JobState, 1)
    yield Changed(done=every, unchanged=every, missing=MISSING, states=counts, same=len(every))
    yield Changed(done=(), missing=MISSING)
    for one in every:
        yield Changed(done=(one,), states={one.state: 1}, shown=view(one, origin))
        yield Changed(done=(), unchanged=(one,), same=1, shown=view(one, origin))
    for stands in _stands(origin):
        yield Changed(done=every, states=counts, shown=stands)


def _deleted(origin: Origin) -> Iterator[Outcome]:
    del origin
    first, second = (JobName(BatchId(FIRST), JobId(FIRST + i * STRIDE)) for i in range(2))
    yield Deleted(jobs=(first,), stopping=(second,), missing=MISSING)
    yield Deleted(jobs=(), missing=MISSING)


def _content(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Content(artifact=Artifact("a/ü", DIGEST, 3), name="ü")
    yield Content(artifact=Artifact("e", DIGEST, 0, inline=b""), name='e"\r\n')


def _archived(origin: Origin) -> Iterator[Outcome]:
    del origin
    files = tuple(Packed(f"../{artifact.path}", artifact) for artifact in attempt(job(JobState.SUCCEEDED)).outputs)
    yield Archived(name="j.zip", files=files, modified=NOW)
    yield Archived(name='e"\r\n', files=(), modified=0.0, fold_case=True)


def _log(origin: Origin) -> Iterator[Outcome]:
    del origin
    for content in (b"", b"hello\n", b"\xff\xfe", "ü€𝄞".encode()[:-1]):
        yield Log(job=job(JobState.RUNNING), offset=0, content=content, complete=False)
        yield Log(job=job(JobState.SUCCEEDED), offset=9, content=content, complete=True)


def _written(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Written(digest=DIGEST, size=3, fresh=True)
    yield Written(digest=DIGEST, size=0, fresh=False)


def _described(origin: Origin) -> Iterator[Outcome]:
    del origin
    account = Account(id=OWNER, name="n", created=NOW)
    yield Described(account=account, counts=dict.fromkeys(JobState, 2), live=12, stored=3, usage=0.25)
    yield Described(account=account, counts={}, scopes=frozenset(), limits=Limits(storage=9, calls=0.5))
    bounded = Limits(running=8, cores=2.5)
    yield Described(account=account, counts={JobState.RUNNING: 2}, held=InUse(2, 1.75), limits=bounded)


def _offered(origin: Origin) -> Iterator[Outcome]:
    del origin
    app = App(name="a\u202e", title="t", image="i", licence=True, licence_url="https://example.org/", charge=2.0)
    yield Offered(Catalogue({app.name: app, "b": App(name="b")}, {"i": Image(name="i", root="/srv/i")}))
    yield Offered(Catalogue())


def _files(origin: Origin) -> Iterator[Outcome]:
    del origin
    of = job(JobState.SUCCEEDED)
    files = tuple(Packed(f"out/{artifact.path}", artifact) for artifact in attempt(of).outputs)
    yield Files(job=of, files=files, more=2)
    yield Files(job=of, files=())


async def _nothing() -> AsyncGenerator[Any, None]:
    return
    yield


def _gathered(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Gathered(name='b"\r\n.zip', bundles=_nothing())


def _opened(origin: Origin) -> Iterator[Outcome]:
    del origin
    for state, size in product((JobState.QUEUED, JobState.RUNNING, JobState.FAILED), (0, 9)):
        for offset, truncated in product((0, size), (False, True)):
            yield OpenedLog(
                job=job(state),
                attempt=None if state is JobState.QUEUED else 1,
                offset=offset,
                end=size,
                size=size,
                complete=state.over,
                truncated=truncated,
                length=size - offset if state.over else None,
                digest=DIGEST if state.over else None,
                pieces=_nothing(),
            )


def _uploaded(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Uploaded(digest=DIGEST, offset=3, length=9, complete=False)
    for fresh in (True, False):
        yield Uploaded(digest=DIGEST, offset=9, length=9, complete=True, fresh=fresh)


def _entries(origin: Origin) -> Iterator[Outcome]:
    del origin
    names = ("a b/ü?#%&.txt", "x")
    entries = tuple(
        Entry(folder=FolderId(1), name=name, digest=DIGEST, size=3, used=NOW, expires=expires)
        for name, expires in zip(names, (None, NOW + 1.0), strict=True)
    )
    yield Entries(entries=entries, more=True)
    yield Entries(entries=())


def _folders(origin: Origin) -> Iterator[Outcome]:
    del origin
    folder = Folder(id=FolderId(1), owner=OWNER, kind=FolderKind.FILES, name="ü?#%&")
    held = Holding(folder=folder, created=NOW, files=2, size=5)
    for more, fresh in product((True, False), (True, False)):
        yield Folders(folders=(held,), more=more, fresh=fresh)


def _staged(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Staged(absent=(0, 2))
    yield Staged()


def _streamed(origin: Origin) -> Iterator[Outcome]:
    stands = Counted(batch=batch(origin, 2), counts={JobState.QUEUED: 2})
    every = tuple(view(one, origin, spec) for one in jobs() for spec in SPECS)

    async def portions(*some: Portion) -> AsyncGenerator[Portion, None]:
        for one in some:
            yield one

    yield Streamed(at=NOW, portions=portions())
    yield Streamed(at=NOW, portions=portions(Portion(stands, (), begins=True)))
    yield Streamed(
        at=NOW,
        portions=portions(Portion(stands, every[:1], begins=True, total=len(every)), Portion(stands, every[1:])),
    )


def _dropped(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Dropped()


def _estimated(origin: Origin) -> Iterator[Outcome]:
    del origin
    span, name = Span(2.0, 1.0, 4.0, 9), EnvironmentName("local")
    yield Estimated(environment=name, start=span, run=span, end=span, cost=span)
    yield Estimated(environment=name, start=None, run=None, end=None, cost=None)


def waits() -> Iterator[Waits]:
    """Why a job may wait: each reason, with a place, an estimate and environments, and without."""
    offer = Offer(name=EnvironmentName("local"), fits=True, free=0, slots=2, blocks=Reason.BUSY, text="local is busy")
    for reason in Reason:
        yield Waits(
            reason=reason, text="t", clears="c", place=3, starts=Span(2.0, 1.0, 4.0, 9), environments=(offer, offer)
        )
        yield Waits(reason=reason, text="t", clears="c")


SAMPLES: Final[Mapping[type[Any], Callable[[Origin], Iterator[Outcome]]]] = {
    Submit: _submitted,
    Find: _found,
    FindBatches: _found_batches,
    Count: _counted,
    Cancel: _changed,
    Retry: _changed,
    Change: _changed,
    Delete: _deleted,
    Read: _content,
    Archive: _archived,
    ReadLog: _log,
    Members: _streamed,
    Load: lambda _: iter((Loaded(waiting=3, running=0),)),
    Renew: _counted,
    Retire: _counted,
    Stage: _staged,
    AskStaged: _staged,
    Write: _written,
    Describe: _described,
    Programs: _offered,
    Estimate: _estimated,
    ListFiles: _files,
    ArchiveBatch: _gathered,
    OpenLog: _opened,
    FindUpload: _uploaded,
    Append: _uploaded,
    ListEntries: _entries,
    ReadEntry: _content,
    DropEntry: _dropped,
    ListFolders: _folders,
    MakeFolder: _folders,
    FindFolder: _folders,
    DropFolder: _dropped,
    PutEntry: _written,
    **place_outcomes.SAMPLES,
    **webhook_outcomes.SAMPLES,
    **event_outcomes.SAMPLES,
}


def outcomes(operation: Operation, origin: Origin) -> Iterator[Outcome]:
    """What can come of it; jobs bear `origin`, the dialect's own, or another's."""
    yield from SAMPLES[type(operation)](origin)
