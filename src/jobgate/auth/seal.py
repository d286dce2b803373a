"""Secrets at rest, encrypted under the server's key."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jobgate.model.errors import Unavailable

KEY_BYTES: Final = 32
_NONCE: Final = 12


def server_key(path: Path) -> bytes:
    """The key in that file, made when there is none. Raises Unavailable when others may read it, or it is damaged."""
    try:
        key = secrets.token_bytes(KEY_BYTES)
        write_key(path, key)
    except FileExistsError:
        try:
            mode, key = path.stat().st_mode, path.read_bytes()
        except OSError as error:
            raise Unavailable(f"the server's key {path} cannot be read: {error.strerror}", code="key") from error
        if mode & 0o077:
            raise Unavailable(
                f"the server's key {path} may be read by others, so think of it as known: chmod 600 it, then give the "
                "server a new one with jobgate key rotate",
                code="key",
            ) from None
        if len(key) != KEY_BYTES:
            raise Unavailable(
                f"the server's key {path} is damaged: it has {len(key)} bytes and not {KEY_BYTES}; put it back from a "
                "backup",
                code="key",
            ) from None
    except OSError as error:
        raise Unavailable(f"the server's key {path} cannot be made: {error.strerror}", code="key") from error
    return key


def write_key(path: Path, key: bytes) -> None:
    """Makes the file, for its owner alone; on disk, name and all, when this returns. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def fingerprint(key: bytes) -> str:
    """Names a key without telling anything of it."""
    return hashlib.sha256(b"jobgate key\0" + key).hexdigest()[:16]


class Seal:
    """AES-256-GCM, each value bound to its holder and name: a sealed value is of no use elsewhere."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, holder: int, name: str, value: str) -> bytes:
        """The sealed value; its holder is a batch, a webhook or a credential."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value.encode(), f"{holder}\0{name}".encode())

    def open(self, holder: int, name: str, sealed: bytes) -> str:
        """The value. Raises Unavailable when it was sealed under another key, or for another place."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], f"{holder}\0{name}".encode()).decode()
        except (InvalidTag, ValueError) as error:  # cut short, it has not even a nonce
            raise Unavailable("a secret was sealed under another key", code="key") from error
