"""The asynchronous records with verbs: each awaits the coroutine that does it, and nothing else. For asyncio."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast

from jobgate.client import display, downloads, events, jobs, logs, submits, waiting
from jobgate.client.core import CORE, Core
from jobgate.client.downloads import Result
from jobgate.client.line import Line
from jobgate.client.options import Command, Draft
from jobgate.client.records import Asked, BatchRecord, Event, FileEntry, JobRecord


class AsyncFile:
    """A file that a job left: `read` it, or `save` it."""

    def __init__(self, line: Line, job: str, entry: FileEntry) -> None:
        self._line = line
        self.job = job
        self.entry = entry

    @property
    def path(self) -> str:
        """Where it lay in the workspace."""
        return self.entry.path

    @property
    def size(self) -> int:
        """In bytes."""
        return self.entry.size

    async def read(self) -> bytes:
        """All of it. Raises NotFound, Gone and Unreachable."""
        return await downloads.read(self._line, self.job, self.entry)

    async def save(self, to: str | os.PathLike[str] = ".") -> Path:
        """Writes it, whole or not at all: into a directory under its own last name, or to the path that is given."""
        return await downloads.save(self._line, self.job, self.entry, Path(to))

    def __repr__(self) -> str:
        return downloads.file_repr(self.entry)


class AsyncLog:
    """The lines that a job writes: iterate over them with `async for`, or await `text()` for all of it."""

    def __init__(self, line: Line, job: str, reading: logs.Reading) -> None:
        self._line = line
        self._job = job
        self._reading = reading

    def __aiter__(self) -> AsyncIterator[str]:
        return logs.lines(self._line, self._job, self._reading)

    async def text(self) -> str:
        """All of it, as one text."""
        return "".join([part async for part in self])

    def __repr__(self) -> str:
        return f"<Log of {self._job}>"


class AsyncJob(JobRecord, frozen=True, kw_only=True, dict=True):
    """A job as it stood when the server was asked, and what can be done with it.

    The server owns the work: losing this object, or ending Python, cancels nothing. `client.job(id)` finds it again.
    """

    @property
    def _core(self) -> Core[AsyncJob, AsyncBatch, AsyncFile]:
        core: Core[AsyncJob, AsyncBatch, AsyncFile] = vars(self)[CORE]
        return core

    async def refresh(self) -> AsyncJob:
        """The job as it stands now, with why it waits."""
        return await jobs.job(self._core, self.id)

    async def wait(self, timeout: float | None = None, *, progress: bool = False) -> AsyncJob:
        """The job when it is over, however it ended. Raises TimedOut; the job goes on."""
        return (await waited(self._core, (self,), timeout, progress=progress))[0]

    async def result(self, timeout: float | None = None, *, progress: bool = False) -> Result[AsyncJob, AsyncFile]:
        """Waits; then what it wrote and left. Raises JobFailed (the class says why) and TimedOut."""
        return await downloads.result(self._core, await self.wait(timeout, progress=progress))

    def logs(self, *, follow: bool = False, tail: int | None = None, attempt: int | None = None) -> AsyncLog:
        """What it writes, both streams in order. With `follow` until it is over, through lost connections."""
        return AsyncLog(self._core.line, self.id, logs.Reading(follow=follow, tail=tail, attempt=attempt))

    async def files(self) -> Mapping[str, AsyncFile]:
        """The files it left, by path."""
        return await downloads.files(self._core, self.id)

    async def download(self, to: str | os.PathLike[str]) -> list[Path]:
        """Writes its files below a directory, never outside it; those that are there and the same are left."""
        return await downloads.download(self._core, self, Path(to))

    def events(self, after: int = 0, *, follow: bool = True) -> AsyncIterator[Event]:
        """What happened to it, from its beginning; with `follow` until it is over."""
        return events.events(self._core.line, job=self.id, after=after, follow=follow)

    async def cancel(self, message: str = "") -> AsyncJob:
        """Asks for its end; returns when that is on disk, not when it has stopped. `wait` for that."""
        return await jobs.cancel_job(self._core, self.id, message)

    async def hold(self) -> AsyncJob:
        """Keeps it from starting until `release`. Raises Conflict if it has started."""
        return await jobs.change_job(self._core, self.id, jobs.Changes(hold=True))

    async def release(self) -> AsyncJob:
        """Lets it start again."""
        return await jobs.change_job(self._core, self.id, jobs.Changes(hold=False))

    async def retry(self) -> AsyncJob:
        """Another attempt under the same id. Raises Conflict if it has not failed."""
        return await jobs.retry_job(self._core, self.id)

    async def change(
        self, *, priority: int | None = None, name: str | None = None, labels: Mapping[str, str | None] | None = None
    ) -> AsyncJob:
        """Another priority, name or labels; a label of None goes. Raises Invalid and Conflict."""
        return await jobs.change_job(self._core, self.id, jobs.Changes(priority=priority, name=name, labels=labels))

    async def delete(self, *, force: bool = False) -> None:
        """Deletes it and its files. Raises Conflict while it is live; `force` stops it first."""
        await jobs.delete(self._core.line, self.id, force=force)


class AsyncBatch(BatchRecord, frozen=True, kw_only=True, dict=True):
    """The jobs of one request as they stood, and what can be done with them."""

    @property
    def _core(self) -> Core[AsyncJob, AsyncBatch, AsyncFile]:
        core: Core[AsyncJob, AsyncBatch, AsyncFile] = vars(self)[CORE]
        return core

    async def refresh(self) -> AsyncBatch:
        """The batch as it stands now."""
        return await jobs.batch(self._core, self.id)

    async def wait(self, timeout: float | None = None, *, progress: bool = False) -> AsyncBatch:
        """The batch when all its jobs are over, however they ended. Raises TimedOut; the batch goes on."""
        return (await waited(self._core, (self,), timeout, progress=progress))[0]

    def jobs(self, state: str | Sequence[str] = ()) -> AsyncIterator[AsyncJob]:
        """Its jobs in order of their numbers, fetched page by page."""
        return jobs.listed_jobs(self._core, jobs.filters(state=state, labels=None, batch=self.id))

    def as_completed(self, timeout: float | None = None, *, progress: bool = False) -> AsyncIterator[AsyncJob]:
        """Its jobs in the order in which they end."""
        return completed(self._core, (self,), timeout, progress=progress)

    async def download(self, to: str | os.PathLike[str]) -> list[Path]:
        """Writes the files of its jobs below a directory, each job's below its number."""
        return await downloads.download(self._core, self, Path(to))

    def events(self, after: int = 0, *, kinds: Sequence[str] = (), follow: bool = True) -> AsyncIterator[Event]:
        """What happened to its jobs, from the beginning; with `follow` until all are over."""
        return events.events(self._core.line, batch=self.id, kinds=kinds, after=after, follow=follow)

    async def cancel(self, message: str = "") -> Asked:
        """Asks for the end of all its jobs that are not over; says how many that are."""
        return await jobs.cancel_batch(self._core, self.id, message)

    async def hold(self) -> AsyncBatch:
        """Keeps its jobs from starting until `release`."""
        return await jobs.change_batch(self._core, self.id, jobs.Changes(hold=True))

    async def release(self) -> AsyncBatch:
        """Lets them start again."""
        return await jobs.change_batch(self._core, self.id, jobs.Changes(hold=False))

    async def retry(self, state: str = "failed") -> AsyncBatch:
        """Another attempt for its failed jobs, under their ids; the batch is open again."""
        return await jobs.retry_batch(self._core, self.id, state)

    async def change(
        self, *, priority: int | None = None, name: str | None = None, labels: Mapping[str, str | None] | None = None
    ) -> AsyncBatch:
        """Another priority, name or labels; a label of None goes. Raises Invalid and Conflict."""
        return await jobs.change_batch(self._core, self.id, jobs.Changes(priority=priority, name=name, labels=labels))

    async def fill(self, drafts: Iterable[Command | Draft]) -> AsyncBatch:
        """Puts jobs into it, if it was made empty: once, and all of them or none. Raises Invalid and Conflict."""
        return await submits.fill(self._core, self.id, drafts)

    async def renew(self, expires: datetime | None) -> AsyncBatch:
        """It is cancelled and retired then, or never. Raises Conflict once it is retired."""
        return await jobs.change_batch(self._core, self.id, jobs.Changes(expires=expires))

    async def retire(self) -> AsyncBatch:
        """Done with it: what is not over is asked to stop, and its files are deleted."""
        return await jobs.retire_batch(self._core, self.id)

    async def delete(self, *, force: bool = False) -> None:
        """Deletes it, its jobs and their files. Raises Conflict while one is live; `force` stops them first."""
        await jobs.delete(self._core.line, self.id, force=force)


JB = TypeVar("JB", AsyncJob, AsyncBatch, AsyncJob | AsyncBatch)


async def waited(
    core: Core[AsyncJob, AsyncBatch, AsyncFile], what: tuple[JB, ...], timeout: float | None, *, progress: bool
) -> list[JB]:
    """All of them, when each is over."""
    found = waiting.until_over(core, what, timeout, progress=progress)
    ended = display.shown_async(found, core.line.say, what, progress=progress)
    return cast("list[JB]", [record async for record in ended])  # each comes back as what it was


def completed(
    core: Core[AsyncJob, AsyncBatch, AsyncFile],
    what: tuple[AsyncJob | AsyncBatch, ...],
    timeout: float | None,
    *,
    progress: bool,
) -> AsyncIterator[AsyncJob]:
    """Jobs in the order in which they end."""
    found = waiting.as_completed(core, what, timeout, progress=progress)
    return display.shown_async(found, core.line.say, what, progress=progress)
