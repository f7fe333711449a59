"""Who may connect, and how many, with real servers and clients."""

from __future__ import annotations

import os
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import netobj
from kinds import KINDS, serving
from netobj.interceptors import (
    AllowNetworks,
    DenyNetworks,
    MaxConnections,
    MaxConnectionsPerAddress,
)
from patience import wait_until

LIMITS = [MaxConnections, MaxConnectionsPerAddress]


class Echo(netobj.Service):
    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def pid(self) -> int:
        return os.getpid()


def is_let_in(*address: Any, **settings: Any) -> bool:
    try:
        with netobj.connect(*address, **settings) as conn:
            return bool(conn.root.echo(True))
    except netobj.ConnectionLost as exc:
        if not settings:  # who is to log in is not told why
            assert "refuses the connection" in str(exc)  # noqa: PT017
        return False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", LIMITS)
def test_so_many_and_no_more_until_one_goes(kind: str, make: Any) -> None:
    with serving(kind, Echo, [make(2)]) as address, ExitStack() as others:
        one = others.enter_context(netobj.connect(*address))
        other = others.enter_context(netobj.connect(*address))
        assert one.root.echo(1) + other.root.echo(2) == 3
        assert not is_let_in(*address)
        one.close()
        wait_until(lambda: is_let_in(*address))
        assert other.root.echo(3) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", LIMITS)
def test_whoever_fails_counts_no_longer(kind: str, make: Any) -> None:
    limit = make(3)
    token, wrong = (netobj.TokenAuthenticator(letter * 20) for letter in "xy")
    token.delay = 0.0
    with serving(kind, Echo, [limit], authenticator=token) as address:
        for _ in range(5):
            with pytest.raises(netobj.AuthenticationError):
                netobj.connect(*address, authenticator=wrong)
            wait_until(lambda: not limit.counts)
        for _ in range(5):  # who says something else, and who is gone at once
            with socket.create_connection(address) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        for _ in range(5):
            with socket.create_connection(address) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: is_let_in(*address, authenticator=token))  # some may not be in yet
        wait_until(lambda: not limit.counts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_storm_leaves_nothing(kind: str) -> None:
    limit = MaxConnectionsPerAddress(5)

    def come(number: int) -> None:
        for turn in range(number, number + 12):
            if turn % 3 == 0:
                is_let_in(*address)
                continue
            with suppress(OSError), socket.create_connection(address) as sock:
                if turn % 3 == 1:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    sock.sendall(b"nonsense" * 10)

    with serving(kind, Echo, [limit]) as address, ThreadPoolExecutor(8) as pool:
        list(pool.map(come, range(8)))
        wait_until(lambda: is_let_in(*address))
        wait_until(lambda: not limit.counts)


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_refused_by_the_next_one_counts_no_longer(kind: str) -> None:
    limit = MaxConnections(3)
    with serving(kind, Echo, [limit, DenyNetworks(["127.0.0.0/8"])]) as address:
        for _ in range(5):
            assert not is_let_in(*address)
        wait_until(lambda: not limit.counts)


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_in_a_login_counts(kind: str) -> None:
    limit = MaxConnections(1)
    token = netobj.TokenAuthenticator("x" * 20)
    with serving(kind, Echo, [limit], authenticator=token) as address:
        with socket.create_connection(address) as sock:
            assert sock.recv(6) == b"netobj"  # it is asked who it is
            with socket.create_connection(address) as other:
                assert other.recv(6) == b""
        wait_until(lambda: not limit.counts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_closes_leaves_nothing(kind: str) -> None:
    limit = MaxConnections(3)
    with ExitStack() as clients:
        with serving(kind, Echo, [limit]) as address:
            for _ in range(3):
                clients.enter_context(netobj.connect(*address)).root.echo(1)
        wait_until(lambda: not limit.counts)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forking_server_counts_children_also_when_they_are_killed() -> None:
    limit = MaxConnections(1)
    with serving("ForkingServer", Echo, [limit]) as address:
        with netobj.connect(*address) as conn:
            child = conn.root.pid()
            assert child != os.getpid()
            assert not is_let_in(*address)
            os.kill(child, signal.SIGKILL)
            wait_until(lambda: is_let_in(*address))
        wait_until(lambda: not limit.counts)


def test_two_servers_may_share_a_limit() -> None:
    limit = MaxConnections(1)
    with (
        serving("ThreadedServer", Echo, [limit]) as one,
        serving("AsyncServer", Echo, [limit]) as other,
        netobj.connect(*one) as conn,
    ):
        assert conn.root.echo(1) == 1
        assert not is_let_in(*other)


@pytest.mark.parametrize("kind", KINDS)
def test_networks(kind: str) -> None:
    with serving(kind, Echo, [AllowNetworks(["127.0.0.1"])]) as address:
        assert is_let_in(*address)
    with serving(kind, Echo, [AllowNetworks(["10.0.0.0/8"])]) as address:
        assert not is_let_in(*address)
    with serving(kind, Echo, [DenyNetworks(["127.0.0.0/8"])]) as address:
        assert not is_let_in(*address)
    with serving(kind, Echo, [DenyNetworks(["10.0.0.0/8"])]) as address:
        assert is_let_in(*address)


@pytest.mark.parametrize("kind", KINDS)
def test_a_unix_socket_has_no_address(kind: str, tmp_path: Path) -> None:
    chain = [AllowNetworks([]), DenyNetworks(["0.0.0.0/0"]), MaxConnectionsPerAddress(1)]
    path = str(tmp_path / "socket")
    make = getattr(netobj, kind)
    with (
        make(Echo, socket_path=path, interceptors=chain),
        netobj.unix_connect(path) as one,
        netobj.unix_connect(path) as other,
    ):
        assert one.root.echo(1) + other.root.echo(2) == 3
