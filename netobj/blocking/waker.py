"""A descriptor that one thread waits on and any other makes readable."""

from __future__ import annotations

import os
import socket
from typing import Final


class EventWaker:
    """An eventfd (Linux)."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """Make :attr:`fd` readable; never waits."""
        try:
            os.eventfd_write(self.fd, 1)
        except (OSError, ValueError):  # awake already, or closed
            pass

    def clear(self) -> None:
        """Make :attr:`fd` unreadable again."""
        try:
            os.eventfd_read(self.fd)
        except (OSError, ValueError):
            pass

    def close(self) -> None:
        """Give the descriptor back."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class PairWaker:
    """A socket pair, where there is no eventfd."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.fd = self._reader.fileno()

    def wake(self) -> None:
        """Make :attr:`fd` readable; never waits."""
        try:
            self._writer.send(b"\0")
        except OSError:  # full, so awake already; or closed
            pass

    def clear(self) -> None:
        """Make :attr:`fd` unreadable again."""
        try:
            while self._reader.recv(4096):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """Give the descriptors back."""
        self._reader.close()
        self._writer.close()


Waker: Final = EventWaker if hasattr(os, "eventfd") else PairWaker
