"""What the client does when a request does not go well: it asks again, with the same key, in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
from client_fake import FakeGateway, problem

import jobgate
from jobgate.client import line as lines

OFF = httpx.ConnectError("connection refused")
CUT = httpx.ReadError("connection reset")


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def client(fake: FakeGateway) -> Iterator[jobgate.Client]:
    with jobgate.Client("http://fake", "key", transport=fake.transport) as made:
        yield made


@pytest.mark.parametrize("trouble", [OFF, CUT, *(httpx.Response(status) for status in sorted(lines.AGAIN))], ids=repr)
def test_a_submit_that_met_trouble_is_sent_again_under_the_same_key_and_makes_one_job(
    fake: FakeGateway, client: jobgate.Client, trouble: Exception | httpx.Response
) -> None:
    fake.trouble = [trouble, trouble]
    client.submit(["true"])
    sent = fake.sent("POST", "/v1/jobs")
    assert len(sent) == 3
    assert len({request.headers["idempotency-key"] for request in sent}) == 1
    assert len(fake.jobs) == 1


def test_two_submits_have_two_keys_and_your_own_key_is_kept(fake: FakeGateway, client: jobgate.Client) -> None:
    client.submit(["true"])
    client.submit(["true"])
    first = client.submit(["true"], idempotency_key="nightly-2026-11-24")
    again = client.submit(["true"], idempotency_key="nightly-2026-11-24")
    keys = [request.headers["idempotency-key"] for request in fake.sent("POST", "/v1/jobs")]
    assert len(set(keys)) == 3
    assert first.id == again.id


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, jobgate.Invalid),
        (401, jobgate.NotAllowed),
        (403, jobgate.NotAllowed),
        (404, jobgate.NotFound),
        (409, jobgate.Conflict),
        (410, jobgate.Gone),
        (412, jobgate.Conflict),
        (413, jobgate.Invalid),
        (418, jobgate.Refused),
        (422, jobgate.Invalid),
    ],
)
def test_a_refusal_is_not_sent_again_and_has_its_own_class(
    fake: FakeGateway, client: jobgate.Client, status: int, kind: type[jobgate.Refused]
) -> None:
    fake.trouble = [problem(status, "some-code", "this is why", next="do that", oldest=7)]
    with pytest.raises(kind) as caught:
        client.job("b0000001-1")
    assert len(fake.requests) == 1
    error = caught.value
    assert (type(error), error.status, error.code, error.detail) == (kind, status, "some-code", "this is why")
    assert (error.next, error.request, error.oldest, error.retryable) == ("do that", "r-1", 7, False)
    what = "b0000001-1: not found." if status == 404 else "b0000001-1 was not read."
    assert str(error).splitlines() == [what, "  why   this is why", "  next  do that"]


@pytest.mark.parametrize("status", [401, 500])
def test_what_the_server_did_not_show_is_not_said_to_be_absent(
    fake: FakeGateway, client: jobgate.Client, status: int
) -> None:
    looks: list[Callable[[str], object]] = [
        *(client.job, client.batch, client.folder, client.environment, client.webhook)
    ]
    fake.trouble = [problem(status, "some-code", "this is why")] * len(looks)
    for look in looks:
        with pytest.raises(jobgate.JobgateError, match=r"^b0000001 was not read\.\n"):
            look("b0000001")


def test_each_fault_of_a_request_is_told_with_its_path(fake: FakeGateway, client: jobgate.Client) -> None:
    faults = [
        {"pointer": "#/template/memory", "code": "unit", "detail": '"4 gigs" is no size; write 4GiB'},
        {"parameter": "limit", "code": "range", "detail": "1 to 1000"},
    ]
    fake.trouble = [problem(422, "invalid", "two faults", errors=faults)]
    with pytest.raises(jobgate.Invalid) as caught:
        client.submit(["true"], memory="4 gigs")
    assert [fault.code for fault in caught.value.errors] == ["unit", "range"]
    assert str(caught.value).splitlines()[1:] == [
        '  why   #/template/memory: "4 gigs" is no size; write 4GiB',
        "  why   limit: 1 to 1000",
    ]


def test_an_answer_of_something_else_is_an_error_that_says_so(fake: FakeGateway, client: jobgate.Client) -> None:
    fake.trouble = [httpx.Response(404, text="<h1>nginx</h1>"), httpx.Response(200, text="<h1>hello</h1>")]
    with pytest.raises(jobgate.NotFound, match="no document of this API"):
        client.job("b0000001-1")
    with pytest.raises(jobgate.Unreachable, match="cannot be read"):
        client.job("b0000001-1")


def test_control_characters_of_a_refusal_are_shown_and_not_obeyed(fake: FakeGateway, client: jobgate.Client) -> None:
    fake.trouble = [problem(404, "not-found", "no \x1b[31mred\u202e")]
    with pytest.raises(jobgate.NotFound) as caught:
        client.job("b0000001-1")
    assert "\\x1b[31mred\\u202e" in str(caught.value)


def test_when_the_patience_is_over_the_outcome_is_said_to_be_unknown_and_the_key_is_told(fake: FakeGateway) -> None:
    with jobgate.Client("http://fake", "key", transport=fake.transport, patience=0) as client:
        client.submit(["true"])
        fake.trouble = [CUT]
        with pytest.raises(jobgate.Unreachable) as caught:
            client.submit(["true"])
        key = fake.requests[-1].headers["idempotency-key"]
        assert caught.value.key == key
        assert caught.value.retryable
        assert key in str(caught.value).splitlines()[-1]


def test_a_server_that_never_answered_is_given_up_early_with_the_address_in_question(fake: FakeGateway) -> None:
    fake.trouble = [OFF] * 100
    with (
        jobgate.Client("http://fake", "key", transport=fake.transport) as client,
        pytest.raises(jobgate.Unreachable) as caught,
    ):
        client.account()
    assert "http://fake: connection refused" in str(caught.value)
    assert "JOBGATE_SERVER" in str(caught.value)
    assert fake.trouble


def test_a_full_disk_and_a_quota_are_refusals_when_the_patience_is_over(fake: FakeGateway) -> None:
    with jobgate.Client("http://fake", "key", transport=fake.transport, patience=1) as client:
        for status, kind in ((507, jobgate.NoRoom), (503, jobgate.NoRoom), (429, jobgate.TooMany)):
            fake.trouble = [problem(status, "x", "y", headers={"Retry-After": "3600"})]
            with pytest.raises(kind) as caught:
                client.account()
            assert caught.value.retry_after == 3600
            assert caught.value.retryable
            client._core.line._paused_until = 0.0  # noqa: SLF001  # an hour is not waited here


def test_a_429_holds_back_every_request_of_the_client(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def nap(seconds: float) -> None:
        slept.append(seconds)

    async def main() -> None:
        async with jobgate.AsyncClient("http://fake", "key", transport=fake.transport) as client:
            fake.trouble = [problem(429, "rate", "slower", headers={"Retry-After": "5"})]
            await client.find(["x-1"])
            await client.find(["x-1"])

    monkeypatch.setattr(asyncio, "sleep", nap)
    asyncio.run(main())
    assert len(slept) >= 3
    assert all(4 < pause <= 5.5 for pause in slept)


def test_a_server_that_is_away_while_one_waits_is_told_of_once(fake: FakeGateway) -> None:
    fake.at_once = False
    told: list[str] = []
    with jobgate.Client("http://fake", "key", transport=fake.transport, say=told.append, patience=0) as client:
        job = client.submit(["true"])
        fake.say(lambda: fake.end(job.id))
        fake.trouble = [CUT, OFF, httpx.Response(503)]
        assert job.wait().succeeded
    assert len(told) == 1
    assert "the work there is not affected" in told[0]


def test_a_wait_ends_when_its_time_is_over_and_the_job_goes_on(fake: FakeGateway, client: jobgate.Client) -> None:
    fake.at_once = False
    job = client.submit(["true"])
    with pytest.raises(TimeoutError) as caught:
        job.wait(timeout=0)
    assert isinstance(caught.value, jobgate.TimedOut)
    assert str(caught.value).splitlines()[0] == f"{job.id} is queued, not over."
    assert fake.jobs[job.id]["state"] == "queued"


def test_the_key_is_in_no_repr(fake: FakeGateway) -> None:
    with jobgate.Client("http://fake", "very-secret", transport=fake.transport) as client:
        assert "very-secret" not in repr(client) + repr(client._core)  # noqa: SLF001  # what a debugger shows
