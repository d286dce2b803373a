"""Which files are waited for, and what is done when they are ready: the thin half of `selectors`, on the hot path."""

from __future__ import annotations

import select
from collections.abc import Callable

MANY = 64
"""Files acted on in one pass."""


class Watch:
    """One epoll."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.acts: dict[int, Callable[[], None]] = {}

    def add(self, fd: int, act: Callable[[], None]) -> None:
        """Calls `act` whenever the file can be read."""
        self.acts[fd] = act
        self.epoll.register(fd, select.EPOLLIN)

    def change(self, fd: int, act: Callable[[], None], *, writing: bool) -> None:
        """Another `act`; with `writing`, also when the file can be written."""
        self.acts[fd] = act
        self.epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def drop(self, fd: int) -> None:
        """Before the file is closed: a child on its way may hold a copy, which would report for ever."""
        del self.acts[fd]
        self.epoll.unregister(fd)

    def wait(self, seconds: float | None) -> None:
        """One pass."""
        for fd, _ in self.epoll.poll(seconds, MANY):
            act = self.acts.get(fd)  # one before it may have dropped it
            if act is not None:
                act()
