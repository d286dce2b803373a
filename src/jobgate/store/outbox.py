"""Webhooks, and the deliveries on their way to them.

A delivery is written in the transaction of the fact that it tells of. What that costs an account without webhooks is
one look into a dictionary for each job that ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from jobgate.model.errors import NotFound
from jobgate.model.facts import Fact, Moved
from jobgate.model.guard import Guard
from jobgate.model.ids import AccountId, BatchId, MessageId, WebhookId, bound
from jobgate.model.job import Batch, Job
from jobgate.model.state import JobState
from jobgate.model.told import public, upto
from jobgate.model.webhook import MOST, OF_JOB, Delivery, Notice, Occasion, Webhook, ended
from jobgate.store import rows
from jobgate.store.driver import Driver, Shared
from jobgate.store.guards import outlive, take
from jobgate.store.jobs import Jobs

_LAST: Final = (1 << 63) - 1
"""Greater than every id."""
_MANY: Final = 10_000
"""More than the webhooks of any account."""
_End = tuple[Job, Fact, int]
"""A job that ended, the fact that says so, and the number of its attempts."""


class Turns(msgspec.Struct, frozen=True):
    """How many deliveries are on their way at once."""

    at_once: int
    """Of all."""
    account: int
    """Of one account."""
    webhook: int
    """Of one webhook."""


class Outbox:
    """Webhooks and deliveries."""

    def __init__(self, driver: Driver, shared: Shared, jobs: Jobs) -> None:
        self._db = driver
        self._shared = shared
        self._jobs = jobs
        self._changed = False
        self._read = 0
        self.fresh = False
        """Something became due: the store wakes the sender after the commit."""

    # --- webhooks

    def draw(self, now: float) -> WebhookId:
        """A new id."""
        return WebhookId(self._shared.ids.draw(now))

    def add(self, webhook: Webhook) -> None:
        """Keeps a new one."""
        self._db.run("webhook_add", webhook.id, webhook.owner, rows.encode(webhook))
        self._changed = True

    def take(self, owner: AccountId, guard: Guard, webhook: WebhookId, now: float) -> WebhookId | None:
        """Uses up an idempotency key for `webhook`; the one it made before, if it did. Raises as `Jobs.take`."""
        made = take(self._db, owner, guard, webhook, now, kept="webhook_get")
        return None if made is None else WebhookId(made)

    def get(self, ident: WebhookId) -> Webhook:
        """Raises NotFound."""
        row = self._db.one("webhook_get", ident)
        if row is None:
            raise NotFound
        return rows.webhook_of(*row)

    def of(self, owner: AccountId, limit: int, after: WebhookId | None = None) -> list[Webhook]:
        """An account's, newest first; `after` is the last of the page before."""
        return [rows.webhook_of(*row) for row in self._db.all("webhook_of", owner, after or _LAST, limit)]

    def count(self, owner: AccountId) -> int:
        """How many an account has."""
        row = self._db.one("webhook_count", owner)
        return int(row[0]) if row else 0

    def put(self, webhook: Webhook) -> None:
        """Saves what its owner, or the sender, changed; what waits for it is sent while it is enabled."""
        self._db.run("webhook_put", rows.encode(webhook), webhook.id)
        self._changed = True
        self._wake(webhook)

    def remove(self, ident: WebhookId, now: float) -> None:
        """Forgets it with its secrets. Its deliveries are sent no more; `clear` forgets them."""
        self._db.run("webhook_delete", ident)
        self._db.run("secret_delete", ident)
        outlive(self._db, ident, now)
        self._changed = True

    def unseal(self, ident: WebhookId, name: str) -> None:
        """Forgets one of its secrets."""
        self._db.run("secret_drop", ident, name)

    # --- deliveries

    def post(self, webhooks: Iterable[Webhook], notice: Notice, now: float) -> list[Delivery]:
        """Puts the notice on its way to each of them."""
        made = [
            Delivery(id=MessageId(self._shared.ids.draw(now)), webhook=webhook.id, notice=notice, created=now, due=now)
            for webhook in webhooks
        ]
        self._db.many("delivery_add", [(one.id, one.webhook, one.due, rows.encode(one)) for one in made])
        for one in made:
            self._first(one.webhook)
        return made

    def delivery(self, ident: MessageId) -> Delivery:
        """Raises NotFound."""
        row = self._db.one("delivery_get", ident)
        if row is None:
            raise NotFound
        return rows.delivery_of(row[0])

    def deliveries(self, webhook: WebhookId, limit: int, after: MessageId | None = None) -> list[Delivery]:
        """A webhook's, newest first; `after` is the last of the page before."""
        return [rows.delivery_of(row[0]) for row in self._db.all("delivery_of", webhook, after or _LAST, limit)]

    def replace(self, delivery: Delivery) -> None:
        """Saves a changed delivery."""
        self._db.run("delivery_put", delivery.due, rows.encode(delivery), delivery.id)
        self._wake(self.get(delivery.webhook))

    def tried(self, webhook: Webhook, delivery: Delivery) -> None:
        """Saves what came of a try."""
        known = self.get(webhook.id)
        self._db.run("delivery_put", delivery.due, rows.encode(delivery), delivery.id)
        if webhook.enabled != known.enabled:
            self.put(webhook)
            return
        if webhook != known:
            self._db.run("webhook_put", rows.encode(webhook), webhook.id)
        self._wake(webhook)

    def due(self, now: float, busy: Mapping[MessageId, Webhook], turns: Turns) -> list[tuple[Webhook, Delivery]]:
        """Deliveries whose time has come, beside those that are `busy` already.

        What one webhook has waiting costs the others nothing, and one account's webhooks leave places for others'.
        """
        room = turns.at_once - len(busy)
        of_webhook = Counter(webhook.id for webhook in busy.values())
        of_account = Counter(webhook.owner for webhook in busy.values())
        found: list[tuple[Webhook, Delivery]] = []
        looked = 2 * turns.at_once + MOST * (turns.at_once // turns.account)  # past all whose places are taken
        for ident, owner in self._db.all("webhook_due", now, looked) if room > 0 else ():
            there = of_webhook[ident]
            free = min(room - len(found), turns.account - of_account[owner], turns.webhook - there)
            if free <= 0:
                continue
            waiting = [rows.delivery_of(row[0]) for row in self._db.all("delivery_due", ident, now, free + there)]
            idle = [one for one in waiting if one.id not in busy][:free]
            if idle:
                webhook = self.get(WebhookId(ident))
                of_account[owner] += len(idle)
                found += [(webhook, one) for one in idle]
        return found

    def next_due(self, now: float) -> float | None:
        """When the next time comes, of those that have not come yet."""
        row = self._db.one("webhook_next", now)
        return None if row is None else row[0]

    def clear(self, webhook: WebhookId, limit: int) -> int:
        """Forgets deliveries of a webhook that is gone; how many."""
        return self._forget(self._db.all("delivery_some", webhook, limit))

    def expire(self, before: float, limit: int) -> int:
        """Forgets deliveries made before then; how many."""
        return self._forget(self._db.all("delivery_old", bound(before), limit))

    def _forget(self, found: Sequence[tuple[int]]) -> int:
        self._db.many("delivery_delete", found)
        return len(found)

    def _first(self, ident: WebhookId) -> None:
        """Its row says when the first of its deliveries is due."""
        row = self._db.one("delivery_first", ident)
        self._db.run("webhook_wakes", None if row is None else row[0], ident)
        self.fresh = True

    def _wake(self, webhook: Webhook) -> None:
        if webhook.enabled:
            self._first(webhook.id)
        else:
            self._db.run("webhook_wakes", None, webhook.id)

    # --- what happened

    def flush(self) -> None:
        """Tells what this transaction did to jobs; the store calls it at the end."""
        steps, self._read = self._jobs.steps[self._read :], len(self._jobs.steps)
        batches: dict[BatchId, list[_End]] = {}
        for step in steps:
            if step.job.state.over and self._hooks(step.job.owner):
                for fact in step.facts:
                    if isinstance(fact.data, Moved) and fact.data.state.over:
                        batches.setdefault(step.job.batch, []).append((step.job, fact, len(step.attempts)))
        for ident, ends in batches.items():
            self._tell(ident, ends, self._hooks(ends[0][0].owner))

    def _tell(self, ident: BatchId, ends: Sequence[_End], hooks: Sequence[Webhook]) -> None:
        try:
            batch = self._jobs.batch(ident)
        except NotFound:
            return  # deleted in this transaction: its owner wants no word of it
        told: dict[Occasion, list[Webhook]] = {}
        for occasion in Occasion:
            if wanted := [hook for hook in hooks if hook.wants(occasion, batch.webhook)]:
                told[occasion] = wanted
        for job, fact, attempts in ends:
            assert isinstance(fact.data, Moved)  # noqa: S101  # `flush` took no other
            if wanted := told.get(OF_JOB[fact.data.state], []):
                self.post(wanted, self._of_job(batch, job, fact, fact.data, attempts), fact.at)
        if wanted := told.get(Occasion.BATCH_ENDED, []):
            counts = self._jobs.counts(batch)
            state, fact = ended(counts), ends[-1][1]
            if state is not None:
                self.post(wanted, self._of_batch(batch, fact, state, counts), fact.at)

    def _of_job(self, batch: Batch, job: Job, fact: Fact, moved: Moved, attempts: int) -> Notice:
        assert moved.state.over  # noqa: S101  # `flush` took no other
        return Notice(
            occasion=OF_JOB[moved.state],
            at=fact.at,
            batch=batch.id,
            job=job.id,
            seq=fact.seq,
            cursor=public(self._cursor(fact)),
            name=batch.name,
            labels=batch.labels,
            created=job.created,
            started=job.started,
            state=moved.state,
            exit_code=moved.exit_code,
            failure=moved.failure,
            limit=moved.limit,
            message=moved.message,
            attempts=attempts,
        )

    def _of_batch(self, batch: Batch, fact: Fact, state: JobState, counts: Mapping[JobState, int]) -> Notice:
        return Notice(
            occasion=Occasion.BATCH_ENDED,
            at=fact.at,
            batch=batch.id,
            cursor=upto(self._cursor(fact)),
            name=batch.name,
            labels=batch.labels,
            created=batch.created,
            state=state,
            count=batch.count,
            counts=counts,
        )

    def _cursor(self, fact: Fact) -> int:
        row = self._db.one("event_at", fact.job, fact.seq)
        return 0 if row is None else int(row[0])

    # --- what is remembered

    def _hooks(self, owner: AccountId) -> tuple[Webhook, ...]:
        """An account's webhooks, looked up once, then kept."""
        if self._changed:
            return tuple(self.of(owner, _MANY))
        known = self._shared.hooks.get(owner)
        if known is None:
            known = self._shared.hooks[owner] = tuple(self.of(owner, _MANY))
        return known

    def settled(self) -> None:
        """The store calls it when this transaction's part is in: what is remembered follows."""
        if self._changed:
            self._shared.hooks.clear()
