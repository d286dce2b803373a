"""Outputs that say how large they may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from desks import Desk, handles, paths

from jobgate.files.workspace import Collection
from jobgate.model.files import Output, OutputKind
from jobgate.model.state import Failure, Limit
from jobgate.runner.collect import _closing


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for name, size in (("a", 10), ("b", 11), ("c", 9_000)):
        (desk.out / name).write_bytes(b"x" * size)
    return desk


def test_an_output_of_more_bytes_than_it_may_have_is_named_and_the_others_are_collected(desk: Desk) -> None:
    before = handles()
    outputs = (
        Output(path="out/a", limit=10),
        Output(path="out/b", limit=10, required=True),
        Output(path="out/c", limit=8_999, name="trace"),
        Output(path="out/none", limit=1),
    )
    found = desk.collect(outputs)
    assert paths(found) == ["a"]
    assert found.large == ("out/b (10 bytes at most)", "trace (8999 bytes at most)")
    assert (found.missing, found.over, found.skipped) == ((), False, 0)
    assert handles() == before


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        (Output(path="out", kind=OutputKind.DIRECTORY, limit=21), ["a", "b"]),
        (Output(path="out/*", kind=OutputKind.WILDCARD, limit=20), ["out/a"]),
        (Output(path="out", kind=OutputKind.DIRECTORY, limit=9_021), ["a", "b", "c"]),
    ],
)
def test_the_files_of_one_output_are_counted_together(desk: Desk, output: Output, kept: list[str]) -> None:
    found = desk.collect((output,))
    assert paths(found) == kept
    assert bool(found.large) == (len(kept) < 3)


def test_a_file_that_is_not_collected_takes_no_room_from_those_that_are(desk: Desk) -> None:
    outputs = (Output(path="out/c", limit=1), Output(path="out/a"), Output(path="out/b"))
    found = desk.collect(outputs, max_bytes=21, max_files=2)
    assert paths(found) == ["a", "b"]
    assert not found.over


def test_an_output_that_is_too_large_is_a_failure_of_the_job_that_says_which() -> None:
    found = Collection(artifacts=(), skipped=0, missing=("a",), over=False, large=("b (3 bytes at most)",))
    closed = _closing(1, found, {})
    assert (closed.failure, closed.limit) == (Failure.LIMIT, Limit.OUTPUT)
    assert closed.message == "it left more than it may: b (3 bytes at most)"
