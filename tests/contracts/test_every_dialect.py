"""Every dialect of the table keeps every promise of the suite.

`subjects.py` says where a dialect's own part stands.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from subjects import subject

from jobgate.dialects import DIALECTS, load
from jobgate.dialects.dialect import Call, Setup
from jobgate.model.errors import Invalid, NotFound
from jobgate.testing.dialects import SUITE, Subject, survives

every_dialect = pytest.mark.parametrize("name", sorted(DIALECTS))


@every_dialect
@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
def test_it_keeps_the_promise(name: str, promise: Callable[[Subject], None]) -> None:
    promise(subject(name))


@every_dialect
def test_its_name_is_the_one_it_is_configured_by(name: str) -> None:
    assert subject(name).name == name
    assert subject(name).build().name == name


@every_dialect
def test_a_setting_it_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        load(name, Setup(prefix="/x", settings={"no_such_setting": 1}))


def test_a_dialect_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(NotFound, match="charity_engine"):
        load("esperanto", Setup(prefix="/x"))


# --- hostile bodies

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
LITERALS = (
    b"",
    b"null",
    b"[]",
    b"{",
    b"{}",
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":1e999}',
    b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":"\\ud800"}',
    b'{"\\udfff":1}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xff"}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b'{"a":' * 20_000,
    b"[" * 200_000,
    b'"\\"' * 100_000 + b"\xc2\xa0",
    b"{" + b"\xc2\xa0" * 1000 + b"}",
    b"<xml/>",
)


def _calls(name: str) -> tuple[Call, ...]:
    return subject(name).examples


def _bearing(call: Call, body: bytes) -> Call:
    """The call with that body, or with that in each field of its form."""
    return replace(call, body=b"" if call.fields else body, fields=dict.fromkeys(call.fields, body))


@every_dialect
@pytest.mark.parametrize("body", LITERALS, ids=lambda body: repr(body[:24]))
def test_a_hostile_body_is_refused_and_nothing_breaks(name: str, body: bytes) -> None:
    for call in _calls(name):
        survives(subject(name).build(), _bearing(call, body))


@every_dialect
@given(body=st.binary(max_size=200), data=st.data())
def test_arbitrary_bytes_raise_nothing_but_a_refusal(name: str, body: bytes, data: st.DataObject) -> None:
    call = data.draw(st.sampled_from(_calls(name)))
    survives(subject(name).build(), _bearing(call, body))


@pytest.mark.parametrize("name", sorted(name for name in DIALECTS if any(call.body for call in _calls(name))))
@given(data=st.data())
def test_any_json_in_any_member_raises_nothing_but_a_refusal(name: str, data: st.DataObject) -> None:
    call = data.draw(st.sampled_from([call for call in _calls(name) if call.body]))
    body: dict[str, Any] = msgspec.json.decode(call.body)
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(body)) | st.text(max_size=10), VALUES, max_size=3))
    try:
        spoiled = msgspec.json.encode(body | changes)
    except UnicodeEncodeError:  # a lone surrogate, which no JSON in UTF-8 holds
        return
    survives(subject(name).build(), replace(call, body=spoiled))


@every_dialect
@given(data=st.data())
def test_any_path_query_and_header_raises_nothing_but_a_refusal(name: str, data: st.DataObject) -> None:
    call = data.draw(st.sampled_from(_calls(name)))
    texts = st.text(max_size=30) | st.binary(max_size=20).map(lambda b: f"Basic {base64.b64encode(b).decode()}")
    names = st.sampled_from(["authorization", "content-type", "idempotency-key", "sha256", "authenticator", "wait"])
    pairs = st.dictionaries(names | st.text(max_size=8), texts, max_size=3)
    path = {key: data.draw(texts) for key in call.path}
    survives(
        subject(name).build(),
        replace(call, path=path, query=data.draw(pairs), headers={**call.headers, **data.draw(pairs)}),
    )
