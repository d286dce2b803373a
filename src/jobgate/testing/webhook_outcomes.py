"""Every outcome that an operation on webhooks can have, as samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from jobgate.model.ids import AccountId, BatchId, JobId, MessageId, WebhookId
from jobgate.model.job import Origin
from jobgate.model.outcomes import FoundDeliveries, FoundWebhooks, Hooked, Outcome, Posted, Unhooked
from jobgate.model.state import Failure, JobState, Limit
from jobgate.model.webhook import OF_JOB, USUAL, Delivery, Notice, Occasion, Standing, Try, Webhook
from jobgate.model.webhooking import (
    AddWebhook,
    ChangeWebhook,
    DeleteWebhook,
    FindDeliveries,
    FindWebhooks,
    Resend,
    RotateWebhook,
    TryWebhook,
)

SECRET: Final = "whsec_AAAA"
NOW: Final = 1_760_000_000.0
FIRST: Final = 0x0123_4567_89AB_0040
HOOK: Final = Webhook(
    id=WebhookId(FIRST),
    owner=AccountId(7),
    url="https://example.org/ü?q=1",
    created=NOW,
    occasions=USUAL,
    description="d",
)
_JOB: Final = Notice(
    occasion=Occasion.JOB_SUCCEEDED,
    at=NOW,
    batch=BatchId(FIRST),
    job=JobId(FIRST),
    seq=4,
    cursor=9,
    name="n",
    labels={"a": "b"},
    created=NOW - 100.0,
    started=NOW - 50.0,
    state=JobState.SUCCEEDED,
    exit_code=0,
    attempts=1,
)


def notices() -> Iterator[Notice]:
    """One of each kind; failed in each way, at each limit."""
    yield _JOB
    yield replace(_JOB, occasion=Occasion.JOB_CANCELLED, state=JobState.CANCELLED, message="stop", started=None)
    failed = replace(_JOB, occasion=Occasion.JOB_FAILED, state=JobState.FAILED, exit_code=3)
    for failure in Failure:
        yield replace(failed, failure=failure, message="it \u202e broke")
    for limit in Limit:
        yield replace(failed, failure=Failure.LIMIT, limit=limit)
    for state in OF_JOB:
        ended = replace(_JOB, occasion=Occasion.BATCH_ENDED, job=None, seq=0, exit_code=None, attempts=0)
        yield replace(ended, state=state, count=3, counts={state: 3})
    yield Notice(occasion=Occasion.TEST, at=NOW, webhook=HOOK.id)


def sent() -> Iterator[Delivery]:
    """Each of them, on its way and dead."""
    tries = (Try(at=NOW, seconds=0.25, status=500), Try(at=NOW, seconds=15.0, error="timeout"))
    for place, notice in enumerate(notices()):
        made = Delivery(id=MessageId(FIRST + place), webhook=HOOK.id, notice=notice, created=NOW, due=NOW + 5)
        yield made
        yield replace(made, standing=Standing.DEAD, due=None, tries=tries)


def _hooked(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Hooked(webhook=HOOK, secret=SECRET)
    yield Hooked(webhook=HOOK, replayed=True)
    yield Hooked(webhook=replace(HOOK, enabled=False, disabled_because="it broke", failing_since=NOW, named=True))


def _webhooks(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield FoundWebhooks(webhooks=(HOOK,), more=HOOK.id)


def _unhooked(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield Unhooked()


def _posted(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield from (Posted(delivery=one) for one in sent())


def _deliveries(origin: Origin) -> Iterator[Outcome]:
    del origin
    yield FoundDeliveries(deliveries=tuple(sent()), more=MessageId(FIRST))
    yield FoundDeliveries(deliveries=())


SAMPLES: Final[Mapping[type[Any], Callable[[Origin], Iterator[Outcome]]]] = {
    AddWebhook: _hooked,
    FindWebhooks: _webhooks,
    ChangeWebhook: _hooked,
    RotateWebhook: _hooked,
    TryWebhook: _posted,
    DeleteWebhook: _unhooked,
    FindDeliveries: _deliveries,
    Resend: _posted,
}
