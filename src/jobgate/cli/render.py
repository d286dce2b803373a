"""How things are drawn: signs, tones and tables as text. Pure; what a stranger wrote is shown, never obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from jobgate.client.words import plain

GAP: Final = 2
ENDLESS: Final = 10_000
"""Columns where no terminal bounds them: nothing is cut or wrapped."""
NARROW: Final = 60
"""Columns of a terminal below which a record takes two lines."""
_NOTE: Final = 24
"""Cells that a note needs to be worth showing."""
_LEAST: Final = 8
"""Cells of a line at least, however narrow the terminal is."""
_SHORT: Final = 12
"""Cells to which others are cut before a column is given up."""
_NAME: Final = 28
"""Cells of a name at most, on a terminal."""
_TONES: Final = {"dim": "2", "red": "31", "green": "32", "amber": "33", "blue": "34", "teal": "36", "bold": "1"}
_SGR: Final = re.compile(r"\x1b\[[0-9;:]*m")


class Sign(NamedTuple):
    """What a state looks like; the word always stands beside it."""

    sign: str
    ascii: str
    tone: str


STATES: Final = {
    "queued": Sign("·", ".", "dim"),
    "held": Sign("‖", "!", "amber"),
    "staging_in": Sign("↓", "<", "teal"),
    "staging_out": Sign("↑", ">", "teal"),
    "running": Sign("●", "=", "blue"),
    "cancelling": Sign("◌", "~", "amber"),
    "succeeded": Sign("✓", "#", "green"),
    "failed": Sign("✗", "x", "red"),
    "cancelled": Sign("\N{EN DASH}", "-", "dim"),
}
GOOD: Final = Sign("✓", "#", "green")
BAD: Final = Sign("✗", "x", "red")
WARN: Final = Sign("!", "!", "amber")
NOTHING: Final = Sign("\N{EN DASH}", "-", "dim")
_ASCII: Final = str.maketrans(
    {
        "·": ".",
        "‖": "!",
        "↓": "<",
        "↑": ">",
        "●": "=",
        "◌": "~",
        "✓": "#",
        "✗": "x",
        "\N{EN DASH}": "-",
        "\N{MULTIPLICATION SIGN}": "x",
        "←": "<-",
        "…": "...",
        "█": "#",
        "▚": "x",
        "▒": "=",
        "░": ".",
    }
)


class Cell(NamedTuple):
    """What stands in a table: for people, and for programs behind a pipe."""

    text: str
    tone: str = ""
    raw: str | None = None
    """Through a pipe: whole, exact, without a sign; the text where None."""

    @property
    def piped(self) -> str:
        """As a program reads it: one field, whatever it holds."""
        return plain(self.text if self.raw is None else self.raw)


class Column(NamedTuple):
    """A column of a table."""

    title: str
    right: bool = False
    whole: bool = False
    """It is never cut and never given up: an id."""
    note: bool = False
    """It wraps under itself; there is one at most, the last."""


def state(word: str) -> Cell:
    """A state: its sign and its word."""
    known = STATES.get(word)
    return Cell(plain(word), "", word) if known is None else Cell(f"{known.sign} {word}", known.tone, word)


def sized(text: str, cells: int) -> str:
    """The text in exactly so many cells; what is cut off ends in an ellipsis."""
    return set_cell_size(text, cells) if cell_len(text) <= cells else f"{set_cell_size(text, max(cells - 1, 0))}…"


def ascii_only(text: str) -> str:
    """Our own signs as letters of ASCII, and what else there is as it can be written."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def toned(text: str, tone: str, *, colour: bool) -> str:
    """The text in a tone; a tone is never the only bearer of a meaning."""
    return f"\x1b[{_TONES[tone]}m{text}\x1b[0m" if colour and tone and text else text


def logged(text: str, *, colour: bool) -> str:
    """A line of a log: its colour codes are obeyed where there are colours, and end with it; all else is shown."""
    body = text.rstrip("\n").rstrip("\r")
    parts: list[str] = []
    end = 0
    for code in _SGR.finditer(body):
        parts += [_shown(body[end : code.start()]), code[0] if colour else ""]
        end = code.end()
    parts.append(_shown(body[end:]))
    return "".join(parts) + ("\x1b[0m" if colour and end else "")


def _shown(text: str) -> str:
    return "\t".join(plain(part) for part in text.split("\t"))


def piped(rows: Iterable[Sequence[Cell]]) -> list[str]:
    """The table for a program: tabs, no header, nothing cut."""
    return ["\t".join(cell.piped for cell in row) for row in rows]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, colour: bool = False) -> list[str]:
    """The table for a person, in so many columns: some are given up from the right, an id never."""
    shown = [[Cell(plain(cell.text), cell.tone) for cell in row] for row in rows]
    if width < NARROW:
        return _two_lines(columns, shown, width, colour=colour)
    kept, widths = _fitted(columns, shown, width)
    if columns[kept[-1]].note:
        widths[-1] = max(min(widths[-1], width - sum(widths[:-1]) - GAP * (len(widths) - 1)), 1)
    head = [Cell(columns[place].title, "dim") for place in kept]
    lines = [_line([columns[place] for place in kept], head, widths, colour=colour)]
    for row in shown:
        lines += _row([columns[place] for place in kept], [row[place] for place in kept], widths, colour=colour)
    return lines


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> tuple[list[int], list[int]]:
    """The columns that have something to say, and their widths: long ones are cut first, then the last are given up."""
    kept = [
        place
        for place, column in enumerate(columns)
        if column.whole or not rows or any(row[place].text for row in rows)
    ]
    sizes = {place: _wide(columns, rows, place) for place in kept}

    def over() -> int:
        wanted = [min(sizes[place], _NOTE) if columns[place].note else sizes[place] for place in kept]
        return sum(wanted) + GAP * (len(kept) - 1) - width

    for place in kept:
        if over() > 0 and not columns[place].whole and not columns[place].note and sizes[place] > _SHORT:
            sizes[place] = max(_SHORT, cell_len(columns[place].title), sizes[place] - over())
    while over() > 0:
        loose = [place for place in kept if not columns[place].whole and not columns[place].note]
        if not loose:
            break
        kept.remove(loose[-1])
    return kept, [sizes[place] for place in kept]


def _wide(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], place: int) -> int:
    column = columns[place]
    longest = max([cell_len(column.title), *(cell_len(row[place].text) for row in rows)])
    return longest if column.whole or column.note else min(longest, max(_NAME, cell_len(column.title)))


def _row(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], *, colour: bool) -> list[str]:
    if not columns[-1].note:
        return [_line(columns, row, widths, colour=colour)]
    notes = wrapped(row[-1].text, widths[-1]) or [""]
    lines = [_line(columns, [*row[:-1], Cell(notes[0], row[-1].tone)], widths, colour=colour)]
    indent = " " * (sum(widths[:-1]) + GAP * (len(widths) - 1))
    return lines + [indent + toned(more, row[-1].tone, colour=colour) for more in notes[1:]]


def _line(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], *, colour: bool) -> str:
    parts = []
    for column, cell, wide in zip(columns, row, widths, strict=True):
        text = cell.text if column.whole else sized(cell.text, wide).rstrip()
        pad = " " * max(wide - cell_len(text), 0)
        painted = toned(text, cell.tone, colour=colour)
        parts.append(pad + painted if column.right else painted + pad)
    return (" " * GAP).join(parts).rstrip()


def _two_lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, colour: bool) -> list[str]:
    """A record in two lines: its id and as much as fits beside it, then the rest below."""
    lines: list[str] = []
    for row in rows:
        first: list[str] = []
        rest: list[str] = []
        used = 0
        for column, cell in zip(columns, row, strict=True):
            if not cell.text:
                continue
            size = cell_len(cell.text) + (GAP if first else 0)
            if column.whole or (used + size <= width and not column.note and not rest):
                first.append(toned(cell.text, cell.tone, colour=colour))
                used += size
            else:
                rest.append(cell.text)
        lines.append((" " * GAP).join(first))
        if rest:
            lines.append("  " + toned(sized((" " * GAP).join(rest), width - GAP).rstrip(), "dim", colour=colour))
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of so many cells, broken between words where that can be."""
    wide = max(width, _LEAST)
    if cell_len(text) <= wide:
        return [text] if text else []
    lines: list[str] = []
    line = ""
    for word in text.split():
        if cell_len(line) + 1 + cell_len(word) <= wide and line:
            line = f"{line} {word}"
            continue
        lines += [line] if line else []
        *full, line = chop_cells(word, wide)
        lines += full
    return [*lines, line] if line else lines


def beside(left: str, right: str, width: int, least: int = 4) -> list[str]:
    """Both on one line, the right at `least` cells away; else below one another."""
    room = width - cell_len(left) - cell_len(right)
    if not right:
        return [left]
    return [left + " " * least + right] if room >= least else [left, f"  {right}"]


def ends(left: str, right: str, width: int) -> list[str]:
    """Both on one line, the right at its end; else below one another."""
    room = width - cell_len(left) - cell_len(right)
    if room < GAP:
        return [left, f"  {right}"]
    return [left + " " * (room if width < ENDLESS else GAP) + right]


def facts(found: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Names and values below one another, the values wrapped under themselves."""
    wide = max((cell_len(name) for name, _ in found), default=0)
    lines: list[str] = []
    for name, value in found:
        first, *more = wrapped(value, width - wide - 2 * GAP) or [""]
        lines.append(f"  {sized(name, wide)}  {first}".rstrip())
        lines += [f"  {' ' * wide}  {line}" for line in more]
    return lines
