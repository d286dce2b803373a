"""What is asked of jobs, and what is said of them: sections 3, 5.6, 6, 8, 9 and 12 of the contract."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
import pytest
from charity_engine_examples import BATCH, DIGEST, FULL, JOB, JSON_TYPE, KEY, OTHER, STORED, call, setup
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jobgate.dialects import load
from jobgate.dialects.charity_engine.states import NAMES, status, wanted
from jobgate.dialects.dialect import Body, Call, Dialect, Reply
from jobgate.model.account import Kind, Proof, Scope
from jobgate.model.errors import (
    Conflict,
    EngineError,
    Forbidden,
    Gone,
    Invalid,
    JobgateError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unrunnable,
)
from jobgate.model.files import Artifact
from jobgate.model.ids import STRIDE, BatchId, JobId, JobName, batch_id, batch_text, job_name
from jobgate.model.job import Origin
from jobgate.model.operations import Cancel, Delete, Find, Operation, Read, ReadLog, Submit, Write
from jobgate.model.outcomes import Changed, Content, Deleted, Found, JobView, Log, Written
from jobgate.model.selectors import Ids, Of, Where
from jobgate.model.state import Failure, JobState, Limit
from jobgate.testing.outcomes import FIRST, NOW, SPECS, batch, job, jobs, submitted, view

ENGINE: Dialect = load("charity_engine", setup())
SUBMIT = ENGINE.decode(call("job-create", FULL)).operation
assert isinstance(SUBMIT, Submit)
ORIGIN = SUBMIT.origin
SAMPLES = tuple(JobName(BatchId(FIRST), JobId(FIRST + i * STRIDE)) for i in range(3))
SAMPLE = str(SAMPLES[0])


def asked(verb: str, body: dict[str, Any] | None = None, dialect: Dialect = ENGINE) -> Operation:
    return dialect.decode(call(verb, body)).operation


def said(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply.body, bytes)
    found: dict[str, Any] = msgspec.json.decode(reply.body)
    return found


def shown(one: JobView) -> dict[str, Any]:
    """The job object of a view."""
    found: dict[str, Any] = said(ENGINE.encode(call("job-status", {"jobId": JOB}), Found(jobs=(one,))))["jobs"][0]
    return found


def refused(verb: str, body: dict[str, Any], dialect: Dialect = ENGINE) -> tuple[str, str | None]:
    with pytest.raises(RequestError) as caught:
        asked(verb, body, dialect)
    return caught.value.code, caught.value.field


# --- who asks (section 3)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "authenticator-missing"),
        ({"authenticator": None}, "authenticator-missing"),
        ({"authenticator": ""}, "authenticator-missing"),
        ({"authenticator": 5}, "authenticator-invalid"),
        ({"authenticator": "x" * 5000}, "authenticator-invalid"),
    ],
)
def test_a_call_without_an_authenticator_says_which_is_wrong(members: dict[str, Any], code: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        ENGINE.credential(call("job-list", members, key=None))
    assert caught.value.code == code


def test_a_json_verb_takes_no_authenticator_from_a_header() -> None:
    with pytest.raises(Unauthenticated):
        ENGINE.credential(call("job-list", key=None, headers={"authorization": f"Bearer {KEY}"}))


@pytest.mark.parametrize("verb", ["job-list", "files", "file-upload"])
def test_an_authenticator_in_a_query_is_refused(verb: str) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    with pytest.raises(Unauthenticated) as caught:
        ENGINE.credential(call(verb, query={"authenticator": KEY}, headers=headers))
    assert KEY not in caught.value.message


@pytest.mark.parametrize("verb", ["files", "logs", "file-upload"])
@pytest.mark.parametrize(
    "header", [f"Bearer {KEY}", f"bearer  {KEY} ", "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()]
)
def test_a_file_verb_takes_it_as_bearer_or_as_the_user_of_basic(verb: str, header: str) -> None:
    assert ENGINE.credential(Call(verb=verb, headers={"authorization": header})) == Proof(Kind.CHARITY_ENGINE, KEY)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Digest x", "Basic !!", "Basic " + base64.b64encode(b"user:password").decode(), "Basic /w=="],
)
def test_any_other_authorization_is_none(header: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        ENGINE.credential(Call(verb="files", headers={"authorization": header}))
    assert caught.value.code == "authenticator-missing"


def test_an_upload_as_json_says_it_in_a_member() -> None:
    made = call("file-upload", {"contentBase64": ""}, headers=JSON_TYPE)
    assert ENGINE.credential(made) == Proof(Kind.CHARITY_ENGINE, KEY)
    with pytest.raises(Unauthenticated):
        ENGINE.credential(Call(verb="file-upload", headers={"content-type": "text/plain"}))


def test_a_body_that_is_no_json_object_is_told_before_the_authenticator() -> None:
    for body in (b"", b"[]", b"{", b'{"authenticator": "\xff"}'):
        with pytest.raises(Invalid) as caught:
            ENGINE.credential(Call(verb="job-list", body=body))
        assert caught.value.code == "invalid-json"


# --- which jobs (section 8)


@pytest.mark.parametrize("verb", ["job-status", "job-abort", "job-remove"])
@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ({"jobId": JOB}, Ids((job_name(JOB),))),
        ({"jobIds": [OTHER, JOB, OTHER, "x"]}, Ids((job_name(OTHER), job_name(JOB)), ("x",))),
        ({"batchId": BATCH}, Of(batch_id(BATCH))),
        ({"batchId": JOB}, Of(batch_id(BATCH))),
        ({"tag": "t"}, Where(labels=(("tag", "t"),), limit=1_000_000)),
    ],
)
def test_jobs_are_selected_in_four_ways(verb: str, selector: dict[str, Any], meant: object) -> None:
    operation = asked(verb, selector)
    assert isinstance(operation, Find | Cancel | Delete)
    assert operation.selector == meant


@pytest.mark.parametrize("wire", [OTHER, f"{BATCH}-1-1", f"{BATCH}-", "-1"])
def test_a_batch_is_named_by_itself_or_by_its_first_job_alone(wire: str) -> None:
    assert refused("job-status", {"batchId": wire}) == ("job-not-found", None)
    assert asked("job-list", {"batchId": wire}) == Find(selector=Ids(()), full=False)


@pytest.mark.parametrize("verb", ["job-status", "job-abort", "job-remove"])
@pytest.mark.parametrize(
    "selector",
    [{}, {"jobId": JOB, "tag": "t"}, {"jobIds": [], "batchId": BATCH}, {"jobIds": []}, {"jobIds": [JOB] * 1001}],
)
def test_none_or_two_selectors_or_too_many_ids_are_refused(verb: str, selector: dict[str, Any]) -> None:
    assert refused(verb, selector)[0] == "invalid-selector"


@pytest.mark.parametrize(
    ("selector", "field"),
    [({"jobIds": "j"}, "jobIds"), ({"jobIds": [1]}, "jobIds[0]"), ({"jobId": 1}, "jobId"), ({"tag": []}, "tag")],
)
def test_a_selector_of_a_wrong_type_is_named(selector: dict[str, Any], field: str) -> None:
    assert refused("job-status", selector) == ("invalid-field", field)


def test_strict_mode_holds_for_every_verb() -> None:
    strict = load("charity_engine", setup(strict=True))
    assert refused("job-status", {"jobId": JOB, "x": 1}, strict) == ("unknown-field", "x")
    assert refused("job-list", {"x": 1}, strict) == ("unknown-field", "x")
    asked("job-status", {"jobId": JOB, "x": 1})


def test_force_is_said_to_a_removal() -> None:
    assert asked("job-remove", {"jobId": JOB, "force": True}) == Delete(selector=Ids((job_name(JOB),)), force=True)
    assert asked("job-remove", {"jobId": JOB}) == Delete(selector=Ids((job_name(JOB),)))


# --- job-list (section 8.2)


def test_a_list_has_every_filter() -> None:
    body = {
        "status": "COMPLETED",
        "tag": "t",
        "batchId": BATCH,
        "app": "plain",
        "createdAfter": "1970-01-01T00:00:10Z",
        "createdBefore": "1970-01-01T01:00:20+01:00",
        "limit": 1000,
        "cursor": "c1",
    }
    where = Where(
        states=frozenset({JobState.SUCCEEDED}),
        labels=(("tag", "t"),),
        app="plain",
        batch=batch_id(BATCH),
        since=10.0,
        before=20.0,
        after=JobId(1),
        limit=1000,
    )
    assert asked("job-list", body) == Find(selector=where, full=False)
    assert asked("job-list") == Find(selector=Where(), full=False)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"limit": 0}, "invalid-field", "limit"),
        ({"limit": 1001}, "invalid-field", "limit"),
        ({"status": "done"}, "invalid-field", "status"),
        ({"status": ["running", 1]}, "invalid-field", "status[1]"),
        ({"cursor": "x"}, "invalid-cursor", "cursor"),
        ({"cursor": ""}, "invalid-cursor", "cursor"),
        ({"createdAfter": "yesterday"}, "invalid-field", "createdAfter"),
        ({"createdAfter": "2026-01-01T00:00:00"}, "invalid-field", "createdAfter"),
    ],
)
def test_a_filter_that_cannot_hold_is_refused(body: dict[str, Any], code: str, field: str) -> None:
    assert refused("job-list", body) == (code, field)


def test_the_cursor_of_one_page_opens_the_next() -> None:
    reply = ENGINE.encode(call("job-list"), Found(jobs=(view(job(JobState.RUNNING), ORIGIN),), more=JobId(FIRST)))
    operation = asked("job-list", {"cursor": said(reply)["nextCursor"]})
    assert isinstance(operation, Find)
    assert isinstance(operation.selector, Where)
    assert operation.selector.after == FIRST


def test_a_list_shows_a_job_in_short_and_no_cursor_at_the_end() -> None:
    one = view(job(JobState.SUCCEEDED), ORIGIN)
    body = said(ENGINE.encode(call("job-list"), Found(jobs=(replace(one, batch=replace(one.batch, app="plain")),))))
    assert body == {
        "jobs": [
            {
                "id": SAMPLE,
                "batchId": SAMPLE,
                "status": "completed",
                "app": "plain",
                "tag": "t",
                "createdAt": "2025-10-09T08:51:40.000Z",
                "endedAt": "2025-10-09T08:53:19.000Z",
            }
        ]
    }


def test_a_list_of_a_batch_that_cannot_be_is_empty() -> None:
    operation = asked("job-list", {"batchId": "nonsense"})
    assert operation == Find(selector=Ids(()), full=False)
    assert said(ENGINE.encode(call("job-list"), Found(jobs=()))) == {"jobs": []}


# --- states (section 6.1)

STATES: dict[JobState, str] = {
    JobState.HELD: "provisioning",
    JobState.QUEUED: "provisioning",
    JobState.STAGING_IN: "downloading",
    JobState.RUNNING: "running",
    JobState.STAGING_OUT: "running",
    JobState.CANCELLING: "running",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "aborted",
}


@pytest.mark.parametrize(("state", "word"), STATES.items())
def test_each_state_has_its_word(state: JobState, word: str) -> None:
    assert shown(view(job(state, failure=Failure.PROGRAM if word == "failed" else None), ORIGIN))["status"] == word


@pytest.mark.parametrize(
    ("failure", "limit", "word", "reason"),
    [
        (Failure.PROGRAM, None, "failed", "exit-code"),
        (Failure.INPUT, None, "failed", "input-fetch"),
        (Failure.IMAGE, None, "failed", "input-fetch"),
        (Failure.OUTPUT, None, "failed", "output-store"),
        (Failure.ENGINE, None, "failed", "system"),
        (Failure.LOST, None, "failed", "system"),
        (Failure.LIMIT, Limit.WALLTIME, "aborted", "timeout"),
        (Failure.LIMIT, Limit.WAIT, "failed", "no-host"),
        (Failure.LIMIT, Limit.STAGING, "failed", "input-fetch"),
        (Failure.LIMIT, Limit.OUTPUT, "failed", "output-store"),
    ],
)
def test_each_end_has_its_reason(failure: Failure, limit: Limit | None, word: str, reason: str) -> None:
    found = shown(view(job(JobState.FAILED, failure=failure, limit=limit), ORIGIN))
    assert (found["status"], found["statusReason"]) == (word, reason)
    assert found["error"]


def test_an_abort_by_its_owner_says_so() -> None:
    assert shown(view(job(JobState.CANCELLED), ORIGIN))["statusReason"] == "user"


@pytest.mark.parametrize("state", [s for s in JobState if s not in (JobState.FAILED, JobState.CANCELLED)])
def test_only_a_bad_end_has_a_reason_and_an_error(state: JobState) -> None:
    found = shown(view(job(state), ORIGIN))
    assert "statusReason" not in found
    assert "error" not in found


@given(names=st.sets(st.sampled_from(sorted(set(NAMES.values()))), min_size=1))
def test_a_filter_finds_exactly_the_jobs_that_are_shown_by_its_names(names: set[str]) -> None:
    states, timed_out = wanted({name.upper() for name in names}, "status")
    for one in jobs():
        hit = one.state in states and (
            one.state is not JobState.FAILED or timed_out is None or timed_out == (one.limit is Limit.WALLTIME)
        )
        assert hit == (status(one) in names)


# --- the job object (section 6.2)


def test_a_job_is_shown_as_it_was_sent_with_defaults_filled_in() -> None:
    found = shown(view(job(JobState.SUCCEEDED), ORIGIN))
    assert found == {
        "id": SAMPLE,
        "batchId": SAMPLE,
        "status": "completed",
        "app": FULL["app"],
        "commandLine": FULL["commandLine"],
        "specs": FULL["specs"],
        "hours": 0.5,
        "instanceType": "C.2x4",
        "useOwnDevices": True,
        "tag": "demo",
        "inputFiles": FULL["inputFiles"],
        "exitCode": 0,
        "attempts": 1,
        "progress": 1.0,
        "createdAt": "2025-10-09T08:51:40.000Z",
        "startedAt": "2025-10-09T08:52:30.000Z",
        "endedAt": "2025-10-09T08:53:19.000Z",
        "cpuSeconds": 1.5,
        "wallSeconds": 2.5,
        "outputCount": 2,
    }


def test_a_queued_job_has_no_progress_no_attempts_and_nothing_of_its_end() -> None:
    found = shown(view(job(JobState.QUEUED), ORIGIN))
    assert (found["progress"], found["attempts"]) == (0.0, 0)
    assert not {"exitCode", "startedAt", "endedAt", "outputCount", "error"} & found.keys()


def test_a_running_job_counts_its_seconds() -> None:
    assert shown(view(job(JobState.RUNNING), ORIGIN))["wallSeconds"] == 50.0


def test_a_copy_bears_the_batchs_own_id() -> None:
    one = view(job(JobState.QUEUED), ORIGIN)
    many = replace(one, batch=batch(ORIGIN, 2))
    assert shown(many)["batchId"] == batch_text(BatchId(FIRST))


def test_a_job_of_another_dialect_is_shown_as_far_as_words_reach() -> None:
    plain, strange = (shown(view(job(JobState.RUNNING), Origin(dialect="native"), spec)) for spec in SPECS)
    assert (plain["app"], plain["commandLine"]) == ("docker:busybox", "true")
    assert not {"app", "commandLine", "hours", "instanceType"} & strange.keys()
    assert [item["filename"] for item in strange["inputFiles"]] == ["i", "s", "r"]


def test_jobs_come_in_the_order_asked_with_those_not_found() -> None:
    names = [SAMPLES[i] for i in (2, 0, 1)]
    views = tuple(view(replace(job(JobState.QUEUED), id=name.job), ORIGIN) for name in names)
    body = said(ENGINE.encode(call("job-status", {"jobIds": [JOB]}), Found(jobs=views, missing=("x",))))
    assert [one["id"] for one in body["jobs"]] == [str(name) for name in names]
    assert body["notFound"] == ["x"]


# --- answers


def test_a_creation_names_every_copy_and_its_cost() -> None:
    made = submitted(replace(batch(ORIGIN, 3), app="charityengine:wolframengine"))
    body = said(ENGINE.encode(call("job-create", FULL), made))
    ids = [str(name) for name in SAMPLES]
    assert body == {
        "batchId": batch_text(BatchId(FIRST)),
        "jobIds": ids,
        "instanceType": "C.2x4",
        "estimatedCost": 0.9,  # 0.3 an hour, half an hour, 3 copies, an app of factor 2
        "jobs": [{"id": i, "status": "provisioning"} for i in ids],
    }


def test_a_lone_job_is_its_own_batch_and_a_repeated_call_says_so() -> None:
    first = said(ENGINE.encode(call("job-create", FULL), submitted(batch(ORIGIN), job(JobState.QUEUED))))
    again = submitted(batch(ORIGIN), job(JobState.SUCCEEDED), replayed=True)
    assert first["batchId"] == first["jobIds"][0] == SAMPLE
    assert said(ENGINE.encode(call("job-create", FULL), again)) == first | {"replayed": True}


def test_an_abort_tells_those_over_from_those_ended_now() -> None:
    over = replace(job(JobState.FAILED, failure=Failure.LIMIT, limit=Limit.WALLTIME), id=SAMPLES[1].job)
    outcome = Changed(done=(job(JobState.CANCELLING),), unchanged=(over,), missing=("x",))
    assert said(ENGINE.encode(call("job-abort", {"jobId": JOB}), outcome)) == {
        "aborted": [SAMPLE],
        "unchanged": [{"id": str(SAMPLES[1]), "status": "aborted"}],
        "notFound": ["x"],
    }


def test_a_removal_tells_what_is_still_active() -> None:
    outcome = Deleted(jobs=SAMPLES[:1], stopping=SAMPLES[1:2], missing=("x",))
    assert said(ENGINE.encode(call("job-remove", {"jobId": JOB}), outcome)) == {
        "removed": [SAMPLE],
        "active": [str(SAMPLES[1])],
        "notFound": ["x"],
    }


@pytest.mark.parametrize(
    ("verb", "outcome"),
    [
        ("job-status", Found(jobs=(), missing=("x",))),
        ("job-abort", Changed(done=(), missing=("x",))),
        ("job-remove", Deleted(jobs=(), missing=("x",))),
        ("job-result", Found(jobs=(), missing=("x",))),
    ],
)
def test_nothing_found_at_all_is_a_404(verb: str, outcome: Any) -> None:
    reply = ENGINE.encode(call(verb, {"jobId": JOB}), outcome)
    assert reply.status == 404
    assert said(reply) == {"error": "there is no such job", "errorCode": "job-not-found"}


# --- results, logs, files (sections 8.5, 8.6, 9)


def result(one: JobView, **members: Any) -> Reply:
    return ENGINE.encode(call("job-result", {"jobId": JOB, **members}), Found(jobs=(one,)))


def test_a_result_lists_outputs_with_their_addresses() -> None:
    body = said(result(view(job(JobState.SUCCEEDED), ORIGIN)))
    assert body == {
        "jobId": SAMPLE,
        "status": "completed",
        "exitCode": 0,
        "outputFiles": [
            {
                "filename": "a b/ü?#%.txt",
                "size": 12,
                "sha256": DIGEST,
                "url": f"/remotejobs/v2/files/{SAMPLE}/a%20b/%C3%BC%3F%23%25.txt",
            },
            {"filename": "x", "size": 0, "sha256": DIGEST, "url": f"/remotejobs/v2/files/{SAMPLE}/x"},
        ],
        "logUrl": f"/remotejobs/v2/logs/{SAMPLE}",
    }


def test_a_signed_address_holds_for_an_hour() -> None:
    (_, plain) = said(result(view(job(JobState.SUCCEEDED), ORIGIN), signed=True))["outputFiles"]
    path = f"/remotejobs/v2/files/{SAMPLE}/x"
    assert plain["url"] == f"{path}?exp={int(NOW) + 3600}&sig={len(path)}"
    unsigned = load("charity_engine", replace(setup(), sign=None))
    assert refused("job-result", {"jobId": JOB, "signed": True}, unsigned) == ("invalid-field", "signed")


@pytest.mark.parametrize(
    "one", [job(JobState.CANCELLED), job(JobState.FAILED, failure=Failure.LIMIT, limit=Limit.WALLTIME)]
)
def test_outputs_are_listed_after_an_abort_too(one: Any) -> None:
    assert len(said(result(view(one, ORIGIN)))["outputFiles"]) == 2


@pytest.mark.parametrize("state", [state for state in JobState if not state.over])
def test_there_is_no_result_before_the_end(state: JobState) -> None:
    reply = result(view(job(state), ORIGIN))
    assert (reply.status, said(reply)["errorCode"]) == (409, "job-active")


def test_a_result_past_its_retention_is_gone() -> None:
    old = replace(job(JobState.SUCCEEDED), ended=NOW - 31 * 86_400)
    reply = result(view(old, ORIGIN))
    assert (reply.status, said(reply)["errorCode"]) == (410, "result-expired")


def test_a_result_needs_one_job() -> None:
    assert refused("job-result", {}) == ("missing-field", "jobId")
    assert refused("job-result", {"jobId": "x"}) == ("job-not-found", None)
    assert asked("job-result", {"jobId": JOB}) == Find(selector=Ids((job_name(JOB),)))


def test_outputs_of_another_dialects_job_can_be_told_apart_and_fetched() -> None:
    one = view(job(JobState.SUCCEEDED), Origin(dialect="native"), SPECS[1])
    attempt = replace(one.attempts[0], outputs=(Artifact("o", STORED.digest, 1), Artifact("p", STORED.digest, 1, 1)))
    files = said(result(replace(one, attempts=(attempt,))))["outputFiles"]
    assert [file["filename"] for file in files] == ["o", "p"]
    assert files[1]["url"] == f"/remotejobs/v2/files/{SAMPLE}/p?output=1"
    made = Call(verb="files", method="GET", path={"job": SAMPLE, "path": "p"}, query={"output": "1"})
    assert ENGINE.decode(made).operation == Read(job=SAMPLES[0], output=1, path="p")


def test_a_file_is_handed_on_to_be_streamed() -> None:
    made = Call(verb="files", method="GET", path={"job": SAMPLE, "path": "a/b"})
    assert ENGINE.decode(made).operation == Read(job=SAMPLES[0], output=0, path="a/b")
    artifact = Artifact("a/b", STORED.digest, 3)
    reply = ENGINE.encode(made, Content(artifact=artifact, name="b"))
    assert (reply.body, reply.media) == (artifact, "application/octet-stream")


@pytest.mark.parametrize("output", ["x", "-1", "", "99999999", "١"])  # noqa: RUF001  # a digit that int() would read
def test_a_place_of_an_output_that_is_none_is_not_found(output: str) -> None:
    with pytest.raises(NotFound):
        ENGINE.decode(Call(verb="files", method="GET", path={"job": SAMPLE, "path": "a"}, query={"output": output}))


def test_a_log_is_read_in_pieces() -> None:
    assert asked("job-log", {"jobId": JOB}) == ReadLog(job=job_name(JOB), offset=0, limit=65_536)
    assert asked("job-log", {"jobId": JOB, "offset": 5, "limit": 1_048_576}) == ReadLog(
        job=job_name(JOB), offset=5, limit=1_048_576
    )
    assert refused("job-log", {"jobId": JOB, "limit": 1_048_577}) == ("invalid-field", "limit")
    assert refused("job-log", {"jobId": JOB, "offset": -1}) == ("invalid-field", "offset")
    assert refused("job-log", {}) == ("missing-field", "jobId")


def log(content: bytes, *, complete: bool = False) -> dict[str, Any]:
    outcome = Log(job=job(JobState.RUNNING), offset=10, content=content, complete=complete)
    return said(ENGINE.encode(call("job-log", {"jobId": JOB}), outcome))


def test_a_piece_of_a_log_says_where_the_next_begins() -> None:
    assert log(b"hello\n") == {
        "jobId": SAMPLE,
        "status": "running",
        "offset": 10,
        "nextOffset": 16,
        "content": "hello\n",
        "complete": False,
    }


def test_a_character_cut_in_two_is_left_for_the_next_piece() -> None:
    whole = "aü€𝄞".encode()
    pieces, offset = "", 0
    while offset < len(whole):
        found = log(whole[offset : offset + 4])
        step = found["nextOffset"] - 10
        assert step > 0
        pieces, offset = pieces + found["content"], offset + step
    assert pieces == "aü€𝄞"


@given(content=st.binary(max_size=12), complete=st.booleans())
def test_a_log_always_goes_on_and_is_always_text(content: bytes, complete: bool) -> None:
    found = log(content, complete=complete)
    assert found["nextOffset"] > 10 or not content
    assert found["content"] == content[: found["nextOffset"] - 10].decode(errors="replace")
    if complete:
        assert found["nextOffset"] == 10 + len(content)


def test_an_upload_is_stored_under_its_digest_for_thirty_days() -> None:
    made = Call(verb="file-upload", upload=STORED, headers={"authorization": f"Bearer {KEY}"})
    assert ENGINE.decode(made).operation == Write(upload=STORED, lives=30 * 86_400.0)
    written = ENGINE.encode(made, Written(digest=STORED.digest, size=3, fresh=False))
    assert said(written) == {"hash": DIGEST, "size": 3, "stored": False}


def test_a_small_upload_may_come_as_json() -> None:
    digest = hashlib.sha256(b"hi").hexdigest()
    operation = asked("file-upload", {"contentBase64": "aGk=", "sha256": digest})
    assert operation == Write(upload=b"hi", lives=30 * 86_400.0)
    assert refused("file-upload", {"contentBase64": "a"}) == ("invalid-field", "contentBase64")
    assert refused("file-upload", {"contentBase64": "ü"}) == ("invalid-field", "contentBase64")
    assert refused("file-upload", {}) == ("missing-field", "contentBase64")


def test_a_digest_that_disagrees_is_told() -> None:
    assert refused("file-upload", {"contentBase64": "aGk=", "sha256": DIGEST}) == ("hash-mismatch", "sha256")
    made = Call(verb="file-upload", upload=STORED, headers={"sha256": "cd" * 32})
    with pytest.raises(Invalid) as caught:
        ENGINE.decode(made)
    assert caught.value.code == "hash-mismatch"
    ENGINE.decode(replace(made, headers={"sha256": DIGEST.upper()}))


# --- refusals (section 12)


@pytest.mark.parametrize(
    ("error", "number", "code"),
    [
        (Invalid("x", code="invalid-json"), 400, "invalid-json"),
        (Invalid("x"), 400, "invalid-field"),
        (Invalid("x", code="nobody-knows"), 400, "invalid-field"),
        (Unauthenticated("x"), 401, "authenticator-invalid"),
        (Unauthenticated("x", code="authenticator-missing"), 401, "authenticator-missing"),
        (Forbidden("x"), 403, "not-permitted"),
        (NotFound("x"), 404, "job-not-found"),
        (NotFound("x", code="unknown-operation"), 404, "unknown-operation"),
        (NotFound("x", code="file-not-found"), 404, "file-not-found"),
        (NotFound("x", code="app-not-found"), 404, "app-not-found"),
        (MethodNotAllowed("x"), 405, "method-not-allowed"),
        (Conflict("x", code="job-active"), 409, "job-active"),
        (Conflict("x", code="key-reused"), 409, "token-reused"),
        (Gone("x"), 410, "result-expired"),
        (TooLarge("x"), 413, "body-too-large"),
        (TooLarge("x", code="batch-too-large"), 413, "too-many-copies"),
        (Invalid("x", code="timeout"), 408, "timeout"),
        (Unrunnable("x"), 422, "no-matching-instance"),
        (Unrunnable("x", code="app-not-runnable"), 422, "app-not-runnable"),
        (TooMany("x"), 429, "rate-limited"),
        (TooMany("x", code="too-many-jobs"), 429, "too-many-jobs"),
        (EngineError("x"), 500, "internal"),
        (JobgateError("x"), 500, "internal"),
        (EngineError("x", code="app-not-runnable"), 500, "internal"),
        (Unavailable("x"), 503, "unavailable"),
    ],
)
def test_each_error_has_its_status_and_code(error: JobgateError, number: int, code: str) -> None:
    reply = ENGINE.refuse(call("job-status", {"jobId": JOB}), error)
    assert (reply.status, said(reply)["errorCode"]) == (number, code)
    assert reply.media == "application/json; charset=utf-8"


def test_an_error_names_its_field_and_leaves_it_out_when_there_is_none() -> None:
    named = Invalid(
        "inputFiles[0].url: only http and https are allowed", code="invalid-field", field="inputFiles[0].url"
    )
    assert said(ENGINE.refuse(call("job-create"), named)) == {
        "error": "inputFiles[0].url: only http and https are allowed",
        "errorCode": "invalid-field",
        "field": "inputFiles[0].url",
    }
    assert "field" not in said(ENGINE.refuse(call("job-create"), Invalid("x")))


def test_an_unknown_upload_of_a_submission_is_a_file() -> None:
    assert said(ENGINE.refuse(call("job-create"), NotFound()))["errorCode"] == "file-not-found"


def test_a_wrong_method_is_told_the_right_ones() -> None:
    assert ENGINE.refuse(call("job-create"), MethodNotAllowed()).headers["Allow"] == "POST"
    assert ENGINE.refuse(call("files"), MethodNotAllowed()).headers["Allow"] == "GET, HEAD"


def test_who_comes_too_often_is_told_when_to_come_again() -> None:
    assert ENGINE.refuse(call("job-list"), TooMany(retry_after=1.2)).headers["Retry-After"] == "2"
    assert ENGINE.refuse(call("job-list"), TooMany()).headers["Retry-After"] == "1"


# --- routes (sections 2 and 4)


def test_every_route_says_its_verb_its_scope_and_its_body() -> None:
    routes = {route.verb: route for route in ENGINE.routes}
    downloads = {"files", "logs"}
    assert all(route.path == f"/{verb}" for verb, route in routes.items() if verb not in downloads)
    assert all(route.methods == {"POST"} for verb, route in routes.items() if verb not in downloads)
    assert all(routes[verb].methods == {"GET", "HEAD"} and routes[verb].body is Body.NONE for verb in downloads)
    assert routes["file-upload"].body is Body.UPLOAD
    assert routes["file-upload"].limit == 2 * 1024**3
    assert routes["job-create"].limit == 1024**2
    assert {verb for verb, route in routes.items() if route.scope is Scope.SUBMIT} == {"job-create", "file-upload"}
    assert {verb for verb, route in routes.items() if route.scope is Scope.CONTROL} == {"job-abort", "job-remove"}


@pytest.mark.parametrize(
    "verb", ["", "job-estimate", "instance-types", "app-list", "account-info", "capacity-reserve", "inference"]
)
def test_what_is_not_served_is_an_unknown_operation(verb: str) -> None:
    with pytest.raises(NotFound) as caught:
        ENGINE.decode(call(verb))
    reply = ENGINE.refuse(call(verb), caught.value)
    assert (reply.status, said(reply)["errorCode"]) == (404, "unknown-operation")


# --- very many jobs


def test_of_a_large_batch_the_jobs_that_are_not_named_are_counted() -> None:
    one = job(JobState.CANCELLED)
    aborted = said(ENGINE.encode(call("job-abort", {"batchId": BATCH}), Changed(done=(one,), more=299_999)))
    assert (aborted["aborted"], aborted["more"]) == ([SAMPLE], 299_999)
    removed = said(ENGINE.encode(call("job-remove", {"batchId": BATCH}), Deleted(jobs=SAMPLES[:1], more=299_999)))
    assert (removed["removed"], removed["more"]) == ([SAMPLE], 299_999)
    assert "more" not in said(ENGINE.encode(call("job-abort", {"jobId": JOB}), Changed(done=(one,))))


def test_more_jobs_than_one_answer_shows_are_refused_with_the_way_to_see_them() -> None:
    error = TooLarge("these are more than the 10 jobs that one answer shows", code="too-many-selected")
    reply = ENGINE.refuse(call("job-status", {"batchId": BATCH}), error)
    body = said(reply)
    assert (reply.status, body["errorCode"]) == (400, "invalid-selector")
    assert body["error"].startswith("these are more than the 10 jobs that one answer shows; job-list")


@pytest.mark.parametrize("verb", ["job-abort", "job-remove"])
def test_what_may_be_done_in_part_is_not_said_to_have_changed_nothing(verb: str) -> None:
    body = said(ENGINE.refuse(call(verb, {"batchId": BATCH}), Unavailable()))
    assert (body["errorCode"], "nothing was changed" in body["error"]) == ("unavailable", False)
    assert "nothing was changed" in said(ENGINE.refuse(call("job-create", FULL), Unavailable()))["error"]
