"""Every fault of a document, not only the first: looked for when there is one, and so never on the way that is fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from itertools import islice
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from jobgate.dialects.native.bound import Apps
from jobgate.dialects.native.specs import Specs
from jobgate.dialects.native.wire import JobDraft, NamedDraft
from jobgate.dialects.reading import fault, member
from jobgate.model.errors import Invalid
from jobgate.model.job import check_name

MOST: Final = 100
"""Faults that are told of one document."""


_NAME: Final = 100
"""Characters of a member's name that are said again."""


class Faults(Invalid):
    """Several things are wrong with a document; code, message and field are those of the first."""

    def __init__(self, each: tuple[Invalid, ...]) -> None:
        first = each[0]
        super().__init__(first.message, code=first.code, field=first.field)
        self.each = each


def gathered(found: Iterable[Invalid]) -> Invalid | None:
    """The one fault, or the first MOST of them as one error; None without any."""
    each = tuple(islice(found, MOST))
    return Faults(each) if len(each) > 1 else each[0] if each else None


def of_types(value: object, kind: Any, at: str = "") -> Iterator[Invalid]:
    """Where `value` is not what the wire type says, in the order of its members; members that are none come first."""
    struct = _struct(kind)
    if struct is not None and isinstance(value, dict):
        yield from _of_members(value, struct, at)
        return
    if get_origin(kind) is dict and get_args(kind)[0] is str and isinstance(value, dict):
        for name, one in value.items():
            yield from of_types(one, get_args(kind)[1], member(at, name[:_NAME]))
        return
    item = _items(kind)
    if item is not None and isinstance(value, list):
        for place, one in enumerate(value):
            yield from of_types(one, item, f"{at}[{place}]")
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        wrong = fault(error)
        told = with_words(wrong.message, kind)
        yield moved(Invalid(told, code=wrong.code, field=wrong.field), at)


def with_words(told: str, kind: Any) -> str:
    """What msgspec says of a value; of a word that is not among those of the type also which those are."""
    before, unknown, word = told.partition("invalid enum value ")
    listed = ", ".join(_words(kind))
    return f"{before}{word} is not one of {listed}" if unknown and listed else told


def _words(kind: Any) -> tuple[str, ...]:
    """The words that a type is made of, where it is made of words."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(one.value) for one in kind)
    if get_origin(kind) is Literal:
        return tuple(map(str, get_args(kind)))
    if get_origin(kind) in (Annotated, Union, UnionType, tuple):
        return next(filter(None, map(_words, get_args(kind))), ())
    return ()


def of_jobs(
    drafts: Iterable[tuple[str, int, object]], apps: Apps | None = None, kind: type[JobDraft] = JobDraft
) -> Iterator[Invalid]:
    """What is wrong with jobs, each with its path and place: in its types, or else in what they say."""
    specs = Specs(apps)
    for at, place, value in drafts:
        draft = value
        if not isinstance(draft, JobDraft):
            wrong = False
            for error in of_types(draft, kind, at):
                wrong = True
                yield error
            if wrong:
                continue
            draft = msgspec.convert(draft, kind)
        for error in (*_wrong_name(draft), *specs.faults(draft, place)):
            yield moved(error, at)


def _wrong_name(draft: JobDraft) -> Iterator[Invalid]:
    if isinstance(draft, NamedDraft) and draft.name:
        try:
            check_name(draft.name, "name")
        except Invalid as error:
            yield error


def moved(error: Invalid, at: str) -> Invalid:
    """The error, its field seen from above `at`."""
    if not at:
        return error
    below = error.field or ""
    field = f"{at}{below}" if not below or below.startswith("[") else f"{at}.{below}"
    said = error.message.removeprefix("the body: ").removeprefix(f"{below}: ")
    return Invalid(f"{field}: {said}", code=error.code, field=field)


def _of_members(value: Mapping[str, object], struct: type[msgspec.Struct], at: str) -> Iterator[Invalid]:
    fields = _fields(struct)
    for name in sorted(value.keys() - fields.keys()):
        yield _member(at, name, "unknown-field", "there is no such member")
    for name, (kind, needed) in fields.items():
        if name in value:
            yield from of_types(value[name], kind, member(at, name))
        elif needed:
            yield _member(at, name, "missing-field", "it is needed, and missing")


def _member(at: str, name: str, code: str, why: str) -> Invalid:
    field = member(at, name[:_NAME])
    return Invalid(f"{field}: {why}", code=code, field=field)


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    """Name on the wire to type, and whether it must be there."""
    hints = get_type_hints(struct, include_extras=True)
    fields = msgspec.structs.fields(struct)
    return {field.encode_name: (hints[field.name], field.required) for field in fields}


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    found = (one for one in _choices(kind) if isinstance(one, type) and issubclass(one, msgspec.Struct))
    return next(found, None)


def _items(kind: Any) -> Any:
    """The type of the items, where `kind` is a tuple of any length."""
    found = (get_args(one)[0] for one in _choices(kind) if get_origin(one) is tuple)
    return next(found, None)
