"""The page of the command line: each command's own help."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import typer

from jobgate.cli.main import commands

os.environ["COLUMNS"] = "100"


ABOUT = (
    "The document of `submit --file` is the body of `POST /v1/jobs` or `POST /v1/batches`, in TOML or JSON:",
    "[a job in a file](../howto/a-job-in-a-file.md). What `--json` prints only ever gains members: none goes, changes",
    "its type, or loses one of its words.",
)


def page() -> str:
    """The page."""
    lines = ["# Command line", "", "Generated from `jobgate --help`; `make docs` writes it again.", "", *ABOUT, ""]
    for words, text in helps():
        lines += [f"## `{words}`", "", "```text", text, "```", ""]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def helps() -> Iterator[tuple[str, str]]:
    """Each command and what its `--help` says."""
    for words, command in _walk(("jobgate",), typer.main.get_command(commands)):
        with command.make_context(" ".join(words), [], resilient_parsing=True, terminal_width=100) as context:
            yield " ".join(words), command.get_help(context).strip()


def _walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from _walk((*words, name), below)
