"""The page of all keys, drawn from the settings themselves."""

from __future__ import annotations

import ast
import inspect as source
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from jobgate.config.apps import (
    AppEntry,
    InputEntry,
    OutputEntry,
    ReplicationEntry,
    ResourcesEntry,
    TemplateEntry,
    VersionEntry,
)
from jobgate.config.settings import Defaults, Egress, Environment, ImageEntry, Retention, Server, Storage
from jobgate.config.units import Unit
from jobgate.model.limits import Limits

_SECTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("server", Server),
    ("storage", Storage),
    ("egress", Egress),
    ("environments.NAME", Environment),
    ("environments.NAME.defaults", Defaults),
    ("apps.NAME", AppEntry),
    ("apps.NAME.versions.NUMBER", VersionEntry),
    ("apps.NAME.template", TemplateEntry),
    ("[apps.NAME.template.inputs]", InputEntry),
    ("[apps.NAME.template.outputs]", OutputEntry),
    ("apps.NAME.template.resources", ResourcesEntry),
    ("apps.NAME.template.replication", ReplicationEntry),
    ("images.NAME", ImageEntry),
    ("limits", Limits),
    ("retention", Retention),
)
_WORDS: Final = {
    inspect.StrType: "text",
    inspect.IntType: "whole number",
    inspect.FloatType: "number",
    inspect.BoolType: "true or false",
}


def reference() -> str:
    """Markdown."""
    lines = ["# Configuration", "", "Generated from the code. One TOML file; every key may be left out.", ""]
    for name, struct in _SECTIONS:
        lines += [f"## `[{name}]`", "", (struct.__doc__ or "").splitlines()[0], ""]
        lines += ["| key | value | default | |", "|---|---|---|---|", *_rows(struct), ""]
    lines += [
        "## `[dialects.NAME]`",
        "",
        "`enabled` (true), `prefix` and `mounts` are known to every dialect; the others are on its own page.",
        "`mounts` stands in the place of a prefix: a list of tables, each with a `path` and perhaps a `variant`.",
    ]
    return "\n".join(lines) + "\n"


def _rows(struct: Any) -> Iterator[str]:
    said = _docs(struct)
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)  # noqa: S101  # for the type checker
    for field in info.fields:
        if isinstance(field.type, inspect.StructType):
            continue
        value = (
            "" if field.required else field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        )
        text = " ".join(said.get(field.name, "").split()).replace("|", "\\|")
        yield f"| `{field.name}` | {_kind(field.type)} | {_default(field.type, value)} | {text} |"


def _kind(wanted: inspect.Type) -> str:
    if isinstance(wanted, inspect.StructType):
        return "section"
    if isinstance(wanted, inspect.Metadata):
        unit = (wanted.extra or {}).get("unit")
        return unit.word if isinstance(unit, Unit) else _kind(wanted.type)
    if isinstance(wanted, inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in wanted.values)
    if isinstance(wanted, inspect.DictType):
        return f"table: name to {_kind(wanted.value_type)}"
    items = getattr(wanted, "item_type", None)
    return f"list: {_kind(items)}" if items is not None else _WORDS.get(type(wanted), "value")


def _default(wanted: inspect.Type, value: Any) -> str:
    unit = (wanted.extra or {}).get("unit") if isinstance(wanted, inspect.Metadata) else None
    if isinstance(unit, Unit):
        return f"`{unit.show(value)}`" if value != "" else ""
    if value in ("", (), {}, frozenset()):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"


def _docs(struct: Any) -> dict[str, str]:
    """The docstring below each field."""
    body = ast.parse(textwrap.dedent(source.getsource(struct))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101  # for the type checker
    found = {}
    for item, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            match after:
                case ast.Expr(ast.Constant(str(text))):
                    found[item.target.id] = text
    return found
