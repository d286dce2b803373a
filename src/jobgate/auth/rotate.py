"""A new server key: every secret sealed anew and the key file switched, whole at whatever moment the machine stops.

The new key is on disk beside the old one before anything is sealed with it; the database says, in the transaction that
seals, which key it is sealed with; only then does the new file take the old one's place. Whoever comes next finds from
the two which half was done (`settle`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobgate.auth.folder import held
from jobgate.auth.seal import KEY_BYTES, Seal, fingerprint, server_key, write_key
from jobgate.model.account import Action, Deed
from jobgate.model.errors import Unavailable
from jobgate.model.ids import AccountId
from jobgate.store.sqlite import SqliteStore
from jobgate.store.transaction import Transaction

KEY: Final = "secret.key"
NEW: Final = "secret.key.new"


def rotate(data: Path, database: Path, actor: str, *, passed: Callable[[str], None] = lambda _: None) -> int:
    """Gives the server of `data` a new key; how many secrets were sealed anew. Signed addresses of the old one end.

    `passed` hears of each step. Raises Conflict (`data-in-use`) while a server runs, and Unavailable when a secret was
    sealed under another key, or the key file cannot be used; then the old key is in force.
    """
    return asyncio.run(_rotate(data, database, actor, passed))


async def _rotate(data: Path, database: Path, actor: str, passed: Callable[[str], None]) -> int:
    with held(data):
        store = SqliteStore(database)
        try:
            settle(data, await in_force(store))
            old, new = Seal(server_key(data / KEY)), secrets.token_bytes(KEY_BYTES)
            write_key(data / NEW, new)
            passed("written")

            def work(tx: Transaction) -> int:
                fresh = Seal(new)
                number = tx.secrets.reseal(
                    lambda holder, name, kept: fresh.close(holder, name, old.open(holder, name, kept))
                )
                told: dict[str, str | int] = {"secrets": number, "key": fingerprint(new)}
                tx.accounts.record(Deed(at=time.time(), actor=actor, action=Action.KEY_ROTATED, told=told))
                passed("sealing")
                return number

            number = await store.write(work)
            passed("sealed")
            _switch(data)
            passed("switched")
        finally:
            await store.close()
    return number


async def in_force(store: SqliteStore) -> str | None:
    """The fingerprint of the key that the database is sealed with, as its last rotation says; None: never rotated."""
    return await store.read(_fingerprint)


def _fingerprint(tx: Transaction) -> str | None:
    deeds = tx.accounts.history(AccountId(0))
    return next((str(deed.told["key"]) for deed in reversed(deeds) if deed.action is Action.KEY_ROTATED), None)


def sealing_key(data: Path, tx: Transaction) -> bytes:
    """The key to seal with in this transaction, whether or not a rotation is under way, or was broken off.

    Raises Unavailable when the folder has not the key that the database is sealed with.
    """
    known = _fingerprint(tx)
    for name in (KEY, NEW) if known is not None else (KEY,):
        if name == KEY or (data / name).exists():
            key = server_key(data / name)
            if known is None or fingerprint(key) == known:
                return key
    raise Unavailable("the database is sealed under another key than this folder's secret.key", code="key")


def settle(data: Path, known: str | None) -> None:
    """Ends a rotation that was broken off: forward when the database is sealed with the new key, back otherwise."""
    try:
        key = (data / NEW).read_bytes()
    except FileNotFoundError:
        return
    if known is not None and fingerprint(key) == known:
        _switch(data)
    else:
        (data / NEW).unlink()


def _switch(data: Path) -> None:
    (data / NEW).replace(data / KEY)
    handle = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
