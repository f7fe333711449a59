from __future__ import annotations

import socket

import netobj
from netobj.blocking.channel import Channel
from netobj.blocking.streams import SocketStream


def test_it_shows_the_stream_and_its_descriptor() -> None:
    one, other = socket.socketpair()
    channel = Channel(SocketStream(one))
    assert channel.stream.sock is one  # type: ignore[attr-defined]
    assert channel.fileno() == one.fileno()
    assert not channel.closed
    channel.close()
    assert other.recv(1) == b""
    channel.stream.close()
    assert channel.closed
    other.close()


def test_programs_reach_the_socket_through_the_connection() -> None:
    with netobj.connect_thread() as conn:
        assert isinstance(conn._channel.stream.sock, socket.socket)
        assert conn._channel.stream.sock.fileno() == conn._channel.fileno()
    assert conn._channel.closed
