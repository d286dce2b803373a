"""Webhooks: addresses that are told when jobs and batches end, and what became of each notice."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from jobgate.dialects.dialect import Ask, Body, Call, Reply
from jobgate.dialects.native.asked import Limit, begins, body, guard, known, query
from jobgate.dialects.native.pages import held, onward, seen, tag
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, moment
from jobgate.dialects.native.wire_webhooks import (
    DeliveryPage,
    DeliveryView,
    TryView,
    WebhookDraft,
    WebhookPage,
    WebhookPatch,
    WebhookView,
)
from jobgate.dialects.reading import address
from jobgate.model.account import Scope
from jobgate.model.ids import WebhookId, batch_text, job_text, message_id, message_text, webhook_id, webhook_text
from jobgate.model.outcomes import FoundDeliveries, FoundWebhooks, Hooked, Posted, Unhooked
from jobgate.model.webhook import BASIC, Delivery, Occasion, Webhook
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

_KEYS: Final = "native webhooks"
"""Idempotency keys of webhooks do not meet those of jobs."""
_IF_MATCH: Final = {"If-Match": "Refused with 412 when the webhook is not the one of this ETag any more."}


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = 100
    after: Annotated[str, Meta(description="From `next` of the page before.")] | None = None


def _id(call: Call) -> WebhookId:
    """The webhook that the address names. Raises NotFound."""
    return webhook_id(call.path.get("id", ""))


def _secrets(basic: str | None) -> dict[str, str]:
    return {} if basic is None else {BASIC: basic}


# --- what is asked


def _add(call: Call) -> Ask:
    asked = body(call, WebhookDraft)
    url, basic = address(asked.url, "url")
    key = guard(call)
    return Ask(
        operation=AddWebhook(
            url=url,
            occasions=frozenset(map(Occasion, asked.kinds)),
            named=asked.jobs == "named",
            description=asked.description,
            secrets=_secrets(basic),
            guard=None if key is None else replace(key, scope=_KEYS),
        )
    )


def _list(call: Call) -> Ask:
    asked = query(call, PageQuery)
    after = begins(asked.after, webhook_id)
    return Ask(operation=FindWebhooks(after=after, limit=asked.limit))


def _one(call: Call) -> Ask:
    return Ask(operation=FindWebhooks(webhook=_id(call)))


def _change(call: Call) -> Ask:
    ident, asked = _id(call), body(call, WebhookPatch)
    url, basic = (None, None) if asked.url is UNSET else address(asked.url, "url")
    return Ask(
        operation=ChangeWebhook(
            webhook=ident,
            url=url,
            secrets=_secrets(basic),
            occasions=None if asked.kinds is UNSET else frozenset(map(Occasion, asked.kinds)),
            named=None if asked.jobs is UNSET else asked.jobs == "named",
            description=known(asked.description),
            enabled=known(asked.enabled),
            seen=seen(call),
        )
    )


def _delete(call: Call) -> Ask:
    return Ask(operation=DeleteWebhook(_id(call), seen(call)))


def _rotate(call: Call) -> Ask:
    return Ask(operation=RotateWebhook(_id(call)))


def _test(call: Call) -> Ask:
    return Ask(operation=TryWebhook(_id(call)))


def _deliveries(call: Call) -> Ask:
    ident, asked = _id(call), query(call, PageQuery)
    after = begins(asked.after, message_id)
    return Ask(operation=FindDeliveries(webhook=ident, after=after, limit=asked.limit))


def _resend(call: Call) -> Ask:
    return Ask(operation=Resend(_id(call), message_id(call.path.get("message", ""))))


# --- what is shown


def webhook_view(webhook: Webhook, secret: str = "") -> WebhookView:
    """A webhook; its secret where it is new."""
    return WebhookView(
        id=webhook_text(webhook.id),
        url=webhook.url,
        kinds=tuple(one.value for one in Occasion if one in webhook.occasions),
        jobs="named" if webhook.named else "all",
        enabled=webhook.enabled,
        disabled_because=webhook.disabled_because or UNSET,
        description=webhook.description or UNSET,
        created=moment(webhook.created),
        failing_since=UNSET if webhook.failing_since is None else moment(webhook.failing_since),
        secret=secret or UNSET,
    )


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery with its tries."""
    notice = delivery.notice
    return DeliveryView(
        id=message_text(delivery.id),
        event=notice.occasion.value,
        batch=UNSET if notice.batch is None else batch_text(notice.batch),
        job=UNSET if notice.batch is None or notice.job is None else job_text(notice.batch, notice.job),
        state=delivery.standing.value,
        created=moment(delivery.created),
        next=UNSET if delivery.due is None else moment(delivery.due),
        attempts=tuple(
            TryView(
                at=moment(one.at),
                status=UNSET if one.status is None else one.status,
                error=one.error or UNSET,
                seconds=round(one.seconds, 3),
            )
            for one in delivery.tries
        ),
    )


def _added(prefix: str, call: Call, outcome: Hooked) -> Reply:
    del call
    headers = {"Location": f"{prefix}/webhooks/{webhook_text(outcome.webhook.id)}"} | tag(outcome.webhook.version)
    if outcome.replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer(webhook_view(outcome.webhook, outcome.secret), 201, headers)


def _changed(prefix: str, call: Call, outcome: Hooked) -> Reply:
    del prefix, call
    return answer(webhook_view(outcome.webhook, outcome.secret), 200, tag(outcome.webhook.version))


def _listed(prefix: str, call: Call, outcome: FoundWebhooks) -> Reply:
    more = None if outcome.more is None else webhook_text(outcome.more)
    following, headers = onward(f"{prefix}/webhooks", call, more)
    return answer(WebhookPage(items=tuple(map(webhook_view, outcome.webhooks)), next=following), 200, headers)


def _shown(prefix: str, call: Call, outcome: FoundWebhooks) -> Reply:
    del prefix
    (webhook,) = outcome.webhooks
    return held(call, webhook_view(webhook), webhook.version)


def _gone(prefix: str, call: Call, outcome: Unhooked) -> Reply:
    del prefix, call, outcome
    return Reply(status=204)


def _posted(prefix: str, call: Call, outcome: Posted) -> Reply:
    del prefix, call
    return answer(delivery_view(outcome.delivery), 202)


def _sent(prefix: str, call: Call, outcome: FoundDeliveries) -> Reply:
    more = None if outcome.more is None else message_text(outcome.more)
    following, headers = onward(f"{prefix}/webhooks/{call.path.get('id', '')}/deliveries", call, more)
    return answer(DeliveryPage(items=tuple(map(delivery_view, outcome.deliveries)), next=following), 200, headers)


_EXAMPLE: Final = {"url": "https://example.org/jobgate", "kinds": ["batch.ended", "job.failed"], "description": "lab"}
_WEBHOOK: Final = WebhookView(
    id="w2n6r0kqa",
    url="https://example.org/jobgate",
    kinds=("batch.ended", "job.failed"),
    jobs="all",
    enabled=True,
    description="lab",
    created="2026-11-24T23:09:27.658Z",
)
_SECRET: Final = replace(_WEBHOOK, secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # noqa: S106  # an example's
_DELIVERY: Final = DeliveryView(
    id="msg_2n6r0kqa",
    event="batch.ended",
    batch="2n6r0kqa",
    state="delivered",
    created="2026-11-24T23:12:09.104Z",
    attempts=(TryView(at="2026-11-24T23:12:09.120Z", status=204, seconds=0.083),),
)
_REFUSES: Final = ("not-found",)
VERBS: Final = (
    Verb(
        name="webhook-add",
        method="POST",
        path="/webhooks",
        summary="Have an address told when jobs and batches end",
        description="The answer shows the secret that deliveries are signed with; it is shown this once.",
        subject="webhooks",
        scope=Scope.CONTROL,
        body=Body.WHOLE,
        takes=WebhookDraft,
        headers={"Idempotency-Key": "The same key makes one webhook; a repetition does not show its secret."},
        gives={201: WebhookView},
        refuses=("too-many-webhooks", "gone"),
        example=_EXAMPLE,
        shown=_SECRET,
        decode=_add,
        encode=_added,
    ),
    Verb(
        name="webhooks",
        method="GET",
        path="/webhooks",
        summary="Webhooks of this account, newest first",
        subject="webhooks",
        query=PageQuery,
        gives={200: WebhookPage},
        shown=WebhookPage(items=(_WEBHOOK,), next=None),
        decode=_list,
        encode=_listed,
    ),
    Verb(
        name="webhook",
        method="GET",
        path="/webhooks/{id}",
        summary="A webhook as it stands",
        subject="webhooks",
        headers={"If-None-Match": "304 when it is still the one of this ETag."},
        gives={200: WebhookView, 304: None},
        refuses=_REFUSES,
        shown=_WEBHOOK,
        decode=_one,
        encode=_shown,
    ),
    Verb(
        name="webhook-change",
        method="PATCH",
        path="/webhooks/{id}",
        summary="Change a webhook, disable it or enable it",
        description="What waits is sent once it is enabled again. A new address without user and password has none.",
        subject="webhooks",
        scope=Scope.CONTROL,
        body=Body.WHOLE,
        takes=WebhookPatch,
        headers=_IF_MATCH,
        gives={200: WebhookView},
        refuses=(*_REFUSES, "changed"),
        example={"enabled": True},
        shown=_WEBHOOK,
        decode=_change,
        encode=_changed,
    ),
    Verb(
        name="webhook-delete",
        method="DELETE",
        path="/webhooks/{id}",
        summary="Delete a webhook with its secrets and deliveries",
        subject="webhooks",
        scope=Scope.CONTROL,
        headers=_IF_MATCH,
        gives={204: None},
        refuses=(*_REFUSES, "changed"),
        decode=_delete,
        encode=_gone,
    ),
    Verb(
        name="webhook-rotate",
        method="POST",
        path="/webhooks/{id}/rotate",
        summary="Give a webhook a new secret; the one before signs too for 24 hours",
        subject="webhooks",
        scope=Scope.CONTROL,
        gives={200: WebhookView},
        refuses=_REFUSES,
        shown=_SECRET,
        decode=_rotate,
        encode=_changed,
    ),
    Verb(
        name="webhook-test",
        method="POST",
        path="/webhooks/{id}/test",
        summary="Send a webhook a test",
        subject="webhooks",
        scope=Scope.CONTROL,
        gives={202: DeliveryView},
        refuses=(*_REFUSES, "webhook-disabled"),
        shown=replace(_DELIVERY, state="waiting", attempts=()),
        decode=_test,
        encode=_posted,
    ),
    Verb(
        name="deliveries",
        method="GET",
        path="/webhooks/{id}/deliveries",
        summary="What was sent to a webhook and what is still to be, newest first, with every attempt",
        subject="webhooks",
        query=PageQuery,
        gives={200: DeliveryPage},
        refuses=_REFUSES,
        shown=DeliveryPage(items=(_DELIVERY,), next=None),
        decode=_deliveries,
        encode=_sent,
    ),
    Verb(
        name="delivery-resend",
        method="POST",
        path="/webhooks/{id}/deliveries/{message}/resend",
        summary="Send a delivery again, at once and as often as a new one",
        subject="webhooks",
        scope=Scope.CONTROL,
        gives={202: DeliveryView},
        refuses=(*_REFUSES, "webhook-disabled"),
        shown=replace(_DELIVERY, state="waiting"),
        decode=_resend,
        encode=_posted,
    ),
)
