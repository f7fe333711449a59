"""A socket under a pre-shared key, for what is said before there is a connection."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from netobj.errors import ConnectionLost

Data = bytes | memoryview

RECORD: Final = 65536
"""Bytes that one record carries at most, see :mod:`netobj.auth.sealing`."""
_RECEIVED: Final = 4096


class SealedSocket:
    """What is sent through *sock*, which belongs to it, is encrypted; what comes is decrypted.

    *sealer* and *opener* are those of a :class:`netobj.auth.sealing.Handshake`. No subclass of
    ``socket.socket``, any method of which that were forgotten here would send as it is. One thread
    at a time may use it.
    """

    def __init__(self, sock: socket.socket, sealer: Any, opener: Any) -> None:
        self.sock = sock
        self.sealer = sealer
        self.opener = opener
        self.opened: deque[Data] = deque()  # decrypted, and not asked for yet

    def send(self, data: Data) -> int:
        """As :meth:`sendall`; returns how many bytes there were."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: Data) -> None:
        """Send all of *data*. Raises OSError, after which it is unknown how much was sent."""
        for piece in in_records((data,)):
            self.sock.sendall(b"".join(self.sealer.seal(piece)))

    def recv(self, size: int) -> bytes:
        """At most *size* bytes, ``b""`` at the end.

        Raises OSError, ConnectionLost if the end comes in the midst of a record, ProtocolError if
        one is not what the other side has sent.
        """
        limit = self.sock.gettimeout()
        deadline = None if limit is None else time.monotonic() + limit
        try:
            while not self.opened and size > 0:
                data = self.sock.recv(_RECEIVED)
                if not data:
                    if self.opener.amid:
                        raise ConnectionLost(CUT)
                    return b""
                self.opened.extend(self.opener.open(data))
                if deadline is not None:
                    self.sock.settimeout(max(0.001, deadline - time.monotonic()))
        finally:
            self.sock.settimeout(limit)
        return self._taken(size)

    def _taken(self, size: int) -> bytes:
        if size <= 0:
            return b""
        data = self.opened.popleft()
        if len(data) > size:
            self.opened.appendleft(memoryview(data)[size:])
        return bytes(data[:size])

    @property
    def family(self) -> int:
        """That of the socket."""
        return self.sock.family

    def fileno(self) -> int:
        """The descriptor, to wait for; -1 once closed."""
        return self.sock.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """How long each call may take from here on; None: for ever."""
        self.sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """How long each call may take."""
        return self.sock.gettimeout()

    def getpeername(self) -> Any:
        """The address of the other side."""
        return self.sock.getpeername()

    def getsockname(self) -> Any:
        """The address of this side."""
        return self.sock.getsockname()

    def shutdown(self, how: int) -> None:
        """End what is sent, what is received, or both."""
        self.sock.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


def kept_sealed(before: Any, sock: Any, credentials: Any) -> tuple[Any, Any]:
    """What a callable authenticator has returned for *before*: *sock* and *credentials*.

    Raises TypeError if that takes the encryption away.
    """
    if isinstance(before, SealedSocket) and not isinstance(sock, SealedSocket):
        raise TypeError(
            "the authenticator returned another socket than it was given, without the encryption "
            "by the pre-shared key"
        )
    return sock, credentials


CUT: Final = "the connection was cut in the midst of a record"


def in_records(parts: Sequence[Data], skip: int = 0) -> Iterator[Data]:
    """What each record is to carry of *parts*, without their first *skip* bytes: small ones
    together, large ones in pieces, which are not copied.

    >>> [len(piece) for piece in in_records([bytes(10), bytes(20), bytes(RECORD + 1)], 5)]
    [25, 65536, 1]
    """
    together: list[Data] = []
    size = 0
    for part in parts:
        if skip:
            part, skip = memoryview(part)[skip:], max(0, skip - len(part))
        if size + len(part) > RECORD:
            if together:
                yield _joined(together)
            together, size = [], 0
            while len(part) > RECORD:
                part = memoryview(part)
                yield part[:RECORD]
                part = part[RECORD:]
        if len(part):
            together.append(part)
            size += len(part)
    if together:
        yield _joined(together)


def _joined(parts: list[Data]) -> Data:
    return parts[0] if len(parts) == 1 else b"".join(parts)
