"""Writes the pages that are drawn from tables; `--check` only says whether they are current."""

from __future__ import annotations

import ast
import inspect
import sys
from enum import Enum
from pathlib import Path

from jobgate.model.advance import ON_ATTEMPT
from jobgate.model.state import ATTEMPT_MOVES, MOVES, AttemptState, Failure, JobState, Limit

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "states.md"


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


def main() -> int:
    """Writes or checks the page; 1 when it is not current."""
    if "--check" not in sys.argv:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        print(f"{PAGE.name} is not current: run make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
