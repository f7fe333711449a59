"""The listening socket of a server: bound when it is first used, accepting, its end."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from netobj.refusing import ACCEPT_PAUSE, NO_DESCRIPTOR, PASSING, Spare, close_quietly
from netobj.servers.signals import Alarm
from netobj.sockets import bind_unix, unlink

Accepted = tuple[socket.socket, Any]
"""The socket of who has come, and its address."""


class Listening:
    """One server's listening socket, which *bind* makes when it is first asked for.

    Who comes when there is no descriptor for it is accepted with a spare one, for *refuse* to
    tell why, and to close. *path*: the file of a Unix socket, removed at the end.

    ``_lock`` protects the making, the address and the end of the socket; nothing waits while it is
    held.
    """

    def __init__(
        self,
        bind: Callable[[], socket.socket],
        refuse: Callable[[socket.socket, str], object],
        log: logging.Logger,
        path: str | None,
    ) -> None:
        self.sock: socket.socket | None = None  # while it is bound
        self.closed = False
        self.alarm: Alarm | None = None  # while the main thread accepts
        self._address: Any = None  # what it is or was bound to
        self._bind = bind
        self._refuse = refuse
        self._log = log
        self._path = path
        self.spare = Spare()
        self._lock = threading.RLock()

    def bound(self) -> socket.socket:
        """The socket; bound when it is first asked for. OSError once closed."""
        with self._lock:
            if self.closed:
                raise OSError(errno.EBADF, "the server is closed")
            if self.sock is None:
                self.sock = self._bind()
                self._address = self.sock.getsockname()
                self.spare.renew()
            return self.sock

    def address(self) -> Any:
        """What it is bound to, or was until the end; bound when it is first asked for."""
        if self._address is None:
            self.bound()
        return self._address

    def accept(self) -> Accepted | None:
        """Who comes next; waits for somebody. None where the system failed, and soon may not.

        Raises OSError for what will not pass, being closed or interrupted for example.
        """
        try:
            sock = self.bound()
            if self.alarm is not None:
                self.alarm.wait(sock)
            return sock.accept()
        except OSError as exc:
            if exc.errno not in PASSING:
                raise
            self._log.error("accepting failed, trying again soon: %s", exc)
            found = None
            if exc.errno in NO_DESCRIPTOR:
                found = self._accept_with_spare(f"{exc.strerror}")
        if found is None:
            time.sleep(ACCEPT_PAUSE)
        return found

    def _accept_with_spare(self, reason: str) -> Accepted | None:
        """Accept who comes next, to tell the *reason*, unless there is a descriptor by then."""
        newcomer = self.spare.accept(self.bound())
        if newcomer is None:
            return None
        if newcomer.welcome:
            return newcomer.sock, newcomer.address
        self._refuse(newcomer.sock, reason)
        self.spare.renew()
        return None

    def interrupt(self) -> None:
        """Let :meth:`accept` come out and fail; from a signal handler, so without the lock."""
        sock = self.sock
        if sock is not None:
            shutdown(sock)

    def stop(self) -> None:
        """Who comes from here on is refused by the system; the port is not bound anew."""
        sock = self.sock
        if sock is not None:
            shutdown(sock)
            close_quietly(sock)

    def close(self) -> None:
        """Nobody is accepted any more; also while a thread waits in :meth:`accept`."""
        sock = self._take()
        if sock is not None:
            shutdown(sock)
            close_quietly(sock)
            self.unlink()

    def unlink(self) -> None:
        """Remove the file of a Unix socket."""
        if self._path is not None:
            unlink(self._path)

    def _take(self) -> socket.socket | None:
        with self._lock:
            self.closed = True
            sock, self.sock = self.sock, None
        self.spare.close()
        return sock

    def forget(self) -> None:
        """In the child of a fork: the socket is the parent's, which goes on listening."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        sock = self._take()
        if sock is not None:
            sock.close()


def find_address(hostname: str | None, port: int, ipv6: bool) -> tuple[int, Any]:
    """The family and the address to bind for a server's arguments. Raises OSError."""
    ipv6 = ipv6 or ":" in (hostname or "")
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    host = hostname or ("::" if ipv6 else "0.0.0.0")
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    return family, found[0][4]


def listen_at(
    family: int, address: Any, backlog: int, reuse_addr: bool, reuse_port: bool = False
) -> socket.socket:
    """A socket that listens at *address*. Raises OSError.

    *reuse_port*: further ones of this user may listen there, too.
    """
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if reuse_addr and os.name != "nt":  # elsewhere it lets others steal the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setblocking(True)  # whatever socket.setdefaulttimeout() says
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def listen_at_path(path: str, backlog: int) -> socket.socket:
    """A Unix socket that listens, for this user alone. Raises OSError."""
    listener = bind_unix(path)
    listener.setblocking(True)  # whatever socket.setdefaulttimeout() says
    listener.listen(backlog)
    return listener


def shutdown(sock: socket.socket) -> None:
    """End what is said over *sock*; lets a thread come out of ``accept`` on Linux."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
