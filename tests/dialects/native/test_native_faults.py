"""What is wrong with a document is told whole."""

from __future__ import annotations

import gc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from native_examples import DIGEST, FULL, get, post, setup, stored

from jobgate.dialects import load
from jobgate.dialects.dialect import Dialect
from jobgate.dialects.native.faults import MOST, of_jobs, of_types
from jobgate.dialects.native.wire import BatchDraft, JobDraft, LoneDraft
from jobgate.dialects.reading import LARGE, uncollected
from jobgate.model.errors import Invalid
from jobgate.model.operations import Submit

NATIVE: Dialect = load("native", setup())


def told(verb: str, body: dict[str, Any]) -> dict[str, str]:
    """Pointer to code of every fault in the problem."""
    call = post(verb, body)
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(call)
    reply = NATIVE.refuse(call, caught.value)
    assert isinstance(reply.body, bytes)
    assert reply.status == 422
    return {fault["pointer"]: fault["code"] for fault in msgspec.json.decode(reply.body)["errors"]}


@pytest.mark.parametrize(
    ("verb", "method", "header", "value"),
    [
        ("job-submit", "POST", "Idempotency-Key", ""),
        ("job-submit", "POST", "Idempotency-Key", "k" * 256),
        ("upload-part", "PATCH", "Upload-Offset", "many"),
        ("events", "GET", "Last-Event-ID", "x"),
    ],
)
def test_a_fault_of_a_header_names_the_header(verb: str, method: str, header: str, value: str) -> None:
    headers = {header.lower(): value, "upload-length": "9", "accept": "text/event-stream"}
    parts: dict[str, Any] = {"sha256": DIGEST} if verb == "upload-part" else {}
    call = stored(verb, method, headers=headers, body=b'{"command": ["true"]}', **parts)
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(call)
    reply = NATIVE.refuse(call, caught.value)
    assert isinstance(reply.body, bytes)
    (fault,) = msgspec.json.decode(reply.body)["errors"]
    assert (fault["parameter"], fault["code"]) == (header, "invalid-field")


def test_every_fault_of_a_job_is_told_with_its_place() -> None:
    body = {
        "commnad": ["true"],
        "script": "echo",
        "memory": "much",
        "cores": -1,
        "env": {"1": "x"},
        "inputs": [{"path": "../x", "content": "y"}, {"content": 5}, {"path": "z"}],
        "labels": {"a": 1},
    }
    assert told("job-submit", body) == {
        "#/commnad": "unknown-field",
        "#/cores": "invalid-field",
        "#/inputs/1/path": "missing-field",
        "#/inputs/1/content": "invalid-field",
        "#/labels/a": "invalid-field",
    }


def test_what_members_say_is_looked_at_once_their_types_are_right() -> None:
    body = {
        "command": ["a\0"],
        "memory": "much",
        "disk": "4 gigs",
        "workdir": "/",
        "stdin": "../x",
        "env": {"1": "x"},
        "app": "x",
        "image": "y",
        "name": "\0",
        "inputs": [{"path": "a", "url": "file:///x"}, {"path": "b"}],
        "outputs": [{"path": "/x"}],
    }
    assert told("job-submit", body) == {
        "#/name": "invalid",
        "#/command": "invalid",
        "#/image": "one-of",
        "#/env/1": "invalid",
        "#/workdir": "invalid",
        "#/stdin": "invalid",
        "#/memory": "unit",
        "#/disk": "unit",
        "#/inputs/0/url": "invalid-field",
        "#/inputs/1": "one-of",
        "#/outputs/0/path": "invalid",
    }


def test_every_faulty_job_of_a_batch_is_told_with_its_place() -> None:
    jobs = [{"command": ["a"]}, {"command": [5]}, {"command": ["a"], "memory": "x"}, "no job", {}]
    assert told("batch-submit", {"jobs": jobs, "count": 2, "priority": 5000}) == {
        "#/priority": "invalid-field",
        "#/jobs/1/command/0": "invalid-field",
        "#/jobs/2/memory": "unit",
        "#/jobs/3": "invalid-field",
        "#/jobs/4/command": "one-of",
    }
    assert told("batch-submit", {"template": {"command": []}, "jobs": [{}], "labels": {"a": "\0"}}) == {
        "#/template": "one-of",
        "#/labels": "invalid",
        "#/template/command": "invalid",
        "#/jobs/0/command": "one-of",
    }


def test_of_very_many_faults_the_first_are_told() -> None:
    assert len(told("batch-submit", {"jobs": [{}] * 5000})) == MOST
    assert len(told("job-submit", {"command": ["a"], "inputs": [{}] * 5000})) == MOST


def test_an_unknown_members_long_name_is_not_said_back_whole() -> None:
    assert all(len(pointer) < 200 for pointer in told("job-submit", {"command": ["a"], "x" * 100_000: 1}))


@given(
    st.dictionaries(
        st.sampled_from([*JobDraft.__struct_fields__, "nope"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.just(["a"]) | st.just([{"path": "x"}]) | st.just({}),
    )
)
def test_a_job_is_refused_if_and_only_if_it_has_faults(body: dict[str, Any]) -> None:
    try:
        NATIVE.decode(post("job-submit", body))
    except Invalid:
        assert list(of_jobs([("", 0, body)]))
    else:
        assert not list(of_jobs([("", 0, body)]))


def test_the_slow_look_knows_every_type_of_the_wire() -> None:
    whole = {"template": FULL, "count": 3, "name": "n", "labels": {"a": "b"}, "priority": 1, "held": True}
    assert not list(of_types(whole, BatchDraft))
    assert not list(of_types({"jobs": [FULL]}, BatchDraft))
    assert not list(of_types(FULL, LoneDraft))
    assert msgspec.convert(whole, BatchDraft).count == 3


def test_jobs_that_are_alike_share_what_is_alike() -> None:
    jobs = [{"command": [str(n)], "memory": "1GiB", "outputs": [{"path": "o"}], "tries": 2} for n in range(3)]
    asked = NATIVE.decode(post("batch-submit", {"jobs": jobs})).operation
    assert isinstance(asked, Submit)
    one, *others = (group.spec for group in asked.groups)
    assert len(others) == 2
    for other in others:
        assert other.resources is one.resources
        assert other.outputs is one.outputs
        assert other.retry is one.retry
        assert other.place is one.place


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_off_for_a_large_body_and_afterwards_as_it_was(*, on: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with uncollected(b"x" * LARGE):
            assert not gc.isenabled()
        assert gc.isenabled() == on
        with pytest.raises(ValueError, match="x"), uncollected(b"x" * LARGE):
            raise ValueError("x")
        assert gc.isenabled() == on
        with uncollected(b"x"):
            assert gc.isenabled() == on
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize(
    ("verb", "query", "told"),
    [
        ("jobs", {"state": "done"}, "state: 'done' is not one of held, queued, staging_in, running, "),
        ("job", {"expand": "all"}, "expand: 'all' is not one of attempts, waits, draft"),
        ("events", {"kinds": "foo"}, "kinds: 'foo' is not one of "),
    ],
)
def test_of_a_word_that_there_is_not_those_there_are_are_told(verb: str, query: dict[str, str], told: str) -> None:
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(get(verb, "2n6r0kqa-1", **query))
    assert caught.value.message.startswith(told)
    with pytest.raises(Invalid, match=r"^network: 'all' is not one of none, outbound, host$"):
        NATIVE.decode(post("job-submit", {"command": ["true"], "network": "all"}))


def test_a_fault_of_a_variable_names_the_variable() -> None:
    assert told("job-submit", {"command": ["true"], "env": {"A": 1, "B": "b"}}) == {"#/env/A": "invalid-field"}
    assert told("job-submit", {"command": ["true"], "env": {"1": "a"}}) == {"#/env/1": "invalid"}
    assert told("job-submit", {"command": ["true"], "env": {"a.b": "\0"}}) == {"#/env/a.b": "invalid"}
    assert told("job-submit", {"command": ["true"], "env": {"A": "\0"}}) == {"#/env/A": "invalid"}


@pytest.mark.parametrize("blank", [b"", b" \n\t"])
def test_a_bare_list_is_the_jobs_of_a_batch(blank: bytes) -> None:
    jobs = [{"command": ["a"]}, {"command": ["b"], "gpus": 2.0}]
    bare, whole = (post("batch-submit", body) for body in (jobs, {"jobs": jobs}))  # type: ignore[arg-type]  # a list
    found = NATIVE.decode(replace(bare, body=blank + bare.body)).operation
    assert found == NATIVE.decode(whole).operation


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b'[{"command": ["a"]}, {"comand": ["b"]}]', {"#/1/comand": "unknown-field"}),
        (b'[{"command": ["a"]}, {"command": ["b"], "memory": "x"}]', {"#/1/memory": "unit"}),
        (b"[1]", {"#/0": "invalid-field"}),
        (b"[]", None),
        (b'[{"command": ["a"]}, ', None),
        (b'[{"command": ["a"]}], "name": "x"', None),
    ],
)
def test_a_bare_list_that_cannot_be_taken_is_told_by_the_places_of_its_jobs(
    body: bytes, places: dict[str, str] | None
) -> None:
    call = replace(post("batch-submit", {}), body=body)
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(call)
    reply = NATIVE.refuse(call, caught.value)
    assert isinstance(reply.body, bytes)
    problem = msgspec.json.decode(reply.body)
    if places is None:
        assert "errors" not in problem
    else:
        assert {fault["pointer"]: fault["code"] for fault in problem["errors"]}.items() >= places.items()
