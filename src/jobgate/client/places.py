"""Where jobs can run, and whose key this is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from jobgate.client.core import decoded
from jobgate.client.jobs import pages
from jobgate.client.line import Asking, Line
from jobgate.client.words import plain

WHAT: Final = "Not listed."


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Cores, memory, disk and GPUs."""

    cores: float | None = None
    memory: int | None = None
    disk: int | None = None
    gpus: int | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A place that runs jobs."""

    name: str
    engine: str = ""
    up: bool = True
    down_because: str = ""
    slots: int | None = None
    free_slots: int | None = None
    room: Room | None = None
    free: Room | None = None
    networks: tuple[str, ...] = ()
    price: float | None = None
    longest_wait: float | None = None
    longest_run: float | None = None
    queued: int = 0
    oldest: datetime | None = None
    """Since when the one of them waits that has waited longest."""
    running: int = 0
    images: bool = False
    owned: bool = False

    def __repr__(self) -> str:
        state = "up" if self.up else f"down: {plain(self.down_because)}"
        return f"<Environment {plain(self.name)} {state}, {self.running:,} running, {self.queued:,} queued>"


class App(msgspec.Struct, frozen=True, kw_only=True):
    """A named program of the operator's catalogue."""

    name: str
    title: str = ""
    image: str = ""
    licence: bool = False
    licence_url: str = ""
    charge: float | None = None


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What one account may use at once, and uses."""

    limit: int | float | None = None
    used: int | float | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who the key belongs to, and what is used."""

    account: str
    id: str = ""
    scopes: tuple[str, ...] = ()
    created: datetime | None = None
    counts: Mapping[str, int] = {}
    quotas: Mapping[str, Quota] = {}
    weight: float = 1.0
    usage: Mapping[str, float] = {}
    credit: float = 0.0
    """Granted to its attempts, ever."""
    limits: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Account {plain(self.account)}: {', '.join(f'{n:,} {plain(s)}' for s, n in self.counts.items())}>"


class _Image(msgspec.Struct):
    name: str


async def environments(line: Line) -> tuple[Environment, ...]:
    """All that this account may know."""
    return tuple(
        [
            decoded(item, Environment)
            async for page in pages(line, "/v1/environments", NO_PAGES, WHAT)
            for item in page.items
        ]
    )


async def environment(line: Line, name: str) -> Environment:
    """One of them."""
    path = f"/v1/environments/{quote(name, safe='')}"
    return decoded(
        (await line.call(Asking(method="GET", path=path, what=f"{name} was not read.", sought=name))).content,
        Environment,
    )


async def apps(line: Line) -> tuple[App, ...]:
    """The catalogue's programs."""
    return tuple([decoded(item, App) async for page in pages(line, "/v1/apps", NO_PAGES, WHAT) for item in page.items])


async def images(line: Line) -> tuple[str, ...]:
    """The catalogue's images."""
    return tuple(
        [decoded(item, _Image).name async for page in pages(line, "/v1/images", NO_PAGES, WHAT) for item in page.items]
    )


async def account(line: Line) -> Account:
    """The account of the key."""
    return decoded((await line.call(Asking(method="GET", path="/v1/account", what="Not known."))).content, Account)


NO_PAGES: Final[dict[str, object]] = {"limit": None}
"""Short lists come whole, and take no limit."""
