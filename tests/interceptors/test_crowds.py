from __future__ import annotations

import threading
from typing import Any

import pytest

from netobj.errors import Refused
from netobj.interceptors import MaxConnections, MaxConnectionsPerAddress, Peer


def test_no_more_than_so_many() -> None:
    limit = MaxConnections(2)
    one, other, third = (Peer(("10.0.0.1", port)) for port in (1, 2, 3))
    limit.on_accept(one)
    limit.on_accept(other)
    with pytest.raises(Refused, match="it has 2 connections, and takes no more"):
        limit.on_accept(third)
    limit.on_leave(one)
    limit.on_accept(third)
    with pytest.raises(Refused):
        limit.on_accept(one)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, together: bool) -> None:
    limit = MaxConnectionsPerAddress(1)
    limit.on_accept(Peer((one, 1)))
    if together:
        with pytest.raises(Refused, match="has 1 connection, and may have no more"):
            limit.on_accept(Peer((other, 2)))
    else:
        limit.on_accept(Peer((other, 2)))


def test_each_ipv6_address_by_itself_where_that_is_asked_for() -> None:
    limit = MaxConnectionsPerAddress(1, ipv6_prefix=128)
    limit.on_accept(Peer(("2001:db8::1", 1, 0, 0)))
    limit.on_accept(Peer(("2001:db8::2", 1, 0, 0)))
    with pytest.raises(Refused, match="2001:db8::2 has 1"):
        limit.on_accept(Peer(("2001:db8::2", 2, 0, 0)))


def test_unix_sockets_have_no_address_to_count() -> None:
    limit = MaxConnectionsPerAddress(1)
    peers = [Peer("") for _ in range(3)]
    for peer in peers:
        limit.on_accept(peer)
    for peer in peers:
        limit.on_leave(peer)
    assert not limit.counts


def test_nothing_is_left_of_who_has_gone() -> None:
    limit = MaxConnectionsPerAddress(2)
    for number in range(100):
        peer = Peer((f"10.0.0.{number}", 1))
        limit.on_accept(peer)
        limit.on_leave(peer)
    assert not limit.counts


@pytest.mark.parametrize("make", [MaxConnections, MaxConnectionsPerAddress])
def test_threads_count_right(make: Any) -> None:
    limit = make(5)
    start = threading.Barrier(8)
    inside = []

    def come_and_go() -> None:
        start.wait()
        for _ in range(200):
            peer = Peer(("10.0.0.1", 1))
            try:
                limit.on_accept(peer)
            except Refused:
                continue
            inside.append(sum(limit.counts.values()))
            limit.on_leave(peer)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(inside) <= 5
    assert not limit.counts


def test_limits_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="would admit nobody"):
        MaxConnections(0)
    with pytest.raises(ValueError, match="128 bits"):
        MaxConnectionsPerAddress(1, ipv6_prefix=129)
