"""Events read ahead of who takes them, as far as there is room: what came meanwhile is taken in one portion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from jobgate.client.events import WHAT, Opened, Scope, stream
from jobgate.client.line import Deadline, Line, timed_out
from jobgate.client.records import Event

ROOM: Final = 1000
"""Events that wait here; more wait on the server."""
Item = Event | Opened | None
"""None is the end."""


async def heard(line: Line, scope: Scope, deadline: Deadline) -> AsyncGenerator[list[Item]]:
    """Portions of the stream; the last ends with None. Raises as `stream`, and TimedOut though nothing comes."""
    queue: asyncio.Queue[Item | Exception] = asyncio.Queue(ROOM)
    reader = asyncio.create_task(_read(line, scope, deadline, queue))
    try:
        while True:
            portion: list[Item] = []
            item = await queue.get()
            while True:
                if isinstance(item, Exception):
                    raise item
                portion.append(item)
                if queue.empty():
                    break
                item = queue.get_nowait()
            yield portion
    finally:
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader


async def _read(line: Line, scope: Scope, deadline: Deadline, queue: asyncio.Queue[Item | Exception]) -> None:
    """An error is handed over as an item: it is raised where the portions are taken."""
    try:
        async with asyncio.timeout(None if deadline.seconds is None else deadline.left(deadline.seconds)):
            async for item in stream(line, scope, deadline=deadline):
                await queue.put(item)
            await queue.put(None)
    except TimeoutError:
        await queue.put(timed_out(WHAT, deadline))
    except Exception as error:  # noqa: BLE001  # handed over, as said
        await queue.put(error)
