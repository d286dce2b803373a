"""What the runner sees of its environments at one moment: what is free, what runs, what is down."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from jobgate.model.allowance import InUse
from jobgate.model.history import Kind
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.queue import Room, Standing
from jobgate.model.resources import Resources


class Down(msgspec.Struct, frozen=True, gc=False):
    """Why an environment starts nothing now."""

    since: float
    because: str


class Running(msgspec.Struct, frozen=True, gc=False):
    """One job that has its room, whether it runs already or not."""

    kind: Kind
    owner: AccountId
    asked: Resources
    since: float | None = None
    """When it started; None: it is about to."""
    operations: float = 0.0
    """Floating-point operations that it said it takes."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """One environment."""

    room: Room
    running: tuple[Running, ...] = ()
    """In the order in which they got their room."""
    down: Down | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All of them. An environment that is missing has no node that runs it."""

    places: Mapping[EnvironmentName, Sight] = {}
    since: float = 0.0
    """When the runner began."""
    starts: float = 0.0
    """Jobs that started in a second, over the last ten."""
    standings: Mapping[AccountId, Standing] = {}
    """What each account has used, to order the queue by."""
    held: Mapping[AccountId, InUse] = {}
    """What each account has now, over all environments: its quota bounds that."""
