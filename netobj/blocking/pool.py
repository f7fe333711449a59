"""The process's worker threads, for calls that no waiting thread can take.

A worker that is idle takes the next job; if none is idle a new one starts, so jobs never queue
behind jobs that are blocked. How many there can be is bounded by the calls in flight that each
connection admits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from netobj.blocking.leaving import is_over

IDLE_SECONDS: Final = 10.0
"""How long a worker without a job stays before its thread ends."""

Job = tuple[Callable[[Any], object], Any]


class _Worker:
    """One thread. ``ready`` is a lock used as a signal: held by the worker while it has no job;
    whoever took the worker from the idle list owns it, puts ``job`` in place and releases it."""

    def __init__(self, pool: WorkerPool, job: Job, number: int) -> None:
        self._pool = pool
        self.job: Job | None = job
        self.ready = threading.Lock()
        self.ready.acquire()
        self._thread = threading.Thread(
            target=self._work, name=f"netobj worker {number}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def _work(self) -> None:
        while self.job is not None:
            function, argument = self.job
            self.job = None
            function(argument)
            del function, argument
            self._pool.idle.append(self)
            if not self.ready.acquire(timeout=IDLE_SECONDS):
                try:
                    self._pool.idle.remove(self)
                except ValueError:  # taken at this very moment: the job is on its way
                    self.ready.acquire()


class WorkerPool:
    """Runs jobs, each a function and its one argument; functions must not raise.

    >>> from threading import Event
    >>> done = Event()
    >>> WorkerPool().submit((Event.set, done)), done.wait(10)
    (True, True)
    """

    def __init__(self) -> None:
        self.idle: deque[_Worker] = deque()
        self._numbers = count(1)

    def submit(self, job: Job) -> bool:
        """Run *job* soon; False if the system gives no thread for it.

        When the process ends it is dropped.
        """
        if is_over():
            return True
        try:
            worker = self.idle.pop()
        except IndexError:
            worker = _Worker(self, job, next(self._numbers))
            try:
                worker.start()
            except RuntimeError:
                return False
            return True
        worker.job = job
        worker.ready.release()
        return True


pool: Final = WorkerPool()
"""The workers of this process."""
