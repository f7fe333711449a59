"""Who the workers of a server are, and how many clients each has; known to all its processes."""

from __future__ import annotations

import mmap
from typing import Final

from netobj.servers.shared_slots import SharedSlots, SharedTable

_CELL: Final = 8


class Seats:
    """The places of *count* workers, in memory that they share; made before the fork.

    The master takes and clears seats; a worker only says that it is about to leave.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._memory = mmap.mmap(-1, 2 * count * _CELL)
        view = memoryview(self._memory).cast("q")
        self._pids = view[:count]
        self._accepting = view[count:]

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the workers that run."""
        return tuple(pid for pid in self._pids.tolist() if pid)

    @property
    def accepting(self) -> tuple[bool, ...]:
        """For each seat, whether its worker accepts clients."""
        return tuple(map(bool, self._accepting.tolist()))

    def take(self, seat: int, pid: int) -> None:
        """A worker was started."""
        self._pids[seat] = pid
        self._accepting[seat] = 1

    def leave(self, seat: int) -> None:
        """The worker accepts no clients any more."""
        self._accepting[seat] = 0

    def clear(self, seat: int) -> None:
        """The worker has ended."""
        self._pids[seat] = self._accepting[seat] = 0


def slots_for_clients(table: SharedTable, most: int) -> SharedSlots:
    """A slot for each client, who has connected and may be about to log in."""
    return SharedSlots(table, "the clients of the server", most)


class SharedRoom:
    """The room for clients of all workers, seen by that of *seat*.

    A :class:`netobj.taking_turns.Room`: *most* clients in all; if *even*, who has the fewest
    takes the next one.
    """

    def __init__(self, seats: Seats, table: SharedTable, seat: int, most: int, even: bool) -> None:
        self._even = even
        self._seats = seats
        self._seat = seat
        self._slots = slots_for_clients(table, most)

    def try_take(self) -> bool:
        """Take a place for a newcomer; False if there is none in all the processes."""
        return self._slots.try_take()

    def give(self) -> None:
        """Give a place back."""
        self._slots.give()

    def may_leave(self) -> bool:
        """Whether another process has fewer clients, and should take who comes next."""
        if not self._even:
            return False
        counts = self._slots.counts()
        mine = counts[self._seat]
        pairs = zip(counts, self._seats.accepting, strict=True)
        return any(count < mine for count, accepting in pairs if accepting)
