"""`jobgate account`, `credential` and `key`: who may do what, beside a running server too."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from msgspec.structs import asdict

from jobgate.auth.desk import AccountDesk, open_accounts
from jobgate.auth.rotate import rotate
from jobgate.cli.say import AsJson, Data, Database, actor, moment, plain, say, told
from jobgate.config.units import size
from jobgate.model.account import USER, Deed, Kind, Quota, Scope
from jobgate.model.errors import Invalid, Unavailable
from jobgate.model.ids import account_text
from jobgate.store.store import database_path

DAY = 86_400.0
_ENDLESS = float("inf")
N = TypeVar("N", int, float)
accounts = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Accounts: the owners of jobs.")
credentials = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Credentials: what proves an account.")
keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The server's own key.")


def _desk(data: Path, database: str, *, make: bool = False) -> AccountDesk:
    return open_accounts(data, database, actor(), make=make)


@accounts.command("create")
def account_create(name: str, data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Make an account. It may submit to every environment unless configured otherwise."""
    with told(f"The account {name} was not made.", "jobgate account list --data DIR shows those there are"):
        account = _desk(data, database, make=True).create(name)
        ident = account_text(account.id)
        say({"account": name, "id": ident}, f"account {name} is {ident}", as_json=as_json)


@accounts.command("list")
def account_list(data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Show all accounts."""
    with told("The accounts cannot be shown.", "is this the data folder?"):
        every = _desk(data, database).accounts()
        names = {account.id: account.name for account in every}
        credit = _desk(data, database).credit()
        found, lines = [], []
        for a in every:
            heir = None if a.merged is None else names.get(a.merged)
            known = {"account": a.name, "id": account_text(a.id), "blocked": a.blocked, "merged_into": heir}
            found.append({**known, "credit": credit.get(a.id, 0.0)})
            note = f"\tmerged into {heir}" if heir is not None else "\tblocked" if a.blocked else ""
            lines.append(f"{a.name}\t{account_text(a.id)}{note}")
        say(found, "\n".join(lines) or "no accounts yet; jobgate account create NAME makes one", as_json=as_json)


@accounts.command("block")
def account_block(
    name: str,
    data: Data,
    database: Database = "",
    undo: Annotated[bool, typer.Option(help="Let it in again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let none of an account's credentials hold any more, within a second. Its jobs go on."""
    with told(f"{name} is as it was.", "jobgate account list --data DIR shows those there are"):
        _desk(data, database).block(name, blocked=not undo)
        line = f"{name} is {'let in again' if undo else 'blocked; its jobs go on'}"
        say({"account": name, "blocked": not undo}, line, as_json=as_json)


@accounts.command("limit")
def account_limit(  # noqa: PLR0913, PLR0917  # an account has so many limits
    name: str,
    data: Data,
    live_jobs: Annotated[str, typer.Option(help="Jobs not yet over, at most.")] = "",
    running: Annotated[str, typer.Option(help="Jobs that run at once, at most; further ones wait.")] = "",
    cores: Annotated[str, typer.Option(help="Cores of all that run at once, at most.")] = "",
    calls: Annotated[str, typer.Option(help="Requests in a second, at most.")] = "",
    storage: Annotated[str, typer.Option(help="Stored files, at most: 500MiB, 20GiB.")] = "",
    weight: Annotated[str, typer.Option(help="Share of a busy environment, against the others' (1 unless set).")] = "",
    database: Database = "",
    as_json: AsJson = False,
) -> None:
    """Set what one account may use, or show it. `default` takes a limit back to what the configuration says."""
    with told(f"{name} has the limits it had.", "jobgate account limit --help"):
        desk = _desk(data, database)
        known = desk.find(name)
        quota = Quota(
            live_jobs=_limit("live-jobs", live_jobs, known.quota.live_jobs, int),
            running=_limit("running", running, known.quota.running, int),
            cores=_limit("cores", cores, known.quota.cores, float),
            calls=_limit("calls", calls, known.quota.calls, float),
            storage=_limit("storage", storage, known.quota.storage, size),
        )
        share = _limit("weight", weight, known.weight, float)
        account = desk.limit(name, quota, 1.0 if share is None else share)
        found = {**asdict(quota), "weight": account.weight}
        lines = [f"{key}\t{'as configured' if value is None else value}" for key, value in found.items()]
        say({"account": name, **found}, "\n".join(lines), as_json=as_json)


def _limit(option: str, text: str, known: N | None, read: Callable[[str], N]) -> N | None:
    """The limit as it is from now on. Raises Invalid."""
    if not text:
        return known
    if text == "default":
        return None
    try:
        value = read(text)
    except ValueError:
        value = None
    if value is None or not 0 < value < _ENDLESS:
        raise Invalid(f"--{option} {text} is not a number over 0, nor `default`", field=option)
    return value


@accounts.command("merge")
def account_merge(gone: str, into: str, data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Give all that one account has to another, for good: credentials, jobs, files. The first is then blocked.

    The server may be running; its next request sees the change. An environment that the first account owns in the
    configuration is the other's from the server's next start.
    """
    with told(
        f"{gone} and {into} are two accounts as before.", "jobgate account list --data DIR shows those there are"
    ):
        moved = _desk(data, database).merge(gone, into)
        parts = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in moved.items())
        line = f"{gone} is merged into {into}: {parts}\n{gone} is blocked for good; its credentials are {into}'s now"
        say({"account": gone, "into": into, "moved": dict(moved)}, line, as_json=as_json)


@accounts.command("history")
def account_history(name: str, data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Show what was done to an account, when and by whom, oldest first."""
    with told(f"The history of {name} cannot be shown.", "jobgate account list --data DIR shows those there are"):
        desk = _desk(data, database)
        _history(desk.history(name), as_json=as_json)


def _history(deeds: list[Deed], *, as_json: bool) -> None:
    found = [
        {"at": moment(deed.at), "by": deed.actor, "action": deed.action.value, "about": dict(deed.told)}
        for deed in deeds
    ]
    lines = []
    for deed in deeds:
        about = " ".join(f"{key}={value}" for key, value in deed.told.items())
        lines.append(plain(f"{moment(deed.at)}  {deed.actor}  {deed.action.value}  {about}".rstrip()))
    say(found, "\n".join(lines) or "nothing on record", as_json=as_json)


@credentials.command("add")
def credential_add(  # noqa: PLR0913, PLR0917  # each is an option of the command
    name: str,
    data: Data,
    kind: Annotated[Kind, typer.Option(help="Which form it has.")] = Kind.API_KEY,
    value: Annotated[
        str | None,
        typer.Option(
            help="For ethereum an address, for x509 a subject, for oidc a subject; else made here. "
            "- reads it from standard input, where no list of processes shows it."
        ),
    ] = None,
    scope: Annotated[list[Scope] | None, typer.Option(help="What it allows; may be repeated.")] = None,
    expires: Annotated[float | None, typer.Option(help="Days until it holds no more.")] = None,
    database: Database = "",
    as_json: AsJson = False,
) -> None:
    """Give an account a credential. Its value is shown this once."""
    with told("No credential was made.", "jobgate account list --data DIR; jobgate credential list NAME --data DIR"):
        if expires is not None and not (math.isfinite(expires) and expires > 0):
            raise Invalid("--expires is a number of days, more than 0", field="expires")
        until = None if expires is None else time.time() + expires * DAY
        given = sys.stdin.readline().rstrip("\r\n") if value == "-" else value
        made, shown = _desk(data, database).add(name, kind, given, frozenset(scope) if scope else USER, until)
        line = f"{made.kind.value} {shown}"
        if given is None and not as_json:
            sys.stderr.write("This is the only time it is shown; keep it where others cannot read it.\n")
        say({"kind": made.kind.value, "value": shown}, line, as_json=as_json)


@credentials.command("list")
def credential_list(name: str, data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Show what an account holds; never the values."""
    with told("The credentials cannot be shown.", "jobgate account list --data DIR shows the accounts there are"):
        held = _desk(data, database).credentials(name)
        found = [
            {
                "id": c.id,
                "kind": c.kind.value,
                "scopes": sorted(c.scopes),
                "created": moment(c.created),
                "revoked": c.revoked,
                "expires": None if c.expires is None else moment(c.expires),
            }
            for c in held
        ]
        lines = []
        for c in held:
            note = "\trevoked" if c.revoked else "" if c.expires is None else f"\tuntil {moment(c.expires)}"
            lines.append(f"{c.id}\t{c.kind.value}\t{','.join(sorted(c.scopes))}{note}")
        none = f"{name} holds none; jobgate credential add {name} makes one"
        say(found, "\n".join(lines) or plain(none), as_json=as_json)


@credentials.command("revoke")
def credential_revoke(name: str, ident: int, data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Let a credential hold no more; it takes a second to reach a running server."""
    with told("Nothing was revoked.", f"jobgate credential list {name} --data DIR shows the ids"):
        _desk(data, database).revoke(name, ident)
        say({"account": name, "id": ident, "revoked": True}, f"{ident} is revoked", as_json=as_json)


@keys.command("rotate")
def key_rotate(data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Give the server a new key, and seal every stored secret anew with it. The server must be stopped.

    Signed addresses that were given out before open nothing any more. Credentials are not touched. If this is broken
    off, the old key or the new one is in force, never a part of each; run it again.
    """
    with told("The server has its old key.", "jobgate key rotate --help"):
        path = database_path(data, database)
        if not path.exists():
            raise Unavailable(f"there is no database {path}", code="no-data")
        _desk(data, database)
        number = rotate(data, path, actor())
        line = (
            f"the server has a new key; {number} secrets were sealed anew; signed addresses given out before have ended"
        )
        say({"secrets": number}, line, as_json=as_json)


@keys.command("history")
def key_history(data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Show when the server's key was rotated, and by whom, oldest first."""
    with told("The history of the key cannot be shown.", "is this the data folder?"):
        _history(_desk(data, database).history(None), as_json=as_json)
