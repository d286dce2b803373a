from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.config.units import (
    DURATION,
    NETWORK,
    PLACE,
    SIZE,
    WEB_ADDRESS,
    duration,
    network,
    place,
    size,
    web_address,
)

POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


@pytest.mark.parametrize("letter", POWERS)
@pytest.mark.parametrize("base", [("ib", 1024), ("b", 1000)])
def test_every_unit_of_size_is_read_whatever_its_case_and_blanks(letter: str, base: tuple[str, int]) -> None:
    ending, factor = base
    unit = f"{letter}{ending}" if letter else "b"
    wanted = 3 * factor ** POWERS[letter]
    for text in (f"3{unit}", f"3 {unit.upper()}", f"  3  {unit.capitalize()}  "):
        assert size(text) == wanted


@pytest.mark.parametrize(("unit", "seconds"), [("", 1), ("s", 1), ("min", 60), ("h", 3600), ("d", 86_400)])
def test_every_unit_of_time_is_read_whatever_its_case_and_blanks(unit: str, seconds: int) -> None:
    for text in (f"2{unit}", f"2 {unit.upper()}", f" 2 {unit} "):
        assert duration(text) == 2 * seconds


def test_numbers_and_fractions_are_read() -> None:
    assert (size(5), size(5.0), size("1.5GiB"), size("0.5 kib")) == (5, 5, 3 << 29, 512)
    assert (duration(5), duration(0.25), duration("1.5 h"), duration("0.1s")) == (5.0, 0.25, 5400.0, 0.1)


BAD = [
    "",
    "GiB",
    "4 gigs",
    "-1",
    "1e3",
    "1_000",
    "1,5 GiB",
    "1.GiB",
    ".5GiB",
    "4 GiB 2",
    "\u0664",
    "1.0000000001",
    "0x10",
]
NEVER: list[object] = [
    None,
    True,
    False,
    [],
    {},
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    1 << 63,
    1e300,
    "9" * 19,
    "9" * 18 + "PiB",
]


@pytest.mark.parametrize("value", [*BAD, *NEVER, "5 min", "2 h", 0.5, "1.5", "0.3 kib"])
def test_what_is_no_size_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match=r"^a size such as 512MiB or 4GiB, or a number of bytes$"):
        size(value)


@pytest.mark.parametrize("value", [*BAD, *NEVER, "5 GiB", "2 w", "1 h 30 min", "1:30", "5 minutes", "5 ms", "5 M"])
def test_what_is_no_duration_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match=r"^a duration such as 90s, 5 min, 2 h or 30 d, or a number of seconds$"):
        duration(value)


@given(st.integers(0, (1 << 63) - 1))
def test_a_size_is_read_as_it_is_shown_when_it_is_a_whole_number_of_some_unit(value: int) -> None:
    for exact in (value % 1024, value % 1024 << 10, value % 1024 << 20, value % 1024 << 30, value % 1024 << 40):
        assert size(SIZE.show(exact)) == exact


@given(st.integers(0, 999_999))
def test_a_duration_is_read_as_it_is_shown(value: int) -> None:
    assert duration(DURATION.show(float(value))) == value
    assert duration(DURATION.show(float(value * 3600 % 999_983))) == value * 3600 % 999_983


@given(
    whole=st.integers(0, 10**9),
    part=st.integers(0, 10**9 - 1),
    unit=st.sampled_from(["kib", "mib", "gib", "kb", "mb", "gb"]),
)
def test_a_fraction_of_a_unit_is_exact_or_refused(whole: int, part: int, unit: str) -> None:
    factor = (1024 if "i" in unit else 1000) ** POWERS[unit[0]]
    text, exact = f"{whole}.{part:09d}{unit}", (whole + Fraction(part, 10**9)) * factor
    if exact.denominator == 1 and exact < 1 << 63:
        assert size(text) == exact
    else:
        with pytest.raises(ValueError, match="a size"):
            size(text)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    for unit in (SIZE, DURATION, NETWORK, PLACE, WEB_ADDRESS):
        try:
            unit.read(text)
        except ValueError as error:
            assert str(error).startswith(("a ", "an "))  # noqa: PT017  # any of the two is right


@pytest.mark.parametrize("value", ["10.1.0.0/16", "fd00::/8", "127.0.0.1", "0.0.0.0/0"])
def test_a_network_is_read(value: str) -> None:
    assert network(value).startswith(value)


@pytest.mark.parametrize("value", ["10.1.0.1/16", "10.1.0.0/33", "localhost", "", None, 5, ["10.0.0.0/8"]])
def test_what_is_no_network_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a network such as"):
        network(value)


@pytest.mark.parametrize("value", ["127.0.0.1", "127.0.0.1:80", "::1", "[::1]:65535"])
def test_a_place_is_read(value: str) -> None:
    assert place(value) == value


@pytest.mark.parametrize(
    "value",
    ["host:80", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:", "[127.0.0.1]:80", "::1:x", "127.0.0.1:\u0668", 5],
)
def test_what_is_no_place_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="an address such as"):
        place(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [("", ""), ("https://jobs.example.org/", "https://jobs.example.org"), ("http://[::1]:80/a", None)],
)
def test_a_web_address_is_read_without_its_last_slash(value: str, read: str | None) -> None:
    assert web_address(value) == (value if read is None else read)


@pytest.mark.parametrize(
    "value",
    ["ftp://x", "https://", "https://user:pw@x", "https://x?a", "https://x#a", " https://x", "https://x:99999", 5, "x"],
)
def test_what_is_no_web_address_is_refused_without_quoting_it(value: object) -> None:
    with pytest.raises(ValueError, match="an address such as") as caught:
        web_address(value)
    assert "pw" not in str(caught.value)
