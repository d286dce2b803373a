"""Pages of a list, and single things that a client may hold a copy of."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.asked import Waiting, wait
from jobgate.dialects.native.views import answer
from jobgate.model.operations import Count, Find, Until

_NEVER: Final = -1
"""No version."""


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
    if tag(version)["ETag"] in _tags(call.headers.get("if-none-match", "")):
        return Reply(status=304, headers=tag(version))
    return answer(body, 200, tag(version))


def waiting(call: Call, operation: Find | Count, asked: Waiting) -> Ask:
    """With `?wait` it is answered at the end; where `If-None-Match` says what the client has, at the first change."""
    known = _version(call, "if-none-match")
    if known is None:
        return Ask(operation=operation, until=Until.ENDED, within=wait(asked))
    return Ask(operation=operation, until=Until.CHANGED, within=wait(asked), seen=known)


def seen(call: Call) -> int | None:
    """The version that `If-Match` says the client knows; None where it says none, or any."""
    return _version(call, "if-match")


def _version(call: Call, header: str) -> int | None:
    tags = _tags(call.headers.get(header, ""))
    if not tags or "*" in tags:
        return None
    said = tags[0].strip('"')
    return int(said[:18]) if said.isascii() and said.isdigit() else _NEVER


def _tags(header: str) -> list[str]:
    return [one.strip().removeprefix("W/") for one in header.split(",") if one.strip()]
