"""The bar of a batch, as text: pure, so that the command line, the notebook and a test draw the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from jobgate.client.words import DASH

WIDTH: Final = 40
"""Cells of the bar on a wide terminal; 16 at 80 columns."""
GLYPHS: Final = ("█", "▚", "▒", "░")
"""Succeeded, failed, under way, the rest: textures, so that no hue is needed."""
PLAIN: Final = ("#", "x", "=", ".")
"""The same where the locale is not UTF-8."""
UNDER_WAY: Final = ("staging_in", "running", "staging_out", "cancelling")
OVER: Final = ("succeeded", "failed", "cancelled")
_SIGNS: Final = {
    "failed": "✗",
    "running": "●",
    "staging_in": "↓",
    "staging_out": "↑",
    "cancelling": "◌",
    "queued": "·",
    "held": "‖",
    "cancelled": DASH,
}
_PLAIN_SIGNS: Final = {
    "failed": "x",
    "running": "=",
    "staging_in": "<",
    "staging_out": ">",
    "cancelling": "~",
    "queued": ".",
    "held": "!",
    "cancelled": "-",
}


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs are in which state, of how many."""

    counts: Mapping[str, int]
    count: int
    name: str = ""

    @property
    def over(self) -> int:
        """Jobs that nothing moves any more."""
        return sum(self.counts.get(state, 0) for state in OVER)

    @property
    def under_way(self) -> int:
        """Jobs that have an attempt on its way."""
        return sum(self.counts.get(state, 0) for state in UNDER_WAY)

    @property
    def done(self) -> bool:
        """Whether all are over."""
        return self.over >= self.count


def cells(counts: Mapping[str, int], count: int, width: int) -> tuple[int, int, int, int]:
    """How many cells succeeded, failed, under way and the rest get; they sum to `width`.

    What is not empty gets one cell at least, failures first, as far as there are cells. Cancelled jobs belong to the
    rest's texture, and stand at the right: they are over, and nothing was done.
    """
    if width <= 0:
        return (0, 0, 0, 0)
    succeeded, failed = counts.get("succeeded", 0), counts.get("failed", 0)
    running = sum(counts.get(state, 0) for state in UNDER_WAY)
    total = max(count, succeeded + failed + running, 1)
    parts = [succeeded, failed, running, total - succeeded - failed - running]
    exact = [part * width / total for part in parts]
    found = [int(share) for share in exact]
    for place in sorted(range(4), key=lambda place: found[place] - exact[place])[: width - sum(found)]:
        found[place] += 1
    for place in (1, 2, 0, 3):  # a failure shows before anything else does
        if parts[place] and not found[place]:
            giver = max(range(4), key=lambda other: found[other])
            if found[giver] > 1 or (place == 1 and found[giver]):
                found[giver] -= 1
                found[place] += 1
    return (found[0], found[1], found[2], found[3])


def bar(counts: Mapping[str, int], count: int, width: int = WIDTH, ascii: bool = False) -> str:  # noqa: A002  # its word
    """The cells alone: succeeded on the left, then failed, under way, and the rest."""
    glyphs = PLAIN if ascii else GLYPHS
    return "".join(glyph * number for glyph, number in zip(glyphs, cells(counts, count, width), strict=True))


def numbers(counts: Mapping[str, int], count: int, ascii: bool = False) -> str:  # noqa: A002  # as `bar`
    """`612/1,000   ✗ 7   ● 32   ↓ 2   · 354`: each state with its own number; what is zero is left out."""
    signs = _PLAIN_SIGNS if ascii else _SIGNS
    parts = [f"{sign} {counts[word]:,}" for word, sign in signs.items() if counts.get(word)]
    return "   ".join([f"{Tally(counts=counts, count=count).over:,}/{count:,}", *parts])


def line(tally: Tally, width: int = WIDTH, rate: float | None = None, ascii: bool = False) -> str:  # noqa: A002  # as `bar`
    """One line: name, bar, numbers; with a rate (jobs a second) also that, and how long the rest may take."""
    parts = [tally.name, bar(tally.counts, tally.count, width, ascii), numbers(tally.counts, tally.count, ascii)]
    if rate and not tally.done:
        parts += [
            f"{rate:.0f}/s" if rate >= 1 else f"{rate * 60:.0f}/min",
            f"about {span((tally.count - tally.over) / rate)} left",
        ]
    return "  ".join(part for part in parts if part)


def span(seconds: float) -> str:
    """A duration in two parts at most: `0.4 s`, `6 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 1:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for unit, length, below, smaller in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // smaller
            return f"{whole // length} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"
