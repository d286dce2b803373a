"""JSON schemas of what `--json` prints, from a value or the API's own document, and what one lacks of another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from functools import reduce
from typing import Any, Final

from jobgate.dialects.native.states import NAMES
from jobgate.model.queue import Reason
from jobgate.model.state import AttemptState, Failure, Limit
from jobgate.model.webhook import Standing

Schema = dict[str, Any]
_KEPT: Final = ("type", "$ref", "enum", "const", "anyOf", "items", "properties", "required", "additionalProperties")
STATES: Final = tuple(NAMES.values())


COUNTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "integer"}}
"""Numbers by state: those that are zero are left out."""


def _of(words: type[StrEnum]) -> tuple[str, ...]:
    return tuple(word.value for word in words)


WORDS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    **{(view, "state"): STATES for view in ("JobView", "EventView")},
    ("BatchView", "state"): tuple(word for word in STATES if not word.startswith("staging")),
    ("AttemptView", "state"): _of(AttemptState),
    ("DeliveryView", "state"): _of(Standing),
    **{(view, "failure"): _of(Failure) for view in ("JobView", "AttemptView", "FailureView", "EventView")},
    **{(view, "limit"): _of(Limit) for view in ("JobView", "AttemptView", "FailureView", "EventView")},
    ("WaitsView", "reason"): _of(Reason),
    ("OfferView", "blocks"): _of(Reason),
}
"""Members that are one of a closed list of words, which the API's document has as text."""


def bare(schema: Mapping[str, Any]) -> Schema:
    """The schema without what only people read."""
    found: Schema = {}
    for key in _KEPT:
        value = schema.get(key)
        if key == "properties" and value is not None:
            found[key] = {name: bare(value[name]) for name in sorted(value)}
        elif key == "anyOf" and value is not None:
            found[key] = [bare(one) for one in value]
        elif key in ("items", "additionalProperties") and isinstance(value, Mapping):
            found[key] = bare(value)
        elif key in ("required", "enum") and value is not None:
            found[key] = sorted(value, key=str)
        elif key == "$ref" and value is not None:
            found[key] = f"#/$defs/{value.rpartition('/')[2]}"
        elif value is not None:
            found[key] = value
    return found


def worded(name: str, schema: Schema) -> Schema:
    """The schema of that name, with the words of its members."""
    for (view, member), words in WORDS.items():
        if view == name:
            schema["properties"][member]["enum"] = sorted(words)
    return schema


def drawn(value: object) -> Schema:
    """The schema of a value, as far as it shows one."""
    match value:
        case None:
            return {"type": "null"}
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case str():
            return {"type": "string"}
        case list():
            items = [drawn(one) for one in value]
            return {"type": "array"} | ({"items": _common(items)} if items else {})
        case dict():
            return {
                "type": "object",
                "properties": {name: COUNTS if name == "counts" else drawn(one) for name, one in sorted(value.items())},
                "required": sorted(value),
            }
        case _:
            raise TypeError(value)


def _common(found: list[Schema]) -> Schema:
    """What holds of all."""
    return reduce(_either, found)


def _either(one: Schema, other: Schema) -> Schema:
    types = {word for schema in (one, other) for word in _types(schema)}
    types -= {"integer"} if "number" in types else set()
    joined: Schema = {"type": types.pop() if len(types) == 1 else sorted(types)}
    of = [schema for schema in (one, other) if "object" in _types(schema) and "properties" in schema]
    if of:
        members = {name: schema["properties"][name] for schema in reversed(of) for name in schema["properties"]}
        both = set(members).intersection(*(schema["properties"] for schema in of))
        members |= {name: _common([schema["properties"][name] for schema in of]) for name in both}
        joined["properties"] = dict(sorted(members.items()))
        joined["required"] = sorted(set(members).intersection(*(schema["required"] for schema in of)))
    if items := [schema["items"] for schema in (one, other) if "items" in schema]:
        joined["items"] = _common(items)
    if "additionalProperties" in one:
        joined["additionalProperties"] = one["additionalProperties"]
    return joined


def _types(schema: Schema) -> list[str]:
    said = schema.get("type", [])
    return [said] if isinstance(said, str) else list(said)


def lost(was: Mapping[str, Any], now: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """What a program that was written for `was` misses in `now`, a line each; what is new is nothing lost."""
    where = at or "the body"
    for key in ("type", "$ref"):
        if was.get(key) is not None and was[key] != now.get(key):
            yield f"{where} was {was[key]}, and is {now.get(key)}"
    if gone := set(was.get("enum", ())) - set(now.get("enum", ())):
        yield f"{where} is never {', '.join(sorted(gone))} any more"
    if gone := set(was.get("required", ())) - set(now.get("required", ())):
        yield f"{where} may lack {', '.join(sorted(gone))}, which were always there"
    for name, member in was.get("properties", {}).items():
        if name not in now.get("properties", {}):
            yield f"{at}.{name} is gone"
        else:
            yield from lost(member, now["properties"][name], f"{at}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(was.get(key), Mapping):
            new = now.get(key)
            yield from lost(was[key], new if isinstance(new, Mapping) else {}, f"{at}{mark}")
    for option in was.get("anyOf", ()):
        if all(list(lost(option, other)) for other in now.get("anyOf", ())):
            yield f"{where} is never {option} any more"


def fits(value: object, schema: Mapping[str, Any], known: Mapping[str, Schema]) -> bool:
    """Whether the value is as the schema says, and has no member beside; `known` are those it may refer to."""
    if "$ref" in schema:
        return fits(value, known[str(schema["$ref"]).rpartition("/")[2]], known)
    if "anyOf" in schema:
        return any(fits(value, one, known) for one in schema["anyOf"])
    types = {word for one in _types(drawn(value)) for word in ((one, "number") if one == "integer" else (one,))}
    if (wanted := _types(dict(schema))) and not types & set(wanted):
        return False
    if value not in schema.get("enum", (value,)) or value != schema.get("const", value):
        return False
    if isinstance(value, list):
        return all(fits(one, schema.get("items", {}), known) for one in value)
    if isinstance(value, dict):
        members, others = schema.get("properties", {}), schema.get("additionalProperties", False)
        return set(schema.get("required", ())) <= set(value) and all(
            fits(one, members.get(name, others), known) if name in members or isinstance(others, Mapping) else others
            for name, one in value.items()
        )
    return True


def reached(name: str, schemas: Mapping[str, Schema], seen: Collection[str] = ()) -> dict[str, Schema]:
    """The schema of that name, and those it refers to."""
    found = {name: schemas[name]}
    for other in sorted(set(_refs(schemas[name])) - {name, *seen}):
        found |= reached(other, schemas, (*seen, *found))
    return found


def _refs(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield str(schema["$ref"]).rpartition("/")[2]
        for one in schema.values():
            yield from _refs(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _refs(one)
