"""`jobgate top`: the queue, live: where jobs run, whose they are, and which batches are on their way.

On a terminal it is drawn anew every two seconds and at each key; off one it is written once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from jobgate.cli.connect import Session, verb
from jobgate.cli.describe import batch_lines
from jobgate.cli.phrases import ago, exact, plural, total
from jobgate.cli.places import slots_bar
from jobgate.cli.render import BAD, Cell, Column, piped, table, toned
from jobgate.cli.show import BATCHES, batch_row
from jobgate.cli.standing import ACCOUNTS, Server, account_row, head
from jobgate.client.core import Page
from jobgate.client.places import Account, Environment
from jobgate.client.records import BatchRecord

app = typer.Typer(rich_markup_mode=None)
EVERY: Final = 2.0
"""Seconds between two pictures."""
_LIVE: Final = "held,queued,running,cancelling"
_SHOWN: Final = 50
_SORTS: Final = ("name", "queued", "used")
_ENVIRONMENTS: Final = (
    Column("ENVIRONMENT", whole=True),
    Column("SLOTS", whole=True),
    Column("QUEUED", right=True),
    Column("OLDEST", right=True),
    Column("DOWN", note=True),
)
_KEYS: Final = "j, k: move   enter: open   /: filter   s: sort   q: leave"
_UP: Final = ("k", "\x1b[A")
_DOWN: Final = ("j", "\x1b[B")
_LEAVE: Final = ("q", "\x04", "\x1b")
_ENTER: Final = ("\r", "\n")
_BACK: Final = ("\x7f", "\x08")
_GAP: Final = "   "
_OPERATES: Final = "operate"
"""The scope of those who are shown the whole server."""


class Seen(NamedTuple):
    """The queue at one moment."""

    environments: tuple[Environment, ...]
    account: Account
    batches: tuple[BatchRecord, ...]
    server: Server | None = None
    """For operators."""


class Choice(NamedTuple):
    """What the keys have chosen."""

    row: int = 0
    sort: int = 0
    open: str = ""
    """The batch that is shown in full."""
    words: str = ""
    """What is shown has this in its name."""
    typing: bool = False
    """Keys are its letters."""
    leave: bool = False


def pressed(choice: Choice, key: str, batches: Sequence[BatchRecord]) -> Choice:
    """What is chosen after a key. Pure."""
    if choice.open:
        return choice._replace(open="")
    if choice.typing:
        return _typed(choice, key)
    row = min(choice.row, max(len(batches) - 1, 0))
    if key in _LEAVE:
        return choice._replace(leave=True)
    if key in _DOWN:
        return choice._replace(row=min(row + 1, max(len(batches) - 1, 0)))
    if key in _UP:
        return choice._replace(row=max(row - 1, 0))
    if key == "/":
        return choice._replace(typing=True, row=0)
    if key == "s":
        return choice._replace(sort=(choice.sort + 1) % len(_SORTS))
    if key in _ENTER and batches:
        return choice._replace(open=batches[row].id)
    return choice


def _typed(choice: Choice, key: str) -> Choice:
    """A letter of the filter, or its end: enter keeps it, escape takes it away."""
    if key in _ENTER:
        return choice._replace(typing=False)
    if key in ("\x1b", "\x04"):
        return choice._replace(typing=False, words="")
    if key in _BACK:
        return choice._replace(words=choice.words[:-1])
    return choice._replace(words=choice.words + key) if key.isprintable() else choice


def filtered(seen: Seen, words: str) -> Seen:
    """What has the words in its name or id, in any case. Pure."""
    if not words:
        return seen
    low = words.lower()
    server = seen.server
    if server is not None:
        server = msgspec.structs.replace(server, accounts=tuple(a for a in server.accounts if low in a.account.lower()))
    return seen._replace(
        environments=tuple(one for one in seen.environments if low in one.name.lower()),
        batches=tuple(one for one in seen.batches if low in one.id or low in (one.name or "").lower()),
        server=server,
    )


def picture(seen: Seen, choice: Choice, now: datetime, width: int, *, colour: bool) -> list[str]:
    """The whole screen as lines. Pure."""
    lines, seen = [*headline(seen, now, width), ""], filtered(seen, choice.words)
    places = [_environment(one, now) for one in _sorted(seen.environments, choice.sort)]
    lines += table(_ENVIRONMENTS, places, width, colour=colour)
    if seen.server is not None:
        lines += ["", *table(ACCOUNTS, [account_row(one) for one in seen.server.accounts], width, colour=colour)]
        if seen.server.more_accounts:
            lines.append(f"and {plural(seen.server.more_accounts, 'account')} more")
    lines += ["", f"{seen.account.account}: {total(seen.account.counts)}"]
    if seen.batches:
        rows = table(BATCHES, [batch_row(one, now) for one in seen.batches], width - 2, colour=colour)
        at = min(choice.row, len(seen.batches) - 1)
        mark = seen.batches[at].id
        lines += ["", *(f"{'> ' if mark in line else '  '}{line}" for line in rows)]
    keys = f"/{choice.words}   enter: keep   esc: all" if choice.typing else _KEYS
    return [*lines, "", toned(keys, "dim", colour=colour)]


def headline(seen: Seen, now: datetime, width: int) -> list[str]:
    """`jobgate   32 of 36 slots   359 queued`; for an operator what the server says of itself."""
    if seen.server is not None:
        parts = head(seen.server, now)
    else:
        up = [one for one in seen.environments if one.up and one.slots is not None and one.free_slots is not None]
        slots = sum(one.slots or 0 for one in up)
        used = slots - sum(one.free_slots or 0 for one in up)
        queued = sum(one.queued for one in seen.environments)
        parts = ["jobgate", f"{used:,} of {plural(slots, 'slot')}", f"{queued:,} queued"]
    if down := sum(not one.up for one in seen.environments):
        parts.append(f"{BAD.sign} {plural(down, 'environment')} down")
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(_GAP) + len(part) <= width:
            lines[-1] += _GAP + part
        else:
            lines.append(part)
    return lines


def _sorted(found: Sequence[Environment], sort: int) -> list[Environment]:
    def used(one: Environment) -> float:
        return 1 - (one.free_slots or 0) / one.slots if one.slots else 0.0

    if _SORTS[sort] == "queued":
        return sorted(found, key=lambda one: (-one.queued, one.name))
    if _SORTS[sort] == "used":
        return sorted(found, key=lambda one: (-used(one), one.name))
    return sorted(found, key=lambda one: one.name)


def _environment(one: Environment, now: datetime) -> list[Cell]:
    free = one.free_slots or 0
    return [
        Cell(one.name),
        Cell(slots_bar(one), "", f"{(one.slots or 0) - free}/{one.slots or 0}"),
        Cell(f"{one.queued:,}", "", str(one.queued)),
        Cell(ago(one.oldest, now), "", exact(one.oldest)),
        Cell("" if one.up else one.down_because or "yes", "red"),
    ]


@verb(app, "top")
async def top(
    session: Session,
    once: Annotated[bool, typer.Option("--once", help="Write it once, on a terminal too.")] = False,
) -> int:
    """Show the queue, live.

    Keys: j and k or the arrows move, enter opens a batch, / filters by name, s sorts the environments, q leaves. An
    operator sees the whole server, with every account that has jobs.
    """
    screen = session.screen
    seen, body = await _seen(session)
    if screen.as_json:
        screen.raw(body)
    elif screen.quiet:
        for batch in seen.batches:
            screen.say(batch.id)
    elif not screen.terminal:
        for line in piped([_environment(one, datetime.now(UTC)) for one in _sorted(seen.environments, 0)]):
            screen.say(line)
    elif once or not sys.stdin.isatty():
        for line in picture(seen, Choice(), datetime.now(UTC), screen.width, colour=screen.coloured(screen.out))[:-2]:
            screen.say(line)
    else:
        await _live(session, seen)
    return 0


async def _seen(session: Session) -> tuple[Seen, bytes]:
    """The queue now; and as JSON."""
    what = "The queue is not known."
    query = {"state": _LIVE, "limit": _SHOWN, "expand": "waits"}
    environments = await session.ask("GET", "/v1/environments", what)
    account = await session.ask("GET", "/v1/account", what)
    batches = await session.ask("GET", "/v1/batches", what, query=query)
    whose = msgspec.json.decode(account, type=Account)
    server = await session.ask("GET", "/v1/server", what) if _OPERATES in whose.scopes else None
    items = msgspec.json.decode(batches, type=Page).items
    seen = Seen(
        tuple(
            msgspec.json.decode(item, type=Environment) for item in msgspec.json.decode(environments, type=Page).items
        ),
        whose,
        tuple(session.core.a_batch(item) for item in items),
        None if server is None else msgspec.json.decode(server, type=Server),
    )
    parts = {"environments": environments, "account": account, "batches": batches}
    if server is not None:
        parts["server"] = server
    return seen, msgspec.json.encode({name: msgspec.Raw(part) for name, part in parts.items()})


async def _live(session: Session, seen: Seen) -> None:
    """Until somebody leaves."""
    from rich.console import Console  # noqa: PLC0415  # only a live picture needs it
    from rich.live import Live  # noqa: PLC0415  # as above
    from rich.text import Text  # noqa: PLC0415  # as above

    screen, choice = session.screen, Choice()
    colour = screen.coloured(screen.out)
    with _keys() as keys, Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while not choice.leave:
            now = datetime.now(UTC)
            opened = next((one for one in seen.batches if one.id == choice.open), None)
            if opened is not None:
                lines = [*batch_lines(opened, now, screen.width, colour=colour), "", "any key: back"]
            else:
                lines = picture(seen, choice, now, screen.width, colour=colour)
            live.update(Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)
            try:
                async with asyncio.timeout(EVERY):
                    choice = pressed(choice, await keys.get(), filtered(seen, choice.words).batches)
            except TimeoutError:
                seen, _ = await _seen(session)


@contextmanager
def _keys() -> Iterator[asyncio.Queue[str]]:
    """Keys as they are pressed; the terminal is as it was afterwards."""
    keys: asyncio.Queue[str] = asyncio.Queue()
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    loop = asyncio.get_running_loop()
    tty.setcbreak(handle)
    loop.add_reader(handle, lambda: keys.put_nowait(_read(handle)))
    try:
        yield keys
    finally:
        loop.remove_reader(handle)
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _read(handle: int) -> str:
    return os.read(handle, 16).decode("utf-8", "replace") or "q"
