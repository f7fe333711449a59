from __future__ import annotations

import socket
import sys

import pytest

from netobj.registry import interfaces
from netobj.registry.interfaces import facing, local_addresses


def test_the_addresses_of_this_machine_can_be_bound() -> None:
    found = local_addresses()
    assert found[0] == "127.0.0.1"
    assert len(found) == len(set(found))
    for address in found:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))


def test_each_of_them_sees_itself() -> None:
    for address in local_addresses():
        assert facing(address) == address


def test_where_no_way_leads() -> None:
    assert facing("255.255.255.255") is None  # a socket that may not broadcast


def test_without_a_descriptor_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", fail)
    assert facing("127.0.0.1") is None


@pytest.mark.parametrize("knows", [True, False])
def test_other_systems(monkeypatch: pytest.MonkeyPatch, knows: bool) -> None:
    def look_up(*_args: object) -> list[tuple[object, ...]]:
        if not knows:
            raise socket.gaierror(-2, "Name or service not known")
        return [(2, 1, 6, "", ("127.0.1.1", 0)), (2, 1, 6, "", ("10.0.0.5", 0))]

    monkeypatch.setattr(sys, "platform", "plan9")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(interfaces, "facing", lambda host: "10.0.0.6" if knows else None)
    more = ["127.0.1.1", "10.0.0.5", "10.0.0.6"] if knows else []
    assert local_addresses() == ["127.0.0.1", *more]
