"""What is particular to a stream under a pre-shared key; the rest is in test_streams.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import netobj
from netobj.auth.sealed import RECORD
from netobj.blocking import streams
from netobj.blocking.streams import BrokenSeal, SealedStream, SocketStream
from patience import HANG, wait_until

Pair = tuple[SealedStream, SealedStream]


@pytest.fixture
def ends(stream_pairs: dict[str, Callable[[], Any]]) -> Iterator[Pair]:
    one, other = stream_pairs["psk"]()
    yield one, other
    for stream in (one, other):
        stream.sock.close()  # what is below the stream may be the test's
        if isinstance(stream._plain, SocketStream):
            stream.close()


class Narrow:
    """In place of the stream below: takes a few bytes at a time, and now and then none."""

    def __init__(self, takes: Sequence[int]) -> None:
        self.taken = b""
        self._takes = list(takes)

    def send(self, data: Any) -> int:
        return self.send_now((data,))

    def send_now(self, parts: Sequence[Any]) -> int:
        size = self._takes.pop(0) if self._takes else 10**9
        taken = b"".join(parts)[:size]
        self.taken += taken
        return len(taken)


@pytest.mark.parametrize("size", [10, 5000, RECORD, 3 * RECORD + 7])
@pytest.mark.parametrize(
    "takes", [[0], [1, 0], [20, 0, 1], [19, 5, 0, 0, 7], [RECORD, 0, 3], [70_000, 100, 0]]
)
def test_a_record_leaves_in_pieces(ends: Pair, size: int, takes: list[int]) -> None:
    """What counts as written is what has left completely; what is repeated is not sent twice."""
    one, other = ends
    narrow: Any = Narrow(takes)
    one._plain = narrow
    parts = [b"a" * (size // 3), memoryview(b"b" * (size - size // 3))]
    whole, sent = b"".join(parts), 0
    for _ in range(20):
        rest = memoryview(whole)[sent:]
        if not len(rest):
            break
        sent += one.send_now([rest[:4], rest[4:]] if len(rest) > 4 else [rest])
        assert sent == size or one._rest
    assert sent == size
    assert b"".join(other._opener.open(narrow.taken)) == whole


def test_threads_that_send_at_once_take_different_numbers(ends: Pair) -> None:
    one, other = ends
    narrow: Any = Narrow([])
    one._plain = narrow
    threads = [
        threading.Thread(target=lambda: [one.send(b"x" * 100) for _ in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert sum(map(len, other._opener.open(narrow.taken))) == 4 * 200 * 100


def test_what_was_decrypted_counts_as_pending(ends: Pair) -> None:
    one, other = ends
    one.send(b"one")
    one.send(b"two")
    other.room = memoryview(bytearray(2))
    assert other.recv() == 2
    assert other.pending()
    streams.wait(other, read=True, write=False, timeout=None)  # does not wait
    other.room = None
    received = b"e"
    while len(received) < 4:
        data = other.recv()
        assert isinstance(data, bytes)
        received = received[:-1] + data if received == b"e" else received + data
    assert received == b"etwo"


def test_what_the_peer_has_not_sent(ends: Pair) -> None:
    one, other = ends
    one.sock.sendall(bytes(100))
    with pytest.raises(BrokenSeal, match="a record was changed"):
        other.recv()
    one.send(b"right")
    with pytest.raises(BrokenSeal, match="after one that was wrong"):
        other.recv()


@pytest.mark.parametrize("now", [True, False])
def test_the_end_in_the_midst_of_a_record(ends: Pair, now: bool) -> None:
    one, other = ends
    one.sock.sendall(b"".join(one._sealer.seal(b"x"))[:-1])
    one.shutdown()
    streams.wait(other, read=True, write=False, timeout=HANG)

    def receive() -> None:
        while (other.recv_now() if now else other.recv()) is None:
            streams.wait(other, read=True, write=False, timeout=HANG)

    with pytest.raises(ConnectionResetError, match="in the midst of a record"):
        receive()


def test_nothing_is_no_record(ends: Pair) -> None:
    one, other = ends
    assert one.send(b"") == one.send_now([b"", b""]) == 0
    assert one.send_now([b"", b"x"]) == 1
    assert other.recv() == b"x"


def test_the_name_says_it(ends: Pair) -> None:
    one, other = ends
    host, port = other.sock.getsockname()
    assert one.name == f"psk {host}:{port}"
    assert one.endpoints == (one.sock.getsockname(), other.sock.getsockname())


def test_idle_streams_hold_no_memory(ends: Pair) -> None:
    one, other = ends
    data = bytes(5 * RECORD)
    sent = 0
    received = 0
    while received < len(data):
        sent += one.send(memoryview(data)[sent:]) if sent < len(data) else 0
        arrived = other.recv_now()
        received += len(arrived) if isinstance(arrived, bytes) else 0
    assert len(other._opener._buffer) == 0


def test_a_connection_whose_peer_sends_what_is_wrong(
    ends: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends, the peer is told why, and it is logged."""
    one, other = ends
    with netobj.connect_stream(one) as here, netobj.connect_stream(other) as there:
        here.ping(HANG)
        one.sock.sendall(bytes(100))
        wait_until(lambda: there.closed and here.closed)
        with pytest.raises(netobj.ConnectionLost, match="protocol error: a record was changed"):
            here.ping()
        with pytest.raises(netobj.ConnectionLost, match="the peer broke the protocol: a record"):
            there.ping()
    wait_until(lambda: "was ended: a record was changed" in caplog.text)


def test_descriptors_are_given_back_after_that(ends: Pair) -> None:
    one, other = ends
    numbers = one.read_fd, other.read_fd
    here, there = netobj.connect_stream(one), netobj.connect_stream(other)
    one.sock.sendall(bytes(100))
    wait_until(lambda: here.closed and there.closed)
    here.close()
    there.close()
    wait_until(lambda: one.sock.fileno() == other.sock.fileno() == -1)
    assert (one.read_fd, other.write_fd) == (-1, -1) != numbers


def test_a_stream_of_a_socket_that_was_read_ahead(
    stream_pairs: dict[str, Callable[[], Any]],
) -> None:
    """What came during a login, and belongs to the connection, is not lost."""
    one, other = stream_pairs["psk"]()
    sealed = netobj.auth.sealed.SealedSocket(other.sock, other._sealer, other._opener)
    one.send(b"login")
    one.send(b"and more")
    sealed.settimeout(HANG)
    received = b""
    while len(received) < 7:
        received += sealed.recv(7 - len(received))
    stream = streams.stream_for(sealed)
    while len(received) < 13:
        data = stream.recv()
        assert isinstance(data, bytes)
        received += data
    assert received == b"loginand more"
    one.close()
    stream.close()


def test_plain_sockets_are_as_before() -> None:
    one, other = socket.socketpair()
    assert not isinstance(streams.stream_for(one), SealedStream)
    one.close()
    other.close()
