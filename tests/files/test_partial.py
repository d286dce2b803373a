"""Uploads in parts: what came is kept, and nothing else is."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobgate.files.disk import Disk
from jobgate.files.partial import Part, Partials
from jobgate.model.errors import Conflict, Invalid, Misplaced, NotFound, TooLarge, TooMany, Unavailable
from jobgate.model.files import Stored
from jobgate.model.ids import AccountId, Digest
from jobgate.server.body import Disconnected

LAB, EVE = AccountId(1), AccountId(2)
CONTENT = bytes(range(256)) * 40
DIGEST = Digest(hashlib.sha256(CONTENT).hexdigest())


def rig(folder: Path, most: int = 100) -> tuple[Disk, Partials]:
    disk = Disk(folder)
    return disk, Partials(folder / "partial", disk, most=most)


async def pieces(*parts: bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then is not None:
        raise then


async def add(partials: Partials, offset: int, *parts: bytes, account: AccountId = LAB) -> Part | Stored:
    length = len(CONTENT)
    return await partials.append(account, DIGEST, offset=offset, length=length, pieces=pieces(*parts))


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=6).map(sorted))
def test_whatever_its_parts_the_whole_becomes_a_blob_without_a_copy(
    tmp_path_factory: pytest.TempPathFactory, cuts: Sequence[int]
) -> None:
    async def body() -> None:
        disk, partials = rig(tmp_path_factory.mktemp("blobs"))
        bounds = [0, *(cut for cut in cuts if cut < len(CONTENT)), len(CONTENT)]
        for start, end in pairwise(bounds):
            made = await add(partials, start, CONTENT[start:end])
            if end < len(CONTENT):
                assert made == await partials.find(LAB, DIGEST) == Part(DIGEST, end, len(CONTENT))
        assert made == Stored(DIGEST, len(CONTENT))
        assert await partials.find(LAB, DIGEST) is None
        assert b"".join([piece async for piece in disk.open(DIGEST)]) == CONTENT

    asyncio.run(body())


def test_a_part_that_does_not_begin_at_the_end_is_told_where_that_is(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        with pytest.raises(Misplaced) as nothing:
            await add(partials, 10, b"x")
        assert nothing.value.offset == 0
        assert await partials.find(LAB, DIGEST) is None
        await add(partials, 0, CONTENT[:100])
        for wrong in (0, 99, 101, 1 << 62):
            with pytest.raises(Misplaced) as told:
                await add(partials, wrong, CONTENT[:10])
            assert told.value.offset == 100
        assert await partials.find(LAB, DIGEST) == Part(DIGEST, 100, len(CONTENT))

    asyncio.run(body())


def test_what_came_before_the_sender_went_away_stays(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        gone = pieces(CONTENT[:70], CONTENT[70:90], then=Disconnected())
        with pytest.raises(Disconnected):
            await partials.append(LAB, DIGEST, offset=0, length=len(CONTENT), pieces=gone)
        found = await partials.find(LAB, DIGEST)
        assert found == Part(DIGEST, 90, len(CONTENT))
        assert isinstance(await add(partials, found.offset, CONTENT[found.offset :]), Stored)

    asyncio.run(body())


def test_more_than_announced_leaves_it_as_it_was(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        await add(partials, 0, CONTENT[:100])
        with pytest.raises(TooLarge):
            await add(partials, 100, CONTENT[100:], b"x")
        assert await partials.find(LAB, DIGEST) == Part(DIGEST, 100, len(CONTENT))

    asyncio.run(body())


def test_another_content_leaves_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        disk, partials = rig(tmp_path)
        with pytest.raises(Invalid) as wrong:
            await add(partials, 0, bytes(len(CONTENT)))
        assert wrong.value.code == "mismatch"
        assert await partials.find(LAB, DIGEST) is None
        with pytest.raises(NotFound):
            await anext(disk.open(Digest(hashlib.sha256(bytes(len(CONTENT))).hexdigest())))

    asyncio.run(body())


def test_one_adds_at_a_time_and_the_other_is_told_so(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield CONTENT[:50]
            begun.set()
            await go_on.wait()
            yield CONTENT[50:]

        first = asyncio.create_task(partials.append(LAB, DIGEST, offset=0, length=len(CONTENT), pieces=slow()))
        await begun.wait()
        with pytest.raises(Conflict) as busy:
            await add(partials, 50, CONTENT[50:])
        assert busy.value.code == "upload-busy"
        with pytest.raises(Conflict):
            await partials.drop(LAB, DIGEST)
        await partials.expire(float("inf"))
        go_on.set()
        assert await first == Stored(DIGEST, len(CONTENT))

    asyncio.run(body())


def test_accounts_do_not_meet(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        await add(partials, 0, CONTENT[:100])
        assert await partials.find(EVE, DIGEST) is None
        assert not await partials.drop(EVE, DIGEST)
        with pytest.raises(Misplaced) as told:
            await add(partials, 100, CONTENT[100:], account=EVE)
        assert told.value.offset == 0
        assert (await partials.announced(LAB), await partials.announced(EVE)) == (len(CONTENT), 0)

    asyncio.run(body())


def test_an_account_has_so_many_at_once(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path, most=2)

        async def begin(name: str) -> None:
            await partials.append(LAB, Digest(name * 64), offset=0, length=9, pieces=pieces(b"x"))

        await begin("a")
        await begin("b")
        with pytest.raises(TooMany) as more:
            await begin("c")
        assert more.value.code == "too-many-uploads"
        assert await partials.drop(LAB, Digest("a" * 64))
        await begin("c")

    asyncio.run(body())


def test_one_is_begun_again_with_another_length_only_when_it_was_given_up(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        await add(partials, 0, CONTENT[:100])
        with pytest.raises(Invalid):
            await partials.append(LAB, DIGEST, offset=100, length=101, pieces=pieces(b"x"))
        assert await partials.drop(LAB, DIGEST)
        await partials.append(LAB, DIGEST, offset=0, length=101, pieces=pieces(b"x"))

    asyncio.run(body())


def test_what_nothing_was_added_to_expires(tmp_path: Path) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        await add(partials, 0, CONTENT[:100])
        (path,) = (tmp_path / "partial").rglob(f"{DIGEST}.*")
        written = path.stat().st_mtime
        await partials.expire(written)
        assert await partials.find(LAB, DIGEST) is not None
        await partials.expire(written + 1)
        assert await partials.find(LAB, DIGEST) is None
        assert not list((tmp_path / "partial").iterdir())

    asyncio.run(body())


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        _, partials = rig(tmp_path)
        await add(partials, 0, CONTENT[:100])
        write = os.write

        def full(handle: int, piece: bytes) -> int:
            if bytes(piece) == b"last":
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(handle, piece)

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(Unavailable) as refused:
            await add(partials, 100, CONTENT[100:200], b"last")
        assert refused.value.code == "storage-full"
        assert await partials.find(LAB, DIGEST) == Part(DIGEST, 100, len(CONTENT))

    asyncio.run(body())


WRITER = """
import asyncio, os, sys
from pathlib import Path
from jobgate.files.disk import Disk
from jobgate.files.partial import Partials
folder = Path(sys.argv[1])
async def pieces():
    for _ in range(10):
        yield b"x" * 1000
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(Partials(folder / "partial", Disk(folder)).append(1, "a" * 64, offset=0, length=50_000, pieces=pieces()))
"""


def test_what_a_killed_process_had_written_is_told_and_gone_on_from(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:  # noqa: S603  # our own
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        os.kill(writer.pid, signal.SIGKILL)

    async def body() -> None:
        _, partials = rig(tmp_path)
        found = await partials.find(LAB, Digest("a" * 64))
        assert found == Part(Digest("a" * 64), 10_000, 50_000)
        more = await partials.append(
            LAB, found.digest, offset=found.offset, length=found.length, pieces=pieces(b"y" * 10)
        )
        assert more == Part(found.digest, 10_010, 50_000)

    asyncio.run(body())
