"""What can be asked about webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from jobgate.model.account import Scope
from jobgate.model.guard import Guard, Seen
from jobgate.model.ids import MessageId, WebhookId
from jobgate.model.webhook import USUAL, Occasion


class AddWebhook(msgspec.Struct, frozen=True, kw_only=True, tag="add_webhook", omit_defaults=True):
    """An address is told of ends from now on. Answer: Hooked, with the secret."""

    url: str
    """Without user and password: these are `BASIC` of the secrets."""
    occasions: frozenset[Occasion] = USUAL
    named: bool = False
    description: str = ""
    secrets: Mapping[str, str] = {}
    """Name to value; sealed before it is stored."""
    guard: Guard | None = None

    def __repr__(self) -> str:
        return "AddWebhook()"


class FindWebhooks(msgspec.Struct, frozen=True, kw_only=True, tag="find_webhooks", omit_defaults=True):
    """The account's webhooks, newest first, or one. Answer: FoundWebhooks."""

    webhook: WebhookId | None = None
    after: WebhookId | None = None
    """The last of the page before."""
    limit: int = 100


class ChangeWebhook(msgspec.Struct, frozen=True, kw_only=True, tag="change_webhook", omit_defaults=True):
    """What is not None becomes so. Answer: Hooked."""

    webhook: WebhookId
    url: str | None = None
    secrets: Mapping[str, str] = {}
    """As with AddWebhook; a new address without any has none."""
    occasions: frozenset[Occasion] | None = None
    named: bool | None = None
    description: str | None = None
    enabled: bool | None = None
    seen: Seen | None = None
    """The version that the asker knows; Conflict (`changed`) when it is another. So it is with DeleteWebhook."""

    def __repr__(self) -> str:
        return f"ChangeWebhook({self.webhook})"


class RotateWebhook(msgspec.Struct, frozen=True, tag="rotate_webhook"):
    """A new secret; the one before signs too for a day. Answer: Hooked, with the secret."""

    webhook: WebhookId


class TryWebhook(msgspec.Struct, frozen=True, tag="try_webhook"):
    """A test notice is sent to it. Answer: Posted."""

    webhook: WebhookId


class DeleteWebhook(msgspec.Struct, frozen=True, tag="delete_webhook"):
    """Forgets it with its secrets and deliveries. Answer: Unhooked."""

    webhook: WebhookId
    seen: Seen | None = None


class FindDeliveries(msgspec.Struct, frozen=True, kw_only=True, tag="find_deliveries", omit_defaults=True):
    """What was sent to a webhook, and what is still to be, newest first. Answer: FoundDeliveries."""

    webhook: WebhookId
    after: MessageId | None = None
    limit: int = 100


class Resend(msgspec.Struct, frozen=True, tag="resend"):
    """A delivery is tried again, at once. Answer: Posted."""

    webhook: WebhookId
    message: MessageId


OnWebhooks = (
    AddWebhook | FindWebhooks | ChangeWebhook | RotateWebhook | TryWebhook | DeleteWebhook | FindDeliveries | Resend
)

WEBHOOK_SCOPES: Mapping[type[Any], Scope] = {
    AddWebhook: Scope.CONTROL,
    FindWebhooks: Scope.READ,
    ChangeWebhook: Scope.CONTROL,
    RotateWebhook: Scope.CONTROL,
    TryWebhook: Scope.CONTROL,
    DeleteWebhook: Scope.CONTROL,
    FindDeliveries: Scope.READ,
    Resend: Scope.CONTROL,
}
"""What each asks of the credential."""
