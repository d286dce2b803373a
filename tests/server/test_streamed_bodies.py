"""Bodies that an operation takes as they come; and HEAD where it has an answer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from front_fakes import KEY, Plain, World, drive, scope

from jobgate.dialects.dialect import Body, Route
from jobgate.model.account import Scope
from jobgate.model.ids import Digest
from jobgate.model.operations import Request
from jobgate.model.outcomes import Outcome, Written
from jobgate.server.table import Mount

GET, HEAD = frozenset({"GET"}), frozenset({"HEAD"})
STREAM = Route(path="/part", verb="part", body=Body.STREAM, limit=10, scope=Scope.SUBMIT)


class Reading(World):
    """Reads the content of what it handles, and keeps the pieces."""

    def __init__(self) -> None:
        super().__init__(Mount("/p", Plain("d", (STREAM,))))
        self.pieces: list[bytes] = []

    async def _handle(self, request: Request) -> Outcome:
        assert request.content is not None
        self.requests.append(request)
        self.pieces.extend([piece async for piece in request.content])
        return Written(digest=Digest("0" * 64), size=0, fresh=True)


def test_the_operation_gets_the_pieces_as_they_come() -> None:
    world = Reading()
    messages = iter([{"body": b"12345", "more_body": True}, {"body": b"67890", "more_body": False}])

    async def receive() -> dict[str, object]:
        return {"type": "http.request", **next(messages)}

    at = scope("/p/part", headers={"content-length": "10"})
    sent = asyncio.run(drive(world, at, receive))
    assert sent[0]["status"] == 200
    assert world.pieces == [b"12345", b"67890"]


@pytest.mark.parametrize("key", [{}, {"authorization": "Bearer nobody"}, {"authorization": "Bearer reader"}])
def test_nothing_is_read_for_one_who_may_not(key: dict[str, str]) -> None:
    world = Reading()
    assert world.ask("POST", "/p/part", content=b"x", headers=key).status_code in (401, 403)
    assert not world.requests


def test_more_than_the_limit_is_refused_whether_it_is_announced_or_not() -> None:
    world = Reading()
    assert world.ask("POST", "/p/part", content=b"x" * 11, headers=KEY).status_code == 413
    assert not world.requests

    async def drips() -> object:
        for _ in range(11):
            yield b"x"

    assert world.ask("POST", "/p/part", content=drips(), headers=KEY).status_code == 413
    assert world.requests


ALONE = Route(path="/x/{n}", verb="alone", methods=HEAD, body=Body.NONE)
BOTH = Route(path="/x/{n}", verb="both", methods=GET, body=Body.NONE)
SAID = Route(path="/x/{n}", verb="both", methods=GET | HEAD, body=Body.NONE)


@pytest.mark.parametrize("routes", [(ALONE, BOTH), (BOTH, ALONE), (ALONE, SAID), (SAID, ALONE)])
def test_a_route_for_head_alone_goes_before_the_one_that_answers_get(routes: Sequence[Route]) -> None:
    dialect = Plain("d", tuple(routes))
    world = World(Mount("/p", dialect))
    for method, verb in (("HEAD", "alone"), ("GET", "both")):
        assert world.ask(method, "/p/x/1", headers=KEY).status_code == 200
        assert dialect.calls[-1].verb == verb
