"""How the command line speaks: the answer on standard output, and an error as three lines on standard error."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from jobgate.model.errors import JobgateError

Data = Annotated[Path, typer.Option(help="The data folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Database = Annotated[str, typer.Option(help="sqlite:///PATH instead of the file in the data folder.")]

NEXT: Final[Mapping[str, str]] = {
    "no-data": "give the --data that the server is started with; jobgate serve --data DIR makes a new one",
    "data-in-use": "stop that one first, or give another --data",
    "data-unusable": "run this as the user that the server runs as, or give another --data",
    "account-blocked": "jobgate account block NAME --undo",
    "account-merged": "jobgate account history NAME shows who did it and when",
    "listen": "stop what listens there, or give another --port (0 picks a free one) or --host",
    "tls": "give the certificate chain and its private key, both PEM, as --tls-cert and --tls-key",
    "role": "leave --role away: one process does both",
    "key": "see docs/accounts.md, The server's key",
}
"""What to do next, for errors that have an answer of their own."""


@contextmanager
def told(what: str, next_: str) -> Iterator[None]:
    """Ends with status 1 and three lines when something goes wrong: what did not happen, why, and what next."""
    try:
        yield
    except JobgateError as error:
        place = f"{error.field}: " if error.field is not None and "." in error.field else ""
        refuse(what, f"{place}{error.message}", NEXT.get(error.code, next_))
        raise typer.Exit(1) from error


def refuse(what: str, why: str, next_: str) -> None:
    """The three lines, on standard error, as every other error has them."""
    from jobgate.cli.screen import Screen  # noqa: PLC0415  # how things are drawn is not needed by help

    Screen().refuse(plain(what), "\n".join(map(plain, why.splitlines())), plain(next_))


def say(document: object, line: str, *, as_json: bool) -> None:
    """The answer."""
    sys.stdout.write((json.dumps(document) if as_json else line) + "\n")


def plain(text: str) -> str:
    """The text with its control characters shown, not obeyed."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def moment(at: float) -> str:
    """RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def actor() -> str:
    """Who types: the user of the operating system, and whom sudo was asked by."""
    try:
        name = getpass.getuser() if os.name != "posix" else _user()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    asked = plain(os.environ.get("SUDO_USER", ""))[:100]
    return f"{name}, asked by {asked}" if asked else name


def _user() -> str:
    import pwd  # noqa: PLC0415  # not needed by help

    return pwd.getpwuid(os.getuid()).pw_name
