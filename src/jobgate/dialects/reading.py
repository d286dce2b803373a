"""What dialects read alike: a JSON body, a value of a wire type, an address that may hold a password."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from jobgate.model.errors import Invalid

T = TypeVar("T")

LARGE: Final = 1 << 20
"""Bytes of a body whose decoding makes so many values that looking for garbage among them costs most of the time."""
ADDRESS_LIMIT: Final = 8192
_WIDEST: Final = float(1 << 64)
"""No integer of any wire type is as large."""
_MARK: Final = b"\xef\xbb\xbf"
"""UTF-8's byte-order mark."""
_PLACE: Final = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_NAMED: Final = re.compile(r"(?:missing required|contains unknown) field `(?P<name>.*)`$", re.DOTALL)
_CODES: Final = {"Object missing required": "missing-field", "Object contains unknown": "unknown-field"}


@contextmanager
def uncollected(body: bytes) -> Iterator[None]:
    """Without the garbage collector, where `body` is large: what is decoded makes no cycles."""
    off = len(body) >= LARGE and gc.isenabled()
    if off:
        gc.disable()
    try:
        yield
    finally:
        if off:
            gc.enable()


def number(text: str) -> float:
    """What stands with a point or an exponent; `2.0` is 2.

    JSON has one kind of number, and some languages write all of theirs so.
    """
    found = float(text)
    if not found.is_integer() or abs(found) >= _WIDEST:
        return found
    exact = Decimal(text)  # a float of this size may stand for several integers
    return int(exact) if exact == exact.to_integral_value() else found


def json_object(body: bytes, numbers: Callable[[str], float] | None = None) -> dict[str, object]:
    """The one JSON object a body holds, whatever its label says. Raises Invalid (`invalid-json`).

    `numbers` reads those with a point or an exponent.
    """
    found = json_value(body, numbers)
    if not isinstance(found, dict):
        raise Invalid("the body is JSON, but not one object: it must begin with { and end with }", code="invalid-json")
    return found


def json_value(body: bytes, numbers: Callable[[str], float] | None = None) -> object:
    """The one JSON value a body holds. Raises Invalid (`invalid-json`)."""
    try:
        return msgspec.json.Decoder(float_hook=numbers).decode(body.removeprefix(_MARK))
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Invalid("the body is not JSON in UTF-8; send one JSON object", code="invalid-json") from None


def member(at: str, name: str) -> str:
    """The path of a member below `at`, whatever its name is."""
    if not name or any(char in name for char in '.["\\'):
        said = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{at}["{said}"]'
    return f"{at}.{name}" if at else name


def typed(value: object, kind: type[T]) -> T:
    """`value` as a wire type. Raises Invalid as `fault` words it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise fault(error) from None


def fault(error: msgspec.ValidationError) -> Invalid:
    """The error with the place it stands at: `inputFiles[0].url`; code missing-field, unknown-field or invalid-field.

    msgspec names types and members in its messages, never a value, so that nothing secret comes along.
    """
    text = str(error)
    place = _PLACE.search(text)
    said = text[: place.start()] if place else text
    field = place["path"].replace("[...]", "") if place else ""
    named = _NAMED.search(said)
    if named:
        field = f"{field}.{named['name']}" if field else named["name"]
    code = next((code for begin, code in _CODES.items() if said.startswith(begin)), "invalid-field")
    what = {"missing-field": "it is needed, and missing", "unknown-field": "there is no such member"}.get(
        code, said[:1].lower() + said[1:].replace("`", "")
    )
    return Invalid(f"{field or 'the body'}: {what}", code=code, field=field or None)


def address(url: str, field: str) -> tuple[str, str | None]:
    """The address without user and password, and these as `user:password`; None where it holds none.

    Raises Invalid (`invalid-field`), in words that do not quote it.
    """
    if len(url) > ADDRESS_LIMIT:
        raise _unfit(field, f"an address has at most {ADDRESS_LIMIT} characters")
    if any(c <= " " or c in "\\\x7f" for c in url):
        raise _unfit(field, "an address holds no blanks, no control characters and no backslash")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _unfit(field, "this is no address") from None
    if parts.scheme not in ("http", "https"):
        raise _unfit(field, "only http and https are allowed")
    if not host:
        raise _unfit(field, "the address names no host")
    holder, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = holder.partition(":")
    if ":" in unquote(user):
        raise _unfit(field, "a user's name for HTTP Basic holds no colon")
    clean = urlunsplit(parts._replace(netloc=place))
    return clean, f"{unquote(user)}:{unquote(password)}" if holder not in ("", ":") else None


def _unfit(field: str, why: str) -> Invalid:
    return Invalid(f"{field}: {why}", code="invalid-field", field=field)
