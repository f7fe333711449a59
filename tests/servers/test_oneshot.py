"""One connection, and the end."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj.auth import TokenAuthenticator, new_token
from netobj.servers.base import Server
from patience import HANG

ROOT = Path(__file__).parents[2]


class EchoService(netobj.Service):
    def exposed_echo(self, value: Any) -> Any:
        return value


def started(server: Server) -> threading.Thread:
    server.listener  # noqa: B018  (bind before anybody connects)
    thread = threading.Thread(target=server.start)
    thread.start()
    return thread


def test_one_shot_server_serves_one_connection_and_start_returns() -> None:
    server = netobj.OneShotServer(EchoService, hostname="localhost")
    port = server.port
    thread = started(server)
    with netobj.connect("localhost", port) as conn:
        assert conn.root.echo(1) == 1
        with pytest.raises(OSError, match=f"localhost:{port}"):  # not in a queue behind the first
            netobj.connect("localhost", port)
        assert conn.root.echo(2) == 2
    thread.join(20)
    assert not thread.is_alive()
    assert server.port == port
    with pytest.raises(OSError, match="the server is closed"):
        server.fileno()


def test_a_one_shot_server_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = netobj.OneShotServer(EchoService, socket_path=str(path))
    thread = started(server)
    with netobj.unix_connect(str(path)) as conn:
        assert conn.root.echo(1) == 1
    thread.join(20)
    assert not thread.is_alive()
    assert not path.exists()


def test_who_fails_to_log_in_does_not_take_the_place() -> None:
    token, wrong = TokenAuthenticator(new_token()), TokenAuthenticator(new_token())
    token.delay = 0.0
    server = netobj.OneShotServer(EchoService, hostname="localhost", authenticator=token)
    port = server.port
    thread = started(server)
    for _ in range(2):
        with pytest.raises(netobj.AuthenticationError, match="wrong credentials"):
            netobj.connect("localhost", port, authenticator=wrong)
    socket.create_connection(("localhost", port)).close()
    with netobj.connect("localhost", port, authenticator=token) as conn:
        assert conn.root.echo(1) == 1
    thread.join(HANG)
    assert not thread.is_alive()


def test_who_breaks_off_the_handshake_does_not_take_the_place(certificates: Certificates) -> None:
    server = netobj.OneShotServer(
        EchoService, hostname="localhost", ssl_context=certificates.server
    )
    port = server.port
    thread = started(server)
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        netobj.connect(
            "localhost", port, ssl_context=certificates.client, server_hostname="elsewhere"
        )
    with netobj.connect("localhost", port, ssl_context=certificates.client) as conn:
        assert conn.root.echo(1) == 1
    thread.join(HANG)
    assert not thread.is_alive()


def test_closing_a_one_shot_server_in_the_midst_of_a_login() -> None:
    token = TokenAuthenticator(new_token())
    server = netobj.OneShotServer(EchoService, hostname="localhost", authenticator=token)
    port = server.port
    thread = started(server)
    with socket.create_connection(("localhost", port)) as silent:
        silent.settimeout(HANG)
        assert silent.recv(4096)
        server.close()
        thread.join(HANG)
        assert not thread.is_alive()


def test_closing_a_one_shot_server_ends_its_connection() -> None:
    server = netobj.OneShotServer(EchoService, hostname="localhost")
    with server, netobj.connect("localhost", server.port) as conn:
        assert conn.root.echo(1) == 1
        server.close()
        conn.wait_closed()


def test_calls_of_a_one_shot_server_on_a_thread_of_the_program() -> None:
    pump = netobj.Pump()
    server = netobj.OneShotServer(EchoService, hostname="localhost", executor=pump)
    with server, netobj.connect("localhost", server.port) as conn:
        result = netobj.async_(conn.root.echo)(1)
        while not result.ready:
            pump.pump(0.01)
        assert result.value == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_one_shot_server_ends_by_a_signal_while_it_serves(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            assert process.stdout is not None
            with netobj.connect("localhost", int(process.stdout.readline())) as conn:
                assert conn.root.get_service_name() == "VOID"
                process.send_signal(number)
                conn.wait_closed()
            assert process.wait(HANG) == 0
        finally:
            process.kill()


PROGRAM = """
import netobj
server = netobj.OneShotServer(netobj.VoidService, hostname="localhost")
print(server.port, flush=True)
server.start()
"""
