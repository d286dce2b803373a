"""What a job leaves is collected, and nothing else is: with real files, as root and as nobody."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desks import OUT, Desk, handles, paths
from trees import NOBODY, as_nobody, needs_root

from jobgate.files import walk as walking
from jobgate.files.walk import Found, Walk
from jobgate.files.workspace import Collection
from jobgate.model.errors import Invalid
from jobgate.model.files import (
    ARTIFACT_INLINE_LIMIT,
    ATTEMPT_INLINE_LIMIT,
    PATH_LIMIT,
    Output,
    OutputKind,
    check_segment,
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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
