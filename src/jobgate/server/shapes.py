"""A JSON Schema in words: `list of InputDraft`, `integer, 1 to 100`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from jobgate.dialects.page import Markup, joined, tag


class Member(Struct, frozen=True):
    """One member of an object."""

    name: str
    schema: Mapping[str, Any]
    text: str
    mark: str
    """`needed` in what is sent, `always` in what comes; nothing where it may be left out."""


def members(schema: Mapping[str, Any]) -> Iterator[Member]:
    """Those of an object, as they are written down; nothing of anything else."""
    word = " always" if schema.get("additionalProperties", True) else " needed"
    needed = schema.get("required", ())
    for name, below in schema.get("properties", {}).items():
        yield Member(name, below, str(below.get("description", "")), word if name in needed else "")


def shape(schema: Mapping[str, Any]) -> Markup:
    """What a value may be; other types as links to their own part of the page."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return tag("a", name, href=f"#{name}")
    for word in ("anyOf", "oneOf"):
        if word in schema and "properties" not in schema:
            return between([shape(one) for one in schema[word]], " or ")
    if "enum" in schema:
        return between([tag("code", str(one)) for one in schema["enum"]], ", ")
    if "const" in schema:
        return tag("code", str(schema["const"]))
    kind = schema.get("type")
    if kind == "array":
        return joined("list of ", shape(schema.get("items", {})))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict) and "properties" not in schema:
        return joined("object of ", shape(schema["additionalProperties"]))
    word = _WORDS.get(str(kind), str(kind or "any"))
    if schema.get("format") == "binary":
        word = "bytes"
    return joined(", ".join([word, *_bounds(schema)]), _pattern(schema))


_WORDS: Final[Mapping[str, str]] = {"string": "text", "null": "null", "boolean": "true or false"}


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and high < _ENDLESS:
        yield f"{_number(low)} to {_number(high)}"
    elif low is not None:
        yield f"from {_number(low)}"
    if "exclusiveMinimum" in schema:
        yield f"above {_number(schema['exclusiveMinimum'])}"
    if "maxLength" in schema:
        yield f"at most {_number(schema['maxLength'])} characters"


_ENDLESS: Final = 1 << 40
"""A bound from here on says nothing to people."""


_READABLE: Final = 12
"""Characters of a pattern that helps people rather than programs."""


def _number(value: float) -> str:
    return f"{value:,.10g}" if isinstance(value, float) else f"{value:,}"


def _pattern(schema: Mapping[str, Any]) -> Markup:
    pattern = str(schema.get("pattern", ""))
    return joined(", ", tag("code", pattern)) if 0 < len(pattern) <= _READABLE else Markup("")


def between(parts: list[Markup], sign: str) -> Markup:
    """One after the other, with the sign between."""
    return joined(*(piece for place, part in enumerate(parts) for piece in ((sign, part) if place else (part,))))
