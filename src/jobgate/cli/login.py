"""`jobgate login`: a server's address and a key, kept in a file that only its owner reads."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.render import GOOD
from jobgate.client import config
from jobgate.client.config import Where
from jobgate.client.line import Asking, Line
from jobgate.client.places import Account
from jobgate.client.words import plain

app = typer.Typer(rich_markup_mode=None)


@verb(app, "login")
async def login(
    session: Session,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Ask the server whether the key holds.")] = True,
) -> int:
    """Keep a server's address and a key for the commands typed here.

    The key is read from standard input, or asked for on a terminal; --key-file takes one that is in a file already.
    """
    where = session.line.where
    given = where.key if session.key_named else await asyncio.to_thread(_asked)
    if not given:
        raise Wrong("Nothing was kept.", "there is no key on standard input", "jobgate login --server URL < KEYFILE")
    body = msgspec.json.encode({"server": where.server})
    if check:
        line = Line(Where(where.server, given), say=session.screen.talk)
        try:
            with session.patience():
                answer = await line.call(Asking(method="GET", path="/v1/account", what="Nothing was kept."))
        finally:
            await line.close()
        body = answer.content
    path = await asyncio.to_thread(_kept, where.server, given)
    if session.screen.as_json:
        session.screen.raw(body)
        return 0
    if check:
        name = plain(msgspec.json.decode(body, type=Account).account)
        session.screen.say(name)
        session.screen.talk(f"{name} at {plain(where.server)}; kept in {plain(str(path))}.", GOOD)
    return 0


def _asked() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Key: ", stream=sys.stderr).strip()
    return sys.stdin.readline().strip()


def _kept(server: str, key: str) -> Path:
    """Writes the file, whole or not at all, readable by its owner alone."""
    path = config.place()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"server = {json.dumps(server)}\nkey = {json.dumps(key)}\n")
    beside.replace(path)
    return path
