"""From the file's text to settings, or to every fault in it with its line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from jobgate.config.apps import app_of
from jobgate.config.lines import locate
from jobgate.config.settings import Settings
from jobgate.config.units import Unit
from jobgate.model.errors import Invalid

_WHOLE: Final = inspect.type_info(Settings)
_LINE: Final = re.compile(r"at line (\d+)")
_LISTS: Final = frozenset({"inputs", "outputs"})
"""Keys whose values are numbered."""
_LARGEST: Final = 1 << 20
"""Bytes."""
Path_ = tuple[str | int, ...]


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    line: int
    """From 1; 0 when it is nowhere in particular."""
    key: str
    message: str


def load(path: Path | None, overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings in that file, or the defaults; `overrides` are keys of its section [server].

    Raises Invalid naming every fault, one a line.
    """
    given = "" if path is None else text(path)
    faults = check(given)
    if faults:
        told = (f"{path}:{fault.line}: {f'{fault.key}: ' if fault.key else ''}{fault.message}" for fault in faults)
        raise Invalid("\n".join(told))
    settings: Settings = msgspec.convert(_read(tomllib.loads(given), _WHOLE, (), []), Settings)
    if overrides:
        settings = msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, **overrides))
    return settings


def text(path: Path) -> str:
    """What the file says. Raises Invalid when it cannot be read, is no text, or is too large for a configuration."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise Invalid(f"{path} is larger than {_LARGEST >> 20} MiB; a configuration is a short text")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Invalid(f"{path}:{line}: this is not UTF-8, which TOML asks for") from error


def check(text: str) -> list[Fault]:
    """Everything that is wrong, in the order of lines."""
    try:
        document = tomllib.loads(text)
    except RecursionError:
        return [Fault(0, "", "it is nested too deeply")]
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        return [Fault(int(found[1]) if found else len(text.rstrip().splitlines()), "", str(error))]  # or at its end
    faults: list[tuple[Path_, str]] = []
    read = _read(document, _WHOLE, (), faults)
    if not faults:
        faults += _together(msgspec.convert(read, Settings))
    lines = locate(text)
    told = [Fault(_line(lines, path), ".".join(map(str, path)), message) for path, message in faults]
    return sorted(told, key=lambda fault: fault.line)


def _together(settings: Settings) -> Iterator[tuple[Path_, str]]:
    """What is wrong with values that are right one by one."""
    for name, entry in settings.apps.items():
        try:
            app_of(name, entry)
        except Invalid as error:
            keys = (error.field or "").split(".")
            path = (int(key) if above in _LISTS else key for above, key in zip(["", *keys], keys, strict=False))
            yield ("apps", name, *path), error.message


def _line(lines: Mapping[Any, int], path: Path_) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


def _read(value: object, wanted: inspect.Type, at: Path_, faults: list[tuple[Path_, str]]) -> object:
    """The value with its units read; what is wrong is added to `faults`."""
    if isinstance(wanted, inspect.Metadata):
        unit = (wanted.extra or {}).get("unit")
        if isinstance(unit, Unit):
            try:
                return unit.read(value)
            except ValueError as error:
                faults.append((at, f"must be {error}"))
                return value
        return _read(value, wanted.type, at, faults)
    if isinstance(wanted, inspect.StructType):
        return _section(value, wanted, at, faults)
    if isinstance(wanted, inspect.DictType) and isinstance(value, dict):
        for name in value:
            _plain(name, wanted.key_type, (*at, name), faults)
        return {name: _read(item, wanted.value_type, (*at, name), faults) for name, item in value.items()}
    items = getattr(wanted, "item_type", None)
    if items is not None and isinstance(value, list):
        return [_read(item, items, (*at, place), faults) for place, item in enumerate(value)]
    _plain(value, wanted, at, faults)
    return value


def _section(value: object, wanted: inspect.StructType, at: Path_, faults: list[tuple[Path_, str]]) -> object:
    if not isinstance(value, dict):
        faults.append((at, "must be a section"))
        return value
    fields = {field.encode_name: field for field in wanted.fields}
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            faults.append(((*at, name), f"there is no such key{f'; did you mean {near[0]}?' if near else ''}"))
    return {name: _read(item, fields[name].type, (*at, name), faults) for name, item in value.items() if name in fields}


def _plain(value: object, wanted: inspect.Type, at: Path_, faults: list[tuple[Path_, str]]) -> None:
    if isinstance(wanted, inspect.AnyType | inspect.CustomType):  # the dialect reads it
        return
    faults.extend((at, message) for message in _faults(value, wanted))


def _faults(value: object, wanted: inspect.Type) -> Iterator[str]:
    match wanted:
        case inspect.LiteralType(values):
            if value not in values:
                yield f"must be one of {', '.join(map(str, values))}"
        case inspect.BoolType():
            if not isinstance(value, bool):
                yield "must be true or false"
        case inspect.StrType(pattern=pattern):
            if not isinstance(value, str):
                yield "must be a text"
            elif pattern and not re.fullmatch(pattern, value):
                yield "is no name: small letters, digits, and . _ - between them"
        case inspect.IntType(ge=least, le=most) | inspect.FloatType(ge=least, le=most):
            kinds = (int,) if isinstance(wanted, inspect.IntType) else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds):
                yield "must be a whole number" if kinds == (int,) else "must be a number"
            elif (least is not None and value < least) or (most is not None and value > most):
                yield f"must be {f'at least {least}' if most is None else f'from {least} to {most}'}"
        case _:
            yield "must be a list" if hasattr(wanted, "item_type") else "must be a table"
