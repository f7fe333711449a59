"""Several processes that accept from one socket: who takes who comes, and how many may."""

from __future__ import annotations

import select
import socket
import time
from typing import Final, Protocol

PATIENCE: Final = 0.02
"""Seconds that a process leaves a newcomer to one with fewer clients."""
LOOK: Final = 0.001
"""Seconds between looks whether that one has come for it."""


class Room(Protocol):
    """The room for clients of several processes that are one server."""

    def try_take(self) -> bool:
        """Take a place for a newcomer; False if there is none in all the processes."""

    def give(self) -> None:
        """Give a place back."""

    def may_leave(self) -> bool:
        """Whether another process has fewer clients, and should take who comes next."""


class Turn:
    """Whether a process is the one to accept who waits at *listener*; for one thread.

    The one with the fewest clients is. Another waits a moment for it, not for ever: it may be busy
    with something that does not let it.
    """

    def __init__(self, room: Room, listener: socket.socket) -> None:
        self._room = room
        self._poller = select.poll()
        self._poller.register(listener, select.POLLIN)
        self._until: float | None = None  # as long as somebody waits who is left to others

    def pause(self) -> float:
        """Seconds after which to ask again; 0: accept, which fails if nobody waits any more."""
        if not self._room.may_leave() or not self._poller.poll(0):
            self._until = None
            return 0.0
        now = time.monotonic()
        if self._until is None:
            self._until = now + PATIENCE
        elif now >= self._until:
            self._until = None
            return 0.0
        return LOOK
