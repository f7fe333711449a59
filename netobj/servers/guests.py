"""Who is with a server: those that it serves, and those who are on their way in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from netobj.blocking.connection import Connection
from netobj.servers.listening import shutdown
from netobj.taking_turns import Room


class Guests:
    """The connections of a server, and the sockets of those who are not let in yet.

    A guest is in one of both, or counted in neither: *admitted* it is on its way, then it has
    *entered*, or is *let go* of. ``_lock`` protects the sets and whether more may come; nothing
    waits while it is held. *room*: that of several processes, where this is one of them.
    """

    def __init__(self, room: Room | None = None) -> None:
        self._room = room
        self.connections: set[Connection] = set()
        self.admitted: set[socket.socket] = set()  # accepted, and not among the connections yet
        self.arriving: set[socket.socket] = set()  # copies of those in their handshake or login
        self._closed = False
        self._lock = threading.RLock()

    def admit(self, sock: socket.socket, most: int) -> bool:
        """*sock* is on its way; False if there are *most* guests, or no room."""
        if self._room is not None and not self._room.try_take():
            return False
        with self._lock:
            fits = len(self.connections) + len(self.admitted) < most
            if fits:
                self.admitted.add(sock)
        if not fits:
            self._give_back()
        return fits

    def let_go(self, sock: socket.socket) -> None:
        """*sock* is on its way no longer."""
        with self._lock:
            known = sock in self.admitted
            self.admitted.discard(sock)
        if known:
            self._give_back()

    def _give_back(self) -> None:
        if self._room is not None:
            self._room.give()

    @contextmanager
    def arrival(self, sock: socket.socket) -> Iterator[None]:
        """While in the block, :meth:`close` ends what is said over *sock*, whatever wraps it."""
        other = sock.dup()
        try:
            with self._lock:
                if self._closed:
                    shutdown(other)
                self.arriving.add(other)
            yield
        finally:
            with self._lock:
                self.arriving.discard(other)
                other.close()

    def enter(self, sock: socket.socket, connection: Connection) -> bool:
        """Who came as *sock* is served as *connection*; False if the server is closed."""
        with self._lock:
            if not self._closed:
                self.admitted.discard(sock)  # in one step: it counts once
                self.connections.add(connection)
            return not self._closed

    def leave(self, connection: Connection) -> bool:
        """*connection* has ended; False if that is known."""
        with self._lock:
            known = connection in self.connections
            self.connections.discard(connection)
        if known:
            self._give_back()
        return known

    def present(self) -> tuple[Connection, ...]:
        """The connections at the moment."""
        with self._lock:
            return tuple(self.connections)

    def close(self) -> list[Connection]:
        """Nobody enters from here on, and logins end; returns the connections, to be closed."""
        with self._lock:
            self._closed = True
            for sock in self.arriving:
                shutdown(sock)
            return list(self.connections)
