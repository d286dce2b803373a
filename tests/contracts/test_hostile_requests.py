"""Hostile requests to every route of every dialect, through the whole front: no fault of ours, no trace."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from subjects import subject

from jobgate.dialects import DIALECTS
from jobgate.dialects.dialect import Call
from jobgate.files.storage import Source
from jobgate.model.account import Kind, Principal, Proof, Scope, Signature
from jobgate.model.files import Stored
from jobgate.model.ids import AccountId, Digest
from jobgate.model.job import Origin
from jobgate.model.operations import Request, Write
from jobgate.model.outcomes import Outcome, Written
from jobgate.server.asgi import build
from jobgate.server.front import Front
from jobgate.server.table import Mount
from jobgate.testing.outcomes import outcomes

NAMES = sorted(DIALECTS)
SPOKEN = {name: subject(name).build() for name in NAMES}
ALL = Principal(account=AccountId(7), name="ada", scopes=frozenset(Scope))
ROUTES = [(name, route) for name in NAMES for route in SPOKEN[name].routes]
CALLS = [(name, call) for name in NAMES for call in subject(name).examples]


class Sunk:
    """A storage that keeps nothing."""

    async def put(self, source: Source, *, limit: int | None) -> Stored:
        del limit
        assert isinstance(source, AsyncIterator)
        size = 0
        async for piece in source:
            size += len(piece)
        return Stored(Digest("0" * 64), size)

    async def put_all(self, sources: Sequence[Source], *, limit: int | None) -> list[Stored]:
        return [await self.put(source, limit=limit) for source in sources]

    def aged(self, before: float) -> AsyncIterator[list[Digest]]:
        raise NotImplementedError

    async def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        del digest
        yield b"x" * (length or offset)

    async def copy_to(self, digest: Digest, target: Path, *, executable: bool = False) -> None:
        raise NotImplementedError

    async def delete(self, digests: Iterable[Digest]) -> list[Digest]:
        raise NotImplementedError

    def free(self) -> int:
        return 1


class Agreeable:
    """The rest of a gateway that says something possible to everything."""

    def __init__(self) -> None:
        self.front = Front(
            [Mount(DIALECTS[name][0], SPOKEN[name]) for name in NAMES],
            authenticate=self._authenticate,
            admit=lambda _: None,
            handle=self._handle,
            storage=Sunk(),
            verify=lambda *_: False,
            ready=lambda: None,
            clock=lambda: 5.0,
        )
        self.app = build(self.front)

    async def _authenticate(self, proof: Proof | Signature) -> Principal:
        assert isinstance(proof.kind, Kind)
        return ALL

    async def _handle(self, request: Request) -> Outcome:
        operation = request.operation
        if isinstance(operation, Write):
            content = operation.upload if isinstance(operation.upload, bytes) else b""
            return Written(digest=Digest(hashlib.sha256(content).hexdigest()), size=len(content), fresh=True)
        return next(iter(outcomes(operation, Origin(dialect="another"))))


WORLD = Agreeable()
HEADERS = {"authorization": "Bearer key"}


def address(name: str, route: Any) -> str:
    path = (
        route.path.replace("/jobs/{id}", "/jobs/{job}")
        .replace("{job}", "2n6mr2bv-1")
        .replace("{id}", "2n6mr2bv")
        .replace("{path:path}", "a/b")
    )
    return DIALECTS[name][0] + str(path)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def heard(scope: Any, receive: Any, send: Any) -> None:
    await WORLD.app(scope, receive, send)


def ask(method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes = b"") -> Answer:
    """The answer to an address as it stands on the wire; that it holds no fault of ours has been seen to."""
    raw, _, query = url.partition("?")
    scope: Any = {
        "type": "http",
        "method": method,
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in ({**HEADERS, **(headers or {})}).items()],
        "client": ("192.0.2.1", 1),
    }
    scope["headers"].append((b"content-length", b"%d" % len(content)))
    said: list[Any] = []
    at = iter(range(0, len(content), 65_536))

    async def receive() -> Any:
        begin = next(at, len(content))
        more = begin + 65_536 < len(content)
        return {"type": "http.request", "body": content[begin : begin + 65_536], "more_body": more}

    async def send(message: Any) -> None:
        said.append(message)

    with capture_logs() as logs:
        asyncio.run(heard(scope, receive, send))
    start, *pieces = said
    answer = Answer(start["status"], start["headers"], b"".join(piece["body"] for piece in pieces))
    assert answer.status < 500, answer.body[:500]
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert b"Traceback" not in answer.body
    assert b"site-packages" not in answer.body
    return answer


HOSTILE: Mapping[str, bytes] = {
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "deep and closed": b'{"authenticator":"k","specs":' + b"[" * 900 + b"]" * 900 + b"}",
    "a huge number": b'{"authenticator":"k","hours":1' + b"0" * 5000 + b"}",
    "a huge exponent": b'{"authenticator":"k","hours":1e999999999,"copies":1E400}',
    "not a number": b'{"authenticator":"k","hours":NaN}',
    "infinity": b'{"authenticator":"k","hours":Infinity}',
    "nul": b'{"authenticator":"k\\u0000","app":"\\u0000","jobId":"\\u0000","command":["\\u0000"]}',
    "raw nul": b'{"authenticator":"\0"}',
    "a lone surrogate": b'{"authenticator":"\\ud800","app":"\\udfff","jobId":"\\ud83d","command":["\\ud800"]}',
    "half a pair": b'{"authenticator":"k","jobId":"\\ud800\\ud800"}',
    "utf-16": '{"authenticator":"k"}'.encode("utf-16"),
    "utf-7": b'+AHs-"authenticator":"k"+AH0-',
    "overlong": b'{"a":"\xc0\xaf"}',
    "twice": b'{"authenticator":"a","authenticator":"b","jobId":"x","jobId":["y"],"command":["a"],"command":5}',
    "many members": b"{" + b",".join(b'"m%d":1' % n for n in range(50_000)) + b"}",
    "a long name": b'{"' + b"n" * 500_000 + b'":1}',
    "proto": b'{"__proto__":{"x":1},"__class__":"x","authenticator":"k"}',
    "a comment": b'{"authenticator":"k"/* */}',
    "two documents": b'{"authenticator":"k"}{"authenticator":"l"}',
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "a form": b"authenticator=k&app=x",
    "empty": b"",
    "blanks": b" \n\t",
    "no-break": b"\xc2\xa0" * 10_000 + b"{}",
    "quotes and gaps": b'"\\' * 100_000 + b"\xc2\xa0",
    "a string without end": b'\xc2\xa0"' + b"a" * 500_000,
}
LABELS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "b" * 5000,
    'multipart/form-data; boundary="\\"',
    "text/xml; charset=utf-99",
    "",
    ";;;",
)


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(("name", "route"), ROUTES, ids=lambda value: value if isinstance(value, str) else value.verb)
def test_a_hostile_body_is_refused_in_words(name: str, route: Any, body: bytes) -> None:
    for method in sorted(route.methods):
        ask(method, address(name, route), content=body)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("name", "route"), ROUTES, ids=lambda value: value if isinstance(value, str) else value.verb)
def test_a_wrong_label_breaks_nothing(name: str, route: Any, label: str) -> None:
    for body in (b"{}", b"--\r\n\r\n--", b"--b\r\nContent-Disposition: form-data; name*=UTF-8''%ff\r\n\r\nx\r\n--b--"):
        ask(min(route.methods), address(name, route), headers={"content-type": label}, content=body)


ODD = st.text(st.characters(codec="utf-8")) | st.sampled_from(["\0", "\u202e", "../..", "j" * 300, "%00", "'\"<>"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD, inner, max_size=4),
    max_leaves=8,
)


def members(call: Call) -> list[str]:
    try:
        body = json.loads(call.body)
    except ValueError:
        return []
    return sorted(body) if isinstance(body, dict) else []


@pytest.mark.parametrize(("name", "call"), CALLS, ids=lambda value: value if isinstance(value, str) else value.verb)
def test_a_value_of_any_kind_in_any_member_is_taken_or_refused(name: str, call: Call) -> None:
    route = next(route for route in SPOKEN[name].routes if route.verb == call.verb)
    own = members(call)
    if not own:
        return
    whole = json.loads(call.body)

    @settings(max_examples=20)
    @given(st.dictionaries(st.sampled_from(own) | ODD, VALUES, max_size=4))
    def tried(changed: dict[str, Any]) -> None:
        body = json.dumps(whole | changed)
        ask(min(route.methods), address(name, route), content=body.encode())

    tried()


def queries() -> Iterator[str]:
    yield "&".join(f"p{n}=1" for n in range(10_000))
    yield "&" * 10_000
    yield "wait=" + "9" * 10_000
    yield "wait=%00&output=%ff&sig=%zz&exp=1"
    yield "exp=1&sig=" + "a" * 10_000
    yield "output=" + "1" * 5000
    yield "%" * 1000
    yield "a=" + "%25" * 5000


@pytest.mark.parametrize("query", tuple(queries()), ids=lambda query: query[:12])
@pytest.mark.parametrize(("name", "route"), ROUTES, ids=lambda value: value if isinstance(value, str) else value.verb)
def test_a_hostile_query_breaks_nothing(name: str, route: Any, query: str) -> None:
    for method in sorted(route.methods):
        ask(method, f"{address(name, route)}?{query}", content=b"{}" if method == "POST" else b"")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/%00",
        "/v1/jobs/%2e%2e%2f%2e%2e",
        "/v1/jobs/..%2f..",
        "/v1//jobs//2n6mr2bv-1//",
        "/v1/jobs/" + "j" * 20_000,
        "/v1/jobs/%ff%fe",
        "/v1/jobs/%u0041",
        "/v1/jobs/%",
        "/v1/jobs/%25%30%30",
        "/v1/%6aobs/2n6mr2bv-1",
        "/v1/jobs/j%0d%0aX-Evil:1",
        "/remotejobs/v2/files/2n6mr2bv-1/..%2f..%2f..%2fetc%2fpasswd",
        "/remotejobs/v2/files/2n6mr2bv-1/%2e%2e/secret.key",
        "/remotejobs/v2/files/2n6mr2bv-1/a%00b",
        "/remotejobs/v2/files/2n6mr2bv-1/" + "a/" * 5000,
        "/remotejobs/v2/files//a",
        "/remotejobs/v2/files/2n6mr2bv-1/",
        "/remotejobs/v2/logs/%E2%80%AE",
        "/remotejobs/v2/" + "%2f" * 1000,
        "/" + "/" * 10_000,
        "/v1\\jobs",
        "/v1;x=y/jobs",
    ],
    ids=lambda path: path[:40],
)
def test_a_hostile_path_breaks_nothing(path: str) -> None:
    for method in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"):
        answer = ask(method, path)
        assert all(b"\n" not in value and b"evil" not in name.lower() for name, value in answer.headers)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_no_path_breaks_anything(tail: str) -> None:
    for prefix in ("/v1/jobs/", "/remotejobs/v2/files/2n6mr2bv-1/", "/remotejobs/v2/"):
        ask("GET", prefix + "".join(f"%{byte:02x}" for byte in tail.encode()))
