"""The listening socket of a worker, which it shares with others."""

from __future__ import annotations

import errno
import logging
import select
import socket
from collections.abc import Callable

from netobj.refusing import close_quietly
from netobj.servers.listening import Accepted, Listening
from netobj.taking_turns import Room, Turn


class SharedListening(Listening):
    """Accepts from *sock*, as other processes do; as :class:`Listening` for the rest.

    Its end is that of this process's part: the socket is not shut down, so the others go on. Who
    waits to accept is woken by a pair of sockets instead.
    """

    def __init__(
        self,
        sock: socket.socket,
        room: Room,
        refuse: Callable[[socket.socket, str], object],
        log: logging.Logger,
    ) -> None:
        super().__init__(lambda: sock, refuse, log, None)
        sock.setblocking(False)  # another may be quicker
        self._turn = Turn(room, sock)
        self._inside = False  # a thread is in accept()
        self._here, self._there = socket.socketpair()
        self._there.setblocking(False)
        self._woken = select.poll()
        self._woken.register(self._here, select.POLLIN)
        self._either = select.poll()
        self._either.register(self._here, select.POLLIN)
        self._either.register(sock, select.POLLIN)

    def accept(self) -> Accepted | None:
        """Who comes next; None also if another process was quicker, or this one is to end."""
        with self._lock:
            sock = self.bound()
            self._inside = True
        try:
            return super().accept() if self._my_turn(sock) else None
        except BlockingIOError:
            return None
        except OSError as exc:
            if exc.errno == errno.EINVAL:  # the server is being closed: this will be told, too
                return None
            raise
        finally:
            with self._lock:
                self._inside = False
            self._let_go()

    def _my_turn(self, sock: socket.socket) -> bool:
        """Wait until somebody comes who is for this process; False if it accepts no more."""
        events = dict(self._either.poll())
        if self._here.fileno() in events:
            return False
        if events.get(sock.fileno(), 0) & ~select.POLLIN:  # it was shut down, or closed
            self._woken.poll()
            return False
        while pause := self._turn.pause():
            if self._woken.poll(pause * 1000):
                return False
        return True

    def interrupt(self) -> None:
        """Let :meth:`accept` come out; from a signal handler, so without the lock."""
        try:
            self._there.send(b"!")
        except OSError:  # it has come out before, or will
            pass

    def stop(self) -> None:
        """Accept nobody from here on."""
        self.interrupt()

    def close(self) -> None:
        """Accept nobody any more; also while a thread waits in :meth:`accept`."""
        sock = self._take()
        self.interrupt()
        if sock is not None:
            close_quietly(sock)
        self._let_go()

    def _let_go(self) -> None:
        """Close what wakes a thread in :meth:`accept`, if there is none and will be none."""
        with self._lock:
            if self.closed and not self._inside:
                self._here.close()
                self._there.close()
