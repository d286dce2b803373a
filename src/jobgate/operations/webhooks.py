"""Webhooks: made, shown, changed, tried, and forgotten by their owners. Each change is in the account's trail."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from jobgate.model.account import Action, Deed, Principal, owns
from jobgate.model.errors import Conflict, FetchError, Invalid, NotFound
from jobgate.model.guard import Seen
from jobgate.model.ids import WebhookId, message_text, webhook_id, webhook_text
from jobgate.model.outcomes import FoundDeliveries, FoundWebhooks, Hooked, OfWebhooks, Posted, Unhooked
from jobgate.model.webhook import BASIC, MOST, OVERLAP, Notice, Occasion, Webhook, again, signing, written
from jobgate.model.webhooking import (
    AddWebhook,
    ChangeWebhook,
    DeleteWebhook,
    FindDeliveries,
    FindWebhooks,
    OnWebhooks,
    Resend,
    RotateWebhook,
    TryWebhook,
)
from jobgate.net.target import parse
from jobgate.operations.context import Context
from jobgate.operations.select import present
from jobgate.store.transaction import Transaction

_KEY: Final = 32
"""Bytes of a secret."""
_AT_ONCE: Final = 500
"""Deliveries forgotten in one transaction: requests pass between two of them."""


async def on_webhooks(context: Context, principal: Principal, operation: OnWebhooks) -> OfWebhooks:
    """What came of it. Raises NotFound for a webhook that is not theirs, Conflict, Invalid."""
    match operation:
        case AddWebhook():
            return await add(context, principal, operation)
        case FindWebhooks():
            return await find(context, principal, operation)
        case ChangeWebhook():
            return await change(context, principal, operation)
        case RotateWebhook(webhook):
            return await rotate(context, principal, webhook)
        case TryWebhook(webhook):
            return await test(context, principal, webhook)
        case DeleteWebhook():
            return await delete(context, principal, operation)
        case FindDeliveries():
            return await deliveries(context, principal, operation)
        case Resend():
            return await resend(context, principal, operation)


async def add(context: Context, principal: Principal, operation: AddWebhook) -> Hooked:
    """The webhook, and its secret. Raises Invalid, and Conflict for one too many or a key of another request."""
    origin = _origin(operation.url)
    now, secret = context.clock(), written(secrets.token_bytes(_KEY))

    def work(tx: Transaction) -> Hooked:
        owner = present(tx, principal).account
        ident = tx.outbox.draw(now)
        if operation.guard is not None:
            made = tx.outbox.take(owner, operation.guard, ident, now)
            if made is not None:
                return Hooked(webhook=tx.outbox.get(made), replayed=True)
        if tx.outbox.count(owner) >= MOST:
            raise Conflict(f"an account has at most {MOST} webhooks; delete one first", code="too-many-webhooks")
        webhook = Webhook(
            id=ident,
            owner=owner,
            url=operation.url,
            created=now,
            occasions=operation.occasions,
            named=operation.named,
            description=operation.description,
        )
        tx.outbox.add(webhook)
        _seal(tx, context, ident, {**operation.secrets, signing(webhook.secret): secret})
        _record(tx, principal, webhook, now, Action.WEBHOOK_ADDED, to=origin)
        return Hooked(webhook=webhook, secret=secret)

    return await context.store.write(work)


async def find(context: Context, principal: Principal, operation: FindWebhooks) -> FoundWebhooks:
    """The webhooks meant. Raises NotFound for one that is not theirs."""

    def work(tx: Transaction) -> FoundWebhooks:
        if operation.webhook is not None:
            return FoundWebhooks(webhooks=(_own(tx, principal, operation.webhook),))
        found = tx.outbox.of(present(tx, principal).account, operation.limit + 1, operation.after)
        page = tuple(found[: operation.limit])
        return FoundWebhooks(webhooks=page, more=page[-1].id if len(found) > len(page) else None)

    return await context.store.read(work)


async def change(context: Context, principal: Principal, operation: ChangeWebhook) -> Hooked:
    """The webhook as it is now. Raises NotFound, Invalid, and Conflict (`changed`) where another version was seen."""
    if operation.url is not None:
        _origin(operation.url)
    now = context.clock()

    def work(tx: Transaction) -> Hooked:
        webhook = _own(tx, principal, operation.webhook, operation.seen)
        wanted = replace(
            webhook,
            url=webhook.url if operation.url is None else operation.url,
            occasions=webhook.occasions if operation.occasions is None else operation.occasions,
            named=webhook.named if operation.named is None else operation.named,
            description=webhook.description if operation.description is None else operation.description,
        )
        if operation.enabled is not None and operation.enabled != webhook.enabled:
            because = "" if operation.enabled else "its owner disabled it"
            wanted = replace(wanted, enabled=operation.enabled, disabled_because=because)
        if operation.enabled or operation.url is not None:
            wanted = replace(wanted, failing_since=None)
        if operation.url is not None:
            tx.outbox.unseal(webhook.id, BASIC)
            _seal(tx, context, webhook.id, operation.secrets)
        elif wanted == webhook:
            return Hooked(webhook=webhook)
        wanted = replace(wanted, version=webhook.version + 1)
        tx.outbox.put(wanted)
        _record(tx, principal, wanted, now, Action.WEBHOOK_CHANGED, enabled=str(wanted.enabled).lower())
        return Hooked(webhook=wanted)

    return await context.store.write(work)


async def rotate(context: Context, principal: Principal, ident: WebhookId) -> Hooked:
    """The webhook with a new secret. Raises NotFound."""
    now, secret = context.clock(), written(secrets.token_bytes(_KEY))

    def work(tx: Transaction) -> Hooked:
        webhook = _own(tx, principal, ident)
        changed = replace(webhook, secret=webhook.secret + 1, overlap=now + OVERLAP, version=webhook.version + 1)
        tx.outbox.unseal(ident, signing(webhook.secret - 1))
        _seal(tx, context, ident, {signing(changed.secret): secret})
        tx.outbox.put(changed)
        _record(tx, principal, changed, now, Action.WEBHOOK_ROTATED, secret=changed.secret)
        return Hooked(webhook=changed, secret=secret)

    return await context.store.write(work)


async def test(context: Context, principal: Principal, ident: WebhookId) -> Posted:
    """A test on its way. Raises NotFound, and Conflict (`webhook-disabled`)."""
    now = context.clock()

    def work(tx: Transaction) -> Posted:
        webhook = _enabled(_own(tx, principal, ident))
        (made,) = tx.outbox.post([webhook], Notice(occasion=Occasion.TEST, at=now, webhook=ident), now)
        return Posted(delivery=made)

    return await context.store.write(work)


async def delete(context: Context, principal: Principal, operation: DeleteWebhook) -> Unhooked:
    """Nothing is sent to it any more. Raises NotFound, and Conflict (`changed`)."""
    now, ident = context.clock(), operation.webhook

    def work(tx: Transaction) -> None:
        webhook = _own(tx, principal, ident, operation.seen)
        tx.outbox.remove(ident, now)
        _record(tx, principal, webhook, now, Action.WEBHOOK_DELETED)

    await context.store.write(work, spare=True)
    while await context.store.write(lambda tx: tx.outbox.clear(ident, _AT_ONCE), spare=True) == _AT_ONCE:
        pass
    return Unhooked()


async def deliveries(context: Context, principal: Principal, operation: FindDeliveries) -> FoundDeliveries:
    """A page of them. Raises NotFound."""

    def work(tx: Transaction) -> FoundDeliveries:
        _own(tx, principal, operation.webhook)
        found = tx.outbox.deliveries(operation.webhook, operation.limit + 1, operation.after)
        page = tuple(found[: operation.limit])
        return FoundDeliveries(deliveries=page, more=page[-1].id if len(found) > len(page) else None)

    return await context.store.read(work)


async def resend(context: Context, principal: Principal, operation: Resend) -> Posted:
    """A delivery that is due. Raises NotFound, and Conflict (`webhook-disabled`)."""
    now = context.clock()

    def work(tx: Transaction) -> Posted:
        webhook = _own(tx, principal, operation.webhook)
        delivery = tx.outbox.delivery(operation.message)
        if delivery.webhook != webhook.id:
            raise NotFound(f"there is no delivery {message_text(operation.message)} of this webhook")
        _enabled(webhook)
        wanted = again(delivery, now)
        tx.outbox.replace(wanted)
        return Posted(delivery=wanted)

    return await context.store.write(work)


def named(tx: Transaction, principal: Principal, asked: str) -> WebhookId | None:
    """The webhook that a submit names, if it does. Raises NotFound (`webhook-not-found`)."""
    if not asked:
        return None
    try:
        return _own(tx, principal, webhook_id(asked)).id
    except NotFound:
        raise NotFound(
            "this account has no such webhook; GET /v1/webhooks lists those it has",
            code="webhook-not-found",
            field="webhook",
        ) from None


def _own(tx: Transaction, principal: Principal, ident: WebhookId, seen: Seen | None = None) -> Webhook:
    webhook = tx.outbox.get(ident)
    owns(present(tx, principal), webhook.owner)
    if seen is not None and webhook.version not in seen:
        raise Conflict("it was changed since it was read; read it again", code="changed")
    return webhook


def _enabled(webhook: Webhook) -> Webhook:
    if not webhook.enabled:
        told = f"this webhook is disabled: {webhook.disabled_because}; enable it first"
        raise Conflict(told, code="webhook-disabled")
    return webhook


def _origin(url: str) -> str:
    """Scheme and host of an address that can be sent to. Raises Invalid."""
    try:
        return parse(url).origin
    except FetchError as error:
        raise Invalid(f"url: {error.message}", code="invalid-field", field="url") from None


def _seal(tx: Transaction, context: Context, ident: WebhookId, values: Mapping[str, str]) -> None:
    tx.secrets.seal(ident, {name: context.seal(ident, name, value) for name, value in values.items()})


def _record(
    tx: Transaction, principal: Principal, webhook: Webhook, now: float, action: Action, **more: str | int
) -> None:
    told: dict[str, str | int] = {"webhook": webhook_text(webhook.id), **more}
    tx.accounts.record(Deed(at=now, actor=principal.name, action=action, account=webhook.owner, told=told))
