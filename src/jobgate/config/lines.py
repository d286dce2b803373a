"""On which line each key of a TOML text stands; tomllib reads the values but does not tell.

Written for texts that tomllib has accepted: it looks for keys only, and trusts the rest. Source: TOML 1.0.
"""

from __future__ import annotations

import re
import tomllib
from collections import deque
from typing import Final, NamedTuple

Path = tuple[str | int, ...]
"""Keys from the top; a number is a place in an array."""

_TOKEN: Final = re.compile(
    r'''(?P<text>"""(?:\\.|(?!""").)*"{3,5}|\'\'\'(?:(?!\'\'\').)*\'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')'''
    r"""|(?P<skip>\#[^\n]*|[ \t\r]+)|(?P<mark>[\n\[\]{},=])|(?P<bare>[^\s\[\]{},=\#"']+)""",
    re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    word: str
    line: int


def locate(text: str) -> dict[Path, int]:
    """The line of each key, table and array item; a table's is where it is first named. Counted from 1."""
    return _Locator(text).lines


class _Locator:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._tokens = _tokens(text)
        table: Path = ()
        while self._tokens:
            if self._at("\n"):
                self._tokens.popleft()
            elif self._at("["):
                table = self._header()
            else:
                self._entry(table)

    def _at(self, marks: str) -> bool:
        return bool(self._tokens) and self._tokens[0].kind == "mark" and self._tokens[0].word in marks

    def _note(self, path: Path, line: int) -> None:
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)

    def _keys(self, end: str) -> tuple[str, ...]:
        found: list[str] = []
        while not self._at(end):
            token = self._tokens.popleft()
            if token.kind == "text":
                found.append(tomllib.loads("x=" + token.word)["x"])
            else:
                found += filter(None, token.word.split("."))
        self._tokens.popleft()
        return tuple(found)

    def _header(self) -> Path:
        line = self._tokens.popleft().line
        if several := self._at("["):
            self._tokens.popleft()
        keys = self._keys("]")
        if several:
            self._tokens.popleft()
        path: Path = ()
        for key in keys[:-1]:
            path = self._last(*path, key)
        path = (*path, keys[-1])
        if several:
            self._counts[path] = self._counts.get(path, 0) + 1
        path = self._last(*path)
        self._note(path, line)
        return path

    def _last(self, *path: str | int) -> Path:
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _entry(self, table: Path) -> None:
        line = self._tokens[0].line
        path = (*table, *self._keys("="))
        self._note(path, line)
        self._value(path)

    def _value(self, path: Path) -> None:
        first = self._tokens.popleft()
        if (first.kind, first.word) == ("mark", "["):
            self._array(path)
        elif (first.kind, first.word) == ("mark", "{"):
            while not self._at("}"):
                if self._at("\n,"):
                    self._tokens.popleft()
                else:
                    self._entry(path)
            self._tokens.popleft()
        else:
            while self._tokens and self._tokens[0].kind == "bare":  # a date and its time
                self._tokens.popleft()

    def _array(self, path: Path) -> None:
        place = 0
        while not self._at("]"):
            if self._at("\n,"):
                self._tokens.popleft()
                continue
            self._note((*path, place), self._tokens[0].line)
            self._value((*path, place))
            place += 1
        self._tokens.popleft()


def _tokens(text: str) -> deque[_Token]:
    found: deque[_Token] = deque()
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is not None and kind != "skip":
            found.append(_Token(kind, match[0], line))
        line += match[0].count("\n")
    return found
