"""Blobs on a disk: whole or not there, named by what they hold, synced before they are told of."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_disks import mounted
from trees import needs_root

from jobgate.files.disk import Disk
from jobgate.model.errors import NotFound, TooLarge, Unavailable
from jobgate.model.ids import Digest


def digest(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


def blobs(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


async def whole(storage: Disk, name: Digest, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in storage.open(name, offset, length)])


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


# --- in and out


def test_content_comes_back_whole_or_in_part_from_bytes_files_and_streams(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "file").write_bytes(content)

    async def body() -> None:
        storage = Disk(tmp_path / "blobs")
        with (tmp_path / "file").open("rb") as file:
            stored = await storage.put_all([content, file, pieces(content[:7], b"", content[7:]), b""], limit=None)
        assert [(s.digest, s.size) for s in stored] == [(digest(content), len(content))] * 3 + [(digest(b""), 0)]
        assert len(blobs(tmp_path / "blobs")) == 2
        assert await whole(storage, digest(content)) == content
        assert await whole(storage, digest(content), 5, 10) == content[5:15]
        assert await whole(storage, digest(content), len(content), 10) == b""
        await storage.copy_to(digest(content), tmp_path / "copy", executable=True)
        assert (tmp_path / "copy").read_bytes() == content
        assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o755

    asyncio.run(body())


def test_what_is_not_kept_is_not_found(tmp_path: Path) -> None:
    async def body() -> None:
        storage = Disk(tmp_path)
        with pytest.raises(NotFound):
            await whole(storage, digest(b"x"))
        with pytest.raises(NotFound):
            await storage.copy_to(digest(b"x"), tmp_path / "copy")
        await storage.delete([digest(b"x")])

    asyncio.run(body())


def test_nobody_may_write_a_blob(tmp_path: Path) -> None:
    asyncio.run(Disk(tmp_path).put(b"x", limit=None))
    (blob,) = blobs(tmp_path)
    assert blob.stat().st_mode & 0o777 == 0o400


def test_one_too_large_leaves_nothing_of_any(tmp_path: Path) -> None:
    async def body() -> None:
        storage = Disk(tmp_path)
        for source in (b"x" * 11, pieces(b"x" * 6, b"x" * 5)):
            with pytest.raises(TooLarge):
                await storage.put_all([b"fits", source, b"never reached"], limit=10)
        assert await storage.put(b"x" * 10, limit=10)

    asyncio.run(body())
    assert [path.stat().st_size for path in blobs(tmp_path)] == [10]


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionError

    with pytest.raises(Unavailable):
        asyncio.run(Disk(tmp_path).put(breaks(), limit=None))
    assert blobs(tmp_path) == []


def test_a_blob_that_was_spoilt_is_replaced_when_it_is_stored_again(tmp_path: Path) -> None:
    async def body() -> None:
        storage = Disk(tmp_path)
        stored = await storage.put(b"content", limit=None)
        (blob,) = blobs(tmp_path)
        blob.chmod(0o600)
        blob.write_bytes(b"con")
        await storage.put(b"content", limit=None)
        assert await whole(storage, stored.digest) == b"content"

    asyncio.run(body())


# --- on disk


class Order:
    """What was done to the file system, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, str]] = []
        sync, rename = os.fsync, Path.rename

        def synced(handle: int) -> None:
            self.done.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
            sync(handle)

        def renamed(path: Path, target: Path) -> Path:
            self.done.append(("rename", str(path)))
            return rename(path, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "rename", renamed)


def test_every_content_is_synced_before_any_has_its_name_and_every_name_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Disk(tmp_path)
    order = Order(monkeypatch)
    stored = asyncio.run(storage.put_all([b"%d" % n for n in range(20)], limit=None))
    words = [word for word, _ in order.done]
    directories = {str(tmp_path / s.digest[:2]) for s in stored}
    assert words == ["sync"] * 20 + ["rename"] * 20 + ["sync"] * len(directories)
    assert {path for _, path in order.done[:20]} == {path for _, path in order.done[20:40]}
    assert {path for _, path in order.done[40:]} == directories


def test_many_blobs_together_need_fewer_syncs_than_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Disk(tmp_path)
    order = Order(monkeypatch)

    async def body() -> tuple[int, int]:
        await storage.put_all([b"a%d" % n for n in range(600)], limit=None)
        together = Counter(word for word, _ in order.done)["sync"]
        order.done.clear()
        for n in range(600):
            await storage.put(b"b%d" % n, limit=None)
        return together, Counter(word for word, _ in order.done)["sync"]

    together, alone = asyncio.run(body())
    assert together <= 600 + 256
    assert alone == 1200


def test_what_is_there_already_is_not_written_down_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Disk(tmp_path)
    asyncio.run(storage.put(b"x", limit=None))
    order = Order(monkeypatch)
    asyncio.run(storage.put(b"x", limit=None))
    assert [word for word, _ in order.done] == ["sync"]  # its name, which another may only just have given it


KILLED = """
import asyncio, os, sys
from pathlib import Path
from jobgate.files.disk import Disk

async def main():
    storage = Disk(Path(sys.argv[1]))
    number = 0
    while True:
        batch = [os.urandom(20_000 + number % 3) + b"%d" % number for number in range(number, number + 8)]
        for stored in await storage.put_all(batch, limit=None):
            os.write(1, stored.digest.encode() + b"\\n")
        number += 8

asyncio.run(main())
"""


@pytest.mark.parametrize("told", [1, 20, 100])
def test_a_process_killed_at_any_moment_leaves_whole_blobs_only_and_all_it_told_of(tmp_path: Path, told: int) -> None:
    place = tmp_path / "blobs"
    with subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", KILLED, place], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        names = [process.stdout.readline().strip().decode() for _ in range(told)]
        process.send_signal(signal.SIGKILL)
        names += [line.strip().decode() for line in process.stdout if line.endswith(b"\n")]
    storage = Disk(place)
    found = {blob.parent.name + blob.name: blob for blob in blobs(place)}
    assert set(names) <= set(found)
    assert all(hashlib.sha256(blob.read_bytes()).hexdigest() == name for name, blob in found.items())
    assert len(list((place / "tmp").iterdir())) == 1
    del storage


def test_what_a_dead_process_left_half_written_goes_at_start_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    dead = tmp_path / "tmp" / "dead"
    dead.mkdir(parents=True)
    (dead / "half").write_bytes(b"x")
    (tmp_path / "tmp" / "older").write_bytes(b"x")

    async def body() -> None:
        storage = Disk(tmp_path)
        assert not dead.exists()
        assert not (tmp_path / "tmp" / "older").exists()
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"first"
            begun.set()
            await go_on.wait()
            yield b"second"

        writing = asyncio.create_task(storage.put(slow(), limit=None))
        await begun.wait()
        second = Disk(tmp_path)
        go_on.set()
        stored = await writing
        assert await whole(second, stored.digest) == b"firstsecond"

    asyncio.run(body())


# --- full


def test_with_no_room_left_nothing_is_taken(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        asyncio.run(Disk(tmp_path, reserve=1 << 60).put(b"x", limit=None))
    assert refused.value.code == "storage-full"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    with mounted(tmp_path / "small", "1m") as place:
        yield place


@needs_root
@pytest.mark.parametrize("count", [1, 4])
def test_a_disk_that_fills_up_is_told_and_leaves_nothing(small: Path, count: int) -> None:
    async def body() -> None:
        storage = Disk(small)
        await storage.put(b"before", limit=None)
        with pytest.raises(Unavailable) as refused:
            await storage.put_all([b"%d" % n + bytes((2 << 20) // count) for n in range(count)], limit=None)
        assert refused.value.code == "storage-full"
        with pytest.raises(Unavailable):
            await storage.put(pieces(*[bytes(100_000)] * 20), limit=None)
        assert len(blobs(small)) == 1
        await storage.put(bytes(500_000), limit=None)
        assert await whole(storage, digest(b"before")) == b"before"

    asyncio.run(body())


def test_a_file_over_what_the_process_may_write_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    storage = Disk(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Unavailable, match="File too large"):
            asyncio.run(storage.put(bytes(1 << 20), limit=None))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert blobs(tmp_path) == []


def test_an_error_of_the_disk_while_syncing_is_told_and_nothing_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Disk(tmp_path)

    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Unavailable, match="Input/output error"):
        asyncio.run(storage.put_all([b"a", b"b"], limit=None))
    assert blobs(tmp_path) == []


# --- away


def test_only_old_blobs_are_deleted_and_listed_as_aged(tmp_path: Path) -> None:
    async def body() -> None:
        storage = Disk(tmp_path)
        old = await storage.put(b"old", limit=None)
        again = await storage.put(b"again", limit=None)
        fresh = await storage.put(b"fresh", limit=None)
        for blob in blobs(tmp_path):
            if blob.read_bytes() != b"fresh":
                os.utime(blob, (1000, 1000))
        await storage.put(b"again", limit=None)
        aged = [name async for part in storage.aged(2000.0) for name in part]
        assert aged == [old.digest]
        await storage.delete([old.digest, again.digest, fresh.digest])
        assert sorted(blob.read_bytes() for blob in blobs(tmp_path)) == [b"again", b"fresh"]

    asyncio.run(body())


def test_a_blob_that_is_stored_again_while_it_is_deleted_is_there_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deleting begins when the storing has seen that the blob is there, and before it has said so."""

    async def body() -> None:
        storage = Disk(tmp_path)
        stored = await storage.put(b"x", limit=None)
        (blob,) = blobs(tmp_path)
        os.utime(blob, (1000, 1000))
        deleting: list[asyncio.Future[Any]] = []
        loop, utime = asyncio.get_running_loop(), os.utime

        def touch(path: Path) -> None:
            done = asyncio.run_coroutine_threadsafe(storage.delete([stored.digest]), loop)
            deleting.append(asyncio.wrap_future(done, loop=loop))
            utime(path)

        monkeypatch.setattr(os, "utime", touch)
        await storage.put(b"x", limit=None)
        await deleting[0]
        assert await whole(storage, stored.digest) == b"x"

    asyncio.run(body())
