"""The launcher and its client when nothing can be written, and when something can be again."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_rig import Open, its
from structlog.testing import capture_logs

from jobgate.engines.engine import Phase
from jobgate.engines.local.launcher.journal import Journal
from jobgate.model.attempt import Exit
from jobgate.model.errors import EngineError
from jobgate.testing.engine_site import Site

WAITS = "while [ ! -e go ]; do sleep 0.02; done; "


@contextmanager
def full(*pids: int) -> Iterator[None]:
    """No file of these processes can grow: what a full disk does, for them alone. 0 is this one, with its children."""
    kept = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    with capture_logs():  # a terminal that is a file could not take them
        for pid, (_, hard) in kept.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            for pid, limits in kept.items():
                try:
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
                except ProcessLookupError:
                    continue


async def until(asked: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not asked():  # noqa: ASYNC110  # it is asked of a launcher that sends no event for it
            await asyncio.sleep(0)


async def refused_for_now(box: Site) -> None:
    """Waits until the engine knows of its trouble; then it takes no job."""
    await until(lambda: its(box.engine).trouble)
    start = box.start("true")
    answer = (await box.engine.submit([start]))[start.attempt]
    assert isinstance(answer, EngineError)
    assert answer.retryable


def test_an_end_that_cannot_be_put_on_record_is_told_when_it_can_be(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            start = box.start(WAITS + "exit 7")
            await box.begin(start)
            await box.until(start, Phase.RUNNING)
            with full(its(box.engine).launcher_pid):
                (start.workspace / "go").touch()
                await refused_for_now(box)
                assert (await box.engine.poll([start.attempt]))[start.attempt].phase is Phase.RUNNING
            assert (await box.ended(start)).exit == Exit(7)

    asyncio.run(body())


def test_a_gateway_that_comes_while_the_disk_is_full_is_told_no_end_that_is_not_on_record(rig: Open) -> None:
    async def body() -> None:
        async with rig(leave=True) as box:
            start = box.start(WAITS + "exit 7")
            await box.begin(start)
            await box.until(start, Phase.RUNNING)
            pid = its(box.engine).launcher_pid
            with full(pid):
                (start.workspace / "go").touch()
                await refused_for_now(box)
                async with rig(leave=True) as after:
                    seen = (await after.engine.poll([start.attempt]))[start.attempt]
                    assert seen.phase is Phase.RUNNING
                    await refused_for_now(after)
        async with rig() as box:
            assert (await box.ended(start)).exit == Exit(7)
            assert its(box.engine).launcher_pid == pid

    asyncio.run(body())


def test_a_start_that_cannot_be_put_on_record_waits_and_those_after_it_are_refused_for_now(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            start = box.start("echo ran")
            with full(its(box.engine).launcher_pid):
                await box.begin(start)
                await refused_for_now(box)
                assert not isinstance((await box.engine.submit([start]))[start.attempt], EngineError)
                assert not start.log.exists()
            assert (await box.ended(start)).exit == Exit(0)
            assert start.log.read_text() == "ran\n"
            await until(lambda: not its(box.engine).trouble)
            assert (await box.run("exit 2"))[0].exit == Exit(2)

    asyncio.run(body())


def test_a_job_that_waits_for_the_disk_can_be_cancelled(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            start = box.start("echo ran")
            with full(its(box.engine).launcher_pid):
                await box.begin(start)
                await refused_for_now(box)
                await box.engine.cancel([start.attempt])
            seen = await box.ended(start)
            assert seen.exit is None
            assert not start.log.exists()

    asyncio.run(body())


def test_a_launcher_killed_on_a_full_disk_is_replaced_at_once_and_nothing_is_lost(rig: Open) -> None:
    async def body() -> None:
        async with rig("bubblewrap") as box:
            start, done = box.start(WAITS + "exit 7"), box.start("exit 3")
            await box.begin(start, done)
            await box.until(start, Phase.RUNNING)
            await box.ended(done)
            before = its(box.engine).launcher_pid
            with full(0, before):
                os.kill(before, signal.SIGKILL)
                await until(lambda: its(box.engine).launcher_pid != before)
                said = await box.engine.poll([start.attempt, done.attempt])
                assert said[start.attempt].phase is Phase.RUNNING
                assert said[done.attempt].exit == Exit(3)
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.prlimit(its(box.engine).launcher_pid, resource.RLIMIT_FSIZE, (hard, hard))
            (start.workspace / "go").touch()
            assert (await box.ended(start)).exit == Exit(7)

    asyncio.run(body())


def test_a_client_without_a_launcher_says_so_goes_on_trying_and_recovers_by_itself(rig: Open) -> None:
    async def body() -> None:
        async with rig("bubblewrap") as box:
            start, late = box.start(WAITS + "exit 7"), box.start("exit 4")
            await box.begin(start)
            await box.until(start, Phase.RUNNING)
            folder = box.subject.work.parent / "launcher"
            in_the_way = folder / "socket"
            in_the_way.unlink()
            (in_the_way / "a").mkdir(parents=True)  # no socket can be made here
            with capture_logs() as logs:
                os.kill(its(box.engine).launcher_pid, signal.SIGKILL)
                await refused_for_now(box)
                with pytest.raises(EngineError) as caught:
                    await box.engine.poll([start.attempt])
                assert caught.value.retryable
                await box.engine.cancel([late.attempt])  # no error, and not forgotten
                assert [line for line in logs if "away" in line["event"]]
            (in_the_way / "a").rmdir()
            in_the_way.rmdir()
            (start.workspace / "go").touch()
            assert (await box.ended(start)).exit == Exit(7)
            await box.begin(late)
            assert (await box.ended(late)).exit is None

    asyncio.run(body())


def test_a_start_the_killed_launcher_never_read_is_asked_of_the_next(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            pid = its(box.engine).launcher_pid
            os.kill(pid, signal.SIGSTOP)
            start = box.start("echo once")
            await box.begin(start)
            await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
            assert (await box.ended(start)).exit == Exit(0)
            assert start.log.read_text() == "once\n"

    asyncio.run(body())


def test_a_journal_torn_anywhere_loses_no_other_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    journal = Journal(str(whole))
    journal.add("b", "this-boot")
    journal.add("s", "a", None, None, 1.0)
    journal.add("e", "a", {"name": "a"})
    assert journal.flush()
    data = whole.read_bytes()
    for length in range(len(data) + 1):
        torn = tmp_path / "torn"
        torn.write_bytes(data[:length])
        heir = Journal(str(torn))
        heir.add("s", "b", None, None, 1.0)
        assert heir.flush()
        after = Journal(str(torn))
        assert "b" in after.names
        assert ("a" in after.names) == (length >= data.index(b"\n", data.index(b'"s"')))


def test_a_line_that_was_written_in_part_is_finished_when_there_is_room(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"))
    journal.add("s", "a", None, None, 1.0)
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs():
        resource.setrlimit(resource.RLIMIT_FSIZE, (9, kept[1]))
        try:
            first, trouble = journal.flush(), journal.trouble
            journal.compact()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert not first
    assert trouble
    assert (tmp_path / "journal").stat().st_size == 9
    assert not (tmp_path / "journal.new").exists()
    assert journal.flush()
    assert not journal.trouble
    assert "a" in Journal(str(tmp_path / "journal")).names
