"""A socket under a pre-shared key, before there is a connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.auth import PreSharedKey, new_key
from netobj.auth.agreeing import accept_sealed, connect_sealed
from netobj.auth.authenticator import is_private
from netobj.auth.sealed import RECORD, SealedSocket, in_records
from netobj.core.consts import PREAMBLE
from netobj.errors import AuthenticationError, ConnectionLost, ProtocolError
from patience import HANG

PSK = PreSharedKey(new_key())
Pair = tuple[SealedSocket, SealedSocket]


@pytest.fixture
def plain() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for sock in (one, other):
        sock.settimeout(HANG)
    with one, other:
        yield one, other


@pytest.fixture
def ends(plain: tuple[socket.socket, socket.socket]) -> Pair:
    accepted: list[SealedSocket] = []
    thread = threading.Thread(target=lambda: accepted.append(accept_sealed(plain[1], PSK)))
    thread.start()
    connected = connect_sealed(plain[0], PSK)
    thread.join(HANG)
    return connected, accepted[0]


def test_what_is_sent_is_received(ends: Pair) -> None:
    one, other = ends
    one.sendall(b"hello")
    assert one.send(memoryview(b" there")) == 6
    assert other.recv(4) == b"hell"
    assert other.recv(0) == b""
    assert other.recv(100) == b"o"
    assert other.recv(100) == b" there"
    one.close()
    assert other.recv(100) == b""


def test_more_than_a_record(ends: Pair) -> None:
    one, other = ends
    data = bytes(range(256)) * 1024
    thread = threading.Thread(target=one.sendall, args=(data,))
    thread.start()
    received = b""
    while len(received) < len(data):
        received += other.recv(100_000)
    thread.join(HANG)
    assert received == data


def test_it_is_a_socket_as_far_as_logins_need_one(ends: Pair) -> None:
    one, other = ends
    assert is_private(one)
    assert not is_private(one.sock)
    assert one.family == socket.AF_INET
    assert one.fileno() == one.sock.fileno()
    assert one.getsockname() == other.getpeername()
    assert one.gettimeout() is None
    other.settimeout(0.01)
    with pytest.raises(TimeoutError):
        other.recv(1)
    assert other.gettimeout() == 0.01
    one.shutdown(socket.SHUT_WR)
    other.settimeout(HANG)
    assert other.recv(1) == b""
    for name in ("sendmsg", "recv_into", "makefile", "sendfile", "detach", "dup"):
        assert not hasattr(one, name)


def test_one_that_sends_a_record_slowly_has_no_more_time(ends: Pair) -> None:
    """The timeout is for all of a call."""
    one, other = ends
    record = b"".join(one.sealer.seal(b"x" * 1000))
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            for number in range(len(record)):
                one.sock.sendall(record[number : number + 1])
                if over.wait(0.01):
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    other.settimeout(0.1)
    with pytest.raises(TimeoutError):
        other.recv(1)
    over.set()
    thread.join(HANG)


def test_the_end_in_the_midst_of_a_record(ends: Pair) -> None:
    one, other = ends
    one.sock.sendall(b"".join(one.sealer.seal(b"x"))[:-1])
    one.close()
    with pytest.raises(ConnectionLost, match="in the midst of a record"):
        other.recv(1)


def test_what_the_other_side_has_not_sent(ends: Pair) -> None:
    one, other = ends
    one.sock.sendall(bytes(100))
    with pytest.raises(ProtocolError):
        other.recv(1)


def test_a_socket_is_closed_if_there_is_no_handshake(
    plain: tuple[socket.socket, socket.socket],
) -> None:
    one, other = plain
    one.sendall(PREAMBLE)
    one.shutdown(socket.SHUT_WR)
    with pytest.raises(AuthenticationError, match="without encryption"):
        accept_sealed(other, PSK)
    assert other.fileno() == -1


def test_each_half_has_its_time(plain: tuple[socket.socket, socket.socket]) -> None:
    for sock in plain:
        sock.settimeout(0.05)
    with pytest.raises(AuthenticationError, match=r"no handshake .* within 0\.05 s"):
        accept_sealed(plain[0], PSK)
    with pytest.raises((TimeoutError, ConnectionLost)):
        connect_sealed(plain[1], PSK)


@given(
    st.lists(st.integers(0, 3 * RECORD), max_size=6),
    st.floats(0, 1),
)
def test_in_records(sizes: list[int], skipped: float) -> None:
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]
    skip = int(skipped * sum(sizes))
    pieces = list(in_records(parts, skip))
    assert b"".join(pieces) == b"".join(parts)[skip:]
    assert all(0 < len(piece) <= RECORD for piece in pieces)


def test_large_parts_are_not_copied() -> None:
    data = bytes(3 * RECORD)
    for piece in in_records([b"small", data]):
        assert len(piece) == 5 or (isinstance(piece, memoryview) and piece.obj is data)
