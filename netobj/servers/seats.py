"""Who the workers of a server are, and how many clients each has; known to all its processes."""

from __future__ import annotations

import mmap
from typing import Final

from netobj.servers.shared_slots import SharedSlots, SharedTable

_CELL: Final = 8


class Seats:
    """The places of *count* workers, in memory that they share; made before the fork.

    A cell is written by one process at a time: the master sets the number of the process and
    clears the seat, the worker says that it accepts.
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

    def accept(self, seat: int, does: bool) -> None:
        """The worker of *seat* accepts clients from now on, or no more."""
        self._accepting[seat] = does

    def clear(self, seat: int) -> None:
        """The worker has ended."""
        self._pids[seat] = self._accepting[seat] = 0


class SharedRoom:
    """The room for clients of all workers, seen by that of *seat*.

    A :class:`netobj.taking_turns.Room`: *most* clients in all, and who has the fewest takes the
    next one.
    """

    def __init__(self, seats: Seats, table: SharedTable, seat: int, most: int) -> None:
        self._seats = seats
        self._seat = seat
        self._slots = SharedSlots(table, "the clients of the server", most)

    def try_take(self) -> bool:
        """Take a place for a newcomer; False if there is none in all the processes."""
        return self._slots.try_take()

    def give(self) -> None:
        """Give a place back."""
        self._slots.give()

    def may_leave(self) -> bool:
        """Whether another process has fewer clients, and should take who comes next."""
        counts = self._slots.counts()
        mine = counts[self._seat]
        pairs = zip(counts, self._seats.accepting, strict=True)
        return any(count < mine for count, accepting in pairs if accepting)
