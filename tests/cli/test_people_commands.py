from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from jobgate.cli.main import commands
from jobgate.model.account import Kind

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Shell:
    """Types commands for one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def type(self, *words: str, stdin: str = "") -> Result:
        done = CliRunner().invoke(commands, [*words, "--data", str(self.data)], input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done

    def say(self, *words: str, stdin: str = "") -> str:
        done = self.type(*words, stdin=stdin)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *words: str, stdin: str = "") -> Any:
        out = self.say(*words, "--json", stdin=stdin)
        assert out.count("\n") == 1
        return json.loads(out)

    def refused(self, *words: str) -> list[str]:
        """The three lines of the error, without their marks."""
        done = self.type(*words)
        assert done.exit_code == 1
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        what, why, next_ = done.stderr.splitlines()
        assert what.startswith("✗ ")
        assert why.startswith("  why   ")
        assert next_.startswith("  next  ")
        return [what[2:], why[8:], next_[8:]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path / "data")
    made.say("account", "create", "ada")
    return made


def test_a_new_account_is_told_as_scripts_rely_on(shell: Shell) -> None:
    made = shell.json("account", "create", "bob")
    assert made["account"] == "bob"
    assert re.fullmatch("a[0-9a-z]+", made["id"])
    assert set(made) == {"account", "id"}


@pytest.mark.parametrize("kind", [kind.value for kind in Kind if kind.secret])
def test_a_new_credential_is_told_as_scripts_rely_on_and_never_again(kind: str, shell: Shell) -> None:
    made = shell.json("credential", "add", "ada", "--kind", kind)
    assert made["kind"] == kind
    assert set(made) == {"kind", "value"}
    for words in (("credential", "list", "ada"), ("account", "history", "ada"), ("account", "list")):
        assert made["value"] not in shell.say(*words)
        assert made["value"] not in shell.say(*words, "--json")
    for path in shell.data.iterdir():
        assert made["value"].encode() not in path.read_bytes()


@pytest.mark.parametrize("kind", ["ethereum", "x509", "oidc"])
def test_a_name_proven_elsewhere_is_given_and_said_back(kind: str, shell: Shell) -> None:
    assert shell.json("credential", "add", "ada", "--kind", kind, "--value", "CN=Ada") == {
        "kind": kind,
        "value": "CN=Ada",
    }
    assert shell.refused("credential", "add", "ada", "--kind", kind)[1].endswith("--value says who it is")


def test_a_value_can_come_by_standard_input(shell: Shell) -> None:
    value = "0123456789abcdef0123456789abcdef"
    words = ("credential", "add", "ada", "--kind", "charity-engine", "--value", "-")
    assert shell.json(*words, stdin=f"{value}\n") == {"kind": "charity-engine", "value": value}
    assert shell.refused("credential", "add", "ada", "--kind", "charity-engine", "--value", value)[1] == (
        "this value belongs to an account already"
    )


def test_people_are_told_that_a_secret_is_shown_once_beside_the_answer(shell: Shell) -> None:
    done = shell.type("credential", "add", "ada")
    assert re.fullmatch(r"api-key jg_[\w-]{43}\n", done.stdout)
    assert "the only time" in done.stderr


def test_lists_are_told_as_scripts_rely_on(shell: Shell) -> None:
    shell.json("credential", "add", "ada", "--scope", "read", "--expires", "1.5")
    (account,) = shell.json("account", "list")
    assert account == {"account": "ada", "id": account["id"], "blocked": False, "merged_into": None, "credit": 0.0}
    (credential,) = shell.json("credential", "list", "ada")
    assert set(credential) == {"id", "kind", "scopes", "created", "revoked", "expires"}
    assert (credential["kind"], credential["scopes"], credential["revoked"]) == ("api-key", ["read"], False)
    assert MOMENT.fullmatch(credential["created"])
    assert MOMENT.fullmatch(credential["expires"])


def test_a_credential_is_revoked_by_its_number(shell: Shell) -> None:
    shell.json("credential", "add", "ada")
    (credential,) = shell.json("credential", "list", "ada")
    number = str(credential["id"])
    assert shell.json("credential", "revoke", "ada", number) == {
        "account": "ada",
        "id": credential["id"],
        "revoked": True,
    }
    assert shell.json("credential", "list", "ada")[0]["revoked"]
    assert "revoked" in shell.say("credential", "list", "ada")
    assert shell.refused("credential", "revoke", "ada", "5") == [
        "Nothing was revoked.",
        "ada holds no credential 5",
        "jobgate credential list ada --data DIR shows the ids",
    ]


def test_the_limits_of_an_account_are_set_shown_and_taken_back(shell: Shell) -> None:
    names = ("live_jobs", "running", "cores", "calls", "storage")
    free = {"account": "ada", **dict.fromkeys(names), "weight": 1.0}
    assert shell.json("account", "limit", "ada") == free
    words = ["--live-jobs", "10", "--running", "8", "--cores", "4.5"]
    words += ["--calls", "2.5", "--storage", "500MiB", "--weight", "3"]
    held = {"account": "ada", "live_jobs": 10, "running": 8, "cores": 4.5, "calls": 2.5, "storage": 500 << 20}
    held |= {"weight": 3.0}
    assert shell.json("account", "limit", "ada", *words) == held
    assert shell.json("account", "limit", "ada", "--calls", "default") == held | {"calls": None}
    assert "storage\t524288000" in shell.say("account", "limit", "ada")
    (first, second) = shell.json("account", "history", "ada")[1:]
    assert (first["action"], first["about"]["live_jobs"]) == ("limits set", "10")
    assert second["about"]["calls"] == "None"


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "inf", "1e400"])
@pytest.mark.parametrize("option", ["live-jobs", "running", "cores", "calls", "storage", "weight"])
def test_a_limit_that_is_none_is_refused(shell: Shell, option: str, value: str) -> None:
    what, why, _ = shell.refused("account", "limit", "ada", f"--{option}", value)
    assert what == "ada has the limits it had."
    assert value in why
    assert shell.json("account", "limit", "ada")[option.replace("-", "_")] in (None, 1.0)


def test_an_account_is_blocked_and_let_in_again(shell: Shell) -> None:
    assert shell.json("account", "block", "ada") == {"account": "ada", "blocked": True}
    assert "blocked" in shell.say("account", "list")
    assert shell.say("account", "block", "ada", "--undo") == "ada is let in again\n"
    assert "blocked" not in shell.say("account", "list")


def test_a_merge_tells_how_much_went_over_and_the_list_where_to(shell: Shell) -> None:
    shell.say("account", "create", "bob")
    shell.json("credential", "add", "ada")
    moved = {"batches": 0, "jobs": 0, "keys_given_up": 0, "files": 0, "webhooks": 0}
    moved |= {"names_changed": 0, "credentials": 1}
    assert shell.json("account", "merge", "ada", "bob") == {"account": "ada", "into": "bob", "moved": moved}
    assert len(shell.json("credential", "list", "bob")) == 1
    assert shell.json("account", "list")[0]["merged_into"] == "bob"
    assert "ada\t" in shell.say("account", "list")
    assert "merged into bob" in shell.say("account", "list")
    assert shell.refused("account", "merge", "ada", "bob") == [
        "ada and bob are two accounts as before.",
        "ada was merged into bob; name that one",
        "jobgate account history NAME shows who did it and when",
    ]


def test_the_history_tells_when_who_and_what(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "grace")
    shell.say("account", "create", "bob")
    shell.say("account", "merge", "ada", "bob")
    created, took = shell.json("account", "history", "bob")
    assert created == {"at": created["at"], "by": created["by"], "action": "account created", "about": {"name": "bob"}}
    assert created["by"].endswith(", asked by grace")
    assert MOMENT.fullmatch(created["at"])
    assert (took["action"], took["about"]["account"]) == ("took in", "ada")
    first, second = shell.say("account", "history", "ada").splitlines()
    assert "account created" in first
    assert "merged into  account=bob" in second


def test_who_asked_cannot_write_lines_of_his_own(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "eve\n2020-01-01T00:00:00Z  root  account created")
    shell.say("account", "create", "bob")
    assert len(shell.say("account", "history", "bob").splitlines()) == 1


def test_a_new_server_key_is_told_with_what_it_ends(shell: Shell) -> None:
    assert shell.json("key", "rotate") == {"secrets": 0}
    assert "signed addresses given out before have ended" in shell.say("key", "rotate")
    assert [deed["action"] for deed in shell.json("key", "history")] == ["server key rotated"] * 2
    assert len(shell.say("key", "history").splitlines()) == 2


def test_what_is_empty_says_what_to_do(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "data")
    shell.say("account", "create", "ada")
    assert shell.say("credential", "list", "ada") == "ada holds none; jobgate credential add ada makes one\n"
    assert shell.say("key", "history") == "nothing on record\n"


UNKNOWN = [
    ("credential", "add", "eve"),
    ("credential", "list", "eve"),
    ("credential", "revoke", "eve", "1"),
    ("account", "block", "eve"),
    ("account", "merge", "eve", "ada"),
    ("account", "merge", "ada", "eve"),
    ("account", "history", "eve"),
]


@pytest.mark.parametrize("words", UNKNOWN, ids=" ".join)
def test_an_unknown_account_is_refused_in_three_lines(words: tuple[str, ...], shell: Shell) -> None:
    assert shell.refused(*words)[1] == "there is no account 'eve'"
    assert shell.refused(*words, "--json")[1] == "there is no account 'eve'"


@pytest.mark.parametrize("words", [*UNKNOWN, ("account", "list"), ("key", "rotate"), ("key", "history")], ids=" ".join)
def test_a_wrong_data_folder_is_refused_and_none_is_made(words: tuple[str, ...], tmp_path: Path) -> None:
    shell = Shell(tmp_path / "typo")
    _, why, next_ = shell.refused(*words)
    assert why == f"there is no database {tmp_path}/typo/jobgate.sqlite"
    assert next_.startswith("give the --data that the server is started with")
    assert not (tmp_path / "typo").exists()


def test_a_name_that_is_taken_is_refused_in_three_lines(shell: Shell) -> None:
    assert shell.refused("account", "create", "ada") == [
        "The account ada was not made.",
        "there is an account 'ada' already",
        "jobgate account list --data DIR shows those there are",
    ]


def test_control_characters_are_shown_and_not_obeyed(shell: Shell) -> None:
    what, *_ = shell.refused("account", "create", "a\x1b[31m\nb")
    assert what == "The account a\\x1b[31m\\nb was not made."


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf"])
def test_an_end_that_is_none_is_refused(days: str, shell: Shell) -> None:
    assert (
        shell.refused("credential", "add", "ada", "--expires", days)[1] == "--expires is a number of days, more than 0"
    )


@pytest.mark.parametrize("url", ["postgresql://u:hush@h/d", "mysql://hush"])
def test_a_database_that_is_not_spoken_is_refused_without_its_password(url: str, shell: Shell) -> None:
    _, why, _ = shell.refused("account", "list", "--database", url)
    assert "hush" not in why
    assert "sqlite:///PATH" in why


@pytest.mark.parametrize(
    "words",
    [
        ("account", "create"),
        ("account", "merge", "ada"),
        ("account", "rename", "ada"),
        ("credential", "add", "ada", "--kind", "password"),
        ("credential", "add", "ada", "--scope", "everything"),
        ("credential", "revoke", "ada", "first"),
        ("account", "list", "--yaml"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_2_and_says_what_is_wrong(words: tuple[str, ...], shell: Shell) -> None:
    done = shell.type(*words)
    assert done.exit_code == 2
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_no_data_folder_is_refused_in_three_lines(tmp_path: Path) -> None:
    (tmp_path / "jobgate.sqlite").write_text("my letters")
    _, why, _ = Shell(tmp_path).refused("account", "list")
    assert "file is not a database" in why
