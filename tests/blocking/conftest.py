"""Pairs of streams and of connections in one process, and waiting without guessing times."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

import netobj
from netobj.auth import PreSharedKey, new_key
from netobj.auth.agreeing import accept_sealed, connect_sealed
from netobj.auth.sealed import SealedSocket
from netobj.blocking.pool import WorkerPool
from netobj.blocking.streams import (
    NonBlockingSocketStream,
    PipeStream,
    SealedStream,
    SocketStream,
    Stream,
    TLSStream,
    stream_for,
)
from patience import wait_until

StreamPair = tuple[Stream, Stream]
Pair = tuple[netobj.Connection, netobj.Connection]


@pytest.fixture
def pair() -> Iterator[Callable[..., Pair]]:
    """``pair(here, there, config, other_config)``: two open connections, closed at the end."""
    opened: list[netobj.Connection] = []

    def make(
        here: Any = netobj.VoidService,
        there: Any = netobj.SlaveService,
        config: dict[str, Any] | None = None,
        other_config: dict[str, Any] | None = None,
    ) -> Pair:
        one, other = socket.socketpair()
        first = netobj.connect_stream(SocketStream(one), here, config or {})
        opened.append(first)
        second = netobj.connect_stream(SocketStream(other), there, other_config or {})
        opened.append(second)
        return first, second

    yield make
    for connection in opened:
        connection.close()


class FullPool(WorkerPool):
    """The system gives no threads any more."""

    def submit(self, job: Any) -> bool:
        return False


@pytest.fixture
def full_pool() -> WorkerPool:
    """A pool that can start no thread."""
    return FullPool()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds."""
    return wait_until


@pytest.fixture
def in_thread() -> Iterator[Callable[..., threading.Thread]]:
    """Start a function in a thread that is joined when the test ends."""
    threads: list[threading.Thread] = []

    def start(function: Callable[..., object], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=args, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def unix_pair() -> StreamPair:
    one, other = socket.socketpair()
    return SocketStream(one), SocketStream(other)


def tcp_sockets() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


def tcp_pair() -> StreamPair:
    one, other = tcp_sockets()
    return SocketStream(one), SocketStream(other)


def fallback_pair() -> StreamPair:
    one, other = tcp_sockets()
    return NonBlockingSocketStream(one), NonBlockingSocketStream(other)


def pipe_pair() -> StreamPair:
    here, theirs = os.pipe()
    there, ours = os.pipe()
    return PipeStream(here, ours), PipeStream(os.fdopen(there, "rb"), os.fdopen(theirs, "wb"))


def tls_pair() -> StreamPair:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    one, other = tcp_sockets()
    accepted: list[ssl.SSLSocket] = []
    thread = threading.Thread(
        target=lambda: accepted.append(server.wrap_socket(other, server_side=True))
    )
    thread.start()
    connected = client.wrap_socket(one, server_hostname="localhost")
    thread.join()
    first, second = stream_for(connected), stream_for(accepted[0])
    assert type(first) is type(second) is TLSStream
    return first, second


def psk_pair() -> StreamPair:
    psk = PreSharedKey(new_key())
    one, other = tcp_sockets()
    accepted: list[SealedSocket] = []
    thread = threading.Thread(target=lambda: accepted.append(accept_sealed(other, psk)))
    thread.start()
    connected = connect_sealed(one, psk)
    thread.join()
    return stream_for(connected), stream_for(accepted[0])


def psk_fallback_pair() -> StreamPair:
    first, second = psk_pair()
    for stream in (first, second):
        assert isinstance(stream, SealedStream)
        stream._plain = NonBlockingSocketStream(stream.sock)
    return first, second


KINDS: dict[str, Callable[[], StreamPair]] = {
    "unix": unix_pair,
    "tcp": tcp_pair,
    "fallback": fallback_pair,
    "pipes": pipe_pair,
    "tls": tls_pair,
    "psk": psk_pair,
    "psk fallback": psk_fallback_pair,
}


@pytest.fixture
def stream_pairs() -> dict[str, Callable[[], StreamPair]]:
    """For each kind of stream what makes two connected ones."""
    return KINDS


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[[], StreamPair]:
    """What makes two connected streams, of each kind in turn."""
    return KINDS[request.param]
