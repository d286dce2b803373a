"""The loop on which the synchronous face runs: one thread for the process, so that it also works where a loop runs.

An interrupt (Ctrl-C, the stop button of a notebook) reaches the caller, and cancels only the waiting.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from typing import Any, Final, TypeVar

T = TypeVar("T")
_LOCK: Final = threading.Lock()
_STARTED: Final[list[tuple[int, asyncio.AbstractEventLoop]]] = []
_END: Final = object()


def loop() -> asyncio.AbstractEventLoop:
    """The process's loop, started at first use; a forked child, whose threads are gone, starts its own."""
    with _LOCK:
        if not _STARTED or _STARTED[-1][0] != os.getpid():
            made = asyncio.new_event_loop()
            threading.Thread(target=made.run_forever, name="jobgate-client", daemon=True).start()
            _STARTED.append((os.getpid(), made))
        return _STARTED[-1][1]


def run(work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, or raises. Interrupted, it is cancelled, and the interrupt goes on."""
    future = asyncio.run_coroutine_threadsafe(work, loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def each(items: AsyncIterator[T]) -> Iterator[T]:
    """The items, one at a time; whoever stops early closes them."""
    turn = asyncio.Lock()
    try:
        while True:
            found = run(_next(items, turn))
            if found is _END:
                return
            yield found  # type: ignore[misc]  # the end is the only object that is no T
    finally:
        run(_close(items, turn))


async def _next(items: AsyncIterator[T], turn: asyncio.Lock) -> T | object:
    async with turn:
        return await anext(items, _END)


async def _close(items: AsyncIterator[T], turn: asyncio.Lock) -> None:
    """Waits for a step that was interrupted to have ended: a generator that runs cannot be closed."""
    async with turn:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
