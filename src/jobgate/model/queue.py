"""The order of the queue: one pure function, which also says why each job waits and where it stands.

Environment class first, then accounts by decayed usage of their dominant resource over their weight, then priority
(which orders only its own account's jobs), then age. A job that does not fit lets smaller ones pass until it has waited
`keep_after` seconds; then room is kept for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.ids import AccountId, JobId
from jobgate.model.resources import Gpu, Resources

HALF_LIFE: Final = 86_400.0
"""Seconds after which used resources count half."""


class Reason(StrEnum):
    """Why a job waits."""

    BUSY = "busy"
    """The environment's room is taken."""
    TURN = "turn"
    """Others are before it."""
    ROOM_KEPT = "room_kept"
    """Room is kept for a larger job that has waited long."""
    NO_ENVIRONMENT = "no_environment"
    """None may ever take it."""
    NOT_BEFORE = "not_before"
    """Its next try has a time."""
    HELD = "held"
    """Its owner holds it."""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """One job in the queue, as far as the order needs it."""

    job: JobId
    owner: AccountId
    priority: int
    since: float
    asked: Resources
    """With the environment's defaults filled in."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """One account's use of the environment, decayed to the present."""

    usage: float = 0.0
    """Seconds of the dominant share: 1.0 is the whole environment for a second."""
    weight: float = 1.0


class Room(msgspec.Struct, frozen=True, gc=False):
    """What is free, of what there is."""

    free: Resources
    total: Resources
    slots: int


class Verdicts(msgspec.Struct, frozen=True):
    """Who may start now, in order; and of the others the reason and place."""

    chosen: tuple[Waiting, ...]
    waits: Mapping[JobId, tuple[Reason, int]]


def order(waiting: Sequence[Waiting], standings: Mapping[AccountId, Standing], total: Resources) -> Iterable[Waiting]:
    """All that wait, in the order of their turns: an account's own use counts against its next job."""
    queues: dict[AccountId, list[Waiting]] = {}
    for item in sorted(waiting, key=lambda w: (-w.priority, w.job), reverse=True):
        queues.setdefault(item.owner, []).append(item)
    turns = [(_share(standings, owner), queue[-1].since, owner) for owner, queue in queues.items()]
    heapq.heapify(turns)
    while turns:
        share, _, owner = heapq.heappop(turns)
        queue = queues[owner]
        item = queue.pop()
        yield item
        if queue:
            weight = standings.get(owner, Standing()).weight
            heapq.heappush(turns, (share + dominant(item.asked, total) * _HOUR / weight, queue[-1].since, owner))


_HOUR: Final = 3_600.0
"""What a job not yet run counts as: an hour of what it asks for."""


def pick(
    waiting: Sequence[Waiting],
    standings: Mapping[AccountId, Standing],
    room: Room,
    now: float,
    *,
    keep_after: float = 600.0,
) -> Verdicts:
    """Who may start now in one environment, and why the others may not."""
    free, slots = room.free, room.slots
    chosen: list[Waiting] = []
    waits: dict[JobId, tuple[Reason, int]] = {}
    kept: Waiting | None = None
    blocked = False
    for item in order(waiting, standings, room.total):
        place = len(waits) + 1
        if not item.asked.fits(room.total):
            waits[item.job] = (Reason.NO_ENVIRONMENT, place)
        elif slots < 1:
            waits[item.job] = (Reason.TURN if blocked else Reason.BUSY, place)
            blocked = True
        elif not item.asked.fits(free):
            waits[item.job] = (Reason.BUSY, place)
            blocked = True
            if kept is None and now - item.since >= keep_after:
                kept = item
        elif kept is not None:
            waits[item.job] = (Reason.ROOM_KEPT, place)
        else:
            chosen.append(item)
            free = less(free, item.asked)
            slots -= 1
    return Verdicts(tuple(chosen), waits)


def dominant(asked: Resources, total: Resources) -> float:
    """The largest share of any one resource that `asked` is of `total`."""
    shares = [0.0]
    if total.cores:
        shares.append(asked.cores / total.cores)
    if total.memory:
        shares.append(asked.memory / total.memory)
    if total.disk:
        shares.append(asked.disk / total.disk)
    if gpus := _gpus(total):
        shares.append(_gpus(asked) / gpus)
    return max(shares)


def less(free: Resources, asked: Resources) -> Resources:
    """What is left of `free` when `asked` is taken."""
    gpus = _gpus(free) - _gpus(asked)
    return replace(
        free,
        cores=max(free.cores - asked.cores, 0.0),
        memory=max(free.memory - asked.memory, 0),
        disk=max(free.disk - asked.disk, 0),
        gpus=(Gpu(max(gpus, 0)),) if free.gpus else (),
    )


def share(total: Resources, parts: int) -> Resources:
    """One of `parts` equal parts of `total`."""
    return replace(
        total,
        cores=total.cores / parts,
        memory=total.memory // parts,
        disk=total.disk // parts,
        gpus=(Gpu(_gpus(total) // parts),) if total.gpus else (),
    )


def decayed(usage: float, seconds: float) -> float:
    """What `usage` counts after `seconds`."""
    return float(usage * 0.5 ** (max(seconds, 0.0) / HALF_LIFE))


def _gpus(resources: Resources) -> int:
    return sum(g.count for g in resources.gpus)


def _share(standings: Mapping[AccountId, Standing], owner: AccountId) -> float:
    standing = standings.get(owner, Standing())
    return standing.usage / standing.weight
