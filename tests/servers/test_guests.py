"""How many may be with a server, and who counts."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from crowding import is_served

import netobj
from netobj.servers.guests import Guests
from patience import wait_until


class EchoService(netobj.Service):
    def exposed_echo(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize(
    "kind", [netobj.ThreadedServer, netobj.ThreadPoolServer, netobj.AsyncServer]
)
def test_at_max_connections_the_newcomer_is_told_why(kind: Any) -> None:
    with kind(EchoService, hostname="localhost", max_connections=2) as server:
        one = netobj.connect("localhost", server.port)
        other = netobj.connect("localhost", server.port)
        assert one.root.echo(1) == other.root.echo(1) == 1
        for _ in range(3):
            refused = netobj.connect("localhost", server.port)
            with refused, pytest.raises(EOFError, match="has 2 connections, and takes no more"):
                refused.root.echo(1)
        assert one.root.echo(2) == 2
        one.close()
        wait_until(lambda: is_served(server.port))
        other.close()


def test_who_is_being_admitted_counts_once() -> None:
    gate = threading.Event()

    class Slow(Guests):
        def let_go(self, sock: socket.socket) -> None:
            gate.wait(20)
            super().let_go(sock)

    server = netobj.ThreadedServer(EchoService, hostname="localhost", max_connections=2)
    server._guests = Slow()
    with server:
        try:
            with netobj.connect("localhost", server.port) as one:
                wait_until(lambda: len(server.clients) == 1)
                with netobj.connect("localhost", server.port) as other:
                    wait_until(lambda: len(server.clients) == 2)
                    gate.set()
                    assert one.root.echo(1) == other.root.echo(1) == 1
        finally:
            gate.set()


def _admitted(server: Any) -> Any:
    return server._running._admitting if hasattr(server, "_running") else server._guests.admitted


@pytest.mark.parametrize("kind", [netobj.ThreadedServer, netobj.AsyncServer])
def test_who_does_not_authenticate_itself_makes_room(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(sock: socket.socket) -> Any:
        raise netobj.AuthenticationError("not you")

    with kind(EchoService, hostname="localhost", max_connections=1, authenticator=refuse) as server:
        for number in range(1, 4):
            with socket.create_connection(("localhost", server.port)) as sock:
                sock.settimeout(20)
                assert sock.recv(1) == b""
            wait_until(lambda count=number: caplog.text.count("not you") == count)
            wait_until(lambda: not _admitted(server))


def test_a_guest_is_counted_until_it_is_let_go_of_or_has_left() -> None:
    guests = Guests()
    one, other = socket.socketpair()
    with one, other:
        assert guests.admit(one, 1)
        assert not guests.admit(other, 1)
        guests.let_go(one)
        assert guests.admit(other, 1)
        conn: Any = object()
        assert guests.enter(other, conn)
        assert guests.present() == (conn,)
        assert not guests.admit(one, 1)
        assert guests.leave(conn)
        assert not guests.leave(conn)
        assert guests.admit(one, 1)


def test_when_it_is_closed_nobody_enters_and_logins_end() -> None:
    guests = Guests()
    conn: Any = object()
    one, other = socket.socketpair()
    with one, other:
        with guests.arrival(one):
            assert guests.close() == []
            assert other.recv(1) == b""
        assert not guests.arriving
        assert not guests.enter(one, conn)
        assert guests.present() == ()
    one, other = socket.socketpair()
    with one, other, guests.arrival(one):  # who comes late
        assert other.recv(1) == b""
