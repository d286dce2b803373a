"""What waits in the outbox reaches a real receiver, which checks it with the official verifier."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from receivers import OK, Answer, Got, Receiver
from standardwebhooks import WebhookVerificationError
from store_places import FILE, sqlite
from workbench import NoLogs, NoOrigins, NoParts

from jobgate.auth.seal import Seal
from jobgate.dialects.native.notices import wording
from jobgate.files.disk import Disk
from jobgate.model.account import Action, Principal
from jobgate.model.catalogue import Catalogue
from jobgate.model.events import Cancel
from jobgate.model.ids import AccountId, job_text, webhook_text
from jobgate.model.limits import Limits
from jobgate.model.operations import Operation, Request
from jobgate.model.outcomes import Hooked
from jobgate.model.webhook import BASIC, DAY, PAUSES, Delivery, Occasion, Standing, Webhook
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
from jobgate.net.egress import Egress, EgressSettings
from jobgate.operations.context import Context
from jobgate.operations.handle import handle
from jobgate.runner.history import History
from jobgate.runner.outbox import AT_ONCE, EACH, EACH_ACCOUNT, Outbox, asked_pause
from jobgate.runner.saver import Saver
from jobgate.runner.world import World
from jobgate.store.feed import Feed
from jobgate.store.sqlite import SqliteStore
from jobgate.store.store import Store
from jobgate.testing.store_lab import Lab, Place, members

EVERYTHING = frozenset(Occasion) - {Occasion.TEST}


class Sender(Outbox):
    """Tells when it is woken, as it is by each try that is saved."""

    woken: asyncio.Event

    def wake(self) -> None:
        super().wake()
        self.woken.set()


class Site:
    """A store, its sender, and the verbs over it; its clock stands at now until it is put on."""

    def __init__(self, lab: Lab, folder: Path, egress: Egress) -> None:
        self.lab = lab
        self.skipped = 0.0
        lab.now = datetime.now(UTC).timestamp()
        seal = Seal(bytes(32))
        disk = Disk(folder / "blobs")

        self.context = Context(
            store=lab.store,
            feed=Feed(),
            blobs=disk,
            parts=NoParts(),
            origins=NoOrigins(),
            logs=NoLogs(),
            clock=self.clock,
            seal=seal.close,
            environments=(),
        )
        self.world = World(
            store=lab.store,
            storage=disk,
            egress=egress,
            work=folder / "work",
            lease=lab.lease,
            saver=Saver(lab.store, lab.lease, self.clock, lambda: None),
            clock=self.clock,
            opener=seal.open,
            catalogue=Catalogue(),
            limits=Limits(),
            standings={},
            history=History(),
        )
        self.outbox = self.start()

    def clock(self) -> float:
        return datetime.now(UTC).timestamp() + self.skipped

    def start(self) -> Sender:
        outbox = Sender(self.world, wording, chance=lambda: 0.5)
        outbox.woken = asyncio.Event()
        self.lab.store.listen_outbox(outbox.wake)
        self.world.spawn(outbox.run())
        return outbox

    def later(self, seconds: float) -> None:
        """The time is put on."""
        self.skipped += seconds
        self.outbox.wake()

    async def ask(self, operation: Operation, who: AccountId | None = None) -> Any:
        asker = Principal(account=self.lab.owner if who is None else who, name="lab")
        return await handle(self.context, Request(operation=operation, principal=asker))

    async def hook(self, url: str, **more: Any) -> Hooked:
        made: Hooked = await self.ask(AddWebhook(url=url, **{"occasions": EVERYTHING, **more}))
        return made

    async def sent(self, hook: Hooked) -> list[Delivery]:
        """Its deliveries, the oldest first."""
        found = await self.ask(FindDeliveries(webhook=hook.webhook.id, limit=1000))
        return list(found.deliveries)[::-1]

    async def until(self, hook: Hooked, enough: Callable[[list[Delivery]], bool]) -> list[Delivery]:
        """Its deliveries, as soon as a try that was saved makes them so."""
        async with asyncio.timeout(30):
            while True:
                self.outbox.woken.clear()
                if enough(found := await self.sent(hook)):
                    return found
                await self.outbox.woken.wait()

    async def tried(self, hook: Hooked, number: int) -> Delivery:
        """Its one delivery, after so many tries."""
        (one,) = await self.until(hook, lambda found: len(found[0].tries) >= number)
        return one


@asynccontextmanager
async def again(folder: Path) -> AsyncIterator[Site]:
    """The same database, opened anew."""
    lab = Lab(Place(open=lambda: _open(folder), commits=lambda _: 0), await _open(folder))
    lab.owner = (await lab.store.read(lambda tx: tx.accounts.named("lab"))).id
    async with _site(lab, folder, ("127.0.0.0/8",)) as made:
        yield made


async def _open(folder: Path) -> Store:
    return SqliteStore(folder / FILE)


@asynccontextmanager
async def site(folder: Path, *, allow: tuple[str, ...] = ("127.0.0.0/8",)) -> AsyncIterator[Site]:
    place = sqlite(folder)
    lab = Lab(place, await place.open())
    await lab.furnish()
    async with _site(lab, folder, allow) as made:
        yield made


@asynccontextmanager
async def _site(lab: Lab, folder: Path, allow: tuple[str, ...]) -> AsyncIterator[Site]:
    egress = Egress(EgressSettings(allow=allow))
    made = Site(lab, folder, egress)
    try:
        yield made
    finally:
        await made.world.stop()
        egress.close()
        await lab.store.close()


def run(
    folder: Path,
    receiver: Receiver,
    body: Callable[[Site], Awaitable[None]],
    *,
    allow: tuple[str, ...] = ("127.0.0.0/8",),
) -> None:
    async def whole() -> None:
        async with site(folder, allow=allow) as made:
            await body(made)

    with receiver.up():
        asyncio.run(whole())


async def next_of(receiver: Receiver) -> Got:
    return await asyncio.to_thread(receiver.next)


def tries(delivery: Delivery) -> list[int | str]:
    return [one.error or one.status or 0 for one in delivery.tries]


def over(found: list[Delivery]) -> bool:
    return bool(found) and all(one.standing is not Standing.WAITING for one in found)


async def seen(at: Site, hook: Hooked) -> Webhook:
    (found,) = (await at.ask(FindWebhooks(webhook=hook.webhook.id))).webhooks
    assert isinstance(found, Webhook)
    return found


def test_a_job_and_its_batch_are_told_signed_and_the_official_verifier_takes_it(tmp_path: Path) -> None:
    receiver = Receiver()

    async def body(at: Site) -> None:
        hook = await at.hook(receiver.url)
        batch = await at.lab.submit(labels={"k": "v"})
        (job,) = members(batch)
        await at.lab.tell(job, Cancel("enough"))
        told = [(await next_of(receiver)) for _ in range(2)]
        content = {one["type"]: one for one in (got.verified(hook.secret) for got in told)}
        assert set(content) == {"job.cancelled", "batch.ended"}
        data = content["job.cancelled"]["data"]
        assert (data["job"], data["state"], data["message"]) == (job_text(batch.id, job), "cancelled", "enough")
        assert (data["labels"], data["number"], data["seq"], data["attempt_count"]) == ({"k": "v"}, 1, 2, 0)
        assert content["batch.ended"]["data"]["counts"] == {"cancelled": 1}
        assert {got.headers["content-type"] for got in told} == {"application/json"}
        assert len({got.ident for got in told}) == 2
        found = await at.until(hook, over)
        assert [(one.standing, tries(one)) for one in found] == [(Standing.DELIVERED, [204])] * 2

    run(tmp_path, receiver, body)


def test_what_fails_is_sent_again_under_the_same_id_and_nothing_of_an_answer_is_kept(tmp_path: Path) -> None:
    word = b"an-answer-nobody-keeps-77"
    answers: list[Answer] = [(500, {"x-word": word.decode()}, word), (404, {}, word), OK]
    receiver = Receiver(lambda _: answers.pop(0))

    async def body(at: Site) -> None:
        hook = await at.hook(receiver.url)
        await at.ask(TryWebhook(hook.webhook.id))
        got = [await next_of(receiver)]
        assert got[0].verified(hook.secret)["type"] == "webhook.test"
        for number, pause in enumerate(PAUSES[:2], 1):
            one = await at.tried(hook, number)
            assert (await seen(at, hook)).failing_since is not None
            assert one.due is not None
            assert one.due - one.tries[-1].at == pytest.approx(pause * 1.1, abs=5)  # half of what chance may add
            at.later(pause * 1.1 + 5)
            got.append(await next_of(receiver))
        done = await at.tried(hook, 3)
        assert (done.standing, tries(done)) == (Standing.DELIVERED, [500, 404, 204])
        assert len({(each.ident, each.body) for each in got}) == 1
        assert len({each.headers["webhook-timestamp"] for each in got}) == 3
        assert (await seen(at, hook)).failing_since is None

    run(tmp_path, receiver, body)
    assert word not in (tmp_path / FILE).read_bytes()


def test_410_ends_it_and_disables_the_webhook_which_the_trail_tells(tmp_path: Path) -> None:
    receiver = Receiver(lambda _: (410, {}, b""))

    async def body(at: Site) -> None:
        hook = await at.hook(receiver.url)
        await at.ask(TryWebhook(hook.webhook.id))
        dead = await at.tried(hook, 1)
        assert (dead.standing, dead.due) == (Standing.DEAD, None)
        off = await seen(at, hook)
        assert (off.enabled, off.disabled_because) == (False, "the address answered 410 Gone")
        await at.lab.tell(await at.lab.one(), Cancel())
        assert len(await at.sent(hook)) == 1
        deeds = await at.lab.store.read(lambda tx: tx.accounts.history(at.lab.owner))
        assert [(deed.actor, deed.action) for deed in deeds] == [
            ("lab", Action.WEBHOOK_ADDED),
            ("server", Action.WEBHOOK_DISABLED),
        ]

    run(tmp_path, receiver, body)
    assert receiver.asked == 1


def test_a_redirect_is_a_failure_and_is_followed_nowhere(tmp_path: Path) -> None:
    inner = Receiver()
    receiver = Receiver(lambda got: (int(got.path[1:]), {"location": inner.url}, b""))

    async def body(at: Site) -> None:
        for status in (301, 302, 303, 307, 308):
            hook = await at.hook(f"http://127.0.0.1:{receiver.port}/{status}")
            await at.ask(TryWebhook(hook.webhook.id))
            one = await at.tried(hook, 1)
            assert (one.standing, tries(one)) == (Standing.WAITING, [status])

    with inner.up():
        run(tmp_path, receiver, body)
    assert inner.asked == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "2130706433"])
def test_an_inner_address_is_never_connected_to(host: str, tmp_path: Path) -> None:
    receiver = Receiver()

    async def body(at: Site) -> None:
        hook = await at.hook(f"http://{host}:{receiver.port}/")
        await at.ask(TryWebhook(hook.webhook.id))
        assert tries(await at.tried(hook, 1)) == ["address-refused"]

    run(tmp_path, receiver, body, allow=())
    assert receiver.asked == 0


def test_a_slow_receiver_has_two_at_once_and_holds_up_no_other(tmp_path: Path) -> None:
    go = threading.Event()

    def slowly(got: Got) -> Answer:
        go.wait(30)
        return OK

    slow, quick = Receiver(slowly), Receiver()

    async def body(at: Site) -> None:
        slowed, other = await at.hook(slow.url), await at.hook(quick.url)
        for _ in range(40):
            await at.ask(TryWebhook(slowed.webhook.id))
        for _ in range(EACH):
            await next_of(slow)
        await at.ask(TryWebhook(other.webhook.id))
        assert (await next_of(quick)).verified(other.secret)["data"]["webhook"] == webhook_text(other.webhook.id)
        assert not go.is_set()
        go.set()
        await at.until(slowed, over)

    with quick.up():
        run(tmp_path, slow, body)
    assert (slow.most_at_once, slow.asked) == (EACH, 40)


def test_many_slow_receivers_of_one_account_leave_places_for_another(tmp_path: Path) -> None:
    go = threading.Event()

    def slowly(got: Got) -> Answer:
        go.wait(30)
        return OK

    slow, quick = Receiver(slowly), Receiver()

    async def body(at: Site) -> None:
        hooks = [await at.hook(slow.url) for _ in range(AT_ONCE)]
        for hook in hooks:
            await at.ask(TryWebhook(hook.webhook.id))
            await at.ask(TryWebhook(hook.webhook.id))
        for _ in range(EACH_ACCOUNT):
            await next_of(slow)
        other = await at.ask(AddWebhook(url=quick.url), at.lab.other)
        await at.ask(TryWebhook(other.webhook.id), at.lab.other)
        assert (await next_of(quick)).verified(other.secret)["type"] == "webhook.test"
        assert not go.is_set()
        go.set()
        for hook in hooks:
            await at.until(hook, over)

    with quick.up():
        run(tmp_path, slow, body)
    assert (slow.most_at_once, slow.asked) == (EACH_ACCOUNT, 2 * AT_ONCE)


def test_what_was_on_its_way_when_the_sender_ended_is_sent_again_under_the_same_id(tmp_path: Path) -> None:
    go = threading.Event()

    def late(got: Got) -> Answer:
        go.wait(30)
        return OK

    receiver = Receiver(late)

    async def first(at: Site) -> None:
        hook = await at.hook(receiver.url)
        await at.ask(TryWebhook(hook.webhook.id))
        hooks.append(hook)
        got.append(await next_of(receiver))

    async def second() -> None:
        async with again(tmp_path) as at:
            got.append(await next_of(receiver))
            go.set()
            assert tries(await at.tried(hooks[0], 1)) == [204]

    hooks: list[Hooked] = []
    got: list[Got] = []
    with receiver.up():

        async def whole() -> None:
            async with site(tmp_path) as at:
                await first(at)
            await second()

        asyncio.run(whole())
    assert got[0].ident == got[1].ident


def test_after_a_rotation_both_secrets_sign_for_a_day_and_then_the_new_one_alone(tmp_path: Path) -> None:
    receiver = Receiver()

    async def body(at: Site) -> None:
        hook = await at.hook(receiver.url)
        rotated = await at.ask(RotateWebhook(hook.webhook.id))
        assert rotated.secret != hook.secret
        await at.ask(TryWebhook(hook.webhook.id))
        got = await next_of(receiver)
        for secret in (hook.secret, rotated.secret):
            assert got.verified(secret)["type"] == "webhook.test"
        third = await at.ask(RotateWebhook(hook.webhook.id))
        await at.ask(TryWebhook(hook.webhook.id))
        got = await next_of(receiver)
        assert got.verified(third.secret)
        with pytest.raises(WebhookVerificationError):
            got.verified(hook.secret)
        at.later(DAY + 1)
        await at.ask(TryWebhook(hook.webhook.id))
        assert len((await next_of(receiver)).headers["webhook-signature"].split()) == 1

    run(tmp_path, receiver, body)


def test_user_and_password_of_the_address_go_to_it_alone_and_a_new_address_has_none(tmp_path: Path) -> None:
    receiver = Receiver()

    async def body(at: Site) -> None:
        hook = await at.hook(receiver.url, secrets={BASIC: "ada:lovelace-42"})
        await at.ask(TryWebhook(hook.webhook.id))
        spoken = (await next_of(receiver)).headers["authorization"]
        assert base64.b64decode(spoken.removeprefix("Basic ")) == b"ada:lovelace-42"
        await at.ask(ChangeWebhook(webhook=hook.webhook.id, url=f"{receiver.url}/2"))
        await at.ask(TryWebhook(hook.webhook.id))
        got = await next_of(receiver)
        assert ("authorization" in got.headers, got.path) == (False, "/hook/2")

    run(tmp_path, receiver, body)
    assert b"lovelace" not in (tmp_path / FILE).read_bytes()


def test_a_dead_delivery_that_is_asked_for_is_sent_and_keeps_its_id_and_its_tries(tmp_path: Path) -> None:
    answers: list[Answer] = [(410, {}, b""), OK]
    receiver = Receiver(lambda _: answers.pop(0))

    async def body(at: Site) -> None:
        hook = await at.hook(receiver.url)
        await at.ask(TryWebhook(hook.webhook.id))
        first = await next_of(receiver)
        dead = await at.tried(hook, 1)
        await at.ask(ChangeWebhook(webhook=hook.webhook.id, enabled=True))
        await at.ask(Resend(hook.webhook.id, dead.id))
        assert (await next_of(receiver)).ident == first.ident
        assert tries(await at.tried(hook, 2)) == [410, 204]

    run(tmp_path, receiver, body)


def test_a_webhook_deleted_while_one_is_on_its_way_leaves_nothing(tmp_path: Path) -> None:
    go = threading.Event()

    def late(got: Got) -> Answer:
        go.wait(30)
        return (500, {}, b"")

    receiver = Receiver(late)

    async def body(at: Site) -> None:
        hook, other = await at.hook(receiver.url), await at.hook(receiver.url)
        await at.ask(TryWebhook(hook.webhook.id))
        await next_of(receiver)
        await at.ask(DeleteWebhook(hook.webhook.id))
        await at.ask(TryWebhook(other.webhook.id))
        await next_of(receiver)
        go.set()
        await at.tried(other, 1)
        left = await at.lab.store.read(
            lambda tx: (tx.outbox.deliveries(hook.webhook.id, 9), tx.secrets.sealed(hook.webhook.id))
        )
        assert left == ([], {})

    run(tmp_path, receiver, body)


NOW = 1_760_000_000.0


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("", 0.0),
        ("120", 120.0),
        ("0", 0.0),
        ("9" * 30, DAY),
        ("-5", 0.0),
        ("soon", 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 60, UTC), usegmt=True), 60.0),
        (format_datetime(datetime.fromtimestamp(NOW - 60, UTC), usegmt=True), 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 9 * DAY, UTC), usegmt=True), DAY),
        ("Thu, 01 Jan 2099 00:00:00 -0000", DAY),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_nothing(asked: str, seconds: float) -> None:
    assert asked_pause({"retry-after": asked}, NOW) == pytest.approx(seconds, abs=1)
