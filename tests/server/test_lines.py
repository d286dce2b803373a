"""A body of lines goes to its reader as it comes in, and no more of it is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from front_fakes import KEY, Plain, World, drive, scope

from jobgate.dialects.dialect import Ask, Body, Call, Route
from jobgate.model.account import Scope
from jobgate.model.errors import TooLarge
from jobgate.model.operations import Describe
from jobgate.server.front import NDJSON
from jobgate.server.table import Mount


class Reader:
    """Remembers what it was fed."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.fed: list[bytes] = []
        self.ended = False

    def feed(self, piece: bytes) -> None:
        self.fed.append(piece)
        if piece == b"too much":
            raise TooLarge

    def end(self) -> Ask:
        self.ended = True
        return Ask(operation=Describe())


class Rig:
    def __init__(self, limit: int = 100) -> None:
        self.readers: list[Reader] = []
        route = Route(path="/many", verb="many", body=Body.LINES, limit=limit, scope=Scope.SUBMIT, lines=self.reader)
        self.dialect = Plain(routes=(route,))
        self.world = World(Mount("/p", self.dialect))

    def reader(self, call: Call) -> Reader:
        self.readers.append(Reader(call))
        return self.readers[-1]

    def send(self, *pieces: bytes, **headers: str) -> Any:
        """The answer's status, and whether all pieces were taken in."""
        left = list(pieces)

        async def receive() -> Any:
            if not left:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        named = {"content-type": f"{NDJSON}; charset=utf-8", "transfer-encoding": "chunked", **headers}
        sent = asyncio.run(drive(self.world, scope("/p/many", headers=named), receive))
        return sent[0]["status"] if sent else None


def test_each_piece_reaches_the_reader_as_it_came_and_the_body_is_never_whole() -> None:
    rig = Rig()
    assert rig.send(b"one\ntw", b"o\n", b"three") == 200
    (reader,) = rig.readers
    assert (reader.fed, reader.ended) == ([b"one\ntw", b"o\n", b"three"], True)
    assert reader.call.body == b""
    assert rig.dialect.calls == []
    assert isinstance(rig.world.requests[0].operation, Describe)


def test_another_media_type_is_a_whole_body() -> None:
    rig = Rig()
    answer = rig.world.ask("POST", "/p/many", headers=KEY, json={"a": 1})
    assert answer.json()["body"] == '{"a":1}'
    assert rig.readers == []


@pytest.mark.parametrize(("key", "status"), [("Bearer nobody", 401), ("Bearer reader", 403)])
def test_nothing_is_read_of_who_may_not_submit(key: str, status: int) -> None:
    rig = Rig()
    assert rig.send(b"a\n", authorization=key) == status
    assert rig.readers == []


def test_what_the_reader_refuses_is_answered_at_once_and_nothing_comes_of_it() -> None:
    rig = Rig()
    assert rig.send(b"a\n", b"too much", b"more", b"more") == 413
    assert rig.readers[0].fed == [b"a\n", b"too much"]
    assert rig.world.requests == []


def test_a_body_over_the_routes_limit_is_refused_though_nobody_announced_it() -> None:
    rig = Rig(limit=10)
    assert rig.send(b"12345\n", b"12345\n") == 413
    assert rig.readers[0].fed == [b"12345\n"]
    assert rig.send(b"x", **{"content-length": "11"}) == 413
    assert rig.world.requests == []


def test_a_client_that_goes_in_the_middle_has_asked_for_nothing() -> None:
    rig = Rig()

    async def work() -> Any:
        said = iter([{"type": "http.request", "body": b"a\n", "more_body": True}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(said)

        return await drive(
            rig.world, scope("/p/many", headers={"content-type": NDJSON, "transfer-encoding": "chunked"}), receive
        )

    assert asyncio.run(work()) == []
    assert not rig.readers[0].ended
    assert rig.world.requests == []
