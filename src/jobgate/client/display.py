"""How progress is shown: a live line on a terminal, HTML in a notebook, and a few plain lines anywhere else."""

from __future__ import annotations

import locale
import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, Protocol, TypeVar

from jobgate.client.html import block
from jobgate.client.line import Say
from jobgate.client.progress import WIDTH, Tally, line
from jobgate.client.records import BatchRecord, JobRecord

T = TypeVar("T")
FRAME: Final = 0.25
"""Seconds between two pictures."""
LINES: Final = 30.0
"""Seconds between two lines off a terminal."""
_TENTHS: Final = 10
_ROOM: Final = 100
_NARROW: Final = 16


class Display(Protocol):
    """Something that shows how it goes."""

    def show(self, tally: Tally) -> None:
        """Shows this now, or leaves it to the next."""
        ...

    def end(self) -> None:
        """Shows the last tally, and lets go of the place where it was shown."""
        ...


class Rate:
    """Jobs a second: of the last while, so that a pause shows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: tuple[float, int] | None = None
        self._rate: float | None = None

    def of(self, tally: Tally) -> float | None:
        """None until something ended."""
        now = self._clock()
        if self._since is None:
            self._since = (now, tally.over)
        begun, over = self._since
        if now - begun >= 1 and tally.over > over:
            fresh = (tally.over - over) / (now - begun)
            self._rate = fresh if self._rate is None else 0.7 * self._rate + 0.3 * fresh
            self._since = (now, tally.over)
        return self._rate


class OnTerminal:
    """One line that is redrawn, four times a second at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console  # noqa: PLC0415  # not needed by who shows no progress
        from rich.live import Live  # noqa: PLC0415  # as above

        self._clock = clock
        self._rate = Rate(clock)
        self._drawn = -FRAME
        self._last: Tally | None = None
        self._live = Live(console=Console(stderr=True, markup=False, highlight=False), auto_refresh=False)
        self._live.start()

    def show(self, tally: Tally) -> None:
        """Redraws the line if the last picture is old enough."""
        self._last = tally
        if self._clock() - self._drawn >= FRAME or tally.done:
            self._draw(tally)

    def _draw(self, tally: Tally) -> None:
        from rich.text import Text  # noqa: PLC0415  # as above

        self._drawn = self._clock()
        wide = shutil.get_terminal_size().columns >= _ROOM
        rate = self._rate.of(tally)
        said = line(tally, WIDTH if wide else _NARROW, rate if wide else None, ascii=not _utf8())
        self._live.update(Text(said, no_wrap=True, overflow="ellipsis"), refresh=True)

    def end(self) -> None:
        """Leaves the last picture standing."""
        if self._last is not None:
            self._draw(self._last)
        self._live.stop()


class InNotebook:
    """One output that is updated in place; text in a `pre`, nothing that runs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = Rate(clock)
        self._drawn = -FRAME
        self._last: Tally | None = None
        self._handle: Any = None

    def show(self, tally: Tally) -> None:
        """Updates the output if the last picture is old enough."""
        self._last = tally
        if self._clock() - self._drawn >= FRAME or tally.done:
            self._draw(tally)

    def _draw(self, tally: Tally) -> None:
        shown: Any = import_module("IPython.display")  # only there in a notebook, and untyped

        self._drawn = self._clock()
        picture = shown.HTML(block(line(tally, WIDTH, self._rate.of(tally))))
        if self._handle is None:
            self._handle = shown.display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def end(self) -> None:
        """Leaves the last picture standing."""
        if self._last is not None:
            self._draw(self._last)


class AsLines:
    """A line at the start, at each tenth or after 30 s, at the first failure, and at the end."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._rate = Rate(clock)
        self._tenth = -1
        self._failed = False
        self._at = 0.0

    def show(self, tally: Tally) -> None:
        """Says it if it is news."""
        tenth = _TENTHS * tally.over // max(tally.count, 1)
        failed = tally.counts.get("failed", 0) > 0
        rate = self._rate.of(tally)
        if tenth != self._tenth or failed != self._failed or self._clock() - self._at >= LINES:
            self._tenth, self._failed, self._at = tenth, failed, self._clock()
            self._say(line(tally, _NARROW, rate, ascii=not _utf8()))

    def end(self) -> None:
        """Nothing is left to say."""


def chosen(say: Say) -> Display:
    """The display for where this runs."""
    if _in_notebook():
        return InNotebook()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return OnTerminal()
    return AsLines(say)


class Shower:
    """Takes the tallies out of a stream of items and shows them."""

    def __init__(self, say: Say, what: Sequence[object], *, progress: bool) -> None:
        self._say = say
        self._what = what
        self._display = chosen(say) if progress else None
        self._last: Tally | None = None

    def takes(self, item: object) -> bool:
        """Whether the item was a tally."""
        if not isinstance(item, Tally):
            return False
        self._last = item
        if self._display is not None:
            self._display.show(item)
        return True

    def end(self) -> None:
        """Lets go of the display."""
        if self._display is not None:
            self._display.end()

    def left(self) -> None:
        """Says, to one who stops waiting, that the work goes on, and how it is found again."""
        first = next(iter(self._what), None)
        if not isinstance(first, JobRecord | BatchRecord):
            return
        verb = "batch" if isinstance(first, BatchRecord) else "job"
        ended = f": {self._last.over:,} of {self._last.count:,} ended" if self._last else ""
        name = first.tally.name if isinstance(first, BatchRecord) else first.id
        self._say(f'Left. {name} goes on{ended}.    find it again: client.{verb}("{first.id}")')


def shown(items: Iterator[T | Tally], say: Say, what: Sequence[object] = (), *, progress: bool) -> Iterator[T]:
    """The items without the tallies, which are shown. Interrupted, it says that the work goes on."""
    shower = Shower(say, what, progress=progress)
    try:
        for item in items:
            if not shower.takes(item):
                yield item  # type: ignore[misc]  # the tallies were taken out
    except KeyboardInterrupt:
        shower.end()
        shower.left()
        raise
    finally:
        shower.end()
        with suppress(AttributeError):
            items.close()  # type: ignore[attr-defined]  # a generator has it


async def shown_async(
    items: AsyncIterator[T | Tally], say: Say, what: Sequence[object] = (), *, progress: bool
) -> AsyncIterator[T]:
    """As `shown`; a cancelled task says nothing, as whoever cancelled it knows."""
    shower = Shower(say, what, progress=progress)
    try:
        async for item in items:
            if not shower.takes(item):
                yield item  # type: ignore[misc]  # the tallies were taken out
    finally:
        shower.end()
        if isinstance(items, AsyncGenerator):
            await items.aclose()


def _in_notebook() -> bool:
    """Whether a kernel shows what we display; a plain IPython shell is a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _utf8() -> bool:
    return (getattr(sys.stderr, "encoding", None) or locale.getencoding()).lower().replace("-", "") == "utf8"
