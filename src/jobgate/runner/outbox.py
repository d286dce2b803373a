"""Sends what waits in the outbox: woken by commits and by the next time due.

Sixteen at once, four for each account, two for each webhook, so that a slow address holds up no other. Whatever breaks
off in between is sent again under the same id: at least once, in no promised order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from jobgate.model.account import Action, Deed
from jobgate.model.errors import FetchError, NotFound, Unavailable
from jobgate.model.ids import MessageId, webhook_text
from jobgate.model.webhook import BASIC, DAY, Delivery, Notice, Try, Webhook, after, headers, heard
from jobgate.runner.world import World
from jobgate.store.outbox import Turns
from jobgate.store.transaction import Transaction

AT_ONCE: Final = 16
EACH_ACCOUNT: Final = 4
EACH: Final = 2
"""Deliveries on their way to one webhook."""
TIMEOUT: Final = 15.0
"""Seconds for the whole of one try."""
_LONGEST: Final = 3_600.0
"""Seconds after which the clock is looked at again, should it have been set."""

Wording = Callable[[Notice], bytes]
"""The body that is sent: a dialect's words."""


class Outbox:
    """One node's sender. `wake` is for the store's commits."""

    def __init__(self, world: World, wording: Wording, chance: Callable[[], float] = random.random) -> None:
        self._world = world
        self._wording = wording
        self._chance = chance
        self._busy: dict[MessageId, Webhook] = {}
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Something became due, or a place free."""
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._awake.clear()
            pause = await self._start()
            try:
                async with asyncio.timeout(pause):
                    await self._awake.wait()
            except TimeoutError:
                continue

    async def _start(self) -> float:
        """Sends what is due and has a place; the seconds until there is more."""
        now = self._world.clock()
        rules = Turns(AT_ONCE, EACH_ACCOUNT, EACH)

        def look(tx: Transaction) -> tuple[list[tuple[Webhook, Delivery]], float | None]:
            return tx.outbox.due(now, self._busy, rules), tx.outbox.next_due(now)

        found, later = await self._world.store.read(look)
        for webhook, delivery in found:
            self._busy[delivery.id] = webhook
            self._world.spawn(self._send(webhook, delivery))
        return _LONGEST if later is None else min(max(later - now, 0.0), _LONGEST)

    async def _send(self, webhook: Webhook, delivery: Delivery) -> None:
        try:
            tried, retry_after = await self._try(webhook, delivery)
            disabled = await self._world.write(lambda tx: self._save(tx, webhook, delivery.id, tried, retry_after))
        finally:
            del self._busy[delivery.id]
        if disabled:
            self._world.log.warning("a webhook is disabled", webhook=webhook_text(webhook.id), why=disabled)
        self.wake()

    async def _try(self, webhook: Webhook, delivery: Delivery) -> tuple[Try, float]:
        """What came of it, and the seconds the receiver asked for."""
        clock, loop = self._world.clock, asyncio.get_running_loop()
        begun, started = clock(), loop.time()
        body = self._wording(delivery.notice)
        try:
            secrets = await self._world.secrets(webhook.id)
            basic = secrets.pop(BASIC, None)
            signed = [secrets[name] for name in webhook.signing(begun) if name in secrets] or list(secrets.values())
            if not signed:
                return Try(at=begun, seconds=0.0, error="deleted"), 0.0  # since it was read
            reply = await self._world.egress.post(
                webhook.url,
                content=body,
                headers={"Content-Type": "application/json", **headers(signed, delivery.id, begun, body)},
                basic=basic,
                limit=0,
                timeout=TIMEOUT,
                redirects=0,
            )
        except (FetchError, Unavailable) as error:
            return Try(at=begun, seconds=loop.time() - started, error=error.code), 0.0
        seconds = loop.time() - started
        return Try(at=begun, seconds=seconds, status=reply.status), asked_pause(reply.headers, clock())

    def _save(self, tx: Transaction, sent: Webhook, message: MessageId, tried: Try, retry_after: float) -> str:
        """Why the webhook is disabled by this, if it is."""
        now = self._world.clock()
        try:
            delivery, webhook = tx.outbox.delivery(message), tx.outbox.get(sent.id)
        except NotFound:
            return ""  # deleted while it was on its way
        changed = heard(webhook, tried, now) if webhook.url == sent.url and webhook.enabled else webhook
        tx.outbox.tried(changed, after(delivery, tried, now, spread=self._chance(), retry_after=retry_after))
        if changed.enabled == webhook.enabled:
            return ""
        told: dict[str, str | int] = {"webhook": webhook_text(webhook.id), "why": changed.disabled_because}
        tx.accounts.record(
            Deed(at=now, actor="server", action=Action.WEBHOOK_DISABLED, account=webhook.owner, told=told)
        )
        return changed.disabled_because


def asked_pause(spoken: Mapping[str, str], now: float) -> float:
    """The seconds that Retry-After asks for, in either of its forms; 0 without one, or for one that is none."""
    asked = spoken.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:12]), DAY)
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - datetime.fromtimestamp(now, UTC)).total_seconds(), 0.0), DAY)
