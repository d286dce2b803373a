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
from jobgate.cli.phrases import plural, total
from jobgate.cli.places import slots_bar
from jobgate.cli.render import BAD, Cell, Column, piped, table, toned
from jobgate.cli.show import BATCHES, batch_row
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
    Column("SLOTS"),
    Column("RUNNING", right=True),
    Column("QUEUED", right=True),
    Column("DOWN", note=True),
)
_KEYS: Final = "j, k: move   enter: open   s: sort   q: leave"
_UP: Final = ("k", "\x1b[A")
_DOWN: Final = ("j", "\x1b[B")
_LEAVE: Final = ("q", "\x04", "\x1b")


class Seen(NamedTuple):
    """The queue at one moment."""

    environments: tuple[Environment, ...]
    account: Account
    batches: tuple[BatchRecord, ...]


class Choice(NamedTuple):
    """What the keys have chosen."""

    row: int = 0
    sort: int = 0
    open: str = ""
    """The batch that is shown in full."""
    leave: bool = False


def pressed(choice: Choice, key: str, batches: Sequence[BatchRecord]) -> Choice:
    """What is chosen after a key. Pure."""
    if choice.open:
        return choice._replace(open="")
    row = min(choice.row, max(len(batches) - 1, 0))
    if key in _LEAVE:
        return choice._replace(leave=True)
    if key in _DOWN:
        return choice._replace(row=min(row + 1, max(len(batches) - 1, 0)))
    if key in _UP:
        return choice._replace(row=max(row - 1, 0))
    if key == "s":
        return choice._replace(sort=(choice.sort + 1) % len(_SORTS))
    if key in ("\r", "\n") and batches:
        return choice._replace(open=batches[row].id)
    return choice


def picture(seen: Seen, choice: Choice, now: datetime, width: int, *, colour: bool) -> list[str]:
    """The whole screen as lines. Pure."""
    lines = [headline(seen), ""]
    lines += table(
        _ENVIRONMENTS, [_environment(one) for one in _sorted(seen.environments, choice.sort)], width, colour=colour
    )
    lines += ["", f"{seen.account.account}: {total(seen.account.counts)}"]
    if seen.batches:
        rows = table(BATCHES, [batch_row(one, now) for one in seen.batches], width - 2, colour=colour)
        at = min(choice.row, len(seen.batches) - 1)
        mark = seen.batches[at].id
        lines += ["", *(f"{'> ' if mark in line else '  '}{line}" for line in rows)]
    return [*lines, "", toned(_KEYS, "dim", colour=colour)]


def headline(seen: Seen) -> str:
    """`jobgate   32 of 36 slots   359 queued`."""
    up = [one for one in seen.environments if one.up and one.slots is not None and one.free_slots is not None]
    slots = sum(one.slots or 0 for one in up)
    used = slots - sum(one.free_slots or 0 for one in up)
    queued = sum(one.queued for one in seen.environments)
    down = len(seen.environments) - sum(one.up for one in seen.environments)
    parts = ["jobgate", f"{used:,} of {plural(slots, 'slot')}", f"{queued:,} queued"]
    return "   ".join([*parts, *([f"{BAD.sign} {plural(down, 'environment')} down"] if down else [])])


def _sorted(found: Sequence[Environment], sort: int) -> list[Environment]:
    def used(one: Environment) -> float:
        return 1 - (one.free_slots or 0) / one.slots if one.slots else 0.0

    if _SORTS[sort] == "queued":
        return sorted(found, key=lambda one: (-one.queued, one.name))
    if _SORTS[sort] == "used":
        return sorted(found, key=lambda one: (-used(one), one.name))
    return sorted(found, key=lambda one: one.name)


def _environment(one: Environment) -> list[Cell]:
    free = one.free_slots or 0
    return [
        Cell(one.name),
        Cell(slots_bar(one), "", f"{(one.slots or 0) - free}/{one.slots or 0}"),
        Cell(f"{one.running:,}", "", str(one.running)),
        Cell(f"{one.queued:,}", "", str(one.queued)),
        Cell("" if one.up else one.down_because or "yes", "red"),
    ]


@verb(app, "top")
async def top(
    session: Session,
    once: Annotated[bool, typer.Option("--once", help="Write it once, on a terminal too.")] = False,
) -> int:
    """Show the queue, live.

    Keys: j and k or the arrows move, enter opens a batch, s sorts the environments, q leaves.
    """
    screen = session.screen
    seen, body = await _seen(session)
    if screen.as_json:
        screen.raw(body)
    elif screen.quiet:
        for batch in seen.batches:
            screen.say(batch.id)
    elif not screen.terminal:
        for line in piped([_environment(one) for one in _sorted(seen.environments, 0)]):
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
    items = msgspec.json.decode(batches, type=Page).items
    seen = Seen(
        tuple(
            msgspec.json.decode(item, type=Environment) for item in msgspec.json.decode(environments, type=Page).items
        ),
        msgspec.json.decode(account, type=Account),
        tuple(session.core.a_batch(item) for item in items),
    )
    parts = {"environments": environments, "account": account, "batches": batches}
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
                    choice = pressed(choice, await keys.get(), seen.batches)
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
