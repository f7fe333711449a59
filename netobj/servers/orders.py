"""What the processes of a server tell one another, over a pair of sockets.

Down goes an :class:`Order`, from the program to the master and from there to the workers. Up go
lines for the log, from the master to the program, which has the handlers of its logger. The end of
the stream says that the other process has ended, however it did.
"""

from __future__ import annotations

import logging
import socket
from struct import Struct
from typing import Final, NamedTuple

_ORDER: Final = Struct("=cd")
_END: Final = b"E"
_CUT: Final = b"C"

END_PATIENCE: Final = 2.0
"""Seconds, beyond those that calls have, until a process that was to end is killed."""


class Order(NamedTuple):
    """End: calls have *grace* seconds. *cut*: what still runs has none any more."""

    grace: float
    cut: bool = False

    def packed(self) -> bytes:
        return _ORDER.pack(_CUT if self.cut else _END, self.grace)


class Orders:
    """The orders that come over *sock*, which does not block."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""

    def read(self) -> list[Order] | None:
        """What has come; None if nothing will any more."""
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        data = self._rest + data
        whole = len(data) - len(data) % _ORDER.size
        self._rest = data[whole:]
        return [Order(grace, kind == _CUT) for kind, grace in _ORDER.iter_unpack(data[:whole])]


def tell(sock: socket.socket | None, data: bytes) -> None:
    """Send *data*, if there is somebody who reads it; never waits."""
    try:
        if sock is not None:
            sock.send(data)
    except OSError:  # it has ended; or it reads nothing, and then nothing helps
        pass


class Reports:
    """Lines for *log* that a master sends, as its program reads them."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._rest = b""

    def add(self, data: bytes) -> None:
        """Log the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            level, _, text = line.decode(errors="replace").partition(" ")
            self._log.log(int(level), "%s", text)

    @staticmethod
    def line(level: int, text: str) -> bytes:
        return f"{level} {text}\n".encode()
