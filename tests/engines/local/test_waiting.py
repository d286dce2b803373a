"""What is handed over beyond the slots waits at the launcher."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import cast

from local_rig import Open, its
from msgspec.structs import replace

from jobgate.engines.engine import Phase
from jobgate.model.attempt import AttemptId, Exit


def test_what_is_handed_over_beyond_the_slots_starts_when_one_before_it_ends(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode, slots=1) as box:
            first, second, third = (box.start(words) for words in ("read line < gate", "echo two", "echo three"))
            os.mkfifo(first.workspace / "gate", 0o666)
            await box.engine.submit([first, second, third])
            await box.until(first, Phase.RUNNING)
            waiting = await box.engine.poll([second.attempt, third.attempt])
            assert {seen.phase for seen in waiting.values()} == {Phase.STARTING}
            assert all(seen.started is None for seen in waiting.values())
            await asyncio.to_thread((first.workspace / "gate").write_text, "go\n")
            ends = [await box.ended(start) for start in (first, second, third)]
            assert [seen.exit.code for seen in ends if seen.exit] == [0, 0, 0]
            times = [(seen.started, seen.ended) for seen in ends]
            assert times == sorted(times, key=lambda pair: pair[0] or 0.0)
            assert (times[0][1] or 0.0) <= (times[1][0] or 0.0)

    asyncio.run(body())


def test_one_that_waits_is_cancelled_without_ever_being_started(rig: Open) -> None:
    async def body() -> None:
        async with rig("none", slots=1) as box:
            first, second = box.start("sleep 30"), box.start("touch was_here")
            await box.engine.submit([first, second])
            await box.until(first, Phase.RUNNING)
            await box.engine.cancel([second.attempt])
            seen = await box.ended(second)
            assert (seen.exit, seen.started) == (None, None)
            assert not (second.workspace / "was_here").exists()

    asyncio.run(body())


def test_one_that_waits_is_recalled_and_one_that_runs_is_not(rig: Open) -> None:
    async def body() -> None:
        async with rig("none", slots=1) as box:
            first, second, third = box.start("read line < gate; exit 3"), box.start("echo once"), box.start("true")
            os.mkfifo(first.workspace / "gate")
            await box.engine.submit([first, second])
            await box.until(first, Phase.RUNNING)
            await box.engine.recall([first.attempt, second.attempt, third.attempt])
            await box.until(second, Phase.RECALLED)
            assert its(box.engine).trouble == ""
            await box.engine.submit([second])  # the same name, as if it had never come
            await asyncio.to_thread((first.workspace / "gate").write_text, "go\n")
            assert (await box.ended(first)).exit == Exit(3)
            assert (await box.ended(second)).exit == Exit(0)
            assert second.log.read_text() == "once\n"
            assert (await box.engine.poll([third.attempt]))[third.attempt].phase is Phase.GONE

    asyncio.run(body())


def test_what_was_recalled_and_cancelled_at_once_never_runs(rig: Open) -> None:
    async def body() -> None:
        async with rig("none", slots=1) as box:
            first, second = box.start("sleep 30"), box.start("touch was_here")
            await box.engine.submit([first, second])
            await box.until(first, Phase.RUNNING)
            await box.engine.recall([second.attempt])
            await box.engine.cancel([second.attempt])
            await box.until(second, Phase.RECALLED)
            await box.engine.release([second.attempt])
            assert (await box.engine.poll([second.attempt]))[second.attempt].phase is Phase.GONE
            assert not (second.workspace / "was_here").exists()

    asyncio.run(body())


def test_those_that_wait_are_started_while_no_gateway_is_there(rig: Open) -> None:
    async def body() -> None:
        async with rig("none", slots=1, leave=True) as box:
            first, second = box.start("sleep 0.2"), box.start("echo late")
            await box.engine.submit([first, second])
            await box.until(first, Phase.RUNNING)
        async with rig("none", slots=1) as later:
            seen = await later.ended(second)
            assert seen.exit is not None
            assert seen.exit.code == 0
            assert second.log.read_text() == "late\n"

    asyncio.run(body())


def test_what_a_gateway_of_before_named_otherwise_is_stopped_and_gives_up_its_slot(rig: Open) -> None:
    async def body() -> None:
        async with rig("none", slots=1) as box:
            old, new = box.start("sleep 600"), box.start("echo new")
            await box.engine.submit([replace(old, attempt=cast("AttemptId", "jamtk09fc0000-1"))])
            await box.engine.submit([new])
            seen = await box.ended(new)
            assert seen.exit is not None
            assert seen.exit.code == 0

    asyncio.run(body())


def test_what_waited_at_a_killed_launcher_is_handed_to_the_next_and_runs_once(rig: Open) -> None:
    async def body() -> None:
        async with rig("none", slots=1) as box:
            first, second = box.start("sleep 60"), box.start("echo once")
            await box.engine.submit([first, second])
            await box.until(first, Phase.RUNNING)
            os.kill(its(box.engine).launcher_pid, signal.SIGKILL)
            await box.engine.cancel([first.attempt])
            await box.ended(first)
            seen = await box.ended(second)
            assert seen.exit is not None
            assert seen.exit.code == 0
            assert second.log.read_text() == "once\n"

    asyncio.run(body())
