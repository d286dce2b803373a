"""Estimate: what would come of a submit, from the queue as it stands and from past runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.account import Principal
from jobgate.model.credit import USUAL_SPEED, owed
from jobgate.model.environment import refusal, runnable
from jobgate.model.errors import Invalid, Unrunnable
from jobgate.model.estimate import Busy, Forecast, Span
from jobgate.model.history import Kind, program
from jobgate.model.ids import STRIDE, AccountId, JobId
from jobgate.model.job import JobSpec
from jobgate.model.operations import Estimate, Group
from jobgate.model.outcomes import Estimated
from jobgate.model.queue import Line, Waiting, before, order
from jobgate.operations.context import Context
from jobgate.operations.outlook import Outlook, lets
from jobgate.operations.select import present
from jobgate.operations.waits import Look
from jobgate.store.transaction import Transaction

_FRESH: Final = JobId(1 << 62)
"""Number of the first job that is not made: greater than those that are."""
_SHOWN: Final = 256
"""Jobs of the request that take their turns one by one; the rest is like them."""
_HOUR: Final = 3_600.0


async def estimate(context: Context, principal: Principal, operation: Estimate) -> Estimated:
    """When it would start and end, and what it would cost. Raises Invalid, NotFound or Unrunnable as a submit would."""
    groups = [group for group in operation.groups if group.count > 0]
    if not groups:
        raise Invalid("a batch needs at least one job", field="jobs")
    for group in groups:
        for step in group.spec.steps:
            context.catalogue.check(step, pulls=context.pulls, account=principal.name)
        runnable(context.environments, group.spec, principal.account)

    def work(tx: Transaction) -> Estimated:
        return _estimated(tx, context, present(tx, principal), groups, operation.priority)

    return await context.store.read(work)


def _estimated(
    tx: Transaction, context: Context, principal: Principal, groups: Sequence[Group], priority: int
) -> Estimated:
    look = Look(tx, context, principal)
    first = groups[0].spec
    found = []
    for environment in context.environments:
        if refusal(environment, first, principal.account) is None:
            outlook = look.outlook(environment)
            here = [group for group in groups if refusal(environment, group.spec, principal.account) is None]
            asked = _Asked(principal.account, priority, context.clock(), here)
            if outlook is None or outlook.sight.down is not None:
                pace = context.past(Kind(environment.name, principal.account, program(first))).pace
                seconds = _seconds(asked, pace.speed, environment.slots)
                found.append(
                    Estimated(environment=environment.name, start=None, run=None, end=None, cost=None, seconds=seconds)
                )
            else:
                found.append(_here(tx, outlook, asked))
    if not found:
        raise Unrunnable("no environment of this account is there yet")
    return min(found, key=lambda one: one.start.value if one.start is not None else math.inf)


class _Asked(msgspec.Struct, frozen=True):
    """What would be submitted to one environment."""

    owner: AccountId
    priority: int
    now: float
    groups: Sequence[Group]

    @property
    def count(self) -> int:
        """Starts, each replica of a job one."""
        return sum(_starts(group) for group in self.groups)

    def first(self) -> list[JobSpec]:
        """The first of the jobs."""
        return list(islice(chain.from_iterable(repeat(group.spec, _starts(group)) for group in self.groups), _SHOWN))


def _starts(group: Group) -> int:
    return group.count * group.spec.replication.replicas


def _here(tx: Transaction, outlook: Outlook, asked: _Asked) -> Estimated:
    environment, specs = outlook.environment, asked.first()
    lines, rank = _with(tx, outlook, asked, specs)
    start = end = None
    ahead: Mapping[AccountId, int] = {}
    sample = outlook.sample(asked.owner, specs[0])
    run = sample.span() if sample is not None else None
    if rank is not None:
        turns = list(order([head for line in lines for head in line.heads], outlook.standings, environment.room))
        own = [
            Busy(outlook.sample(asked.owner, spec), width=outlook.width(environment.request(spec)), own=True)
            for spec in specs
        ]
        forecast = outlook.forecast(own, turns)
        earlier = before(lines, outlook.standings, environment.room)
        first = outlook.ahead(earlier, asked.owner, rank, asked.now)
        ahead = outlook.ahead(earlier, asked.owner, rank + asked.count - 1, asked.now)
        start = forecast.start(sum(first.values()), own[0].width)
        end = _end(forecast, sum(ahead.values()), own[-1].width, run)
        allowance = outlook.allowance(asked.owner)
        if allowance is not None:
            size = environment.request(specs[0])
            heads = [head for head in lines[-1].heads if head.job < _FRESH]
            narrow = [replace(one, width=1) for one in own]
            quota = outlook.under_quota(allowance, asked.owner, size, heads, narrow)
            may = allowance.ever(size)
            start = lets(start, quota.start(first.get(asked.owner, 0))) if may else None
            end = lets(end, _end(quota, ahead.get(asked.owner, 0), 1, run)) if may else None
        if asked.owner in ahead:
            ahead = {**ahead, asked.owner: min(ahead[asked.owner], rank)}  # not those that are asked about
    speed = outlook.pace(asked.owner, specs[0]).speed
    seconds = _seconds(asked, speed, environment.slots, outlook.operations(ahead, speed))
    return Estimated(
        environment=environment.name, start=start, run=run, end=end, cost=_cost(outlook, asked), seconds=seconds
    )


def _seconds(asked: _Asked, speed: float, slots: int, ahead: float = 0.0) -> float | None:
    """From now until the last job is over, by the operations that they and those `ahead` say they take.

    `speed` is that of one slot. Where none was measured, all slots together are as fast as `USUAL_SPEED`; where one
    was, it takes at least as long as the longest job alone.
    """
    wanted = sum(owed(group.spec) * group.count for group in asked.groups)
    if not wanted:
        return None
    if not speed:
        return (ahead + wanted) / USUAL_SPEED
    longest = max(group.spec.resources.operations for group in asked.groups)
    return max((ahead + wanted) / (speed * slots), longest / speed)


def _end(forecast: Forecast, last: int, width: int, run: Span | None) -> Span | None:
    """When the one is over that has so many before it."""
    end = forecast.finish(last)
    if end is None and run is not None and (begins := forecast.start(last, width)) is not None:
        end = begins.plus(run)
    return end


def _with(tx: Transaction, outlook: Outlook, asked: _Asked, specs: Sequence[JobSpec]) -> tuple[list[Line], int | None]:
    """The queue with what would be submitted in it, and how many of the account's own come first, if that is known."""
    others = [line for line in outlook.lines if line.owner != asked.owner]
    own = next((line for line in outlook.lines if line.owner == asked.owner), Line(asked.owner, (), 0))
    earlier = tuple(head for head in own.heads if head.priority >= asked.priority)
    if len(earlier) == own.length or len(earlier) < len(own.heads):
        fresh = (
            Waiting(
                JobId(_FRESH + n * STRIDE), asked.owner, asked.priority, asked.now, outlook.environment.request(spec)
            )
            for n, spec in enumerate(specs)
        )
        return [*others, Line(asked.owner, (*earlier, *fresh), len(earlier) + asked.count)], len(earlier)
    rank = tx.queue.length(outlook.environment.name, asked.owner, (asked.priority, _FRESH))
    line = Line(asked.owner, own.heads, rank.jobs + asked.count)
    return [*others, line], None if rank.more else rank.jobs


def _cost(outlook: Outlook, asked: _Asked) -> Span | None:
    """Of all its jobs with their replicas, as far as past runs tell."""
    whole: Span | None = None
    for group in asked.groups:
        sample = outlook.sample(asked.owner, group.spec)
        if sample is None:
            return None
        price = outlook.environment.price * group.spec.charge * _starts(group) / _HOUR
        cost = sample.span().times(price)
        whole = cost if whole is None else whole.plus(cost)
    return whole
