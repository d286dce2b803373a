"""What a request asks for before it is carried out: that it was not before, that a thing is as it was seen."""

from __future__ import annotations

import msgspec

from jobgate.model.ids import Digest


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """An idempotency key: used up in the operation's own transaction, and belonging to the account."""

    key: str
    body: Digest
    """Digest of the request: the same key with another body is refused."""
    scope: str = ""
    """Keys of different dialects do not meet."""
    lives: float = 86_400.0


Seen = tuple[int, ...]
"""Versions that the asker knows; none: nothing can be of one."""
