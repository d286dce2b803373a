"""Values that are written as people write them: `4GiB`, `5 min`, `10.1.0.0/16`. Read once, at the door.

Each reader takes what TOML gave, returns the plain value, and raises ValueError in words that follow "must be".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from jobgate.model.errors import Invalid
from jobgate.model.files import STAGED_NAME, check_path

_BYTES: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
}
_SECONDS: Final[Mapping[str, int]] = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_WRITTEN: Final = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*")
_LARGEST: Final = 1 << 63
_HIGHEST_PORT: Final = 65_535


class Unit(msgspec.Struct, frozen=True):
    """A way of writing a value."""

    word: str
    """What the reference calls it."""
    read: Callable[[object], object]
    show: Callable[[Any], str] = str
    """The value as one would write it."""


def _amount(value: object, units: Mapping[str, int], wanted: str) -> Decimal:
    if isinstance(value, str) and (match := _WRITTEN.fullmatch(value)) and match[2].lower() in units:
        amount = Decimal(match[1]) * units[match[2].lower()]
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        amount = Decimal(value)
    else:
        raise ValueError(wanted)
    if not 0 <= amount < _LARGEST:
        raise ValueError(wanted)
    return amount


def size(value: object) -> int:
    """Bytes. Raises ValueError for anything but a size that is a whole number of them."""
    wanted = "a size such as 512MiB or 4GiB, or a number of bytes"
    amount = _amount(value, _BYTES, wanted)
    if amount != int(amount):
        raise ValueError(wanted)
    return int(amount)


def duration(value: object) -> float:
    """Seconds. Raises ValueError for anything but a duration."""
    return float(_amount(value, _SECONDS, "a duration such as 90s, 5 min, 2 h or 30 d, or a number of seconds"))


def network(value: object) -> str:
    """A network in its own form. Raises ValueError for anything else."""
    try:
        return str(ip_network(value)) if isinstance(value, str) else _refuse()
    except ValueError as error:
        raise ValueError("a network such as 10.1.0.0/16 or fd00::/8, with no bits beyond its prefix") from error


def place(value: object) -> str:
    """An address, with a port or without. Raises ValueError for anything else."""
    try:
        return _place(value) if isinstance(value, str) else _refuse()
    except ValueError as error:
        raise ValueError("an address such as 127.0.0.1, 127.0.0.1:8080 or [::1]:8080") from error


def _place(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        host, _, port = text.rpartition(":")
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        if isinstance(address, IPv6Address) != (host.startswith("[") and host.endswith("]")):
            _refuse()
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
            _refuse()
    return text


def web_address(value: object) -> str:
    """An http or https address without its last slash, or nothing. Raises ValueError for anything else."""
    if value == "":
        return ""
    wanted = "an address such as https://jobs.example.org, without user, query or fragment"
    if not isinstance(value, str) or value != value.strip():
        raise ValueError(wanted)
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError(wanted) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError(wanted)
    if "?" in value or "#" in value:
        raise ValueError(wanted)
    return value.rstrip("/")


def file_path(value: object) -> str:
    """A file's path in a workspace, or nothing. Raises ValueError for anything else."""
    if value == "":
        return ""
    wanted = "a path from the workspace, such as data/in, without .. and control characters"
    if not isinstance(value, str):
        raise ValueError(wanted)  # noqa: TRY004  # the words follow "must be", as all of these do
    try:
        check_path(value, "path")
    except Invalid as error:
        raise ValueError(wanted) from error
    return value


def staged_name(value: object) -> str:
    """The name of a staged file, or nothing. Raises ValueError for anything else."""
    if value == "" or (isinstance(value, str) and STAGED_NAME.fullmatch(value)):
        return str(value)
    raise ValueError("a name of 1 to 191 letters, digits, blanks, and . _ -")


def _refuse() -> str:
    raise ValueError


def _shown(value: float, units: Mapping[str, int], names: Mapping[str, str]) -> str:
    fitting = [(factor, unit) for unit, factor in units.items() if unit in names and value and value % factor == 0]
    factor, unit = max(fitting, default=(1, ""))
    return f"{value / factor:g}{names.get(unit, '')}"


def _show_size(value: int) -> str:
    return _shown(value, _BYTES, {"kib": "KiB", "mib": "MiB", "gib": "GiB", "tib": "TiB", "pib": "PiB"})


def _show_duration(value: float) -> str:
    return _shown(value, _SECONDS, {"s": " s", "min": " min", "h": " h", "d": " d"})


SIZE: Final = Unit("size", size, _show_size)
DURATION: Final = Unit("duration", duration, _show_duration)
NETWORK: Final = Unit("network", network)
PLACE: Final = Unit("address, or address:port", place)
FILE: Final = Unit("path in the workspace", file_path)
STAGED: Final = Unit("name of a staged file", staged_name)
WEB_ADDRESS: Final = Unit("http or https address", web_address)
