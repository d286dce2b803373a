"""`jobgate list` and `jobgate status`: what there is, and how it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import typer

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.describe import batch_lines, job_lines
from jobgate.cli.ids import SomeIds, each, resolved
from jobgate.cli.phrases import (
    ago,
    environments_of_batch,
    exact,
    jobs_of_batch,
    note_of_batch,
    note_of_job,
    since,
)
from jobgate.cli.render import Cell, Column, state
from jobgate.cli.request import pairs, seconds
from jobgate.cli.states import OF_BATCHES, OF_JOBS, states
from jobgate.client import logs
from jobgate.client.core import Page
from jobgate.client.errors import Gone, NotFound
from jobgate.client.records import BatchRecord, JobRecord

app = typer.Typer(rich_markup_mode=None)
BATCHES: Final = [
    Column("BATCH", whole=True),
    Column("NAME"),
    Column("STATE"),
    Column("JOBS"),
    Column("SINCE"),
    Column("ENVIRONMENT"),
    Column("NOTE", note=True),
]
JOBS: Final = [
    Column("JOB", whole=True),
    Column("NAME"),
    Column("STATE"),
    Column("SINCE"),
    Column("ENVIRONMENT"),
    Column("NOTE", note=True),
]
_PAGE: Final = 1000
_NOTED: Final = 20
"""Failed batches of a list whose failures are looked up."""


def shown_since(record: JobRecord | BatchRecord, now: datetime) -> Cell:
    """Since when, in one word; through a pipe the moment itself."""
    return Cell(ago(since(record), now), "dim", exact(since(record)))


def batch_row(batch: BatchRecord, now: datetime) -> list[Cell]:
    """A batch as a row."""
    return [
        Cell(batch.id),
        Cell(batch.name),
        state(batch.state),
        Cell(jobs_of_batch(batch), "", f"{batch.tally.over}/{batch.count}"),
        shown_since(batch, now),
        Cell(environments_of_batch(batch)),
        Cell(note_of_batch(batch), "dim"),
    ]


def job_row(job: JobRecord, now: datetime) -> list[Cell]:
    """A job as a row."""
    return [
        Cell(job.id),
        Cell(job.job_name or job.name),
        state(job.state),
        shown_since(job, now),
        Cell(job.environment),
        Cell(note_of_job(job), "dim"),
    ]


@verb(app, "list")
async def list_(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    batch: Annotated[str, typer.Argument(metavar="[BATCH]", help="With one: its jobs.")] = "",
    jobs: Annotated[bool, typer.Option("--jobs", help="Jobs instead of batches.")] = False,
    state_: Annotated[
        list[str] | None,
        typer.Option("--state", help=f"Of this state: {', '.join(OF_BATCHES)}; may be repeated."),
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="With this label, NAME=VALUE; may be repeated.")] = None,
    name: Annotated[str, typer.Option(help="Of this name.")] = "",
    app_: Annotated[str, typer.Option("--app", help="Of this app.")] = "",
    environment: Annotated[str, typer.Option(help="With --jobs: in this environment.")] = "",
    since_: Annotated[str, typer.Option("--since", help="Not older: 90s, 2h, 30d, or a time of RFC 3339.")] = "",
    before: Annotated[str, typer.Option(help="Older: as --since.")] = "",
    limit: Annotated[int, typer.Option(help="So many at most; 0 is all.", min=0)] = 50,
) -> int:
    """Show batches, newest first; with --jobs, jobs."""
    now = datetime.now(UTC)
    of = OF_JOBS if jobs or batch else OF_BATCHES
    query: dict[str, Any] = {
        "state": ",".join(states(state_ or (), of, "Not listed.")),
        "label": [f"{key}={value}" for key, value in pairs(label or (), "--label", "Not listed.").items()],
        "name": name,
        "app": app_,
        "since": _moment(since_, "--since", now),
        "before": _moment(before, "--before", now),
        "expand": "waits",
    }
    path = "/v1/batches"
    if batch:
        path = f"/v1/batches/{await _batch(session, batch)}/jobs"
    elif jobs:
        path = "/v1/jobs"
    if path != "/v1/batches":
        query["environment"] = environment
    elif environment:
        raise Wrong(
            "Not listed.", "batches may run in several environments", f"jobgate list --jobs --environment {environment}"
        )
    items, next_ = await _pages(session, path, query, limit)
    if session.screen.as_json:
        session.screen.raw(msgspec.json.encode({"items": items, "next": next_}))
        return 0
    if path == "/v1/batches":
        found = [session.core.a_batch(item) for item in items]
        if not session.screen.quiet:
            found = await _with_failures(session, found)
        session.screen.rows(BATCHES, [batch_row(one, now) for one in found])
    else:
        session.screen.rows(JOBS, [job_row(session.core.a_job(item), now) for item in items])
    if not items:
        session.screen.talk(
            "There is none."
            + ("" if any(query.values()) and (state_ or label or name) else "  submit one: jobgate submit -- COMMAND")
        )
    elif next_ is not None:
        session.screen.talk(f"These are {len(items):,}; there are more: --limit 0 shows all.")
    return 0


async def _batch(session: Session, word: str) -> str:
    (found, *more) = await resolved(session, [word])
    if more:
        raise Wrong("Not listed.", "a list is of one batch", "jobgate status ID…")
    return found.partition("-")[0]


async def _pages(
    session: Session, path: str, query: dict[str, Any], limit: int
) -> tuple[list[msgspec.Raw], str | None]:
    """So many items, and where the next are."""
    items: list[msgspec.Raw] = []
    next_: str | None = path
    while next_ is not None:
        left = _PAGE if not limit else min(limit - len(items), _PAGE)
        first = next_ == path
        body = await session.ask("GET", next_, "Not listed.", query={**query, "limit": left} if first else None)
        page = msgspec.json.decode(body, type=Page)
        items += page.items
        next_ = page.next
        if limit and len(items) >= limit:
            break
    return items, next_


async def _with_failures(session: Session, found: list[BatchRecord]) -> list[BatchRecord]:
    """The batches, those that failed with why; of a long list the first."""
    failed = [batch.id for batch in found if batch.state == "failed"][:_NOTED]

    async def whole(id_: str) -> BatchRecord:
        body = await session.ask("GET", f"/v1/batches/{id_}", "Not listed.", query={"expand": "failures"})
        return session.core.a_batch(body)

    known = {batch.id: batch for batch in await each(failed, whole)}
    return [known.get(batch.id, batch) for batch in found]


def _moment(text: str, option: str, now: datetime) -> datetime | None:
    """A time, or so long ago. Raises Wrong."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        ago_ = seconds(text, option)
    return None if ago_ is None else now - timedelta(seconds=ago_)


# --- status


@verb(app, "status")
async def status(session: Session, ids: SomeIds = None) -> int:
    """Show how jobs and batches stand: why they wait, how they ended.

    Without an id: the newest batch.
    """
    found = await resolved(session, ids or ["last"])
    if session.screen.as_json:
        await _json(session, found)
        return 0
    if len(found) == 1:
        await _one(session, found[0])
        return 0
    now = datetime.now(UTC)
    jobs, missing = await _found(session, [id_ for id_ in found if "-" in id_])
    batches = [await _whole(session, id_) for id_ in found if "-" not in id_]
    if batches:
        session.screen.rows(BATCHES, [batch_row(batch, now) for batch in batches])
    if jobs:
        session.screen.rows(JOBS, [job_row(job, now) for job in jobs])
    if missing:
        raise NotFound(f"{', '.join(missing[:5])}: not found.", detail="unknown here, or another account's")
    return 0


async def _one(session: Session, id_: str) -> None:
    screen, now = session.screen, datetime.now(UTC)
    colour = screen.coloured(screen.out)
    if screen.quiet:
        await session.look(_path(id_), id_)
        screen.say(id_)
        return
    if "-" in id_:
        body = await session.look(_path(id_), id_, query={"expand": "attempts,waits"})
        job = session.core.a_job(body)
        lines = job_lines(job, await _last_line(session, job), now, screen.width, colour=colour)
    else:
        lines = batch_lines(await _whole(session, id_), now, screen.width, colour=colour)
    for line in lines:
        screen.say(line)


async def _whole(session: Session, id_: str) -> BatchRecord:
    body = await session.look(_path(id_), id_, query={"expand": "waits,failures"})
    return session.core.a_batch(body)


async def _last_line(session: Session, job: JobRecord) -> str:
    """The last line of its log that says something; empty where there is none any more."""
    if not job.over or not job.attempt_count:
        return ""
    try:
        lines = [line async for line in logs.lines(session.line, job.id, logs.Reading(tail=3))]
    except (Gone, NotFound):
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


async def _found(session: Session, ids: Sequence[str]) -> tuple[list[JobRecord], list[str]]:
    jobs: list[JobRecord] = []
    missing: list[str] = []
    async for page in _find(session, ids):
        jobs += [session.core.a_job(item) for item in page.items]
        missing += page.missing
    return jobs, missing


async def _find(session: Session, ids: Sequence[str]) -> AsyncIterator[Page]:
    for begin in range(0, len(ids), _PAGE):
        body = await session.ask(
            "POST", "/v1/jobs/find", "The jobs were not read.", body={"ids": ids[begin : begin + _PAGE]}
        )
        yield msgspec.json.decode(body, type=Page)


async def _json(session: Session, ids: Sequence[str]) -> None:
    """The API's own body; of several, a list of them."""
    if len(ids) == 1:
        expand = "attempts,waits" if "-" in ids[0] else "waits,failures"
        session.screen.raw(await session.look(_path(ids[0]), ids[0], query={"expand": expand}))
        return
    items = [msgspec.Raw(await session.look(_path(id_), id_)) for id_ in ids if "-" not in id_]
    missing: list[str] = []
    async for page in _find(session, [id_ for id_ in ids if "-" in id_]):
        items += page.items
        missing += page.missing
    session.screen.raw(msgspec.json.encode({"items": items, "missing": missing}))


def _path(id_: str) -> str:
    return f"/v1/{'jobs' if '-' in id_ else 'batches'}/{id_}"
