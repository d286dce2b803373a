"""`jobgate cancel`, `retry`, `hold`, `release`, `change`, `delete`: what is asked of jobs and batches.

A named id acts at once. A filter asks first on a terminal, and wants --yes elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
import typer

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.exits import NOT_ITS_DOING
from jobgate.cli.ids import IdWords, SomeIds, each, resolved
from jobgate.cli.phrases import plural
from jobgate.cli.render import GOOD, NOTHING, Sign, beside, wrapped
from jobgate.cli.request import pairs
from jobgate.cli.states import OF_BATCHES, states
from jobgate.client import jobs
from jobgate.client.errors import Conflict
from jobgate.client.records import Asked, BatchRecord
from jobgate.client.words import plain

app = typer.Typer(rich_markup_mode=None)
All = Annotated[bool, typer.Option("--all", help="All batches of this account that it can mean; asks first.")]
States = Annotated[list[str] | None, typer.Option("--state", help="All batches of this state; asks first.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="All batches with this label; asks first.", metavar="NAME=VALUE")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_LIVE = "held,queued,running,cancelling"
_OVER = "succeeded,failed,cancelled"


class _Retried(msgspec.Struct):
    retried: int = 0


async def chosen(  # noqa: PLR0913  # ids, or one of three filters
    session: Session,
    ids: list[str] | None,
    deed: str,
    of: str,
    *,
    every: bool = False,
    state: Sequence[str] = (),
    label: Sequence[str] = (),
    yes: bool = False,
) -> list[str]:
    """The ids that are named, or those that a filter finds when that is confirmed. Raises Wrong."""
    filtered = every or state or label
    if bool(ids) == bool(filtered):
        raise Wrong("Nothing was done.", "name ids, or a filter", f"jobgate {deed} ID    or --label NAME=VALUE, --all")
    if ids:
        return await resolved(session, ids)
    query = {
        "state": ",".join(states(state, OF_BATCHES, "Nothing was done.")) or of,
        "label": [f"{name}={value}" for name, value in pairs(label, "--label", "Nothing was done.").items()],
    }
    found: list[BatchRecord] = []
    with session.patience():
        async for page in jobs.pages(session.line, "/v1/batches", query, "Nothing was done."):
            found += [session.core.a_batch(item) for item in page.items]
    if not found and not session.screen.as_json:
        session.screen.talk(f"No batch to {deed} meets that.", NOTHING)
    many = f"{plural(len(found), 'batch')} with {plural(sum(batch.count for batch in found), 'job')}"
    if found and not yes and not _confirmed(session, f"{deed} {many}?"):
        raise Wrong("Nothing was done.", f"{deed} {many} was not confirmed", "the same command with --yes")
    return [batch.id for batch in found]


def _confirmed(session: Session, question: str) -> bool:
    """Asks, on a terminal; nobody is there to ask elsewhere."""
    if not (sys.stdin.isatty() and session.screen.err.isatty()):
        return False
    session.screen.err.write(f"{question} [y/N] ")
    session.screen.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def asked(
    session: Session, ids: Sequence[str], do: Callable[[str], Awaitable[bytes]], tell: Callable[[str, bytes], None]
) -> int:
    """Asks it of each; what is refused is told, and the others go on. Status 125 if one was."""
    refused: list[Conflict] = []

    async def one(id_: str) -> bytes | None:
        try:
            return await do(id_)
        except Conflict as error:
            if len(ids) == 1:
                raise
            refused.append(error)
            return None

    bodies = await each(ids, one)
    answered = [(id_, body) for id_, body in zip(ids, bodies, strict=True) if body is not None]
    if session.screen.as_json:
        parts = [body or b"{}" for _, body in answered]
        session.screen.raw(parts[0] if len(ids) == 1 else b'{"items":[' + b",".join(parts) + b"]}")
    else:
        for id_, body in answered:
            if session.screen.quiet:
                session.screen.say(id_)
            else:
                tell(id_, body)
    if refused:
        first = refused[0]
        more = f", and {len(refused) - 1:,} more" if len(refused) > 1 else ""
        session.screen.refuse(
            f"{first.what.rstrip('.')}{more}.", first.detail or first.code, first.next or "jobgate status ID"
        )
        return NOT_ITS_DOING
    return 0


def said(session: Session, text: str, next_: str = "", sign: Sign = GOOD) -> None:
    """Tells what was done, and what one does next."""
    width = session.screen.width - 2
    first, *rest = [*wrapped(text, width)[:-1], *beside(wrapped(text, width)[-1], next_, width)]
    session.screen.signed(first, sign)
    for line in rest:
        session.screen.say(line if line.startswith("  ") else f"  {line}")


@verb(app, "cancel")
async def cancel(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    ids: SomeIds = None,
    message: Annotated[str, typer.Option(help="Why; it is kept with the jobs.")] = "",
    every: All = False,
    state: States = None,
    label: Labels = None,
    yes: Yes = False,
) -> int:
    """Ask for the end of jobs and batches.

    Queued ones end at once; of running ones the end is asked, and comes when they have stopped.
    """
    found = await chosen(session, ids, "cancel", _LIVE, every=every, state=state or (), label=label or (), yes=yes)

    async def ask(id_: str) -> bytes:
        body = {"message": message} if message else {}
        return await session.ask("POST", f"{jobs.at(id_)}/cancel", f"{id_}: not cancelled.", body=body)

    def tell(id_: str, body: bytes) -> None:
        if "-" in id_:
            job = session.core.a_job(body)
            words = {"cancelling": "it is cancelling", "cancelled": "it is cancelled"}
            if job.state in words:
                watch = f"watch: jobgate wait {id_}" if job.state == "cancelling" else ""
                said(session, f"Asked. {id_}: {words[job.state]}.", watch)
            elif job.over:
                said(session, f"{id_} was over: {plain(job.state)}.", "", NOTHING)
            else:
                said(session, f"Asked. {id_} is {plain(job.state)}.", f"watch: jobgate wait {id_}")
            return
        told = msgspec.json.decode(body, type=Asked)
        parts = []
        if told.cancelled:
            parts.append(f"{plural(told.cancelled, 'queued job')} {'is' if told.cancelled == 1 else 'are'} cancelled")
        if told.cancelling:
            parts.append(f"{told.cancelling:,} running {'one is' if told.cancelling == 1 else 'ones are'} cancelling")
        if not parts:
            said(session, f"{id_}: all of its jobs were over.", "", NOTHING)
            return
        said(session, f"Asked. {'; '.join(parts)}.", f"watch: jobgate wait {id_}" if told.cancelling else "")

    return await asked(session, found, ask, tell)


@verb(app, "retry")
async def retry(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    ids: SomeIds = None,
    failed: Annotated[bool, typer.Option("--failed", help="Those of a batch that failed; others never are.")] = False,
    every: All = False,
    label: Labels = None,
    yes: Yes = False,
) -> int:
    """Give failed jobs another attempt, under their ids."""
    del failed  # what it asks for is the only thing that can be retried
    found = await chosen(session, ids, "retry", "failed", every=every, label=label or (), yes=yes)

    async def ask(id_: str) -> bytes:
        body = None if "-" in id_ else {"state": "failed"}
        return await session.ask("POST", f"{jobs.at(id_)}/retry", f"{id_}: not retried.", body=body)

    def tell(id_: str, body: bytes) -> None:
        if "-" in id_:
            said(session, f"{id_} is queued for another attempt, under the same id.", f"watch: jobgate wait {id_}")
            return
        number = msgspec.json.decode(body, type=_Retried).retried
        if not number:
            said(session, f"{id_}: none of its jobs has failed.", "", NOTHING)
            return
        many = f"{plural(number, 'job')} {'is' if number == 1 else 'are'}"
        said(session, f"{many} queued for another attempt, under the same ids. {id_} is open again.")

    return await asked(session, found, ask, tell)


@verb(app, "hold")
async def hold(session: Session, ids: IdWords) -> int:
    """Keep waiting jobs from starting, until they are released."""
    return await _patch(session, await resolved(session, ids), {"hold": True}, "is held", "start: jobgate release")


@verb(app, "release")
async def release(session: Session, ids: IdWords) -> int:
    """Let held jobs start."""
    return await _patch(session, await resolved(session, ids), {"hold": False}, "may start", "watch: jobgate wait")


@verb(app, "change")
async def change(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    ids: IdWords,
    priority: Annotated[int | None, typer.Option(help="Orders this account's own jobs; higher goes first.")] = None,
    name: Annotated[str | None, typer.Option(help="Of a batch: another name.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Of a batch: NAME=VALUE; may be repeated.", metavar="NAME=VALUE")
    ] = None,
    remove_label: Annotated[list[str] | None, typer.Option(help="Of a batch: this label goes.", metavar="NAME")] = None,
) -> int:
    """Change the priority, name or labels of jobs and batches."""
    changes: dict[str, Any] = {}
    changes |= {"priority": priority} if priority is not None else {}
    changes |= {"name": name} if name is not None else {}
    labels = {**pairs(label or (), "--label", "Nothing was changed."), **dict.fromkeys(remove_label or ())}
    changes |= {"labels": labels} if labels else {}
    if not changes:
        raise Wrong(
            "Nothing was changed.", "nothing to change is named", "jobgate change ID --priority 5    or --name, --label"
        )
    return await _patch(session, await resolved(session, ids), changes, "is changed", "look: jobgate status")


async def _patch(session: Session, ids: Sequence[str], changes: dict[str, Any], word: str, next_: str) -> int:
    async def ask(id_: str) -> bytes:
        return await session.ask("PATCH", jobs.at(id_), f"{id_}: not changed.", body=changes)

    def tell(id_: str, body: bytes) -> None:
        found = session.core.a_job(body) if "-" in id_ else session.core.a_batch(body)
        if found.over and "hold" in changes:
            said(session, f"{id_} was over: {plain(found.state)}.", "", NOTHING)
        else:
            said(session, f"{id_} {word}.", f"{next_} {id_}")

    return await asked(session, ids, ask, tell)


@verb(app, "delete")
async def delete(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    ids: SomeIds = None,
    force: Annotated[
        bool, typer.Option("--force", help="Stop those that are not over first, and wait for that.")
    ] = False,
    every: All = False,
    state: States = None,
    label: Labels = None,
    yes: Yes = False,
) -> int:
    """Delete jobs and batches that are over, with their files."""
    found = await chosen(session, ids, "delete", _OVER, every=every, state=state or (), label=label or (), yes=yes)

    async def ask(id_: str) -> bytes:
        with session.patience():
            await jobs.delete(session.line, id_, force=force)
        return msgspec.json.encode({"id": id_, "deleted": True})

    return await asked(session, found, ask, lambda id_, _: said(session, f"{id_} is deleted, with its files."))
