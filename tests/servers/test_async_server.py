from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from looped import LOOPS

import netobj
from patience import HANG, wait_until


class Mixed(netobj.Service):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.go = threading.Event()

    def on_disconnect(self, conn: Any) -> None:
        self.log.append("disconnected")

    @netobj.exposed
    async def task(self, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    @netobj.exposed
    def plain(self, value: Any) -> Any:
        return value

    @netobj.exposed
    async def wait(self) -> None:
        self.log.append("waits")
        try:
            await asyncio.sleep(60)
        finally:
            self.log.append("ends")

    @netobj.exposed
    def block(self) -> None:
        self.log.append("blocks")
        assert self.go.wait(20)

    @netobj.exposed
    def call(self, function: Any) -> Any:
        return function()

    @netobj.exposed
    async def leave_behind(self) -> None:
        self.left = asyncio.create_task(self.wait())


@pytest.fixture(params=LOOPS)
def new_loop(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


def test_it_serves(new_loop: Any) -> None:
    service = Mixed()
    with netobj.AsyncServer(service, hostname="localhost", new_event_loop=new_loop) as server:
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.task(1) == conn.root.plain(1) == 1
            assert conn.root.call(lambda: conn.root.task(2)) == 2
            wait_until(lambda: len(server.connections) == 1)
            assert "nothing is under way" in server.connections[0].dump_pending()
        wait_until(lambda: server.connections == ())
    assert service.log == ["disconnected"]
    assert server.connections == ()


def test_closing_while_calls_run(new_loop: Any) -> None:
    service = Mixed()
    with netobj.AsyncServer(service, hostname="localhost", new_event_loop=new_loop) as server:
        conn = netobj.connect("localhost", server.port)
        waiting = netobj.async_(conn.root.wait)()
        blocking = netobj.async_(conn.root.block)()
        wait_until(lambda: {"waits", "blocks"} <= set(service.log))
        assert len(server.connections[0].calls) == 2
    for result in (waiting, blocking):
        with pytest.raises(netobj.ConnectionLost):
            result.value  # noqa: B018
    assert sorted(service.log) == ["blocks", "disconnected", "ends", "waits"]
    service.go.set()
    conn.close()


def test_a_call_on_the_loop_may_close_the_server() -> None:
    class Closing(netobj.Service):
        server: Any = None

        async def exposed_shut_down(self) -> tuple[Any, ...]:
            found: tuple[Any, ...] = self.server.close(grace=HANG)
            return found

    with netobj.AsyncServer(Closing, hostname="localhost") as server:
        Closing.server = server
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.shut_down() == ()  # it cannot wait for itself
            wait_until(lambda: conn.closed)
        assert server._ended.wait(HANG)


def test_what_a_call_leaves_behind_is_cancelled_at_the_end() -> None:
    service = Mixed()
    with (
        netobj.AsyncServer(service, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        conn.root.leave_behind()
        wait_until(lambda: "waits" in service.log)
    assert "ends" in service.log


@pytest.mark.parametrize("turn", range(5))
def test_start_and_close_from_other_threads(turn: int) -> None:
    server = netobj.AsyncServer(Mixed, hostname="localhost")
    wrong: list[BaseException] = []

    def start() -> None:
        try:
            server.start()
        except BaseException as exc:
            wrong.append(exc)

    threads = [threading.Thread(target=start)]
    threads += [threading.Thread(target=server.close) for _ in range(2)]
    for thread in threads[turn % 3 :] + threads[: turn % 3]:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert wrong == []
    with pytest.raises(OSError, match="closed"):
        server.listener  # noqa: B018


def test_close_before_start() -> None:
    server = netobj.AsyncServer(Mixed, hostname="localhost")
    server.close()
    server.start()
    server.close()
    bound = netobj.AsyncServer(Mixed, hostname="localhost")
    assert bound.port
    bound.close()
    bound.start()


def test_a_port_that_is_taken() -> None:
    with (
        netobj.AsyncServer(Mixed, hostname="localhost") as server,
        pytest.raises(OSError, match="in use"),
    ):
        netobj.AsyncServer(Mixed, hostname="localhost", port=server.port).start()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with netobj.AsyncServer(Mixed, socket_path=str(path)) as server:
        assert server.host == str(path)
        with netobj.unix_connect(str(path)) as conn:
            assert conn.root.task(3) == 3
    assert not path.exists()


def test_tls() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main(port: int) -> None:
        async with netobj.aio.connect("localhost", port, ssl=trusting) as conn:
            assert await conn.root.task(4) == 4
        with pytest.raises(ssl.SSLError):
            await netobj.aio.connect("localhost", port, ssl=ssl.create_default_context())

    with netobj.AsyncServer(Mixed, hostname="localhost", ssl=context) as server:
        asyncio.run(main(server.port))


def test_settings_and_what_it_does_not_take(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="takes no executor"):
        netobj.AsyncServer(Mixed, executor=netobj.Pump())
    logger = logging.getLogger("mine")
    config = {"allow_public_attrs": True, "logger": None}
    with (
        caplog.at_level(logging.INFO, "mine"),
        netobj.AsyncServer(
            Mixed, hostname="localhost", protocol_config=config, logger=logger
        ) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert len(conn.root.log) == 0
        with pytest.raises(ZeroDivisionError):
            conn.root.call(lambda: 1 / 0)
    assert {record.name for record in caplog.records if record.name != "netobj"} == {"mine"}


def test_accepting_by_hand_is_not_for_it() -> None:
    server = netobj.AsyncServer(Mixed, hostname="localhost")
    with socket.socket() as sock, pytest.raises(NotImplementedError):
        server._accept_method(sock)
    server.close()
