"""A flag that ends waiting."""

from __future__ import annotations

import os
import socket


class Stop:
    """Set once, from any thread or signal handler; whoever waits with it wakes at once.

    It holds two sockets, so that it can be waited for together with others. Setting it ends the
    stream between them: that takes no lock, and a signal handler may have come in the midst of
    anything. In a process that was forked off it is another flag, which nobody waits for.

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
        self._process = os.getpid()
        self.is_set = False

    def set(self) -> None:
        """End the waiting, now and from here on."""
        self.is_set = True
        if os.getpid() == self._process:
            try:
                # Closing is not enough: a child that was forked off has the socket, too.
                self._writer.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has been set before
                pass
        self._writer.close()

    def fileno(self) -> int:
        """A descriptor that is readable once the flag is set."""
        return self._reader.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait for the flag, so long at most; returns whether it is set. In one thread only."""
        if not self.is_set:
            # With the timeout of a socket, which takes no descriptor: there may be none.
            self._reader.settimeout(max(0.0, seconds))
            try:
                self._reader.recv(1)
            except OSError:  # in time, or at once for no time at all
                pass
        return self.is_set

    def close(self) -> None:
        """Set it, and give the sockets back: nobody waits with it any more."""
        self.set()
        self._reader.close()
