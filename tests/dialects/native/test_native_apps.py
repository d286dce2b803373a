"""Jobs that give arguments and files alone, and the apps that say the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from inside import with_gateway
from native_examples import DIGEST, post

from jobgate import app
from jobgate.config import AppEntry
from jobgate.dialects import load
from jobgate.dialects.dialect import Dialect, Setup
from jobgate.dialects.native.faults import Faults
from jobgate.model.catalogue import App, Catalogue, Version
from jobgate.model.errors import Invalid, NotFound, RequestError
from jobgate.model.files import Inline, Output, Remote, StagedFile, UserFile
from jobgate.model.ids import FolderId
from jobgate.model.job import AppRef, Argv, JobSpec, Replication
from jobgate.model.operations import Submit
from jobgate.model.resources import Resources
from jobgate.model.template import InputSlot, OutputSlot, Template

UPPER = App(
    name="upper",
    command=("upper", "-q"),
    charge=2.0,
    template=Template(
        inputs=(InputSlot(path="in"), InputSlot(path="table", file="t.dat"), InputSlot()),
        outputs=(OutputSlot(path="out", limit=9),),
        arguments="--usual",
        resources=Resources(memory=1000, operations=7.0),
        credit=3.0,
    ),
    versions={90: Version(command=("old",))},
)
TWICE = App(name="twice", command=("twice",), template=Template(replication=Replication(replicas=2, quorum=2)))
CLOSED = App(name="closed", command=("closed",), template=UPPER.template, accounts=frozenset({"ann"}))
CATALOGUE = Catalogue({one.name: one for one in (UPPER, TWICE, CLOSED, App(name="bare"))})
NATIVE: Dialect = load("native", Setup(prefix="/v1", catalogue=CATALOGUE))
FILES = [{"content": "x"}, {"content": "y", "name": "b.txt"}]


def submit(verb: str, body: dict[str, Any]) -> Submit:
    asked = NATIVE.decode(post(verb, body)).operation
    assert isinstance(asked, Submit)
    return asked


def spec(**members: Any) -> JobSpec:
    return submit("job-submit", {"app": "upper", "files": FILES, **members}).groups[0].spec


def refused(**members: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        spec(**members)
    return caught.value


def test_arguments_and_files_become_a_command_and_inputs() -> None:
    made = spec(arguments="--t '1 0'", cores=2, inputs=[{"path": "own", "content": "z"}], outputs=[{"path": "log"}])
    (step,) = made.steps
    assert step.command == Argv(("upper", "-q", "--t", "1 0"))
    assert step.program == AppRef("upper")
    assert [(item.path, item.source) for item in made.inputs] == [
        ("in", Inline(b"x")),
        ("table", StagedFile("t.dat")),
        ("b.txt", Inline(b"y")),
        ("own", Inline(b"z")),
    ]
    assert made.outputs == (Output(path="out", limit=9, required=True), Output(path="log"))
    assert made.resources == Resources(cores=2, memory=1000, operations=7.0)
    assert (made.credit, made.charge, made.replication) == (3.0, 2.0, Replication())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, ("upper", "-q", "--usual")),
        ({"arguments": []}, ("upper", "-q")),
        ({"arguments": ["a b", ""]}, ("upper", "-q", "a b", "")),
        ({"arguments": "x", "app_version": 90}, ("old", "x")),
    ],
)
def test_the_command_is_the_apps_with_the_jobs_arguments_or_the_templates(
    more: dict[str, Any], words: tuple[str, ...]
) -> None:
    assert spec(**more).steps[0].command == Argv(words)


def test_files_come_from_all_that_inputs_come_from() -> None:
    first = spec(files=[{"upload": DIGEST}, {"file": "box/deep/c.txt"}])
    assert [item.source for item in first.inputs] == [
        UserFile(FolderId(0), DIGEST),
        StagedFile("t.dat"),
        UserFile(FolderId(0), "deep/c.txt", "box"),
    ]
    assert first.inputs[2].path == "c.txt"
    asked = submit(
        "job-submit", {"app": "upper", "files": [{"url": "https://u:p@example.org/a", "size": 1}, *FILES[1:]]}
    )
    source = asked.groups[0].spec.inputs[0].source
    assert source == Remote("https://example.org/a", size=1, secret="file-0-0")  # noqa: S106  # a name
    assert asked.groups[0].spec.secrets == {"file-0-0"}
    assert asked.secrets == {"file-0-0": "u:p"}


def test_several_attempts_of_a_template_are_those_of_the_job() -> None:
    made = submit("job-submit", {"app": "twice", "arguments": ""}).groups[0].spec
    assert made.replication == Replication(replicas=2, quorum=2)


@pytest.mark.parametrize(
    ("members", "kind", "code", "field"),
    [
        ({"files": FILES[:1]}, Invalid, "wrong-number", "files"),
        ({"files": [*FILES, *FILES]}, Invalid, "wrong-number", "files"),
        ({"command": ["x"]}, Invalid, "one-of", "arguments"),
        ({"script": "#!/bin/sh", "arguments": "x"}, Invalid, "one-of", "arguments"),
        ({"image": "x"}, Invalid, "one-of", "image"),
        ({"files": [{}, {}]}, Invalid, "one-of", "files[0]"),
        ({"app": "bare", "files": [], "arguments": "x"}, Invalid, "no-command", "command"),
        ({"app": "none"}, NotFound, "app-not-found", "app"),
        ({"app_version": 5}, NotFound, "app-version-not-found", None),
    ],
)
def test_what_does_not_fit_the_app_is_refused(
    members: dict[str, Any], kind: type[RequestError], code: str, field: str | None
) -> None:
    error = refused(**members)
    assert isinstance(error, kind)
    assert (error.code, error.field) == (code, field)


def test_arguments_without_an_app_are_refused() -> None:
    for body in ({"arguments": "x"}, {"files": FILES}):
        with pytest.raises(Invalid) as caught:
            NATIVE.decode(post("job-submit", body))
        assert (caught.value.code, caught.value.field) == ("one-of", "app")


def test_each_job_of_a_list_and_each_row_of_a_sweep_is_bound() -> None:
    jobs = [{"app": "upper", "arguments": f"--t {n}", "files": FILES} for n in range(3)]
    asked = submit("batch-submit", {"jobs": jobs})
    assert [group.spec.steps[0].command for group in asked.groups] == [
        Argv(("upper", "-q", "--t", str(n))) for n in range(3)
    ]
    files = [{"content": "{t}"}, {"content": "y", "name": "{index}.txt"}]
    for arguments in ("--t {t}", ["--t", "{t}"]):
        template = {"app": "upper", "arguments": arguments, "files": files}
        (group,) = submit("batch-submit", {"template": template, "sweep": {"t": [10, 11]}}).groups
        assert group.each is not None
        made = group.each(1)
        assert made.steps[0].command == Argv(("upper", "-q", "--t", "11"))
        assert [(item.path, item.source) for item in made.inputs[::2]] == [
            ("in", Inline(b"11")),
            ("1.txt", Inline(b"y")),
        ]


def test_a_fault_of_one_job_in_a_list_is_told_with_its_place() -> None:
    bare = [{"app": "upper", "arguments": ""}, {"app": "upper", "arguments": "x"}]
    jobs = [{"app": "upper", "files": FILES}, *bare]
    with pytest.raises(Faults) as caught:
        NATIVE.decode(post("batch-submit", {"jobs": jobs}))
    assert [error.field for error in caught.value.each] == ["jobs[1].files", "jobs[2].files"]


# --- with a gateway

APPS = msgspec.convert(
    {
        "lower": {"command": ["tr", "A-Z", "a-z"], "accounts": ["other"]},
        "upper": {
            "title": "Capital letters",
            "command": ["sh", "-c", 'tr a-z A-Z < in > out; echo "$@"', "upper"],
            "template": {
                "inputs": [{"path": "in"}],
                "outputs": [{"path": "out", "limit": 20}],
                "arguments": "none",
            },
            "versions": {"90": {"command": ["false"]}},
        },
        "past": {"command": ["true"], "deprecated": True},
    },
    dict[str, AppEntry],
)


def test_an_app_with_a_template_is_listed_and_runs(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        listed = {item["name"]: item for item in (await client.get("/v1/apps")).json()["items"]}
        assert set(listed) == {"upper", "past"}
        assert listed["past"]["deprecated"] is True
        assert listed["upper"]["versions"] == [90]
        assert listed["upper"]["template"] == {
            "files": 1,
            "inputs": [{"path": "in", "open": True}],
            "outputs": [{"path": "out", "max_bytes": 20}],
            "arguments": "none",
        }
        job = {"app": "upper", "arguments": ["a b", "c"], "files": [{"content": "hello"}]}
        made = (await client.post("/v1/jobs", json=job)).json()
        over = (await client.get(f"/v1/jobs/{made['id']}?wait=30")).json()
        assert over["state"] == "succeeded", over
        assert over["app"] == "upper"
        assert (await client.get(f"/v1/jobs/{made['id']}/files/out")).text == "HELLO"
        assert (await client.get(f"/v1/jobs/{made['id']}/log")).text == "a b c\n"
        large = {**job, "files": [{"content": "x" * 21}]}
        made = (await client.post("/v1/jobs", json=large)).json()
        over = (await client.get(f"/v1/jobs/{made['id']}?wait=30")).json()
        assert (over["state"], over["failure"], over["limit"]) == ("failed", "limit", "output")
        assert "out (20 bytes at most)" in over["message"]

    with_gateway(tmp_path, body, apps=APPS)


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [
        ({"app": "lower", "arguments": "x"}, 404, "app-not-found"),
        ({"app": "lower", "files": [{"content": "x"}]}, 404, "app-not-found"),
        ({"app": "lower", "command": ["x"]}, 404, "app-not-found"),
        ({"app": "none", "arguments": "x"}, 404, "app-not-found"),
        ({"app": "past", "arguments": "x"}, 422, "app-deprecated"),
        ({"app": "past", "command": ["true"]}, 422, "app-deprecated"),
        ({"app": "upper", "app_version": 5, "command": ["true"]}, 404, "app-version-not-found"),
        ({"app": "upper", "files": []}, 422, "invalid"),
    ],
)
def test_an_app_that_is_anothers_looks_unknown_and_one_of_the_past_takes_nothing_new(
    tmp_path: Path, job: dict[str, Any], status: int, code: str
) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/jobs", json=job)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        if job["app"] == "lower":
            unknown = await client.post("/v1/jobs", json={**job, "app": "lowly"})
            told = json.dumps(answer.json()["detail"]).replace("lower", "lowly")
            assert told == json.dumps(unknown.json()["detail"])

    with_gateway(tmp_path, body, apps=APPS)
