"""The asynchronous face, for asyncio (not trio): the names of `Client`, awaited."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Self, Unpack, overload

import httpx

from jobgate.client import (
    config,
    display,
    downloads,
    estimates,
    events,
    folders,
    jobs,
    mapping,
    places,
    submits,
    uploads,
    webhooks,
)
from jobgate.client.aio_handles import AsyncBatch, AsyncFile, AsyncJob, completed, waited
from jobgate.client.core import Core
from jobgate.client.downloads import Result
from jobgate.client.estimates import Estimate
from jobgate.client.folders import Folder, FolderEntry
from jobgate.client.line import PATIENCE, Line, Say, to_stderr
from jobgate.client.listing import Jobs
from jobgate.client.options import BatchOptions, Command, Draft, Product, SubmitOptions, Table
from jobgate.client.places import Account, App, Environment
from jobgate.client.records import Event, Upload, Value
from jobgate.client.webhooks import Delivery, Webhook


class AsyncClient:
    """As `Client`; what it says there of each verb holds here. One loop: make one client for each.

    >>> async def main():
    ...     async with AsyncClient() as client:
    ...         job = await client.submit(["echo", "hello"])
    ...         return (await job.result(timeout=60)).exit_code
    >>> asyncio.run(main())
    0
    """

    def __init__(
        self,
        server: str | None = None,
        key: str | None = None,
        *,
        patience: float = PATIENCE,
        say: Say = to_stderr,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        line = Line(config.find(server, key), patience=patience, say=say, transport=transport)
        self._core: Core[AsyncJob, AsyncBatch, AsyncFile] = Core(line, AsyncJob, AsyncBatch, AsyncFile)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; nothing on the server stops."""
        await self._core.line.close()

    def __repr__(self) -> str:
        return f"<AsyncClient of {self._core.line.where.server}>"

    # --- submit

    async def submit(self, command: Command | None = None, **options: Unpack[SubmitOptions]) -> AsyncJob:
        """One job, on disk when this returns. Files of `inputs` are sent first. Raises Invalid, NoRoom, TooMany."""
        return await submits.submit(self._core, command, options)

    async def submit_many(self, drafts: Iterable[Command | Draft], **options: Unpack[BatchOptions]) -> AsyncBatch:
        """One batch of all drafts, sent as a stream. If the iterable fails, nothing is submitted."""
        return await submits.submit_many(self._core, drafts, options)

    async def sweep(
        self, command: Command | None, values: Table | Product | int, **options: Unpack[SubmitOptions]
    ) -> AsyncBatch:
        """One batch, a job for each row or combination: `{name}` in command, env, paths becomes the value."""
        return await submits.sweep(self._core, command, values, options)

    async def open_batch(self, **options: Unpack[BatchOptions]) -> AsyncBatch:
        """A batch without jobs; `fill` puts them in, once."""
        return await submits.open_batch(self._core, options)

    @overload
    def map(
        self,
        command: Command,
        *,
        ordered: bool = ...,
        return_exceptions: Literal[False] = ...,
        progress: bool = ...,
        timeout: float | None = ...,
        options: SubmitOptions | None = ...,
        **columns: Iterable[Value],
    ) -> AsyncIterator[Result[AsyncJob, AsyncFile]]: ...

    @overload
    def map(
        self,
        command: Command,
        *,
        ordered: bool = ...,
        return_exceptions: Literal[True],
        progress: bool = ...,
        timeout: float | None = ...,
        options: SubmitOptions | None = ...,
        **columns: Iterable[Value],
    ) -> AsyncIterator[Result[AsyncJob, AsyncFile] | Exception]: ...

    def map(  # noqa: PLR0913  # each is a choice of the caller
        self,
        command: Command,
        *,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = False,
        timeout: float | None = None,
        options: SubmitOptions | None = None,
        **columns: Iterable[Value],
    ) -> AsyncIterator[Result[AsyncJob, AsyncFile] | Exception]:
        """The results of one job for each row of the columns, in their order; else as they end."""
        found = mapping.mapped(
            self._core,
            command,
            columns,
            options or {},
            mapping.Order(ordered=ordered, return_exceptions=return_exceptions, progress=progress, timeout=timeout),
        )
        return display.shown_async(found, self._core.line.say, progress=progress)

    async def estimate(
        self,
        command: Command | None = None,
        values: Table | Product | int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Estimate:
        """When it would start and end, and what it would cost; nothing is submitted."""
        return await estimates.estimate(self._core, command, values, options)

    # --- find

    async def job(self, id: str) -> AsyncJob:  # noqa: A002  # what it is called
        """The job, with why it waits. Raises NotFound."""
        return await jobs.job(self._core, id)

    async def batch(self, id: str) -> AsyncBatch:  # noqa: A002  # what it is called
        """The batch. Raises NotFound."""
        return await jobs.batch(self._core, id)

    def jobs(  # noqa: PLR0913  # each is a filter
        self,
        *,
        state: str | Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        batch: str = "",
        app: str = "",
        environment: str = "",
        name: str = "",
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> AsyncIterator[AsyncJob]:
        """This account's jobs, newest first, fetched page by page while one iterates."""
        query = jobs.filters(
            state=state,
            labels=labels,
            batch=batch,
            app=app,
            environment=environment,
            name=name,
            since=since,
            before=before,
        )
        return jobs.listed_jobs(self._core, query)

    def batches(  # noqa: PLR0913  # each is a filter
        self,
        *,
        state: str | Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        app: str = "",
        name: str = "",
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> AsyncIterator[AsyncBatch]:
        """This account's batches, newest first, fetched page by page while one iterates."""
        query = jobs.filters(state=state, labels=labels, app=app, name=name, since=since, before=before)
        return jobs.listed_batches(self._core, query)

    async def find(self, ids: Iterable[str]) -> Jobs[AsyncJob]:
        """The jobs of these ids, any number; `.missing` has those that are unknown here."""
        return await jobs.find(self._core, ids)

    # --- wait

    async def wait(
        self, what: Iterable[AsyncJob | AsyncBatch], timeout: float | None = None, *, progress: bool = False
    ) -> list[AsyncJob | AsyncBatch]:
        """All of them when each is over, in the order given. Raises TimedOut; the work goes on."""
        return await waited(self._core, tuple(what), timeout, progress=progress)

    def as_completed(
        self,
        what: AsyncBatch | Iterable[AsyncJob | AsyncBatch],
        timeout: float | None = None,
        *,
        progress: bool = False,
    ) -> AsyncIterator[AsyncJob]:
        """Jobs in the order in which they end, those first that are over already."""
        return completed(
            self._core, (what,) if isinstance(what, AsyncBatch) else tuple(what), timeout, progress=progress
        )

    def events(
        self,
        *,
        batch: str = "",
        job: str = "",
        kinds: Sequence[str] = (),
        after: int | None = None,
        follow: bool = True,
    ) -> AsyncIterator[Event]:
        """Events in the order they were committed, without gaps, after a cursor; 0 is the oldest that is kept."""
        return events.events(self._core.line, batch=batch, job=job, kinds=kinds, after=after, follow=follow)

    # --- files

    async def upload(self, source: bytes | str | os.PathLike[str]) -> Upload:
        """Sends content, or a file here, unless the server has it; goes on where an earlier try broke off."""
        return await uploads.upload(self._core.line, source)

    async def download(self, what: AsyncJob | AsyncBatch, to: str | os.PathLike[str]) -> list[Path]:
        """As `what.download(to)`."""
        return await downloads.download(self._core, what, Path(to))

    # --- folders

    async def folders(self) -> tuple[Folder, ...]:
        """This account's folders: files that stay on the server."""
        return await folders.folders(self._core.line)

    async def folder(self, name: str) -> Folder:
        """One of them. Raises NotFound."""
        return await folders.folder(self._core.line, name)

    async def add_folder(self, name: str) -> Folder:
        """Makes it; one that is there is left as it is."""
        return await folders.add(self._core.line, name)

    async def delete_folder(self, name: str, *, force: bool = False) -> None:
        """Deletes it. Raises Conflict where it has files; `force` deletes them too."""
        await folders.delete(self._core.line, name, force=force)

    def folder_files(self, name: str, prefix: str = "") -> AsyncIterator[FolderEntry]:
        """Its files by path, fetched page by page while one iterates; those whose path begins so."""
        return folders.files(self._core.line, name, prefix)

    async def put_file(self, path: str, source: bytes | str | os.PathLike[str]) -> FolderEntry:
        """Stores content, or a file here, as `FOLDER/PATH`; as an input of a job it is `FolderFile("FOLDER/PATH")`."""
        return await folders.put(self._core.line, path, source)

    async def read_file(self, path: str) -> bytes:
        """All of `FOLDER/PATH`. Raises NotFound."""
        return await folders.read(self._core.line, path)

    async def save_file(self, path: str, to: str | os.PathLike[str] = ".") -> Path:
        """Writes `FOLDER/PATH` here: into a directory under its own last name, or to the path that is given."""
        return await folders.save(self._core.line, path, Path(to))

    async def delete_file(self, path: str) -> None:
        """Deletes `FOLDER/PATH`; jobs that use it keep it."""
        await folders.remove(self._core.line, path)

    # --- places

    async def environments(self) -> tuple[Environment, ...]:
        """The places that run jobs."""
        return await places.environments(self._core.line)

    async def environment(self, name: str) -> Environment:
        """One of them. Raises NotFound."""
        return await places.environment(self._core.line, name)

    async def apps(self) -> tuple[App, ...]:
        """The programs of the operator's catalogue."""
        return await places.apps(self._core.line)

    async def images(self) -> tuple[str, ...]:
        """The names of its images."""
        return await places.images(self._core.line)

    async def account(self) -> Account:
        """Whose key this is, and what is used of its quotas."""
        return await places.account(self._core.line)

    # --- webhooks

    async def webhooks(self) -> tuple[Webhook, ...]:
        """This account's webhooks."""
        return await webhooks.webhooks(self._core.line)

    async def webhook(self, id: str) -> Webhook:  # noqa: A002  # what it is called
        """One of them. Raises NotFound."""
        return await webhooks.webhook(self._core.line, id)

    async def add_webhook(
        self, url: str, *, kinds: Sequence[str] = (), jobs: str = "", description: str = ""
    ) -> Webhook:
        """A new one; its `secret` is shown this once."""
        return await webhooks.add(self._core.line, url, kinds=kinds, jobs=jobs, description=description)

    async def change_webhook(  # noqa: PLR0913  # each may change
        self,
        id: str,  # noqa: A002  # what it is called
        *,
        url: str | None = None,
        kinds: Sequence[str] | None = None,
        jobs: str | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Changes what is given."""
        changes = webhooks.Changes(url=url, kinds=kinds, jobs=jobs, description=description, enabled=enabled)
        return await webhooks.change(self._core.line, id, changes)

    async def rotate_webhook(self, id: str) -> Webhook:  # noqa: A002  # what it is called
        """A new secret, shown this once; the old one signs too for a day."""
        return await webhooks.rotate(self._core.line, id)

    async def test_webhook(self, id: str) -> Delivery:  # noqa: A002  # what it is called
        """Sends a message to try it."""
        return await webhooks.test(self._core.line, id)

    async def delete_webhook(self, id: str) -> None:  # noqa: A002  # what it is called
        """Deletes it."""
        await webhooks.delete(self._core.line, id)

    def deliveries(self, id: str) -> AsyncIterator[Delivery]:  # noqa: A002  # what it is called
        """Its messages, newest first."""
        return webhooks.deliveries(self._core.line, id)

    async def resend(self, id: str, message: str) -> Delivery:  # noqa: A002  # what it is called
        """Sends a message once more."""
        return await webhooks.resend(self._core.line, id, message)
