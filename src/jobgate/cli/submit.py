"""`jobgate submit` and `jobgate estimate`: a job or a batch, from a command, options and documents."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, cast

import msgspec
import typer

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.ending import Manner, ended_or_left
from jobgate.cli.ids import resolved
from jobgate.cli.phrases import line_of, plural, starts
from jobgate.cli.render import GOOD, beside
from jobgate.cli.request import Asked, Request, inputs, pairs, request, seconds
from jobgate.client.estimates import Amount, Estimate
from jobgate.client.line import Asking
from jobgate.client.options import SubmitOptions
from jobgate.client.records import BatchRecord, JobRecord, Range
from jobgate.client.words import plain

app = typer.Typer(rich_markup_mode=None)
WHAT: Final = "Not submitted."
_PIECE: Final = 256 << 10
_WORDS: Final = {"allow_interspersed_args": False}


class Network(StrEnum):
    """What a job reaches."""

    NONE = "none"
    OUTBOUND = "outbound"


Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND...", help="The words of the command as they stand; no shell reads them."),
]
File = Annotated[Path | None, typer.Option("--file", help="A job or batch document: TOML, JSON, or NDJSON of jobs.")]
Sweep = Annotated[Path | None, typer.Option(help="A CSV file; one job a row, {name} in the command becomes the value.")]
Count = Annotated[int | None, typer.Option(help="So many jobs; {index} and {number} say which.", min=1)]
Like = Annotated[str, typer.Option(help="Another job's spec, with the changes that follow.", metavar="JOB")]
Name = Annotated[str, typer.Option(help="A name for the batch.")]
Label = Annotated[list[str] | None, typer.Option(help="A label, NAME=VALUE; may be repeated.", metavar="NAME=VALUE")]
Priority = Annotated[int, typer.Option(help="Orders this account's own jobs; higher goes first.")]
Held = Annotated[bool, typer.Option("--held", help="Keep from starting until released.")]
Webhook = Annotated[str, typer.Option(help="The id of a webhook to tell.")]
Gpus = Annotated[int | None, typer.Option(help="GPUs.", min=0)]
Cores = Annotated[float | None, typer.Option(help="Cores.", min=0)]
Memory = Annotated[str, typer.Option(help="Memory: 512MiB, 4GiB.")]
DiskSpace = Annotated[str, typer.Option("--disk", help="Disk: 10GiB.")]
Walltime = Annotated[str, typer.Option(help="The longest run: 90s, 5min, 2h.")]
NetworkOption = Annotated[Network | None, typer.Option("--network", help="What it reaches.")]
Image = Annotated[str, typer.Option(help="An image of the catalogue, or one that the environment pulls.")]
AppName = Annotated[str, typer.Option("--app", help="A program of the catalogue.")]
Env = Annotated[list[str] | None, typer.Option(help="A variable, NAME=VALUE; may be repeated.", metavar="NAME=VALUE")]
Workdir = Annotated[str, typer.Option(help="The directory it starts in, from the workspace.")]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="A file or directory here, an address, folder://FOLDER/PATH or upload://SHA256, and what it is called.",
        metavar="PATH[:NAME]",
    ),
]
Output = Annotated[
    list[str] | None,
    typer.Option(help="What is kept: a path, a pattern, or a directory with a / at its end.", metavar="PATH"),
]
Environment = Annotated[str, typer.Option(help="Where it runs; else wherever it fits.")]
Tries = Annotated[int | None, typer.Option(help="Attempts at most, when it fails.", min=1)]


@verb(app, "submit", settings=_WORDS)
async def submit(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
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
    gpus: Gpus = None,
    cores: Cores = None,
    memory: Memory = "",
    disk: DiskSpace = "",
    walltime: Walltime = "",
    network: NetworkOption = None,
    image: Image = "",
    app_: AppName = "",
    env: Env = None,
    workdir: Workdir = "",
    input_: Input = None,
    output: Output = None,
    environment: Environment = "",
    tries: Tries = None,
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
    options = _options(locals())
    asked = Asked(
        command=tuple(command or ()),
        options=options,
        file=file,
        sweep=sweep,
        count=count,
        like=(await resolved(session, [like]))[0] if like else "",
    )
    manner = Manner(
        wait=wait or follow or download is not None,
        follow=follow,
        timeout=seconds(timeout, "--timeout"),
        cancel_on_interrupt=cancel_on_interrupt,
        download=download,
    )
    made = await _sent(session, await request(session, asked), idempotency_key or uuid.uuid4().hex)
    return await _told(session, made, manner)


def _options(said: Mapping[str, Any]) -> SubmitOptions:
    """What is said, by the client's names; what is not said is left out, so that a document or default holds."""
    found: dict[str, Any] = {
        "name": said["name"],
        "labels": pairs(said["label"] or (), "--label"),
        "priority": said["priority"],
        "held": said["held"],
        "webhook": said["webhook"],
        "memory": said["memory"],
        "disk": said["disk"],
        "walltime": seconds(said["walltime"], "--walltime"),
        "network": said["network"].value if said["network"] is not None else None,
        "image": said["image"],
        "app": said["app_"],
        "env": pairs(said["env"] or (), "--env"),
        "workdir": said["workdir"],
        "inputs": inputs(said["input_"] or ()),
        "outputs": list(said["output"] or ()),
        "environment": said["environment"],
        **{name: said[name] for name in ("gpus", "cores", "tries")},
    }
    numbers = {"gpus", "cores", "tries", "walltime"}
    kept = {n: v for n, v in found.items() if (v is not None if n in numbers else bool(v))}
    return cast("SubmitOptions", kept)


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


async def _told(session: Session, made: JobRecord | BatchRecord, manner: Manner) -> int:
    """Tells its id, and stays with it if that was asked for."""
    screen = session.screen
    id_ = plain(made.id)
    if manner.follow and isinstance(made, BatchRecord) and made.count == 1:
        made = session.core.a_job(await session.ask("GET", f"/v1/jobs/{made.id}-1", f"{id_}: not found."))
    if manner.follow and isinstance(made, BatchRecord):
        manner = manner.without_log()
    if not manner.follow and (not screen.as_json or manner.wait):
        _say_id(session, id_)
    if manner.wait:
        if not screen.as_json or manner.follow:
            screen.talk(f"On disk. {id_}" if manner.follow else "On disk.", GOOD)
        return await ended_or_left(session, [made], manner)
    await _hint(session, made)
    return 0


def _say_id(session: Session, id_: str) -> None:
    if session.screen.as_json:
        return
    session.screen.say(id_)


async def _hint(session: Session, made: JobRecord | BatchRecord) -> None:
    """Where it stands, and what one does next."""
    screen = session.screen
    path = f"/v1/{'jobs' if isinstance(made, JobRecord) else 'batches'}/{made.id}"
    if screen.as_json:
        screen.raw(await session.ask("GET", path, f"{made.id}: not found.", query={"expand": "waits"}))
        return
    if screen.quiet:
        return
    if made.waits is None and made.state == "queued":
        body = await session.ask("GET", path, f"{made.id}: not found.", query={"expand": "waits"})
        made = session.core.a_job(body) if isinstance(made, JobRecord) else session.core.a_batch(body)
    stands = f", {line_of(made.waits)}" if made.waits is not None and made.state == "queued" else ""
    many = f"{plural(made.count, 'job')}, " if isinstance(made, BatchRecord) else ""
    next_ = f"follow: jobgate logs -f {made.id}" if isinstance(made, JobRecord) else f"watch: jobgate wait {made.id}"
    if made.state == "held":
        next_ = f"start: jobgate release {made.id}"
    first, *rest = beside(f"On disk. {many}{plain(made.state)}{stands}.", next_, screen.width - 2, 8)
    screen.talk(first, GOOD)
    for line in rest:
        screen.talk(line)


@verb(app, "estimate", settings=_WORDS)
async def estimate(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    command: Words = None,
    file: File = None,
    sweep: Sweep = None,
    count: Count = None,
    gpus: Gpus = None,
    cores: Cores = None,
    memory: Memory = "",
    disk: DiskSpace = "",
    walltime: Walltime = "",
    network: NetworkOption = None,
    image: Image = "",
    app_: AppName = "",
    environment: Environment = "",
) -> int:
    """Say when a job would start and end, and what it would cost; submits nothing."""
    said = dict(locals())
    absent = {"name": "", "label": None, "priority": 0, "held": False, "webhook": "", "tries": None}
    absent |= {"env": None, "workdir": "", "input_": None, "output": None}
    asked = Asked(command=tuple(command or ()), options=_options(said | absent), file=file, sweep=sweep, count=count)
    body = await session.ask("POST", "/v1/estimates", "Not estimated.", body=(await request(session, asked)).body)
    if session.screen.as_json:
        session.screen.raw(body)
        return 0
    found = msgspec.json.decode(body, type=Estimate)
    for line in estimated(found):
        session.screen.say(line)
    return 0


def estimated(found: Estimate) -> list[str]:
    """The estimate as lines."""

    def said(amount: Amount) -> str:
        return starts(Range(seconds=amount.value, low=amount.low, high=amount.high, runs=amount.runs))

    lines = [f"environment  {plain(found.environment)}", f"starts       {said(found.start)}"]
    lines.append(f"ends         {said(found.end)}")
    if found.cost.value is not None:
        lines.append(f"costs        {found.cost.value:g} credits")
    return lines

