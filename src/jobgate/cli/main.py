"""`jobgate`: every error is three lines (what did not happen, why, what next), never a traceback."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import structlog
import typer

from jobgate import app as gateway
from jobgate import config
from jobgate.model.account import USER, Kind, Scope
from jobgate.model.errors import JobgateError
from jobgate.model.ids import account_text

DAY = 86_400.0
commands = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
accounts = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Accounts: the owners of jobs.")
credentials = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Credentials: what proves an account.")
configuration = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The configuration file.")
commands.add_typer(accounts, name="account")
commands.add_typer(credentials, name="credential")
commands.add_typer(configuration, name="config")

Data = Annotated[Path, typer.Option(help="The data folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Database = Annotated[str, typer.Option(help="sqlite:///PATH instead of the file in the data folder.")]


class Role(StrEnum):
    """Which half of a gateway runs in this process."""

    ALL = "all"


@contextmanager
def told(what: str, next_: str) -> Iterator[None]:
    """Ends with status 1 and three lines when something goes wrong."""
    try:
        yield
    except JobgateError as error:
        sys.stderr.write(f"x {what}\n")
        for line in error.message.splitlines():
            sys.stderr.write(f"  why   {line}\n")
        sys.stderr.write(f"  next  {next_}\n")
        raise typer.Exit(1) from error


@commands.command()
def serve(  # noqa: PLR0913  # each is an option of the command
    *,
    data: Annotated[Path | None, typer.Option(help="Where database, files and workspaces are kept.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="The configuration, a TOML file.")] = None,
    database: Annotated[str | None, typer.Option(help="sqlite:///PATH.")] = None,
    role: Annotated[Role, typer.Option(help="Which half of the gateway runs here.")] = Role.ALL,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    stop_jobs: Annotated[bool, typer.Option(help="End running jobs too when the server is stopped.")] = False,
) -> None:
    """Serve; prints one line `jobgate ready URL` when requests are accepted."""
    del role
    _logging()
    with told("The server did not start.", "jobgate config check FILE; see jobgate serve --help"):
        given = {
            "data": str(data) if data is not None else None,
            "host": host,
            "port": port,
            "database": database,
            "tls_cert": str(tls_cert) if tls_cert is not None else None,
            "tls_key": str(tls_key) if tls_key is not None else None,
            "stop_jobs": stop_jobs or None,
        }
        settings = config.load(config_file, {key: value for key, value in given.items() if value is not None})
        server = settings.server
        try:
            gateway.serve(settings, ready=_ready)
        except OSError as error:
            raise JobgateError(f"{server.host}:{server.port}: {error.strerror}") from error


def _ready(url: str) -> None:
    sys.stdout.write(f"jobgate ready {url}\n")
    sys.stdout.flush()


def _logging() -> None:
    shown = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _say(document: object, line: str, *, as_json: bool) -> None:
    sys.stdout.write((json.dumps(document) if as_json else line) + "\n")


@accounts.command("create")
def account_create(name: str, data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Make an account. It may submit to every environment unless configured otherwise."""
    with told(f"The account {name} was not made.", "jobgate account list shows those there are"):
        with gateway.open_accounts(data, database) as desk:
            account = desk.create(name)
        ident = account_text(account.id)
        _say({"account": name, "id": ident}, f"account {name} is {ident}", as_json=as_json)


@accounts.command("list")
def account_list(data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Show all accounts."""
    with (
        told("The accounts cannot be shown.", "is this the data folder?"),
        gateway.open_accounts(data, database) as desk,
    ):
        found = [{"account": a.name, "id": account_text(a.id), "blocked": a.blocked} for a in desk.accounts()]
        lines = "\n".join(f"{a['account']}\t{a['id']}{'  blocked' if a['blocked'] else ''}" for a in found)
        _say(found, lines or "no accounts yet", as_json=as_json)


@accounts.command("block")
def account_block(
    name: str, data: Data, database: Database = "", undo: Annotated[bool, typer.Option(help="Let it in again.")] = False
) -> None:
    """Let none of an account's credentials hold any more. Its jobs go on."""
    with told(f"{name} is as it was.", "jobgate account list"), gateway.open_accounts(data, database) as desk:
        desk.block(name, blocked=not undo)
        _say({}, f"{name} is {'let in again' if undo else 'blocked'}", as_json=False)


@credentials.command("add")
def credential_add(  # noqa: PLR0913, PLR0917  # each is an option of the command
    name: str,
    data: Data,
    kind: Annotated[Kind, typer.Option(help="Which form it has.")] = Kind.API_KEY,
    value: Annotated[
        str | None, typer.Option(help="For ethereum an address, for x509 a subject; else made here.")
    ] = None,
    scope: Annotated[list[Scope] | None, typer.Option(help="What it allows; may be repeated.")] = None,
    expires: Annotated[float | None, typer.Option(help="Days until it holds no more.")] = None,
    database: Database = "",
    as_json: AsJson = False,
) -> None:
    """Give an account a credential. Its value is shown this once."""
    with told("No credential was made.", "jobgate account list; jobgate credential list NAME"):
        with gateway.open_accounts(data, database) as desk:
            until = None if expires is None else time.time() + expires * DAY
            made, shown = desk.add(name, kind, value, frozenset(scope) if scope else USER, until)
        _say({"kind": made.kind.value, "value": shown}, f"{made.kind.value} {shown}", as_json=as_json)


@credentials.command("list")
def credential_list(name: str, data: Data, database: Database = "", as_json: AsJson = False) -> None:
    """Show what an account holds; never the values."""
    with (
        told("The credentials cannot be shown.", "jobgate account list"),
        gateway.open_accounts(data, database) as desk,
    ):
        found = [
            {"id": c.id, "kind": c.kind.value, "scopes": sorted(c.scopes), "revoked": c.revoked, "expires": c.expires}
            for c in desk.credentials(name)
        ]
        lines = "\n".join(f"{c['id']}\t{c['kind']}{'  revoked' if c['revoked'] else ''}" for c in found)
        _say(found, lines or f"{name} holds none", as_json=as_json)


@credentials.command("revoke")
def credential_revoke(name: str, ident: int, data: Data, database: Database = "") -> None:
    """Let a credential hold no more; it takes a second to reach a running server."""
    with told("Nothing was revoked.", f"jobgate credential list {name}"), gateway.open_accounts(data, database) as desk:
        desk.revoke(name, ident)
        _say({}, f"{ident} is revoked", as_json=False)


@configuration.command("check")
def config_check(file: Path) -> None:
    """Name everything that is wrong in a configuration file, with its line."""
    with told(f"{file} was not checked.", "is the name right?"):
        try:
            faults = config.check(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise JobgateError(str(error.strerror)) from error
    for fault in faults:
        sys.stdout.write(f"{file}:{fault.line}: {fault.key}: {fault.message}\n")
    if faults:
        raise typer.Exit(1)
    sys.stdout.write(f"{file} is good\n")


@configuration.command("reference")
def config_reference() -> None:
    """Print the page of all keys, their types and defaults."""
    sys.stdout.write(config.reference())


def main() -> None:
    """The command."""
    commands()
