"""Which addresses may be connected to: public ones, and the networks the operator allows. Pure.

Sources: the IANA special-purpose address registries (RFC 6890 and its updates), RFC 4291 (mapped), RFC 6052 (NAT64),
RFC 3056 (6to4), RFC 4380 (Teredo). IPv6 is given out from 2000::/3 only; everything else there is special or reserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from jobgate.model.errors import FetchError, Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORBIDDEN: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/3",  # unspecified, loopback, mapped, NAT64, discard
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "4000::/2",
        "8000::/1",  # private, link-local, site-local, multicast
    )
)
"""Never connected to unless the operator allows the network; with all IPv6 forms that carry an IPv4 address, because
a route cannot look inside these."""

_NAT64: Final = IPv6Network("64:ff9b::/96")


def judge(address: Address | str, allowed: Sequence[Network] = ()) -> Address:
    """The address, when it may be connected to; an IPv6 one that carries an IPv4 one is judged by that.

    Raises FetchError (`address-refused`), also for a text that is no address.
    """
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            raise FetchError("this is no address", code="address-refused") from None
    if any(address in network for network in allowed):
        return address
    inner = carried(address)
    for one in inner:
        judge(one, allowed)
    if not inner and any(address in network for network in FORBIDDEN):
        raise FetchError("this address is not reachable from here by the operator's rules", code="address-refused")
    return address


def carried(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses an IPv6 address stands for: mapped, NAT64, 6to4; of Teredo both the server and the client."""
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or ()


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from their written form, `10.0.0.0/8` or a single address.

    Raises Invalid naming one that is none, or that has bits set beyond its length.
    """
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError:
            raise Invalid(f"{text!r} is not a network such as 10.0.0.0/8", field="allow") from None
    return tuple(found)


def forbidden(allowed: Iterable[Network] = ()) -> tuple[Network, ...]:
    """FORBIDDEN with the allowed networks cut out: what a sandbox's routes make unreachable."""
    left: tuple[Network, ...] = FORBIDDEN
    for hole in allowed:
        left = tuple(piece for whole in left for piece in _without(whole, hole))
    return left


def _without(whole: Network, hole: Network) -> Iterable[Network]:
    if isinstance(whole, IPv4Network) and isinstance(hole, IPv4Network) and whole.overlaps(hole):
        return () if whole.subnet_of(hole) else whole.address_exclude(hole)
    if isinstance(whole, IPv6Network) and isinstance(hole, IPv6Network) and whole.overlaps(hole):
        return () if whole.subnet_of(hole) else whole.address_exclude(hole)
    return (whole,)
