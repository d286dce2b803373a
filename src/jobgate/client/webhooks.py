"""Addresses that are told of ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from jobgate.client.core import decoded
from jobgate.client.jobs import pages
from jobgate.client.line import Asking, Line
from jobgate.client.words import plain

JSON: Final = {"Content-Type": "application/json"}


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is told of ends. Its secret is shown when it is made or turned, and never again."""

    id: str
    url: str = ""
    kinds: tuple[str, ...] = ()
    jobs: str = "all"
    enabled: bool = True
    disabled_because: str = ""
    description: str = ""
    created: datetime | None = None
    failing_since: datetime | None = None
    secret: str = ""

    def __repr__(self) -> str:
        return f"<Webhook {plain(self.id)} {plain(self.url)}{'' if self.enabled else ', disabled'}>"


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver a message."""

    at: datetime | None = None
    status: int | None = None
    error: str = ""
    seconds: float | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a webhook, and what became of it."""

    id: str
    event: str = ""
    job: str = ""
    batch: str = ""
    state: str = ""
    created: datetime | None = None
    next: datetime | None = None
    attempts: tuple[Sending, ...] = ()


class Changes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to change, or what a new one is to be."""

    url: str | None = None
    kinds: Sequence[str] | None = None
    jobs: str | None = None
    description: str | None = None
    enabled: bool | None = None


async def webhooks(line: Line) -> tuple[Webhook, ...]:
    """All of this account."""
    listed = pages(line, "/v1/webhooks", {}, "Webhooks not listed.")
    return tuple([decoded(item, Webhook) async for page in listed for item in page.items])


async def webhook(line: Line, id: str) -> Webhook:  # noqa: A002  # what it is called
    """One of them."""
    return decoded(
        (await line.call(Asking(method="GET", path=_at(id), what=f"{id} was not read.", sought=id))).content, Webhook
    )


async def add(line: Line, url: str, *, kinds: Sequence[str], jobs: str, description: str) -> Webhook:
    """A new one, with its secret."""
    made = Changes(url=url, kinds=tuple(kinds) or None, jobs=jobs or None, description=description or None)
    return decoded(await _ask(line, "POST", "/v1/webhooks", "No webhook was made.", made), Webhook)


async def change(line: Line, id: str, changes: Changes) -> Webhook:  # noqa: A002  # what it is called
    """The webhook, changed."""
    return decoded(await _ask(line, "PATCH", _at(id), f"{id}: not changed.", changes), Webhook)


async def rotate(line: Line, id: str) -> Webhook:  # noqa: A002  # what it is called
    """The webhook with a new secret."""
    return decoded(await _ask(line, "POST", f"{_at(id)}/rotate", f"{id}: no new secret."), Webhook)


async def test(line: Line, id: str) -> Delivery:  # noqa: A002  # what it is called
    """The message that is sent to try it."""
    return decoded(await _ask(line, "POST", f"{_at(id)}/test", f"{id}: not tried."), Delivery)


async def delete(line: Line, id: str) -> None:  # noqa: A002  # what it is called
    """Deletes it."""
    await _ask(line, "DELETE", _at(id), f"{id}: not deleted.")


async def deliveries(line: Line, id: str) -> AsyncIterator[Delivery]:  # noqa: A002  # what it is called
    """Its messages, newest first."""
    async for page in pages(line, f"{_at(id)}/deliveries", {}, f"{id}: messages not listed."):
        for item in page.items:
            yield decoded(item, Delivery)


async def resend(line: Line, id: str, message: str) -> Delivery:  # noqa: A002  # what it is called
    """The message, on its way once more."""
    path = f"{_at(id)}/deliveries/{quote(message, safe='')}/resend"
    return decoded(await _ask(line, "POST", path, f"{message}: not sent again."), Delivery)


def _at(id: str) -> str:  # noqa: A002  # what it is called
    return f"/v1/webhooks/{quote(id, safe='')}"


async def _ask(line: Line, method: str, path: str, what: str, said: Changes | None = None) -> bytes:
    body, headers = (b"", {}) if said is None else (msgspec.json.encode(said), JSON)
    return (await line.call(Asking(method=method, path=path, what=what, body=body, headers=headers))).content
