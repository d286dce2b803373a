"""One loop for the process: called from anywhere, left at any time, and never waited for by itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError

import pytest

from jobgate.client.thread import each, loop, run

ENDLESS = """
import asyncio
from jobgate.client.thread import each
async def endless():
    try:
        while True:
            yield 1
    finally:
        print("closed", flush=True)
items = each(endless())
next(items)
keep = [items]
keep.append(keep)
"""


async def endless(closed: asyncio.Event) -> AsyncIterator[int]:
    try:
        while True:
            yield 1
    finally:
        closed.set()


def test_work_is_done_where_a_loop_runs_already() -> None:
    async def main() -> int:
        return run(asyncio.sleep(0, 7))  # as a cell of a notebook does

    assert asyncio.run(main()) == 7


def test_an_error_of_the_work_is_the_callers() -> None:
    async def broken() -> None:
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        run(broken())
    with pytest.raises(CancelledError):
        run(cancelled())


async def cancelled() -> None:
    raise asyncio.CancelledError


def test_whoever_stops_early_closes_the_source() -> None:
    closed = asyncio.Event()
    items = each(endless(closed))
    assert next(items) == 1
    items.close()  # type: ignore[attr-defined]  # it is a generator
    assert closed.is_set()


def test_a_source_that_is_collected_on_the_loop_itself_is_closed_without_waiting() -> None:
    closed = asyncio.Event()
    held = [each(endless(closed))]
    next(held[0])

    async def collect() -> None:
        held.clear()
        await closed.wait()

    run(collect())


def test_a_call_from_the_clients_own_thread_is_refused_and_not_waited_for() -> None:
    async def inside() -> None:
        with pytest.raises(RuntimeError, match="wait for ever"):
            run(asyncio.sleep(0))

    run(inside())


def test_a_source_left_open_does_not_keep_python_from_ending() -> None:
    done = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # newer Pythons warn of what is tested here
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    mine = loop()
    pid = os.fork()
    if not pid:
        os._exit(0 if loop() is not mine and run(asyncio.sleep(0, 7)) == 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
