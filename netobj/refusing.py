"""Newcomers that a server cannot serve: what servers of both skins have ready for them."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from typing import Any, Final, NamedTuple

from netobj.core.hello import goodbye

MAX_CONNECTIONS: Final = 10_000
ACCEPT_PAUSE: Final = 0.1
"""Seconds before accepting again when the system gave no descriptor or thread."""
PASSING: Final = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EINTR", "EPERM")
)
"""Errors of ``accept`` after which it is tried again."""
NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)


GRACE: Final = 3.0
"""Seconds that calls have to end when a signal ends a server."""


def one_grace(grace: float | None, graceful_timeout: float | None) -> float:
    """The seconds of grace that a server was given under one of two names, or the default.

    >>> one_grace(None, None), one_grace(None, 10), one_grace(0, None)
    (3.0, 10, 0)
    """
    if grace is not None and graceful_timeout is not None:
        raise ValueError("grace and graceful_timeout are the same: give one of them")
    given = grace if grace is not None else graceful_timeout
    return GRACE if given is None else given


def full(count: int) -> str:
    """Why a server that may have *count* connections refuses the next one."""
    return f"it has {count} connection{'s' * (count != 1)}, and takes no more"


def refuse(sock: socket.socket, reason: str, hello: bytes | None) -> None:
    """Close *sock*, whose peer learns the *reason* after *hello*.

    None is for a peer that expects something else first: to be asked who it is, or TLS.
    """
    try:
        if hello is not None:
            sock.setblocking(False)  # what does not fit is not worth waiting for
            sock.send(hello + goodbye(f"the server refuses the connection: {reason}"))
            sock.shutdown(socket.SHUT_WR)
    except OSError:  # it is gone
        pass
    finally:
        close_quietly(sock)


def close_quietly(sock: Any) -> None:
    """Close *sock*, whatever the system says to that."""
    try:
        sock.close()
    except OSError:
        pass


class Newcomer(NamedTuple):
    """Who was accepted with a :class:`Spare`."""

    sock: socket.socket
    address: Any
    welcome: bool
    """Whether there is a descriptor again, so that it may be served."""


class Spare:
    """A descriptor that is kept for when there is no other: with it a newcomer is told so.

    One thread renews and accepts; any may close it. No lock: who takes the number out of the queue
    is the one to close it.
    """

    def __init__(self) -> None:
        self._kept: deque[int] = deque()
        self._closed = False

    def renew(self) -> bool:
        """Have one for later; False if there is none, or none is wanted any more."""
        if not self._kept and not self._closed:
            try:
                self._kept.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
        if self._closed:  # perhaps meanwhile
            self._give_up()
        return bool(self._kept)

    def accept(self, listener: socket.socket) -> Newcomer | None:
        """Accept who comes next; None if that is not possible.

        The system does not wait for somebody to come before it says that there is no descriptor,
        so there may be one by now. Who is not welcome is to be refused, and the spare descriptor
        renewed.
        """
        if not self._give_up():
            self.renew()
            return None
        try:
            sock, address = listener.accept()
        except OSError:  # nobody has come; or the descriptor is another's, or the server closed
            self.renew()
            return None
        return Newcomer(sock, address, self.renew())

    def close(self) -> None:
        """Keep none from here on."""
        self._closed = True
        self._give_up()

    def _give_up(self) -> bool:
        try:
            os.close(self._kept.popleft())
        except IndexError:
            return False
        return True
