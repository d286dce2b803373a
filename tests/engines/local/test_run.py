"""What the local engine does with a job, plain and in the sandbox, with its real launcher."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from local_rig import OUTBOUND, SMALL, Open

from jobgate.engines.engine import Phase
from jobgate.model.attempt import Exit
from jobgate.model.errors import EngineError
from jobgate.model.job import Argv, ImageRef, Script, Step
from jobgate.model.resources import MIB, Network, Resources
from jobgate.model.state import Failure, Limit


def test_an_exit_code_its_log_and_its_times_come_back(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            seen, log = await box.run("echo out; echo err >&2; exit 3")
            assert seen.exit == Exit(3)
            assert log == "out\nerr\n"
            assert seen.started is not None
            assert seen.ended is not None
            assert seen.started <= seen.ended

    asyncio.run(body())


def test_death_by_a_signal_is_128_and_its_number(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            assert (await box.run("kill -9 $$"))[0].exit == Exit(137, 9)

    asyncio.run(body())


def test_a_command_that_is_not_there_is_127_and_says_so(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            seen, _ = await box.run(Argv(("no-such-program",)))
            assert seen.exit == Exit(127)
            assert "no-such-program" in seen.message

    asyncio.run(body())


def test_a_script_runs_as_its_first_line_says(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            assert (await box.run(Script("#!/usr/bin/perl\nprint 6*7")))[1] == "42"
            assert (await box.run(Script("echo plain")))[1] == "plain\n"

    asyncio.run(body())


def test_steps_run_in_order_until_one_fails(rig: Open, mode: str) -> None:
    def step(line: str, **more: bool) -> Step:
        return Step(command=Argv(("sh", "-c", line)), **more)  # type: ignore[arg-type]  # only flags are handed in

    async def body() -> None:
        async with rig(mode) as box:
            steps = (step("echo 1"), step("exit 4", ignore_error=True), step("echo 2; exit 5"), step("echo never"))
            start = box.start("", steps=steps)
            await box.engine.submit([start])
            seen = await box.ended(start.attempt)
            assert seen.exit == Exit(5)
            assert [end.code for end in seen.steps] == [0, 4, 5]
            assert start.log.read_text() == "1\n2\n"

    asyncio.run(body())


def test_steps_together_run_at_the_same_time(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            here, there = "mkfifo a; echo met > a", "while [ ! -p a ]; do :; done; cat a"
            steps = (
                Step(command=Argv(("sh", "-c", here))),
                Step(command=Argv(("sh", "-c", there)), together=True),
            )
            start = box.start("", steps=steps)
            await box.engine.submit([start])
            assert (await box.ended(start.attempt)).exit == Exit(0)
            assert start.log.read_text() == "met\n"

    asyncio.run(body())


def test_submitting_twice_is_one_run(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            start = box.start("echo once")
            await box.engine.submit([start])
            await box.engine.submit([start, start])
            await box.ended(start.attempt)
            await box.engine.submit([start])
            other = box.start("true")
            await box.engine.submit([other])
            await box.ended(other.attempt)
            assert start.log.read_text() == "once\n"

    asyncio.run(body())


def test_poll_answers_for_every_attempt_asked_and_gone_is_an_answer(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            start, stranger = box.start("true"), box.start("true")
            await box.engine.submit([start])
            await box.ended(start.attempt)
            said = await box.engine.poll([start.attempt, stranger.attempt])
            assert said[start.attempt].phase is Phase.ENDED
            assert said[stranger.attempt].phase is Phase.GONE
            await box.engine.release([start.attempt, stranger.attempt])
            assert (await box.engine.poll([start.attempt]))[start.attempt].phase is Phase.GONE

    asyncio.run(body())


def test_cancel_stops_gently_first(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            start = box.start("trap 'echo bye; exit 42' TERM; echo up; while :; do sleep 0.02; done")
            await box.engine.submit([start])
            while "up" not in (start.log.read_text() if start.log.exists() else ""):
                await box.engine.poll([start.attempt])
                await asyncio.sleep(0)
            await box.engine.cancel([start.attempt])
            seen = await box.ended(start.attempt)
            assert seen.exit == Exit(42)
            assert "bye" in start.log.read_text()
            await box.engine.cancel([start.attempt])  # an ended one is no error

    asyncio.run(body())


def test_cancel_kills_the_whole_tree_that_will_not_listen(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            start = box.start("trap '' TERM; (setsid sleep 4711 &); sleep 4711")
            await box.engine.submit([start])
            await box.until(start.attempt, Phase.RUNNING)
            await box.engine.cancel([start.attempt])
            seen = await box.ended(start.attempt)
            assert seen.exit is not None
            assert seen.exit.code in (137, 143)
        assert not _running("4711")

    asyncio.run(body())


def test_a_process_that_forks_away_ends_with_its_job(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            seen, _ = await box.run("(setsid sh -c 'sleep 4712' >/dev/null 2>&1 &) ; exit 0")
            assert seen.exit == Exit(0)
        assert not _running("4712")

    asyncio.run(body())


def test_a_stop_that_comes_before_its_start_wins(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            start = box.start("echo ran")
            await box.engine.cancel([start.attempt])
            await box.engine.submit([start])
            seen = await box.ended(start.attempt)
            assert seen.exit is None
            assert not start.log.exists()

    asyncio.run(body())


def test_wall_time_ends_it_with_its_limit(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            short = Resources(memory=256 * MIB, disk=64 * MIB, walltime=0.3)
            seen, _ = await box.run("sleep 60", short)
            assert (seen.failure, seen.limit) == (Failure.LIMIT, Limit.WALLTIME)

    asyncio.run(body())


def test_memory_and_disk_over_the_limit_end_it(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            if "memory" in box.engine.capabilities.limits:
                tight = Resources(memory=32 * MIB, disk=64 * MIB, walltime=30)
                seen, _ = await box.run("x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo ${#x}", tight)
                assert (seen.failure, seen.limit) == (Failure.LIMIT, Limit.MEMORY)
            seen, _ = await box.run("head -c 100000000 /dev/zero > big; sleep 30", SMALL)
            assert (seen.failure, seen.limit) == (Failure.LIMIT, Limit.DISK)

    asyncio.run(body())


def test_nul_and_invalid_text_go_through_unchanged(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            start = box.start("printf 'a\\000b\\377\\376'")
            await box.engine.submit([start])
            await box.ended(start.attempt)
            assert start.log.read_bytes() == b"a\0b\xff\xfe"

    asyncio.run(body())


def test_a_flood_of_output_keeps_its_ends_and_gives_its_middle_back(rig: Open) -> None:
    async def body() -> None:
        async with rig(cap=1 << 20) as box:
            start = box.start("echo first; head -c 30000000 /dev/zero; echo last")
            await box.engine.submit([start])
            assert (await box.ended(start.attempt)).exit == Exit(0)
            status = start.log.stat()
            assert status.st_size > 30_000_000
            assert status.st_blocks * 512 < 4 << 20
            with start.log.open("rb") as file:
                assert file.read(6) == b"first\n"
                file.seek(-5, os.SEEK_END)
                assert file.read() == b"last\n"

    asyncio.run(body())


def test_an_unknown_image_is_refused_and_never_the_bare_host(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            step = Step(command=Argv(("true",)), program=ImageRef("nobody/knows:1"))
            start = box.start("", steps=(step,))
            answer = (await box.engine.submit([start]))[start.attempt]
            assert isinstance(answer, EngineError)
            assert not answer.retryable
            assert (await box.engine.poll([start.attempt]))[start.attempt].phase is Phase.GONE

    asyncio.run(body())


def test_the_sandbox_shows_nothing_of_the_host(rig: Open) -> None:
    async def body() -> None:
        async with rig("bubblewrap") as box:
            other = box.start("true")
            (other.workspace / "secret").write_text("theirs")
            line = (
                f"id -u; cat {other.workspace}/secret {Path(__file__)} /etc/shadow 2>&1; ls /root /home /var 2>&1; "
                "touch /usr/x 2>&1; unshare -Ur true 2>&1; mount -t tmpfs x /mnt 2>&1; grep CapEff /proc/self/status; "
                "ps 2>/dev/null | wc -l; echo private > /tmp/x"
            )
            _, log = await box.run(line)
            assert log.startswith("1000\n")
            assert "theirs" not in log
            assert "root:" not in log
            assert "CapEff:\t0000000000000000" in log
            assert log.count("No such file") >= 5
            assert "Operation not permitted" in log
            _, again = await box.run("ls /tmp")
            assert again == ""

    asyncio.run(body())
    assert not Path("/usr/x").exists()


def test_each_slot_has_a_user_of_its_own_when_the_gateway_is_root(rig: Open) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give jobs users of their own")

    async def body() -> None:
        async with rig("bubblewrap") as box:
            start = box.start("touch mine")
            await box.engine.submit([start])
            await box.ended(start.attempt)
            assert (start.workspace / "mine").stat().st_uid >= 200_000

    asyncio.run(body())


def test_without_a_network_nothing_is_reachable_and_outbound_reaches_no_private_address(rig: Open) -> None:
    """The canary listens on every address of this machine; no job may touch it."""
    touched = threading.Event()
    canary = socket.create_server(("0.0.0.0", 0))  # every address of this machine is the point
    canary.settimeout(0.1)
    port = canary.getsockname()[1]
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            try:
                canary.accept()[0].close()
                touched.set()
            except TimeoutError:
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    hosts = {"127.0.0.1", "10.0.2.2", "100.127.254.2", "192.168.1.1", "169.254.169.254"}
    hosts |= {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}  # type: ignore[misc]  # texts for AF_INET
    lines = "".join(f"(echo x > /dev/tcp/{host}/{port}) 2>&1; " for host in sorted(hosts))
    command = Argv(("timeout", "10", "bash", "-c", lines))

    async def body() -> None:
        async with rig("bubblewrap") as box:
            seen, log = await box.run(command)
            assert seen.exit == Exit(1)
            assert log.count("unreachable") + log.count("refused") >= len(hosts)
            if Network.OUTBOUND not in box.engine.capabilities.networks:
                pytest.fail("slirp4netns or /dev/net/tun is missing: outbound jobs cannot be tried")
            seen, log = await box.run(Argv(("sh", "-c", "grep -c tap0 /proc/net/route")), OUTBOUND)
            assert int(log) >= 1
            seen, log = await box.run(command, OUTBOUND)
            assert seen.exit is not None
            assert seen.exit.code != 0

    try:
        asyncio.run(body())
    finally:
        over.set()
        thread.join()
        canary.close()
    assert not touched.is_set()


def test_the_next_gateway_finds_what_ran_on_and_what_ended(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode, leave=True) as box:
            long, short = box.start("while [ ! -e go ]; do sleep 0.02; done; exit 7"), box.start("exit 3")
            await box.engine.submit([long, short])
            await box.ended(short.attempt)
            await box.until(long.attempt, Phase.RUNNING)
        async with rig(mode) as box:
            said = await box.engine.poll([long.attempt, short.attempt])
            assert said[long.attempt].phase is Phase.RUNNING
            assert said[short.attempt].exit == Exit(3)
            (long.workspace / "go").touch()
            assert (await box.ended(long.attempt)).exit == Exit(7)

    asyncio.run(body())


def test_a_killed_launcher_loses_track_of_no_sandboxed_job(rig: Open) -> None:
    async def body() -> None:
        async with rig("bubblewrap") as box:
            start = box.start("while [ ! -e go ]; do sleep 0.02; done; exit 7")
            await box.engine.submit([start])
            await box.until(start.attempt, Phase.RUNNING)
            before = box.engine.launcher_pid
            os.kill(before, signal.SIGKILL)
            other = box.start("exit 1")
            await box.engine.submit([other])
            (start.workspace / "go").touch()
            assert (await box.ended(start.attempt)).exit == Exit(7)
            assert box.engine.launcher_pid != before

    asyncio.run(body())


def test_a_killed_launchers_plain_job_is_lost_and_never_started_again(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            start = box.start("echo once; while [ ! -e go ]; do sleep 0.02; done")
            await box.engine.submit([start])
            await box.until(start.attempt, Phase.RUNNING)
            os.kill(box.engine.launcher_pid, signal.SIGKILL)
            (start.workspace / "go").touch()
            seen = await box.ended(start.attempt)
            assert seen.phase is Phase.GONE
            assert seen.started is not None
            await box.engine.submit([start])
            other = box.start("true")
            await box.engine.submit([other])
            await box.ended(other.attempt)
            assert start.log.read_text() == "once\n"

    asyncio.run(body())


def test_after_a_reboot_what_had_not_ended_is_gone_and_nothing_is_mistaken_for_it(rig: Open) -> None:
    async def body() -> None:
        async with rig(leave=True, env={"JOBGATE_BOOT_ID": "one"}) as box:
            start, done = box.start("sleep 60"), box.start("exit 3")
            await box.engine.submit([start, done])
            await box.until(start.attempt, Phase.RUNNING)
            await box.ended(done.attempt)
            os.kill(box.engine.launcher_pid, signal.SIGKILL)
        async with rig(env={"JOBGATE_BOOT_ID": "two"}) as box:
            said = await box.engine.poll([start.attempt, done.attempt])
            assert said[start.attempt].phase is Phase.GONE
            assert said[start.attempt].started is not None
            assert said[done.attempt].exit == Exit(3)
        _kill("sleep 60")

    asyncio.run(body())


def _running(word: str) -> bool:
    return bool(_pids(word))


def _pids(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if line.startswith(("sleep", "sh -c sleep")) and word in line:
                found.append(int(entry.name))
    return found


def _kill(word: str) -> None:
    for pid in _pids(word):
        os.kill(pid, signal.SIGKILL)
