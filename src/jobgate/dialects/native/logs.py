"""The log of a job: from any place, to its present end or for as long as it grows."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

from jobgate.dialects.dialect import Ask, Call, Reply, Stream
from jobgate.dialects.native.asked import query
from jobgate.dialects.native.jobs import name_of
from jobgate.dialects.native.tags import ANY, weak
from jobgate.dialects.native.verb import Verb
from jobgate.model.errors import Unsatisfiable
from jobgate.model.storing import OpenedLog, OpenLog

MEDIA: Final = "text/plain; charset=utf-8"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII | re.IGNORECASE)


class _LogQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    attempt: Annotated[int, Meta(ge=1, le=1 << 31, description="That of this attempt.")] | None = None
    tail: Annotated[int, Meta(ge=0, le=1 << 31, description="Only so many last lines.")] | None = None
    follow: Annotated[bool, Meta(description="Go on until the job, or that attempt, is over.")] = False


def _log(call: Call) -> Ask:
    asked = query(call, _LogQuery)
    first, last = _range(call)
    return Ask(
        operation=OpenLog(
            job=name_of(call), attempt=asked.attempt, first=first, last=last, lines=asked.tail, follow=asked.follow
        )
    )


def _range(call: Call) -> tuple[int | None, int | None]:
    """First and last byte; of no first, so many from the end. What is no range is ignored, as RFC 9110 has it."""
    match = _RANGE.match(call.headers.get("range", ""))
    if match is None:
        return None, None
    first, last = (int(word) if word else None for word in match.groups())
    return (None, None) if first is not None and last is not None and last < first else (first, last)


def _opened(prefix: str, call: Call, outcome: OpenedLog) -> Reply:
    del prefix
    headers = {
        "Accept-Ranges": "bytes",
        "Log-Complete": str(outcome.complete).lower(),
        "Log-Offset": str(outcome.offset),
        "X-Accel-Buffering": "no",
    }
    if outcome.attempt is not None:
        headers["Log-Attempt"] = str(outcome.attempt)
    if outcome.truncated:
        headers["Log-Truncated"] = "true"
    if outcome.digest is not None:
        headers["ETag"] = f'"{outcome.digest}"'
        if weak(call.headers.get("if-none-match", "")) & {outcome.digest, ANY}:
            return Reply(status=304, headers=headers, media=MEDIA)
    asked, status = _range(call), 200
    if asked != (None, None):
        some = outcome.end > outcome.offset
        if outcome.complete and not some:
            raise Unsatisfiable.beyond(outcome.size)
        if some and not _follows(call, outcome):
            status, total = 206, outcome.size if outcome.complete else "*"
            headers["Content-Range"] = f"bytes {outcome.offset}-{outcome.end - 1}/{total}"
    if outcome.length is not None:
        headers["Content-Length"] = str(outcome.length)
    return Reply(status=status, headers=headers, body=Stream(outcome.pieces, bytes), media=MEDIA)


def _follows(call: Call, outcome: OpenedLog) -> bool:
    return query(call, _LogQuery).follow and not outcome.complete


VERBS: Final = (
    Verb(
        name="log",
        method="GET",
        path="/jobs/{id}/log",
        summary="What the job said, output and errors in order of arrival",
        description=(
            "Places are counted in the log as it was written. Of one that was too long the middle is cut out: "
            "`Log-Truncated: true`, and a line stands for it where the log is read across it. `Log-Offset` is the "
            "place of the body's first byte, `Log-Attempt` the attempt it is of, and `Log-Complete: true` says that "
            "nothing will follow. With `follow=true` a job's next attempts come after the first. An answer that is "
            "broken off lost its connection or its server: go on with `Range: bytes=PLACE-`, where it ended."
        ),
        subject="jobs",
        query=_LogQuery,
        headers={
            "Range": "A part of it; one that is followed begins there.",
            "If-None-Match": "Nothing, when it is complete and has this tag.",
        },
        gives={200: "text/plain", 206: "text/plain", 304: None},
        refuses=("gone", "range"),
        decode=_log,
        encode=_opened,
    ),
)
