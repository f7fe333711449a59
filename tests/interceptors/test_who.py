from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from netobj.interceptors.who import address_of, group_of, user_of, visible


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("10.0.0.1", 80), "10.0.0.1"),
        (("::1", 80, 0, 0), "::1"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::1"),
        (("::ffff:10.0.0.1", 80, 0, 0), "10.0.0.1"),
    ],
)
def test_addresses(peer: Any, address: str) -> None:
    assert address_of(peer) == ip_address(address)


@pytest.mark.parametrize("peer", [None, "", "/run/bank", b"\0bank", (), (3, 80), ("a pipe", 1)])
def test_what_has_no_address(peer: Any) -> None:
    assert address_of(peer) is None


def test_groups() -> None:
    assert group_of(ip_address("10.0.0.1"), 24) == "10.0.0.1"
    address = ip_address("2001:db8:1:2:3:4:5:6")
    assert group_of(address) == "2001:db8:1:2::/64"
    assert group_of(address, 48) == "2001:db8:1::/48"
    assert group_of(address, 128) == "2001:db8:1:2:3:4:5:6"


def test_users() -> None:
    alice: dict[str, Any] = {"subject": ((("commonName", "alice"),),), "serialNumber": "1"}
    assert user_of(alice) == user_of({**alice, "serialNumber": "2"})
    assert user_of(alice) != user_of({**alice, "subject": ((("commonName", "bob"),),)})
    assert user_of({"uid": 7}) == '{"uid": 7}'
    assert user_of(7) == "7"
    assert user_of({(1, 2): 3}) == "{(1, 2): 3}"


@pytest.mark.parametrize(
    "name",
    ["a b", "-", 'a"b', "a\nb", "a\rb", "a\x1b[2Jb", "a\u2028b", "a\u00a0b", "a\x85b", "\ud800"],
)
def test_names_are_one_word(name: str) -> None:
    word = visible(name)
    assert word.isprintable()
    assert word.isascii()
    assert word.startswith('"')


def test_long_names_are_cut() -> None:
    assert len(visible("x" * 1000)) == 203
    assert visible("José") == "José"
