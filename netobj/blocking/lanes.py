"""Asynchronous calls of one thread run in order and do not overlap: one lane for each thread."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Queues by the number of their lane; a lane exists while it is being worked off.

    ``_lock`` protects the table; it is held for a few operations on it, never while a call runs.
    Only the one who works a lane off takes anything out of it.

    >>> lanes = Lanes()
    >>> lanes.put(1, "a"), lanes.put(1, "b")
    (True, False)
    >>> lanes.next(1), lanes.next(1), lanes.next(1)
    ('a', 'b', None)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[int, deque[T]] = {}

    def put(self, lane: int, item: T) -> bool:
        """Queue *item*; True if the lane was idle, so that somebody must work it off."""
        with self._lock:
            queue = self._queues.get(lane)
            if queue is not None:
                queue.append(item)
                return False
            self._queues[lane] = deque((item,))
            return True

    def next(self, lane: int) -> T | None:
        """The next item of *lane*, or None: then the lane is idle again."""
        queue = self._queues[lane]
        if queue:
            return queue.popleft()
        with self._lock:
            if queue:  # it came just now
                return queue.popleft()
            del self._queues[lane]
            return None

    def peek(self, lane: int) -> T | None:
        """What :meth:`next` would return, which stays; None if there is nothing yet."""
        queue = self._queues[lane]
        return queue[0] if queue else None
