from __future__ import annotations

import select
import socket
import threading
from contextvars import ContextVar
from typing import Any

import pytest

import netobj
from netobj.blocking import dispatch
from netobj.core.consts import PREAMBLE
from patience import HANG, wait_until


class Meeting(netobj.Service):
    def __init__(self, barrier: threading.Barrier) -> None:
        self.barrier = barrier

    def exposed_meet(self) -> str:
        self.barrier.wait(20)
        return threading.current_thread().name

    def exposed_name(self) -> str:
        return threading.current_thread().name


def test_connections_are_served_side_by_side() -> None:
    service = Meeting(threading.Barrier(6))
    with netobj.ThreadedServer(service, hostname="localhost") as server:
        connections = [netobj.connect("localhost", server.port) for _ in range(6)]
        results = [netobj.async_(conn.root.meet)() for conn in connections]
        assert [result.error for result in results if result.wait()] == []
        for conn in connections:
            conn.close()


def test_a_connection_is_served_by_its_own_thread() -> None:
    with (
        netobj.ThreadedServer(Meeting(threading.Barrier(1)), hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        names = {conn.root.name() for _ in range(50)}
        assert "netobj connection" in names


def test_calls_on_one_connection_overlap() -> None:
    with (
        netobj.ThreadedServer(Meeting(threading.Barrier(4)), hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        threads = [threading.Thread(target=conn.root.meet) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.parametrize("serve", ["auto", "caller"])
def test_clients_of_a_server_that_serves_by_hand(serve: str) -> None:
    server = netobj.ThreadedServer(
        Meeting(threading.Barrier(1)), hostname="localhost", protocol_config={"serve": serve}
    )
    with server, netobj.connect("localhost", server.port) as conn:
        results = [netobj.async_(conn.root.name)() for _ in range(20)]
        names = {result.value for result in results}
        assert conn.root.name()
        if serve == "caller":
            assert names == {"netobj connection"}


def test_both_sides_are_told_of_the_end_once() -> None:
    heard: list[str] = []
    over = threading.Event()

    class Recorder(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            heard.append("connect")

        def on_disconnect(self, conn: netobj.Connection) -> None:
            heard.append("disconnect")
            over.set()

    with netobj.ThreadedServer(Recorder, hostname="localhost") as server:
        netobj.connect("localhost", server.port).close()
        assert over.wait(20)
    assert heard == ["connect", "disconnect"]


def test_many_clients_with_callbacks(scale: int) -> None:
    class Caller(netobj.Service):
        def exposed_apply(self, function: Any, value: int) -> Any:
            return function(value)

    wrong: list[object] = []
    with netobj.ThreadedServer(Caller, hostname="localhost") as server:

        def client(number: int) -> None:
            ident = threading.get_ident()
            try:
                with netobj.connect("localhost", server.port) as conn:
                    for i in range(50 * scale):
                        got = conn.root.apply(lambda x: (x + number, threading.get_ident()), i)
                        if got != (i + number, ident):
                            wrong.append(got)
            except BaseException as exc:
                wrong.append(exc)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_without_a_thread_the_connection_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = netobj.ThreadedServer(netobj.VoidService, hostname="localhost")
    with socket.create_connection(("localhost", server.port)) as sock:
        sock.settimeout(20)

        def refuse(_self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        server.active = True
        server.accept()
        monkeypatch.undo()
        while sock.recv(4096):  # a hello at the most, then the end
            pass
    assert "no thread can be started" in caplog.text
    server.close()


class Plain(netobj.Service):
    pass


class Made(netobj.Service):
    def __init__(self) -> None:
        self.thread = threading.get_ident()


class MadeElsewhere(netobj.Service):
    def __new__(cls) -> Any:
        return object.__new__(Made)


def let_in(sock: socket.socket) -> tuple[socket.socket, None]:
    return sock, None


@pytest.mark.parametrize(
    ("service", "settings", "at_once"),
    [
        (Plain, {}, True),
        (Plain(), {}, True),
        (Made(), {}, True),
        (Made, {}, False),
        (MadeElsewhere, {}, False),
        (Plain, {"authenticator": let_in}, False),
        (Plain, {"protocol_config": {"limits": (2**24,) * 2000}}, False),
    ],
)
def test_the_hello_leaves_before_a_thread_serves_where_all_is_known(
    monkeypatch: pytest.MonkeyPatch, service: Any, settings: Any, at_once: bool
) -> None:
    threads: list[threading.Thread] = []
    server = netobj.ThreadedServer(service, hostname="localhost", **settings)
    with socket.create_connection(("localhost", server.port)) as sock:
        sock.settimeout(20)
        monkeypatch.setattr(threading.Thread, "start", lambda thread: threads.append(thread))
        server.accept()
        monkeypatch.undo()
        if at_once:
            assert sock.recv(len(PREAMBLE), socket.MSG_PEEK) == PREAMBLE
        else:
            assert not select.select([sock], [], [], 0)[0]
        (thread,) = threads
        thread.start()
        with netobj.connect_stream(netobj.SocketStream(sock)) as conn:
            assert conn.root.get_service_name() if at_once else conn.root is not None
    server.close()


said: ContextVar[str] = ContextVar("said", default="nothing")


class Talker(netobj.Service):
    of_thread = threading.local()

    def exposed_say(self, text: str) -> tuple[str, str]:
        before = said.get()
        said.set(text)
        return before, threading.current_thread().name

    def on_connect(self, conn: Any) -> None:
        assert said.get() == "nothing"
        said.set("hello")
        assert not hasattr(self.of_thread, "client")
        self.of_thread.client = conn


def test_connections_one_after_the_other_share_neither_context_nor_what_is_the_threads() -> None:
    with netobj.ThreadedServer(Talker(), hostname="localhost") as server:
        for text in ("a", "b", "c"):
            with netobj.connect("localhost", server.port) as conn:
                assert conn.root.say(text) == ("hello", "netobj connection")


class Slow(netobj.Service):
    """Calls come while ``on_connect`` runs, which keeps something in its thread."""

    of_thread = threading.local()

    def on_connect(self, conn: Any) -> None:
        self.of_thread.client = conn
        wait_until(lambda: conn.dispatcher._held)

    def exposed_knows(self) -> bool:
        return hasattr(self.of_thread, "client")


class Unlucky(netobj.ThreadedServer):
    """Its threads begin to serve when workers have taken all that they could."""

    def _handle_connection(self, connection: netobj.Connection) -> None:
        wait_until(lambda: not connection.dispatcher.overflow)
        super()._handle_connection(connection)


def test_what_comes_while_on_connect_runs_is_run_by_its_thread() -> None:
    with (
        Unlucky(Slow, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert conn.root.knows()


def test_more_that_comes_while_on_connect_runs_is_run_side_by_side() -> None:
    class Many(Meeting):
        def on_connect(self, conn: Any) -> None:
            wait_until(lambda: len(conn.dispatcher._held) == 4)

    service = Many(threading.Barrier(4))
    with (
        netobj.ThreadedServer(service, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        names: list[str] = []
        threads = [
            threading.Thread(target=lambda: names.append(conn.root.meet())) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG)
        assert len(names) == 4
        assert names.count("netobj connection") == 1


def test_a_thread_that_does_something_else_first_holds_up_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "PUNCTUAL", 0.01)
    gate = threading.Event()

    class Elsewhere(netobj.ThreadedServer):
        def _handle_connection(self, connection: netobj.Connection) -> None:
            gate.wait(HANG)
            super()._handle_connection(connection)

    with Elsewhere(Slow, hostname="localhost") as server:
        try:
            with netobj.connect("localhost", server.port) as conn:
                assert not conn.root.knows()
                gate.set()
        finally:
            gate.set()


def test_a_server_of_ones_own_that_serves_by_hand_runs_what_came_early() -> None:
    class ByHand(netobj.ThreadedServer):
        def _handle_connection(self, connection: netobj.Connection) -> None:
            while not connection.closed:
                try:
                    connection.serve(None)
                except EOFError:
                    break

    with (
        ByHand(Slow, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert conn.root.knows()


def test_what_came_early_does_not_run_once_the_server_winds_up() -> None:
    class Closing(netobj.ThreadedServer):
        """As if ``close(grace)`` came just before its threads begin to serve."""

        def _handle_connection(self, connection: netobj.Connection) -> None:
            connection.dispatcher.hold()
            super()._handle_connection(connection)

    with (
        Closing(Slow, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        result = netobj.async_(conn.root.knows)()
        wait_until(lambda: any(one.dispatcher.server for one in server.connections))
        server.close()
        with pytest.raises(netobj.ConnectionLost):
            result.value  # noqa: B018
