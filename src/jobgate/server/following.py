"""A stream on its way out: each item is worded as it comes, for as long as the one who asked may see it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic
from typing import Final

from jobgate.dialects.dialect import Stream

Holds = Callable[[], Awaitable[object]]
"""Raises a RequestError when the credential that a stream was opened with does not hold any more."""
LOOK: Final = 1.0
"""Seconds for which an answer of it is believed: a blocked account sees nothing after that."""


async def forever() -> None:
    """A signed address speaks for itself, and was looked at when it was opened."""


async def worded(
    stream: Stream, holds: Holds, *, clock: Callable[[], float] = monotonic
) -> AsyncGenerator[bytes, None]:
    """What is sent of each item. Raises what `holds` raises: the answer is then broken off where it is."""
    looked = clock()
    try:
        if stream.head:
            yield stream.head
        async for item in stream.items:
            if clock() - looked >= LOOK:
                await holds()
                looked = clock()
            yield stream.encode(item)
        if stream.tail:
            yield stream.tail
    finally:
        if isinstance(stream.items, AsyncGenerator):
            await stream.items.aclose()
