"""Signed addresses: they carry their own permission, to read one address for a time."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

import msgspec

_DIGITS: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_OURS: Final = ("exp", "sig")
_FIELDS: Final = 100


class Links:
    """Signs and verifies with the server's key.

    What is signed: the method (reading), the path as it stands, and every parameter of the query but our own two,
    whatever their order. So nothing can be added, left out, changed or given twice.
    """

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        self._key = hashlib.sha256(b"jobgate links\0" + key).digest()
        self._clock = clock

    def __call__(self, path: str, expires: float) -> str:
        """What to add to the query of `path`, an address with its query, so that it can be read until `expires`.

        `expires` is Unix time. Raises ValueError when the query names a parameter twice, or one of ours.
        """
        path, _, query = path.partition("?")
        others = _once(query)
        if others is None or any(name in others for name in _OURS):
            raise ValueError(query)
        return f"exp={int(expires)}&sig={self._sign(path, others, int(expires))}"

    def verify(self, path: str, query: str, method: str = "GET") -> bool:
        """Whether the query string lets this path, as it stands in the address, be read now."""
        given = _once(query)
        if given is None or method not in ("GET", "HEAD"):
            return False
        expires, signature = given.pop("exp", ""), given.pop("sig", "")
        if not _DIGITS.fullmatch(expires) or not signature.isascii():
            return False
        right = hmac.compare_digest(signature, self._sign(path, given, int(expires)))
        return right and int(expires) > self._clock()

    def _sign(self, path: str, others: dict[str, str], expires: int) -> str:
        signed = msgspec.json.encode(["GET", path, sorted(others.items()), expires])
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest()


def _once(query: str) -> dict[str, str] | None:
    """Its parameters; None when one is given twice, and for what is no query."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=_FIELDS)
    except ValueError:
        return None
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None
