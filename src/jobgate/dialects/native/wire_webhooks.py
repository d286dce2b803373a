"""The JSON objects of webhooks: as they are asked for, as they are shown, and what is sent to them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Kind = Literal["job.succeeded", "job.failed", "job.cancelled", "batch.ended"]
Kinds = Annotated[tuple[Kind, ...], Meta(min_length=1, description="What it is told of.")]
Jobs = Annotated[
    Literal["all", "named"], Meta(description="`named`: only of batches that were submitted with its id as `webhook`.")
]
Url = Annotated[str, Meta(min_length=1, max_length=2048, description="http or https; user and password are sealed.")]
Description = Annotated[str, Meta(max_length=500)]


class WebhookDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to be made."""

    url: Url
    kinds: Kinds = ("batch.ended", "job.failed")
    jobs: Jobs = "all"
    description: Description = ""


class WebhookPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said becomes so; the rest stays."""

    url: Url | UnsetType = UNSET
    kinds: Kinds | UnsetType = UNSET
    jobs: Jobs | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook as it stands; what has no value is left out."""

    id: str
    url: str
    """Without user and password."""
    kinds: tuple[str, ...]
    jobs: str
    enabled: bool
    disabled_because: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    created: str
    failing_since: str | UnsetType = UNSET
    """The first failure after the last success."""
    secret: str | UnsetType = UNSET
    """What its deliveries are signed with; shown once, when it is new."""


class WebhookPage(Struct, frozen=True, kw_only=True):
    """Webhooks, newest first."""

    items: tuple[WebhookView, ...]
    next: str | None


class TryView(Struct, frozen=True, kw_only=True):
    """One time that it was sent; of the answer its status."""

    at: str
    status: int | UnsetType = UNSET
    error: str | UnsetType = UNSET
    """Why there was no answer: timeout, connect, name, address-refused, …"""
    seconds: float


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One notice on its way to one webhook."""

    id: str
    """`webhook-id` of each try."""
    event: str
    batch: str | UnsetType = UNSET
    job: str | UnsetType = UNSET
    state: str
    """waiting, delivered, dead"""
    created: str
    next: str | UnsetType = UNSET
    """When it is tried next."""
    attempts: tuple[TryView, ...]


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries, newest first."""

    items: tuple[DeliveryView, ...]
    next: str | None


class NoticeData(Struct, frozen=True, kw_only=True):
    """What happened, in the words of `GET /v1/events`, with what a receiver would ask for next."""

    event: str
    at: str
    cursor: int | UnsetType = UNSET
    batch: str | UnsetType = UNSET
    job: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    number: int | UnsetType = UNSET
    name: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    state: str | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    failure: str | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    created: str | UnsetType = UNSET
    started: str | UnsetType = UNSET
    ended: str | UnsetType = UNSET
    attempt_count: int | UnsetType = UNSET
    count: int | UnsetType = UNSET
    counts: dict[str, int] | UnsetType = UNSET
    webhook: str | UnsetType = UNSET
    """Of a test."""


class NoticeBody(Struct, frozen=True, kw_only=True):
    """The body of a delivery, as Standard Webhooks would have it."""

    type: str
    timestamp: str
    data: NoticeData
