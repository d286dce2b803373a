"""A stream lasts no longer than the credential that it was opened with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from jobgate.dialects.dialect import Stream
from jobgate.model.errors import Unauthenticated
from jobgate.server.following import LOOK, forever, worded


def test_a_stream_is_broken_off_within_a_second_of_its_credentials_end_and_lets_go_of_what_feeds_it() -> None:
    now, asked, closed = 0.0, 0, False

    async def items() -> AsyncGenerator[int, None]:
        nonlocal closed
        try:
            for number in range(9):
                yield number
        finally:
            closed = True

    async def holds() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Unauthenticated

    got = []

    async def body() -> None:
        nonlocal now
        async for piece in worded(Stream(items(), lambda n: b"%d" % n), holds, clock=clock):
            got.append(piece)
            now += LOOK / 2

    def clock() -> float:
        return now

    with pytest.raises(Unauthenticated):
        asyncio.run(body())
    assert got == [b"0", b"1", b"2", b"3"]
    assert (asked, closed) == (2, True)


def test_a_signed_addresss_stream_goes_on_to_its_end() -> None:
    async def items() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def body() -> list[bytes]:
        ticks = iter(range(0, 90, 9))
        made = worded(Stream(items(), lambda n: b"%d" % n), forever, clock=lambda: next(ticks))
        return [piece async for piece in made]

    assert asyncio.run(body()) == [b"1", b"2"]
