"""Whose doing an end was, told by the exit status alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from canned import Asked, Canned, Told, fit, fit_over, problem, train
from typed import Type

ENDS: list[tuple[dict[str, Any], int]] = [
    ({"state": "succeeded", "exit_code": 0}, 0),
    ({"state": "failed", "failure": "program", "exit_code": 7}, 7),
    ({"state": "failed", "failure": "program", "attempts": [{"id": "2n6r1abc-1-1", "signal": 9}]}, 137),
    ({"state": "failed", "failure": "program", "exit_code": -15}, 143),
    ({"state": "failed", "failure": "limit", "limit": "memory", "exit_code": 137}, 125),
    ({"state": "failed", "failure": "image"}, 125),
    ({"state": "failed", "failure": "lost"}, 125),
    ({"state": "cancelled"}, 125),
]


@pytest.mark.parametrize(("end", "code"), ENDS)
def test_waiting_for_a_job_ends_as_the_job_did(canned: Canned, type_: Type, end: dict[str, Any], code: int) -> None:
    canned.show(train(**end))
    assert type_("wait", "2n6r1abc-1").code == code
    canned.tell("POST", "/v1/jobs", train(), 201)
    seen = type_("submit", "--wait", "--", "true")
    assert (seen.code, seen.out) == (code, "2n6r1abc-1\n")


def test_a_batch_ends_0_when_all_succeeded_and_else_1(canned: Canned, type_: Type) -> None:
    canned.show(fit_over())
    assert type_("wait", "2n6r0kqa").code == 1
    canned.show(fit(state="succeeded", over=True, counts={"succeeded": 1000}))
    assert type_("wait", "2n6r0kqa").code == 0


def test_several_end_1_when_one_did_not_succeed(canned: Canned, type_: Type) -> None:
    good = train(state="succeeded", exit_code=0)
    bad = train(id="2n6r1abc-2", number=2, state="failed", failure="program", exit_code=7)
    canned.tell("POST", "/v1/jobs/find", {"items": [good, bad], "missing": []})
    canned.show(good, bad)
    assert type_("wait", "2n6r1abc-1,2").code == 1


def test_a_timeout_ends_124_and_says_that_the_work_goes_on(canned: Canned, type_: Type) -> None:
    canned.show(train())
    seen = type_("wait", "2n6r1abc-1", "--timeout", "0.01")
    assert seen.code == 124
    assert "the work goes on" in seen.err


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "unauthenticated"), (403, "forbidden"), (404, "not-found"), (409, "job-active"), (422, "invalid")],
)
def test_a_refusal_ends_125_in_three_lines(canned: Canned, type_: Type, status: int, code: str) -> None:
    canned.on("GET", "/v1/batches", lambda _: problem(status, code, "because"))
    seen = type_("list")
    what, why, next_ = seen.err.splitlines()
    assert (seen.code, seen.out, what, why) == (125, "", "✗ Not listed.", "  why   because")
    assert next_.startswith("  next  jobgate ")


def test_no_server_ends_125_and_names_the_address(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBGATE_SERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("JOBGATE_KEY", "k")
    seen = type_("list")
    assert seen.code == 125
    assert "http://127.0.0.1:9" in seen.err
    assert "  next  check the address" in seen.err


def test_a_log_that_is_followed_ends_as_its_job_does(canned: Canned, type_: Type) -> None:
    canned.show(train(state="failed", failure="program", exit_code=3))
    canned.tell("GET", "/v1/jobs/2n6r1abc-1/log", b"one\ntwo\n")
    seen = type_("logs", "-f", "2n6r1abc-1")
    assert (seen.code, seen.out) == (3, "one\ntwo\n")
    assert type_("logs", "2n6r1abc-1").code == 0


def test_submit_and_follow_has_the_log_alone_on_standard_output(canned: Canned, type_: Type) -> None:
    canned.tell("POST", "/v1/jobs", train(), 201)
    canned.show(train(state="succeeded", exit_code=0))
    canned.tell("GET", "/v1/jobs/2n6r1abc-1/log", b"hello\n")
    seen = type_("submit", "-f", "--", "echo", "hello")
    assert (seen.code, seen.out) == (0, "hello\n")
    assert "On disk. 2n6r1abc-1" in seen.err


def test_json_is_the_apis_own_body_with_members_this_version_does_not_know(canned: Canned, type_: Type) -> None:
    view = train(state="succeeded", exit_code=0, colour_of_the_sky="blue")
    canned.show(view)
    canned.tell("GET", "/v1/jobs", {"items": [view], "next": None})
    canned.tell("POST", "/v1/jobs", view, 201)
    for words in (("status", view["id"]), ("wait", view["id"]), ("submit", "--", "x"), ("submit", "--wait", "--", "x")):
        seen = type_(*words, "--json") if words[0] != "submit" else type_("submit", "--json", *words[1:])
        assert json.loads(seen.out)["colour_of_the_sky"] == "blue", words
        assert seen.out.count("\n") == 1
    assert json.loads(type_("list", "--jobs", "--json").out)["items"][0]["colour_of_the_sky"] == "blue"


def test_quiet_has_ids_only_and_talks_only_of_errors(canned: Canned, type_: Type) -> None:
    canned.tell("GET", "/v1/batches", {"items": [fit()], "next": None})
    canned.tell("POST", "/v1/jobs", train(), 201)
    canned.show(train(state="succeeded", exit_code=0), fit_over())
    assert type_("list", "-q")[1:] == ("2n6r0kqa\n", "")
    assert type_("submit", "-q", "--wait", "--", "x")[1:] == ("2n6r1abc-1\n", "")
    assert type_("wait", "-q", "2n6r0kqa")[1:] == ("2n6r0kqa\n", "")
    assert type_("status", "-q", "2n6r9zzz").err != ""


def test_a_filter_wants_yes_where_nobody_can_be_asked(canned: Canned, type_: Type) -> None:
    def listed(asked: Asked) -> Told:
        assert asked.query["state"] == ["held,queued,running,cancelling"]
        return Told({"items": [fit()], "next": None})

    canned.on("GET", "/v1/batches", listed)
    answer = {"id": "2n6r0kqa", "asked": 1, "cancelled": 1, "cancelling": 0, "unchanged": 0}
    canned.tell("POST", "/v1/batches/2n6r0kqa/cancel", answer, 202)
    seen = type_("cancel", "--all")
    assert (seen.code, canned.sent("POST", "/v1/batches/2n6r0kqa/cancel")) == (2, [])
    assert "1 batch with 1,000 jobs" in seen.err
    assert type_("cancel", "--all", "--yes").code == 0


def test_one_that_cannot_be_retried_keeps_no_other_from_it(canned: Canned, type_: Type) -> None:
    canned.tell("POST", "/v1/jobs/2n6r1abc-1/retry", train(), 202)
    canned.on("POST", "/v1/jobs/2n6r1abc-2/retry", lambda _: problem(409, "not-failed", "it has succeeded"))
    canned.tell("POST", "/v1/jobs/2n6r1abc-3/retry", train(), 202)
    seen = type_("retry", "2n6r1abc-1..3")
    assert seen.code == 125
    assert seen.out.count("is queued for another attempt") == 2
    assert "it has succeeded" in seen.err
