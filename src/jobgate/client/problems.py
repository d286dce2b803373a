"""From a refusal on the wire (RFC 9457) to the error of the tree that names it."""

from __future__ import annotations

import httpx
import msgspec

from jobgate.client.errors import BY_STATUS, Fault, Refused, Unreachable
from jobgate.client.words import plain
from jobgate.model.errors import JobgateError

_ABSENT = 404
_BROKEN = 500


class Problem(msgspec.Struct):
    """What is read of a problem document."""

    code: str = ""
    title: str = ""
    detail: str = ""
    next: str = ""
    errors: tuple[Fault, ...] = ()
    oldest: int | None = None


def refused(what: str, answer: httpx.Response, sought: str = "") -> JobgateError:
    """The error for an answer that is no success; `what` did not happen, or `sought` was not found."""
    status = answer.status_code
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = Problem(detail=f"the answer is no document of this API: {answer.status_code} {answer.reason_phrase}")
    if status == _BROKEN:
        return Unreachable(
            what,
            why=f"the server failed while it answered ({plain(answer.headers.get('Request-Id', 'no request id'))})",
            next_="tell the operator the request id; the outcome is unknown",
        )
    try:
        retry_after = float(answer.headers.get("Retry-After", ""))
    except ValueError:
        retry_after = None
    return BY_STATUS.get(status, Refused)(
        f"{plain(sought)}: not found." if sought and status == _ABSENT else what,
        status=status,
        code=problem.code or "refused",
        detail=plain(problem.detail or problem.title),
        next_=plain(problem.next),
        errors=problem.errors,
        request=answer.headers.get("Request-Id", ""),
        retry_after=retry_after,
        oldest=problem.oldest,
    )
