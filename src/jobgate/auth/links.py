"""Signed addresses: they carry their own permission, for one path and a time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import parse_qs


class Links:
    """Signs and verifies with the server's key."""

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        self._key = hashlib.sha256(b"jobgate links\0" + key).digest()
        self._clock = clock

    def __call__(self, path: str, expires: float) -> str:
        """The query string that opens `path` until `expires`."""
        return f"exp={int(expires)}&sig={self._sign(path, int(expires))}"

    def verify(self, path: str, query: str) -> bool:
        """Whether the query string opens this path now."""
        given = parse_qs(query)
        try:
            expires, signature = int(given["exp"][0]), given["sig"][0]
        except (KeyError, ValueError):
            return False
        return expires > self._clock() and hmac.compare_digest(signature, self._sign(path, expires))

    def _sign(self, path: str, expires: int) -> str:
        return hmac.new(self._key, f"{expires}\0{path}".encode(), hashlib.sha256).hexdigest()
