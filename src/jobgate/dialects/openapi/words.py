"""What the source says of a wire type's members: the text below each, which Python itself forgets."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache


def members(kind: type) -> dict[str, str]:
    """Text of each member that has one, by its name in Python; of two classes of one tree the nearer wins.

    Looked for in the source of the package that the class is of, and nowhere else.
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if _package(base) == _package(kind):
            found |= _written(base.__module__).get(base.__qualname__, {})
    return found


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


@cache
def _written(module: str) -> Mapping[str, Mapping[str, str]]:
    """Class to member to text, of a module whose source can be had; nothing of any other."""
    there = sys.modules.get(module)
    try:
        source = inspect.getsource(there) if there else ""
    except (OSError, TypeError):  # built in, or made without a file
        return {}
    return {node.name: dict(_below(node)) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}


def _below(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    last = ""
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            last = line.target.id
        elif isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            last = line.targets[0].id
        elif last and isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            yield last, " ".join(str(line.value.value).split())
            last = ""
        else:
            last = ""
