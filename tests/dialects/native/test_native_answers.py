"""What the native API says: jobs, batches, problems."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from msgspec.structs import replace
from native_examples import BATCH, JOB, get, post, setup

from jobgate.dialects import load
from jobgate.dialects.dialect import Call, Dialect, Reply, Setup
from jobgate.dialects.native.cures import CURES
from jobgate.dialects.native.jobs import PAGE
from jobgate.dialects.native.problems import NEXT, PROBLEMS, pointer
from jobgate.dialects.reading import member
from jobgate.model.credit import Ledger
from jobgate.model.errors import (
    Conflict,
    EngineError,
    Invalid,
    JobgateError,
    MethodNotAllowed,
    NotFound,
    Reused,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unrunnable,
)
from jobgate.model.ids import STRIDE, BatchId, JobId, batch_id, batch_text, job_name, job_text
from jobgate.model.job import Argv, Origin, Step
from jobgate.model.operations import Count, Find, Until
from jobgate.model.outcomes import Counted, Found
from jobgate.model.selectors import Ids, Where
from jobgate.model.state import Failure, JobState, Limit
from jobgate.testing.outcomes import FIRST, NOW, SPECS, batch, job, submitted, view

NATIVE: Dialect = load("native", setup())
ORIGIN = Origin(dialect="native")
SUBMIT = post("job-submit", {"command": ["true"]})


def said(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply.body, bytes)
    found: dict[str, Any] = msgspec.json.decode(reply.body)
    return found


# --- asking


def test_a_job_and_a_batch_are_asked_for_with_a_wait() -> None:
    ask = NATIVE.decode(get("job", JOB, wait="2.5"))
    assert ask.operation == Find(selector=Ids((job_name(JOB),)))
    assert (ask.until, ask.within) == (Until.ENDED, 2.5)
    ask = NATIVE.decode(get("batch", BATCH, wait="3600"))
    assert ask.operation == Count(batch_id(BATCH), ledger=True)
    assert ask.within == 60.0
    assert NATIVE.decode(get("batch", BATCH)).within == 0.0


@pytest.mark.parametrize("wait", ["", "x", "-1", "1e10", "+1", "inf", "nan", "٣", "1 "])
def test_a_wait_that_is_no_number_of_seconds_is_refused(wait: str) -> None:
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(get("job", JOB, wait=wait))
    assert caught.value.field == "wait"


def test_a_batch_is_not_asked_for_by_a_jobs_id_nor_a_job_by_its_batchs() -> None:
    with pytest.raises(NotFound):
        NATIVE.decode(get("batch", JOB))
    with pytest.raises(NotFound):
        NATIVE.decode(get("job", BATCH))


# --- answers


def test_a_new_job_is_created_at_its_address() -> None:
    ident = job_text(BatchId(FIRST), JobId(FIRST))
    reply = NATIVE.encode(SUBMIT, submitted(batch(ORIGIN), job(JobState.QUEUED)))
    assert reply.status == 201
    assert reply.headers == {"Location": f"/v1/jobs/{ident}", "ETag": '"4"'}
    assert said(reply) == {
        "id": ident,
        "batch": batch_text(BatchId(FIRST)),
        "number": 1,
        "state": "queued",
        "created": "2025-10-09T08:51:40.000Z",
        "name": "n",
        "labels": {"tag": "t"},
        "priority": 0,
        "attempt_count": 0,
        "dialect": "native",
    }


def test_a_repeated_key_shows_the_job_as_it_is_now() -> None:
    reply = NATIVE.encode(SUBMIT, submitted(batch(ORIGIN), job(JobState.SUCCEEDED), replayed=True))
    assert reply.status == 201
    assert reply.headers["Idempotent-Replayed"] == "true"
    assert said(reply)["state"] == "succeeded"


def test_a_new_batch_is_counted() -> None:
    made = submitted(batch(ORIGIN, 100_000))
    reply = NATIVE.encode(post("batch-submit", {}), made)
    ident = batch_text(BatchId(FIRST))
    assert (reply.status, reply.headers) == (201, {"Location": f"/v1/batches/{ident}", "ETag": '"100000"'})
    assert said(reply) == {
        "id": ident,
        "name": "n",
        "count": 100_000,
        "state": "queued",
        "created": "2025-10-09T08:51:40.000Z",
        "over": False,
        "counts": {"queued": 100_000},
        "progress": 0.0,
        "labels": {"tag": "t"},
        "priority": 0,
        "dialect": "native",
    }


def test_a_batch_says_what_it_is_worth_where_a_job_does() -> None:
    stands = Counted(batch=batch(ORIGIN, 4), counts={JobState.RUNNING: 4}, ledger=Ledger(cpu_seconds=1.23456))
    body = said(NATIVE.encode(get("batch", BATCH), stands))
    assert "credit" not in body
    assert body["cpu_seconds"] == 1.235
    worth = Ledger(estimate=40.0, canonical=10.0, total=15.0, operations=1e12)
    body = said(NATIVE.encode(get("batch", BATCH), replace(stands, ledger=worth)))
    assert body["credit"] == {"estimate": 40.0, "canonical": 10.0, "total": 15.0}
    assert "cpu_seconds" not in body


def test_a_batch_has_ended_when_all_its_jobs_have() -> None:
    counts = {JobState.SUCCEEDED: 3, JobState.FAILED: 1, JobState.RUNNING: 0}
    stands = Counted(batch=batch(ORIGIN, 4), counts=counts, started=NOW - 9.0, ended=NOW)
    body = said(NATIVE.encode(get("batch", BATCH), stands))
    assert (body["over"], body["counts"], body["state"]) == (True, {"succeeded": 3, "failed": 1}, "failed")
    assert (body["started"], body["ended"]) == ("2025-10-09T08:53:11.000Z", "2025-10-09T08:53:20.000Z")
    live = said(NATIVE.encode(get("batch", BATCH), replace(stands, counts={**counts, JobState.CANCELLING: 4})))
    assert (live["over"], live["state"], live["progress"]) == (False, "cancelling", 0.5)
    assert "ended" not in live


@pytest.mark.parametrize("state", JobState)
def test_states_are_spelled_as_in_the_model(state: JobState) -> None:
    reply = NATIVE.encode(get("job", JOB), Found(jobs=(view(job(state), ORIGIN),)))
    assert said(reply)["state"] == state.value


def test_a_job_that_ended_badly_says_why() -> None:
    one = job(JobState.FAILED, failure=Failure.LIMIT, limit=Limit.WALLTIME)
    body = said(NATIVE.encode(get("job", JOB), Found(jobs=(view(replace(one, message="8 s of 8 s"), ORIGIN),))))
    assert (body["failure"], body["limit"], body["message"]) == ("limit", "walltime", "8 s of 8 s")
    assert body["attempt_count"] == 1
    assert [file["path"] for file in body["outputs"]] == ["output/a b/ü?#%.txt", "output/x"]


@pytest.mark.parametrize(
    ("state", "skipped", "told"), [("SUCCEEDED", 3, 3), ("SUCCEEDED", 0, None), ("RUNNING", 3, None)]
)
def test_a_job_that_is_over_says_how_many_of_its_files_could_not_be_told(
    state: str, skipped: int, told: int | None
) -> None:
    one = view(job(JobState[state]), ORIGIN)
    one = replace(one, attempts=(replace(one.attempts[0], skipped=skipped),))
    assert said(NATIVE.encode(get("job", JOB), Found(jobs=(one,)))).get("skipped") == told


# --- problems


@pytest.mark.parametrize(
    ("error", "number", "code"),
    [
        (Invalid("x", code="invalid-json"), 400, "invalid-json"),
        (Invalid("x", code="missing-field"), 422, "invalid"),
        (Unauthenticated("x"), 401, "unauthenticated"),
        (NotFound("x"), 404, "not-found"),
        (Conflict("x", code="key-reused"), 422, "key-reused"),
        (Conflict("x"), 409, "conflict"),
        (MethodNotAllowed("x"), 405, "method-not-allowed"),
        (Unrunnable("x"), 422, "unrunnable"),
        (TooMany("x", code="too-many-jobs"), 429, "too-many-jobs"),
        (TooLarge("x", code="batch-too-large"), 413, "batch-too-large"),
        (TooLarge("x"), 413, "too-large"),
        (Invalid("x", code="timeout"), 408, "timeout"),
        (Unavailable("x", code="storage-full"), 507, "storage-full"),
        (EngineError("x"), 500, "internal"),
        (Unavailable("x"), 503, "unavailable"),
    ],
)
def test_each_error_is_a_problem(error: JobgateError, number: int, code: str) -> None:
    reply = NATIVE.refuse(SUBMIT, error)
    body = said(reply)
    assert (reply.status, body["status"], body["code"]) == (number, number, code)
    assert reply.media == "application/problem+json"
    assert body["type"] == f"/v1/problems/{code}"
    assert body["title"]


def test_a_fault_of_the_body_is_pointed_at() -> None:
    error = Invalid("template.memory: this is no size", code="unit", field="template.memory")
    assert said(NATIVE.refuse(SUBMIT, error))["errors"] == [
        {"pointer": "#/template/memory", "code": "unit", "detail": "template.memory: this is no size"}
    ]
    assert pointer("jobs[2].inputs[0].url") == "#/jobs/2/inputs/0/url"
    assert pointer("a/b~c ü") == "#/a~1b~0c%20%C3%BC"
    assert pointer("[2].command") == "#/2/command"
    assert pointer(member("sweep[0]", 'a.b["c\\')) == "#/sweep/0/a.b%5B%22c%5C"
    assert pointer(member("sweep", "")) == "#/sweep/"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"command": ["a"], "app": "x"}, ["#/app"]),
        ({"template": {"command": ["a"], "app": "x"}}, ["#/template/app"]),
        ({"jobs": [{"command": ["a"], "app": "x"}]}, []),
    ],
)
def test_what_a_spec_is_refused_for_is_pointed_at_where_it_stands_once(body: dict[str, Any], place: list[str]) -> None:
    for error in (
        NotFound("x", code="app-not-found", field="app"),
        Unrunnable("x", code="licence-required", field="app"),
    ):
        told = said(NATIVE.refuse(post("batch-submit", body), error))
        assert [fault["pointer"] for fault in told.get("errors", [])] == place


def test_every_problem_says_what_to_do() -> None:
    assert {code for _, code, _ in PROBLEMS.values()} <= NEXT.keys()
    assert {code for _, code, _ in PROBLEMS.values()} <= CURES.keys()


@pytest.mark.parametrize(("job", "member"), [(True, "job"), (False, "batch")])
def test_a_key_that_was_used_before_says_what_it_made(job: bool, member: str) -> None:
    told = said(NATIVE.refuse(SUBMIT, Reused.by("2n6r0kqa-1", 1e9, job=job)))
    assert (told["status"], told["code"], told[member]) == (422, "key-reused", "2n6r0kqa-1")
    assert told["detail"].startswith("this key made 2n6r0kqa-1 at 2001-09-09T01:46:40Z with a different body")
    assert not {"job", "batch"} & said(NATIVE.refuse(SUBMIT, Reused())).keys()


@pytest.mark.parametrize(("size", "shown"), [(PAGE // 3, 2), (PAGE * 2, 1)])
def test_a_page_of_jobs_with_large_specs_is_cut_short_and_goes_on_where_it_ended(size: int, shown: int) -> None:
    spec = replace(SPECS[0], steps=(Step(command=Argv(("echo", "x" * size))),))
    one = view(job(JobState.QUEUED), ORIGIN, spec)
    found = tuple(replace(one, job=replace(one.job, id=JobId(FIRST + place * STRIDE))) for place in range(5))
    body = said(NATIVE.encode(get("jobs", "", expand="spec", limit="5"), Found(jobs=found)))
    assert len(body["items"]) == shown
    after = parse_qs(urlsplit(body["next"]).query)["after"][0]
    asked = NATIVE.decode(get("jobs", "", expand="spec", limit="5", after=after)).operation
    assert isinstance(asked, Find)
    assert isinstance(asked.selector, Where)
    assert asked.selector.after == found[shown - 1].job.id
    whole = said(NATIVE.encode(get("jobs", "", limit="5"), Found(jobs=found)))
    assert (len(whole["items"]), whole["next"]) == (5, None)


def test_headers_tell_what_to_do_next() -> None:
    assert NATIVE.refuse(SUBMIT, Unauthenticated()).headers["WWW-Authenticate"] == "Bearer"
    assert NATIVE.refuse(SUBMIT, TooMany(retry_after=3.2)).headers["Retry-After"] == "4"
    assert NATIVE.refuse(SUBMIT, MethodNotAllowed()).headers["Allow"] == "GET, HEAD, POST"
    assert NATIVE.refuse(get("job", JOB), MethodNotAllowed()).headers["Allow"] == "DELETE, GET, HEAD, PATCH"


def test_options_is_answered_and_never_refused() -> None:
    asked = Call(verb="", method="OPTIONS")
    assert NATIVE.refuse(asked, MethodNotAllowed()).status == 204
    assert NATIVE.refuse(asked, NotFound()).status == 404
    assert NATIVE.refuse(Call(verb="", method="PUT"), MethodNotAllowed()).status == 405


def test_a_problem_names_the_request_under_which_the_log_has_it() -> None:
    assert said(NATIVE.refuse(replace(SUBMIT, request="r8"), NotFound()))["instance"] == "request:r8"
    assert "instance" not in said(NATIVE.refuse(SUBMIT, NotFound()))


def test_a_problem_leads_to_its_page_wherever_the_api_is_mounted() -> None:
    elsewhere = load("native", Setup(prefix="/lab/v1"))
    assert said(elsewhere.refuse(SUBMIT, NotFound()))["type"] == "/lab/v1/problems/not-found"


def test_a_verb_without_parameters_refuses_any() -> None:
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(replace(SUBMIT, query={"wait": "1"}))
    assert caught.value.field == "wait"


@pytest.mark.parametrize(("wait", "seconds"), [("1e1", 10.0), ("5E-1", 0.5), ("0.30000000000000004", 0.3), ("7", 7.0)])
def test_a_number_may_be_written_as_json_writes_it(wait: str, seconds: float) -> None:
    assert NATIVE.decode(get("job", JOB, wait=wait)).within == pytest.approx(seconds)


def test_an_integer_with_a_point_is_one_and_a_fraction_is_none() -> None:
    whole = {"command": ["a"], "gpus": 2.0, "priority": -3.0, "memory": 1e6}
    operation = NATIVE.decode(post("job-submit", whole)).operation
    assert (
        operation == NATIVE.decode(post("job-submit", {**whole, "gpus": 2, "priority": -3, "memory": 10**6})).operation
    )
    large = NATIVE.decode(replace(SUBMIT, body=b'{"command":["a"],"disk":9007199254740993.0}')).operation
    assert large == NATIVE.decode(post("job-submit", {"command": ["a"], "disk": 9007199254740993})).operation
    for wrong in (2.5, 1e300):
        with pytest.raises(Invalid) as caught:
            NATIVE.decode(post("job-submit", {"command": ["a"], "gpus": wrong}))
        assert caught.value.field == "gpus"
