from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import netobj
from netobj.servers.base import Server


class EchoService(netobj.Service):
    def exposed_echo(self, value: Any) -> Any:
        return value


def test_the_port_is_known_before_start() -> None:
    server = netobj.ThreadedServer(EchoService, hostname="localhost")
    try:
        assert server.port > 0
        assert server.port == server.port
        assert server.host == "127.0.0.1"
        assert server.fileno() == server.listener.fileno() >= 0
        assert not server.active
    finally:
        server.close()


@pytest.mark.parametrize("more", [{"port": 1}, {"hostname": "localhost"}, {"ipv6": True}])
def test_a_socket_path_goes_with_nothing_else(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="socket_path cannot go together"):
        netobj.ThreadedServer(EchoService, socket_path="x", **more)


def test_the_port_is_known_after_close() -> None:
    server = netobj.ThreadedServer(netobj.VoidService, hostname="127.0.0.1")
    server.fileno()
    port = server.port
    server.close()
    assert (server.host, server.port) == ("127.0.0.1", port)


def test_a_server_that_was_closed_before_it_was_bound_has_no_port() -> None:
    server = netobj.ThreadedServer(netobj.VoidService, hostname="127.0.0.1")
    server.close()
    with pytest.raises(OSError, match="the server is closed"):
        _ = server.port


def test_with_serves_and_closing_ends_the_connections() -> None:
    with netobj.ThreadedServer(EchoService, hostname="localhost") as server:
        port = server.port
        conn = netobj.connect("localhost", port)
        assert conn.root.echo("x") == "x"
        assert len(server.clients) == 1
    conn.wait_closed()
    with pytest.raises(netobj.ConnectionLost):
        conn.root.echo("x")
    with pytest.raises(ConnectionRefusedError):
        netobj.connect("localhost", port)
    server.close()
    conn.close()
    assert not server.active


def test_start_in_a_thread_of_the_program() -> None:
    server = netobj.ThreadedServer(EchoService, hostname="localhost")
    thread = threading.Thread(target=server.start)
    port = server.port
    thread.start()
    with netobj.connect("localhost", port) as conn:
        assert conn.root.echo(1) == 1
    server.close()
    thread.join(20)
    assert not thread.is_alive()


def test_the_descriptors_are_given_back() -> None:
    def serve_once() -> None:
        with netobj.ThreadedServer(EchoService, hostname="localhost") as server:
            for _ in range(5):
                with netobj.connect("localhost", server.port) as conn:
                    assert conn.root.echo(1) == 1

    serve_once()
    before = len(os.listdir("/proc/self/fd"))
    serve_once()
    serve_once()
    pause = threading.Event()
    for _ in range(2000):
        if len(os.listdir("/proc/self/fd")) <= before:
            break
        pause.wait(0.005)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_class_gives_each_connection_an_instance_and_an_instance_is_shared() -> None:
    class Counter(netobj.Service):
        def __init__(self) -> None:
            self.count = 0

        def exposed_next(self) -> int:
            self.count += 1
            return self.count

    for service, expected in ((Counter, [1, 1]), (Counter(), [1, 2])):
        with netobj.ThreadedServer(service, hostname="localhost") as server:
            seen = []
            for _ in range(2):
                with netobj.connect("localhost", server.port) as conn:
                    seen.append(conn.root.next())
            assert seen == expected


def test_names_and_aliases() -> None:
    class FooService(netobj.Service):
        pass

    class Bar(netobj.Service):
        ALIASES = ("floop", "bloop")

    assert FooService.get_service_name() == "FOO"
    assert Bar.get_service_aliases() == ("FLOOP", "BLOOP")
    assert Bar.get_service_name() == "FLOOP"
    with netobj.connect_thread(remote_service=Bar) as conn:
        assert conn.root.get_service_name() == "FLOOP"
        assert conn.root.get_service_aliases() == ("FLOOP", "BLOOP")
    server = netobj.ThreadedServer(FooService, port=0)
    assert server.logger.name.startswith("FOO/")


def test_settings_reach_the_connections() -> None:
    config = {"allow_public_attrs": True, "sync_request_timeout": 5}

    class Open(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            self.conn = conn

        def shown(self) -> Any:
            return self.conn._config["sync_request_timeout"]

    with (
        netobj.ThreadedServer(Open, hostname="localhost", protocol_config=config) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert conn.root.shown() == 5


# --- strangers ----------------------------------------------------------------------------------


def logged_errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The errors, once there are any: a worker logs them."""
    end = time.monotonic() + 10
    while True:
        errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
        if errors or time.monotonic() > end:
            return errors
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "does not speak netobj"),
        (b"netobj 2\r\n", "speaks major version 2"),
        (b"netobj 1\r\n\x7f\xff\xff\xff", "announced a frame of 2147483647 bytes"),
        pytest.param(bytes(range(200, 256)), "does not speak netobj", id="noise"),
    ],
)
def test_strangers_are_logged_and_the_server_goes_on(
    data: bytes, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with netobj.ThreadedServer(EchoService, hostname="localhost") as server:
        with netobj.connect("localhost", server.port) as conn:
            with socket.create_connection(("localhost", server.port)) as sock:
                sock.settimeout(20)
                sock.sendall(data)
                try:
                    while sock.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
            errors = logged_errors(caplog)
            assert [r.name for r in errors] == [server.logger.name]
            assert text in errors[0].getMessage()
            assert conn.root.echo(1) == 1
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.echo(2) == 2


def test_who_connects_and_goes_at_once_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with netobj.ThreadedServer(EchoService, hostname="localhost") as server:
        for _ in range(20):
            socket.create_connection(("localhost", server.port)).close()
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.echo(1) == 1
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_a_server_needs_to_say_how_it_runs_connections() -> None:
    server = Server(EchoService, hostname="localhost")
    one, other = socket.socketpair()
    with one, other, pytest.raises(NotImplementedError):
        server._accept_method(one)
    server.close()


PROGRAM = """
import logging, signal, sys
import netobj

signal.signal(signal.SIGINT, signal.default_int_handler)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
server = netobj.ThreadedServer(netobj.SlaveService, hostname="localhost")
print(server.port, flush=True)
server.start()
print("after start", flush=True)
"""


def test_ctrl_c_closes_the_server_and_its_connections() -> None:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as out:
        port = int(out.readline())
        with netobj.connect("localhost", port) as conn:
            assert conn.root.eval("1 + 1") == 2
            child.send_signal(signal.SIGINT)
            conn.wait_closed()
            assert "goodbye" in str(conn.session.lost)
        text = out.read()
    assert child.wait(20) == 0
    assert "interrupted: the server closes" in text
    assert "server has terminated" in text
    assert "after start" in text  # a thread may log before the end of that line


def test_subclass_hooks() -> None:
    handled: list[object] = []

    class Own(netobj.ThreadedServer):
        def _handle_connection(self, connection: netobj.Connection) -> None:
            handled.append(connection)
            super()._handle_connection(connection)

    with (
        Own(EchoService, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert conn.root.echo(1) == 1
    assert len(handled) == 1


def test_connections_and_their_calls() -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(netobj.Service):
        def exposed_wait(self) -> bool:
            entered.set()
            return go_on.wait(20)

    with netobj.ThreadedServer(Slow, hostname="localhost") as server:
        assert server.connections == ()
        with netobj.connect("localhost", server.port) as conn:
            result = netobj.async_(conn.root.wait)()
            assert entered.wait(20)
            (connection,) = server.connections
            (call,) = connection.calls
            assert call.name == "Slow.wait()"
            assert call.peer == conn.config.endpoints[0]
            assert call.credentials is None
            go_on.set()
            assert result.value is True


def test_closing_while_clients_come(in_threads: Callable[..., None]) -> None:
    with netobj.ThreadedServer(EchoService, hostname="localhost") as server:
        port = server.port

        def come() -> None:
            try:
                while True:
                    with netobj.connect("localhost", port) as conn:
                        conn.root.echo(1)
            except (OSError, netobj.ConnectionLost):
                pass

        in_threads(come, 4)
        server.close()
    pause = threading.Event()
    for _ in range(2000):  # their threads are about to end
        if not server.clients:
            break
        pause.wait(0.005)
    assert server.clients == set()


@pytest.fixture
def in_threads() -> Any:
    threads: list[threading.Thread] = []

    def start(function: Callable[[], object], count: int) -> None:
        for _ in range(count):
            threads.append(threading.Thread(target=function, daemon=True))
            threads[-1].start()

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_a_before_closed_that_raises_does_not_keep_the_others_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = {"before_closed": lambda _root: 1 // 0}
    with netobj.ThreadedServer(EchoService, hostname="localhost", protocol_config=config) as server:
        connections = [netobj.connect("localhost", server.port) for _ in range(3)]
        for conn in connections:
            assert conn.root.echo("x") == "x"
        server.close()
    for conn in connections:
        conn.wait_closed()
        conn.close()
    assert "ZeroDivisionError" in caplog.text


def test_a_default_timeout_of_sockets_does_not_end_the_server() -> None:
    old = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5)
    try:
        with netobj.ThreadedServer(EchoService, hostname="localhost") as server:
            assert server.listener.gettimeout() is None
            with netobj.connect("localhost", server.port) as conn:
                assert conn.root.echo("x") == "x"
    finally:
        socket.setdefaulttimeout(old)
