"""Replication as the native API says it, and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from jobgate.dialects.native.again import draft_of
from jobgate.dialects.native.specs import Specs
from jobgate.dialects.native.wire import JobDraft
from jobgate.dialects.native.wire_replicas import ReplicationDraft, replication, replication_draft
from jobgate.model.errors import Invalid
from jobgate.model.job import ONCE, AppRef, Argv, Bitwise, Host, ImageRef, Numeric, Replication, Script, Validator


def read(said: dict[str, Any]) -> Replication:
    return replication(msgspec.convert(said, ReplicationDraft))


def test_what_is_not_said_of_replicas_is_two_that_agree_byte_for_byte() -> None:
    assert read({}) == Replication(replicas=2, quorum=2, compare=Bitwise())
    assert read({"replicas": 3}) == Replication(replicas=3, quorum=2)
    assert read({"replicas": 1}).plain
    assert replication(UNSET) is ONCE


def test_tolerances_and_validators_are_read_as_they_stand() -> None:
    assert read({"compare": {"numeric": {}}}).compare == Numeric(absolute=0.0, relative=1e-6)
    said = {"compare": {"validator": {"command": ["cmp", "1/out", "2/out"], "image": "diff"}}}
    assert read(said).compare == Validator(command=Argv(("cmp", "1/out", "2/out")), program=ImageRef("diff"))


@pytest.mark.parametrize(
    "said",
    [
        {"replicas": 2, "quorum": 3},
        {"replicas": 3, "total": 2},
        {"successes": 1},
        {"compare": {}},
        {"compare": {"numeric": {}, "validator": {"command": ["x"]}}},
        {"compare": {"validator": {}}},
        {"compare": {"validator": {"command": ["x"], "script": "#!/bin/sh\n"}}},
        {"compare": {"validator": {"script": "cmp"}}},
        {"compare": {"validator": {"command": ["x"], "app": "a", "image": "b"}}},
    ],
)
def test_what_cannot_be_is_refused_and_named_among_all_faults(said: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        read(said)
    assert (refused.value.field or "").startswith("replication")
    draft = JobDraft(command=("x",), replication=msgspec.convert(said, ReplicationDraft))
    assert [fault.field for fault in Specs().faults(draft, 0)] == [refused.value.field]


@pytest.mark.parametrize(
    "said", [{"replicas": 0}, {"replicas": 101}, {"errors": -1}, {"compare": "alike"}, {"other": 1}, {"total": 1.5}]
)
def test_other_types_and_numbers_out_of_range_are_refused_as_they_are_read(said: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(said)


programs = st.sampled_from([Host(), AppRef("r"), ImageRef("debian")])
compares = st.one_of(
    st.just(Bitwise()),
    st.builds(Numeric, st.floats(0, 10), st.floats(0, 1)),
    st.builds(
        Validator, command=st.sampled_from([Argv(("cmp", "1/a", "2/a")), Script("#!/bin/sh\ncmp\n")]), program=programs
    ),
)
rules = st.builds(
    lambda quorum, more, spare, errors, compare: Replication(
        replicas=quorum + more, quorum=quorum, errors=errors, total=quorum + more + spare, compare=compare
    ),
    st.integers(1, 5),
    st.integers(0, 4),
    st.integers(0, 9),
    st.integers(0, 9),
    compares,
)


@given(rules)
def test_a_draft_made_of_a_job_submits_the_same_replication_again(rule: Replication) -> None:
    draft = replication_draft(rule)
    assert draft is not None
    wire = msgspec.json.encode(JobDraft(command=("x",), replication=draft))
    spec = Specs().spec(msgspec.json.decode(wire, type=JobDraft), 0)
    assert spec.replication == rule
    again = draft_of(spec)
    assert again is not None
    assert again.replication == draft


def test_what_no_draft_can_say_gives_none() -> None:
    licensed = Validator(command=Argv(("x",)), program=AppRef("r", licence_accepted=True))
    assert replication_draft(Replication(replicas=2, quorum=2, compare=licensed)) is None
    assert replication_draft(Replication(replicas=2, total=1000)) is None
