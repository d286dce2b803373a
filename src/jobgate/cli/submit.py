"""`jobgate submit`: a job or a batch, from a command, options and documents."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.ids import resolved
from jobgate.cli.options import (
    AcceptLicence,
    AppName,
    Arguments,
    Compare,
    Cores,
    Count,
    DiskSpace,
    Env,
    Environment,
    Expires,
    File,
    FileIn,
    Gpus,
    Held,
    Image,
    Input,
    Label,
    Like,
    Memory,
    Name,
    NetworkOption,
    Output,
    Priority,
    Quorum,
    Replicas,
    Require,
    Sweep,
    Tries,
    Walltime,
    Webhook,
    Words,
    Workdir,
    options,
)
from jobgate.cli.phrases import line_of, plural
from jobgate.cli.render import GOOD, WARN, beside
from jobgate.cli.request import Asked, Request, request, seconds
from jobgate.client.line import Asking
from jobgate.client.records import BatchRecord, JobRecord
from jobgate.client.words import plain

if TYPE_CHECKING:
    from jobgate.cli.ending import Manner

app = typer.Typer(rich_markup_mode=None)
WHAT: Final = "Not submitted."
_PIECE: Final = 256 << 10
_THEIRS: Final = "jobgate.theirs"
"""Under it a context has the words of the command that are options of ours."""


class _Submit(TyperCommand):
    """What stands behind the command's first word is the command's own, which one who writes no -- may not expect."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As for every command; options of ours that went to the job's are remembered."""
        given = list(args)
        rest = super().parse_args(ctx, args)
        words = ctx.params.get("command") or ()
        if given[: len(given) - len(words)][-1:] != ["--"]:
            ours = {option for parameter in self.params for option in parameter.opts}
            ctx.meta[_THEIRS] = [word for word in words[1:] if word.partition("=")[0] in ours]
        return rest


@verb(app, "submit", settings={"allow_interspersed_args": False}, kind=_Submit)
async def submit(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    context: typer.Context,
    command: Words = None,
    file: File = None,
    sweep: Sweep = None,
    count: Count = None,
    like: Like = "",
    name: Name = "",
    label: Label = None,
    priority: Priority = 0,
    held: Held = False,
    webhook: Webhook = "",
    expires: Expires = "",
    gpus: Gpus = None,
    cores: Cores = None,
    memory: Memory = "",
    disk: DiskSpace = "",
    walltime: Walltime = "",
    network: NetworkOption = None,
    image: Image = "",
    app_: AppName = "",
    accept_licence: AcceptLicence = False,
    arguments: Arguments = False,
    file_in: FileIn = None,
    env: Env = None,
    workdir: Workdir = "",
    input_: Input = None,
    output: Output = None,
    require: Require = None,
    environment: Environment = "",
    tries: Tries = None,
    replicas: Replicas = None,
    quorum: Quorum = None,
    compare: Compare = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is over; ends as it did.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what it writes, until it is over.")] = False,
    timeout: Annotated[str, typer.Option(help="With --wait or --follow: how long, 90s, 5min; then status 124.")] = "",
    cancel_on_interrupt: Annotated[
        bool, typer.Option("--cancel-on-interrupt", help="Ctrl-C cancels it too; else it only leaves.")
    ] = False,
    download: Annotated[Path | None, typer.Option(help="When it is over, write its files below this.")] = None,
    idempotency_key: Annotated[
        str, typer.Option(help="The same key never submits twice, however often this is run.")
    ] = "",
) -> int:
    """Submit a job, or a batch; returns when it is on disk.

    Standard output has the id alone. With --follow it has what the job writes, and the id is told beside it.
    """
    said = options(locals())
    if theirs := context.meta.get(_THEIRS):
        word = plain(theirs[0])
        session.screen.talk(
            f"{word} goes to the command; what is for jobgate stands before it: submit {word} -- …", WARN
        )
    words = tuple(command or ())
    if arguments or (file_in and words):
        said["arguments"], words = words, ()
    asked = Asked(
        command=words,
        options=said,
        file=file,
        sweep=sweep,
        count=count,
        like=(await resolved(session, [like]))[0] if like else "",
    )
    manner = None
    if wait or follow or download is not None:
        from jobgate.cli.ending import Manner  # noqa: PLC0415  # a plain submit answers sooner without it

        manner = Manner(
            follow=follow,
            timeout=seconds(timeout, "--timeout"),
            cancel_on_interrupt=cancel_on_interrupt,
            download=download,
        )
    if image:
        session.next["app-not-runnable"] = f"jobgate environments --image {plain(image)}"
    made = await _sent(session, await request(session, asked), idempotency_key or os.urandom(16).hex())
    return await _told(session, made, manner)


async def _sent(session: Session, made: Request, key: str) -> JobRecord | BatchRecord:
    """The job or batch, on disk."""

    def unknown() -> None:
        session.screen.talk("Left. Whether it is on disk is not known.")
        session.screen.talk(f"  next  the same command with --idempotency-key {key}: it is not made twice by that")

    session.leaving = unknown
    try:
        body = await (_sent_lines(session, made, key) if made.lines is not None else _sent_whole(session, made, key))
    finally:
        if asyncio.current_task() is not None and not _interrupted():
            session.leaving = None
    return session.core.a_batch(body) if made.batch else session.core.a_job(body)


def _interrupted() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _sent_whole(session: Session, made: Request, key: str) -> bytes:
    path = "/v1/batches" if made.batch else "/v1/jobs"
    return await session.ask("POST", path, WHAT, body=made.body, key=key)


async def _sent_lines(session: Session, made: Request, key: str) -> bytes:
    path = made.lines
    assert path is not None  # noqa: S101  # mypy wants it said
    try:
        await asyncio.to_thread(path.stat)
    except OSError as error:
        raise Wrong(WHAT, f"{path}: {error.strerror}", "paths are read from where you are") from error

    async def pieces() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece

    body = made.body
    labels = [f"{name}={value}" for name, value in body.get("labels", {}).items()]
    query = {"name": body.get("name"), "label": labels, "webhook": body.get("webhook")}
    query |= {"expires": body.get("expires")}
    query |= {"priority": body.get("priority") or None, "held": body.get("held") or None}
    asking = Asking(
        method="POST",
        path="/v1/batches",
        what=WHAT,
        query=query,
        body=pieces,
        headers={"Content-Type": "application/x-ndjson"},
        key=key,
    )
    with session.patience():
        return (await session.line.call(asking)).content


async def _told(session: Session, made: JobRecord | BatchRecord, manner: Manner | None) -> int:
    """Tells its id, and stays with it if that was asked for."""
    screen = session.screen
    if manner is None:
        if not screen.as_json:
            screen.say(plain(made.id))
        await _hint(session, made)
        return 0
    from jobgate.cli.ending import ended_or_left  # noqa: PLC0415  # as above

    if manner.follow and isinstance(made, BatchRecord):
        if made.count == 1:
            made = session.core.a_job(await session.look(f"/v1/jobs/{made.id}-1", made.id))
        else:
            manner = manner.without_log()
    if manner.follow:
        screen.talk(f"On disk. {plain(made.id)}", GOOD)
    else:
        if not screen.as_json:
            screen.say(plain(made.id))
        screen.talk("On disk.", GOOD)
    return await ended_or_left(session, [made], manner)


async def _hint(session: Session, made: JobRecord | BatchRecord) -> None:
    """Where it stands, and what one does next."""
    screen = session.screen
    path = f"/v1/{'jobs' if isinstance(made, JobRecord) else 'batches'}/{made.id}"
    if screen.as_json:
        screen.raw(await session.look(path, made.id, query={"expand": "waits"}))
        return
    if screen.quiet:
        return
    if made.waits is None and made.state == "queued":
        body = await session.look(path, made.id, query={"expand": "waits"})
        made = session.core.a_job(body) if isinstance(made, JobRecord) else session.core.a_batch(body)
    stands = f", {line_of(made.waits)}" if made.waits is not None and made.state == "queued" else ""
    many = f"{plural(made.count, 'job')}, " if isinstance(made, BatchRecord) else ""
    next_ = f"follow: jobgate logs -f {made.id}" if isinstance(made, JobRecord) else f"watch: jobgate wait {made.id}"
    if made.state == "held":
        next_ = f"start: jobgate release {made.id}"
    first, *rest = beside(f"On disk. {many}{plain(made.state)}{stands}.", next_, screen.talk_width - 2, 8)
    screen.talk(first, GOOD)
    for line in rest:
        screen.talk(line)
