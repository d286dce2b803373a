"""One connection to the real server: framing that two readers could read two ways, floods, and clients that stall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from front_fakes import Memory, Plain, World
from socket_talk import head, one, served

from jobgate.dialects.dialect import Call, Reply
from jobgate.model.ids import Digest
from jobgate.model.outcomes import Outcome
from jobgate.server.protocol import HEAD_FIELDS, Protocol
from jobgate.server.table import Mount

NEXT = head(b"GET /p/me HTTP/1.1", b"Connection: close")
CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"


def post(*headers: bytes) -> bytes:
    return head(b"POST /p/echo HTTP/1.1", *headers)


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


# --- where a request ends


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 3", CHUNKED),
        (CHUNKED, b"Content-Length: 3"),
        (CHUNKED, CHUNKED),
        (CHUNKED, b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked, gzip",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding: \x0bchunked",),
        (b"Content-Length: 3", b"Content-Length: 3"),
        (b"Content-Length: 3,3",),
        (b"Content-Length: +3",),
        (b"Content-Length: 0x3",),
        (b"Content-Length: ",),
        (b"Content-Length: 99999999999999999999999",),
        (b"X: a\r\n Content-Length: 3",),
        (b"X: a\rContent-Length: 3", b"Content-Length: 0"),
        (b"X: \0",),
    ],
)
def test_a_body_whose_end_can_be_read_two_ways_is_refused_and_nothing_after_it_is_heard(
    headers: tuple[bytes, ...],
) -> None:
    world = World()
    assert statuses(one(world, post(*headers) + END + NEXT)) == [400]
    assert world.dialect.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"0x3\r\nabc\r\n" + END,
        b"-3\r\nabc\r\n" + END,
        b"fffffffffffffffff\r\nabc\r\n" + END,
        b"3\nabc\r\n" + END,
        b"3\r\nabcX" + END,
        b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n",
        b"\r\n",
        b"three\r\nabc\r\n" + END,
    ],
)
def test_chunks_that_are_none_are_refused(body: bytes) -> None:
    world = World()
    assert statuses(one(world, post(CHUNKED) + body + NEXT)) == [400]
    assert world.dialect.calls == []


def test_a_body_in_chunks_is_taken_however_the_network_cuts_it() -> None:
    world = World()
    whole = post(CHUNKED) + b"3;name=value\r\nabc\r\n2\r\nde\r\n" + END + NEXT
    answer = one(world, *(whole[at : at + 1] for at in range(len(whole))))
    assert (statuses(answer), world.dialect.calls[0].body) == ([200, 200], b"abcde")


def test_an_old_clients_chunks_are_refused() -> None:
    assert statuses(one(World(), head(b"POST /p/echo HTTP/1.0", CHUNKED) + END)) == [400]


@pytest.mark.parametrize("line", [b"GET /p/me HTTP/1.1\r\n\r\n", b"GET /p/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"])
def test_a_request_names_one_host(line: bytes) -> None:
    assert statuses(one(World(), line)) == [400]


@pytest.mark.parametrize("line", [b"GET /p/me", b"GET /p/me HTTP/2.0", b"CONNECT x:80 HTTP/1.1", b"GET p/me HTTP/1.1"])
def test_what_is_no_request_to_a_server_of_http_1_is_refused(line: bytes) -> None:
    assert statuses(one(World(), head(line) + NEXT)) == [400]


def test_a_trailer_is_no_header() -> None:
    world = World()
    request = b"POST /p/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + CHUNKED + b"\r\n\r\n"
    assert statuses(one(world, request + b"0\r\nAuthorization: Bearer user\r\n\r\n")) == [401]


def test_an_upgrade_nobody_wants_costs_no_body() -> None:
    # Java's own client offers h2c with its first POST
    world = World()
    upgrade = post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"Content-Length: 3")
    assert statuses(one(world, upgrade + b"abc" + NEXT)) == [200, 200]
    assert world.dialect.calls[0].body == b"abc"


def test_who_waits_for_100_is_told_to_go_on() -> None:
    answer = one(World(), post(b"Expect: 100-continue", b"Content-Length: 3", b"Connection: close") + b"abc")
    assert statuses(answer) == [100, 200]


# --- pipelines


def test_pipelined_requests_are_answered_in_their_order() -> None:
    world = World()
    asked = [b"%d" % number for number in range(500)]
    answer = one(world, b"".join(post(b"Content-Length: %d" % len(word)) + word for word in asked) + NEXT)
    assert [call.body for call in world.dialect.calls] == [*asked, b""]
    at = [answer.index(b'"body":"%s"' % word) for word in asked]
    assert at == sorted(at)


def test_nothing_is_heard_after_a_request_that_ends_its_connection() -> None:
    world = World()
    assert statuses(one(world, NEXT + NEXT)) == [200]


def test_a_bad_request_does_not_cost_the_one_before_it_its_answer() -> None:
    world = World()
    answer = one(world, post(b"Content-Length: 3") + b"abc" + b"no request\r\n\r\n")
    assert (statuses(answer), len(world.dialect.calls)) == ([200], 1)


# --- floods


def test_a_flood_of_headers_hears_that_they_are_too_many() -> None:
    world = World()
    answer = one(world, head(b"GET /p/me HTTP/1.1", *(b"a:b" for _ in range(60_000))))
    assert (statuses(answer), world.dialect.calls) == ([431], [])
    assert statuses(one(world, head(b"GET /p/me HTTP/1.1", *[b"a: b"] * (HEAD_FIELDS - 3), b"Connection: close"))) == [
        200
    ]


def test_a_flood_of_trailers_ends_the_request() -> None:
    world = World()
    assert statuses(one(world, post(CHUNKED) + b"0\r\n" + b"a: b\r\n" * 30_000)) == [400]
    assert world.dialect.calls == []


# --- clients that do not read


class Long(Plain):
    """Answers `me` with more than the network takes at once."""

    def encode(self, call: Call, outcome: Outcome) -> Reply:
        return Reply(body=msgspec.json.encode("x" * (16 << 20))) if call.verb == "me" else super().encode(call, outcome)


class Endless(Memory):
    """One file of many pieces; tells how many were asked for, and when nobody wants more."""

    PIECE = b"x" * (64 << 10)
    PIECES = 4096

    def __init__(self) -> None:
        super().__init__()
        self.given = 0
        self.left = asyncio.Event()

    async def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        del digest, offset, length
        try:
            for _ in range(self.PIECES):
                self.given += 1
                yield self.PIECE
        finally:
            self.left.set()


def test_a_file_goes_no_faster_than_it_is_read_and_who_never_reads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobgate.server.protocol.STALL_SECONDS", 0.05)
    storage = Endless()
    world = World(storage=storage)
    world.content = world.keep(b"")
    world.content = msgspec.structs.replace(world.content, size=storage.PIECES * len(storage.PIECE))

    async def talk(host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port, limit=1)
        writer.write(head(b"GET /p/files/j1/out.txt HTTP/1.1"))
        await storage.left.wait()
        writer.transport.abort()

    served(world, talk)
    assert storage.given * len(storage.PIECE) < 64 << 20


def test_long_answers_that_are_never_read_are_not_piled_up_and_their_client_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobgate.server.protocol.STALL_SECONDS", 0.05)
    lost = asyncio.Event()

    class Told(Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async def talk(host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port, limit=1)
        writer.write(head(b"GET /p/me HTTP/1.1") * 50)
        await lost.wait()
        writer.transport.abort()

    monkeypatch.setattr("jobgate.server.asgi.Protocol", Told)
    long = Long()
    served(World(Mount("/p", long)), talk)
    assert len(long.calls) < 50
