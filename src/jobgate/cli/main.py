"""`jobgate`: a table of its commands, each loaded when it is called, so that none waits for what another needs.

This module is light on purpose: from its first line on an interrupt ends the process with status 130, and the rest is
loaded below that.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Final, NamedTuple

from jobgate.cli.exits import INTERRUPTED

if TYPE_CHECKING:
    import typer

    commands: typer.Typer

_OPERATES: Final = "serve"
"""It has its own way to be interrupted."""


class Entry(NamedTuple):
    """One word of the command line, and where it lives."""

    home: str
    """`module:name` of the typer application that has it."""
    line: str
    """What it does, as `--help` shows it: the first line of its own help, which a test compares."""
    whole: bool = False
    """The application is the command, with commands of its own below it."""


TABLE: Final[Mapping[str, Entry]] = {
    "submit": Entry("submit:app", "Submit a job, or a batch; returns when it is on disk."),
    "list": Entry("show:app", "Show batches, newest first; with --jobs, jobs."),
    "status": Entry("show:app", "Show how jobs and batches stand: why they wait, how they ended."),
    "wait": Entry("follow:app", "Wait until all are over; ends as they did."),
    "logs": Entry("follow:app", "Show what a job writes."),
    "events": Entry("follow:app", "Show what happened, in order; with --follow, what happens."),
    "cancel": Entry("control:app", "Ask for the end of jobs and batches."),
    "retry": Entry("control:app", "Give failed jobs another attempt, under their ids."),
    "hold": Entry("control:app", "Keep waiting jobs from starting, until they are released."),
    "release": Entry("control:app", "Let held jobs start."),
    "change": Entry("control:app", "Change the priority, name or labels of jobs and batches."),
    "renew": Entry("lease:app", "Put off when batches are cancelled and retired."),
    "retire": Entry("lease:app", "Be done with batches: their jobs stop, their files go."),
    "delete": Entry("control:app", "Delete jobs and batches that are over, with their files."),
    "download": Entry("fetch:app", "Write the files that jobs left below a directory here."),
    "files": Entry("fetch:app", "Show the files that jobs left."),
    "upload": Entry("fetch:app", "Send files; each is named by its hash, and sent once."),
    "folders": Entry("fetch:folders", "Folders: files of yours that stay on the server.", whole=True),
    "environments": Entry("places:app", "Show the places that run jobs."),
    "apps": Entry("places:app", "Show the programs of the operator's catalogue."),
    "estimate": Entry("estimate:app", "Say when a job would start and end, and what it would cost; submits nothing."),
    "whoami": Entry("places:app", "Show whose key this is, and what is used of its quotas."),
    "webhooks": Entry("hooks:app", "Webhooks: addresses that are told of ends.", whole=True),
    "top": Entry("top:app", "Show the queue, live."),
    "login": Entry("login:app", "Keep a server's address and a key for the commands typed here."),
    "doctor": Entry("doctor:app", "Say what this machine can run, and how to get what is missing."),
    "completion": Entry("completion:app", "Completion of commands and ids by the shell.", whole=True),
    "serve": Entry("serve:server", "Serve; prints one line `jobgate ready URL` when requests are accepted."),
    "account": Entry("people:accounts", "Accounts: the owners of jobs.", whole=True),
    "credential": Entry("people:credentials", "Credentials: what proves an account.", whole=True),
    "key": Entry("people:keys", "The server's own key.", whole=True),
    "config": Entry("serve:configuration", "The configuration file.", whole=True),
}


def __getattr__(name: str) -> object:
    """`commands`, the typer application, loaded when it is first asked for. Raises AttributeError."""
    if name != "commands":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jobgate.cli.root import commands as loaded  # noqa: PLC0415  # it is what takes time

    globals()["commands"] = loaded
    return loaded


def main() -> None:
    """The command."""
    if sys.argv[1:2] != [_OPERATES]:
        signal.signal(signal.SIGINT, _early)
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its own command line, slow to load
    from jobgate.cli.root import run  # noqa: PLC0415  # as above

    code = run(sys.argv[1:])
    if code == INTERRUPTED:  # answered at once: threads that hash or send a file are not waited for
        _flush()
        os._exit(code)
    sys.exit(code)


def _early(number: int, frame: FrameType | None) -> None:
    """Before a command has begun, there is nothing to say yet."""
    del number, frame
    os._exit(INTERRUPTED)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
