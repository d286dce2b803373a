"""`jobgate environments`, `apps`, `whoami`: where jobs run, and whose key this is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from jobgate.cli.connect import Session, verb
from jobgate.cli.phrases import exact, total
from jobgate.cli.render import BAD, GOOD, Cell, Column, facts
from jobgate.client.core import Page
from jobgate.client.errors import NotFound
from jobgate.client.places import Account, App, Environment, Quota
from jobgate.client.progress import bar, span
from jobgate.client.words import plain, size

app = typer.Typer(rich_markup_mode=None)
ENVIRONMENTS = [
    Column("ENVIRONMENT", whole=True),
    Column("STATE"),
    Column("SLOTS"),
    Column("RUNNING", right=True),
    Column("QUEUED", right=True),
    Column("ENGINE"),
    Column("FREE", note=True),
]


@verb(app, "environments")
async def environments(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One of them, in full.")] = "",
    image: Annotated[str, typer.Option(help="Those that have this image, or pull it.")] = "",
    app_: Annotated[str, typer.Option("--app", help="Those that have this app.")] = "",
) -> int:
    """Show the places that run jobs."""
    screen = session.screen
    if name:
        body = await session.look(f"/v1/environments/{name}", name)
        found = [msgspec.json.decode(body, type=Environment)]
    else:
        body = await session.ask("GET", "/v1/environments", "Not listed.")
        found = [msgspec.json.decode(item, type=Environment) for item in _items(body)]
    catalogued = True
    if image:
        names = [msgspec.json.decode(item, type=_Named).name for item in await _list(session, "/v1/images")]
        catalogued = image in names
        found = [place for place in found if catalogued or place.images]
    if app_:
        names = [msgspec.json.decode(item, type=_Named).name for item in await _list(session, "/v1/apps")]
        if app_ not in names:
            raise NotFound(
                f"{plain(app_)} is no app of this server.",
                detail=f"there are: {plain(', '.join(names)) or 'none'}",
                next_="jobgate apps",
            )
    if screen.as_json:
        kept = {place.name for place in found}
        items = [item for item in _items(body) if msgspec.json.decode(item, type=_Named).name in kept]
        screen.raw(body if name or not image else msgspec.json.encode({"items": items}))
    elif name and not screen.quiet:
        for line in environment_lines(found[0], screen.width):
            screen.say(line)
    else:
        screen.rows(ENVIRONMENTS, [environment_row(place) for place in found])
    if not found:
        screen.talk(f"No environment has the image {plain(image)}." if image else "There is none.")
    return 0


def _items(body: bytes) -> Sequence[msgspec.Raw]:
    return msgspec.json.decode(body, type=Page).items


async def _list(session: Session, path: str) -> Sequence[msgspec.Raw]:
    return _items(await session.ask("GET", path, "Not listed."))


class _Named(msgspec.Struct):
    name: str


def environment_row(place: Environment) -> list[Cell]:
    """An environment as a row."""
    slots, free = place.slots, place.free_slots
    used = None if slots is None or free is None else slots - free
    return [
        Cell(place.name),
        Cell(f"{GOOD.sign} up", GOOD.tone, "up") if place.up else Cell(f"{BAD.sign} down", BAD.tone, "down"),
        Cell("" if used is None else f"{used:,}/{slots:,}"),
        Cell(f"{place.running:,}", "", str(place.running)),
        Cell(f"{place.queued:,}", "", str(place.queued)),
        Cell(place.engine, "dim"),
        Cell(place.down_because if not place.up else _room(place), "dim"),
    ]


def _room(place: Environment) -> str:
    free = place.free
    if free is None:
        return ""
    parts = [f"{free.cores:g} cores" if free.cores is not None else ""]
    parts += [size(free.memory) if free.memory is not None else "", f"{free.gpus} gpus" if free.gpus else ""]
    return ", ".join(part for part in parts if part)


def environment_lines(place: Environment, width: int) -> list[str]:
    """An environment in full."""
    found = [("state", "up" if place.up else f"down: {plain(place.down_because)}"), ("engine", plain(place.engine))]
    if place.slots is not None:
        free = "" if place.free_slots is None else f", {place.free_slots:,} free"
        found.append(("slots", f"{place.slots:,}{free}"))
    found += [("free", _room(place))] if _room(place) else []
    found.append(("jobs", f"{place.running:,} running, {place.queued:,} queued"))
    found += [("networks", plain(", ".join(place.networks)))] if place.networks else []
    found += [("longest run", span(place.longest_run))] if place.longest_run else []
    found += [("longest wait", span(place.longest_wait))] if place.longest_wait else []
    found += [("price", f"{place.price:g}")] if place.price else []
    found.append(("images", "also those that are not in the catalogue" if place.images else "those of the catalogue"))
    return [plain(place.name), *facts(found, width)]


@verb(app, "apps")
async def apps(session: Session) -> int:
    """Show the programs of the operator's catalogue."""
    body = await session.ask("GET", "/v1/apps", "Not listed.")
    if session.screen.as_json:
        session.screen.raw(body)
        return 0
    found = [msgspec.json.decode(item, type=App) for item in _items(body)]
    columns = [Column("APP", whole=True), Column("IMAGE"), Column("TITLE", note=True)]
    session.screen.rows(columns, [[Cell(one.name), Cell(one.image), Cell(one.title, "dim")] for one in found])
    return 0


@verb(app, "whoami")
async def whoami(session: Session) -> int:
    """Show whose key this is, and what is used of its quotas."""
    body = await session.ask("GET", "/v1/account", "Not known.")
    found = msgspec.json.decode(body, type=Account)
    screen = session.screen
    if screen.as_json:
        screen.raw(body)
    elif screen.quiet:
        screen.say(plain(found.account))
    else:
        for line in account_lines(found, session.line.where.server, screen.width):
            screen.say(line)
    return 0


def account_lines(found: Account, server: str, width: int) -> list[str]:
    """An account in full."""
    told = [("server", server), ("may", plain(", ".join(found.scopes)) or "nothing")]
    told += [("since", exact(found.created))] if found.created else []
    told.append(("jobs", total(found.counts)))
    told += [(name.replace("_", " "), _quota(name, quota)) for name, quota in found.quotas.items()]
    told.append(("weight", f"{found.weight:g}"))
    told += [("credit", f"{found.credit:,.6g}")] if found.credit else []
    return [f"{plain(found.account)}  {plain(found.id)}".rstrip(), *facts(told, width)]


def _quota(name: str, quota: Quota) -> str:
    show = _bytes if name == "storage" else _number
    used = "" if quota.used is None else show(quota.used)
    if quota.limit is None:
        return f"{used}, no limit".removeprefix(", ")
    if quota.used is None:
        return f"{show(quota.limit)} at most"
    return f"{used} of {show(quota.limit)}"


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,}"


def _bytes(value: float) -> str:
    return size(int(value))


def slots_bar(place: Environment, cells: int = 8) -> str:
    """`███░░░░░ 12/32`."""
    if place.slots is None or place.free_slots is None:
        return ""
    used = max(place.slots - place.free_slots, 0)
    return f"{bar({'succeeded': used}, place.slots, cells)} {used:,}/{place.slots:,}"
