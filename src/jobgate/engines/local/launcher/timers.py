"""What is to happen later. Most of it is called off: a job ends long before its wall time."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import Any

MANY = 64
"""Called-off ones that may stay among the others."""

Timer = list[Any]
"""When, a number, and what; nothing when it is called off."""


class Timers:
    """A heap; one that is called off holds on to nothing and goes when half of them are such."""

    def __init__(self) -> None:
        self.heap: list[Timer] = []
        self.count = 0
        self.off = 0

    def later(self, seconds: float, act: Callable[[], None]) -> Timer:
        """Calls `act` then."""
        self.count += 1
        timer: Timer = [time.monotonic() + seconds, self.count, act]
        heapq.heappush(self.heap, timer)
        return timer

    def call_off(self, timer: Timer) -> None:
        """It will not happen; no matter if it has."""
        if timer[2] is None:
            return
        timer[2] = None
        self.off += 1
        if self.off > MANY and self.off * 2 > len(self.heap):
            self.heap = [kept for kept in self.heap if kept[2] is not None]
            heapq.heapify(self.heap)
            self.off = 0

    def pause(self) -> float | None:
        """Seconds until the next; None when there is none."""
        return max(self.heap[0][0] - time.monotonic(), 0.0) if self.heap else None

    def run(self) -> None:
        """Those that are due."""
        while self.heap and self.heap[0][0] <= time.monotonic():
            timer = heapq.heappop(self.heap)
            act, timer[2] = timer[2], None
            if act is None:
                self.off -= 1
            else:
                act()
