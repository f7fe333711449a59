"""A process for each connection: separate, reaped, ended with the server, in a fresh parent too."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import netobj
from patience import HANG, wait_until

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # The test runner has threads; the parents that are tested here wait, or have none.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


class ProcessService(netobj.Service):
    count = 0

    def exposed_pid(self) -> int:
        return os.getpid()

    def exposed_count(self) -> int:
        ProcessService.count += 1
        return ProcessService.count

    def exposed_die(self) -> None:
        os._exit(7)

    def exposed_wait_for(self, path: str) -> str:
        wait_until(Path(path).exists)
        return "it is there"

    def exposed_be_deaf(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.fixture
def server() -> Iterator[netobj.ForkingServer]:
    with netobj.ForkingServer(ProcessService, hostname="localhost") as running:
        assert isinstance(running, netobj.ForkingServer)
        yield running


def test_forking_server_gives_each_connection_a_process(server: netobj.ForkingServer) -> None:
    with (
        netobj.connect("localhost", server.port) as one,
        netobj.connect("localhost", server.port) as other,
    ):
        assert len({os.getpid(), one.root.pid(), other.root.pid()}) == 3
        assert {one.root.pid(), other.root.pid()} == set(server.processes)
        assert (one.root.count(), one.root.count(), other.root.count()) == (1, 2, 1)
        assert server.connections == ()
    assert ProcessService.count == 0


def test_children_are_reaped_while_the_server_waits(server: netobj.ForkingServer) -> None:
    pids = []
    for _ in range(5):
        with netobj.connect("localhost", server.port) as conn:
            pids.append(conn.root.pid())
    wait_until(lambda: not server._children)  # without being asked: accept() does it
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_a_child_that_crashes_concerns_nobody_else(server: netobj.ForkingServer) -> None:
    with (
        netobj.connect("localhost", server.port) as one,
        netobj.connect("localhost", server.port) as other,
    ):
        with pytest.raises(netobj.ConnectionLost):
            one.root.die()
        assert other.root.pid() in server.processes


def test_closing_the_server_ends_its_children_who_say_goodbye() -> None:
    server = netobj.ForkingServer(ProcessService, hostname="localhost")
    with server, netobj.connect("localhost", server.port) as conn:
        pid = conn.root.pid()
        server.close()
        conn.wait_closed()
        assert "the other side closed the connection" in str(conn.session.lost)
        assert server.processes == ()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_closing_the_server_ends_children_that_do_not_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netobj.servers.forking.GRACE", 0.2)
    server = netobj.ForkingServer(ProcessService, hostname="localhost")
    with server, netobj.connect("localhost", server.port) as conn:
        pid = conn.root.pid()
        conn.root.be_deaf()
        server.close()
        conn.wait_closed()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_children_do_not_touch_the_connections_of_the_parent(
    server: netobj.ForkingServer,
) -> None:
    over: list[Any] = []

    class Watched(netobj.Service):
        def on_disconnect(self, conn: Any) -> None:
            over.append(conn)

    with netobj.connect_thread(Watched, {}, netobj.SlaveService) as mine:
        assert mine.root.eval("1") == 1
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.pid() in server.processes
        wait_until(lambda: not server._children)
        assert not over
        assert mine.root.eval("2") == 2


def test_other_children_of_the_program_are_not_reaped(server: netobj.ForkingServer) -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as other:
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.pid()
        wait_until(lambda: not server._children)
        assert other.wait(HANG) == 3


def test_no_process_can_be_started(
    server: netobj.ForkingServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fork() -> int:
        raise BlockingIOError("too many processes")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fork)
        conn = netobj.connect("localhost", server.port)
        conn.wait_closed()
        with pytest.raises(EOFError, match=r"no process can be started for it \(too many"):
            conn.root.pid()
        conn.close()
        assert "no process can be started for it (too many processes)" in caplog.text
    with netobj.connect("localhost", server.port) as conn:
        assert conn.root.pid() in server.processes


def test_calls_have_time_to_end(tmp_path: Path) -> None:
    path = tmp_path / "end"
    server = netobj.ForkingServer(ProcessService, hostname="localhost")
    with server, netobj.connect("localhost", server.port) as conn:
        result = netobj.async_(conn.root.wait_for)(str(path))
        conn.root.pid()
        closing = threading.Thread(target=server.close, args=(HANG,))
        closing.start()
        wait_until(lambda: server._closed)
        path.touch()
        assert result.value == "it is there"
        closing.join(HANG)
        conn.wait_closed()
        assert server.processes == ()


def test_more_than_max_connections_are_told() -> None:
    with netobj.ForkingServer(ProcessService, hostname="localhost", max_connections=1) as server:
        with netobj.connect("localhost", server.port) as one:
            assert one.root.pid()
            with (
                netobj.connect("localhost", server.port) as other,
                pytest.raises(netobj.ConnectionLost, match="it has 1 connection,"),
            ):
                other.root.pid()

        def served() -> bool:
            with netobj.connect("localhost", server.port) as conn:
                try:
                    return bool(conn.root.pid())
                except netobj.ConnectionLost:
                    return False

        wait_until(served)


def test_an_executor_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no executor"):
        netobj.ForkingServer(ProcessService, executor=netobj.Pump())


def test_a_system_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(OSError, match="ForkingServer needs fork"):
        netobj.ForkingServer(ProcessService)


def test_credentials_and_services_that_are_made(tmp_path: Path) -> None:
    def authenticate(sock: socket.socket) -> tuple[socket.socket, str]:
        return sock, f"from {os.getpid()}"

    class Named(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        def exposed_who(self) -> str:
            return str(self.conn._config["credentials"])

        def on_disconnect(self, conn: Any) -> None:
            (tmp_path / "over").touch()

    with (
        netobj.ForkingServer(Named(), hostname="localhost", authenticator=authenticate) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert isinstance(server, netobj.ForkingServer)
        who = conn.root.who()
        assert [f"from {pid}" for pid in server.processes] == [who]
    assert (tmp_path / "over").exists()  # close() has waited for the child


PARENT = """
import os, signal, sys, threading
import netobj

class PidService(netobj.Service):
    def exposed_pid(self): return os.getpid()
    def on_disconnect(self, conn):
        sys.stderr.write("over\\n")

assert threading.active_count() == 1
server = netobj.ForkingServer(PidService, hostname="localhost")
print("unflushed ", end="")
print(server.port, flush=True)
print("waits in the buffer")
server.start()
assert not server.processes
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_only_serves(number: int) -> None:
    """Its signals, its buffers, and no child left when it has ended."""
    program = PARENT
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        try:
            assert parent.stdout is not None
            port = int(parent.stdout.readline().split()[1])
            with netobj.connect("localhost", port) as conn:
                pid = conn.root.pid()
                parent.send_signal(number)
                conn.wait_closed()
                out = parent.stdout.read()
                assert parent.stderr is not None
                err = parent.stderr.read()
            assert parent.wait(HANG) == 0
            assert out == "waits in the buffer\n"
            assert "over\n" in err
            assert "Error" not in err
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        finally:
            parent.kill()


def test_many_come_and_go(server: netobj.ForkingServer) -> None:
    errors: list[BaseException] = []

    def visit() -> None:
        try:
            for _ in range(5):
                with netobj.connect("localhost", server.port) as conn:
                    assert conn.root.pid() != os.getpid()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=visit) for _ in range(8)]
    before = len(os.listdir("/proc/self/fd"))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert errors == []
    wait_until(lambda: not server._children)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)
