from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from looped import LOOPS, joined, run, until

import netobj
from netobj import aio
from netobj.aio import wire
from netobj.aio.wire import BufferedWire, PlainWire, Sweeper, new_wire, sweeper, unread
from netobj.core.config import Config
from netobj.core.hello import goodbye
from netobj.greetings import greeting


class _Connection:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.held = True

    def receive(self, data: bytes) -> None:
        self.log.append(data)

    def lose_to_peer(self) -> None:
        self.log.append("end of file")

    def wire_lost(self, exc: Exception | None) -> None:
        self.log.append(exc)

    def pause_writing(self) -> None:
        self.log.append("pause")

    def resume_writing(self) -> None:
        self.log.append("resume")

    def flush_releases(self) -> None:
        self.log.append("releases")

    def may_release(self) -> bool:
        return self.held


def test_a_wire_tells_its_connection() -> None:
    connection = _Connection()
    made = PlainWire(lambda transport: connection)
    made.connection_made(asyncio.Transport())
    made.data_received(b"data")
    made.pause_writing()
    made.resume_writing()
    made.eof_received()
    made.connection_lost(None)
    assert connection.log == [b"data", "pause", "resume", "end of file", None]


def test_what_arrives_in_the_memory_that_wires_share_is_the_connections_own() -> None:
    connection = _Connection()
    made, other = BufferedWire(lambda transport: connection), BufferedWire(lambda transport: None)
    made.connection_made(asyncio.Transport())
    made.get_buffer(-1)[:4] = b"data"
    made.buffer_updated(4)
    other.get_buffer(-1)[:4] = b"more"
    assert connection.log == [b"data"]


def test_each_loop_has_the_wire_that_costs_it_least() -> None:
    async def kind() -> type:
        return type(new_wire(lambda transport: None))

    kinds = {name: run(kind(), new_loop) for name, new_loop in LOOPS.items()}
    assert kinds.pop("asyncio") is BufferedWire
    assert set(kinds.values()) <= {PlainWire}


def test_a_wire_whose_connection_could_not_be_made() -> None:
    made = PlainWire(lambda transport: None)
    made.connection_made(asyncio.Transport())
    made.connection_lost(None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(wire, "SWEEP", 0.001)
    return


@pytest.mark.usefixtures("quick")
def test_a_sweeper_looks_as_long_as_something_may_die() -> None:
    async def main() -> None:
        sweeping = Sweeper(asyncio.get_running_loop())
        one, other = _Connection(), _Connection()
        sweeping.note(one)
        sweeping.note(other)
        await until(lambda: len(one.log) > 2 and len(other.log) > 2)
        one.held = False
        sweeping.forget(other)
        await until(lambda: sweeping._timer is None)
        assert not sweeping._noted

    run(main())


def test_there_is_one_sweeper_for_a_loop() -> None:
    async def main() -> Sweeper:
        loop = asyncio.get_running_loop()
        assert sweeper(loop) is sweeper(loop)
        return sweeper(loop)

    first = run(main())
    assert run(main()) is not first
    assert len([loop for loop, _ in wire._sweepers.values() if loop.is_closed()]) <= 1


@pytest.mark.usefixtures("quick")
def test_what_dies_is_told_though_nothing_else_is_sent() -> None:
    async def main() -> None:
        async with joined(netobj.SlaveService) as pair:
            made = await pair.root.eval("[1, 2]")
            exports = pair.there.session.boxing.exports
            assert exports
            del made
            await until(lambda: not exports)

    run(main())


def test_the_last_words_of_a_peer_that_takes_no_more_are_heard(new_loop: Any) -> None:
    """Who writes to a socket that was closed meets that before it has read why."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            conn = await aio.connect("127.0.0.1", listener.getsockname()[1])
            there, _ = listener.accept()
            there.sendall(greeting(Config(), netobj.VoidService) + goodbye("it is closing time"))
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            there.close()
            conn.transport.write(b"more")
            with pytest.raises(netobj.ConnectionLost, match="it is closing time"):
                await conn.root.get_service_name()

    run(main(), new_loop)


def test_what_cannot_be_read_any_more() -> None:
    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return self if name == "socket" else default

        def dup(self) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

    assert unread(Transport()) == b""
    assert unread(asyncio.Transport()) == b""
