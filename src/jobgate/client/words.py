"""Words for people: quiet, and safe whatever a stranger wrote into a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

DASH: Final = "\N{EN DASH}"
TIMES: Final = "\N{MULTIPLICATION SIGN}"
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024


def plain(text: str) -> str:
    """The text with what would steer a terminal or turn its direction shown, not obeyed."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def waiting(place: int) -> str:
    """`next in line`, `3rd in line`."""
    if place == 1:
        return "next in line"
    teen = place % 100 in (11, 12, 13)
    return f"{place:,}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')} in line"


def near(word: str, known: Iterable[str]) -> str:
    """The known word that may have been meant; empty where none comes near."""
    import difflib  # noqa: PLC0415  # who makes no slip does not wait for it

    found = difflib.get_close_matches(word, list(known), 1)
    return found[0] if found else ""


def size(number: int) -> str:
    """`0 B`, `2.0 GiB`."""
    value, unit = float(number), "B"
    for larger in _UNITS:
        if value < _STEP:
            break
        value, unit = value / _STEP, larger
    return f"{number:,} B" if unit == "B" else f"{value:.1f} {unit}"
