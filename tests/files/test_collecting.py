"""What a job leaves is collected, and nothing else is: with real files, as root and as nobody."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import re
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from trees import NOBODY, as_nobody, fill, in_memory, needs_root, nest

from jobgate.files import walk as walking
from jobgate.files import workspace as workspaces
from jobgate.files.disk import Disk
from jobgate.files.walk import Found, Walk
from jobgate.files.workspace import Collection, Workspace
from jobgate.model.errors import Invalid, Unavailable
from jobgate.model.files import (
    ARTIFACT_INLINE_LIMIT,
    ATTEMPT_INLINE_LIMIT,
    PATH_LIMIT,
    Artifact,
    Output,
    OutputKind,
    check_segment,
)

OUT = (Output(path="out", kind=OutputKind.DIRECTORY),)


class Desk:
    """A workspace with an `out`, and a storage."""

    def __init__(self, place: Path) -> None:
        self.outside = place / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_bytes(b"secret")
        self.workspace = Workspace(place / "work", place / "work.log")
        self.workspace.create()
        self.out = self.workspace.root / "out"
        self.out.mkdir()
        self.storage = Disk(place / "blobs")

    def collect(
        self, outputs: tuple[Output, ...] = OUT, *, max_files: int = 1000, max_bytes: int = 1 << 30
    ) -> Collection:
        return asyncio.run(
            self.workspace.collect(outputs, storage=self.storage, max_files=max_files, max_bytes=max_bytes)
        )

    def content(self, artifact: Artifact) -> bytes:
        async def whole() -> bytes:
            return b"".join([piece async for piece in self.storage.open(artifact.digest)])

        return artifact.inline if artifact.inline is not None else asyncio.run(whole())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def paths(collection: Collection) -> list[str]:
    return [artifact.path for artifact in collection.artifacts]


def handles() -> int:
    gc.collect()  # what earlier tests let go of is gone
    return len(os.listdir("/proc/self/fd"))


# --- what is collected


def test_files_of_every_size_come_with_their_names_sizes_modes_and_contents(desk: Desk) -> None:
    (desk.out / "deep" / "er").mkdir(parents=True)
    (desk.out / "deep" / "er" / "large").write_bytes(b"l" * 100_000)
    (desk.out / "run").write_bytes(b"#!")
    (desk.out / "run").chmod(0o755)
    (desk.out / "ü €").touch()
    found = desk.collect()
    assert paths(found) == ["run", "ü €", "deep/er/large"]
    by_name = {artifact.path: artifact for artifact in found.artifacts}
    assert desk.content(by_name["deep/er/large"]) == b"l" * 100_000
    assert by_name["deep/er/large"].inline is None
    assert by_name["run"].inline == b"#!"
    assert by_name["run"].mode == 0o755
    assert by_name["ü €"].size == 0
    assert (found.skipped, found.missing, found.over) == (0, (), False)


def test_only_a_required_output_that_is_not_there_is_missing(desk: Desk) -> None:
    (desk.out / "a").touch()
    outputs = (
        Output(path="out/a", required=True),
        Output(path="out/b", required=True, name="the b"),
        Output(path="out/c"),
        Output(path="none", kind=OutputKind.DIRECTORY, required=True),
    )
    assert desk.collect(outputs).missing == ("the b", "none")


def test_a_pattern_matches_segment_by_segment_and_enters_no_link(desk: Desk) -> None:
    for name in ("a1/x.txt", "a2/x.txt", "b1/x.txt", "a1/sub/x.txt", "a1/x.bin"):
        path = desk.workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (desk.workspace.root / "a3").symlink_to(desk.outside)
    assert paths(desk.collect((Output(path="a*/x*.txt", kind=OutputKind.WILDCARD),))) == ["a1/x.txt", "a2/x.txt"]


def test_files_ride_in_the_row_until_it_is_full_and_no_longer(desk: Desk) -> None:
    for place in range(6):
        (desk.out / f"{place}").write_bytes(b"x" * ARTIFACT_INLINE_LIMIT)
    kept = desk.collect().artifacts
    assert sum(len(a.inline) for a in kept if a.inline is not None) == ATTEMPT_INLINE_LIMIT
    assert [a.inline is None for a in kept] == [False] * 4 + [True] * 2
    assert all(desk.content(a) == b"x" * ARTIFACT_INLINE_LIMIT for a in kept)


def test_collecting_again_finds_the_same(desk: Desk) -> None:
    (desk.out / "a").write_bytes(b"a" * 10_000)
    assert desk.collect() == desk.collect()


# --- links


@pytest.mark.parametrize("target", ["../../outside/secret", "{outside}/secret", "/etc/passwd", "/proc/self/environ"])
def test_a_link_out_is_skipped(desk: Desk, target: str) -> None:
    (desk.out / "a").symlink_to(target.format(outside=desk.outside))
    found = desk.collect()
    assert (found.artifacts, found.skipped) == ((), 1)


def test_a_link_to_a_directory_outside_is_not_entered(desk: Desk) -> None:
    (desk.out / "d").symlink_to(desk.outside)
    found = desk.collect()
    assert (found.artifacts, found.skipped) == ((), 1)


def test_the_output_itself_as_a_link_is_not_entered(desk: Desk) -> None:
    desk.out.rmdir()
    desk.out.symlink_to(desk.outside)
    (desk.workspace.root / "f").symlink_to(desk.outside / "secret")
    (desk.workspace.root / "d").symlink_to(desk.outside)
    found = desk.collect((*OUT, Output(path="f"), Output(path="d/secret"), Output(path="f/secret")))
    assert (found.artifacts, found.skipped) == ((), 4)


def test_a_link_inside_the_collected_directory_is_followed_unless_another_link_is_on_its_way(desk: Desk) -> None:
    (desk.out / "d").mkdir()
    (desk.out / "d" / "file").write_bytes(b"inside")
    (desk.out / "near").symlink_to("d/file")
    (desk.out / "d" / "up").symlink_to("../d/./file")
    (desk.out / "far").symlink_to(desk.out / "d" / "file")
    (desk.out / "second").symlink_to("near")
    (desk.out / "loop").symlink_to("loop")
    (desk.out / "gone").symlink_to("nothing")
    (desk.out / "way").symlink_to("d")
    (desk.out / "over").symlink_to("way/file")
    (desk.out / "self").symlink_to(".")
    found = desk.collect()
    assert sorted(paths(found)) == ["d/file", "d/up", "far", "near"]
    assert {desk.content(a) for a in found.artifacts} == {b"inside"}
    assert found.skipped == 6


def test_a_directory_swapped_for_a_link_while_walking_leads_nowhere(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.out / "d").mkdir()
    (desk.out / "d" / "secret").write_bytes(b"own")
    enter = Walk._enter  # noqa: SLF001  # the moment between listing and opening

    def swap(self: Walk, top: int, segments: tuple[str, ...]) -> int | None:
        if tuple(segments) == ("d",):
            (desk.out / "d").rename(desk.workspace.root / "moved")
            (desk.out / "d").symlink_to(desk.outside)
        return enter(self, top, segments)

    monkeypatch.setattr(Walk, "_enter", swap)
    found = desk.collect()
    assert (found.artifacts, found.skipped) == ((), 1)


def test_a_directory_swapped_after_it_was_opened_is_read_where_it_now_lies(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.out / "d").mkdir()
    (desk.out / "d" / "secret").write_bytes(b"own")
    take = Walk._take  # noqa: SLF001  # the moment between entering and taking

    def swap(self: Walk, place: int, directory: int, name: str, *more: Any) -> Iterator[Found]:
        if not (desk.out / "d").is_symlink():
            (desk.out / "d").rename(desk.workspace.root / "moved")
            (desk.out / "d").symlink_to(desk.outside)
        return take(self, place, directory, name, *more)

    monkeypatch.setattr(Walk, "_take", swap)
    assert [desk.content(a) for a in desk.collect().artifacts] == [b"own"]


def _swapped_when_looked_at(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], object]
) -> Callable[[], Collection]:
    """Collects, with `swap` done between the look at `out/a` and its opening."""
    (desk.out / "a").write_bytes(b"own")
    fstat, done = os.fstat, False

    def looked(handle: int) -> os.stat_result:
        nonlocal done
        status = fstat(handle)
        if stat.S_ISREG(status.st_mode) and not done:
            done = True
            (desk.out / "a").unlink()
            swap()
        return status

    def collect() -> Collection:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", looked)
            return desk.collect()

    return collect


def test_a_file_swapped_for_a_link_between_look_and_opening_is_still_the_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = _swapped_when_looked_at(desk, monkeypatch, lambda: (desk.out / "a").symlink_to(desk.outside / "secret"))
    assert [a.inline for a in swapped().artifacts] == [b"own"]


def test_a_file_swapped_for_a_fifo_between_look_and_opening_holds_nobody_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = _swapped_when_looked_at(desk, monkeypatch, lambda: os.mkfifo(desk.out / "a"))
    assert [a.inline for a in swapped().artifacts] == [b"own"]


def test_a_file_that_goes_while_walking_is_no_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (desk.out / name).touch()
    take = Walk._take  # noqa: SLF001  # the moment between listing and opening

    def gone(self: Walk, place: int, directory: int, name: str, *more: Any) -> Iterator[Found]:
        if name == "b":
            (desk.out / "b").unlink()
        return take(self, place, directory, name, *more)

    monkeypatch.setattr(Walk, "_take", gone)
    found = desk.collect()
    assert (paths(found), found.skipped) == (["a", "c"], 0)


# --- what is no plain file


def test_fifos_and_sockets_are_skipped_and_not_waited_for(desk: Desk) -> None:
    os.mkfifo(desk.out / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(desk.out)  # a socket's address is short
        listening.bind("socket")
        os.chdir(here)
        found = desk.collect((*OUT, Output(path="out/fifo"), Output(path="out/so*", kind=OutputKind.WILDCARD)))
    assert (found.artifacts, found.skipped) == ((), 4)


@needs_root
def test_devices_are_skipped_and_never_opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mknod(desk.out / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(desk.out / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 200))
    opened: list[int] = []
    real = os.open

    def watch(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & (os.O_PATH | os.O_DIRECTORY):
            opened.append(flags)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", watch)
    found = Walk(desk.workspace.root, 10, 10)
    assert list(found.files(OUT)) == []
    monkeypatch.undo()
    assert (found.skipped, opened) == (2, [])


@needs_root
def test_a_second_name_of_anothers_file_is_skipped_and_the_jobs_own_second_names_are_not(desk: Desk) -> None:
    os.link(desk.outside / "secret", desk.out / "borrowed")
    (desk.out / "own").write_bytes(b"own")
    os.link(desk.out / "own", desk.out / "own again")
    for path in (desk.workspace.root, desk.out, desk.out / "own"):
        os.chown(path, NOBODY, NOBODY)
    found = desk.collect()
    assert paths(found) == ["own", "own again"]
    assert found.skipped == 1


def test_bits_that_give_rights_are_dropped(desk: Desk) -> None:
    (desk.out / "a").touch()
    (desk.out / "a").chmod(0o7755)
    assert [oct(a.mode) for a in desk.collect().artifacts] == ["0o755"]


def test_what_may_not_be_read_is_skipped_and_the_rest_comes(desk: Desk) -> None:
    (desk.out / "a").touch(mode=0o000)
    (desk.out / "b").mkdir(mode=0o000)
    (desk.out / "c").touch()
    with as_nobody(desk.workspace.root, desk.storage._root):  # noqa: SLF001  # its files become the user's
        found = desk.collect()
    assert (paths(found), found.skipped) == (["c"], 2)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM])
@pytest.mark.parametrize("kind", [os.O_PATH, os.O_DIRECTORY])
def test_an_error_of_the_machine_is_told_and_does_not_count_as_skipped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int, kind: int
) -> None:
    (desk.out / "a").touch()
    before = handles()
    real = os.open

    def broken(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & kind and dir_fd is not None:
            raise OSError(number, os.strerror(number))
        return real(path, flags, mode, dir_fd=dir_fd)

    walk = Walk(desk.workspace.root, 10, 10)
    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        list(walk.files(OUT))
    monkeypatch.undo()
    assert walk.skipped == 0
    assert handles() == before


# --- names


def test_a_name_that_is_no_text_is_skipped(desk: Desk) -> None:
    for name in (b"\xff\xfe", b"a\xed\xa0\x80", b"ok"):
        os.close(os.open(os.fsencode(desk.out) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    Path(os.fsdecode(os.fsencode(desk.out) + b"/d\xff")).mkdir()
    found = desk.collect()
    assert (paths(found), found.skipped) == (["ok"], 3)


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "\x1b[2J", "\x7f", "a\tb", "\x85"])
def test_a_name_with_a_control_character_is_skipped(desk: Desk, name: str) -> None:
    (desk.out / name).touch()
    found = desk.collect()
    assert (found.artifacts, found.skipped) == ((), 1)


def test_a_name_of_300_characters_is_no_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system here takes one: the directory is made to tell of it."""
    (desk.out / ("n" * 255)).touch()
    monkeypatch.setattr(walking, "check_segment", lambda name, field: check_segment(name + "n" * 45, field))
    found = desk.collect()
    assert (found.artifacts, found.skipped) == ((), 1)
    monkeypatch.undo()
    assert paths(desk.collect()) == ["n" * 255]


def test_a_path_longer_than_any_system_takes_is_skipped(desk: Desk) -> None:
    here = Path.cwd()
    os.chdir(desk.out)
    try:
        for _ in range(PATH_LIMIT // 256 + 1):
            Path("d" * 255).mkdir()
            Path("f").touch()
            os.chdir("d" * 255)
        Path("f").touch()
    finally:
        os.chdir(here)
    found = desk.collect()
    assert found.skipped == 2
    assert all(len(path) <= PATH_LIMIT for path in paths(found))


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a//b", ".", "a\nb", "n" * 256, "", "a/./b"])
def test_an_output_that_climbs_or_is_no_name_cannot_be_asked_for(path: str) -> None:
    with pytest.raises(Invalid):
        Output(path=path)


# --- sizes


def test_a_sparse_file_counts_as_large_as_it_says_it_is(desk: Desk) -> None:
    with (desk.out / "b").open("wb") as file:
        file.truncate(1 << 40)
    (desk.out / "a").write_bytes(b"first")
    (desk.out / "c").write_bytes(b"after")
    found = desk.collect(max_bytes=1 << 39)
    assert (paths(found), found.over) == (["a"], True)


def test_the_cap_on_bytes_is_for_all_files_together_and_may_be_met(desk: Desk) -> None:
    for name in "abc":
        (desk.out / name).write_bytes(b"x" * 10)
    assert not desk.collect(max_bytes=30).over
    found = desk.collect(max_bytes=29)
    assert (paths(found), found.over) == (["a", "b"], True)


def test_the_cap_on_files_may_be_met(desk: Desk) -> None:
    for name in "abc":
        (desk.out / name).touch()
    assert not desk.collect(max_files=3).over
    found = desk.collect(max_files=2)
    assert (paths(found), found.over) == (["a", "b"], True)


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_file_that_grows_while_it_is_read_is_cut_where_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (desk.out / "a").write_bytes(b"x" * size)
    _changed_when_found(desk, monkeypatch, lambda file: file.write_bytes(b"x" * size * 3))
    (artifact,) = desk.collect().artifacts
    assert artifact.size == size
    assert desk.content(artifact) == b"x" * size


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_file_that_shrinks_while_it_is_read_is_as_small_as_what_was_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (desk.out / "a").write_bytes(b"x" * size)
    _changed_when_found(desk, monkeypatch, lambda file: os.truncate(file, size // 2))
    (artifact,) = desk.collect().artifacts
    assert artifact.size == size // 2
    assert desk.content(artifact) == b"x" * (size // 2)


def _changed_when_found(desk: Desk, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]) -> None:
    small = workspaces._small  # noqa: SLF001  # the moment between finding and reading

    def changed(found: list[Found], inline: int) -> list[Artifact | Found]:
        for file in found:
            change(desk.out / file.path)
        return small(found, inline)

    monkeypatch.setattr(workspaces, "_small", changed)


# --- many and deep


def test_a_hundred_thousand_files_are_found_with_few_handles(tmp_path: Path) -> None:
    with in_memory(tmp_path) as place:
        (place / "out").mkdir()
        fill(place / "out", 100)
        before, most, count = handles(), 0, 0
        walk = Walk(place, 100_000, 1)
        for file in walk.files(OUT):
            count += 1
            if count % 1000 == 1:
                most = max(most, handles() - before)
            os.close(file.handle)
        assert (count, walk.skipped, walk.over) == (100_000, 0, False)
        assert most < 20
        assert handles() == before


def test_what_one_file_costs_does_not_depend_on_how_many_were_found(desk: Desk) -> None:
    """Nothing that was handed out is looked at again: the walk keeps counts, and no list."""
    for name in range(50):
        (desk.out / f"{name}").touch()
    walk = Walk(desk.workspace.root, 1000, 1000)
    sizes = []
    for file in walk.files(OUT):
        os.close(file.handle)
        sizes.append(sum(len(held) for held in vars(walk).values() if isinstance(held, list)))
    assert sizes == [0] * 50


def test_many_directories_side_by_side_need_few_handles(desk: Desk) -> None:
    for name in range(3000):
        (desk.out / f"{name}").mkdir()
    (desk.out / "z").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert paths(desk.collect()) == ["z"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_tree_of_3000_levels_is_walked_as_deep_as_is_told_and_then_skipped(desk: Desk) -> None:
    nest(desk.out, 3000)
    (desk.out / "z").touch()
    before = handles()
    found = desk.collect()
    assert (paths(found), found.skipped, found.over) == (["z"], 1, False)
    assert handles() == before
    asyncio.run(desk.workspace.remove())


def test_a_tree_as_deep_as_is_told_is_collected_whole(desk: Desk) -> None:
    nest(desk.out, walking.DEPTH)
    found = desk.collect()
    assert (paths(found), found.skipped) == (["d/" * walking.DEPTH + "leaf"], 0)


# --- when storage fails


def test_when_storage_fails_nothing_stays_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in range(100):
        (desk.out / f"{name}").write_bytes(b"x" * 10_000)
    monkeypatch.setattr(Disk, "free", lambda _: 0)
    before = handles()
    with pytest.raises(Unavailable):
        desk.collect()
    assert handles() == before
