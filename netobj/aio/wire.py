"""The bytes of a connection: an asyncio protocol, and where connections get their time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final, cast

from netobj.errors import ProtocolError

SWEEP: Final = 0.25
"""Seconds between looks for references that have died and that nothing has carried along."""


_BUFFER: Final = 256 * 1024


class _Buffer(threading.local):
    """What arrives in a thread's loop, for the moment until it is handed on."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_BUFFER))


_buffer: Final = _Buffer()


def shared_buffer() -> memoryview:
    """Where a protocol of the running loop may have put what arrives, until it has returned."""
    return _buffer.view


class Wire(asyncio.BaseProtocol):
    """Hands what a transport tells to the connection that *make* makes for it.

    Where *make* has aborted the transport instead, it returns None.
    """

    __slots__ = ("_connection", "_make")

    def __init__(self, make: Callable[[asyncio.Transport], Any]) -> None:
        self._make: Callable[[asyncio.Transport], Any] | None = make
        self._connection: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        make, self._make = self._make, None
        assert make is not None
        self._connection = make(cast("asyncio.Transport", transport))

    def arrived(self, data: bytes) -> None:
        """What came before the wire had the transport."""
        if data and self._connection is not None:
            self._connection.receive(data)

    def eof_received(self) -> None:
        self._connection.lose_to_peer()

    def cut(self, reason: str) -> None:
        """The end came in the midst of what was encrypted."""
        if self._connection is not None:
            self._connection.lose(f"the connection to {self._connection.peer_name} broke: {reason}")

    def broken(self, exc: ProtocolError) -> None:
        """What came is not what the peer has encrypted."""
        if self._connection is not None:
            self._connection.broken(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:  # else it could not be made
            self._connection.wire_lost(exc)
            self._connection = None

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class PlainWire(Wire, asyncio.Protocol):
    """For loops that hand over what has arrived as an object of its size, as uvloop does."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self._connection.receive(data)


class BufferedWire(Wire, asyncio.BufferedProtocol):
    """For asyncio's own loops.

    For a plain protocol they make an object of 256 KiB each time that something arrives, which may
    cost more than all the rest: memory of that size is had from the system, and given back to it.
    """

    __slots__ = ("_view",)

    def __init__(self, make: Callable[[asyncio.Transport], Any]) -> None:
        super().__init__(make)
        self._view = _buffer.view

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.receive(bytes(self._view[:nbytes]))


def is_encrypted(transport: asyncio.BaseTransport) -> bool:
    """Whether what passes through *transport* is not what passes through its socket."""
    tls, psk = transport.get_extra_info("ssl_object"), transport.get_extra_info("psk")
    return tls is not None or psk is not None


def unread(transport: asyncio.BaseTransport) -> bytes:
    """What came over a socket that takes no more bytes, which is what its transport has met first.

    Nothing where that is encrypted, and no more than a little.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or is_encrypted(transport):
        return b""
    try:
        with sock.dup() as other:  # transports let nobody receive from theirs
            other.setblocking(False)
            return cast("bytes", other.recv(_BUFFER))
    except OSError:  # there is nothing, or no descriptor
        return b""


def new_wire(make: Callable[[asyncio.Transport], Any]) -> Wire:
    """The wire for the running loop."""
    if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        return BufferedWire(make)
    return PlainWire(make)


class Sweeper:
    """Sends the releases of one loop's connections that nothing carries along.

    Only connections that may have some are looked at, so that idle ones cost nothing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._noted: set[Any] = set()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, connection: Any) -> None:
        """Something of *connection*'s may die from here on."""
        self._noted.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP, self._sweep)

    def forget(self, connection: Any) -> None:
        """*connection* has ended."""
        self._noted.discard(connection)

    def _sweep(self) -> None:
        self._timer = None
        for connection in list(self._noted):
            connection.flush_releases()
            if not connection.may_release():
                self._noted.discard(connection)
        if self._noted:
            self._timer = self._loop.call_later(SWEEP, self._sweep)


_sweepers: dict[int, tuple[asyncio.AbstractEventLoop, Sweeper]] = {}


def sweeper(loop: asyncio.AbstractEventLoop) -> Sweeper:
    """The sweeper of *loop*."""
    found = _sweepers.get(id(loop))
    if found is None or found[0] is not loop:
        for key, (other, _) in list(_sweepers.items()):
            if other.is_closed():
                _sweepers.pop(key, None)
        found = _sweepers[id(loop)] = (loop, Sweeper(loop))
    return found[1]
