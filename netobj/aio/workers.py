"""Threads for plain functions on an event loop, shared fairly among connections.

No ``ThreadPoolExecutor``: the interpreter waits for its threads at the end, however long what they
run may take, and who asks for much first leaves nothing to others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from itertools import count
from typing import Any, Final
from weakref import WeakSet

from netobj.blocking.crew import most_for_one

IDLE_SECONDS: Final = 10.0
"""How long a thread without work stays."""


class Workers:
    """At most *limit* threads, which do not keep the process from ending.

    ``_lock`` protects all that is here; nothing runs and nothing waits while it is held, but an
    idle thread for work.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._most = most_for_one(limit)
        self._name = name
        self._lock = threading.Condition()
        self._ready: deque[Share] = deque()  # as often as each may begin something more
        self._shares: WeakSet[Share] = WeakSet()
        self._count = 0
        self._idle = 0
        self._numbers = count()
        self._closed = False

    def share(self) -> Share:
        """An executor of one connection."""
        share = Share(self)
        self._shares.add(share)
        return share

    def shutdown(self) -> None:
        """Begin nothing any more; what runs is left to end by itself."""
        with self._lock:
            self._closed = True
            waiting = [work[0] for share in self._shares for work in share.queue]
            self._ready.clear()
            self._lock.notify_all()
        for future in waiting:
            future.cancel()

    def add(self, share: Share, work: _Work) -> None:
        """Do *work* for *share*. Raises RuntimeError after the end, or where no thread starts."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the threads are shut down")
            share.queue.append(work)
            self._let_begin(share)
            if len(self._ready) <= self._idle:  # who was told, but is not awake yet, is idle, too
                self._lock.notify()
                return
            starts = self._count < self._limit
            self._count += starts
        if starts:
            self._start()

    def _start(self) -> None:
        name = f"{self._name}_{next(self._numbers)}"
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._count -= 1
                if self._count:  # another will come to it
                    return
            raise

    def _let_begin(self, share: Share) -> None:
        if self._closed:
            return
        if len(share.queue) > share.ready and share.ready + share.running < self._most:
            share.ready += 1
            self._ready.append(share)

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            share, (future, function, args) = taken
            if future.set_running_or_notify_cancel():
                try:
                    result = function(*args)
                except BaseException as exc:
                    future.set_exception(exc)
                else:
                    future.set_result(result)
                    del result
            with self._lock:
                share.running -= 1
                self._let_begin(share)
            del taken, share, future, function, args

    def _take(self) -> tuple[Share, _Work] | None:
        with self._lock:
            while not self._ready and not self._closed:
                self._idle += 1
                told = self._lock.wait(IDLE_SECONDS)
                self._idle -= 1
                if not told and not self._ready:
                    break
            if not self._ready:
                self._count -= 1
                return None
            share = self._ready.popleft()
            share.ready -= 1
            share.running += 1
            return share, share.queue.popleft()


class Share(Executor):
    """What one connection has of the threads."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.queue: deque[_Work] = deque()
        self.ready = 0
        self.running = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call *function* with *args* soon. Raises RuntimeError when that is over."""
        future: Future[Any] = Future()
        self._workers.add(self, (future, function, args))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all of the threads, when they have done what they do."""
        self._workers.shutdown()


_Work = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


def in_thread(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """Call *function* in a thread of its own, which does not keep the process from ending."""
    return Workers(1, "netobj login").share().submit(function, *args)
