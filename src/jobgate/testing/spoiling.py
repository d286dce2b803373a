"""Calls made wrong: each value of a JSON body, at every depth, replaced or left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from jobgate.dialects.dialect import Call

WRONG: Final[tuple[object, ...]] = (
    None,
    True,
    -1,
    0,
    1.5,
    10**40,
    "",
    "\0",
    "\u202e",
    [],
    [[]],
    [None],
    {},
    {"": {}},
    "x" * 5000,
)
"""Values of the wrong type or size for nearly every place."""


def spoiled(call: Call, wrong: Iterable[object] = WRONG) -> Iterator[Call]:
    """The call with each value of its JSON body, at every depth, replaced by each wrong one, and left out."""
    try:
        body = msgspec.json.decode(call.body)
    except msgspec.DecodeError:
        return
    values = tuple(wrong)
    for path in _paths(body):
        for value in values:
            yield replace(call, body=msgspec.json.encode(_put(body, path, value)))
        yield replace(call, body=msgspec.json.encode(_put(body, path, msgspec.UNSET)))


def _paths(value: object, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if before:
        yield before
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, below in items:
        yield from _paths(below, (*before, key))


def _put(value: Any, path: tuple[str | int, ...], new: object) -> object:
    """A copy of `value` with `new` at `path`; UNSET: with nothing there."""
    if not path:
        return new
    key, *rest = path
    if isinstance(value, list):
        changed = [_put(v, tuple(rest), new) if i == key else v for i, v in enumerate(value)]
        return [v for v in changed if v is not msgspec.UNSET]
    changed_items = {k: _put(v, tuple(rest), new) if k == key else v for k, v in value.items()}
    return {k: v for k, v in changed_items.items() if v is not msgspec.UNSET}
