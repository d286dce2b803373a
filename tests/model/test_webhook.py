from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from jobgate.model.errors import NotFound
from jobgate.model.ids import AccountId, MessageId, WebhookId, message_id, message_text, webhook_id, webhook_text
from jobgate.model.state import JobState
from jobgate.model.webhook import (
    DAY,
    PATIENCE,
    PAUSES,
    SPREAD,
    TRIES_SHOWN,
    USUAL,
    Delivery,
    Notice,
    Occasion,
    Standing,
    Try,
    Webhook,
    after,
    again,
    ended,
    headers,
    heard,
    signing,
    written,
)

NOW = 1_760_000_000.0
HOOK = Webhook(id=WebhookId(7), owner=AccountId(1), url="https://example.org/", created=NOW, occasions=USUAL)
NEW = Delivery(
    id=MessageId(9), webhook=HOOK.id, notice=Notice(occasion=Occasion.JOB_FAILED, at=NOW), created=NOW, due=NOW
)
statuses = st.one_of(st.none(), st.integers(100, 599))
spreads = st.floats(0, 1)


def tried(status: int | None, at: float = NOW) -> Try:
    return Try(at=at, seconds=0.1, status=status, error="" if status else "connect")


# --- the pauses


@given(
    status=statuses.filter(lambda status: status is None or (status != 410 and not 200 <= status < 300)), dice=spreads
)
def test_a_delivery_that_always_fails_is_tried_ten_times_and_is_then_dead(status: int | None, dice: float) -> None:
    delivery, now, waits = NEW, NOW, []
    while delivery.standing is Standing.WAITING:
        assert delivery.due is not None
        waits.append(delivery.due - now)
        now = delivery.due
        delivery = after(delivery, tried(status, now), now, spread=dice)
    assert (delivery.standing, delivery.due, len(delivery.tries)) == (Standing.DEAD, None, len(PAUSES) + 1)
    for wait, pause in zip(waits[1:], PAUSES, strict=True):
        assert pause <= wait + 1e-3
        assert wait <= pause * (1 + SPREAD) + 1e-3


@given(failures=st.integers(0, len(PAUSES) - 1), status=st.sampled_from([429, 503]), asked=st.floats(0, 1e9))
def test_retry_after_is_obeyed_up_to_a_day_and_shortens_no_pause(failures: int, status: int, asked: float) -> None:
    later = after(replace(NEW, failures=failures), tried(status), NOW, retry_after=asked)
    assert later.due == NOW + max(PAUSES[failures], min(asked, DAY))


@given(status=st.integers(400, 599).filter(lambda status: status not in (410, 429, 503)))
def test_retry_after_of_another_answer_is_not_heeded(status: int) -> None:
    assert after(NEW, tried(status), NOW, retry_after=5000.0).due == NOW + PAUSES[0]


@given(status=st.integers(200, 299), failures=st.integers(0, 9))
def test_any_2xx_is_the_end(status: int, failures: int) -> None:
    done = after(replace(NEW, failures=failures), tried(status), NOW)
    assert (done.standing, done.due) == (Standing.DELIVERED, None)
    assert done.tries[-1].status == status


@given(status=st.integers(300, 399))
def test_a_redirect_is_a_failure(status: int) -> None:
    assert after(NEW, tried(status), NOW).standing is Standing.WAITING


def test_what_is_gone_is_dead_at_once() -> None:
    assert after(NEW, tried(410), NOW).standing is Standing.DEAD


def test_a_dead_one_that_is_asked_for_again_is_tried_at_once_and_as_often_as_a_new_one() -> None:
    dead = replace(NEW, standing=Standing.DEAD, due=None, failures=10, tries=(tried(500),) * 10)
    again_ = again(dead, NOW + 5)
    assert (again_.standing, again_.due, again_.failures, again_.tries) == (Standing.WAITING, NOW + 5, 0, dead.tries)
    assert after(again_, tried(500), NOW + 6).due == NOW + 6 + PAUSES[0]


@given(st.lists(statuses, max_size=120))
def test_the_tries_that_are_kept_are_the_last_and_bounded(answers: list[int | None]) -> None:
    delivery = NEW
    for status in answers:
        delivery = after(again(delivery, NOW), tried(status), NOW)
    assert [one.status for one in delivery.tries] == answers[-TRIES_SHOWN:]


# --- the webhook


@given(st.lists(st.tuples(statuses, st.floats(0, 2 * DAY)), max_size=20))
def test_it_is_disabled_by_410_or_by_five_days_without_one_success_and_by_nothing_else(
    answers: list[tuple[int | None, float]],
) -> None:
    hook, now, failing = HOOK, NOW, None
    for status, seconds in answers:
        now += seconds
        taken = status is not None and 200 <= status < 300
        failing = None if taken else now if failing is None else failing
        hook = heard(hook, tried(status), now)
        assert hook.failing_since == failing
        assert hook.enabled == (status != 410 and (failing is None or now - failing < PATIENCE))
        assert bool(hook.disabled_because) != hook.enabled
        if not hook.enabled:
            return


@pytest.mark.parametrize("occasion", list(Occasion))
def test_it_is_told_what_it_asked_for(occasion: Occasion) -> None:
    hook = replace(HOOK, occasions=frozenset({Occasion.JOB_FAILED}))
    assert hook.wants(occasion, None) == (occasion is Occasion.JOB_FAILED)
    assert not replace(hook, enabled=False).wants(occasion, hook.id)


def test_one_of_named_batches_hears_of_those_that_name_it_only() -> None:
    hook = replace(HOOK, named=True)
    assert hook.wants(Occasion.JOB_FAILED, hook.id)
    assert not hook.wants(Occasion.JOB_FAILED, None)
    assert not hook.wants(Occasion.JOB_FAILED, WebhookId(8))


@given(st.dictionaries(st.sampled_from(JobState), st.integers(0, 3)))
def test_a_batch_ends_when_all_are_over_and_one_failure_makes_it_failed(counts: dict[JobState, int]) -> None:
    there = {state for state, number in counts.items() if number}
    found = ended(counts)
    assert (found is None) == (not there or any(not state.over for state in there))
    if found is not None:
        assert found in there
        assert (found is JobState.FAILED) == (JobState.FAILED in there)
        assert (found is JobState.SUCCEEDED) == (there == {JobState.SUCCEEDED})


# --- the signature, as the official verifier sees it


keys = st.binary(min_size=24, max_size=64)


@given(key=keys, older=keys, content=st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_the_official_verifier_takes_what_is_signed_with_either_secret(
    key: bytes, older: bytes, content: dict[str, str]
) -> None:
    body = json.dumps(content).encode()
    now = datetime.now(UTC).timestamp()
    signed = headers([written(key), written(older)], MessageId(12345), now, body)
    for secret in (key, older):
        assert Verifier(written(secret)).verify(body, signed) == content


@given(key=keys, other=keys)
def test_it_refuses_another_secret_and_another_body(key: bytes, other: bytes) -> None:
    body = b'{"a": 1}'
    signed = headers([written(key)], MessageId(1), datetime.now(UTC).timestamp(), body)
    with pytest.raises(WebhookVerificationError):
        Verifier(written(key)).verify(b'{"a": 2}', signed)
    if key != other:
        with pytest.raises(WebhookVerificationError):
            Verifier(written(other)).verify(body, signed)


def test_the_secret_before_signs_until_its_day_is_over() -> None:
    hook = replace(HOOK, secret=3, overlap=NOW + DAY)
    assert hook.signing(NOW) == (signing(3), signing(2))
    assert hook.signing(NOW + DAY) == (signing(3),)
    assert HOOK.signing(NOW) == (signing(1),)


# --- ids


@given(number=st.integers(1, (1 << 63) - 1))
def test_an_id_has_one_text_and_another_letter_is_none(number: int) -> None:
    assert webhook_id(webhook_text(WebhookId(number))) == number
    assert message_id(message_text(MessageId(number))) == number
    for wrong in (message_text(MessageId(number)), "m" + webhook_text(WebhookId(number))[1:], "w", "", "w0"):
        with pytest.raises(NotFound):
            webhook_id(wrong)
    for wrong in (webhook_text(WebhookId(number)), "m" + webhook_text(WebhookId(number))[1:], "msg_", "msg_0", ""):
        with pytest.raises(NotFound):
            message_id(wrong)
