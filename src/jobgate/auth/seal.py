"""Secrets at rest, encrypted under the server's key."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jobgate.model.errors import Unavailable
from jobgate.model.ids import BatchId

_KEY: Final = 32
_NONCE: Final = 12


def server_key(path: Path) -> bytes:
    """The key in that file, made when there is none. Raises Unavailable when others may read it, or it is damaged."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise Unavailable(f"{path} may be read by others; make it 0600, and think of it as known") from None
        key = path.read_bytes()
        if len(key) != _KEY:
            raise Unavailable(f"{path} is damaged: {_KEY} bytes are needed") from None
        return key
    key = secrets.token_bytes(_KEY)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


class Seal:
    """AES-256-GCM, each value bound to its batch and name: a sealed value is of no use elsewhere."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, batch: BatchId, name: str, value: str) -> bytes:
        """The sealed value."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value.encode(), f"{batch}\0{name}".encode())

    def open(self, batch: BatchId, name: str, sealed: bytes) -> str:
        """The value. Raises Unavailable when it was sealed under another key, or for another place."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], f"{batch}\0{name}".encode()).decode()
        except InvalidTag as error:
            raise Unavailable("a secret was sealed under another key") from error
