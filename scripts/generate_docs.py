"""Writes the pages that are drawn from tables; `--check` only says whether they are current."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from jobgate.cli.main import commands
from jobgate.config import reference
from jobgate.dialects import DIALECTS, load
from jobgate.dialects.dialect import Setup
from jobgate.model.advance import ON_ATTEMPT
from jobgate.model.state import ATTEMPT_MOVES, MOVES, AttemptState, Failure, JobState, Limit

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
os.environ["COLUMNS"] = "100"


def meanings(kind: type[Enum]) -> dict[str, str]:
    """Each member's value and the line that documents it in the source."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(kind)
    found: dict[str, str] = {}
    last = ""
    for node in body.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            last = kind[node.targets[0].id].value
            found[last] = ""
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last] = " ".join(str(node.value.value).split())
        else:
            last = ""
    return found


def table(kind: type[Enum]) -> list[str]:
    """A table of the members and their meaning."""
    rows = [f"| `{value}` | {text} |" for value, text in meanings(kind).items()]
    return ["", "| name | meaning |", "|---|---|", *rows, ""]


def drawing(
    moves: dict[JobState, frozenset[JobState]] | dict[AttemptState, frozenset[AttemptState]],
) -> list[str]:
    """A Mermaid diagram of every arrow."""
    arrows = [f"    {a.value} --> {b.value}" for a, ends in moves.items() for b in sorted(ends)]
    return ["", "```mermaid", "stateDiagram-v2", *arrows, "```", ""]


def page() -> str:
    """The page of states."""
    head = list(AttemptState)
    lines = ["# States", "", "Generated from `jobgate.model`; `make docs` writes it again.", "", "## Job"]
    lines += [*table(JobState), *drawing(MOVES), "## Attempt", *table(AttemptState), *drawing(ATTEMPT_MOVES)]
    lines += [
        "## Events about an attempt",
        "",
        "`moves`: it goes on. `late`: nothing changes. `illegal`: refused.",
        "",
    ]
    lines += ["| event | " + " | ".join(s.value for s in head) + " |", "|---" * (len(head) + 1) + "|"]
    lines += [f"| {e.__name__} | " + " | ".join(row[s].value for s in head) + " |" for e, row in ON_ATTEMPT.items()]
    lines += ["", "## Failures", *table(Failure), "## Limits", *table(Limit)]
    return "\n".join(lines).rstrip() + "\n"


def routes() -> str:
    """The page of every dialect's addresses."""
    lines = ["# Routes", "", "Generated from the dialects; `make docs` writes it again.", ""]
    for name, (prefix, _) in DIALECTS.items():
        lines += [
            f"## {name}, below `{prefix}`",
            "",
            "| method | path | asks of the credential | |",
            "|---|---|---|---|",
        ]
        for route in load(name, Setup(prefix=prefix)).routes:
            methods = " ".join(sorted(route.methods))
            lines.append(f"| {methods} | `{route.path}` | {route.scope.value} | {route.summary} |")
        lines.append("")
    lines += [
        "## The server's own",
        "",
        "`GET /` (index), `/healthz`, `/readyz`, `/metrics` (loopback, or an operator's key).",
    ]
    return "\n".join(lines) + "\n"


def command_line() -> str:
    """The page of the command line: each command's own help."""
    lines = ["# Command line", "", "Generated from `jobgate --help`; `make docs` writes it again.", ""]
    root = typer.main.get_command(commands)
    for words, command in _walk(("jobgate",), root):
        with command.make_context(" ".join(words), [], resilient_parsing=True, terminal_width=100) as context:
            lines += [f"## `{' '.join(words)}`", "", "```text", command.get_help(context).strip(), "```", ""]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from _walk((*words, name), below)


PAGES: dict[str, Callable[[], str]] = {
    "states.md": page,
    "configuration.md": reference,
    "routes.md": routes,
    "commands.md": command_line,
}


def main() -> int:
    """Writes or checks the pages; 1 when one is not current."""
    stale = 0
    for name, write in PAGES.items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(write())
        elif not path.exists() or path.read_text() != write():
            print(f"{name} is not current: run make docs")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
