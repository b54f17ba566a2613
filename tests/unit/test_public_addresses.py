"""Where requests on behalf of strangers may go (fault 20)."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.public_addresses import allowed

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
]
NEVER = [
    "100.100.100.200",
    "168.63.129.16",
    "::ffff:168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "192.0.0.170",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",
    "::ffff:0:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1.1.1.1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:101:101::1",
    "3fff::1",
    "5f00::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]
NO_ADDRESSES = [
    "",
    "localhost",
    "example.org",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "1.1.1.1:80",
    "[::1]",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert allowed(address)
    assert allowed(address, private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_one_only_if_these_are(address: str) -> None:
    assert not allowed(address)
    assert allowed(address, private=True)


@pytest.mark.parametrize("address", [*NEVER, *NO_ADDRESSES])
def test_others_never_are(address: str) -> None:
    assert not allowed(address)
    assert not allowed(address, private=True)


@given(st.ip_addresses(v=4))
def test_wrapped_in_ipv6_an_address_is_what_it_is(address: IPv4Address) -> None:
    for private in (False, True):
        plain = allowed(str(address), private=private)
        assert allowed(f"::ffff:{address}", private=private) == plain
        assert allowed(f"64:ff9b::{address}", private=private) == plain
    assert not allowed(f"::{address}", private=False)


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_global_unicast_and_what_wraps_ipv4_is_public(address: IPv6Address) -> None:
    if allowed(str(address)):
        assert int(address) >> 125 == 1 or str(address).startswith(("::ffff:", "64:ff9b::"))
