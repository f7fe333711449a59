"""What a server says before there is a connection."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import netobj
from netobj.core.config import Config
from netobj.servers import welcoming


class EchoService(netobj.Service):
    def exposed_echo(self, value: Any) -> Any:
        return value


def test_an_authenticator_says_who_it_is() -> None:
    def authenticate(sock: socket.socket) -> tuple[socket.socket, str]:
        return sock, sock.recv(3).decode()

    class Who(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            self.conn = conn

        def exposed_who(self) -> Any:
            return self.conn._config["credentials"]

    with netobj.ThreadedServer(Who, hostname="localhost", authenticator=authenticate) as server:
        sock = socket.create_connection(("localhost", server.port))
        sock.sendall(b"tom")
        with netobj.connect_stream(netobj.SocketStream(sock)) as conn:
            assert conn.root.who() == "tom"


@pytest.mark.parametrize("error", [netobj.AuthenticationError("not you"), ValueError("odd")])
def test_who_is_refused_gets_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def authenticate(sock: socket.socket) -> Any:
        raise error

    server = netobj.ThreadedServer(EchoService, hostname="localhost", authenticator=authenticate)
    with server, socket.create_connection(("localhost", server.port)) as sock:
        sock.settimeout(20)
        assert sock.recv(1) == b""
    assert "authentication failed" in caplog.text
    assert str(error) in caplog.text


def test_who_cannot_be_told_is_no_error() -> None:
    one, other = socket.socketpair()
    other.close()
    with one:
        settings = Config()
        assert welcoming.greet(one, settings, EchoService) is settings


def test_a_hello_that_may_not_fit_is_not_said_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(welcoming, "_LONGEST_HELLO", 10)
    one, other = socket.socketpair()
    with one, other:
        assert welcoming.greet(one, Config(), EchoService) is None
        one.close()
        assert other.recv(1) == b""
