"""The listening socket of a server: bound when it is first used, accepting, its end."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from netobj.sockets import bind_unix, unlink

ACCEPT_PAUSE: Final = 0.1
"""Seconds before accepting again when the system gave no descriptor or thread."""

Accepted = tuple[socket.socket, Any]
"""The socket of who has come, and its address."""


class Listening:
    """One server's listening socket, which *bind* makes when it is first asked for.

    Who comes when there is no descriptor for it is accepted with a spare one, for *refuse* to
    tell why, and to close. *path*: the file of a Unix socket, removed at the end.

    ``_lock`` protects the making and the end of the socket, its address, and the spare descriptor,
    which belongs to whoever has taken it out; nothing waits while it is held.
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
        self._address: Any = None  # what it is or was bound to
        self._bind = bind
        self._refuse = refuse
        self._log = log
        self._path = path
        self._spare: int | None = None
        self._lock = threading.RLock()

    def bound(self) -> socket.socket:
        """The socket; bound when it is first asked for. OSError once closed."""
        with self._lock:
            if self.closed:
                raise OSError(errno.EBADF, "the server is closed")
            if self.sock is None:
                self.sock = self._bind()
                self._address = self.sock.getsockname()
                self._spare = os.open(os.devnull, os.O_RDONLY)
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
            return self.bound().accept()
        except OSError as exc:
            if exc.errno not in _PASSING:
                raise
            self._log.error("accepting failed, trying again soon: %s", exc)
            found = None
            if exc.errno in _NO_DESCRIPTOR:
                found = self._accept_with_spare(f"{exc.strerror}")
        if found is None:
            time.sleep(ACCEPT_PAUSE)
        return found

    def _accept_with_spare(self, reason: str) -> Accepted | None:
        """Accept who comes next, to say that there is no descriptor, unless there is one by then.

        The system does not wait for somebody to come before it says that there is none.
        """
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None:
            self._renew_spare()
            return None
        os.close(spare)
        try:
            sock, address = self.bound().accept()
        except OSError:  # another thread has taken the descriptor, or the server is closed
            self._renew_spare()
            return None
        if self._renew_spare():
            return sock, address
        self._refuse(sock, reason)
        self._renew_spare()
        return None

    def _renew_spare(self) -> bool:
        """Keep a descriptor for later; False if there is none."""
        with self._lock:
            if self._spare is None and not self.closed:
                try:
                    self._spare = os.open(os.devnull, os.O_RDONLY)
                except OSError:
                    pass
            return self._spare is not None

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
            close(sock)

    def close(self) -> None:
        """Nobody is accepted any more; also while a thread waits in :meth:`accept`."""
        sock, spare = self._take()
        if spare is not None:
            os.close(spare)
        if sock is not None:
            shutdown(sock)
            close(sock)
            if self._path is not None:
                unlink(self._path)

    def _take(self) -> tuple[socket.socket | None, int | None]:
        with self._lock:
            self.closed = True
            sock, self.sock = self.sock, None
            spare, self._spare = self._spare, None
        return sock, spare

    def forget(self) -> None:
        """In the child of a fork: the socket is the parent's, which goes on listening."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        sock, spare = self._take()
        if spare is not None:
            os.close(spare)
        if sock is not None:
            sock.close()


_PASSING: Final = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EINTR", "EPERM")
)
_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)


def find_address(hostname: str | None, port: int, ipv6: bool) -> tuple[int, Any]:
    """The family and the address to bind for a server's arguments. Raises OSError."""
    ipv6 = ipv6 or ":" in (hostname or "")
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    host = hostname or ("::" if ipv6 else "0.0.0.0")
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    return family, found[0][4]


def listen_at(family: int, address: Any, backlog: int, reuse_addr: bool) -> socket.socket:
    """A socket that listens at *address*. Raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if reuse_addr and os.name != "nt":  # elsewhere it lets others steal the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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


def close(sock: socket.socket) -> None:
    """Close *sock*, whatever has become of it."""
    try:
        sock.close()
    except OSError:
        pass


def shutdown(sock: socket.socket) -> None:
    """End what is said over *sock*; lets a thread come out of ``accept`` on Linux."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
