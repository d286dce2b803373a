"""Work that blocks, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def blocking(work: Callable[[], T]) -> T:
    """What `work` returns or raises, done in a thread.

    A cancelled caller leaves only after the thread has: what it then closes is no longer in use. A descriptor closed
    beneath a thread would be given out anew, and the thread would write into another's file.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
