"""Whatever a job left, its workspace can be deleted, and nothing outside of it is touched."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from trees import as_nobody, fill, in_memory, needs_root, nest

from jobgate.files import removal
from jobgate.files.removal import remove_tree
from jobgate.files.workspace import Workspace


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.mkdir()
    return made


def test_everything_below_goes_and_what_links_lead_to_stays(tree: Path) -> None:
    outside = tree.parent / "outside"
    (outside / "d").mkdir(parents=True)
    (outside / "file").write_text("kept")
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    (tree / "to file").symlink_to(outside / "file")
    (tree / "a" / "to directory").symlink_to(outside)
    (tree / "to nothing").symlink_to("nothing")
    os.link(outside / "file", tree / "second name")
    os.mkfifo(tree / "fifo")
    os.close(os.open(os.fsencode(tree) + b"/\xff", os.O_CREAT))
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "file").read_text() == "kept"
    assert (outside / "d").is_dir()


def test_what_is_not_there_is_no_error_and_may_be_removed_again(tree: Path) -> None:
    workspace = Workspace(tree, tree.with_suffix(".log"))
    workspace.remove_now()
    workspace.remove_now()
    assert not tree.exists()


def test_a_workspace_that_became_a_link_is_not_followed(tree: Path) -> None:
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "file").touch()
    tree.rmdir()
    tree.symlink_to(outside)
    with pytest.raises(OSError, match="Not a directory"):
        remove_tree(tree)
    assert (outside / "file").exists()


@pytest.mark.parametrize("depth", [31, 32, 33, 3000])
def test_no_tree_is_too_deep_however_few_files_may_be_open(tree: Path, depth: int) -> None:
    nest(tree, depth)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        remove_tree(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not tree.exists()


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400, 0o500, 0o600])
def test_directories_that_forbid_it_are_removed_all_the_same(tree: Path, mode: int) -> None:
    nest(tree, 40)
    (tree / "d" / "d" / "file").touch(mode=0)
    for path in (tree / "d" / "d", tree / "d", tree):
        path.chmod(mode)
    with as_nobody(tree):
        os.listdir("/proc/self/fd")  # the user may do nothing here by itself
        removal._Removal(tree)._empty(handle := removal._open(tree))  # noqa: SLF001  # its own directory is in another's
        os.close(handle)
    assert os.listdir(tree) == []


def test_a_forbidding_directory_swapped_for_a_link_opens_nothing_outside(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode of what a link leads to is never changed."""
    outside = tree.parent / "outside"
    outside.mkdir(mode=0o555)
    (tree / "d").mkdir(mode=0o000)
    look = removal._open  # noqa: SLF001  # the moment between deleting and opening

    def swapped(name: str | Path, parent: int | None = None) -> int:
        if name == "d":
            (tree / "d").rmdir()
            (tree / "d").symlink_to(outside)
        return look(name, parent)

    monkeypatch.setattr(removal, "_open", swapped)
    with pytest.raises(IsADirectoryError):
        remove_tree(tree)
    assert outside.stat().st_mode & 0o777 == 0o555
    monkeypatch.undo()
    remove_tree(tree)
    assert outside.is_dir()


@needs_root
def test_what_cannot_be_deleted_does_not_save_the_rest(tree: Path) -> None:
    chattr = shutil.which("chattr")
    (tree / "a").mkdir()
    for name in ("a/file", "b", "c"):
        (tree / name).touch()
    if chattr is None or subprocess.run([chattr, "+i", tree / "b"], check=False).returncode:  # noqa: S603  # our own file
        pytest.skip("this file system has no files that cannot be changed")
    try:
        with pytest.raises(PermissionError):
            remove_tree(tree)
        assert os.listdir(tree) == ["b"]
    finally:
        subprocess.run([chattr, "-i", tree / "b"], check=True)  # noqa: S603  # our own file
    remove_tree(tree)
    assert not tree.exists()


def test_a_hundred_thousand_files_go_and_leave_nothing_open(tmp_path: Path) -> None:
    with in_memory(tmp_path) as place:
        (place / "tree").mkdir()
        fill(place / "tree", 100)
        gc.collect()  # what earlier tests let go of is gone
        before = len(os.listdir("/proc/self/fd"))
        remove_tree(place / "tree")
        assert os.listdir(place) == []
        assert len(os.listdir("/proc/self/fd")) == before
