"""The synchronous records with verbs: each runs the coroutine that the asynchronous ones await, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar, cast

from jobgate.client import display, downloads, events, jobs, logs, submits, waiting
from jobgate.client.core import CORE, Core
from jobgate.client.downloads import Result
from jobgate.client.html import block
from jobgate.client.line import Line
from jobgate.client.listing import SHOWN, Jobs
from jobgate.client.options import Command, Draft
from jobgate.client.records import Asked, BatchRecord, Event, FileEntry, JobRecord
from jobgate.client.thread import each, run


class File:
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

    def read(self) -> bytes:
        """All of it. Raises NotFound, Gone and Unreachable."""
        return run(downloads.read(self._line, self.job, self.entry))

    def save(self, to: str | os.PathLike[str] = ".") -> Path:
        """Writes it, whole or not at all: into a directory under its own last name, or to the path that is given."""
        return run(downloads.save(self._line, self.job, self.entry, Path(to)))

    def __repr__(self) -> str:
        return downloads.file_repr(self.entry)


class Log:
    """The lines that a job writes: iterate over them, or take `str(log)` for the text as a whole."""

    def __init__(self, line: Line, job: str, reading: logs.Reading) -> None:
        self._line = line
        self._job = job
        self._reading = reading

    def __iter__(self) -> Iterator[str]:
        return each(logs.lines(self._line, self._job, self._reading))

    def __str__(self) -> str:
        return "".join(self)

    def __repr__(self) -> str:
        return f"<Log of {self._job}>"

    def _repr_html_(self) -> str:
        return block(str(self))


class Job(JobRecord, frozen=True, kw_only=True, dict=True):
    """A job as it stood when the server was asked, and what can be done with it.

    The server owns the work: losing this object, or ending Python, cancels nothing. `client.job(id)` finds it again.
    """

    @property
    def _core(self) -> Core[Job, Batch, File]:
        core: Core[Job, Batch, File] = vars(self)[CORE]
        return core

    def refresh(self) -> Job:
        """The job as it stands now, with why it waits."""
        return run(jobs.job(self._core, self.id))

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> Job:
        """The job when it is over, however it ended. Raises TimedOut; the job goes on."""
        return waited(self._core, (self,), timeout, progress=progress)[0]

    def result(self, timeout: float | None = None, *, progress: bool = False) -> Result[Job, File]:
        """Waits; then what it wrote and left. Raises JobFailed (the class says why) and TimedOut."""
        return run(downloads.result(self._core, self.wait(timeout, progress=progress)))

    def logs(self, *, follow: bool = False, tail: int | None = None, attempt: int | None = None) -> Log:
        """What it writes, both streams in order. With `follow` until it is over, through lost connections."""
        return Log(self._core.line, self.id, logs.Reading(follow=follow, tail=tail, attempt=attempt))

    def files(self) -> Mapping[str, File]:
        """The files it left, by path."""
        return run(downloads.files(self._core, self.id))

    def download(self, to: str | os.PathLike[str]) -> list[Path]:
        """Writes its files below a directory, never outside it; those that are there and the same are left."""
        return run(downloads.download(self._core, self, Path(to)))

    def events(self, after: int = 0, *, follow: bool = True) -> Iterator[Event]:
        """What happened to it, from its beginning; with `follow` until it is over."""
        return each(events.events(self._core.line, job=self.id, after=after, follow=follow))

    def cancel(self, message: str = "") -> Job:
        """Asks for its end; returns when that is on disk, not when it has stopped. `wait` for that."""
        return run(jobs.cancel_job(self._core, self.id, message))

    def hold(self) -> Job:
        """Keeps it from starting until `release`. Raises Conflict if it has started."""
        return run(jobs.change_job(self._core, self.id, jobs.Changes(hold=True)))

    def release(self) -> Job:
        """Lets it start again."""
        return run(jobs.change_job(self._core, self.id, jobs.Changes(hold=False)))

    def retry(self) -> Job:
        """Another attempt under the same id. Raises Conflict if it has not failed."""
        return run(jobs.retry_job(self._core, self.id))

    def change(
        self, *, priority: int | None = None, name: str | None = None, labels: Mapping[str, str | None] | None = None
    ) -> Job:
        """Another priority, name or labels; a label of None goes. Raises Invalid and Conflict."""
        return run(jobs.change_job(self._core, self.id, jobs.Changes(priority=priority, name=name, labels=labels)))

    def delete(self, *, force: bool = False) -> None:
        """Deletes it and its files. Raises Conflict while it is live; `force` stops it first."""
        run(jobs.delete(self._core.line, self.id, force=force))


class Batch(BatchRecord, frozen=True, kw_only=True, dict=True):
    """The jobs of one request as they stood, and what can be done with them."""

    @property
    def _core(self) -> Core[Job, Batch, File]:
        core: Core[Job, Batch, File] = vars(self)[CORE]
        return core

    def refresh(self) -> Batch:
        """The batch as it stands now."""
        return run(jobs.batch(self._core, self.id))

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> Batch:
        """The batch when all its jobs are over, however they ended. Raises TimedOut; the batch goes on."""
        return waited(self._core, (self,), timeout, progress=progress)[0]

    def jobs(self, state: str | Sequence[str] = ()) -> Listing:
        """Its jobs in order of their numbers, fetched page by page."""
        return Listing(self._core, jobs.filters(state=state, labels=None, batch=self.id))

    def as_completed(self, timeout: float | None = None, *, progress: bool = False) -> Iterator[Job]:
        """Its jobs in the order in which they end."""
        return completed(self._core, (self,), timeout, progress=progress)

    def download(self, to: str | os.PathLike[str]) -> list[Path]:
        """Writes the files of its jobs below a directory, each job's below its number."""
        return run(downloads.download(self._core, self, Path(to)))

    def events(self, after: int = 0, *, kinds: Sequence[str] = (), follow: bool = True) -> Iterator[Event]:
        """What happened to its jobs, from the beginning; with `follow` until all are over."""
        return each(events.events(self._core.line, batch=self.id, kinds=kinds, after=after, follow=follow))

    def cancel(self, message: str = "") -> Asked:
        """Asks for the end of all its jobs that are not over; says how many that are."""
        return run(jobs.cancel_batch(self._core, self.id, message))

    def hold(self) -> Batch:
        """Keeps its jobs from starting until `release`."""
        return run(jobs.change_batch(self._core, self.id, jobs.Changes(hold=True)))

    def release(self) -> Batch:
        """Lets them start again."""
        return run(jobs.change_batch(self._core, self.id, jobs.Changes(hold=False)))

    def retry(self, state: str = "failed") -> Batch:
        """Another attempt for its failed jobs, under their ids; the batch is open again."""
        return run(jobs.retry_batch(self._core, self.id, state))

    def change(
        self, *, priority: int | None = None, name: str | None = None, labels: Mapping[str, str | None] | None = None
    ) -> Batch:
        """Another priority, name or labels; a label of None goes. Raises Invalid and Conflict."""
        return run(jobs.change_batch(self._core, self.id, jobs.Changes(priority=priority, name=name, labels=labels)))

    def fill(self, drafts: Iterable[Command | Draft]) -> Batch:
        """Puts jobs into it, if it was made empty: once, and all of them or none. Raises Invalid and Conflict."""
        return run(submits.fill(self._core, self.id, drafts))

    def renew(self, expires: datetime | None) -> Batch:
        """It is cancelled and retired then, or never. Raises Conflict once it is retired."""
        return run(jobs.change_batch(self._core, self.id, jobs.Changes(expires=expires)))

    def retire(self) -> Batch:
        """Done with it: what is not over is asked to stop, and its files are deleted."""
        return run(jobs.retire_batch(self._core, self.id))

    def delete(self, *, force: bool = False) -> None:
        """Deletes it, its jobs and their files. Raises Conflict while one is live; `force` stops them first."""
        run(jobs.delete(self._core.line, self.id, force=force))


class Listing:
    """Jobs of a list, fetched page by page while one iterates; in a notebook a table of the first."""

    def __init__(self, core: Core[Job, Batch, File], query: Mapping[str, object]) -> None:
        self._core = core
        self._query = query

    def __iter__(self) -> Iterator[Job]:
        return chain.from_iterable(each(jobs.pages_of_jobs(self._core, self._query)))

    def __repr__(self) -> str:
        return "<Listing of jobs: iterate over it>"

    def _repr_html_(self) -> str:
        return Jobs(islice(self, SHOWN))._repr_html_()


JB = TypeVar("JB", Job, Batch, Job | Batch)


def waited(core: Core[Job, Batch, File], what: tuple[JB, ...], timeout: float | None, *, progress: bool) -> list[JB]:
    """All of them, when each is over."""
    found = waiting.until_over(core, what, timeout, progress=progress)
    ended = display.shown(each(found), core.line.say, what, progress=progress)
    return cast("list[JB]", list(ended))  # each comes back as what it was


def completed(
    core: Core[Job, Batch, File], what: tuple[Job | Batch, ...], timeout: float | None, *, progress: bool
) -> Iterator[Job]:
    """Jobs in the order in which they end."""
    found = waiting.as_completed(core, what, timeout, progress=progress)
    return display.shown(each(found), core.line.say, what, progress=progress)
