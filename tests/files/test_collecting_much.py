"""How large, how many and how deep: what a job leaves is counted while it is collected."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from desks import OUT, Desk, handles, paths
from trees import fill, in_memory, nest

from jobgate.files import walk as walking
from jobgate.files import workspace as workspaces
from jobgate.files.disk import Disk
from jobgate.files.walk import Found, Walk
from jobgate.model.errors import Unavailable
from jobgate.model.files import (
    Artifact,
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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
