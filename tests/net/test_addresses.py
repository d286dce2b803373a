from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.errors import FetchError, Invalid
from jobgate.net.addresses import FORBIDDEN, carried, forbidden, judge, networks

REFUSED = (
    "0.0.0.0",  # nothing is bound
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.8",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:808:808:0:0:f5ff:fffe",  # Teredo by a public server, for 10.0.0.1
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "no address",
    "",
)
REACHED = (
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::",
)
FOURS = st.integers(0, 2**32 - 1).map(IPv4Address)
SIXES = st.integers(0, 2**128 - 1).map(IPv6Address)


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(FetchError) as caught:
        judge(address)
    assert caught.value.code == "address-refused"
    assert not caught.value.retryable


@pytest.mark.parametrize("address", REACHED)
def test_a_public_address_is_reached_in_every_form(address: str) -> None:
    assert judge(address) == ip_address(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00::1"])
def test_an_address_in_a_network_the_operator_allows_is_reached(address: str) -> None:
    judge(address, networks(["10.1.0.0/16", "fd00::/8"]))


def test_an_allowed_network_opens_no_other() -> None:
    with pytest.raises(FetchError):
        judge("10.2.0.1", networks(["10.1.0.0/16"]))


@given(FOURS)
def test_an_ipv6_form_is_judged_as_the_ipv4_address_it_carries(four: IPv4Address) -> None:
    number = int(four)
    forms = (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80)
    for form in map(IPv6Address, forms):
        assert carried(form) == (four,)
        assert refused(form) == refused(four)


@given(st.one_of(FOURS, SIXES))
def test_what_is_refused_and_carries_nothing_lies_in_a_forbidden_network(address: IPv4Address | IPv6Address) -> None:
    listed = any(address in network for network in FORBIDDEN)
    if not carried(address):
        assert refused(address) == listed
    else:
        assert listed


def test_allowed_networks_are_cut_out_of_the_forbidden_ones() -> None:
    left = forbidden(networks(["10.1.0.0/16", "127.0.0.1", "172.0.0.0/8"]))
    assert not any(ip_address("10.1.2.3") in network for network in left)
    assert any(ip_address("10.2.0.0") in network for network in left)
    assert not any(ip_address("127.0.0.1") in network for network in left)
    assert not any(ip_address("172.16.0.1") in network for network in left)
    assert forbidden() == FORBIDDEN


@pytest.mark.parametrize("text", ["10.0.0.5/8", "ten", "10.0.0.0/33", ""])
def test_a_network_that_is_none_is_named(text: str) -> None:
    with pytest.raises(Invalid, match="is not a network"):
        networks([text])


def refused(address: IPv4Address | IPv6Address) -> bool:
    try:
        judge(address)
    except FetchError:
        return True
    return False
