"""The synchronous face: scripts and notebooks. Each verb runs the coroutine that `aio` awaits, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from jobgate.client.core import Core
from jobgate.client.downloads import Result
from jobgate.client.estimates import Estimate
from jobgate.client.folders import Folder, FolderEntry
from jobgate.client.handles import Batch, File, Job, Listing, completed, waited
from jobgate.client.line import PATIENCE, Line, Say, to_stderr
from jobgate.client.listing import Jobs
from jobgate.client.options import BatchOptions, Command, Draft, Product, SubmitOptions, Table
from jobgate.client.places import Account, App, Environment
from jobgate.client.records import Event, Upload, Value
from jobgate.client.thread import close_with, each, run
from jobgate.client.webhooks import Delivery, Webhook


class Client:
    r"""A server, seen by one account. Thread-safe; also inside a notebook, where a loop runs already.

    Server and key come from the call, else from JOBGATE_SERVER and JOBGATE_KEY (or JOBGATE_KEY_FILE), else from
    `jobgate/config.toml` in your configuration folder. A call is tried again for `patience` seconds.

    >>> client = Client()
    >>> job = client.submit(["echo", "hello"])
    >>> job.result(timeout=60).stdout
    'hello\n'
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
        self._core: Core[Job, Batch, File] = Core(line, Job, Batch, File)
        close_with(line, line.letting_go)  # not with this object: its jobs and batches use the line, and may outlive it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; nothing on the server stops."""
        run(self._core.line.close())

    def __repr__(self) -> str:
        return f"<Client of {self._core.line.where.server}>"

    # --- submit

    def submit(self, command: Command | None = None, **options: Unpack[SubmitOptions]) -> Job:
        """One job, on disk when this returns. Files of `inputs` are sent first. Raises Invalid, NoRoom, TooMany.

        >>> client.submit(script="echo one; echo two", name="two lines").name
        'two lines'
        """
        return run(submits.submit(self._core, command, options))

    def submit_many(self, drafts: Iterable[Command | Draft], **options: Unpack[BatchOptions]) -> Batch:
        """One batch of all drafts, sent as a stream. If the iterable fails, nothing is submitted.

        >>> client.submit_many((["echo", str(n)] for n in range(3)), name="three").count
        3
        """
        return run(submits.submit_many(self._core, drafts, options))

    def sweep(self, command: Command | None, values: Table | Product | int, **options: Unpack[SubmitOptions]) -> Batch:
        """One batch, a job for each row or combination: `{name}` in command, env, paths becomes the value.

        A number makes so many jobs; `{index}` counts from 0, `{number}` from 1.

        >>> client.sweep(["echo", "{lr}", "{seed}"], {"lr": [0.1, 0.01], "seed": range(2)}).count
        4
        """
        return run(submits.sweep(self._core, command, values, options))

    def open_batch(self, **options: Unpack[BatchOptions]) -> Batch:
        """A batch without jobs; `fill` puts them in, once."""
        return run(submits.open_batch(self._core, options))

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
    ) -> Iterator[Result[Job, File]]: ...

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
    ) -> Iterator[Result[Job, File] | Exception]: ...

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
    ) -> Iterator[Result[Job, File] | Exception]:
        r"""The results of one job for each row of the columns, in their order; else as they end.

        As the built-in `map`, columns are read side by side. A job that fails raises JobFailed; with
        `return_exceptions` it is handed out in its place. Stopping early leaves the batch to the server.

        >>> [out.stdout for out in client.map(["echo", "{word}"], word=["a", "b"])]
        ['a\n', 'b\n']
        """
        found = mapping.mapped(
            self._core,
            command,
            columns,
            options or {},
            mapping.Order(ordered=ordered, return_exceptions=return_exceptions, progress=progress, timeout=timeout),
        )
        return display.shown(each(found), self._core.line.say, progress=progress)

    def estimate(
        self,
        command: Command | None = None,
        values: Table | Product | int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Estimate:
        """When it would start and end, and what it would cost; nothing is submitted."""
        return run(estimates.estimate(self._core, command, values, options))

    # --- find

    def job(self, id: str) -> Job:  # noqa: A002  # what it is called
        """The job, with why it waits. Raises NotFound."""
        return run(jobs.job(self._core, id))

    def batch(self, id: str) -> Batch:  # noqa: A002  # what it is called
        """The batch. Raises NotFound."""
        return run(jobs.batch(self._core, id))

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
    ) -> Listing:
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
        return Listing(self._core, query)

    def batches(  # noqa: PLR0913  # each is a filter
        self,
        *,
        state: str | Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        app: str = "",
        name: str = "",
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> Iterator[Batch]:
        """This account's batches, newest first, fetched page by page while one iterates."""
        query = jobs.filters(state=state, labels=labels, app=app, name=name, since=since, before=before)
        return each(jobs.listed_batches(self._core, query))

    def find(self, ids: Iterable[str]) -> Jobs[Job]:
        """The jobs of these ids, any number; `.missing` has those that are unknown here."""
        return run(jobs.find(self._core, ids))

    # --- wait

    def wait(
        self, what: Iterable[Job | Batch], timeout: float | None = None, *, progress: bool = False
    ) -> list[Job | Batch]:
        """All of them when each is over, in the order given. Raises TimedOut; the work goes on."""
        return waited(self._core, tuple(what), timeout, progress=progress)

    def as_completed(
        self, what: Batch | Iterable[Job | Batch], timeout: float | None = None, *, progress: bool = False
    ) -> Iterator[Job]:
        """Jobs in the order in which they end, those first that are over already.

        >>> batch = client.sweep(["echo", "{n}"], {"n": range(3)})
        >>> sorted(job.number for job in client.as_completed(batch))
        [1, 2, 3]
        """
        return completed(self._core, (what,) if isinstance(what, Batch) else tuple(what), timeout, progress=progress)

    def events(
        self,
        *,
        batch: str = "",
        job: str = "",
        kinds: Sequence[str] = (),
        after: int | None = None,
        follow: bool = True,
    ) -> Iterator[Event]:
        """Events in the order they were committed, without gaps, after a cursor; 0 is the oldest that is kept.

        With `follow` new ones as they come: of a batch or job until it is over, of the account for ever.
        Raises Gone when the cursor is older than what is kept; its `oldest` says where to go on.
        """
        return each(events.events(self._core.line, batch=batch, job=job, kinds=kinds, after=after, follow=follow))

    # --- files

    def upload(self, source: bytes | str | os.PathLike[str]) -> Upload:
        """Sends content, or a file here, unless the server has it; goes on where an earlier try broke off."""
        return run(uploads.upload(self._core.line, source))

    def download(self, what: Job | Batch, to: str | os.PathLike[str]) -> list[Path]:
        """As `what.download(to)`."""
        return run(downloads.download(self._core, what, Path(to)))

    # --- folders

    def folders(self) -> tuple[Folder, ...]:
        """This account's folders: files that stay on the server."""
        return run(folders.folders(self._core.line))

    def folder(self, name: str) -> Folder:
        """One of them. Raises NotFound."""
        return run(folders.folder(self._core.line, name))

    def add_folder(self, name: str) -> Folder:
        """Makes it; one that is there is left as it is."""
        return run(folders.add(self._core.line, name))

    def delete_folder(self, name: str, *, force: bool = False) -> None:
        """Deletes it. Raises Conflict where it has files; `force` deletes them too."""
        run(folders.delete(self._core.line, name, force=force))

    def folder_files(self, name: str, prefix: str = "") -> Iterator[FolderEntry]:
        """Its files by path, fetched page by page while one iterates; those whose path begins so."""
        return each(folders.files(self._core.line, name, prefix))

    def put_file(self, path: str, source: bytes | str | os.PathLike[str]) -> FolderEntry:
        """Stores content, or a file here, as `FOLDER/PATH`; as an input of a job it is `FolderFile("FOLDER/PATH")`."""
        return run(folders.put(self._core.line, path, source))

    def read_file(self, path: str) -> bytes:
        """All of `FOLDER/PATH`. Raises NotFound."""
        return run(folders.read(self._core.line, path))

    def save_file(self, path: str, to: str | os.PathLike[str] = ".") -> Path:
        """Writes `FOLDER/PATH` here: into a directory under its own last name, or to the path that is given."""
        return run(folders.save(self._core.line, path, Path(to)))

    def delete_file(self, path: str) -> None:
        """Deletes `FOLDER/PATH`; jobs that use it keep it."""
        run(folders.remove(self._core.line, path))

    # --- places

    def environments(self) -> tuple[Environment, ...]:
        """The places that run jobs."""
        return run(places.environments(self._core.line))

    def environment(self, name: str) -> Environment:
        """One of them. Raises NotFound."""
        return run(places.environment(self._core.line, name))

    def apps(self) -> tuple[App, ...]:
        """The programs of the operator's catalogue."""
        return run(places.apps(self._core.line))

    def images(self) -> tuple[str, ...]:
        """The names of its images."""
        return run(places.images(self._core.line))

    def account(self) -> Account:
        """Whose key this is, and what is used of its quotas."""
        return run(places.account(self._core.line))

    # --- webhooks

    def webhooks(self) -> tuple[Webhook, ...]:
        """This account's webhooks."""
        return run(webhooks.webhooks(self._core.line))

    def webhook(self, id: str) -> Webhook:  # noqa: A002  # what it is called
        """One of them. Raises NotFound."""
        return run(webhooks.webhook(self._core.line, id))

    def add_webhook(self, url: str, *, kinds: Sequence[str] = (), jobs: str = "", description: str = "") -> Webhook:
        """A new one; its `secret` is shown this once."""
        return run(webhooks.add(self._core.line, url, kinds=kinds, jobs=jobs, description=description))

    def change_webhook(  # noqa: PLR0913  # each may change
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
        return run(webhooks.change(self._core.line, id, changes))

    def rotate_webhook(self, id: str) -> Webhook:  # noqa: A002  # what it is called
        """A new secret, shown this once; the old one signs too for a day."""
        return run(webhooks.rotate(self._core.line, id))

    def test_webhook(self, id: str) -> Delivery:  # noqa: A002  # what it is called
        """Sends a message to try it."""
        return run(webhooks.test(self._core.line, id))

    def delete_webhook(self, id: str) -> None:  # noqa: A002  # what it is called
        """Deletes it."""
        run(webhooks.delete(self._core.line, id))

    def deliveries(self, id: str) -> Iterator[Delivery]:  # noqa: A002  # what it is called
        """Its messages, newest first."""
        return each(webhooks.deliveries(self._core.line, id))

    def resend(self, id: str, message: str) -> Delivery:  # noqa: A002  # what it is called
        """Sends a message once more."""
        return run(webhooks.resend(self._core.line, id, message))
