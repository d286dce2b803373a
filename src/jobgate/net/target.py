"""An address as asked, taken apart: where to go, what to say there, and what may be shown of it."""

from __future__ import annotations

import re
import socket
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

import httpx

from jobgate.model.errors import FetchError
from jobgate.net.addresses import Address

_PORTS: Final = {"http": 80, "https": 443}
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME: Final = 253
_LONGEST_SHOWN: Final = 300
_HIGHEST_PORT: Final = 65535
_PACKED: Final = (".gz", ".tgz", ".z", ".svgz")


class Target:
    """One place to go. Its text shows neither userinfo nor query: both may hold secrets."""

    __slots__ = ("basic", "host", "literal", "path", "port", "scheme", "url")

    def __init__(self, url: httpx.URL) -> None:
        self.scheme = url.scheme
        self.host, self.literal = _host(url.raw_host.decode("ascii").lower())
        self.port = url.port or _PORTS[self.scheme]
        if not 0 < self.port <= _HIGHEST_PORT:
            raise FetchError("the address has an impossible port", code="name")
        self.basic = f"{url.username}:{url.password}" if url.userinfo else None
        self.path = url.raw_path
        self.url = url.copy_with(username=None, password=None, fragment=None)

    @property
    def netloc(self) -> str:
        """Host, and the port where it is not the scheme's own: the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and host: all that is shown of an address whose path may be a secret."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def shown(self) -> str:
        """The address without userinfo, query and fragment."""
        path = self.path.split(b"?", 1)[0].decode("ascii", "replace")
        text = self.origin + path
        return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"

    @property
    def names_packed(self) -> bool:
        """Whether the file asked for is itself a packed one: servers often label these as encoded."""
        return self.path.split(b"?", 1)[0].decode("ascii", "replace").lower().endswith(_PACKED)

    def __repr__(self) -> str:
        return f"Target({self.shown})"

    def trusts(self, other: Target) -> bool:
        """Whether what was meant for this place may be said at the other: the same host, never with less protection."""
        if self.host != other.host:
            return False
        ours, theirs = (self.scheme, self.port), (other.scheme, other.port)
        return ours == theirs or (ours, theirs) == (("http", 80), ("https", 443))

    def join(self, location: str) -> Target:
        """Where a redirect leads; raises FetchError as `parse` does."""
        try:
            url = self.url.join(location)
        except httpx.InvalidURL:
            raise FetchError(f"{self.origin} redirects to something that is no address", code="name") from None
        return _target(url)


def parse(url: str) -> Target:
    """The place an address names.

    Raises FetchError: `scheme` for all but http and https, `name` for what is no address, `address-refused` for an
    IPv6 address with a zone.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise FetchError("this is not an address that can be fetched", code="name") from None
    return _target(parsed)


def _target(url: httpx.URL) -> Target:
    if url.scheme not in _PORTS:
        raise FetchError("only http and https addresses are fetched", code="scheme")
    return Target(url)


def _host(host: str) -> tuple[str, Address | None]:
    """The host's plain spelling, and the address where it is one in any spelling a C library would take."""
    if "%" in host and ":" in host:
        raise FetchError("an address with a zone is not reached", code="address-refused")
    if ":" in host:
        try:
            six = IPv6Address(host)
        except AddressValueError:
            raise FetchError("the host is no IPv6 address", code="name") from None
        return str(six), six
    host = host.removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # As the URL standard has it: a host whose last label is a number is an IPv4 address, or nothing.
        try:
            four = IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            raise FetchError("the host is no IPv4 address", code="name") from None
        return str(four), four
    if len(host) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise FetchError("the host is no name", code="name")
    return host, None
