"""The verbs on webhooks, over a store of two accounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from workbench import Bench, run

from jobgate.auth.seal import Seal
from jobgate.model.account import Action, Principal, Scope
from jobgate.model.errors import Conflict, Forbidden, Gone, Invalid, NotFound
from jobgate.model.guard import Guard
from jobgate.model.ids import Digest, MessageId, WebhookId, webhook_text
from jobgate.model.job import Origin, Place
from jobgate.model.operations import Group, Operation, Request, Submit
from jobgate.model.outcomes import Hooked
from jobgate.model.webhook import BASIC, MOST, OVERLAP, Occasion, signing
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
from jobgate.operations.handle import handle
from jobgate.testing.store_lab import PLAIN

URL = "https://example.org/hook"
ADD = AddWebhook(url=URL)


async def added(at: Bench, operation: AddWebhook = ADD) -> Hooked:
    made: Hooked = await at.ask(operation)
    return made


def test_the_secret_is_shown_once_and_kept_sealed(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        made = await added(at, AddWebhook(url=URL, secrets={BASIC: "u:p"}))
        ident = made.webhook.id
        assert made.secret.startswith("whsec_")
        assert made.secret not in repr(made)
        sealed = await at.lab.store.read(lambda tx: tx.secrets.sealed(ident))
        opened = {name: Seal(bytes(32)).open(ident, name, value) for name, value in sealed.items()}
        assert opened == {signing(1): made.secret, BASIC: "u:p"}
        assert (await added(at)).secret != made.secret
        assert "u:p" not in repr(AddWebhook(url=URL, secrets={BASIC: "u:p"}))

    run(tmp_path, body)


def test_a_rotation_keeps_the_two_newest_secrets_and_no_more(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        made = await added(at)
        ident = made.webhook.id
        for number in (2, 3, 4):
            rotated = await at.ask(RotateWebhook(ident))
            assert rotated.webhook.secret == number
            assert rotated.webhook.signing(at.lab.now) == (signing(number), signing(number - 1))
            assert rotated.webhook.signing(at.lab.now + OVERLAP) == (signing(number),)
            sealed = await at.lab.store.read(lambda tx: tx.secrets.sealed(ident))
            assert set(sealed) == {signing(number), signing(number - 1)}

    run(tmp_path, body)


def test_another_accounts_webhook_looks_like_one_that_is_not_there(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        ident = (await added(at)).webhook.id
        sent = (await at.ask(TryWebhook(ident))).delivery.id
        mine = (await at.ask(AddWebhook(url=URL), at.lab.other)).webhook.id
        for webhook, who in ((ident, at.lab.other), (WebhookId(5), None)):
            for operation in (
                FindWebhooks(webhook=webhook),
                ChangeWebhook(webhook=webhook, enabled=False),
                RotateWebhook(webhook),
                TryWebhook(webhook),
                DeleteWebhook(webhook),
                FindDeliveries(webhook=webhook),
                Resend(webhook, sent),
            ):
                with pytest.raises(NotFound):
                    await at.ask(operation, who)
        with pytest.raises(NotFound):
            await at.ask(Resend(mine, sent), at.lab.other)
        with pytest.raises(NotFound):
            await at.ask(Resend(ident, MessageId(9)))
        found = await at.ask(FindWebhooks(), at.lab.other)
        assert [one.id for one in found.webhooks] == [mine]

    run(tmp_path, body)


@pytest.mark.parametrize(
    "operation",
    [ADD, ChangeWebhook(webhook=WebhookId(1)), RotateWebhook(WebhookId(1)), DeleteWebhook(WebhookId(1))],
    ids=lambda operation: type(operation).__name__,
)
def test_who_may_only_read_changes_none(operation: Operation, tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        reader = Principal(account=at.lab.owner, name="r", scopes=frozenset({Scope.READ}))
        with pytest.raises(Forbidden):
            await handle(at.context, Request(operation=operation, principal=reader))

    run(tmp_path, body)


def test_an_account_has_fifty_and_may_have_another_when_one_is_deleted(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        made = [(await added(at)).webhook.id for _ in range(MOST)]
        with pytest.raises(Conflict) as caught:
            await added(at)
        assert caught.value.code == "too-many-webhooks"
        await at.ask(ADD, at.lab.other)
        await at.ask(DeleteWebhook(made[7]))
        made.append((await added(at)).webhook.id)
        found = []
        page = await at.ask(FindWebhooks(limit=20))
        while True:
            found += [one.id for one in page.webhooks]
            if page.more is None:
                break
            page = await at.ask(FindWebhooks(limit=20, after=page.more))
        assert found == [one for one in reversed(made) if one != made[7]]

    run(tmp_path, body)


def test_the_same_key_makes_one_webhook_and_does_not_show_its_secret_again(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        guard = Guard(key="k", body=Digest("aa" * 32), scope="w")
        first = await added(at, AddWebhook(url=URL, guard=guard))
        again = await added(at, AddWebhook(url=URL, guard=guard))
        assert (again.webhook, again.secret, again.replayed) == (first.webhook, "", True)
        with pytest.raises(Conflict) as caught:
            await added(at, AddWebhook(url=URL, guard=replace(guard, body=Digest("bb" * 32))))
        assert caught.value.code == "key-reused"
        await at.ask(DeleteWebhook(first.webhook.id))
        with pytest.raises(Gone):
            await added(at, AddWebhook(url=URL, guard=guard))

    run(tmp_path, body)


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "https://a..b/", "https://[fe80::1%25eth0]/", "http://1.2.3.4.5/"]
)
def test_an_address_that_could_never_be_sent_to_is_refused_at_once(url: str, tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        ident = (await added(at)).webhook.id
        for operation in (AddWebhook(url=url), ChangeWebhook(webhook=ident, url=url)):
            with pytest.raises(Invalid) as caught:
                await at.ask(operation)
            assert caught.value.field == "url"

    run(tmp_path, body)


def test_a_change_names_the_version_it_was_made_for_and_changes_what_it_says_alone(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        first = (await added(at, AddWebhook(url=URL, description="d"))).webhook
        changed = (await at.ask(ChangeWebhook(webhook=first.id, named=True, seen=(0, first.version)))).webhook
        assert changed == replace(first, named=True, version=2)
        same = (await at.ask(ChangeWebhook(webhook=first.id, named=True))).webhook
        assert same == changed
        for operation in (ChangeWebhook(webhook=first.id, named=False, seen=(1,)), DeleteWebhook(first.id, ())):
            with pytest.raises(Conflict) as caught:
                await at.ask(operation)
            assert caught.value.code == "changed"
        ended = frozenset({Occasion.BATCH_ENDED})
        other = await at.ask(ChangeWebhook(webhook=first.id, url=f"{URL}/2", occasions=ended, description=""))
        assert other.webhook == replace(changed, url=f"{URL}/2", occasions=ended, description="", version=3)

    run(tmp_path, body)


def test_nothing_is_sent_to_a_disabled_one_until_it_is_enabled(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        ident = (await added(at)).webhook.id
        sent = (await at.ask(TryWebhook(ident))).delivery.id
        off = (await at.ask(ChangeWebhook(webhook=ident, enabled=False))).webhook
        assert (off.enabled, bool(off.disabled_because)) == (False, True)
        for operation in (TryWebhook(ident), Resend(ident, sent)):
            with pytest.raises(Conflict) as caught:
                await at.ask(operation)
            assert caught.value.code == "webhook-disabled"
        on = (await at.ask(ChangeWebhook(webhook=ident, enabled=True))).webhook
        assert (on.enabled, on.disabled_because) == (True, "")
        await at.ask(Resend(ident, sent))

    run(tmp_path, body)


def test_each_change_is_in_the_trail_with_who_made_it_and_no_secret(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        made = await added(at, AddWebhook(url=f"{URL}?token=canary", secrets={BASIC: "u:canary"}))
        ident = made.webhook.id
        await at.ask(ChangeWebhook(webhook=ident, enabled=False))
        rotated = await at.ask(RotateWebhook(ident))
        await at.ask(DeleteWebhook(ident))
        deeds = await at.lab.store.read(lambda tx: tx.accounts.history(at.lab.owner))
        assert [deed.action for deed in deeds] == [
            Action.WEBHOOK_ADDED,
            Action.WEBHOOK_CHANGED,
            Action.WEBHOOK_ROTATED,
            Action.WEBHOOK_DELETED,
        ]
        assert {deed.told["webhook"] for deed in deeds} == {webhook_text(ident)}
        for word in ("canary", made.secret, rotated.secret):
            assert word not in repr(deeds)

    run(tmp_path, body)


def test_a_deleted_webhook_takes_its_many_deliveries_with_it(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        ident = (await added(at)).webhook.id
        for _ in range(3):
            await at.ask(TryWebhook(ident))
        await at.ask(DeleteWebhook(ident))
        assert await at.lab.store.read(lambda tx: tx.outbox.deliveries(ident, 10)) == []

    run(tmp_path, body)


def test_a_submit_names_a_webhook_of_its_own_account(tmp_path: Path) -> None:
    async def body(at: Bench) -> None:
        ident = (await added(at)).webhook.id
        foreign = (await at.ask(ADD, at.lab.other)).webhook.id

        def submit(webhook: str) -> Submit:
            return Submit(
                groups=(Group(replace(PLAIN, place=Place(own=True))),), origin=Origin(dialect="test"), webhook=webhook
            )

        for wrong in (webhook_text(foreign), webhook_text(WebhookId(5)), "w", "https://example.org/"):
            with pytest.raises(NotFound) as caught:
                await at.ask(submit(wrong))
            assert (caught.value.code, caught.value.field) == ("webhook-not-found", "webhook")
        assert await at.lab.page() == []
        made = await at.ask(submit(webhook_text(ident)))
        assert made.batch.webhook == ident

    run(tmp_path, body)
