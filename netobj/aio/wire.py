"""The bytes of a connection: an asyncio protocol, and where connections get their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

SWEEP: Final = 0.25
"""Seconds between looks for references that have died and that nothing has carried along."""


class Wire(asyncio.Protocol):
    """Hands the bytes of a transport to the connection that *make* makes for it.

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

    def data_received(self, data: bytes) -> None:
        self._connection.receive(data)

    def eof_received(self) -> None:
        self._connection.lose_to_peer()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:  # else it could not be made
            self._connection.wire_lost(exc)
            self._connection = None

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


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
