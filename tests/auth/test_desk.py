from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobgate.auth.desk import AccountDesk, open_accounts
from jobgate.auth.keys import digest
from jobgate.auth.rotate import KEY, rotate
from jobgate.auth.seal import Seal, server_key
from jobgate.model.account import SEALED, Action, Kind, Scope
from jobgate.model.errors import Conflict, Invalid, NotFound, Unavailable
from jobgate.store.sqlite import SqliteStore
from jobgate.store.store import database_path


@pytest.fixture
def desk(tmp_path: Path) -> AccountDesk:
    made = open_accounts(tmp_path, "", "ada", make=True)
    made.create("lab")
    made.create("other")
    return made


def deeds(desk: AccountDesk, name: str) -> list[tuple[Action, str]]:
    return [(deed.action, deed.actor) for deed in desk.history(name)]


def test_each_change_leaves_its_entry_with_who_did_it(desk: AccountDesk) -> None:
    made, _ = desk.add("lab", Kind.BOINC, None)
    desk.revoke("lab", made.id)
    desk.block("lab", blocked=True)
    desk.block("lab", blocked=False)
    desk.merge("lab", "other")
    assert deeds(desk, "lab") == [
        (Action.CREATED, "ada"),
        (Action.CREDENTIAL_ADDED, "ada"),
        (Action.CREDENTIAL_REVOKED, "ada"),
        (Action.BLOCKED, "ada"),
        (Action.LET_IN, "ada"),
        (Action.MERGED, "ada"),
    ]
    assert deeds(desk, "other") == [(Action.CREATED, "ada"), (Action.TOOK_IN, "ada")]
    took = desk.history("other")[-1]
    assert took.told["account"] == "lab"
    assert took.told["credentials"] == 1


def test_what_changes_nothing_leaves_no_entry(desk: AccountDesk) -> None:
    made, _ = desk.add("lab", Kind.BOINC, None)
    desk.revoke("lab", made.id)
    before = desk.history("lab")
    desk.revoke("lab", made.id)
    desk.block("lab", blocked=False)
    assert desk.history("lab") == before


def test_what_is_refused_leaves_no_entry(desk: AccountDesk) -> None:
    desk.add("lab", Kind.ETHEREUM, "0xAbC")
    before = desk.history("lab"), desk.history("other")
    with pytest.raises(Conflict, match="belongs to an account already"):
        desk.add("other", Kind.ETHEREUM, "0xabc")
    with pytest.raises(NotFound):
        desk.revoke("other", 1)
    with pytest.raises(Invalid, match="one account"):
        desk.merge("lab", "lab")
    with pytest.raises(NotFound, match="no account 'nobody'"):
        desk.merge("lab", "nobody")
    assert (desk.history("lab"), desk.history("other")) == before


def test_the_trail_never_holds_a_value_or_its_digest(desk: AccountDesk, tmp_path: Path) -> None:
    _, value = desk.add("lab", Kind.API_KEY, None)
    told = repr(desk.history("lab"))
    assert value not in told
    assert digest(Kind.API_KEY, value).hex() not in told
    for path in tmp_path.iterdir():
        assert value.encode() not in path.read_bytes(), path


def test_a_merged_account_is_named_by_its_heir_and_can_do_nothing(desk: AccountDesk) -> None:
    desk.merge("lab", "other")
    for ask in (
        lambda: desk.add("lab", Kind.BOINC, None),
        lambda: desk.block("lab", blocked=False),
        lambda: desk.merge("lab", "other"),
        lambda: desk.merge("other", "lab"),
    ):
        with pytest.raises(Conflict, match="lab was merged into other") as caught:
            ask()
        assert caught.value.code == "account-merged"


def test_the_last_heir_of_a_chain_is_named(desk: AccountDesk) -> None:
    desk.create("third")
    desk.merge("lab", "other")
    desk.merge("other", "third")
    with pytest.raises(Conflict, match="lab was merged into third"):
        desk.block("lab", blocked=True)


@pytest.mark.parametrize("blocked", ["lab", "other"])
def test_a_blocked_account_is_not_merged_since_that_would_let_it_in_or_lock_the_other_out(
    blocked: str, desk: AccountDesk
) -> None:
    desk.block(blocked, blocked=True)
    with pytest.raises(Conflict, match=f"{blocked} is blocked"):
        desk.merge("lab", "other")


@pytest.mark.parametrize("name", ["", " lab", "lab ", "a\nb", "a\x1b[31mb", "x" * 201])
def test_a_name_that_cannot_be_seen_or_is_too_long_is_refused(name: str, desk: AccountDesk) -> None:
    with pytest.raises(Invalid, match="a name is 1 to 200 characters"):
        desk.create(name)


def test_names_of_people_anywhere_are_names(desk: AccountDesk) -> None:
    for name in ("Zoë Müller", "田中", "ada@example.org"):
        assert desk.find(desk.create(name).name).name == name


@pytest.mark.parametrize("kind", [Kind.ETHEREUM, Kind.X509, Kind.OIDC])
def test_a_kind_that_is_a_name_needs_its_value(kind: Kind, desk: AccountDesk) -> None:
    with pytest.raises(Invalid, match="--value says who it is"):
        desk.add("lab", kind, None)


def test_an_empty_value_is_refused(desk: AccountDesk) -> None:
    with pytest.raises(Invalid, match="an empty value"):
        desk.add("lab", Kind.X509, "  ")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.secret])
def test_a_secret_that_one_could_guess_is_refused_without_being_quoted(kind: Kind, desk: AccountDesk) -> None:
    with pytest.raises(Invalid, match="at least 16 characters") as caught:
        desk.add("lab", kind, "hunter2")
    assert "hunter2" not in caught.value.message


def test_a_credential_has_the_scopes_and_the_end_it_was_given(desk: AccountDesk) -> None:
    made, _ = desk.add("lab", Kind.API_KEY, None, frozenset({Scope.READ}), 99.0)
    assert desk.credentials("lab") == [made]
    assert (made.scopes, made.expires) == (frozenset({Scope.READ}), 99.0)


def test_no_data_folder_is_made_unless_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no database") as caught:
        open_accounts(tmp_path / "typo", "", "ada")
    assert caught.value.code == "no-data"
    assert not (tmp_path / "typo").exists()


def test_the_database_is_its_owners_alone(desk: AccountDesk, tmp_path: Path) -> None:
    desk.create("third")
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


# --- a kind whose links are signed with the value itself


def test_the_value_of_a_boinc_credential_is_kept_sealed_and_forgotten_when_it_is_revoked(tmp_path: Path) -> None:
    desk = open_accounts(tmp_path, "", "ada", make=True)
    desk.create("lab")
    credential, value = desk.add("lab", Kind.BOINC, None)

    def sealed() -> dict[str, bytes]:
        async def whole() -> dict[str, bytes]:
            store = SqliteStore(database_path(tmp_path, ""))
            try:
                return await store.read(lambda tx: tx.secrets.sealed(credential.id))
            finally:
                await store.close()

        return asyncio.run(whole())

    key = server_key(tmp_path / KEY)
    assert value.encode() not in (tmp_path / "jobgate.sqlite").read_bytes()
    assert Seal(key).open(credential.id, SEALED, sealed()[SEALED]) == value
    rotate(tmp_path, database_path(tmp_path, ""), "op")
    assert Seal(server_key(tmp_path / KEY)).open(credential.id, SEALED, sealed()[SEALED]) == value
    desk.revoke("lab", credential.id)
    assert sealed() == {}


@pytest.mark.parametrize("value", ["x" * 15, "x" * 201, "a&b" * 10, "ä" * 20])
def test_a_value_that_would_break_its_clients_xml_or_addresses_is_refused(tmp_path: Path, value: str) -> None:
    desk = open_accounts(tmp_path, "", "ada", make=True)
    desk.create("lab")
    with pytest.raises(Invalid):
        desk.add("lab", Kind.BOINC, value)


def test_without_the_data_folder_such_a_credential_cannot_be_made(tmp_path: Path) -> None:
    open_accounts(tmp_path, "", "ada", make=True).create("lab")
    with pytest.raises(Unavailable, match="--data"):
        open_accounts(None, f"sqlite:///{tmp_path}/jobgate.sqlite", "ada").add("lab", Kind.BOINC, None)


def test_what_is_sealed_while_a_rotation_is_broken_off_opens_under_the_key_that_is_in_force(tmp_path: Path) -> None:
    desk = open_accounts(tmp_path, "", "ada", make=True)
    desk.create("lab")

    class Stopped(Exception):
        pass

    def stop(step: str) -> None:
        if step == "sealed":
            raise Stopped

    server_key(tmp_path / KEY)
    with pytest.raises(Stopped):
        rotate(tmp_path, database_path(tmp_path, ""), "op", passed=stop)
    credential, value = desk.add("lab", Kind.BOINC, None)
    rotate(tmp_path, database_path(tmp_path, ""), "op")  # ends the other one first

    async def opened() -> str:
        store = SqliteStore(database_path(tmp_path, ""))
        try:
            kept = await store.read(lambda tx: tx.secrets.sealed(credential.id))
            return Seal(server_key(tmp_path / KEY)).open(credential.id, SEALED, kept[SEALED])
        finally:
            await store.close()

    assert asyncio.run(opened()) == value
