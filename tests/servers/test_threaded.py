from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

import netobj


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
        assert sock.recv(1) == b""
    assert "no thread can be started" in caplog.text
    server.close()
