from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobgate.auth.folder import LOCK, held
from jobgate.auth.seal import KEY_BYTES, Seal, fingerprint, server_key, write_key
from jobgate.model.errors import Conflict, Unavailable
from jobgate.model.ids import BatchId

ONE, TWO = BatchId(1 << 40), BatchId(1 << 41)


def test_a_secret_opens_where_it_was_sealed_and_nowhere_else() -> None:
    seal = Seal(b"k" * KEY_BYTES)
    sealed = seal.close(ONE, "token", "geheim ✓")
    assert seal.open(ONE, "token", sealed) == "geheim ✓"
    for batch, name in ((TWO, "token"), (ONE, "other")):
        with pytest.raises(Unavailable):
            seal.open(batch, name, sealed)
    with pytest.raises(Unavailable):
        Seal(b"l" * KEY_BYTES).open(ONE, "token", sealed)


@pytest.mark.parametrize("place", [0, 11, 12, -1])
def test_a_sealed_secret_with_one_bit_changed_does_not_open(place: int) -> None:
    seal = Seal(b"k" * KEY_BYTES)
    sealed = bytearray(seal.close(ONE, "token", "word"))
    sealed[place] ^= 1
    with pytest.raises(Unavailable) as caught:
        seal.open(ONE, "token", bytes(sealed))
    assert "word" not in caught.value.message


def test_a_sealed_secret_cut_short_does_not_open() -> None:
    seal = Seal(b"k" * KEY_BYTES)
    sealed = seal.close(ONE, "token", "word")
    for length in (0, 5, 12, 13, len(sealed) - 1):
        with pytest.raises(Unavailable):
            seal.open(ONE, "token", sealed[:length])


def test_the_same_secret_sealed_twice_looks_different() -> None:
    seal = Seal(b"k" * KEY_BYTES)
    assert seal.close(ONE, "a", "word") != seal.close(ONE, "a", "word")


def test_neither_a_seal_nor_a_fingerprint_shows_the_key() -> None:
    key = bytes(range(KEY_BYTES))
    for shown in (repr(Seal(key)), str(Seal(key)), fingerprint(key)):
        assert key.hex()[:12] not in shown
        assert repr(key)[2:12] not in shown


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    key = server_key(path)
    assert len(key) == KEY_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert server_key(path) == key
    assert server_key(tmp_path / "other.key") != key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused_with_what_to_do(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    server_key(path)
    path.chmod(mode)
    with pytest.raises(Unavailable, match=r"may be read by others.*jobgate key rotate"):
        server_key(path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    write_key(path, content)
    with pytest.raises(Unavailable, match=f"damaged: it has {len(content)} bytes"):
        server_key(path)
    assert path.read_bytes() == content


def test_a_key_that_cannot_be_made_or_read_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be made: No such file"):
        server_key(tmp_path / "nowhere" / "secret.key")
    (tmp_path / "folder.key").mkdir(mode=0o700)
    with pytest.raises(Unavailable, match="cannot be read: Is a directory"):
        server_key(tmp_path / "folder.key")


def test_a_data_folder_has_one_holder_who_is_named_and_is_free_afterwards(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(Conflict, match=rf"\(process {os.getpid()}\)") as caught, held(tmp_path):
        pass
    assert caught.value.code == "data-in-use"
    with held(tmp_path):
        pass


def test_a_lock_file_left_by_a_process_that_is_gone_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("4194304999")
    with held(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_a_folder_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot be used: No such file"), held(tmp_path / "none"):
        pass
