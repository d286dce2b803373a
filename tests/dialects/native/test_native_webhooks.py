"""What the native API says of webhooks, and what it sends to them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from native_examples import HOOK, MESSAGE, get, on_webhook, post, setup

from jobgate.dialects import load
from jobgate.dialects.dialect import Dialect, Reply
from jobgate.dialects.native.notices import wording
from jobgate.dialects.native.wire_webhooks import NoticeBody
from jobgate.model.errors import Conflict, Invalid, NotFound
from jobgate.model.ids import webhook_id
from jobgate.model.outcomes import FoundDeliveries, FoundWebhooks, Hooked
from jobgate.model.webhook import BASIC, USUAL, Notice, Occasion
from jobgate.model.webhooking import AddWebhook, ChangeWebhook, DeleteWebhook, FindWebhooks
from jobgate.testing import webhook_outcomes as samples

NATIVE: Dialect = load("native", setup())
URL = "https://example.org/h"


def said(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply.body, bytes)
    found: dict[str, Any] = msgspec.json.decode(reply.body)
    return found


def test_a_webhook_is_told_of_batches_and_failures_unless_it_says_otherwise() -> None:
    assert NATIVE.decode(post("webhook-add", {"url": URL})).operation == AddWebhook(url=URL, occasions=USUAL)


def test_user_and_password_are_taken_out_of_the_address() -> None:
    for call in (post("webhook-add", {"url": URL}), on_webhook("webhook-change", "PATCH", {"url": URL})):
        body = msgspec.json.encode({"url": "https://ada:love%20lace@example.org/h"})
        operation = NATIVE.decode(replace(call, body=body)).operation
        assert isinstance(operation, AddWebhook | ChangeWebhook)
        assert (operation.url, operation.secrets) == (URL, {BASIC: "ada:love lace"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "example.org"}, "url"),
        ({"url": URL + "\n"}, "url"),
        ({"url": URL, "kinds": []}, "kinds"),
        ({"url": URL, "kinds": ["job.failed", "webhook.test"]}, "kinds[1]"),
        ({"url": URL, "kinds": ["job.running"]}, "kinds[0]"),
        ({"url": URL, "jobs": "some"}, "jobs"),
        ({"url": URL, "description": "x" * 501}, "description"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_is_wrong_with_a_webhook_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(post("webhook-add", body))
    assert caught.value.field == field


def test_a_change_says_only_what_it_changes_and_for_which_version() -> None:
    ident = webhook_id(HOOK)
    assert NATIVE.decode(on_webhook("webhook-change", "PATCH", {})).operation == ChangeWebhook(webhook=ident)
    for header, seen in (('"3"', (3,)), ('"4", "3"', (3, 4)), ('W/"3"', ()), ("*", None), ('"x"', ()), ("", None)):
        call = on_webhook("webhook-delete", "DELETE", if_match=header)
        assert NATIVE.decode(call).operation == DeleteWebhook(ident, seen)


def test_a_key_of_a_webhook_does_not_meet_that_of_a_job() -> None:
    guards = []
    for call in (
        post("webhook-add", {"url": URL}, idempotency_key="k"),
        post("job-submit", {"command": ["a"]}, idempotency_key="k"),
    ):
        operation = NATIVE.decode(call).operation
        guards.append(getattr(operation, "guard"))  # noqa: B009  # both kinds have one
    assert guards[0].scope != guards[1].scope


def test_the_secret_is_in_the_answer_that_made_it_and_in_no_other() -> None:
    made = NATIVE.encode(post("webhook-add", {"url": URL}), Hooked(webhook=samples.HOOK, secret="whsec_x"))  # noqa: S106  # planted
    assert (made.status, said(made)["secret"], made.headers["ETag"]) == (201, "whsec_x", '"1"')
    for reply in (
        NATIVE.encode(on_webhook("webhook-change", "PATCH"), Hooked(webhook=samples.HOOK)),
        NATIVE.encode(get("webhook", HOOK), FoundWebhooks(webhooks=(samples.HOOK,))),
    ):
        assert "secret" not in said(reply)


def test_a_page_says_where_the_next_one_is_and_keeps_what_was_asked() -> None:
    reply = NATIVE.encode(get("deliveries", HOOK, limit="2", after=MESSAGE), FoundDeliveries(deliveries=(), more=None))
    assert (said(reply), "Link" in reply.headers) == ({"items": [], "next": None}, False)
    more = FoundWebhooks(webhooks=(samples.HOOK,), more=samples.HOOK.id)
    reply = NATIVE.encode(get("webhooks", "", limit="2", after=HOOK), more)
    address = said(reply)["next"]
    assert reply.headers["Link"] == f'<{address}>; rel="next"'
    path, _, asked = address.partition("?")
    assert path == "/v1/webhooks"
    query = dict(pair.split("=") for pair in asked.split("&"))
    following = NATIVE.decode(get("webhooks", "", **query)).operation
    assert following == FindWebhooks(limit=2, after=samples.HOOK.id)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Conflict("x", code="changed"), 412),
        (Conflict("x", code="webhook-disabled"), 409),
        (Conflict("x", code="too-many-webhooks"), 409),
        (NotFound("x", code="webhook-not-found", field="webhook"), 404),
    ],
)
def test_each_refusal_has_its_status_its_code_and_a_way_on(error: Any, status: int) -> None:
    reply = NATIVE.refuse(get("webhook", HOOK), error)
    problem = said(reply)
    assert (reply.status, problem["code"]) == (status, error.code)
    assert problem["next"]


@pytest.mark.parametrize("notice", list(samples.notices()), ids=lambda notice: f"{notice.occasion} {notice.failure}")
def test_every_notice_has_a_body_that_says_what_happened_and_when(notice: Notice) -> None:
    body = msgspec.json.decode(wording(notice), type=NoticeBody)
    assert (body.type, body.data.event) == (notice.occasion.value,) * 2
    assert body.timestamp == body.data.at == "2025-10-09T08:53:20.000Z"
    assert (body.data.job is msgspec.UNSET) == (notice.job is None)
    assert (body.data.webhook is msgspec.UNSET) == (notice.occasion is not Occasion.TEST)
    assert wording(notice) == wording(notice)
