"""Webhooks: addresses that are told when jobs and batches end, signed and repeated as Standard Webhooks says. Pure.

A **notice** is what there is to tell, taken down in the transaction of the fact it tells of. A **delivery** is one
notice on its way to one webhook: its id is the same at every try, so that a receiver can tell a repetition.
Source: the Standard Webhooks specification 1.0.0 (symmetric signatures, `v1`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.model.ids import AccountId, BatchId, JobId, MessageId, WebhookId, message_text
from jobgate.model.state import Failure, JobState, Limit

DAY: Final = 86_400.0
PAUSES: Final = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds after the first, second, … failed try; after one more it is dead."""
SPREAD: Final = 0.2
"""The part of a pause that is left to chance, so that many who failed together do not come back together."""
PATIENCE: Final = 5 * DAY
"""Seconds that an address may fail without a break before its webhook is disabled."""
OVERLAP: Final = DAY
"""Seconds that a secret signs on after a newer one was made."""
KEPT: Final = 30 * DAY
"""Seconds that deliveries are kept."""
MOST: Final = 50
"""Webhooks of one account."""
TRIES_SHOWN: Final = 50
"""The last tries of a delivery that are kept."""
PREFIX: Final = "whsec_"
BASIC: Final = "basic"
"""Name of the sealed `user:password` of a webhook whose address has them."""

_GONE: Final = 410
_ASK_LATER: Final = frozenset({429, 503})
"""Answers whose Retry-After is obeyed."""


class Occasion(StrEnum):
    """What a webhook is told of."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    BATCH_ENDED = "batch.ended"
    """All of its jobs are over; once for each time that they come to be."""
    TEST = "webhook.test"
    """Somebody asked for it; it cannot be chosen."""


OF_JOB: Final = {
    JobState.SUCCEEDED: Occasion.JOB_SUCCEEDED,
    JobState.FAILED: Occasion.JOB_FAILED,
    JobState.CANCELLED: Occasion.JOB_CANCELLED,
}
USUAL: Final = frozenset({Occasion.BATCH_ENDED, Occasion.JOB_FAILED})


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One address of an account's. Its secrets are not here: the store keeps them sealed."""

    id: WebhookId
    owner: AccountId
    url: str
    """Without user and password: these are sealed."""
    created: float
    occasions: frozenset[Occasion]
    named: bool = False
    """It is told only of batches that name it."""
    description: str = ""
    enabled: bool = True
    disabled_because: str = ""
    failing_since: float | None = None
    """The first failure after the last success."""
    secret: int = 1
    """Number of the secret in force; each further one has the next."""
    overlap: float = 0.0
    """The secret before signs too until then."""
    version: int = 1
    """Grows with each change."""

    def wants(self, occasion: Occasion, batch: WebhookId | None) -> bool:
        """Whether it is told of that, in a batch that names this webhook, or none."""
        return self.enabled and occasion in self.occasions and (not self.named or batch == self.id)

    def signing(self, now: float) -> tuple[str, ...]:
        """Names of the sealed secrets that sign now, the one in force first."""
        return (signing(self.secret), *((signing(self.secret - 1),) if now < self.overlap else ()))


def signing(number: int) -> str:
    """The name under which a webhook's secret of that number is sealed."""
    return f"signing-{number}"


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is to tell, as it was when it happened."""

    occasion: Occasion
    at: float
    webhook: WebhookId | None = None
    """Of a test."""
    batch: BatchId | None = None
    job: JobId | None = None
    seq: int = 0
    """Number of the fact in its job's log."""
    cursor: int = 0
    """Where the log of all stands with it."""
    name: str = ""
    labels: Mapping[str, str] = {}
    created: float = 0.0
    started: float | None = None
    state: JobState | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""
    attempts: int = 0
    count: int = 0
    counts: Mapping[JobState, int] = {}


class Try(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One time that it was sent. Of the answer only its status is kept."""

    at: float
    seconds: float
    status: int | None = None
    error: str = ""
    """Why there was no answer: the code of a FetchError."""

    @property
    def taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  # 2xx


class Standing(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    """It is not tried again unless somebody asks."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One notice on its way to one webhook."""

    id: MessageId
    webhook: WebhookId
    notice: Notice
    created: float
    standing: Standing = Standing.WAITING
    due: float | None = None
    """When it is tried next; None when it is not."""
    failures: int = 0
    """Failed tries since it was made, or since somebody asked for it again."""
    tries: tuple[Try, ...] = ()


def ended(counts: Mapping[JobState, int]) -> JobState | None:
    """How a batch ended, by the number of its jobs in each state; None while one is not over."""
    states = {state for state, number in counts.items() if number}
    if not states or not all(state.over for state in states):
        return None
    worst = (JobState.FAILED, JobState.CANCELLED, JobState.SUCCEEDED)
    return next(state for state in worst if state in states)


def after(delivery: Delivery, tried: Try, now: float, *, spread: float = 0.0, retry_after: float = 0.0) -> Delivery:
    """The delivery after a try that ended `now`.

    `spread` is the throw of the dice, 0 to 1; `retry_after` the seconds that the receiver asked for, obeyed up to a day
    where the answer is one of those that ask for it.
    """
    tries = (*delivery.tries, tried)[-TRIES_SHOWN:]
    if tried.taken:
        return replace(delivery, standing=Standing.DELIVERED, due=None, failures=0, tries=tries)
    failures = delivery.failures + 1
    if tried.status == _GONE or failures > len(PAUSES):
        return replace(delivery, standing=Standing.DEAD, due=None, failures=failures, tries=tries)
    pause = PAUSES[failures - 1] * (1 + SPREAD * spread)
    if tried.status in _ASK_LATER:
        pause = max(pause, min(retry_after, DAY))
    return replace(delivery, due=now + pause, failures=failures, tries=tries)


def again(delivery: Delivery, now: float) -> Delivery:
    """The delivery when somebody asks for it: tried at once, and as often as a new one."""
    return replace(delivery, standing=Standing.WAITING, due=now, failures=0)


def heard(webhook: Webhook, tried: Try, now: float) -> Webhook:
    """The webhook after a try: disabled when its address is gone, or has failed for too long."""
    since = None if tried.taken else now if webhook.failing_since is None else webhook.failing_since
    because = ""
    if tried.status == _GONE:
        because = "the address answered 410 Gone"
    elif since is not None and now - since >= PATIENCE:
        because = f"every try has failed for {PATIENCE / DAY:.0f} days"
    if since == webhook.failing_since and not because:
        return webhook
    changed = replace(webhook, failing_since=since, version=webhook.version + 1)
    return replace(changed, enabled=False, disabled_because=because) if because else changed


def headers(secrets: Sequence[str], message: MessageId, now: float, body: bytes) -> dict[str, str]:
    """The headers of one try: the message's id, the time, and a signature by each of the secrets."""
    ident, moment = message_text(message), str(int(now))
    content = b".".join((ident.encode(), moment.encode(), body))
    return {
        "Webhook-Id": ident,
        "Webhook-Timestamp": moment,
        "Webhook-Signature": " ".join(f"v1,{_signature(secret, content)}" for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def written(key: bytes) -> str:
    """A secret as its owner is shown it."""
    return PREFIX + base64.b64encode(key).decode()
