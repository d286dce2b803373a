"""`jobgate wait`, `logs` and `events`: to watch until it is over, or for as long as one likes."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.ending import Leave, Manner, end, ended_or_left, shown_log
from jobgate.cli.ids import IdWord, IdWords, one_job, resolved
from jobgate.cli.phrases import cause, exact
from jobgate.cli.render import Cell, Column, piped, state
from jobgate.cli.request import seconds
from jobgate.client import events as event_stream
from jobgate.client import jobs, logs
from jobgate.client.errors import NotFound
from jobgate.client.line import Deadline
from jobgate.client.records import BatchRecord, Event, JobRecord
from jobgate.client.words import plain

app = typer.Typer(rich_markup_mode=None)
Timeout = Annotated[str, typer.Option(help="How long at most, 90s, 5min; then status 124, and the work goes on.")]


@verb(app, "wait")
async def wait(
    session: Session,
    ids: IdWords,
    timeout: Timeout = "",
    cancel_on_interrupt: Annotated[
        bool, typer.Option("--cancel-on-interrupt", help="Ctrl-C cancels them too; else it only leaves.")
    ] = False,
) -> int:
    """Wait until all are over; ends as they did.

    The exit status of one job is its program's own; of a batch 0 if all of its jobs succeeded, else 1.
    """
    manner = Manner(timeout=seconds(timeout, "--timeout"), cancel_on_interrupt=cancel_on_interrupt)
    found = await _records(session, await resolved(session, ids))
    return await ended_or_left(session, found, manner, answer=True)


async def _records(session: Session, ids: list[str]) -> list[JobRecord | BatchRecord]:
    """What they are now. Raises NotFound."""
    named = [id_ for id_ in ids if "-" in id_]
    if len(named) > 1:
        with session.patience():
            listed = await jobs.find(session.core, named)
        if listed.missing:
            raise NotFound(f"{listed.missing[0]}: not found.", detail="unknown here, or another account's")
        known = {job.id: job for job in listed}
    else:
        known = {id_: session.core.a_job(await session.look(jobs.at(id_), id_)) for id_ in named}
    found: list[JobRecord | BatchRecord] = []
    for id_ in ids:
        if id_ in known:
            found.append(known[id_])
        else:
            found.append(session.core.a_batch(await session.look(jobs.at(id_), id_)))
    return found


@verb(app, "logs")
async def show_logs(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    id_: IdWord,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it is over; ends as it did.")] = False,
    tail: Annotated[int | None, typer.Option(help="Its last lines, so many.", min=1)] = None,
    attempt: Annotated[int | None, typer.Option(help="Of this attempt; else of the last.", min=1)] = None,
    timeout: Timeout = "",
) -> int:
    """Show what a job writes.

    Through a pipe its bytes are as it wrote them; on a terminal its control characters are shown, not obeyed.
    """
    job = await one_job(session, id_, "logs")
    reading = logs.Reading(follow=follow, tail=tail, attempt=attempt)
    deadline = Deadline(seconds(timeout, "--timeout"))
    if not follow:
        await shown_log(session, job, reading, deadline)
        return 0
    known = session.core.a_job(await session.look(jobs.at(job), job))
    session.leaving = Leave(session, [known]).say
    await shown_log(session, job, reading, deadline)
    session.leaving = None
    over = session.core.a_job(await session.look(jobs.at(job), job))
    return await end(session, [over], answer=False)


@verb(app, "events")
async def events(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="Of a batch or a job; else of the account.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on, until it is over.")] = False,
    kind: Annotated[list[str] | None, typer.Option(help="job, attempt, failure or batch; may be repeated.")] = None,
    after: Annotated[int, typer.Option(help="After this cursor; 0 is the oldest that is kept.", min=0)] = 0,
    timeout: Timeout = "",
) -> int:
    """Show what happened, in order; with --follow, what happens."""
    scope = event_stream.Scope(kinds=tuple(kind or ()))
    if id_:
        (found, *more) = await resolved(session, [id_])
        if more:
            raise Wrong("Events were not read.", "events are of one job or one batch", f"jobgate events {found}")
        scope = event_stream.Scope(
            batch="" if "-" in found else found, job=found if "-" in found else "", kinds=scope.kinds
        )
    deadline = Deadline(seconds(timeout, "--timeout"))
    last = after

    def leave() -> None:
        words = " ".join(part for part in ("jobgate events", id_, "--follow --after", str(last)) if part)
        session.screen.talk(f"Left. go on: {words}")

    session.leaving = leave
    if follow:
        async for item in event_stream.stream(session.line, scope, after, deadline):
            if isinstance(item, Event):
                last = item.cursor
                _tell(session, item)
        return 0
    with session.patience():
        listed = event_stream.events(
            session.line, batch=scope.batch, job=scope.job, kinds=scope.kinds, after=after, follow=False
        )
        async for item in listed:
            last = item.cursor
            _tell(session, item)
    return 0


COLUMNS = (
    Column("CURSOR", right=True, whole=True),
    Column("AT"),
    Column("EVENT"),
    Column("JOB", whole=True),
    Column("NOTE"),
)


def _tell(session: Session, event: Event) -> None:
    screen = session.screen
    if screen.as_json:
        body = msgspec.json.encode(_members(event))
        screen.raw(body)
    elif screen.quiet:
        screen.say(plain(event.job or event.batch))
    elif screen.terminal:
        sign = state(event.state).text[:2] if event.state and event.kind == "job" else "  "
        what = f"{sign}{plain(event.event):<18}  {plain(event.job or event.batch)}"
        screen.say(f"{event.cursor:>8}  {exact(event.at)}  {what}  {note(event)}".rstrip())
    else:
        row = [str(event.cursor), exact(event.at), event.event, event.job or event.batch, note(event)]
        screen.say(piped([[Cell(text) for text in row]])[0])


def note(event: Event) -> str:
    """What it says beside its name."""
    if event.counts:
        return plain(", ".join(f"{number:,} {word}" for word, number in event.counts.items()))
    parts = [cause(event.failure, event.limit, event.exit_code), event.attempt, event.environment, event.message]
    parts += [f"priority {event.priority}"] if event.priority is not None else []
    parts += [f"{event.progress:.0%}"] if event.progress is not None else []
    return plain(", ".join(part for part in parts if part))


def _members(event: Event) -> dict[str, object]:
    """The members that have a value, as on the wire."""
    found: dict[str, object] = msgspec.to_builtins(event)
    found["at"] = exact(event.at)
    return {
        name: value
        for name, value in found.items()
        if value not in (None, "", {}) and (name != "count" or event.counts)
    }
