from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.job import Numeric
from jobgate.runner.likeness import alike, close

EXACT = Numeric(absolute=0.0, relative=0.0)
NEAR = Numeric(absolute=0.0, relative=1e-3)


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def same(one: bytes, other: bytes, tolerance: Numeric = NEAR, size: int = 3) -> bool:
    return asyncio.run(alike(pieces(one, size), pieces(other, size + 1), tolerance))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1.0", b"1.0001"),
        (b"a 1 b", b"a 1.0005 b"),
        (b"x = [ 1.00,2 ]\n", b"x=[1,2.001]"),
        (b'{"a": 1e3, "b": -.5}', b'{ "a":1000.4,"b":-0.50 }'),
        (b"", b" \n"),
        (b"9" * 400, b"9" * 400 + b"\n"),
    ],
)
def test_what_differs_in_white_space_and_a_little_in_numbers_is_alike(one: bytes, other: bytes) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1.0", b"1.1"),
        (b"a", b"b"),
        (b"1", b"1 1"),
        (b"1 2", b"12"),
        (b"v1.2.3", b"v1.2.4"),
        (b"x1", b"x1.0001"),
        (b"nan", b"1"),
        (b"1e999", b"2e999"),
        (b"1,2", b"1;2"),
        (b"\x001", b"\x001.0001"),
        (b"w" * 70_000 + b" 1", b"w" * 70_000 + b" 1.0001"),
        (b"", b"0"),
    ],
)
def test_what_differs_in_more_is_not(one: bytes, other: bytes) -> None:
    assert not same(one, other, size=4096)


words = st.lists(
    st.one_of(
        st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: f"{x:.9g}"),
        st.sampled_from(["energy", "=", ",", "(", "a-b"]),
    ),
    max_size=30,
)


@given(words, st.integers(1, 9), st.sampled_from([" ", "\n", "  \t"]))
def test_a_text_is_like_itself_however_it_is_cut_and_spaced(found: list[str], size: int, space: str) -> None:
    assert same(" ".join(found).encode(), space.join(found).encode(), EXACT, size)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 10), st.floats(0, 0.1))
def test_two_numbers_are_close_as_far_as_one_of_the_tolerances_allows(
    a: float, b: float, absolute: float, relative: float
) -> None:
    allowed = abs(a - b) <= max(absolute, relative * max(abs(a), abs(b)))
    tolerance = Numeric(absolute=absolute, relative=relative)
    one, other = repr(a).encode(), repr(b).encode()
    assert close(one, other, tolerance) is (allowed or one == other)
    assert close(one, other, tolerance) is close(other, one, tolerance)
