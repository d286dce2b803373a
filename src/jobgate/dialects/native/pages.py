"""Pages of a list, and single things that a client may hold a copy of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.asked import Waiting, wait
from jobgate.dialects.native.tags import ANY, strong, weak
from jobgate.dialects.native.views import answer
from jobgate.model.guard import Seen
from jobgate.model.operations import Count, Find, Until

_LONGEST: Final = 18
"""Digits of a version."""


def onward(path: str, call: Call, more: str | None) -> tuple[str | None, dict[str, str]]:
    """The address of the page after this one, and the headers that say it too; None at the end."""
    if more is None:
        return None, {}
    asked = [pair for pair in call.pairs or tuple(call.query.items()) if pair[0] != "after"]
    address = f"{path}?{urlencode([*asked, ('after', more)])}"
    return address, {"Link": f'<{address}>; rel="next"'}


def tag(version: int) -> dict[str, str]:
    """The header that names a version."""
    return {"ETag": f'"{version}"'}


def held(call: Call, body: object, version: int) -> Reply:
    """The thing; nothing but its tag where the client has this version already."""
    if weak(call.headers.get("if-none-match", "")) & {str(version), ANY}:
        return Reply(status=304, headers=tag(version))
    return answer(body, 200, tag(version))


def waiting(call: Call, operation: Find | Count, asked: Waiting) -> Ask:
    """With `?wait` it is answered at the end; where `If-None-Match` says what the client has, at the first change."""
    known = weak(call.headers.get("if-none-match", ""))
    if not known or ANY in known:
        return Ask(operation=operation, until=Until.ENDED, within=wait(asked))
    return Ask(operation=operation, until=Until.CHANGED, within=wait(asked), seen=_versions(known))


def seen(call: Call) -> Seen | None:
    """The versions that `If-Match` allows; None where it says none, or any."""
    known = strong(call.headers.get("if-match", ""))
    return None if known is None or ANY in known else _versions(known)


def _versions(tags: Iterable[str]) -> Seen:
    """What is no version of ours is none that anything can have."""
    return tuple(sorted(int(said[:_LONGEST]) for said in tags if said.isascii() and said.isdigit()))
