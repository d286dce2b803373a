"""The loop on which the synchronous face runs: one thread for the process, so that it also works where a loop runs.

An interrupt (Ctrl-C, the stop button of a notebook) reaches the caller, and cancels only the waiting.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
_LOCK: Final = threading.Lock()
_STARTED: Final[list[tuple[int, asyncio.AbstractEventLoop]]] = []
_CLOSING: Final[set[asyncio.Task[None]]] = set()
"""Held until they are done: the loop holds its tasks loosely."""
_END: Final = object()
_PATIENCE: Final = 1.0
"""Seconds that closing what was left open may take."""


def loop() -> asyncio.AbstractEventLoop:
    """The process's loop, started at first use; a forked child, whose threads are gone, starts its own."""
    with _LOCK:
        if not _STARTED or _STARTED[-1][0] != os.getpid():
            made = asyncio.new_event_loop()
            threading.Thread(target=made.run_forever, name="jobgate-client", daemon=True).start()
            _STARTED.append((os.getpid(), made))
        return _STARTED[-1][1]


class _Work(Generic[T]):
    """A coroutine on its way to the loop. It can be cancelled at any moment, also before it got there."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.ended: Future[T] = Future()
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work)
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        if self._task is None:
            self._work.close()
        else:
            self._task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.ended.set_exception(CancelledError())
        elif error := task.exception():
            self.ended.set_exception(error)
        else:
            self.ended.set_result(task.result())


def run(work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, or raises. Interrupted at any moment, it is cancelled, and the interrupt goes on."""
    there, sent = loop(), _Work(work)
    if _inside(there):
        work.close()
        raise RuntimeError(
            "the client was called from a function that the client itself called: that would wait for ever"
        )
    try:
        there.call_soon_threadsafe(sent.start)
        return sent.ended.result()
    except BaseException:
        there.call_soon_threadsafe(sent.cancel)  # after its start, if that was sent: the loop keeps the order
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
        _closed(items, turn)


def close_with(owner: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `close` on the loop when nothing holds the owner any more, at the interpreter's end at the latest."""
    weakref.finalize(owner, _let_go, os.getpid(), close)


def _let_go(pid: int, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A process without a loop of its own has opened nothing. A loop that does not answer is not waited for long."""
    if pid != os.getpid() or not _STARTED or _STARTED[-1][0] != pid or sys.is_finalizing():
        return
    there, sent = _STARTED[-1][1], _Work(close())
    there.call_soon_threadsafe(sent.start)
    if not _inside(there):
        with suppress(TimeoutError, CancelledError, OSError):
            sent.ended.result(_PATIENCE)


def _closed(items: AsyncIterator[T], turn: asyncio.Lock) -> None:
    """Closes what was left early. The collector may come to it on any thread, and as late as the interpreter's end."""
    if sys.is_finalizing():
        return
    there = loop()
    if _inside(there):
        task = there.create_task(_close(items, turn))
        _CLOSING.add(task)
        task.add_done_callback(_CLOSING.discard)
    else:
        run(_close(items, turn))


def _inside(there: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the loop's own thread, where waiting for the loop would never end."""
    return asyncio._get_running_loop() is there  # noqa: SLF001  # asked without an error where none runs


async def _next(items: AsyncIterator[T], turn: asyncio.Lock) -> T | object:
    async with turn:
        return await anext(items, _END)


async def _close(items: AsyncIterator[T], turn: asyncio.Lock) -> None:
    """Waits for a step that was interrupted to have ended: a generator that runs cannot be closed."""
    async with turn:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
