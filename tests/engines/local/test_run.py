"""What the local engine does with a job, plain and in the sandbox, with its real launcher."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from local_rig import OUTBOUND, Open, its, local, pids
from structlog.testing import capture_logs

from jobgate.engines.engine import Phase
from jobgate.model.attempt import Exit
from jobgate.model.errors import EngineError
from jobgate.model.job import Argv, ImageRef, Script, Step
from jobgate.model.resources import MIB, Network
from jobgate.model.state import Failure
from jobgate.testing.engine_site import SMALL, opened


def test_a_script_runs_as_its_first_line_says(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            assert (await box.run(Script("#!/usr/bin/perl\nprint 6*7")))[1] == "42"
            assert (await box.run(Script("echo plain")))[1] == "plain\n"

    asyncio.run(body())


def test_a_stop_that_comes_before_its_start_wins(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            start = box.start("echo ran")
            await box.engine.cancel([start.attempt])
            await box.begin(start)
            seen = await box.ended(start)
            assert seen.exit is None
            assert not start.log.exists()

    asyncio.run(body())


def test_a_flood_of_output_keeps_its_ends_and_gives_its_middle_back(rig: Open) -> None:
    async def body() -> None:
        async with rig(cap=1 << 20) as box:
            start = box.start("echo first; head -c 30000000 /dev/zero; echo last")
            await box.begin(start)
            assert (await box.ended(start)).exit == Exit(0)
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
            await box.begin(start)
            await box.ended(start)
            assert (start.workspace / "mine").stat().st_uid >= 200_000

    asyncio.run(body())


def test_a_data_folder_closed_to_the_slots_users_is_said_with_what_to_do(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give jobs users of their own")
    subject = local(tmp_path / "closed" / "data", "bubblewrap")
    (tmp_path / "closed").chmod(0o700)

    async def body() -> None:
        with capture_logs() as logs:
            async with opened(subject) as site:
                assert (await site.run("exit 3"))[0].exit == Exit(3)
        (said,) = [line for line in logs if "root" in line["event"]]
        assert said["log_level"] == "warning"
        assert f"{tmp_path}/closed is closed" in said["why"]
        assert f"chmod o+x {tmp_path}/closed" in said["do"]

    asyncio.run(body())


def test_no_sandbox_is_said_with_what_to_do_and_refused_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobgate.engines.local.sandbox.find", lambda _: None)

    async def body() -> None:
        with capture_logs() as logs:
            async with opened(local(tmp_path, "auto")) as site:
                assert not site.engine.capabilities.isolated
        (said,) = [line for line in logs if "without a sandbox" in line["event"]]
        assert said["why"] == "bwrap is not installed"
        assert "install bubblewrap" in said["do"]
        with pytest.raises(EngineError, match="bwrap is not installed"):
            await local(tmp_path, "bubblewrap").build().open()

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


def test_a_killed_launcher_loses_track_of_no_sandboxed_job(rig: Open) -> None:
    async def body() -> None:
        async with rig("bubblewrap") as box:
            start = box.start("while [ ! -e go ]; do sleep 0.02; done; exit 7")
            await box.begin(start)
            await box.until(start, Phase.RUNNING)
            before = its(box.engine).launcher_pid
            os.kill(before, signal.SIGKILL)
            other = box.start("exit 1")
            await box.begin(other)
            (start.workspace / "go").touch()
            assert (await box.ended(start)).exit == Exit(7)
            assert its(box.engine).launcher_pid != before

    asyncio.run(body())


def test_a_killed_launchers_plain_job_is_lost_and_never_started_again(rig: Open) -> None:
    async def body() -> None:
        async with rig() as box:
            start = box.start("echo once; while [ ! -e go ]; do sleep 0.02; done")
            await box.begin(start)
            await box.until(start, Phase.RUNNING)
            os.kill(its(box.engine).launcher_pid, signal.SIGKILL)
            (start.workspace / "go").touch()
            seen = await box.ended(start)
            assert seen.phase is Phase.GONE
            assert seen.started is not None
            await box.begin(start)
            other = box.start("true")
            await box.begin(other)
            await box.ended(other)
            assert start.log.read_text() == "once\n"

    asyncio.run(body())


def test_a_launcher_killed_at_any_moment_runs_nothing_twice_and_every_job_ends(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            for _ in range(10):
                starts = [box.start(f"echo once; exit {code}", slot=code) for code in range(4)]
                await box.engine.submit(starts)
                await box.ended(starts[0])
                os.kill(its(box.engine).launcher_pid, signal.SIGKILL)
                for code, start in enumerate(starts):
                    seen, said = await box.ended(start), await box.log(start)
                    if seen.phase is Phase.ENDED and seen.exit is not None:
                        assert (seen.exit, said) == (Exit(code), b"once\n")
                    assert said in (b"", b"once\n")
                    assert seen.started is not None or not said

    asyncio.run(body())


def test_a_process_the_killed_launcher_had_no_time_to_write_down_is_found_and_watched(
    tmp_path: Path, rig: Open, mode: str
) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            start = box.start("echo once; while [ ! -e go ]; do sleep 0.02; done; exit 7")
            await box.begin(start)
            await box.tail(start, b"once\n")
            await box.until(start, Phase.RUNNING)
            journal = tmp_path / "launcher" / "journal"
            os.kill(its(box.engine).launcher_pid, signal.SIGSTOP)
            lines = journal.read_bytes().split(b"\n")
            journal.write_bytes(b"\n".join(line for line in lines if line[2:3] != b"p"))
            os.kill(its(box.engine).launcher_pid, signal.SIGKILL)
            late = box.start("exit 4", slot=1)
            await box.engine.submit([late])
            assert (await box.ended(late)).exit == Exit(4)
            assert (await box.engine.poll([start.attempt]))[start.attempt].phase is Phase.RUNNING
            (start.workspace / "go").touch()
            seen = await box.ended(start)
            assert seen.exit == (Exit(7) if mode == "bubblewrap" else None)
            assert seen.started is not None
            assert await box.log(start) == b"once\n"

    asyncio.run(body())


def test_after_a_reboot_what_had_not_ended_is_gone_and_nothing_is_mistaken_for_it(rig: Open) -> None:
    word = f"{os.getpid()}9999"

    async def body() -> None:
        async with rig(leave=True, env={"JOBGATE_BOOT_ID": "one"}) as box:
            start, done = box.start(f"exec sleep {word}"), box.start("exit 3")
            await box.begin(start, done)
            await box.until(start, Phase.RUNNING)
            await box.ended(done)
            os.kill(its(box.engine).launcher_pid, signal.SIGKILL)
        async with rig(env={"JOBGATE_BOOT_ID": "two"}) as box:
            said = await box.engine.poll([start.attempt, done.attempt])
            assert said[start.attempt].phase is Phase.GONE
            assert said[start.attempt].started is not None
            assert said[done.attempt].exit == Exit(3)
        for pid in pids(word):
            os.kill(pid, signal.SIGKILL)

    asyncio.run(body())


def test_a_sandbox_that_cannot_be_made_is_the_engines_failure_and_not_the_commands(rig: Open, tmp_path: Path) -> None:
    async def body() -> None:
        async with rig("bubblewrap") as box:
            well, _ = await box.run("exit 0")
            assert well.failure is None
            (tmp_path / "launcher" / "etc").rename(tmp_path / "launcher" / "elsewhere")
            seen, _ = await box.run("echo never; exit 0")
            assert seen.failure is Failure.ENGINE
            assert seen.message.startswith("bwrap: ")

    asyncio.run(body())


HUNGRY = 'my $x = "a" x 80_000_000; 1 while (times)[0] < 0.15'


def test_what_a_job_used_is_what_its_command_used_and_its_children_with_it(rig: Open, mode: str) -> None:
    async def body() -> None:
        async with rig(mode) as box:
            for resources in (SMALL, OUTBOUND) if mode == "bubblewrap" else (SMALL,):
                command = Argv(("sh", "-c", f"perl -e '{HUNGRY}'; exit 0"))
                usage = (await box.run(command, resources))[0].usage
                assert usage.max_memory > 80_000_000
                assert 0.15 <= usage.cpu_seconds <= usage.wall_seconds + 0.1

    asyncio.run(body())


def test_a_job_that_needs_little_is_not_said_to_use_what_its_launcher_does(rig: Open) -> None:
    async def body() -> None:
        async with rig("bubblewrap") as box:
            usage = (await box.run("true"))[0].usage
            assert 0 < usage.max_memory < 8 * MIB

    asyncio.run(body())
