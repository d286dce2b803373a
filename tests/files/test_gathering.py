"""The archive of a batch: written forward, without knowing what comes, and read by those who did not write it."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_blobs import Memory

from jobgate.files import gathering
from jobgate.files.gathering import gathered
from jobgate.model.errors import JobgateError, NotFound
from jobgate.model.storing import Bundle

END = 1_760_000_000.0
"""2025-10-09 08:53:20 UTC."""


async def some(bundles: Sequence[Bundle]) -> AsyncIterator[Bundle]:
    for bundle in bundles:
        yield bundle


def made(bundles: Sequence[Bundle], blobs: Memory) -> bytes:
    async def whole() -> bytes:
        return b"".join([piece async for piece in gathered(some(bundles), blobs)])

    return asyncio.run(whole())


def test_every_file_comes_out_below_its_job_with_content_mode_and_time() -> None:
    blobs = Memory()
    files = (
        blobs.keep("out/large", b"l" * 300_000),
        blobs.keep("ü €", b"inline", inline=True, mode=0o755),
        blobs.keep("../../climbs", b"held below"),
        blobs.keep("empty", b""),
    )
    content = made([Bundle(folder=f"{n}", modified=END + n, files=files) for n in (1, 20)], blobs)
    with zipfile.ZipFile(io.BytesIO(content)) as unpacked:
        assert unpacked.testzip() is None
        names = ["out/large", "ü €", "climbs", "empty"]
        assert unpacked.namelist() == [f"{n}/{name}" for n in (1, 20) for name in names]
        assert unpacked.read("20/out/large") == b"l" * 300_000
        assert unpacked.read("1/ü €") == b"inline"
        assert oct(unpacked.getinfo("1/ü €").external_attr >> 16) == "0o100755"
        assert unpacked.getinfo("20/empty").date_time == (2025, 10, 9, 8, 53, 40)


@settings(max_examples=60)
@given(
    jobs=st.lists(
        st.lists(st.tuples(st.text(max_size=6), st.binary(max_size=3000), st.booleans()), max_size=5), max_size=5
    )
)
def test_whatever_is_gathered_is_what_python_reads(jobs: list[list[tuple[str, bytes, bool]]]) -> None:
    blobs = Memory()
    bundles = []
    for number, files in enumerate(jobs):
        packed = [blobs.keep(path.encode(errors="ignore").decode(), held, inline=small) for path, held, small in files]
        bundles.append(Bundle(folder=str(number), modified=END, files=tuple(packed)))
    with zipfile.ZipFile(io.BytesIO(made(bundles, blobs))) as unpacked:
        assert unpacked.testzip() is None
        assert [unpacked.read(info) for info in unpacked.infolist()] == [held for files in jobs for _, held, _ in files]
        assert len(set(unpacked.namelist())) == len(unpacked.namelist())


def test_more_files_than_the_plain_format_counts_are_read_by_others_too(tmp_path: Path) -> None:
    blobs = Memory()
    files = tuple(blobs.keep(f"f{n}", b"", inline=True) for n in range(100))
    bundles = [Bundle(folder=str(n + 1), modified=END, files=files) for n in range(656)]
    path = tmp_path / "many.zip"
    path.write_bytes(made(bundles, blobs))
    with zipfile.ZipFile(path) as unpacked:
        assert len(unpacked.namelist()) == 65_600
        assert unpacked.namelist()[-1] == "656/f99"
    unzip = shutil.which("unzip")
    assert unzip, "unzip is provisioned"
    tested = subprocess.run([unzip, "-tq", str(path)], capture_output=True, text=True, check=False)  # noqa: S603  # our own file
    assert (tested.returncode, tested.stderr) == (0, "")


def test_offsets_and_sizes_beyond_the_plain_format_are_written_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the format's bound lowered, every number is a wide one."""
    monkeypatch.setattr(gathering, "_LIMIT", 10)
    blobs = Memory()
    archive = gathering._Zip()  # noqa: SLF001  # what it writes is compared with the format
    archive.enter(b"n", 11, 7, 12, 0o644, 0, flags=0)
    line = archive._directory  # noqa: SLF001  # as above
    line.seek(46 + 1)
    wide = line.read()
    line.close()
    assert wide == bytes.fromhex("0100 1800") + b"".join(n.to_bytes(8, "little") for n in (12, 12, 11))
    content = made([Bundle(folder="1", modified=END, files=(blobs.keep("n", b"x" * 12),))], blobs)
    assert b"PK\6\6" in content
    assert b"PK\6\7" in content


def test_what_is_not_kept_any_more_breaks_it_off_before_its_end() -> None:
    blobs = Memory()
    files = (blobs.keep("a", b"a" * 200_000), blobs.keep("b", b"b"))
    del blobs.blobs[files[1].artifact.digest]

    sent = bytearray()

    async def send() -> None:
        async for piece in gathered(some([Bundle(folder="1", modified=END, files=files)]), blobs):
            sent.extend(piece)

    with pytest.raises(NotFound):
        asyncio.run(send())
    assert b"PK\5\6" not in sent


def test_a_file_that_lost_bytes_breaks_it_off() -> None:
    blobs = Memory()
    file = blobs.keep("a", b"a" * 2000)
    blobs.blobs[file.artifact.digest] = b"a" * 1999
    with pytest.raises(JobgateError, match="lacks 1 "):
        made([Bundle(folder="1", modified=END, files=(file,))], blobs)


def test_memory_does_not_grow_with_the_number_of_files() -> None:
    blobs = Memory()
    file = blobs.keep("a" * 50, b"x" * 10, inline=True)

    async def many(number: int) -> AsyncIterator[Bundle]:
        for n in range(number):
            yield Bundle(folder=str(n), modified=END, files=(file,))

    async def peak(number: int) -> int:
        tracemalloc.start()
        async for _ in gathered(many(number), blobs):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    asyncio.run(peak(10))
    assert asyncio.run(peak(60_000)) < 4 << 20
