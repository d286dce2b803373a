"""Whether two files differ in numbers alone, and in none by more than is allowed. Read in pieces, side by side.

Text is taken apart at white space, which counts for nothing else, and at each of ``, ; : = ( ) [ ] { } < > | " '``. What
stands between is a number where it reads as one (`-1`, `2.5`, `.5e-3`), and a word where not. Numbers agree within the
tolerance; words and signs agree when they are the same. A file with a NUL byte, or with a word of more than 64 KiB, is
no text: it agrees only with its own bytes.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from typing import Final

from jobgate.model.job import Numeric

_TOKEN: Final = re.compile(rb"[,;:=()\[\]{}<>|\"']|[^\s,;:=()\[\]{}<>|\"']+")
_NUMBER: Final = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SPACE: Final = b" \t\r\n\f\v"
_LONGEST: Final = 64 * 1024
_AT_ONCE: Final = 8 * 1024
"""Bytes that are taken apart before others have their turn."""


class NoText(Exception):  # noqa: N818  # it is an answer, and no error
    """The file is none that numbers are looked for in."""


async def tokens(pieces: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The words and signs of a text, some at a time. Raises NoText when it is none."""
    rest = b""
    async for piece in pieces:
        for start in range(0, len(piece), _AT_ONCE):
            text = rest + piece[start : start + _AT_ONCE]
            if b"\0" in text:
                raise NoText
            found = _TOKEN.findall(text)
            rest = b""
            if found and text[-1:] not in _SPACE:
                rest = found.pop()  # it may go on
                if len(rest) > _LONGEST:
                    raise NoText
            if found:
                yield found
    if rest:
        yield [rest]


async def alike(one: AsyncIterator[bytes], other: AsyncIterator[bytes], tolerance: Numeric) -> bool:
    """Whether two texts are, of which the caller knows that their bytes differ."""
    left, right = tokens(one), tokens(other)
    mine: list[bytes] = []
    theirs: list[bytes] = []
    try:
        while True:
            if not mine:
                mine = await anext(left, [])
            if not theirs:
                theirs = await anext(right, [])
            if not mine or not theirs:
                return mine == theirs
            size = min(len(mine), len(theirs))
            if not all(close(a, b, tolerance) for a, b in zip(mine[:size], theirs[:size], strict=True)):
                return False
            mine, theirs = mine[size:], theirs[size:]
            await asyncio.sleep(0)
    except NoText:
        return False


def close(one: bytes, other: bytes, tolerance: Numeric) -> bool:
    """Whether two words are the same, or numbers that are near enough."""
    if one == other:
        return True
    if not (_NUMBER.fullmatch(one) and _NUMBER.fullmatch(other)):
        return False
    a, b = float(one), float(other)
    if not (math.isfinite(a) and math.isfinite(b)):
        return False
    return abs(a - b) <= max(tolerance.absolute, tolerance.relative * max(abs(a), abs(b)))
