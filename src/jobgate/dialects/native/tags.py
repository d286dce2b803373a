"""Entity tags in headers: a list of them, or `*` for any (RFC 9110, section 8.8.3 and 13.1)."""

from __future__ import annotations

import re
from typing import Final

ANY: Final = "*"
_TAG: Final = re.compile(r'(W/)?"([^"]*)"|([^\s,"]+)')
"""A tag may hold commas; one without its quotes is taken as it was meant."""


def weak(header: str) -> frozenset[str]:
    """The tags that `If-None-Match` names, without their quotes; a weak one stands for the strong one of its name."""
    return frozenset(said[1] if said[2] is None else said[2] for said in _found(header))


def strong(header: str) -> frozenset[str] | None:
    """Those that `If-Match` names: weak ones match nothing. None where there is no such condition."""
    found = _found(header)
    if not found:
        return None
    return frozenset(said[1] if said[2] is None else said[2] for said in found if not said[0])


def _found(header: str) -> list[tuple[str | None, str, str | None]]:
    return [(match[1], match[2], match[3]) for match in _TAG.finditer(header)]
