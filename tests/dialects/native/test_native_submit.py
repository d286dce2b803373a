"""Submitting in the native API."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_examples import BATCH_MEMBERS, DIGEST, FULL, post, setup

from jobgate.dialects import load
from jobgate.dialects.dialect import Dialect
from jobgate.dialects.native.wire import size
from jobgate.model.account import Kind, Proof
from jobgate.model.errors import Invalid, RequestError, Unauthenticated
from jobgate.model.files import Inline, Input, Keep, Output, OutputKind, Remote, UserFile
from jobgate.model.ids import FolderId
from jobgate.model.job import Argv, Host, ImageRef, JobSpec, Script
from jobgate.model.operations import Submit, Until
from jobgate.model.resources import GIB, Gpu, Network

NATIVE: Dialect = load("native", setup())


def submit(verb: str, body: dict[str, Any], **headers: str) -> Submit:
    ask = NATIVE.decode(post(verb, body, **headers))
    assert (ask.until, ask.within) == (Until.ACCEPTED, 0.0)
    assert isinstance(ask.operation, Submit)
    return ask.operation


def spec(**members: Any) -> JobSpec:
    return submit("job-submit", {"command": ["true"]} | members).groups[0].spec


def refused(verb: str, body: dict[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(RequestError) as caught:
        NATIVE.decode(post(verb, body))
    return caught.value.code, caught.value.field


def test_a_key_comes_as_bearer_and_nothing_else() -> None:
    assert NATIVE.credential(post("job-submit", {}, key="k")) == Proof(Kind.API_KEY, "k")
    for header in ("", "Bearer", "Bearer ", "Basic k", "k"):
        with pytest.raises(Unauthenticated):
            NATIVE.credential(post("job-submit", {}, authorization=header))


def test_the_fixed_point_of_scripts_is_understood() -> None:
    body = {"name": "n", "template": {"command": ["/bin/true"]}, "count": 2000}
    asked = submit("batch-submit", body)
    (group,) = asked.groups
    assert asked.name == "n"
    assert group.count == 2000
    assert group.spec == JobSpec(steps=group.spec.steps)
    assert group.spec.steps[0].command == Argv(("/bin/true",))
    assert group.spec.steps[0].program == Host()


def test_equal_neighbours_of_a_list_share_a_spec_and_keep_their_place() -> None:
    jobs = [{"command": [word]} for word in ("a", "a", "b", "a")]
    groups = submit("batch-submit", {"jobs": jobs}).groups
    assert [(group.spec.steps[0].command, group.count) for group in groups] == [
        (Argv(("a",)), 2),
        (Argv(("b",)), 1),
        (Argv(("a",)), 1),
    ]


def test_every_member_of_a_job_is_understood() -> None:
    asked = submit("job-submit", FULL | BATCH_MEMBERS)
    made = asked.groups[0].spec
    assert (asked.name, asked.labels, asked.priority, asked.held, asked.app) == ("n", {"a": "b"}, 5, True, "busybox")
    assert made.steps[0].program == ImageRef("busybox")
    assert (made.steps[0].workdir, made.steps[0].stdin) == ("src", "in.txt")
    assert made.inputs == (
        Input(path="in.txt", source=Inline(b"hello")),
        Input(path="train.py", source=Remote(url="https://example.org/t", size=3, digest=DIGEST), executable=True),  # type: ignore[arg-type]  # a str is one
        Input(path="data/x", source=UserFile(FolderId(0), DIGEST)),
        Input(path="data/y", source=UserFile(FolderId(0), "in/y", "data")),
    )
    assert made.outputs == (
        Output(path="out", kind=OutputKind.DIRECTORY, keep=Keep.SUCCESS),
        Output(path="model.bin", required=True),
    )
    assert (made.resources.memory, made.resources.disk, made.resources.cores) == (4 * GIB, 1 << 20, 0.5)
    assert (made.resources.gpus, made.resources.walltime) == ((Gpu(2),), 60.0)
    assert made.resources.network is Network.OUTBOUND
    assert made.place.environment == "local"
    assert made.retry.tries == 2


def test_a_script_is_handed_over_byte_for_byte() -> None:
    asked = submit("job-submit", {"script": "#!/bin/sh\r\ntrue\n"})
    assert asked.groups[0].spec.steps[0].command == Script("#!/bin/sh\r\ntrue\n")


def test_a_password_in_an_address_is_sealed_for_its_own_job_alone() -> None:
    def job(user: str) -> dict[str, Any]:
        return {"command": ["a"], "inputs": [{"path": "x", "url": f"https://{user}:pw@example.org/"}]}

    asked = submit("batch-submit", {"jobs": [job("one"), job("two")]})
    assert asked.secrets == {"input-0-0": "one:pw", "input-1-0": "two:pw"}
    assert [group.spec.secrets for group in asked.groups] == [{"input-0-0"}, {"input-1-0"}]


def test_a_key_is_bound_to_the_verb_and_the_body() -> None:
    one = submit("job-submit", {"command": ["a"]}, idempotency_key="k").guard
    again = submit("job-submit", {"command": ["a"]}, idempotency_key="k").guard
    other = submit("job-submit", {"command": ["b"]}, idempotency_key="k").guard
    assert one is not None
    assert other is not None
    assert one == again
    assert (one.key, one.scope) == ("k", "native")
    assert one.body != other.body
    assert submit("job-submit", {"command": ["a"]}).guard is None
    for key in ("", "x" * 256):
        with pytest.raises(Invalid):
            submit("job-submit", {"command": ["a"]}, idempotency_key=key)


@pytest.mark.parametrize(
    ("value", "found"),
    [(5, 5), ("5", 5), ("5B", 5), ("4GiB", 4 * GIB), ("1.5 KiB", 1536), ("2MB", 2_000_000), ("1TiB", 1 << 40)],
)
def test_a_size_is_bytes_or_has_a_unit(value: int | str, found: int) -> None:
    assert size(value, "memory") == found


@pytest.mark.parametrize("value", ["4 gigs", "", "GiB", "-1", "1e3", "٣MB", "999999999TiB", "4gib"])
def test_a_text_that_is_no_size_is_refused(value: str) -> None:
    assert refused("batch-submit", {"template": {"command": ["a"], "memory": value}}) == ("unit", "template.memory")


@given(st.text(max_size=32))
def test_no_text_breaks_a_size(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert size(text, "memory") >= 0


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "one-of", "command"),
        ({"command": ["a"], "script": "#!x"}, "one-of", "command"),
        ({"command": []}, "invalid", "command"),
        ({"command": [""]}, "invalid", "command"),
        ({"command": ["a\0"]}, "invalid", "command"),
        ({"command": "a"}, "invalid-field", "command"),
        ({"command": [5]}, "invalid-field", "command[0]"),
        ({"command": ["a"], "nope": 1}, "unknown-field", "nope"),
        ({"command": ["a"], "app": "x", "image": "y"}, "one-of", "image"),
        ({"command": ["a"], "inputs": [{"path": "../x", "content": ""}]}, "invalid", "inputs[0].path"),
        ({"command": ["a"], "inputs": [{"path": "x", "content": "y" * 17_000}]}, "invalid", "inputs[0].content"),
        ({"command": ["a"], "inputs": [{"path": "x"}]}, "one-of", "inputs[0]"),
        ({"command": ["a"], "inputs": [{"path": "x", "url": "file:///x"}]}, "invalid-field", "inputs[0].url"),
        ({"command": ["a"], "inputs": [{"url": "https://e.org"}]}, "missing-field", "inputs[0].path"),
        ({"command": ["a"], "outputs": [{"path": "/x"}]}, "invalid", "outputs[0].path"),
        ({"command": ["a"], "workdir": "/"}, "invalid", "workdir"),
        ({"command": ["a"], "env": {"1": "x"}}, "invalid", "env.1"),
        ({"command": ["a"], "walltime": 0}, "invalid-field", "walltime"),
        ({"command": ["a"], "network": "moon"}, "invalid-field", "network"),
        ({"command": ["a"], "priority": 1001}, "invalid-field", "priority"),
        ({"script": "echo"}, "invalid", "script"),
    ],
)
def test_a_fault_is_named_by_its_place(body: dict[str, Any], code: str, field: str) -> None:
    assert refused("job-submit", body) == (code, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "template"),
        ({"template": {"command": ["a"]}, "jobs": []}, "template"),
        ({"jobs": []}, "jobs"),
        ({"jobs": [{"command": ["a"]}], "count": 2}, "count"),
        ({"template": {"command": ["a"]}, "count": 0}, "count"),
        ({"jobs": [{"command": ["a"]}, {"command": ["a"], "memory": "x"}]}, "jobs[1].memory"),
        ({"jobs": [{"command": ["a"]}, {"command": ["a"]}, {"command": [""]}]}, "jobs[2].command"),
    ],
)
def test_a_batch_has_one_source_of_jobs_and_names_the_faulty_one(body: dict[str, Any], field: str) -> None:
    assert refused("batch-submit", body)[1] == field


def test_spec_defaults_ask_for_nothing() -> None:
    assert spec().resources == JobSpec(steps=spec().steps).resources
