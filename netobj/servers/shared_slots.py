"""Counters that several processes share: limits that hold for all workers of a server.

Each worker has a cell of its own in memory that was mapped before it was forked, and writes no
other. What is taken by all is the sum of the cells. To add to a cell a worker holds a lock of the
kernel's (``lockf`` on a file that was opened before the fork), so that no two see the last free
slot. If a worker dies, whatever it was doing, the kernel gives its lock back, and who reaps it
sets its cells to nothing: so no slot is ever lost.

Those who wait for a slot that another worker holds look again after :data:`LOOK` seconds: a pipe
that tells them would have to know in which worker who has waited longest, and to be right if that
one dies at this moment. Who waits in the same worker needs no look, and is told at once.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final

if sys.platform != "win32":
    import fcntl

LOOK: Final = 0.005
"""Seconds after which who waits for a slot of another worker's is to try again."""
ROWS: Final = 4096
"""Limits that may be in use at a time; each address of a limit by address counts as one."""
_PROBED: Final = 64
"""Rows in which a key may be, from the one on to which its hash leads."""
_KEY: Final = 16
_FREE: Final = bytes(_KEY)
_CELL: Final = 8


class SharedTable:
    """Rows of cells, a row for each key that is in use, a cell for each of so many *workers*.

    Made before the fork. :attr:`mine` is the number of this worker, the first is 0.

    ``_lock`` keeps the threads of one process apart, which the lock of the file does not; both are
    held for a few operations on memory, and for the wait for another process to be done with its.
    """

    def __init__(self, workers: int, rows: int = ROWS) -> None:
        self.mine = 0
        self._workers = workers
        self._rows = rows
        self._salt = os.urandom(_KEY)  # else strangers could choose addresses of the same rows
        self._memory = mmap.mmap(-1, rows * (_KEY + workers * _CELL))
        view = memoryview(self._memory)
        self._keys = view[: rows * _KEY]
        self._cells = view[rows * _KEY :].cast("q")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as this is)
        self._lock = threading.Lock()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def key_of(self, name: Hashable) -> bytes:
        """What *name*, which is the same in every worker, is called here."""
        return hashlib.blake2b(repr(name).encode(), digest_size=_KEY, key=self._salt).digest()

    def take(self, key: bytes, limit: int) -> bool:
        """One more for this worker; False if all of them have *limit* by now."""
        with self._locked():
            row = self._find(key)
            if row is None or sum(self._row(row)) >= limit:
                return False
            self._cells[row * self._workers + self.mine] += 1
            return True

    def give(self, key: bytes) -> None:
        """One less for this worker, which has one."""
        with self._locked():
            row = self._find(key)
            assert row is not None  # it is not anyone else's before it is given back
            self._cells[row * self._workers + self.mine] -= 1

    def counts(self, key: bytes) -> list[int]:
        """What each worker has."""
        with self._locked():
            row = self._find(key)
            return [0] * self._workers if row is None else self._row(row)

    def forget(self, worker: int) -> None:
        """The process of *worker* has ended, and has nothing any more.

        Needs no lock: nobody else writes its cells, and whoever adds them up sees them before or
        after this.
        """
        for cell in range(worker, len(self._cells), self._workers):
            self._cells[cell] = 0

    def _row(self, row: int) -> list[int]:
        return self._cells[row * self._workers : (row + 1) * self._workers].tolist()

    def _find(self, key: bytes) -> int | None:
        """The row of *key*, which gets one that nobody uses; None if there is none.

        A row that had a key once always has one, so that what was put behind it is found.
        """
        unused = None
        first = int.from_bytes(key[:4], "big")
        for number in range(first, first + min(self._rows, _PROBED)):
            row = number % self._rows
            found = bytes(self._keys[row * _KEY : (row + 1) * _KEY])
            if found == key:
                return row
            if unused is None and not any(self._row(row)):
                unused = row
            if found == _FREE:
                break
        if unused is not None:
            self._keys[unused * _KEY : (unused + 1) * _KEY] = key
        return unused

    def close(self) -> None:
        """Give it back, in this process; the others have theirs."""
        self._keys.release()
        self._cells.release()
        self._file.close()


class SharedSlots:
    """*limit* slots for all workers together, under a *name*, which is the same in each of them.

    *missed* is called when there was none: whoever waits now has to look again.

    >>> table = SharedTable(workers=2)
    >>> slots = SharedSlots(table, "ovens", 1)
    >>> slots.try_take(), slots.try_take()
    (True, False)
    >>> slots.give()
    >>> slots.try_take()
    True
    >>> table.close()
    """

    def __init__(
        self,
        table: SharedTable,
        name: Hashable,
        limit: int,
        missed: Callable[[], object] = lambda: None,
    ) -> None:
        self._limit = limit
        self._missed = missed
        self._table = table
        self._key = table.key_of(name)

    def try_take(self) -> bool:
        """Take a slot for this process; False if there is none, without waiting for one."""
        taken = self._table.take(self._key, self._limit)
        if not taken:
            self._missed()
        return taken

    def give(self) -> None:
        """Give back a slot that this process has taken."""
        self._table.give(self._key)

    def counts(self) -> list[int]:
        """How many slots each worker has taken."""
        return self._table.counts(self._key)
