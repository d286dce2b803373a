"""The page of the Python client: every public name, its members, and what their docstrings promise."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Final

import jobgate
from jobgate.client import options

GROUPS: Final = {
    "The client": ("Client", "AsyncClient"),
    "Jobs, batches and their files": ("Job", "Batch", "File", "Jobs", "Result"),
    "The same, for asyncio": ("AsyncJob", "AsyncBatch", "AsyncFile"),
    "What a submit may say": ("SubmitOptions", "Draft", "Replication", "FolderFile", "Upload"),
    "What is told": (
        "Attempt",
        "Event",
        "Waits",
        "Estimate",
        "Environment",
        "Account",
        "Webhook",
        "Folder",
        "FolderEntry",
    ),
}
"""What is no error, by subject. A public name that stands nowhere stops the page."""
HEAD: Final = """# Python

Generated from `jobgate`; `make docs` writes it again. Every name here is imported from `jobgate` itself. To learn it by
doing: [a first job](../tutorial/1-first-job.md); in a notebook: [notebooks](../howto/python-in-a-notebook.md)."""


def page() -> str:
    """The page. Raises LookupError for a public name that it would leave out."""
    errors = tuple(name for name in jobgate.__all__ if _is_error(name))
    listed = {name for names in GROUPS.values() for name in names} | {*errors, "Fault"}
    if listed != set(jobgate.__all__):
        raise LookupError(f"not on the page, or not public: {sorted(listed ^ set(jobgate.__all__))}")
    lines = [HEAD]
    for title, names in GROUPS.items():
        lines += ["", f"## {title}"]
        for name in names:
            lines += _described(name)
    return "\n".join([*lines, "", *_errors(errors), *_described("Fault")]).rstrip() + "\n"


def _is_error(name: str) -> bool:
    found = getattr(jobgate, name)
    return isinstance(found, type) and issubclass(found, Exception)


def _described(name: str) -> list[str]:
    kind: type = getattr(jobgate, name)
    lines = ["", f"### {name}", "", *_prose(inspect.getdoc(kind) or "")]
    if fields := _fields(kind):
        lines += ["", f"Fields: {', '.join(f'`{field}`' for field in fields)}."]
    if name not in ("SubmitOptions", "Draft", "Replication"):
        rows = [f"| `{member}` | {_first(text)} |" for member, text in _members(kind)]
        return [*lines, *(["", "| member | |", "|---|---|", *rows] if rows else [])]
    said = [f"| `{option}` | `{_cell(form)}` | {text} |" for option, (form, text) in _options(kind).items()]
    return [*lines, "", "| option | type | |", "|---|---|---|", *said]


def _fields(kind: type) -> tuple[str, ...]:
    """Those of a record."""
    own: tuple[str, ...] = getattr(kind, "__struct_fields__", ()) or tuple(getattr(kind, "__dataclass_fields__", ()))
    return tuple(field for field in own if not field.startswith("_"))


def _options(kind: type) -> dict[str, tuple[str, str]]:
    """Type and line of each; those of the classes that it is made of come first."""
    source = ast.parse(inspect.getsource(kind)).body[0]
    if not isinstance(source, ast.ClassDef):
        raise TypeError(kind)
    found: dict[str, tuple[str, str]] = {}
    for base in source.bases:
        above = getattr(options, ast.unparse(base))
        found |= _options(above) if isinstance(above, type) else {}
    last = ""
    for node in source.body:
        if isinstance(node, ast.AnnAssign):
            last = ast.unparse(node.target)
            found[last] = (ast.unparse(node.annotation), "")
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last] = (found[last][0], _first(str(node.value.value)))
    return found


def _members(kind: type) -> Iterator[tuple[str, str]]:
    """Methods and properties, with their signature and docstring; those of a record's base come first."""
    seen: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("jobgate"):
            for name, member in vars(base).items():
                if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                    seen[_signed(name, member)] = inspect.getdoc(member) or ""
    yield from seen.items()


def _signed(name: str, member: object) -> str:
    """`cancel(message)`: names alone, for types make a line nobody reads; a `*` keeps what is named by name."""
    if not inspect.isfunction(member):
        return name
    parts, star = [], False
    for parameter in list(inspect.signature(member).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        if parameter.kind is parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}")
        else:
            parts.append(parameter.name if parameter.default is parameter.empty else f"{parameter.name}=…")
    return f"{'await ' if inspect.iscoroutinefunction(member) else ''}{name}({', '.join(parts)})"


def _prose(text: str) -> list[str]:
    """A docstring as Markdown: its examples become blocks. They run in the client's own tests."""
    lines: list[str] = []
    example: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith(">>>") or (example and line.strip()):
            example.append(line)
            continue
        if example:
            lines += [
                "<!-- not run: the client's tests run it, from its docstring -->",
                "```python",
                *example,
                "```",
                "",
            ]
            example = []
        lines.append(line)
    return "\n".join(lines).strip().splitlines()


def _first(text: str) -> str:
    """All that it says before its example, on one line."""
    said = re.split(r"\n\s*>>>", text)[0]
    return _cell(" ".join(said.split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _errors(names: tuple[str, ...]) -> list[str]:
    """The tree of errors, drawn from the classes."""
    said = "Catch at the height you care for. `str(error)` is three lines: what did not happen, why, what next."
    lines = ["## Errors", "", said, "", "| error | is a | when |", "|---|---|---|"]
    for name in names:
        kind: type = getattr(jobgate, name)
        above = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        lines.append(f"| `{name}` | {above} | {_first(inspect.getdoc(kind) or '')} |")
    return lines
