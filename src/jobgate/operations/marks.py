"""Marks: the moments at which answers were given, and how far the event log had come then.

An answer bears its moment, and who brings it back is told what has changed since. No two answers bear the same, and a
later one bears a greater one, whatever the clock does. They are kept in memory, the newest of them: of a moment that is
not known any more, or was none, nobody can say what has changed since.
"""

from __future__ import annotations

from typing import Final

KEPT: Final = 16_384
_SECOND: Final = 1_000_000
"""In microseconds: a moment survives being written with six decimals."""


class Marks:
    """The newest `kept` moments."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._last = 0
        self._cursors: dict[int, int] = {}

    def draw(self, now: float) -> float:
        """A moment that no answer bore before. To be drawn before anything is read."""
        self._last = max(int(now * _SECOND), self._last + 1)
        return self._last / _SECOND

    def put(self, at: float, cursor: int) -> None:
        """All that the answer of this moment does not tell lies behind `cursor`."""
        self._cursors[_key(at)] = cursor
        if len(self._cursors) > self._kept:
            del self._cursors[next(iter(self._cursors))]

    def find(self, at: float) -> int | None:
        """Behind which cursor lies what has changed since; None when it is not known."""
        return self._cursors.get(_key(at))


def _key(at: float) -> int:
    return round(at * _SECOND)
