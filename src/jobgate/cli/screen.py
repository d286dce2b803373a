"""The two streams: standard output has the answer, standard error the talk. Each is judged by itself."""

from __future__ import annotations

import json
import locale
import os
import shutil
import sys
from dataclasses import dataclass, field
from typing import Final, TextIO

from jobgate.cli.render import ENDLESS, NOTHING, Cell, Column, Sign, ascii_only, piped, table, toned

_UTF8: Final = frozenset({"utf8", "utf_8"})
_WIDE: Final = 80
"""Columns of a terminal that does not say."""


@dataclass(slots=True)
class Screen:
    """Where a command answers and talks, and what may stand there."""

    as_json: bool = False
    quiet: bool = False
    """Ids only: nothing is talked."""
    colours: bool = True
    """False where they are not wanted, whatever the terminal can do."""
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _pending: bool = False

    @property
    def terminal(self) -> bool:
        """Whether a person reads the answer."""
        return self.out.isatty()

    @property
    def watched(self) -> bool:
        """Whether a person sees the talk, on something that can redraw a line."""
        return self.err.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int:
        """Columns of the answer; off a terminal it has no end."""
        return self._columns if self.terminal else ENDLESS

    @property
    def talk_width(self) -> int:
        """Columns of the talk."""
        return self._columns if self.err.isatty() else ENDLESS

    @property
    def _columns(self) -> int:
        return shutil.get_terminal_size((_WIDE, 24)).columns

    def coloured(self, stream: TextIO) -> bool:
        """Whether a stream may bear colours."""
        wanted = self.colours and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return wanted and stream.isatty()

    # --- the answer

    def say(self, text: str) -> None:
        """A line of the answer."""
        self.settle()
        self.out.write(self._fit(text, self.out) + "\n")
        self.out.flush()

    def signed(self, text: str, sign: Sign) -> None:
        """A line of the answer, with a sign before it."""
        self.say(f"{toned(sign.sign, sign.tone, colour=self.coloured(self.out))} {text}")

    def raw(self, body: bytes) -> None:
        """The API's own body, as one line."""
        self.settle()
        text = body.decode() if writes_utf8(self.out) else json.dumps(json.loads(body))
        self.out.write(text.rstrip("\n") + "\n")
        self.out.flush()

    def rows(self, columns: list[Column], rows: list[list[Cell]]) -> None:
        """A table for who reads it; ids alone when quiet."""
        if self.quiet:
            lines = [row[0].piped for row in rows]
        elif not self.terminal:
            lines = piped(rows)
        else:
            lines = table(columns, rows, self.width, colour=self.coloured(self.out)) if rows else []
        for line in lines:
            self.say(line)

    # --- the talk

    def talk(self, text: str, sign: Sign | None = None) -> None:
        """A line beside the answer; nothing when quiet."""
        if self.quiet:
            return
        self.settle()
        mark = f"{toned(sign.sign, sign.tone, colour=self.coloured(self.err))} " if sign is not None else ""
        self.err.write(self._fit(mark + text, self.err) + "\n")
        self.err.flush()

    def passing(self, text: str) -> None:
        """What is waited for: on a terminal it goes again, elsewhere it is a line."""
        if self.quiet:
            return
        line = self._fit(f"{NOTHING.sign} {text}", self.err)
        if self.watched:
            self.err.write(f"\r{line[: self._columns - 1]}\x1b[K")
            self._pending = True
        else:
            self.err.write(line + "\n")
        self.err.flush()

    def settle(self) -> None:
        """Takes away what was passing."""
        if self._pending:
            self._pending = False
            self.err.write("\r\x1b[K")
            self.err.flush()

    def refuse(self, what: str, why: str, next_: str) -> None:
        """Three lines: what did not happen, why, what next. Also when quiet."""
        self.settle()
        sign = toned("✗", "red", colour=self.coloured(self.err))
        lines = [f"{sign} {what}", *(f"  why   {line}" for line in why.splitlines() if line.strip())]
        lines += [f"  next  {next_}"] if next_ else []
        self.err.write(self._fit("\n".join(lines), self.err) + "\n")
        self.err.flush()

    def _fit(self, text: str, stream: TextIO) -> str:
        return text if writes_utf8(stream) else ascii_only(text)


def writes_utf8(stream: TextIO) -> bool:
    """Whether our signs can be written there."""
    encoding = getattr(stream, "encoding", None) or locale.getencoding()
    return encoding.lower().replace("-", "") in _UTF8
