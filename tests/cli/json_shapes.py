"""JSON schemas of what `--json` prints: drawn from a value or from the API's document, and what one loses to another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from jobgate.dialects.native.states import NAMES
from jobgate.model.attempt import AttemptState
from jobgate.model.queue import Reason
from jobgate.model.state import Failure, Limit
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
    first = found[0]
    if any(one.get("type") != first.get("type") for one in found):
        return {}
    if first["type"] != "object":
        return first
    members = {name: schema for one in found for name, schema in one["properties"].items()}
    required = set.intersection(*(set(one["required"]) for one in found))
    return {"type": "object", "properties": dict(sorted(members.items())), "required": sorted(required)}


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
