"""A flag that ends waiting."""

from __future__ import annotations

import selectors
import socket


class Stop:
    """Set once, from any thread or signal handler; whoever waits with it wakes at once.

    It holds two sockets, so that it can be waited for together with others. Setting it closes
    one: that takes no lock, and a signal handler may have come in the midst of anything.

    >>> stop = Stop()
    >>> stop.wait(0.001)
    False
    >>> stop.set()
    >>> stop.wait(60)
    True
    >>> stop.close()
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self.is_set = False

    def set(self) -> None:
        """End the waiting, now and from here on."""
        self.is_set = True
        self._writer.close()

    def fileno(self) -> int:
        """A descriptor that is readable once the flag is set."""
        return self._reader.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait for the flag, so long at most; returns whether it is set."""
        if not self.is_set:
            with selectors.DefaultSelector() as selector:
                selector.register(self, selectors.EVENT_READ)
                selector.select(max(0.0, seconds))
        return self.is_set

    def close(self) -> None:
        """Set it, and give the sockets back: nobody waits with it any more."""
        self.set()
        self._reader.close()
