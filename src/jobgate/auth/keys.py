"""Values of credentials: made here, shown once, kept as digests."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from jobgate.model.account import Kind

_MAKERS: Final[dict[Kind, Callable[[], str]]] = {
    Kind.API_KEY: lambda: f"jg_{secrets.token_urlsafe(32)}",
    Kind.CHARITY_ENGINE: lambda: secrets.token_hex(16),
    Kind.BOINC: lambda: secrets.token_hex(16),
    Kind.MIKE: lambda: secrets.token_hex(32),
}
"""How a value looks: as the API it is for is known to have them; at least 128 random bits."""


def new_value(kind: Kind) -> str:
    """A fresh secret of that kind. Raises KeyError for a kind that is a name proven elsewhere."""
    return _MAKERS[kind]()


def digest(kind: Kind, value: str) -> bytes:
    """What is kept of a value. It is random, so a plain SHA-256 is enough; names are compared without case."""
    known = value if kind.secret else value.lower()
    return hashlib.sha256(f"{kind.value}\0{known}".encode("utf-8", "surrogatepass")).digest()
