"""Requests that get no answer: how many are under way, and how that stays within bounds.

An answer gives the place of its request back to the sender. Where there is none, the receiver says
now and then how many it is done with (``DONE``): a count, since it matters to nobody which. It
says so when a quarter of what it admits is over, so the sender always finds room before long,
and a flood of such requests costs a message for some hundreds.

Both sides count exactly, the sender before it queues a request and the receiver when it has come,
so the sender never has less than what the receiver still counts. What is beyond the limits is a
peer's that does not count, and a protocol error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from netobj.errors import ProtocolError


class Oneways:
    """The numbers of one connection; *guard*, the connection's, protects them.

    *most* and *most_bytes* are what this side admits. Bytes are those of requests that have many.

    >>> from contextlib import nullcontext
    >>> oneways = Oneways(nullcontext(), most=8, most_bytes=1000)
    >>> oneways.take(lambda: 1), oneways.take(lambda: 1)
    (True, False)
    >>> oneways.come(0), oneways.come(0), oneways.over(0), oneways.over(0)
    (None, None, None, (2, 0))
    """

    def __init__(self, guard: AbstractContextManager[object], most: int, most_bytes: int) -> None:
        self._guard = guard
        self._most = most
        self._most_bytes = most_bytes
        self._at_once = most // 4  # of very few, each
        self.sent = 0  # of ours: those that the peer has not told us to be done
        self.sent_bytes = 0
        self._running = 0  # of the peer's: those that it has not been told to be done
        self._running_bytes = 0
        self._over = 0  # of these: those that are
        self._over_bytes = 0

    # --- ours ----------------------------------------------------------------------------------

    def take(self, room: Callable[[], int]) -> bool:
        """Take a place for a request, if there is one, *room* being how many there may be."""
        with self._guard:
            if self.sent >= room():
                return False
            self.sent += 1
            return True

    def take_bytes(self, size: int, has_room: Callable[[], bool]) -> bool:
        """Count the *size* bytes of a request, which has many, if there is room for them."""
        with self._guard:
            if not has_room():
                return False
            self.sent_bytes += size
            return True

    def give_back(self, count: int, size: int) -> None:
        """The peer is done with *count* requests, of *size* bytes; or they were not sent.

        Raises ProtocolError where there were not so many.
        """
        with self._guard:
            if not (0 < count <= self.sent and 0 <= size <= self.sent_bytes):
                raise ProtocolError("the peer is done with requests that were never made")
            self.sent -= count
            self.sent_bytes -= size

    # --- the peer's ----------------------------------------------------------------------------

    def check_room(self) -> None:
        """Raises ProtocolError if the peer may not send another one."""
        if self._running >= self._most or self._running_bytes >= self._most_bytes:
            raise ProtocolError(
                "more requests without an answer are in flight than this side's limits allow"
            )

    def come(self, size: int) -> None:
        """One has come, of *size* bytes if they are many; raises as :meth:`check_room`."""
        with self._guard:
            self.check_room()
            self._running += 1
            self._running_bytes += size

    def over(self, size: int) -> tuple[int, int] | None:
        """One has run, or never will; what the peer is to be told now, if anything."""
        with self._guard:
            self._over += 1
            self._over_bytes += size
            if self._over < self._at_once and 4 * self._over_bytes < self._most_bytes:
                return None
            told = self._over, self._over_bytes
            self._over = self._over_bytes = 0
            self._running -= told[0]
            self._running_bytes -= told[1]
            return told
