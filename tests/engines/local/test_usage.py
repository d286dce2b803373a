"""What counts as a job's use of the disk, however it is hidden."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from local_rig import Open, its

from jobgate.engines.engine import Phase
from jobgate.engines.local.launcher import usage
from jobgate.model.job import Argv
from jobgate.model.resources import MIB
from jobgate.model.state import Failure, Limit

ENOUGH = 100 * MIB


def test_a_tree_is_counted_by_what_it_takes_and_a_file_of_two_names_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * MIB)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert MIB <= usage.used(str(tmp_path), ENOUGH) < 2 * MIB


def test_no_path_is_too_long_to_be_counted(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with os.fdopen(os.open("large", os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as file:
        file.write(b"x" * MIB)
    os.close(here)
    assert usage.used(str(tmp_path), ENOUGH) >= MIB


def test_links_out_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(b"x" * MIB)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "way").symlink_to(outside)
    assert usage.used(str(inside), ENOUGH) < MIB


@pytest.mark.parametrize("limit", ["NAMES", "DEEP"])
def test_more_than_can_be_looked_at_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(usage, limit, 5)
    (tmp_path / "1/2/3/4/5/6/7").mkdir(parents=True)
    assert usage.used(str(tmp_path), ENOUGH) > ENOUGH


HIDDEN = {
    "a file without a name": (
        "import os, time; f = open('x', 'wb'); os.unlink('x'); f.write(b'x' * (100 << 20)); f.flush(); time.sleep(30)"
    ),
    "room reserved in the log": (
        "import ctypes, time; c = ctypes.CDLL(None); c.fallocate(1, 1, ctypes.c_long(0), ctypes.c_long(200 << 20)); "
        "time.sleep(30)"
    ),
    "names without content": "import time\nfor n in range(110_000): open(str(n), 'w').close()\ntime.sleep(30)",
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_job_that_hides_what_it_takes_is_stopped_all_the_same(rig: Open, mode: str, how: str) -> None:
    async def body() -> None:
        async with rig(mode, cap=10 * MIB) as box:
            seen, _ = await box.run(Argv(("/usr/bin/python3", "-c", HIDDEN[how])))
            assert (seen.failure, seen.limit) == (Failure.LIMIT, Limit.DISK)

    asyncio.run(body())


def test_a_launcher_without_job_and_gateway_leaves_and_the_next_one_knows_what_it_knew(rig: Open) -> None:
    async def body() -> None:
        async with rig("none", leave=True, env={"JOBGATE_ALONE": "0.2"}) as box:
            start = box.start("sleep 0.3; exit 4")
            await box.engine.submit([start])
            await box.until(start, Phase.RUNNING)
            handle = os.pidfd_open(its(box.engine).launcher_pid)
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, gone.set)
        async with asyncio.timeout(20):
            await gone.wait()
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
        async with rig("none") as later:
            seen = await later.ended(start)
            assert seen.exit is not None
            assert seen.exit.code == 4

    asyncio.run(body())
