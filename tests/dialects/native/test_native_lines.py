"""A batch as one job a line: however its bytes are cut, it is the batch of those jobs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_examples import FULL, KEY, post, setup

from jobgate.dialects import load
from jobgate.dialects.dialect import Body, Call, Dialect
from jobgate.dialects.native.faults import MOST
from jobgate.dialects.native.lines import LONGEST
from jobgate.model.errors import Invalid, RequestError, TooLarge
from jobgate.model.limits import Limits
from jobgate.model.operations import Submit

NATIVE: Dialect = load("native", msgspec.structs.replace(setup(), limits=Limits(batch=1000)))
ROUTE = next(route for route in NATIVE.routes if route.verb == "batch-submit")


def call(key: str = "", **query: str) -> Call:
    headers = {"authorization": f"Bearer {KEY}", **({"idempotency-key": key} if key else {})}
    return Call(verb="batch-submit", headers=headers, query=query)


def read(*pieces: bytes, asked: Call | None = None) -> Submit:
    assert ROUTE.lines is not None
    reader = ROUTE.lines(asked or call())
    for piece in pieces:
        reader.feed(piece)
    operation = reader.end().operation
    assert isinstance(operation, Submit)
    return operation


def told(*pieces: bytes) -> dict[str, str]:
    """Pointer to code of every fault in the problem."""
    with pytest.raises(Invalid) as caught:
        read(*pieces)
    reply = NATIVE.refuse(call(), caught.value)
    assert isinstance(reply.body, bytes)
    return {fault["pointer"]: fault["code"] for fault in msgspec.json.decode(reply.body)["errors"]}


def listed(*jobs: dict[str, Any]) -> Submit:
    """The same as a JSON array."""
    operation = NATIVE.decode(post("batch-submit", {"jobs": jobs})).operation
    assert isinstance(operation, Submit)
    return operation


def lines(*jobs: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(job).encode() + b"\n" for job in jobs)


def test_the_route_reads_lines() -> None:
    assert ROUTE.body is Body.LINES


def test_a_batch_of_lines_is_the_batch_of_those_jobs() -> None:
    jobs = ({"command": ["a"]}, FULL, FULL, {"script": "#!/bin/sh\n\u2028\n"})
    one, other = read(lines(*jobs)), listed(*jobs)
    assert (one.groups, one.secrets, one.origin, one.app) == (other.groups, other.secrets, other.origin, other.app)


_jobs = st.lists(
    st.one_of(
        st.builds(lambda word: {"command": ["run", word]}, st.text("ab\n\r é𝄞\u2028", max_size=5)),
        st.builds(lambda cores: {"command": ["run"], "cores": cores}, st.integers(1, 2)),
    ),
    min_size=1,
    max_size=6,
)


@given(_jobs, st.booleans(), st.booleans(), st.data())
def test_where_the_bytes_are_cut_makes_no_difference(
    jobs: list[dict[str, Any]], crlf: bool, open_end: bool, data: st.DataObject
) -> None:
    body = b"\xef\xbb\xbf" * crlf + lines(*jobs)
    if crlf:
        body = body.replace(b"\n", b"\r\n\n")
    if open_end:
        body = body.rstrip()
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    expected = [group.spec for group in listed(*jobs).groups for _ in range(group.count)]
    found = read(*pieces, asked=call("k"))
    assert [group.spec for group in found.groups for _ in range(group.count)] == expected
    assert found.guard == read(body, asked=call("k")).guard
    assert [*found.groups] == [*read(*(bytes([byte]) for byte in body)).groups]


@given(st.binary(max_size=200) | _jobs.map(lambda jobs: lines(*jobs)).flatmap(lambda b: st.permutations(b).map(bytes)))
def test_whatever_comes_is_taken_or_refused(body: bytes) -> None:
    try:
        found: RequestError | None = None
        read(body)
    except RequestError as error:
        found = error
    assert found is None or NATIVE.refuse(call(), found).status in (400, 413, 422)


def test_equal_lines_that_follow_each_other_are_copies() -> None:
    found = read(lines(*[{"command": ["a"]}] * 3, {"command": ["b"]}, {"command": ["a"]}))
    assert [group.count for group in found.groups] == [3, 1, 1]


def test_what_the_batch_itself_has_stands_in_the_query() -> None:
    assert ROUTE.lines is not None
    pairs = (
        ("name", "n"),
        ("label", "a=b=c"),
        ("label", "d="),
        ("priority", "-5"),
        ("held", "true"),
        ("webhook", "w1"),
    )
    found = read(lines({"command": ["a"]}), asked=msgspec.structs.replace(call(), pairs=pairs, query=dict(pairs)))
    assert (found.name, found.labels, found.priority) == ("n", {"a": "b=c", "d": ""}, -5)
    assert (found.held, found.webhook) == (True, "w1")
    for wrong in ({"label": "x"}, {"label": "=x"}, {"priority": "1001"}, {"nmae": "n"}, {"name": "a\0"}, {"held": "x"}):
        with pytest.raises(Invalid) as caught:
            ROUTE.lines(call(**wrong))
        body = NATIVE.refuse(call(), caught.value).body
        assert isinstance(body, bytes)
        assert msgspec.json.decode(body)["errors"][0]["parameter"] in wrong


def test_a_key_belongs_to_the_lines_and_to_what_stands_in_the_query() -> None:
    body = lines({"command": ["a"]})
    keys = [
        read(body, asked=call("k")).guard,
        read(body, asked=call("k", name="n")).guard,
        read(body + b"\n", asked=call("k")).guard,
    ]
    assert len({key.body for key in keys if key is not None}) == 3
    assert read(body).guard is None
    assert ROUTE.lines is not None
    with pytest.raises(Invalid):
        ROUTE.lines(call("x" * 256))


# --- faults


def test_every_fault_is_told_with_its_line() -> None:
    body = b'{"command": ["a"]}\n\n{"command": [5], "nope": 1}\nno json\n  \n{"command": ["a"], "memory": "x"}\n[]\n{}'
    assert (
        told(body)
        == told(body[:30], body[30:])
        == {
            "#/2/nope": "unknown-field",
            "#/2/command/0": "invalid-field",
            "#/3": "invalid-json",
            "#/5/memory": "unit",
            "#/6": "invalid-json",
            "#/7/command": "one-of",
        }
    )


def test_of_very_many_faults_the_first_are_told_and_nothing_is_kept() -> None:
    found = told(*[b"{}\n"] * 500)
    assert len(found) == MOST
    assert list(found)[-1] == f"#/{MOST - 1}/command"


def test_nothing_is_no_batch() -> None:
    for body in (b"", b"\n \r\n\t\n"):
        with pytest.raises(Invalid) as caught:
            read(body)
        assert caught.value.code == "empty"


def test_a_job_too_many_is_refused_at_once() -> None:
    assert ROUTE.lines is not None
    reader = ROUTE.lines(call())
    reader.feed(lines(*[{"command": ["a"]}] * 1000))
    with pytest.raises(TooLarge) as caught:
        reader.feed(b'{"command": ["b"]}\n')
    assert (caught.value.code, caught.value.field) == ("batch-too-large", "[1000]")


def test_a_line_without_end_is_refused_when_it_is_too_long_and_not_kept() -> None:
    assert ROUTE.lines is not None
    reader = ROUTE.lines(call())
    piece = b" " * (LONGEST // 4)
    for _ in range(4):
        reader.feed(piece)
    with pytest.raises(TooLarge) as caught:
        reader.feed(b"x")
    assert caught.value.field == "[0]"


def test_no_credential_of_a_line_stays_but_in_the_secrets() -> None:
    urls = [{"command": ["a"], "inputs": [{"path": "x", "url": f"https://user:word-{n}@e.org/"}]} for n in range(3)]
    found = read(lines(*urls))
    assert sorted(found.secrets.values()) == ["user:word-0", "user:word-1", "user:word-2"]
    assert b"word-" not in msgspec.msgpack.encode(found.groups)
