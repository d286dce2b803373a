"""What several pages draw: the members of an enumeration, each with the line that documents it in the source."""

from __future__ import annotations

import ast
import inspect
from enum import Enum


def meanings(kind: type[Enum]) -> dict[str, str]:
    """Each member's value and the line that documents it in the source; raises TypeError for what is no class."""
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
