"""The outlook of one environment: what waits for it, in which order, and when each would start.

Made of the same heads and by the same function as the claims of the runner. At most `HEADS` jobs of `ACCOUNTS` accounts
are looked at; of longer lines the rest is counted, and taken to be like the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from jobgate.model.allowance import Allowance, InUse
from jobgate.model.credit import owed
from jobgate.model.environment import ComputeEnvironment, refusal
from jobgate.model.estimate import Busy, Forecast, Sample, Span
from jobgate.model.history import Kind, Pace, program
from jobgate.model.ids import STRIDE, AccountId, BatchId, JobId, SpecId
from jobgate.model.job import Job, JobSpec
from jobgate.model.queue import Before, Line, Reason, Standing, Waiting, before, dominant, order, pick
from jobgate.model.resources import Resources
from jobgate.model.sight import Snapshot
from jobgate.model.waits import Turn
from jobgate.operations.context import Context
from jobgate.store.queue import EXACT, Head, Length
from jobgate.store.transaction import Transaction

HEADS: Final = 1_000
ACCOUNTS: Final = 200
"""Those that have used least: they come first."""
_FEWEST: Final = 8
_MOST: Final = 128
"""Heads of one account, or as many as a claim looks at."""
_BEYOND: Final = 16
_PLAYED: Final = 256
"""Jobs of the queue that a forecast is made of."""
COUNTED: Final = 50
"""Lines that are counted for one answer."""
ENDLESS: Final = 1 << 40
"""Length of a line that nobody counted to its end."""


class Outlook:
    """One environment's queue, over one transaction."""

    def __init__(
        self,
        tx: Transaction,
        context: Context,
        environment: ComputeEnvironment,
        snapshot: Snapshot,
        now: float,
    ) -> None:
        self._tx = tx
        self._past = context.past
        self._limits = context.limits
        self._now = now
        self.environment = environment
        self.snapshot = snapshot
        self.sight = snapshot.places[environment.name]
        self.standings = snapshot.standings
        self._asked: dict[tuple[SpecId, AccountId], Resources | None] = {}
        self._samples: dict[Kind, Sample | None] = {}
        self._specs: dict[JobId, SpecId] = {}
        lines = self._lines()
        waiting = [head for line in lines for head in line.heads]
        allowances = tx.accounts.allowances((line.owner for line in lines), context.limits, self._held)
        self.turns = list(order(waiting, self.standings, environment.room))
        self._verdicts = pick(waiting, self.standings, self.sight.room, now, allowances)
        self._chosen = {item.job for item in self._verdicts.chosen}
        self.lines = [self._bounded(line, allowances.get(line.owner)) for line in lines]
        self._before = before(self.lines, self.standings, environment.room)
        self._quotas: dict[tuple[AccountId, float], Forecast] = {}
        self._ranks: dict[tuple[BatchId, int], tuple[JobId, Length]] = {}
        self._forecast: Forecast | None = None

    # --- reading

    def _lines(self) -> list[Line]:
        def share(owner: AccountId) -> float:
            standing = self.standings.get(owner, Standing())
            return standing.usage / standing.weight

        owners = sorted(self._tx.queue.owners(self.environment.name), key=share)[:ACCOUNTS]
        limit = min(max(HEADS // max(len(owners), 1), _FEWEST), max(_MOST, self.environment.slots + _BEYOND))
        return [line for owner in owners if (line := self._line(owner, limit, EXACT // len(owners))).heads]

    def _line(self, owner: AccountId, limit: int, exact: int) -> Line:
        name = self.environment.name
        found = self._tx.queue.heads(name, owner, self._now, limit, lambda head: self._request(head) is not None)
        heads = []
        for head in found:
            if (asked := self._request(head)) is not None:
                heads.append(Waiting(head.job, owner, head.priority, head.created, asked))
                self._specs[head.job] = head.spec
        if len(heads) < limit:
            return Line(owner, tuple(heads), len(heads))
        length = self._tx.queue.length(name, owner, exact=exact)
        return Line(owner, tuple(heads), ENDLESS if length.more else max(length.jobs, len(heads)))

    def _request(self, head: Head) -> Resources | None:
        key = (head.spec, head.owner)
        if key not in self._asked:
            spec, place = self._tx.jobs.spec(head.spec), self.environment
            self._asked[key] = place.request(spec) if refusal(place, spec, head.owner) is None else None
        return self._asked[key]

    # --- quotas

    def _held(self, owner: AccountId) -> InUse:
        return self.snapshot.held.get(owner, InUse())

    def _bounded(self, line: Line, allowance: Allowance | None) -> Line:
        """The line, with how many of it may start before others."""
        if allowance is None:
            return line
        if self._verdicts.stuck.isdisjoint(head.job for head in line.heads):
            return replace(line, most=max(allowance.running - allowance.held.jobs, 0)) if allowance.running else line
        return replace(line, most=sum(head.job not in self._verdicts.stuck for head in line.heads))

    def allowance(self, owner: AccountId) -> Allowance | None:
        """What its quota leaves an account that has jobs here, or may have some."""
        known = self._verdicts.allowances.get(owner)
        if known is not None or any(line.owner == owner for line in self.lines):
            return known
        return self._tx.accounts.allowances((owner,), self._limits, self._held).get(owner)

    def under_quota(
        self,
        allowance: Allowance,
        owner: AccountId,
        asked: Resources,
        heads: Sequence[Waiting],
        own: Sequence[Busy] = (),
    ) -> Forecast:
        """When the account's quota lets its next jobs start: as if it were an environment of its own.

        Its slots are as many such jobs as it may have at once. `own`: jobs not in the queue yet, after `heads`.
        """
        lanes = [allowance.running] if allowance.running else []
        if allowance.cores and asked.cores:
            lanes.append(max(int(allowance.cores / asked.cores + 1e-6), 1))
        running = [
            Busy(self._sample(one.kind), max(self._now - (one.since or self._now), 0.0))
            for sight in self.snapshot.places.values()
            for one in sight.running
            if one.owner == owner
        ]
        running += [self._busy(item) for item in self._verdicts.chosen if item.owner == owner]
        waiting = [self._busy(head) for head in heads if head.job not in self._chosen]
        lags = self._past(Kind(self.environment.name)).lags
        return Forecast(min(lanes, default=1), running, [*waiting, *own], Sample(lags) if lags else None)

    def _quota_start(self, owner: AccountId, rank: int, asked: Resources) -> Span | None:
        """When the account's quota lets a job start that has so many of its own before it; None: whenever it likes."""
        allowance = self.allowance(owner)
        if allowance is None:
            return None
        key = (owner, asked.cores)
        if key not in self._quotas:
            heads = next((line.heads for line in self.lines if line.owner == owner), ())
            self._quotas[key] = self.under_quota(allowance, owner, asked, heads)
        return self._quotas[key].start(rank)

    # --- one job

    def turn(self, job: Job, spec: JobSpec) -> Turn:
        """Where a queued job stands that fits here."""
        asked = self.environment.request(spec)
        if self.sight.down is not None:
            return Turn(
                environment=self.environment, asked=asked, reason=Reason.ENVIRONMENT_DOWN, sight=self.sight, more=True
            )
        known = self._verdicts.waits.get(job.id)
        more = False
        if job.id in self._chosen:
            reason, ahead = Reason.TURN, dict[AccountId, int]()
        elif known is not None:
            reason, ahead = known[0], self._ahead_of(job.id)
        else:
            rank = self._rank(job)
            reason, more = self._verdicts.beyond(job.owner, asked), rank.more
            ahead = self.ahead(self._before, job.owner, rank.jobs, job.created)
        turn = Turn(
            environment=self.environment,
            asked=asked,
            reason=reason,
            ahead=ahead,
            more=more,
            sight=self.sight,
            kept=self._now - self._verdicts.kept.since if self._verdicts.kept is not None else None,
            allowance=self.allowance(job.owner),
        )
        return turn if turn.place is None else replace(turn, starts=self._starts(turn, turn.place, job.owner))

    def _starts(self, turn: Turn, place: int, owner: AccountId) -> Span | None:
        if turn.allowance is not None and not turn.allowance.ever(turn.asked):
            return None
        starts = self.forecast().start(place - 1, self.width(turn.asked))
        return lets(starts, self._quota_start(owner, turn.ahead.get(owner, 0), turn.asked))

    def _ahead_of(self, job: JobId) -> dict[AccountId, int]:
        ahead: dict[AccountId, int] = {}
        stuck: dict[AccountId, int] = {}
        for item in self.turns:
            if item.job == job:
                if item.owner in stuck:
                    ahead[item.owner] = ahead.get(item.owner, 0) + stuck[item.owner]
                break
            if item.job in self._verdicts.stuck:  # they are before their own account's only
                stuck[item.owner] = stuck.get(item.owner, 0) + 1
            elif item.job not in self._chosen:
                ahead[item.owner] = ahead.get(item.owner, 0) + 1
        return ahead

    def _rank(self, job: Job) -> Length:
        """How many of its own account come before one that is none of the heads.

        Counted once for each batch, and of `COUNTED` batches: a page of jobs may have a thousand of them.
        """
        key = (job.batch, job.priority)
        heads = len(next((line.heads for line in self.lines if line.owner == job.owner), ()))
        if key not in self._ranks:
            if len(self._ranks) >= COUNTED:
                return Length(heads, more=True)
            counted = self._tx.queue.length(self.environment.name, job.owner, (job.priority, job.id))
            self._ranks[key] = (job.id, counted)
        other, counted = self._ranks[key]
        return Length(max(counted.jobs + (job.id - other) // STRIDE, heads), counted.more)

    def ahead(self, earlier: Before, owner: AccountId, rank: int, since: float) -> dict[AccountId, int]:
        """How many of each account come before one that is none of the heads; those not counted that start now."""
        ahead = earlier(owner, rank, since)
        for item in self._verdicts.chosen:
            if ahead.get(item.owner, 0) > 0:
                ahead[item.owner] -= 1
        return {account: number for account, number in ahead.items() if number}

    def operations(self, ahead: Mapping[AccountId, int], speed: float) -> float:
        """What is left of those that run, and all of those that come before, if each is like its account's first ones.

        `speed`: operations a second that one slot gets done.
        """
        left = sum(
            max(one.operations - max(self._now - (one.since or self._now), 0.0) * speed, 0.0)
            for one in self.sight.running
        )
        left += sum(self._owed(item.job) for item in self._verdicts.chosen)
        for line in self.lines:
            if number := ahead.get(line.owner, 0):
                waiting = [self._owed(item.job) for item in line.heads if item.job not in self._chosen]
                left += number * sum(waiting[:number]) / max(len(waiting[:number]), 1)
        return left

    def _owed(self, job: JobId) -> float:
        return owed(self._tx.jobs.spec(self._specs[job]))

    def blocks(self, owner: AccountId) -> Reason | None:
        """Why the account's next job does not start here; None when none of its jobs is in this queue."""
        first = next((line.heads[0].job for line in self.lines if line.owner == owner), None)
        if first is None:
            return None
        if self.sight.down is not None:
            return Reason.ENVIRONMENT_DOWN
        known = self._verdicts.waits.get(first)
        return Reason.TURN if known is None else known[0]

    # --- when

    def pace(self, owner: AccountId, spec: JobSpec) -> Pace:
        """What runs like it got done that said what they take."""
        return self._past(Kind(self.environment.name, owner, program(spec))).pace

    def width(self, asked: Resources) -> int:
        """How many slots' worth of room that is."""
        slots = self.environment.slots
        return min(max(math.ceil(dominant(asked, self.environment.room) * slots - 1e-6), 1), slots)

    def sample(self, owner: AccountId, spec: JobSpec) -> Sample | None:
        """Past runs like it."""
        return self._sample(Kind(self.environment.name, owner, program(spec)))

    def _sample(self, kind: Kind) -> Sample | None:
        if kind not in self._samples:
            ran = self._past(kind).ran
            self._samples[kind] = Sample(ran) if ran else None
        return self._samples[kind]

    def forecast(self, own: Sequence[Busy] = (), turns: Sequence[Waiting] | None = None) -> Forecast:
        """When each starts. `own`: jobs that are not in the queue yet, as they come up among the `turns`."""
        if turns is None and self._forecast is not None:
            return self._forecast
        running = [
            Busy(self._sample(one.kind), max(self._now - (one.since or self._now), 0.0), self.width(one.asked))
            for one in self.sight.running
        ]
        running += [self._busy(item) for item in self._verdicts.chosen]
        fresh = iter(own)
        passed = self._chosen | self._verdicts.stuck
        waiting = (item for item in (self.turns if turns is None else turns) if item.job not in passed)
        queue = [
            self._busy(item) if item.job in self._specs else next(fresh, Busy(None, own=True))
            for item in islice(waiting, _PLAYED)
        ]
        lags = self._past(Kind(self.environment.name)).lags
        made = Forecast(self.environment.slots, running, queue, Sample(lags) if lags else None)
        if turns is None:
            self._forecast = made
        return made

    def _busy(self, item: Waiting) -> Busy:
        spec = self._tx.jobs.spec(self._specs[item.job])
        return Busy(self.sample(item.owner, spec), width=self.width(item.asked))


def lets(starts: Span | None, quota: Span | None) -> Span | None:
    """When both the environment and the account's quota let it start, as far as that is known."""
    return starts if starts is None or quota is None else starts.later(quota)
