"""What every verb reads of a call: the credential, the query, the JSON body, ids, conditions, the idempotency key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobgate.dialects.dialect import Call
from jobgate.dialects.native.faults import gathered, of_types, with_words
from jobgate.dialects.native.wire import NAME
from jobgate.dialects.reading import json_object, number
from jobgate.model.account import Kind, Proof
from jobgate.model.errors import Invalid, NotFound, Unauthenticated
from jobgate.model.guard import Guard
from jobgate.model.ids import Digest

LONGEST_WAIT: Final = 60.0
"""Seconds that one answer waits at most; who wants more asks again."""
KEY_LENGTH: Final = 255
WHOLE: Final = {"whole": True}
"""`Meta.extra` of a parameter whose values may hold commas."""

_NUMBER: Final = re.compile(r"-?\d{1,19}(?:\.\d{1,20})?(?:[eE][-+]?\d{1,3})?", re.ASCII)
"""A number as JSON writes it: whoever prints a float prints one of these."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d.+", re.ASCII)

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class Waiting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`?wait=SECONDS`."""

    wait: Annotated[Seconds, Meta(description="Seconds to wait for the end, at most 60 of them.")] = 0.0


class QueryFault(Invalid):
    """A parameter of the query, or a header, is wrong; `field` is its name."""


def credential(call: Call) -> Proof:
    """The key of `Authorization: Bearer`. Raises Unauthenticated."""
    scheme, _, key = call.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated("an API key is needed: Authorization: Bearer KEY")
    return Proof(Kind.API_KEY, key.strip())


def query(call: Call, kind: type[S]) -> S:
    """The parameters as one struct: of a tuple every value, split at commas; of others the last.

    Raises QueryFault, or Faults of these.
    """
    given = _gathered(call, kind)
    plain = all(form.fullmatch(given[name]) for name, (form, _) in _forms(kind).items() if name in given)
    try:
        found = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError:
        plain = False
    if not plain:
        raise gathered(_query_faults(call, kind)) or QueryFault("the query cannot be understood")
    return found


def _query_faults(call: Call, kind: type[msgspec.Struct]) -> Iterator[Invalid]:
    hints = get_type_hints(kind, include_extras=True)
    for name, value in _gathered(call, kind).items():
        if name not in hints:
            yield QueryFault(f"{name[:100]}: there is no such parameter", code="unknown-field", field=name[:100])
            continue
        form, what = _forms(kind).get(name, (None, ""))
        if form is not None and not form.fullmatch(value):
            yield QueryFault(f"{name}: {what} is needed", code="invalid-field", field=name)
            continue
        try:
            msgspec.convert(value, hints[name], strict=False)
        except msgspec.ValidationError as error:
            said = str(error).partition(" - at `")[0]
            told = with_words(f"{said[:1].lower()}{said[1:]}", hints[name])
            yield QueryFault(f"{name}: {told}", code="invalid-field", field=name)


def _gathered(call: Call, kind: type[msgspec.Struct]) -> dict[str, Any]:
    many = _many(kind)
    found: dict[str, Any] = {}
    for name, value in call.pairs or tuple(call.query.items()):
        if name not in many:
            found[name] = value
        else:
            found.setdefault(name, []).extend([value] if many[name] else filter(None, value.split(",")))
    return found


@cache
def _forms(kind: type[msgspec.Struct]) -> dict[str, tuple[re.Pattern[str], str]]:
    """How numbers and times are written: as in JSON and RFC 3339, and not in all the ways that msgspec reads."""
    hints = {name: {hint, *get_args(hint)} for name, hint in get_type_hints(kind).items()}
    numbers = {name: (_NUMBER, "a number") for name, kinds in hints.items() if {int, float} & kinds}
    return numbers | {name: (_TIME, "a time as RFC 3339 has it") for name, kinds in hints.items() if datetime in kinds}


@cache
def _many(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """Parameters that may be given several times, and whether their values are taken whole."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        metas = [arg for arg in get_args(hint) if isinstance(arg, Meta)] if get_origin(hint) is Annotated else []
        base = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if get_origin(base) is tuple:
            found[name] = any(meta.extra == WHOLE for meta in metas)
    return found


def body(call: Call, kind: type[T]) -> T:
    """The JSON body. Raises Invalid with every fault."""
    try:
        return msgspec.json.decode(call.body, type=kind)
    except msgspec.ValidationError:
        read = json_object(call.body, numbers=number)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise not_json() from None
    try:
        return msgspec.convert(read, kind)
    except msgspec.ValidationError:
        found = gathered(of_types(read, kind))
        raise found or Invalid("the body cannot be understood", code="invalid-json") from None


def body_or(call: Call, kind: type[T], instead: T) -> T:
    """The JSON body, or `instead` where there is none."""
    return body(call, kind) if call.body.strip() else instead


def not_json() -> Invalid:
    """What is said of a body that is no JSON."""
    return Invalid("the body is not JSON in UTF-8; send one JSON object", code="invalid-json")


def begins(after: str | None, read: Callable[[str], T]) -> T | None:
    """Where a page begins, as the page before named it. Raises QueryFault for what none has named."""
    try:
        return None if after is None else read(after)
    except NotFound:
        raise QueryFault("after: no page ended so; take it from next", code="invalid-cursor", field="after") from None


def wait(asked: Waiting) -> float:
    """Seconds to wait, LONGEST_WAIT at most."""
    return min(asked.wait, LONGEST_WAIT)


def guard(call: Call, *about: bytes) -> Guard | None:
    """The Idempotency-Key, bound to the verb and the body as it came, and to what else makes the request.

    Raises Invalid (`key`).
    """
    keyed = Keyed(call)
    keyed.feed(call.body)
    return keyed.guard(*about)


class Keyed:
    """The Idempotency-Key of a call whose body comes in pieces. Raises Invalid (`key`)."""

    def __init__(self, call: Call) -> None:
        self._key = call.headers.get("idempotency-key")
        if self._key is not None and not 1 <= len(self._key) <= KEY_LENGTH:
            told = f"Idempotency-Key: 1 to {KEY_LENGTH} characters"
            raise QueryFault(told, code="invalid-field", field="Idempotency-Key")
        self._digest = hashlib.sha256(call.verb.encode() + b"\0")

    def feed(self, piece: bytes) -> None:
        """The next bytes of the body."""
        if self._key is not None:
            self._digest.update(piece)

    def guard(self, *about: bytes) -> Guard | None:
        """With `about`, what else makes the request; None without a key."""
        if self._key is None:
            return None
        for one in about:
            self._digest.update(b"\0" + one)
        return Guard(key=self._key, scope=NAME, body=Digest(self._digest.hexdigest()))


def known(value: T | UnsetType) -> T | None:
    """The value, or None where it was not said."""
    return None if value is UNSET else value
