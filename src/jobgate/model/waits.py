"""Why a job waits, for people and programs: one record, the same for the API, the terminal and the page.

Whatever is said of other accounts is a number; only an operator is told their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from jobgate.model.allowance import Allowance
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.estimate import Span
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import Job
from jobgate.model.queue import Reason
from jobgate.model.resources import Resources
from jobgate.model.sight import Down, Sight


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One environment, as one job sees it."""

    name: EnvironmentName
    fits: bool
    """It could run the job some time."""
    free: int
    """Slots that it could have now: none where something else that it needs is taken, however many are free."""
    slots: int
    blocks: Reason
    """What keeps the job from starting there now."""
    text: str


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job waits."""

    reason: Reason
    text: str
    """One sentence, with numbers."""
    clears: str
    """One sentence: what will clear it."""
    place: int | None = None
    """In the queue of the environment that will have room for it first; 1 is the next. None: it has none, or it is so
    far back that nobody counts."""
    environment: EnvironmentName | None = None
    """Whose place and reason these are."""
    starts: Span | None = None
    """Seconds until it starts, as far as past runs tell."""
    environments: tuple[Offer, ...] = ()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Where one job stands in the queue of one environment."""

    environment: ComputeEnvironment
    asked: Resources
    reason: Reason
    ahead: Mapping[AccountId, int] = {}
    """How many jobs of which account come first."""
    more: bool = False
    """There are more than these."""
    sight: Sight | None = None
    kept: float | None = None
    """Seconds that the job has waited which room is kept for."""
    allowance: Allowance | None = None
    """What its account's quota leaves it."""
    starts: Span | None = None

    @property
    def place(self) -> int | None:
        """1: the next. None when nobody counts so far."""
        return None if self.more else sum(self.ahead.values()) + 1


# --- what stands before any queue


def held() -> Waits:
    """Its owner holds it."""
    return Waits(
        reason=Reason.HELD,
        text="it is held: nothing starts it until its owner lets it go",
        clears="its owner lets it go",
    )


def not_before(job: Job, now: float) -> Waits:
    """Its next try has a time."""
    at = datetime.fromtimestamp(job.ready, UTC).isoformat(" ", timespec="seconds").replace("+00:00", " UTC")
    left = duration(job.ready - now)
    return Waits(
        reason=Reason.NOT_BEFORE,
        text=f"its next try is not before {at}, in {left}",
        clears=f"the time comes, in {left}",
    )


def no_environment(offers: tuple[Offer, ...], *, own: bool) -> Waits:
    """None may ever take it. `own`: only the owner's own environments are asked for."""
    whose = "of its account's own environments can" if own else "environment can"
    told = "; ".join(f"{offer.name}: {offer.text}" for offer in offers) or "there is none"
    clears = "an environment of its account is brought" if own else "an environment is configured that can run it"
    return Waits(reason=Reason.NO_ENVIRONMENT, text=f"no {whose} run it: {told}", clears=clears, environments=offers)


# --- one environment


def down_text(name: str, down: Down | None, now: float) -> str:
    """What is wrong with an environment, and for how long."""
    if down is None:
        return f"{name} is down: no node runs it"
    return f"{name} is down for {duration(now - down.since)}: {down.because}"


def told(turn: Turn, owner: AccountId, names: Mapping[AccountId, str], now: float) -> str:
    """One sentence with numbers. `names`: of the accounts that may be named."""
    name = turn.environment.name
    match turn.reason:
        case Reason.QUOTA if turn.allowance is not None:
            return _bounded(turn.allowance, turn.asked, names.get(owner, "its account"))
        case Reason.BUSY:
            return f"{name} is busy: {_taken(turn)}"
        case Reason.ROOM_KEPT:
            return f"{name} keeps room for a larger job that has waited {duration(turn.kept or 0.0)}"
        case Reason.ENVIRONMENT_DOWN:
            return down_text(name, turn.sight.down if turn.sight else None, now)
        case _:
            first = sum(turn.ahead.values())
            if not first:
                return f"it is the next to start on {name}"
            least = "more than " if turn.more else ""
            comes = "comes" if first == 1 and not turn.more else "come"
            parts = _whose(turn.ahead, owner, names)
            if len(parts) == 1:
                return f"{least}{_jobs(first)} {parts[0][1]} {comes} first on {name}"
            each = ", ".join(f"{number:,} {whose}" for number, whose in parts)
            return f"{least}{_jobs(first)} {comes} first on {name}: {each}"


def clears(turn: Turn) -> str:
    """One sentence: what will clear it."""
    name = turn.environment.name
    match turn.reason:
        case Reason.QUOTA if turn.allowance is not None:
            return _unbound(turn.allowance, turn.asked)
        case Reason.BUSY:
            return f"enough of what runs on {name} ends"
        case Reason.ROOM_KEPT:
            return "the larger job has started"
        case Reason.ENVIRONMENT_DOWN:
            return f"{name} is back; it is tried again without being asked"
        case _ if turn.ahead:
            return "those before it have started"
        case _:
            return f"{name} takes it, at once"


def offer(turn: Turn, text: str) -> Offer:
    """The line of an environment that could run it."""
    place, sight = turn.environment, turn.sight
    taken = turn.reason in (Reason.BUSY, Reason.ENVIRONMENT_DOWN)
    free = sight.room.slots if sight is not None and not taken else 0
    return Offer(name=place.name, fits=True, free=free, slots=place.slots, blocks=turn.reason, text=text)


def explained(
    turn: Turn, offers: tuple[Offer, ...], owner: AccountId, names: Mapping[AccountId, str], now: float
) -> Waits:
    """The record, of where it will start first."""
    down = turn.reason is Reason.ENVIRONMENT_DOWN
    return Waits(
        reason=turn.reason,
        text=told(turn, owner, names, now),
        clears=clears(turn),
        place=None if down else turn.place,
        environment=turn.environment.name,
        starts=turn.starts,
        environments=offers,
    )


# --- words

_GIB: Final = 1 << 30
_MIB: Final = 1 << 20
_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0


def _taken(turn: Turn) -> str:
    """Who holds what it needs."""
    place, asked, sight = turn.environment, turn.asked, turn.sight
    running = min(len(sight.running), place.slots) if sight is not None else 0
    holds = f"{_jobs(running)} {'holds' if running == 1 else 'hold'}"
    if sight is None or sight.room.slots < 1:
        return f"{holds} its {_count(place.slots, 'slot')}, this one needs {_cores(asked.cores)}"
    free, room = sight.room.free, sight.room.total
    gpus = [sum(g.count for g in part.gpus) for part in (asked, free, room)]
    if gpus[0] > gpus[1]:
        return f"{holds} {gpus[2] - gpus[1]} of its {_count(gpus[2], 'GPU')}, this one needs {gpus[0]}"
    if asked.cores > free.cores:
        used = _number(room.cores - free.cores)
        return f"{holds} {used} of its {_cores(room.cores)}, this one needs {_number(asked.cores)}"
    if asked.memory > free.memory:
        used, whole = size(room.memory - free.memory), size(room.memory)
        return f"{holds} {used} of its {whole} of memory, this one needs {size(asked.memory)}"
    used, whole = size(room.disk - free.disk), size(room.disk)
    return f"{holds} {used} of its {whole} of disk, this one needs {size(asked.disk)}"


def _bounded(allowance: Allowance, asked: Resources, account: str) -> str:
    """What the account holds of what it may."""
    held = allowance.held
    if not allowance.ever(asked):
        return f"it needs {_cores(asked.cores)}, and {account} may have {_number(allowance.cores)} at once"
    if allowance.full():
        return f"{account} holds {held.jobs:,} of its {allowance.running:,} running jobs"
    holds = f"{account} holds {_number(round(held.cores, 6))} of its {_cores(allowance.cores)}"
    return holds if held.cores >= allowance.cores else f"{holds}, this one needs {_number(asked.cores)}"


def _unbound(allowance: Allowance, asked: Resources) -> str:
    if not allowance.ever(asked):
        return "the operator lets the account have more cores at once"
    return "a job of its account ends" if allowance.full() else "enough of what its account runs ends"


def _whose(ahead: Mapping[AccountId, int], owner: AccountId, names: Mapping[AccountId, str]) -> list[tuple[int, str]]:
    own = ahead.get(owner, 0)
    parts = [(own, "of its own account")] if own else []
    others = 0
    for account, number in ahead.items():
        if account != owner and account in names:
            parts.append((number, f"of account {names[account]}"))
        elif account != owner:
            others += number
    return [*parts, (others, "of other accounts")] if others else parts


def _jobs(number: int) -> str:
    return _count(number, "job")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _cores(cores: float) -> str:
    return f"{_number(cores)} core" if cores == 1 else f"{_number(cores)} cores"


def _number(value: float) -> str:
    return f"{value:g}"


def size(number: int) -> str:
    """`2.0 GiB`."""
    return f"{number / _GIB:.1f} GiB" if number >= _GIB else f"{number / _MIB:.1f} MiB"


def duration(seconds: float) -> str:
    """`25 s`, `3 min`, `2 h`, `4 d`."""
    seconds = max(seconds, 0.0)
    for unit, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit or (unit == _MINUTE and seconds >= unit):
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:.1f} s"
