"""What a job writes, as it writes it: through lost connections, to its end, and never less than that in silence."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from jobgate.client.core import decoded
from jobgate.client.errors import Unreachable
from jobgate.client.line import Asking, Deadline, Line
from jobgate.client.records import OVER

_NOTHING_MORE: Final = 416
_BREAKS: Final = 5
"""Connections in a row that may break without a byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a log is read."""

    follow: bool = False
    tail: int | None = None
    attempt: int | None = None


class _Standing(msgspec.Struct):
    """All that is asked of a job here."""

    state: str


async def lines(line: Line, job: str, reading: Reading) -> AsyncGenerator[str, None]:
    """The lines, each with its end; bytes that are no UTF-8 become U+FFFD. The last may have no end."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    async with aclosing(pieces(line, job, reading)) as found:
        async for piece in found:
            *whole, rest = (rest + decoder.decode(piece)).split("\n")
            for one in whole:
                yield one + "\n"
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


async def pieces(line: Line, job: str, reading: Reading) -> AsyncGenerator[bytes, None]:
    """The bytes in order, each once. Raises NotFound, Gone, and Unreachable unless it follows."""
    offset: int | None = None
    breaks = 0
    while breaks <= _BREAKS:
        asking = _asking(job, reading, offset)
        async with line.open(asking) as answer:
            if answer.status_code == _NOTHING_MORE:
                return
            begins = int(answer.headers.get("Log-Offset", offset or 0))
            offset = begins if offset is None else max(offset, begins)  # behind a middle that is not kept
            passed = offset - begins  # a server that knows no ranges begins anew
            try:
                async for piece in answer.aiter_bytes():
                    new, passed = piece[passed:], max(0, passed - len(piece))
                    if new:
                        breaks = 0
                        offset += len(new)
                        yield new
            except httpx.TransportError as error:
                breaks += 1
                broken = error
            else:
                if not reading.follow or await _over(line, job):
                    return
                continue
        if reading.follow:
            breaks = 0
            await line.rest()
    raise Unreachable(f"The log of {job} was not read to its end.", why=f"the connection broke: {broken}")


def _asking(job: str, reading: Reading, offset: int | None) -> Asking:
    query = {"follow": reading.follow or None, "attempt": reading.attempt}
    headers = {"Accept": "text/plain", "Accept-Encoding": "identity"}
    if offset is None:
        query["tail"] = reading.tail
    else:
        headers["Range"] = f"bytes={offset}-"
    return Asking(
        method="GET",
        path=f"/v1/jobs/{quote(job, safe='')}/log",
        what=f"The log of {job} was not read.",
        query=query,
        headers=headers,
        deadline=Deadline(None) if reading.follow else None,
        fine=frozenset({_NOTHING_MORE}),
    )


async def _over(line: Line, job: str) -> bool:
    """Whether the stream ended because the job did: a server that stops ends its streams too."""
    asking = Asking(
        method="GET",
        path=f"/v1/jobs/{quote(job, safe='')}",
        what=f"{job} was not read.",
        sought=job,
        deadline=Deadline(None),
    )
    return decoded((await line.call(asking)).content, _Standing).state in OVER
