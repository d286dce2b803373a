"""The thin verbs: which request each one makes, and which record comes of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import jobgate

ACCOUNT = {
    "account": "lab",
    "id": "a1",
    "scopes": ["submit"],
    "created": "2026-11-24T23:09:27.658Z",
    "counts": {"queued": 3},
    "quotas": {"live_jobs": {"limit": 10, "used": 3}, "storage": {"used": 5}, "calls": {}},
    "weight": 1.0,
    "usage": {"share_seconds": 2.5},
    "limits": {"batch": 1_000_000},
    "a_member_of_next_year": {"x": [1]},
}
ESTIMATE = {
    "environment": "gpu-a",
    "start": {"value": 900, "from": 480, "to": 1500, "runs": 32},
    "run": {"runs": 0},
    "end": {"value": 1000, "from": 500, "to": 2000, "runs": 32},
    "cost": {"value": 0.5, "from": 0.1, "to": 1.0, "runs": 32},
}
ESTIMATED = (
    "<Estimate gpu-a: start about 15 min (8 min to 25 min), from 32 runs; "
    "end about 16 min 40 s (8 min 20 s to 33 min 20 s), from 32 runs>"
)
BATCH = {"id": "b1", "name": "fit", "count": 10, "state": "running", "counts": {"succeeded": 6, "failed": 4}}
JOB = {"id": "b1-2", "batch": "b1", "state": "queued", "waits": {"reason": "turn", "place": 12, "text": "others first"}}
CASES: list[tuple[Callable[[jobgate.Client], Any], str, Any, Any, str]] = [
    (lambda c: c.account(), "GET /v1/account", None, ACCOUNT, "<Account lab: 3 queued>"),
    (
        lambda c: c.environments(),
        "GET /v1/environments",
        None,
        {"items": [{"name": "gpu-a", "up": False, "down_because": "no answer", "queued": 3, "free": {"cores": 1.5}}]},
        "(<Environment gpu-a down: no answer, 0 running, 3 queued>,)",
    ),
    (
        lambda c: c.environment("gpu a"),
        "GET /v1/environments/gpu%20a",
        None,
        {"name": "gpu a", "engine": "local", "slots": 4},
        "<Environment gpu a up, 0 running, 0 queued>",
    ),
    (lambda c: c.images(), "GET /v1/images", None, {"items": [{"name": "busybox"}]}, "('busybox',)"),
    (lambda c: c.apps()[0].title, "GET /v1/apps", None, {"items": [{"name": "m", "title": "Math"}]}, "'Math'"),
    (
        lambda c: c.estimate(["true"], gpus=1),
        "POST /v1/estimates",
        {"command": ["true"], "gpus": 1},
        ESTIMATE,
        ESTIMATED,
    ),
    (
        lambda c: c.estimate(["true", "{index}"], 3).cost.value,
        "POST /v1/estimates",
        {"template": {"command": ["true", "{index}"]}, "count": 3, "placeholders": True},
        ESTIMATE,
        "0.5",
    ),
    (
        lambda c: c.sweep(["true"], 3).name,
        "POST /v1/batches",
        {"template": {"command": ["true"]}, "count": 3},
        BATCH,
        "'fit'",
    ),
    (
        lambda c: c.batch("b1"),
        "GET /v1/batches/b1?expand=waits%2Cfailures",
        None,
        BATCH,
        "<Batch b1 fit running, 10/10   ✗ 4>",
    ),
    (
        lambda c: c.job("b1-2"),
        "GET /v1/jobs/b1-2?expand=attempts%2Cwaits",
        None,
        JOB,
        "<Job b1-2 queued, 12th in line>",
    ),
    (lambda c: c.webhook("w1").url, "GET /v1/webhooks/w1", None, {"id": "w1", "url": "https://h"}, "'https://h'"),
    (
        lambda c: c.add_webhook("https://h", kinds=["job.failed"]).secret,
        "POST /v1/webhooks",
        {"url": "https://h", "kinds": ["job.failed"]},
        {"id": "w1", "url": "https://h", "secret": "whsec_x"},
        "'whsec_x'",
    ),
    (
        lambda c: c.change_webhook("w1", enabled=False),
        "PATCH /v1/webhooks/w1",
        {"enabled": False},
        {"id": "w1", "url": "https://h", "enabled": False},
        "<Webhook w1 https://h, disabled>",
    ),
    (lambda c: c.rotate_webhook("w1").id, "POST /v1/webhooks/w1/rotate", None, {"id": "w1"}, "'w1'"),
    (lambda c: c.test_webhook("w1").id, "POST /v1/webhooks/w1/test", None, {"id": "msg_1"}, "'msg_1'"),
    (lambda c: c.delete_webhook("w1"), "DELETE /v1/webhooks/w1", None, None, "None"),
    (
        lambda c: [one.id for one in c.deliveries("w1")],
        "GET /v1/webhooks/w1/deliveries?limit=1000",
        None,
        {"items": [{"id": "msg_1", "attempts": [{"status": 500, "seconds": 0.1}]}], "next": None},
        "['msg_1']",
    ),
    (
        lambda c: c.resend("w1", "msg_1").id,
        "POST /v1/webhooks/w1/deliveries/msg_1/resend",
        None,
        {"id": "msg_1"},
        "'msg_1'",
    ),
    (
        lambda c: list(c.jobs(state=["failed", "running"], labels={"lr": "0.1"}, environment="gpu-a")),
        "GET /v1/jobs?limit=1000&state=failed%2Crunning&label=lr%3D0.1&environment=gpu-a",
        None,
        {"items": [JOB], "next": None},
        "[<Job b1-2 queued, 12th in line>]",
    ),
    (
        lambda c: list(c.batches(name="fit")),
        "GET /v1/batches?limit=1000&name=fit",
        None,
        {"items": [BATCH], "next": None},
        "[<Batch b1 fit running, 10/10   ✗ 4>]",
    ),
]


class Recorder:
    """Answers every request with the same JSON, and keeps them."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.seen: list[tuple[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.seen.append((f"{request.method} {request.url.raw_path.decode()}", body))
        return httpx.Response(204) if self.answer is None else httpx.Response(200, json=self.answer)


@pytest.mark.parametrize(("verb", "request_", "body", "answer", "told"), CASES, ids=[case[1] for case in CASES])
def test_a_verb_makes_one_request_and_a_record_of_its_answer(
    verb: Callable[[jobgate.Client], Any], request_: str, body: Any, answer: Any, told: str
) -> None:
    server = Recorder(answer)
    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        assert repr(verb(client)) == told
    assert server.seen == [(request_, body)]


RECORD_VERBS: list[tuple[Callable[[Any], Any], str, Any]] = [
    (lambda one: one.hold(), "PATCH {}", {"hold": True}),
    (lambda one: one.release(), "PATCH {}", {"hold": False}),
    (
        lambda one: one.change(priority=3, labels={"a": "b", "gone": None}),
        "PATCH {}",
        {"priority": 3, "labels": {"a": "b", "gone": None}},
    ),
    (lambda one: one.cancel("enough"), "POST {}/cancel", {"message": "enough"}),
    (lambda one: one.delete(), "DELETE {}", None),
    (lambda one: one.delete(force=True), "DELETE {}?force=true", None),
]


@pytest.mark.parametrize(("answer", "path"), [(JOB, "/v1/jobs/b1-2"), (BATCH, "/v1/batches/b1")])
@pytest.mark.parametrize(("verb", "request_", "body"), RECORD_VERBS)
def test_a_record_does_what_is_asked_of_it(
    answer: Any, path: str, verb: Callable[[Any], Any], request_: str, body: Any
) -> None:
    server = Recorder(answer)
    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        verb(client.job("b1-2") if answer is JOB else client.batch("b1"))
    assert server.seen[1:] == [(request_.format(path), body)]


def test_retry_of_a_batch_names_the_state_and_tells_how_the_batch_is_now() -> None:
    server = Recorder(BATCH)
    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        assert client.batch("b1").retry(state="failed").id == "b1"
        assert client.job("b1").retry().id == "b1"
    assert server.seen[1] == ("POST /v1/batches/b1/retry", {"state": "failed"})


def test_a_forced_delete_waits_until_the_last_has_stopped_and_asks_again() -> None:
    answers = iter([httpx.Response(200, json=JOB), httpx.Response(202, json={"stopping": ["b1-2"]})])
    seen: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url.raw_path.decode()}")
        return next(answers, httpx.Response(200, json=JOB))

    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        client.job("b1-2").delete(force=True)
    assert seen[1:] == [
        "DELETE /v1/jobs/b1-2?force=true",
        "GET /v1/jobs/b1-2?wait=30",
        "DELETE /v1/jobs/b1-2?force=true",
    ]


def test_records_are_equal_by_what_they_say_and_may_be_kept_in_sets() -> None:
    server = Recorder(JOB)
    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        one, other = client.job("b1-2"), client.job("b1-2")
    assert one == other
    assert len({one, other}) == 1
    with pytest.raises(AttributeError):
        one.state = "succeeded"  # type: ignore[misc]  # a record is frozen


def test_what_strangers_wrote_is_shown_and_not_obeyed() -> None:
    evil = {"id": "b1", "name": "\x1b[2J\u202e<script>", "count": 1, "state": "queued", "counts": {"queued": 1}}
    server = Recorder(evil)
    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        batch = client.batch("b1")
    assert repr(batch).isprintable()
    assert batch.tally.name.isprintable()
    html = batch._repr_html_()
    assert "<script>" not in html
    assert "\x1b" not in html


def test_what_a_first_try_did_whose_answer_was_lost_is_no_error_of_the_second() -> None:
    answers: list[httpx.Response | Exception] = []

    def server(request: httpx.Request) -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lost, conflict, gone = httpx.ReadError("lost"), httpx.Response(409, json={}), httpx.Response(404, json={})
    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        answers += [httpx.Response(200, json=JOB)]
        job = client.job("b1-2")
        answers += [lost, conflict, httpx.Response(200, json=JOB), lost, gone]
        assert job.retry() == job
        job.delete()
        answers += [conflict, gone, httpx.ConnectError("refused"), conflict]
        with pytest.raises(jobgate.Conflict):
            job.retry()
        with pytest.raises(jobgate.NotFound):
            job.delete()
        with pytest.raises(jobgate.Conflict):
            job.retry()
    assert not answers
