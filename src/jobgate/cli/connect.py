"""From a coroutine to a command: the options that all commands have, the line to the server, and how a command ends.

A command is `async def work(session, …)`, registered by `verb`. It answers through `session.screen` and returns its
exit status. Errors of the tree end it as three lines; an interrupt leaves the jobs as they are, and says so.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import anyio  # noqa: F401  # the first request would load it, while its server were thought silent
import msgspec
import typer
from typer.core import TyperCommand

from jobgate.cli.exits import CLOSED, INTERRUPTED, NOT_ITS_DOING, TIME_IS_OVER, WRONG
from jobgate.cli.screen import Screen
from jobgate.client import config
from jobgate.client.core import Core
from jobgate.client.errors import NO_FILE, Conflict, NoRoom, NotAllowed, NotFound, TimedOut, TooMany, Unreachable
from jobgate.client.line import Asking, Line
from jobgate.client.records import BatchRecord, FileEntry, JobRecord
from jobgate.client.words import plain
from jobgate.model.errors import JobgateError

SILENCE: Final = 0.1
"""Seconds of a server's silence after which we say what is waited for."""
_JSON: Final = {"Content-Type": "application/json"}

Ids = Core[JobRecord, BatchRecord, FileEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that every command has."""

    server: str | None = None
    key: str | None = None
    key_file: Path | None = None
    as_json: bool = False
    quiet: bool = False
    no_color: bool = False


Server = Annotated[str | None, typer.Option(help="The server's address. [JOBGATE_SERVER]", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option(help="The key. Others on this machine see it: --key-file and JOBGATE_KEY are better.", hidden=True),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="A file that holds the key, for your eyes only. [JOBGATE_KEY_FILE]", show_default=False),
]
InJson = Annotated[bool, typer.Option("--json", help="The API's own body on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Ids only.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours. [NO_COLOR]")]
_COMMON: Final = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
    for name, default, kind in (
        ("server", None, Server),
        ("key", None, Key),
        ("key_file", None, KeyFile),
        ("as_json", False, InJson),
        ("quiet", False, Quiet),
        ("no_color", False, NoColor),
    )
)


class Wrong(Exception):
    """A line that asks for what cannot be: three lines, and status 2."""

    def __init__(self, what: str, why: str, next_: str) -> None:
        super().__init__(what)
        self.what, self.why, self.next = what, why, next_


@dataclass(slots=True)
class Session:
    """One command at work: where it talks, and whom it asks."""

    screen: Screen
    line: Line
    core: Ids
    key_named: bool = False
    """The key was named on the command's own line."""
    leaving: Callable[[], None] | None = None
    """Says, to who interrupts, what goes on and how it is found again."""
    on_interrupt: Callable[[], Awaitable[None]] | None = None
    """What an interrupt does beside leaving: nothing, unless it was asked for."""
    next: dict[str, str] = field(default_factory=dict)
    """What to do next by the code of a refusal, where this command knows it better."""
    _silent: bool = field(default=True)

    async def ask(  # noqa: PLR0913  # a request has so many parts
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        key: str = "",
        sought: str = "",
    ) -> bytes:
        """The body of the answer. Raises the errors of the client's tree."""
        content, headers = (b"", {}) if body is None else (msgspec.json.encode(body), _JSON)
        asking = Asking(
            method=method,
            path=path,
            what=what,
            sought=sought,
            query=query or {},
            body=content,
            headers=headers,
            key=key,
        )
        with self.patience():
            return (await self.line.call(asking)).content

    async def look(self, path: str, sought: str, *, query: Mapping[str, object] | None = None) -> bytes:
        """What is at the address of the thing that is sought. Raises as `ask`: NotFound only says "not found"."""
        return await self.ask("GET", path, f"{plain(sought)} was not read.", query=query, sought=sought)

    @contextmanager
    def patience(self) -> Iterator[None]:
        """While the server is silent for longer than a moment, says what is waited for."""
        server = self.line.where.server
        loop = asyncio.get_running_loop()
        due = loop.call_later(SILENCE, self.screen.passing, f"waiting for {server}") if self._silent else None
        try:
            yield
        finally:
            if due is not None:
                due.cancel()
                if loop.time() >= due.when() and not self.screen.watched:
                    self._silent = False  # off a terminal, once is enough
            self.screen.settle()


def verb(
    app: typer.Typer,
    name: str,
    *,
    settings: Mapping[str, Any] | None = None,
    kind: type[TyperCommand] | None = None,
) -> Callable[[Callable[..., Awaitable[int]]], Callable[..., Awaitable[int]]]:
    """Registers a coroutine as the command of that name, with the common options."""

    def dress(work: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
        hints = get_type_hints(work, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(inspect.signature(work).parameters.values())[1:]
        ]

        def command(**given: Any) -> None:
            common = Common(**{parameter.name: given.pop(parameter.name) for parameter in _COMMON})
            raise typer.Exit(run(common, lambda session: work(session, **given), help_=f"{path} --help", list_=list_))

        group = ["jobgate", *([app.info.name] if isinstance(app.info.name, str) else [])]
        path, list_ = " ".join([*group, name]), " ".join([*group, "list"])
        parameters = [*own, *_COMMON]
        command.__doc__ = work.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, cls=kind, context_settings=dict(settings or {}))(command)
        return work

    return dress


def run(common: Common, work: Callable[[Session], Awaitable[int]], *, help_: str, list_: str = "jobgate list") -> int:
    """Does the work with a session of its own; its exit status.

    `help_` is the command that explains this one, `list_` the one that shows what there is of its things.
    """
    screen = Screen(
        as_json=common.as_json, quiet=common.quiet, colours=not (common.no_color or os.environ.get("NO_COLOR"))
    )
    runner = asyncio.Runner()
    try:
        _interruptible()
        code = runner.run(_whole(common, screen, work, help_, list_))
    except KeyboardInterrupt:
        return INTERRUPTED  # the loop is not closed: it would wait for threads that read files
    except BrokenPipeError:
        code = CLOSED
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit would fail once more
    except BaseException:
        runner.close()
        raise
    runner.close()
    return code


def _interruptible() -> None:
    """From here on an interrupt reaches the loop, which takes it only from Python's own handler."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


async def _whole(
    common: Common, screen: Screen, work: Callable[[Session], Awaitable[int]], help_: str, list_: str
) -> int:
    session: Session | None = None
    # what a connection that is let go of leaves behind is no news to who types
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    try:
        session = _session(common, screen)
        return await work(session)
    except Wrong as error:
        screen.refuse(error.what, error.why, error.next)
        return WRONG
    except JobgateError as error:
        what, why, next_ = told(error, list_)
        next_ = session.next.get(error.code, next_) if session is not None else next_
        screen.refuse(what, why, next_ or help_)
        return _status(error)
    except asyncio.CancelledError:
        screen.settle()
        if session is not None:
            await _left(session)
        raise
    finally:
        if session is not None:
            await session.line.close()


def _status(error: JobgateError) -> int:
    if isinstance(error, TimedOut):
        return TIME_IS_OVER
    return WRONG if error.code == NO_FILE else NOT_ITS_DOING


async def _left(session: Session) -> None:
    if session.leaving is not None:
        session.leaving()
    if session.on_interrupt is not None:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        try:
            await session.on_interrupt()
        except JobgateError as error:
            session.screen.refuse(*told(error))


def _session(common: Common, screen: Screen) -> Session:
    key = common.key
    if common.key_file is not None:
        key = config.key_in(common.key_file)
    elif common.key:
        screen.talk("--key is seen by others on this machine; JOBGATE_KEY, --key-file or jobgate login is better")
    line = Line(config.find(common.server, key), say=screen.talk)
    core = Core(line, JobRecord, BatchRecord, _entry)
    return Session(screen, line, core, key_named=common.key is not None or common.key_file is not None)


def _entry(line: Line, job: str, entry: FileEntry) -> FileEntry:
    del line, job
    return entry


# --- errors

NEXT: Final[Sequence[tuple[type[JobgateError], str]]] = (
    (
        NotAllowed,
        "jobgate login --server URL    with a key of the operator, who makes it by jobgate credential add NAME",
    ),
    (TooMany, "jobgate whoami    shows the quotas and what is used of them"),
    (NoRoom, "try again later; jobgate environments shows what there is"),
    (Conflict, "jobgate status ID    shows how it stands"),
)
"""What to do where the server does not say."""
BY_CODE: Final[Mapping[str, str]] = {
    "invalid": "",
    "invalid-json": "",
    "not-found": "",
    "forbidden": "",
    "too-many-jobs": "",
    "storage-quota": "",
    "unknown-operation": "the server knows no such request: jobgate --version, and ask the operator for the server's",
    "app-not-found": "jobgate apps",
    "folder-not-found": "jobgate folders create NAME    makes it; jobgate folders list shows those there are",
    "file-not-found": "jobgate files ID    or jobgate folders list FOLDER",
    "conflict": "",
    "not-waiting": "",
    "job-active": "jobgate wait ID    or jobgate cancel ID first",
    "not-failed": "jobgate submit --like ID    submits it anew",
    "changed": "the same command again",
    "webhook-not-found": "jobgate webhooks list",
    "webhook-disabled": "jobgate webhooks enable ID",
    "too-many-webhooks": "jobgate webhooks delete ID",
    "folder-not-empty": "the same command with --force deletes them too",
    "unrunnable": "jobgate environments    shows the places that run jobs, and what they have",
    "app-not-runnable": "jobgate environments    shows the places that run jobs, and their images",
    NO_FILE: "name a file that is there; paths are read from where you are",
}
"""What to do in words of the command line, where the server's are those of its API; empty: as the kind of error has it,
or the command's own help."""


def told(error: JobgateError, list_: str = "jobgate list") -> tuple[str, str, str]:
    """The three lines of an error, in the words of the command line; `list_` shows what can be found."""
    what, *rest = str(error).splitlines() or [type(error).__name__]
    why = "\n".join(line.removeprefix("  why   ") for line in rest if not line.startswith("  next  "))
    next_ = next((line.removeprefix("  next  ") for line in rest if line.startswith("  next  ")), "")
    if isinstance(error, Unreachable) and error.key:
        next_ = f"the same command with --idempotency-key {error.key}; it cannot be made twice by that"
    if isinstance(error, TimedOut):
        next_ = "the same command again, with a longer --timeout or none"
    if isinstance(error, NotAllowed) and error.status == 401:  # noqa: PLR2004  # no key that holds
        why, next_ = why.partition(": Authorization")[0], ""
    next_ = BY_CODE.get(error.code, next_) or (list_ if isinstance(error, NotFound) else "")
    return what, why or error.code, next_ or next((text for kind, text in NEXT if isinstance(error, kind)), "")
