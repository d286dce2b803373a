from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobgate.auth.desk import open_accounts
from jobgate.auth.folder import held
from jobgate.auth.rotate import KEY, NEW, in_force, rotate, settle
from jobgate.auth.seal import Seal, fingerprint, server_key
from jobgate.model.errors import Conflict, Unavailable
from jobgate.model.ids import BatchId
from jobgate.store.sqlite import SqliteStore

SECRETS = {"one": "first word", "two": "zweites Wort"}
BATCHES = (BatchId(1 << 40), BatchId(1 << 41))
SCRIPT = """
import os, pathlib, signal, sys
from jobgate.auth.rotate import rotate
data, step = pathlib.Path(sys.argv[1]), sys.argv[2]
rotate(data, data / "jobgate.sqlite", "op", passed=lambda at: at == step and os.kill(os.getpid(), signal.SIGKILL))
"""


def furnished(data: Path, key: bytes | None = None) -> Path:
    """A data folder with two batches' secrets; its database."""
    open_accounts(data, "", "op", make=True)
    seal = Seal(key or server_key(data / KEY))
    database = data / "jobgate.sqlite"

    async def fill() -> None:
        store = SqliteStore(database)
        for batch in BATCHES:
            sealed = {name: seal.close(batch, name, value) for name, value in SECRETS.items()}
            await store.write(lambda tx, b=batch, s=sealed: tx.secrets.seal(b, s))  # type: ignore[misc]  # mypy does not infer a lambda with defaults
        await store.close()

    asyncio.run(fill())
    return database


def opened(data: Path) -> list[dict[str, str]]:
    """What a server that starts now can read of the secrets."""

    async def look() -> list[dict[str, str]]:
        store = SqliteStore(data / "jobgate.sqlite")
        try:
            settle(data, await in_force(store))
            seal = Seal(server_key(data / KEY))
            found = []
            for batch in BATCHES:
                sealed = await store.read(lambda tx, b=batch: tx.secrets.sealed(b))  # type: ignore[misc]  # mypy does not infer a lambda with a default
                found.append({name: seal.open(batch, name, value) for name, value in sealed.items()})
            return found
        finally:
            await store.close()

    return asyncio.run(look())


def test_every_secret_opens_with_the_new_key_and_none_with_the_old(tmp_path: Path) -> None:
    database = furnished(tmp_path)
    old = server_key(tmp_path / KEY)
    assert rotate(tmp_path, database, "op") == 4
    assert server_key(tmp_path / KEY) != old
    assert opened(tmp_path) == [SECRETS, SECRETS]
    (tmp_path / KEY).write_bytes(old)
    with pytest.raises(Unavailable, match="under another key"):
        opened(tmp_path)


def test_the_key_file_is_its_owners_alone_and_no_other_is_left(tmp_path: Path) -> None:
    rotate(tmp_path, furnished(tmp_path), "op")
    assert (tmp_path / KEY).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / NEW).exists()


def test_the_trail_tells_who_rotated_and_names_the_key_without_telling_it(tmp_path: Path) -> None:
    rotate(tmp_path, furnished(tmp_path), "op")
    (deed,) = open_accounts(tmp_path, "", "op").history(None)
    key = server_key(tmp_path / KEY)
    assert (deed.actor, deed.told) == ("op", {"secrets": 4, "key": fingerprint(key)})
    assert key.hex() not in repr(deed)


@pytest.mark.parametrize("step", ["written", "sealing", "sealed", "switched"])
def test_a_rotation_killed_at_any_step_leaves_every_secret_readable_and_can_be_made_again(
    step: str, tmp_path: Path
) -> None:
    database = furnished(tmp_path)
    old = server_key(tmp_path / KEY)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), step], check=False)  # noqa: S603  # our own
    assert done.returncode == -signal.SIGKILL
    assert opened(tmp_path) == [SECRETS, SECRETS]
    assert (server_key(tmp_path / KEY) != old) == (step in ("sealed", "switched"))
    assert not (tmp_path / NEW).exists()
    assert rotate(tmp_path, database, "op") == 4
    assert opened(tmp_path) == [SECRETS, SECRETS]


def test_a_new_key_that_was_cut_off_while_it_was_written_is_thrown_away(tmp_path: Path) -> None:
    furnished(tmp_path)
    (tmp_path / NEW).write_bytes(b"half")
    assert opened(tmp_path) == [SECRETS, SECRETS]
    assert not (tmp_path / NEW).exists()


def test_a_secret_of_another_key_stops_the_rotation_and_the_old_key_stays(tmp_path: Path) -> None:
    database = furnished(tmp_path, key=b"x" * 32)
    old = server_key(tmp_path / KEY)
    with pytest.raises(Unavailable, match="a secret was sealed under another key"):
        rotate(tmp_path, database, "op")
    assert server_key(tmp_path / KEY) == old
    assert open_accounts(tmp_path, "", "op").history(None) == []
    settle(tmp_path, None)
    assert not (tmp_path / NEW).exists()


def test_nothing_is_rotated_while_a_server_has_the_folder(tmp_path: Path) -> None:
    database = furnished(tmp_path)
    old = server_key(tmp_path / KEY)
    with held(tmp_path), pytest.raises(Conflict, match=r"in use by another jobgate \(process \d+\)"):
        rotate(tmp_path, database, "op")
    assert server_key(tmp_path / KEY) == old
