"""A log that grows, and whose middle was given back to the disk."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from jobgate.engines.local.logs import piece_of, size_of
from jobgate.model.files import Piece

PUNCH = 0x02 | 0x01
"""FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE."""
LIBC = ctypes.CDLL(None, use_errno=True)


def punch(path: Path, start: int, length: int) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        if LIBC.fallocate(handle, PUNCH, ctypes.c_int64(start), ctypes.c_int64(length)):
            pytest.skip("this file system makes no holes")
    finally:
        os.close(handle)


def all_of(path: Path, limit: int) -> list[tuple[int, bytes]]:
    """What is read from its beginning, adjoining pieces together."""
    found: list[tuple[int, bytes]] = []
    offset = 0
    while content := (piece := piece_of(path, offset, limit)).content:
        if found and found[-1][0] + len(found[-1][1]) == piece.offset:
            found[-1] = (found[-1][0], found[-1][1] + content)
        else:
            found.append((piece.offset, content))
        offset = piece.offset + len(content)
    return found


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert size_of(tmp_path / "log") == Piece(0, b"", 0)
    assert piece_of(tmp_path / "log", 5, 9) == Piece(5, b"", 0)


def test_zeros_that_a_job_wrote_are_read_as_it_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(10_000) + b"end" + bytes(7))
    assert all_of(path, 999) == [(0, path.read_bytes())]
    assert size_of(path).size == 10_010


@pytest.mark.parametrize("limit", [100, 4096, 1 << 20])
@pytest.mark.parametrize(("start", "end"), [(8192, 409_600), (10_000, 400_001), (1, 499_999)])
def test_what_was_given_back_is_passed_over_and_not_read_as_zeros(
    tmp_path: Path, limit: int, start: int, end: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 500_000)
    os.sync()
    punch(path, start, end - start)
    assert all_of(path, limit) == [(0, b"x" * start), (end, b"x" * (500_000 - end))]
    assert piece_of(path, 300_000, 5) == Piece(end, b"x" * min(5, 500_000 - end), 500_000)
