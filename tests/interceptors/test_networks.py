from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from netobj.errors import Refused
from netobj.interceptors import AllowNetworks, DenyNetworks, Peer
from netobj.interceptors.networks import Networks

OURS = ["10.0.0.0/8", "2001:db8::/32", "192.168.1.1"]


def admits(interceptor: Any, address: Any) -> bool:
    try:
        interceptor.on_accept(Peer(address))
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("9.255.255.255", False),
        ("192.168.1.1", True),
        ("192.168.1.2", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("2001:db8:ffff::1", True),
        ("2001:db9::1", False),
        ("::a00:1", False),
    ],
)
def test_who_is_inside(host: str, inside: bool) -> None:
    for address in ((host, 80), (host, 80, 0, 0)):
        assert admits(AllowNetworks(OURS), address) is inside
        assert admits(DenyNetworks(OURS), address) is not inside


@pytest.mark.parametrize("address", ["/run/bank", "", b"\0bank", None])
def test_who_comes_by_a_unix_socket_is_let_in(address: Any) -> None:
    assert admits(AllowNetworks([]), address)
    assert admits(DenyNetworks(["0.0.0.0/0", "::/0"]), address)


def test_what_is_no_ip_address_is_not_allowed() -> None:
    assert not admits(AllowNetworks(["0.0.0.0/0", "::/0"]), (3, 80))


def test_everybody() -> None:
    for host in ("0.0.0.0", "255.255.255.255"):
        assert not admits(DenyNetworks(["0.0.0.0/0"]), (host, 1))
        assert admits(DenyNetworks(["::/0"]), (host, 1))
    assert not admits(DenyNetworks(["::/0"]), ("::1", 1, 0, 0))


def test_networks_in_the_clothes_of_ipv6() -> None:
    networks = Networks(["::ffff:10.0.0.0/104", ip_network("::ffff:192.168.1.1")])
    assert ip_address("10.1.2.3") in networks
    assert ip_address("192.168.1.1") in networks
    assert ip_address("192.168.1.2") not in networks


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "example.org", ""])
def test_what_is_no_network(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits|address"):
        AllowNetworks([network])


def test_a_text_is_no_list() -> None:
    with pytest.raises(TypeError, match="a list of networks"):
        DenyNetworks("10.0.0.0/8")
