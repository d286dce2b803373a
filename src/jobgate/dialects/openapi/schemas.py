"""JSON Schemas of wire types: as msgspec draws them, with the words of the source, and rules that no type can say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import islice
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from jobgate.dialects.openapi.words import members

REF: Final = "#/components/schemas/{name}"

Schema = dict[str, Any]
Rules = Mapping[type, Schema]
"""What a type's own checks ask beyond its members' types, in the words of JSON Schema; for subclasses too."""


def drawn(kinds: Iterable[Any], rules: Rules) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each, and what these refer to, by name."""
    wanted = [_apart(kind) for kind in kinds]
    flat = [one for parts in wanted for one in parts]
    heads, named = msgspec.json.schema_components(flat, ref_template=REF)
    types = {kind.__name__: kind for kind in _types(flat)}
    for name, schema in named.items():
        kind = types.get(name)
        if kind is not None:
            _tell(schema, kind)
            for base in reversed(kind.__mro__):
                _join(schema, rules.get(base, {}))
    left = iter([_portable(head) for head in heads])
    whole = [list(islice(left, len(parts))) for parts in wanted]
    joint = [each[0] if len(each) == 1 else {"anyOf": each} for each in whole]
    return joint, {name: _portable(named[name]) for name in sorted(named)}


def parameter(kind: Any) -> Schema:
    """Of a value in a path, a query or a header, where there is no null."""
    (head,), named = msgspec.json.schema_components((kind,))
    schema = _portable(head)
    if "$ref" in schema:
        schema = _portable(named[schema["$ref"].rpartition("/")[2]])
    if "items" in schema and "$ref" in schema["items"]:
        schema["items"] = _portable(named[schema["items"]["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        kept = [one for one in schema.pop("anyOf") if one != {"type": "null"}]
        schema |= kept[0] if len(kept) == 1 else {"anyOf": kept}
    return {key: value for key, value in schema.items() if key != "title"}


def _apart(kind: Any) -> tuple[Any, ...]:
    """The structs of a union of several, which msgspec draws only one by one; anything else as it is."""
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    structs = [one for one in choices if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return choices if len(structs) > 1 else (kind,)


def _tell(schema: Schema, kind: type) -> None:
    """Adds what the source says of its members."""
    said = members(kind)
    if issubclass(kind, Enum):
        words = [f"`{one.value}`: {said[one.name]}" for one in kind if one.name in said]
        schema["description"] = " ".join([schema.get("description", ""), *words]).strip()
        return
    for field in msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else ():
        below = schema.get("properties", {}).get(field.encode_name)
        if below is not None and field.name in said:
            below.setdefault("description", said[field.name])


def _join(schema: Schema, more: Schema) -> None:
    """Adds `more`, objects inside objects too."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(schema.get(key), dict):
            _join(schema[key], value)
        else:
            schema[key] = value


def _portable(value: Any) -> Any:
    r"""The same without what only Python reads: `\Z` in a pattern; and without lists that say nothing."""
    if isinstance(value, list):
        return [_portable(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _portable(one) for key, one in value.items() if not (key == "required" and one == [])}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace("\\Z", "$")
    return found


def _types(kinds: Iterable[Any]) -> Iterable[type]:
    """Every struct and enumeration that these mention, at any depth."""
    seen: set[type] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        kind = get_origin(kind) or kind
        if isinstance(kind, type) and kind not in seen and issubclass(kind, msgspec.Struct | Enum):
            seen.add(kind)
            if issubclass(kind, msgspec.Struct):
                waiting += [field.type for field in msgspec.structs.fields(kind)]
    return seen
