"""A job's draft submits the same again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from native_examples import FULL, post, setup

from jobgate.dialects import load
from jobgate.dialects.native.again import draft_of
from jobgate.dialects.native.wire import InputDraft
from jobgate.model.files import Input, Remote, Stored
from jobgate.model.ids import Digest
from jobgate.model.job import Argv, JobSpec, Late, Place, Replication, Step
from jobgate.model.operations import Submit

NATIVE = load("native", setup())


def spec_of(body: dict[str, Any]) -> JobSpec:
    operation = NATIVE.decode(post("job-submit", body)).operation
    assert isinstance(operation, Submit)
    return operation.groups[0].spec


@pytest.mark.parametrize(
    "body",
    [
        {"command": ["true"]},
        {"command": ["true"], "operations": 2.5e12, "credit": 0.0},
        {"script": "#!/bin/sh\ntrue\n", "app": "sh", "tries": 3},
        {"command": ["true"], "app": "sh", "accept_licence": True},
        {name: value for name, value in FULL.items() if name != "inputs"},
        FULL,
        {"command": ["a"], "inputs": [{"path": "x", "url": "https://me:secret@example.org/x"}]},
    ],
)
def test_the_draft_of_a_spec_makes_that_spec_but_for_the_passwords_of_addresses(body: dict[str, Any]) -> None:
    made = spec_of(body)
    draft = draft_of(made)
    assert draft is not None
    said = msgspec.json.encode(draft)
    assert b"secret" not in said
    assert (b'"cores"' in said) == ("cores" in body)
    bare = replace(
        made,
        secrets=frozenset(),
        inputs=tuple(
            replace(item, source=replace(item.source, secret=None)) if isinstance(item.source, Remote) else item
            for item in made.inputs
        ),
    )
    assert spec_of(msgspec.json.decode(said)) == bare


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(steps=(Step(command=Argv(("a",))), Step(command=Argv(("b",))))),
        JobSpec(steps=(Step(command=Argv(("a",)), late_env={"X": Late.JOB}),)),
        JobSpec(steps=(Step(command=Argv(("a",)), stdout="out"),)),
        JobSpec(steps=(Step(command=Argv(("a",))),), replication=Replication(replicas=2, total=1000)),
        JobSpec(steps=(Step(command=Argv(("a",))),), place=Place(home="/data")),
        JobSpec(
            steps=(Step(command=Argv(("a",))),),
            inputs=(Input(path="x", source=Remote("https://example.org/", md5="0" * 32)),),
        ),
    ],
)
def test_what_only_another_api_can_say_has_no_draft(spec: JobSpec) -> None:
    assert draft_of(spec) is None


def test_a_stored_input_is_named_by_its_hash() -> None:
    stored = replace(spec_of({"command": ["a"]}), inputs=(Input(path="x", source=Stored(Digest("ab" * 32), 3)),))
    draft = draft_of(stored)
    assert draft is not None
    assert draft.inputs == (InputDraft(path="x", upload="ab" * 32),)
