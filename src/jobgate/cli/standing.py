"""The server as its operator sees it, in lines: the head of `jobgate top`, and whose the jobs are."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from jobgate.cli.phrases import ago, plural
from jobgate.cli.render import Cell, Column
from jobgate.client.words import plain

ACCOUNTS: Final = (
    Column("ACCOUNT", whole=True),
    Column("RUNNING", right=True),
    Column("QUEUED", right=True),
    Column("SHARE USED"),
    Column("WAITS FOR"),
)
_SLOW: Final = 1.0
"""Starts a second below which their number is told with a decimal."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One account that has jobs."""

    account: str
    running: int = 0
    queued: int = 0
    share_used: float = 0.0
    share_due: float = 0.0
    waits_for: str = ""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What `/v1/server` says."""

    version: str = ""
    started: datetime | None = None
    starts_per_second: float = 0.0
    slots: int = 0
    free_slots: int = 0
    queued: int = 0
    oldest: datetime | None = None
    events_behind: float = 0.0
    accounts: tuple[Part, ...] = ()
    more_accounts: int = 0


def head(server: Server, now: datetime) -> list[str]:
    """In parts: `jobgate 1.0`, `up 9 d`, `61 starts/s`, `32 of 32 slots`, `359 queued, oldest 14 min`, and events."""
    pace = server.starts_per_second
    starts = f"{pace:.0f}" if pace >= _SLOW or not pace else f"{pace:.1f}"
    oldest = f", oldest {ago(server.oldest, now)}" if server.oldest is not None else ""
    return [
        f"jobgate {plain(server.version)}",
        *([f"up {ago(server.started, now)}"] if server.started is not None else []),
        f"{starts} starts/s",
        f"{server.slots - server.free_slots:,} of {plural(server.slots, 'slot')}",
        f"{server.queued:,} queued{oldest}",
        f"events {server.events_behind:.1f} s behind",
    ]


def account_row(part: Part) -> list[Cell]:
    """One account."""
    used, due = f"{part.share_used:.0%}".replace("%", " %"), f"{part.share_due * 100:.0f}"
    return [
        Cell(part.account),
        Cell(f"{part.running:,}", "", str(part.running)),
        Cell(f"{part.queued:,}", "", str(part.queued)),
        Cell(f"{used} of {due}", "", f"{part.share_used:g}/{part.share_due:g}"),
        Cell(part.waits_for),
    ]
