"""An archive of stored files: what any unpacker gets of it, and what is known before it is made."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import tracemalloc
import unicodedata
import zipfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_blobs import Memory

from jobgate.files.archive import Archive, safe_names
from jobgate.model.errors import JobgateError, NotFound
from jobgate.model.files import SEGMENT_LIMIT, Artifact, Packed
from jobgate.model.ids import Digest

END = 1_760_000_000.0
"""2025-10-09 08:53:20 UTC."""


def made(archive: Archive, blobs: Memory) -> bytes:
    async def whole() -> bytes:
        return b"".join([piece async for piece in archive.stream(blobs)])

    return asyncio.run(whole())


def packed(paths: Sequence[str], blobs: Memory) -> list[Packed]:
    return [blobs.keep(path, f"{place}".encode() * place * 10) for place, path in enumerate(paths)]


# --- what comes out


def test_every_file_comes_out_with_its_content_mode_and_the_time_of_the_jobs_end() -> None:
    blobs = Memory()
    files = [
        blobs.keep("out/large", b"l" * 300_000),
        blobs.keep("out/ü €", b"inline", inline=True),
        blobs.keep("run", b"#!", mode=0o755),
        blobs.keep("empty", b""),
        blobs.keep("empty inline", b"", inline=True),
    ]
    archive = Archive(files, END)
    content = made(archive, blobs)
    with zipfile.ZipFile(io.BytesIO(content)) as unpacked:
        assert unpacked.testzip() is None
        assert unpacked.namelist() == ["out/large", "out/ü €", "run", "empty", "empty inline"]
        assert [unpacked.read(name) for name in unpacked.namelist()] == [b"l" * 300_000, b"inline", b"#!", b"", b""]
        assert {info.date_time for info in unpacked.infolist()} == {(2025, 10, 9, 8, 53, 20)}
        assert [oct(info.external_attr >> 16) for info in unpacked.infolist()][2] == "0o100755"
    assert archive.size == len(content)
    assert blobs.open_now == 0


def test_the_same_files_make_the_same_archive() -> None:
    blobs = Memory()
    files = packed(["a", "b/c"], blobs)
    assert made(Archive(files, END), blobs) == made(Archive(files, END), blobs)


def test_an_archive_of_nothing_is_one() -> None:
    archive = Archive([], END)
    content = made(archive, Memory())
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == []
    assert archive.size == len(content)


@pytest.mark.parametrize(
    ("seconds", "year"), [(0.0, 1980), (-1e30, 1980), (1e30, 2107), (1e11, 2107), (315_532_800.0, 1980)]
)
def test_a_time_that_the_format_cannot_say_is_the_nearest_it_can(seconds: float, year: int) -> None:
    blobs = Memory()
    content = made(Archive(packed(["a"], blobs), seconds), blobs)
    assert zipfile.ZipFile(io.BytesIO(content)).infolist()[0].date_time[0] == year


# --- sizes


@given(
    sizes=st.lists(st.integers(0, 400), max_size=12),
    limit=st.sampled_from([50, 200, 1000, zipfile.ZIP64_LIMIT]),
    count=st.sampled_from([0, 3, zipfile.ZIP_FILECOUNT_LIMIT]),
)
def test_the_size_is_known_before_wherever_the_large_form_begins(sizes: list[int], limit: int, count: int) -> None:
    """The format's limits are drawn in, so that small files cross them."""
    blobs = Memory()
    files = [blobs.keep(f"{'ü' * place}{place}", b"x" * size) for place, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", limit)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", count)
        archive = Archive(files, END)
        assert archive.size == len(made(archive, blobs))


class Zeros:
    """A blob of any size that holds nothing."""

    piece = bytes(1 << 20)

    async def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        size = int(digest, 16)
        assert (offset, length) == (0, size)
        for _ in range(size >> 20):
            yield self.piece


def test_files_over_four_gigabytes_pass_through_little_memory_and_have_the_size_that_was_told() -> None:
    size = (4 << 30) + (1 << 20)
    large = Packed("large", Artifact("large", Digest(f"{size:x}"), size))
    after = Packed("after", Artifact("after", Digest("0"), 1, inline=b"x"))
    archive = Archive([large, after], END)
    sent, most = 0, 0

    async def drain() -> None:
        nonlocal sent, most
        async for piece in archive.stream(Zeros()):
            sent += len(piece)
            most = max(most, len(piece))

    asyncio.run(drain())
    assert sent == archive.size
    assert archive.size > size
    assert most <= 2 << 20


def test_memory_does_not_grow_with_the_size_of_the_files() -> None:
    def peak(size: int) -> int:
        archive = Archive([Packed("a", Artifact("a", Digest(f"{size:x}"), size))], END)

        async def drain() -> None:
            async for _ in archive.stream(Zeros()):
                pass

        tracemalloc.start()
        asyncio.run(drain())
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(256 << 20) < peak(4 << 20) + (1 << 20)


def test_a_file_that_became_shorter_breaks_the_archive_off() -> None:
    blobs = Memory()
    files = [blobs.keep("a", b"x" * 100_000)]
    blobs.blobs[files[0].artifact.digest] = b"x" * 99_999
    with pytest.raises(JobgateError, match="lacks 1 of its bytes"):
        made(Archive(files, END), blobs)


def test_a_first_file_that_is_gone_is_told_before_anything_is_sent() -> None:
    gone = Packed("a", Artifact("a", Digest("0" * 64), 5))

    async def first() -> bytes:
        return await anext(Archive([gone], END).stream(Memory()))

    with pytest.raises(NotFound):
        asyncio.run(first())


def test_who_stops_listening_leaves_no_file_open() -> None:
    blobs = Memory()
    files = [blobs.keep("a", b"x" * 1_000_000)]

    async def begin() -> int:
        pieces = Archive(files, END).stream(blobs)
        await anext(pieces)
        opened = blobs.open_now
        await pieces.aclose()
        return opened

    assert asyncio.run(begin()) == 1
    assert blobs.open_now == 0


# --- names


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("/etc/passwd", "etc/passwd"),
        ("../../x", "x"),
        ("a/../b", "a/b"),
        ("..\\..\\x", ".._.._x"),
        ("C:/x", "C_/x"),
        ("a/c:x", "a/c_x"),
        ("12:30", "12:30"),
        ("a\nb\x00\x1b", "a_b__"),
        ("", "_"),
        ("//./..", "_"),
        ("a//b/", "a/b"),
        ("\udc80", "_"),
        ("n" * 300, "n" * 255),
        ("ü" * 200, "ü" * 127),
    ],
)
def test_a_hostile_name_becomes_a_harmless_one(name: str, safe: str) -> None:
    assert safe_names([name]) == [safe]


def test_a_path_too_long_keeps_its_end() -> None:
    (name,) = safe_names(["/".join(f"{n:0>200}" for n in range(100))])
    assert len(name.encode()) <= 4096
    assert name.endswith("/" + f"{99:0>200}")


@pytest.mark.parametrize(
    ("names", "safe"),
    [
        (["a", "a", "a"], ["a", "a (2)", "a (3)"]),
        (["a.txt", "a (2).txt", "a.txt"], ["a.txt", "a (2).txt", "a (3).txt"]),
        ([".rc", ".rc"], [".rc", ".rc (2)"]),
        (["a", "a/b", "a/c"], ["a", "a (2)/b", "a (2)/c"]),
        (["a/b", "a"], ["a/b", "a (2)"]),
        (["x\n", "x\t"], ["x_", "x_ (2)"]),
        (["A", "a"], ["A", "a"]),
        (["n" * 255] * 2, ["n" * 255, "n" * 251 + " (2)"]),
    ],
)
def test_a_name_that_is_taken_gets_a_number(names: list[str], safe: list[str]) -> None:
    assert safe_names(names) == safe


def test_names_that_differ_in_case_alone_are_kept_apart_on_request() -> None:
    assert safe_names(["A/x", "a/X", "ß", "SS"], fold_case=True) == ["A/x", "a/X (2)", "ß", "SS (2)"]
    assert safe_names(["e\u0301", "\u00e9"], fold_case=True) == ["e\u0301", "\u00e9 (2)"]


def test_a_name_given_100000_times_is_numbered_without_trying_every_number() -> None:
    names = safe_names(["x"] * 100_000)
    assert names[-1] == "x (100000)"
    assert len(set(names)) == 100_000


ODD = st.sampled_from(
    [*("..", ".", "", "/", "\\", "C:", "c:\\", "a", "A", "a (2)", "b.txt"), *"\n\0\x1bü\u202e-~* ", "ß", "SS"]
)
NAMES = st.lists(st.lists(ODD | st.text(max_size=6), max_size=5).map("/".join) | st.text(max_size=300), max_size=12)


@settings(max_examples=100)
@given(names=NAMES, fold_case=st.booleans())
def test_whatever_the_names_python_and_unzip_take_it_and_nothing_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], fold_case: bool
) -> None:
    blobs = Memory()
    archive = Archive(packed(names, blobs), END, fold_case=fold_case)
    content = made(archive, blobs)
    assert archive.size == len(content)
    place = tmp_path_factory.mktemp("unpack")
    file, target = place / "a.zip", place / "in" / "side"
    file.write_bytes(content)
    with zipfile.ZipFile(file) as unpacked:
        listed = unpacked.namelist()
        assert unpacked.testzip() is None
        unpacked.extractall(target)
    _harmless(listed, fold_case=fold_case)
    assert sorted(path.relative_to(place).parts[0] for path in place.iterdir()) == ["a.zip", "in"] or not names
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()) == sorted(listed)
    assert [(target / name).read_bytes() for name in listed] == [f"{n}".encode() * n * 10 for n in range(len(names))]
    unzip = shutil.which("unzip")
    if unzip and names:
        done = subprocess.run([unzip, "-tqq", file], capture_output=True, check=False)  # noqa: S603  # our own file
        assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(place)


def _harmless(names: list[str], *, fold_case: bool) -> None:
    keys = [unicodedata.normalize("NFC", name).casefold() for name in names] if fold_case else names
    assert len(set(keys)) == len(keys)
    for name in names:
        assert not any(c == "\\" or unicodedata.category(c) in ("Cc", "Cs") for c in name)
        for part in name.split("/"):
            assert part not in ("", ".", "..")
            assert len(part.encode()) <= SEGMENT_LIMIT
            assert part[1:2] != ":" or not (part[0].isascii() and part[0].isalpha())
    assert not {"/".join(key.split("/")[:n]) for key in keys for n in range(1, key.count("/") + 1)} & set(keys)


def test_unzip_unpacks_what_python_does(tmp_path: Path) -> None:
    unzip = shutil.which("unzip")
    if unzip is None:
        pytest.skip("unzip is not installed")
    blobs = Memory()
    files = packed(["../a", "b/c.txt", "b/c.txt", "ü/€"], blobs)
    (tmp_path / "a.zip").write_bytes(made(Archive(files, END), blobs))
    subprocess.run([unzip, "-qq", "a.zip", "-d", "out"], cwd=tmp_path, check=True)  # noqa: S603  # our own file
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == {"a", "b/c.txt", "b/c (2).txt", "ü/€"}
