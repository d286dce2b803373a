"""The values that a sweep gives to each of its jobs: a table, a product, or none; and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any, Final, Protocol

import msgspec

from jobgate.dialects.native.faults import of_types
from jobgate.dialects.native.wire import Column, Range, Value
from jobgate.dialects.reading import member
from jobgate.model.errors import Invalid

PLACES: Final = ("index", "number")
"""Names that each job fills by itself: its place from 0, and from 1."""
MOST_COLUMNS: Final = 100
_DIGITS: Final = 24
"""Characters of a number at most."""
SWEEP: Final[Any] = tuple[dict[Column, Value], ...] | dict[Column, tuple[Value, ...] | Range]
Table = Sequence[Mapping[str, Value]] | Mapping[str, Sequence[Value] | Range]


class Rows(Protocol):
    """The values of every job."""

    names: tuple[str, ...]
    """Of the columns."""
    size: int

    def row(self, place: int) -> tuple[Value, ...]:
        """Those of the job at a place, from 0."""
        ...

    def weigh(self, uses: Sequence[int]) -> tuple[int, int]:
        """Characters put in where each column stands so often: at most in one job, and in all; nothing is made."""
        ...


class NoRows:
    """Jobs that differ by their place alone."""

    def __init__(self, size: int) -> None:
        self.names: tuple[str, ...] = ()
        self.size = size

    def row(self, place: int) -> tuple[Value, ...]:
        """Nothing."""
        del place
        return ()

    def weigh(self, uses: Sequence[int]) -> tuple[int, int]:
        """Nothing."""
        del uses
        return 0, 0


class Listed:
    """A row of its own for each job."""

    def __init__(self, rows: Sequence[Mapping[str, Value]]) -> None:
        self.names = tuple(rows[0])
        self.size = len(rows)
        self._rows = rows

    def row(self, place: int) -> tuple[Value, ...]:
        """As it was written."""
        row = self._rows[place]
        return tuple([row[name] for name in self.names])

    def weigh(self, uses: Sequence[int]) -> tuple[int, int]:
        """Of each row as it stands."""
        often = tuple(zip(self.names, uses, strict=True))
        most = total = 0
        for row in self._rows:
            one = sum(_length(row[name]) * times for name, times in often)
            most, total = max(most, one), total + one
        return most, total


class Product:
    """Every combination; the last column varies fastest."""

    def __init__(self, columns: Mapping[str, Sequence[Value] | Range]) -> None:
        self.names = tuple(columns)
        self._columns = [
            _steps(column) if isinstance(column, Range) else _Values(column) for column in columns.values()
        ]
        self.size = math.prod(column.size for column in self._columns)

    def row(self, place: int) -> tuple[Value, ...]:
        """One combination."""
        values: list[Value] = []
        for column in reversed(self._columns):
            place, at = divmod(place, column.size)
            values.append(column.at(at))
        values.reverse()
        return tuple(values)

    def weigh(self, uses: Sequence[int]) -> tuple[int, int]:
        """Each value of a column stands in equally many jobs."""
        often = tuple(zip(self._columns, uses, strict=True))
        most = sum(column.longest * times for column, times in often)
        return most, sum(column.length * (self.size // column.size) * times for column, times in often)


class _Values:
    def __init__(self, values: Sequence[Value]) -> None:
        self.size = len(values)
        self.at = values.__getitem__
        lengths = list(map(_length, values))
        self.longest, self.length = max(lengths, default=0), sum(lengths)


class _Whole:
    """A range of integers."""

    def __init__(self, first: int, to: int, step: int) -> None:
        self._values = range(first, to, step)
        self.size = max(0, -(-(to - first) // step))
        self.longest, self.length = _DIGITS, _DIGITS * self.size

    def at(self, place: int) -> Value:
        return self._values[place]


class _Decimal:
    """A range of decimal numbers: 0.1, 0.2, 0.3, as people write them, and not 0.30000000000000004."""

    def __init__(self, first: float, to: float, step: float) -> None:
        self._first, self._step = Fraction(repr(first)), Fraction(repr(step))
        self.size = max(0, math.ceil((Fraction(repr(to)) - self._first) / self._step))
        self.longest, self.length = _DIGITS, _DIGITS * self.size

    def at(self, place: int) -> Value:
        return float(self._first + place * self._step)


def _steps(asked: Range) -> _Whole | _Decimal:
    first, to, step = asked.first, asked.to, asked.step
    if isinstance(first, int) and isinstance(to, int) and isinstance(step, int):
        return _Whole(first, to, step)
    return _Decimal(first, to, step)


def _length(value: Value) -> int:
    """Characters of a value where it is put in, at most."""
    return len(value) if isinstance(value, str) else _DIGITS


def rows_of(sweep: Table) -> Rows:
    """The values of a sweep that has no fault."""
    return Product(sweep) if isinstance(sweep, Mapping) else Listed(sweep)


def sound(sweep: Table) -> Rows:
    """The values of a sweep. Raises Invalid with its first fault; `faults_of` tells all."""
    for error in _faults(sweep):
        raise error
    return rows_of(sweep)


def faults_of(sweep: object) -> Iterator[Invalid]:
    """What is wrong with a sweep as it came: in its types, or else in what it says."""
    wrong = False
    for error in _of_types(sweep):
        wrong = True
        yield error
    if not wrong:
        yield from _faults(msgspec.convert(sweep, SWEEP))


def _of_types(sweep: object) -> Iterator[Invalid]:
    if isinstance(sweep, list):
        for place, row in enumerate(sweep):
            if not isinstance(row, dict):
                yield from of_types(row, dict[Column, Value], f"sweep[{place}]")
                continue
            for name, value in row.items():
                yield from _of_column(name, f"sweep[{place}]")
                yield from of_types(value, Value, member(f"sweep[{place}]", name))
    elif isinstance(sweep, dict):
        for name, values in sweep.items():
            yield from _of_column(name, "sweep")
            at = member("sweep", name)
            yield from of_types(values, Range if isinstance(values, dict) else tuple[Value, ...], at)
    else:
        yield Invalid("sweep: a list of rows, or an object of columns, is needed", code="invalid-field", field="sweep")


def _of_column(name: str, at: str) -> Iterator[Invalid]:
    try:
        msgspec.convert(name, Column)
    except msgspec.ValidationError:
        yield _wrong(
            member(at, name[:100]), "a name of 1 to 255 characters, none of them a brace, is needed", "invalid-field"
        )


def _faults(sweep: Table) -> Iterator[Invalid]:
    names = tuple(sweep if isinstance(sweep, Mapping) else sweep[0] if sweep else ())
    if not names:
        yield _wrong("sweep", "it needs at least one row of values" if not sweep else "a name is needed", "empty")
        return
    if len(names) > MOST_COLUMNS:
        yield _wrong("sweep", f"it has at most {MOST_COLUMNS} names", "too-many")
        return
    at = "sweep" if isinstance(sweep, Mapping) else "sweep[0]"
    for name in names:
        if name in PLACES:
            yield _wrong(
                member(at, name), "{index} and {number} are the place of each job; use another name", "reserved"
            )
    if isinstance(sweep, Mapping):
        for name, values in sweep.items():
            yield from _of_values(values, member("sweep", name))
        return
    columns = sweep[0].keys()
    for place, row in enumerate(sweep):
        if row.keys() != columns:
            for name in columns - row.keys():
                yield _wrong(member(f"sweep[{place}]", name), f"row {place} has none", "missing")
            for name in row.keys() - columns:
                yield _wrong(member(f"sweep[{place}]", name), "the first row has no such name", "unknown-field")
        for name, value in row.items():
            if isinstance(value, str) and "\0" in value:
                yield _wrong(member(f"sweep[{place}]", name), "NUL is refused", "invalid")


def _of_values(values: Sequence[Value] | Range, at: str) -> Iterator[Invalid]:
    if not isinstance(values, Range):
        if not values:
            yield _wrong(at, "a value is needed", "empty")
        for place, value in enumerate(values):
            if isinstance(value, str) and "\0" in value:
                yield _wrong(f"{at}[{place}]", "NUL is refused", "invalid")
    elif not all(map(math.isfinite, (values.first, values.to, values.step))):
        yield _wrong(at, "its numbers are too large", "invalid-field")
    elif not values.step:
        yield _wrong(f"{at}.step", "0 leads nowhere", "invalid")
    elif _steps(values).size < 1:
        yield _wrong(at, "no value lies between from and to", "empty")


def _wrong(at: str, why: str, code: str) -> Invalid:
    return Invalid(f"{at}: {why}", code=code, field=at)


def unused(sweep: Table, used: frozenset[str]) -> Iterator[Invalid]:
    """The columns that stand nowhere in the template."""
    names, at = (sweep, "sweep") if isinstance(sweep, Mapping) else (sweep[0], "sweep[0]")
    for name in islice(names, MOST_COLUMNS):
        if name not in used:
            yield _wrong(member(at, name), f"{{{name}}} stands nowhere in the template", "unused")
