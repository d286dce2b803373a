"""The order of the queue: one pure function, which also says why each job waits and where it stands.

Environment class first, then accounts by decayed usage of their dominant resource over their weight, then priority
(which orders only its own account's jobs), then age. A job that does not fit lets smaller ones pass until it has waited
`keep_after` seconds; then room is kept for it. A job that its account's quota blocks lets all others pass; only of the
same account, none passes one that has waited so long.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.allowance import Allowance
from jobgate.model.ids import AccountId, JobId
from jobgate.model.resources import Gpu, Resources

HALF_LIFE: Final = 86_400.0
"""Seconds after which used resources count half."""


class Reason(StrEnum):
    """Why a job waits: the first thing that blocks it. The list is closed."""

    HELD = "held"
    """Its owner holds it."""
    NOT_BEFORE = "not_before"
    """Its next try has a time."""
    QUOTA = "quota"
    """Its account has as many jobs running as it may."""
    BUSY = "busy"
    """The environment's room is taken."""
    TURN = "turn"
    """Others are before it."""
    ROOM_KEPT = "room_kept"
    """Room is kept for a larger job that has waited long."""
    ENVIRONMENT_DOWN = "environment_down"
    """Every environment that could take it is down."""
    NO_ENVIRONMENT = "no_environment"
    """None may ever take it."""


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
    left: Room
    """What the chosen leave free."""
    kept: Waiting | None = None
    """The one that room is kept for."""
    blocked: bool = False
    """Somebody waits for room."""
    allowances: Mapping[AccountId, Allowance] = {}
    """What the chosen leave of each quota."""
    patient: frozenset[AccountId] = frozenset()
    """Accounts whose quota is kept for a larger job of theirs, that has waited long."""
    stuck: frozenset[JobId] = frozenset()
    """Those of the waiting that quotas keep: all other accounts' jobs pass them."""

    def beyond(self, owner: AccountId, asked: Resources) -> Reason:
        """Why a job waits that comes after all of these: what `pick` would have said of it."""
        if (allowance := self.allowances.get(owner)) is not None and not allowance.takes(asked):
            return Reason.QUOTA
        if owner in self.patient:
            return Reason.TURN
        if self.left.slots < 1:
            return Reason.TURN if self.blocked else Reason.BUSY
        if not asked.fits(self.left.free):
            return Reason.BUSY
        return Reason.ROOM_KEPT if self.kept is not None else Reason.TURN


class Line(msgspec.Struct, frozen=True):
    """One account's part of a queue: its first jobs as they stand, and how many there are in all."""

    owner: AccountId
    heads: tuple[Waiting, ...]
    """In the order of their turns."""
    length: int
    """Never less than there are heads."""
    most: int | None = None
    """So many of them may start before other accounts' jobs, as the account's quota stands; None: all."""


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


Before = Callable[[AccountId, int, float], dict[AccountId, int]]


def before(lines: Sequence[Line], standings: Mapping[AccountId, Standing], total: Resources) -> Before:
    """A function that says how many jobs of each account have their turn before a certain one.

    It is asked with that job's account, how many come before it in its account's line, and since when it waits. The
    answer is exact as far as heads are known: it is the place in `order`. Beyond them every further job counts as what
    the heads of its account ask for on average. Those that a quota keeps are before none but their own account's.
    """
    paces = {line.owner: _pace(line, standings, total) for line in lines}

    def of(owner: AccountId, rank: int, since: float) -> dict[AccountId, int]:
        own = paces.get(owner) or _pace(Line(owner, (), rank), standings, total)
        turn = (own.share(rank), since, owner)
        ahead = {owner: rank} if rank else {}
        for line in lines:
            if line.owner != owner and (passed := paces[line.owner].passed(turn)):
                ahead[line.owner] = passed
                if line.most is not None and line.most < passed:
                    ahead[line.owner] = line.most
        return ahead

    return of


class _Pace(msgspec.Struct, frozen=True):
    """How an account's share grows with its turns."""

    line: Line
    shares: tuple[float, ...]
    """At the turn of each head, and at the first after them."""
    usual: float
    """What each further job adds."""

    def share(self, rank: int) -> float:
        """At the turn of the job of that rank."""
        last = len(self.shares) - 1
        return self.shares[rank] if rank <= last else self.shares[last] + (rank - last) * self.usual

    def passed(self, turn: tuple[float, float, AccountId]) -> int:
        """How many have theirs before that one."""
        for number, (head, share) in enumerate(zip(self.line.heads, self.shares, strict=False)):
            if (share, head.since, self.line.owner) > turn:
                return number
        known, further = len(self.line.heads), self.line.length - len(self.line.heads)
        if further < 1 or self.shares[-1] > turn[0]:
            return known
        if not self.usual:
            return self.line.length
        return known + min(math.ceil((turn[0] - self.shares[-1]) / self.usual), further)


def _pace(line: Line, standings: Mapping[AccountId, Standing], total: Resources) -> _Pace:
    weight = standings.get(line.owner, Standing()).weight
    costs = [dominant(item.asked, total) * _HOUR / weight for item in line.heads]
    shares = tuple(accumulate(costs, initial=_share(standings, line.owner)))  # one by one, as `order` adds them
    return _Pace(line, shares, sum(costs) / len(costs) if costs else _HOUR / weight)


_NO_QUOTA: Final[Mapping[AccountId, Allowance]] = {}


def pick(  # noqa: PLR0913  # what is free, who asks, and what is kept from them
    waiting: Sequence[Waiting],
    standings: Mapping[AccountId, Standing],
    room: Room,
    now: float,
    allowances: Mapping[AccountId, Allowance] = _NO_QUOTA,
    *,
    keep_after: float = 600.0,
) -> Verdicts:
    """Who may start now in one environment, and why the others may not. `allowances`: of accounts that have a quota."""
    free, slots = room.free, room.slots
    left = dict(allowances)
    patient: set[AccountId] = set()
    stuck: set[JobId] = set()
    chosen: list[Waiting] = []
    waits: dict[JobId, tuple[Reason, int]] = {}
    kept: Waiting | None = None
    blocked = False
    for item in order(waiting, standings, room.total):
        place = len(waits) + 1
        if not item.asked.fits(room.total):
            waits[item.job] = (Reason.NO_ENVIRONMENT, place)
        elif left and (reason := _kept_back(item, left, patient, now - keep_after)) is not None:
            waits[item.job] = (reason, place)
            stuck.add(item.job)
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
            if (allowance := left.get(item.owner)) is not None:
                left[item.owner] = allowance.less(item.asked)
    return Verdicts(
        tuple(chosen),
        waits,
        Room(free, room.total, slots),
        kept,
        blocked,
        left,
        frozenset(patient),
        frozenset(stuck),
    )


def _kept_back(
    item: Waiting, left: Mapping[AccountId, Allowance], patient: set[AccountId], before: float
) -> Reason | None:
    """Why its own account's quota keeps it, whatever room there is; one that waits since `before` is noted."""
    allowance = left.get(item.owner)
    if allowance is None:
        return None
    if not allowance.takes(item.asked):
        if item.since <= before and allowance.ever(item.asked):
            patient.add(item.owner)
        return Reason.QUOTA
    return Reason.TURN if item.owner in patient else None


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
