"""How many jobs start in a second: a count for each of the last seconds, and nothing to sum up before somebody asks."""

from __future__ import annotations

from typing import Final

SECONDS: Final = 10
"""Whole ones that the rate is of."""


class Pace:
    """Kept in memory; a new runner begins at nothing."""

    def __init__(self) -> None:
        self._counts = [0] * (SECONDS + 1)
        self._at = 0
        """The second that is being counted."""

    def note(self, now: float) -> None:
        """One started."""
        self._go_on(int(now))
        self._counts[self._at % len(self._counts)] += 1

    def rate(self, now: float) -> float:
        """Starts a second, of the last whole seconds."""
        self._go_on(int(now))
        return (sum(self._counts) - self._counts[self._at % len(self._counts)]) / SECONDS

    def _go_on(self, second: int) -> None:
        if second <= self._at:
            return  # a clock that was set back counts on where it was
        for passed in range(max(self._at + 1, second - SECONDS), second + 1):
            self._counts[passed % len(self._counts)] = 0
        self._at = second
