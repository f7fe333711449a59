from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netobj.blocking import streams
from netobj.blocking.streams import (
    PipeStream,
    SocketStream,
    Stream,
    TLSStream,
    stream_for,
)

Pair = tuple[Stream, Stream]


def tcp_sockets() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


@pytest.fixture
def ends(make: Callable[[], Pair]) -> Iterator[Pair]:
    one, other = make()
    yield one, other
    one.close()
    other.close()


def receive(stream: Stream, size: int) -> bytes:
    """What comes, at least *size* bytes."""
    data = bytearray()
    while len(data) < size:
        piece = stream.recv()
        assert isinstance(piece, bytes)
        assert piece
        data += piece
    return bytes(data)


def test_bytes_arrive_in_both_directions(ends: Pair) -> None:
    one, other = ends
    assert one.send_now([b"hello"]) == 5
    assert receive(other, 5) == b"hello"
    assert other.send_now([memoryview(b"answer")]) == 6
    assert receive(one, 6) == b"answer"


def test_recv_now_says_none_when_nothing_has_come(ends: Pair) -> None:
    one, other = ends
    # TLS 1.3 sends session tickets after the handshake: they are no data.
    assert one.recv_now() is None
    assert other.recv_now() is None


def test_parts_go_out_in_order_and_a_full_stream_takes_no_more(ends: Pair) -> None:
    one, other = ends
    payload = bytes(range(256)) * 65536  # 16 MiB: more than any buffer of the system
    rest = memoryview(payload)
    received = bytearray()
    full = False
    while len(received) < len(payload):
        while rest:
            sent = one.send_now([rest[:100_000], rest[100_000:]])
            if not sent:
                full = True
                break
            rest = rest[sent:]
        received += receive(other, 1)
    assert received == payload
    assert full


def test_more_parts_than_one_system_call_takes(ends: Pair) -> None:
    one, other = ends
    parts = [bytes([i % 256]) for i in range(2000)]
    sent = 0
    while sent < len(parts):
        sent += one.send_now(parts[sent:])
    assert receive(other, 2000) == b"".join(parts)


def test_a_wait_for_reading_ends_when_bytes_come(ends: Pair) -> None:
    one, other = ends
    thread = threading.Thread(target=lambda: one.send_now([b"x"]))
    thread.start()
    assert receive(other, 1) == b"x"
    thread.join()


@pytest.mark.parametrize("wait", [streams._poll_wait, streams._select_wait])
def test_wait(ends: Pair, wait: Callable[..., None]) -> None:
    one, other = ends
    other.recv_now()  # takes what a TLS handshake may have left
    also, wake = os.pipe()
    try:
        wait(other, True, False, 0.0, None)  # returns, since the time is over
        wait(one, True, True, None, None)  # there is room to write
        os.write(wake, b"x")
        wait(other, True, False, None, also)
        os.read(also, 1)
        one.send_now([b"x"])
        wait(other, True, False, None, also)
        assert receive(other, 1) == b"x"
    finally:
        os.close(also)
        os.close(wake)


def test_what_comes_is_put_where_there_is_room(ends: Pair) -> None:
    one, other = ends
    data = os.urandom(3 * streams.RECV_SIZE)
    memory = bytearray(len(data))
    room, unsent = memoryview(memory), memoryview(data)
    at_once = True
    while room:
        if unsent:
            unsent = unsent[one.send_now([unsent]) :]
        other.room = room
        count = other.recv_now() if at_once else other.recv()
        at_once = not at_once
        if count is not None:
            assert isinstance(count, int)
            assert count
            room = room[count:]
    assert memory == data
    other.room = None
    one.send_now([b"bytes again"])
    assert receive(other, 11) == b"bytes again"


def test_no_more_is_taken_than_there_is_room(ends: Pair) -> None:
    one, other = ends
    one.send_now([b"abcdef"])
    memory = bytearray(4)
    other.room = memoryview(memory)
    taken = other.recv()
    assert isinstance(taken, int)
    other.room = None
    assert memory[:taken] + receive(other, 6 - taken) == b"abcdef"


def test_the_end_where_there_is_room_is_zero(ends: Pair) -> None:
    one, other = ends
    one.shutdown()
    one.close()
    other.room = memoryview(bytearray(10))
    assert other.recv() == 0
    assert other.recv_now() == 0


def test_bytes_received_before_an_interrupt_are_not_lost() -> None:
    """recv() queues what it has in the step in which it gets it."""
    one, other = (SocketStream(sock) for sock in tcp_sockets())
    one.send_now([b"abc"])
    memory = bytearray(10)
    other.room = memoryview(memory)
    other._block()  # as if an exception had come behind it
    assert other.pending()
    assert other.recv_now() == 3
    assert memory[:3] == b"abc"
    assert not other.pending()
    one.close()
    other.close()


def test_the_end_is_empty_bytes(ends: Pair) -> None:
    one, other = ends
    one.send_now([b"last"])
    one.shutdown()
    one.close()
    assert receive(other, 4) == b"last"
    assert other.recv() == b""


def test_writing_to_a_peer_that_is_gone_raises(ends: Pair) -> None:
    one, other = ends
    other.shutdown()
    other.close()

    def write() -> None:
        for _ in range(1000):  # the first may still go into the buffer of the system
            one.send_now([b"x" * 1000])

    with pytest.raises(OSError):  # noqa: PT011
        write()


def test_shutdown_and_close_do_no_harm_twice(ends: Pair) -> None:
    one, _ = ends
    for _ in range(2):
        one.shutdown()
    for _ in range(2):
        one.close()


def test_after_shutdown_a_stream_is_at_its_end_or_broken(ends: Pair) -> None:
    one, _ = ends
    one.shutdown()
    try:
        assert one.recv_now() == b""
    except OSError:
        pass
    with pytest.raises(OSError):  # noqa: PT011
        one.send_now([b"x"])


def test_shutdown_wakes_a_thread_in_recv_where_the_stream_says_so(ends: Pair) -> None:
    one, _ = ends
    if not one.wakes_on_shutdown:
        assert isinstance(one, PipeStream)
        return
    got: list[object] = []

    def read() -> None:
        try:
            got.append(one.recv())
        except OSError as exc:
            got.append(exc)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    one.shutdown()
    thread.join(20)
    assert not thread.is_alive()
    assert got == [b""] or isinstance(got[0], OSError)


def test_closing_gives_the_descriptors_back(make: Callable[[], Pair]) -> None:
    before = set(os.listdir("/proc/self/fd"))
    one, other = make()
    one.close()
    other.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_decrypted_bytes_count_as_pending(stream_pairs: dict[str, Callable[[], Pair]]) -> None:
    one, other = stream_pairs["tls"]()
    one.send_now([b"x" * 10_000])
    assert isinstance(other, TLSStream)
    streams.wait(other, read=True, write=False, timeout=10)
    while True:  # the session tickets of TLS 1.3 may come first
        try:
            first = other.sock.recv(1)
            break
        except ssl.SSLWantReadError:
            streams.wait(other, read=True, write=False, timeout=10)
    assert first == b"x"
    assert other.pending()
    streams.wait(other, read=True, write=False, timeout=None)  # does not wait
    assert receive(other, 9_999) == b"x" * 9_999
    assert not other.pending()
    one.close()
    other.close()


def test_names_say_who_is_there(
    tmp_path: Path, stream_pairs: dict[str, Callable[[], Pair]]
) -> None:
    one, other = tcp_sockets()
    stream = SocketStream(one)
    host, port = other.getsockname()
    assert stream.name == f"{host}:{port}"
    assert stream.endpoints == (one.getsockname(), other.getsockname())
    stream.close()
    other.close()
    assert stream.name == "a closed socket"
    assert stream.endpoints is None

    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        assert SocketStream(client).name == f"unix:{path}"

    one_pipe, other_pipe = stream_pairs["pipes"]()
    assert one_pipe.name == f"pipes {one_pipe.read_fd} and {one_pipe.write_fd}"
    assert one_pipe.endpoints is None
    one_pipe.close()
    other_pipe.close()


def test_tcp_streams_do_not_delay_small_messages() -> None:
    one, other = tcp_sockets()
    stream = stream_for(one)
    assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    stream.close()
    other.close()


def test_a_stream_that_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = SocketStream.connect(*listener.getsockname(), keepalive=True)
        other, _ = listener.accept()
        with other:
            assert stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            other.sendall(b"hello")
            assert receive(stream, 5) == b"hello"
        stream.close()


def test_a_stream_to_a_unix_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        stream = SocketStream.unix_connect(str(tmp_path / "socket"))
        other, _ = listener.accept()
        with other:
            other.sendall(b"hello")
            assert receive(stream, 5) == b"hello"
        stream.close()
