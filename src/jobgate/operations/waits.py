"""Why jobs wait: asked of every environment that could run them, told of the one that will start them first."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jobgate.model import waits as words
from jobgate.model.account import Principal, Scope
from jobgate.model.environment import ComputeEnvironment, refusal
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.queue import Reason
from jobgate.model.replicas import counted, may_take
from jobgate.model.state import JobState
from jobgate.model.waits import Offer, Turn, Waits
from jobgate.operations.context import Context
from jobgate.operations.outlook import Outlook
from jobgate.store.transaction import Transaction


class Look:
    """One look at the queues, over one transaction: what was read for one job serves the next."""

    def __init__(self, tx: Transaction, context: Context, principal: Principal) -> None:
        self._tx = tx
        self._context = context
        self._principal = principal
        self._operator = Scope.OPERATE in principal.scopes
        self._now = context.clock()
        self._snapshot = context.snapshot()
        self._outlooks: dict[EnvironmentName, Outlook] = {}
        self._names: dict[AccountId, str] = {}

    def waits(self, job: Job, spec: JobSpec) -> Waits | None:
        """Why it waits; None when it does not."""
        if job.state is JobState.HELD:
            return words.held()
        if job.state is not JobState.QUEUED and not job.waits:
            return None
        if job.ready > self._now:
            return words.not_before(job, self._now)
        turns, others = [], []
        left = self._left(job, spec)
        for environment in self._shown(job.owner):
            refused = refusal(environment, spec, job.owner) or left.get(environment.name)
            if refused is None:
                turns.append(self._turn(environment, job, spec))
            else:
                others.append(_no_offer(environment, refused))
        if not turns:
            return words.no_environment(tuple(others), own=spec.place.own)
        turns.sort(key=_soonest)
        for turn in turns:
            self._know(turn, job.owner)
        offers = [words.offer(turn, words.told(turn, job.owner, self._names, self._now)) for turn in turns]
        return words.explained(turns[0], (*offers, *others), job.owner, self._names, self._now)

    def _left(self, job: Job, spec: JobSpec) -> Mapping[EnvironmentName, str]:
        """The places that leave its next replica to others; not those where that is the job's only hope."""
        if spec.replication.plain:
            return {}
        _, attempts = self._tx.jobs.get((job.id,))[job.id]
        sights = self._snapshot.places
        able = [
            e.name
            for e in self._context.environments
            if (sight := sights.get(e.name)) is not None and sight.down is None and refusal(e, spec, job.owner) is None
        ]
        since = counted(job, attempts)
        left = [name for name in able if not may_take(name, since, lambda: able, spec.replication)]
        return dict.fromkeys(left, "another replica of this job was there, and its next is to run elsewhere")

    def of_batch(self, batch: Batch, counts: Mapping[JobState, int]) -> Waits | None:
        """Why the first of its jobs waits that does; None when none does."""
        if counts.get(JobState.QUEUED):
            first = self._tx.queue.first([e.name for e in self._context.environments], batch)
            found = None if first is None else self._tx.jobs.get((first,)).get(first)
            if found is not None:
                return self.waits(found[0], self._tx.jobs.spec(found[0].spec))
        return words.held() if counts.get(JobState.HELD) else None

    def outlook(self, environment: ComputeEnvironment) -> Outlook | None:
        """None when no node runs it."""
        known = self._outlooks.get(environment.name)
        if known is None and environment.name in self._snapshot.places:
            known = self._outlooks[environment.name] = Outlook(
                self._tx, self._context, environment, self._snapshot, self._now
            )
        return known

    def _shown(self, owner: AccountId) -> list[ComputeEnvironment]:
        """An environment that somebody brought is nobody else's business."""
        return [e for e in self._context.environments if e.owner in (None, owner) or self._operator]

    def _turn(self, environment: ComputeEnvironment, job: Job, spec: JobSpec) -> Turn:
        outlook = self.outlook(environment)
        if outlook is not None:
            return outlook.turn(job, spec)
        return Turn(environment=environment, asked=environment.request(spec), reason=Reason.ENVIRONMENT_DOWN, more=True)

    def _know(self, turn: Turn, owner: AccountId) -> None:
        """An operator is told who comes first, and whoever may see the job whose quota it is."""
        named = set(turn.ahead) if self._operator else set[AccountId]()
        if turn.reason is Reason.QUOTA:
            named.add(owner)
        for account in named - self._names.keys():
            self._names[account] = self._tx.accounts.get(account).name


def _no_offer(environment: ComputeEnvironment, refused: str) -> Offer:
    return Offer(
        name=environment.name,
        fits=False,
        free=0,
        slots=environment.slots,
        blocks=Reason.NO_ENVIRONMENT,
        text=refused,
    )


def _soonest(turn: Turn) -> tuple[bool, float, float, int]:
    """What is up, then where it starts first, as far as that is known, then where fewest come first."""
    starts = turn.starts.value if turn.starts is not None else math.inf
    return turn.reason is Reason.ENVIRONMENT_DOWN, starts, turn.place or math.inf, -turn.environment.rank
