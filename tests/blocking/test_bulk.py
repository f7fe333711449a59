"""Big values through whole connections: in place, over every kind of stream, whoever reads."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

import netobj
from fakewire import Side
from netobj.blocking import reader as reader_module
from netobj.blocking.link import Link
from netobj.blocking.streams import SocketStream, Stream, stream_for
from netobj.blocking.waiting import Waiter
from netobj.core.config import Config
from netobj.core.consts import BIG_VALUE, DEFAULT_LIMITS, Limit, Op
from patience import wait_until

MIB = 2**20
Make = Callable[[], tuple[Stream, Stream]]
Until = Callable[[Callable[[], object]], None]
Start = Callable[..., threading.Thread]
Pair = tuple[netobj.Connection, netobj.Connection]


class Bulk(netobj.Service):
    def __init__(self) -> None:
        self.array = numpy.arange(MIB, dtype="float64")
        self.came = threading.Event()
        self.go = threading.Event()

    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def size(self, value: Any) -> int:
        self.came.set()
        return len(value)

    @netobj.exposed
    def the_array(self) -> Any:
        return self.array

    @netobj.exposed
    def wait(self) -> bool:
        self.came.set()
        return self.go.wait(20)


@pytest.fixture(autouse=True, params=[True, False], ids=["blocking", "polling"])
def _alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader blocks in the stream where there is no other connection; here there always is."""
    monkeypatch.setattr(Link, "is_alone", lambda self: request.param)


@pytest.fixture
def served(make: Make, in_thread: Start) -> Iterator[netobj.Connection]:
    """A connection to a Bulk, over each kind of stream."""
    one, other = make()
    there = netobj.connect_stream(other, Bulk())
    in_thread(there.serve_all)
    with netobj.connect_stream(one) as here:
        yield here


@pytest.fixture
def tcp(stream_pairs: dict[str, Make], in_thread: Start) -> Iterator[Pair]:
    """A connection to a Bulk, and its other end."""
    one, other = stream_pairs["tcp"]()
    there = netobj.connect_stream(other, Bulk())
    in_thread(there.serve_all)
    with netobj.connect_stream(one) as here:
        yield here, there


def test_several_in_one_message(served: netobj.Connection) -> None:
    values = (os.urandom(3 * MIB + 1), "ü" * BIG_VALUE, b"small", os.urandom(BIG_VALUE), "x" * MIB)
    assert served.root.echo(values) == values
    assert served.root.echo("\ud800" * BIG_VALUE) == "\ud800" * BIG_VALUE


def test_with_a_deadline(served: netobj.Connection) -> None:
    data = os.urandom(9 * MIB)
    assert served.request(int(Op.CALL), None, "echo", (data,), None, 60) == data


def test_where_no_thread_waits(served: netobj.Connection, until: Until) -> None:
    """The I/O threads of both sides do it."""
    data = os.urandom(9 * MIB)
    results = [netobj.async_(served.root.echo)(data) for _ in range(3)]
    until(lambda: all(result.ready for result in results))
    assert [result.value == data for result in results] == [True] * 3


def test_an_array(served: netobj.Connection) -> None:
    found = numpy.asarray(served.root.the_array())
    assert (found == numpy.arange(MIB)).all()
    if sys.version_info < (3, 12):  # from there on numpy takes a memoryview, which is read-only
        found[:] = 0
    assert numpy.asarray(served.root.the_array())[-1] == MIB - 1


def test_both_sides_send_at_the_same_time(make: Make, in_thread: Start) -> None:
    one, other = make()
    data = os.urandom(MIB) * 64
    wrong: list[str] = []

    def send(connection: netobj.Connection, name: str) -> None:
        try:
            if connection.root.size(data) != len(data):
                wrong.append(name)
        except BaseException as exc:
            wrong.append(f"{name}: {exc!r}")

    here = netobj.connect_stream(one, Bulk())
    there = netobj.connect_stream(other, Bulk())
    threads = [in_thread(send, here, "here"), in_thread(send, there, "there")]
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
    here.close()
    there.close()


def test_many_threads_share_a_connection(tcp: Pair, in_thread: Start) -> None:
    here, _ = tcp
    wrong: list[int] = []

    def work(number: int) -> None:
        data = bytes([number]) * MIB
        for _ in range(4):
            if here.root.echo(data) != data:
                wrong.append(number)

    for thread in [in_thread(work, number) for number in range(6)]:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


def traced(function: Callable[[], object]) -> int:
    """The bytes that both sides together had allocated at once, in the course of *function*."""
    function()
    tracemalloc.start()
    try:
        result = function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        del result


def test_bytes_are_copied_nowhere(tcp: Pair) -> None:
    here, _ = tcp
    data = os.urandom(16 * MIB)
    # What the server received, which it sends, and what the client received.
    assert traced(lambda: here.root.echo(data)) < 2.3 * len(data)


def test_an_array_is_copied_nowhere(tcp: Pair) -> None:
    here, _ = tcp
    remote = here.root.the_array()
    # What the client received, in which its array stands.
    assert traced(lambda: numpy.asarray(remote)) < 1.3 * 8 * MIB


class Half:
    """A peer of *conn* that sends what it has to send in two halves, when it is told to.

    It is a session of the core's on a bare socket.
    """

    def __init__(self, **config: Any) -> None:
        one, self._socket = socket.socketpair()
        self._side = Side("peer", Bulk(), Config(), ())
        self._rest = b""
        self.conn = netobj.connect_stream(stream_for(one), config=config)

    def send_half(self) -> None:
        """Answer the next request, by half."""
        out = self._side.session.out
        while not self._side.session.running:
            self.read()
        for request in list(self._side.session.running.values()):
            self._side.run(request)
        data = b"".join(map(bytes, out))
        out.clear()
        self._socket.sendall(data[: len(data) // 2])
        self._rest = data[len(data) // 2 :]

    def read(self) -> None:
        data = self._socket.recv(MIB)
        assert data
        self._side.session.receive_data(data, 0.0)

    def send_rest(self, size: int = 2**40) -> None:
        """Send the rest, or *size* bytes of it."""
        self._socket.sendall(self._rest[:size])
        self._rest = self._rest[size:]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def half() -> Iterator[Half]:
    peer = Half()
    yield peer
    peer.close()
    peer.conn.close()


class TestHalfOfItHasCome:
    DATA = os.urandom(BIG_VALUE) * 3

    def echo(self, half: Half, got: list[Any], timeout: float | None = None) -> None:
        try:
            got.append(half.conn.request(int(Op.CALL), None, "echo", (self.DATA,), None, timeout))
        except netobj.ConnectionLost as exc:
            got.append(exc)

    def test_and_then_the_rest(self, half: Half, until: Until, in_thread: Start) -> None:
        got: list[Any] = []
        thread = in_thread(self.echo, half, got)
        half.send_half()
        until(lambda: half.conn.stream.room is not None)
        while half._rest:
            heard = half.conn.session.last_heard
            half.send_rest(10_000)
            until(lambda: half.conn.session.last_heard != heard)  # noqa: B023
        thread.join(20)
        assert got == [self.DATA]
        assert half.conn.stream.room is None

    def test_when_the_callers_time_is_over(
        self, half: Half, until: Until, in_thread: Start
    ) -> None:
        sender = in_thread(half.send_half)
        with pytest.raises(netobj.AsyncResultTimeout):
            half.conn.request(int(Op.CALL), None, "echo", (self.DATA,), None, 0.05)
        sender.join(20)
        half.send_rest()
        got: list[Any] = []
        thread = in_thread(self.echo, half, got)
        half.send_half()
        half.send_rest()
        thread.join(20)
        assert got == [self.DATA]

    def test_when_the_peer_goes(self, half: Half, until: Until, in_thread: Start) -> None:
        got: list[Any] = []
        thread = in_thread(self.echo, half, got)
        half.send_half()
        until(lambda: half.conn.stream.room is not None)
        half.close()
        thread.join(20)
        assert [type(one) for one in got] == [netobj.ConnectionLost]
        until(lambda: half.conn.stream.room is None)

    def test_when_the_connection_is_closed_here(
        self, half: Half, until: Until, in_thread: Start
    ) -> None:
        got: list[Any] = []
        thread = in_thread(self.echo, half, got)
        half.send_half()
        until(lambda: half.conn.stream.room is not None)
        half.conn.close()
        thread.join(20)
        assert [type(one) for one in got] == [netobj.ConnectionLost]


def test_above_the_limit_it_is_refused_before_it_comes(
    stream_pairs: dict[str, Make], in_thread: Start
) -> None:
    limits = list(DEFAULT_LIMITS)
    limits[Limit.RAW] = MIB
    one, other = stream_pairs["tcp"]()
    there = netobj.connect_stream(other, Bulk(), {"limits": tuple(limits)})
    in_thread(there.serve_all)
    with netobj.connect_stream(one) as here:
        here.ping()
        assert here.root.size(bytes(MIB)) == MIB
        with pytest.raises(netobj.LimitExceeded):
            here.root.size(bytes(MIB + 1))
        assert here.root.size(bytes(MIB)) == MIB


class TestWhoWrites:
    def test_the_io_thread_where_nobody_comes_to_read(self) -> None:
        one, other = socket.socketpair()
        with netobj.connect_stream(SocketStream(one)) as conn:
            conn.session.out.append(b"y" * 8 * MIB)
            conn.flush(reads=True)  # and then this thread does not
            wait_until(lambda: conn.writer.blocked)  # the other one may try at this moment
            received = 0
            while received < 8 * MIB:
                received += len(other.recv(MIB))
        other.close()

    def test_the_io_thread_while_another_thread_reads_only(
        self, tcp: Pair, in_thread: Start
    ) -> None:
        here, there = tcp
        reading = in_thread(here.root.wait)
        service = there.session.boxing.root
        assert isinstance(service, Bulk)
        assert service.came.wait(20)
        assert here.root.size(bytes(64 * MIB)) == 64 * MIB
        service.go.set()
        reading.join(20)

    @pytest.mark.parametrize("io_writes", [False, True])
    def test_only_one_thread_waits_for_room(
        self, io_writes: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = socket.socketpair()
        asked: list[bool] = []
        with other, netobj.connect_stream(SocketStream(one)) as conn:
            monkeypatch.setattr(conn.writer, "_on_blocked", lambda reads: None)
            conn.session.out.append(b"y" * 8 * MIB)
            conn.flush()
            wait_until(lambda: conn.writer.blocked)  # it may be the I/O thread that writes
            conn.io_writes = io_writes
            monkeypatch.setattr(
                reader_module, "wait", lambda stream, *, write, **_: asked.append(write)
            )
            conn._wait_readable(Waiter(conn), time.monotonic())
            assert asked == [not io_writes]
