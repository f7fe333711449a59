"""Threads for plain functions, beside an event loop.

Those of ``concurrent.futures`` are waited for when the process ends, and one that waits for a peer
would keep it from ending. These are the process's workers (:mod:`netobj.blocking.pool`), which
are not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final

from netobj.blocking.pool import pool


class Workers(Executor):
    """Runs functions in at most *limit* threads at a time.

    Each thread that runs holds a ticket, of which there are *limit*. Who adds a job starts a thread
    for it if there is a ticket; a thread gives its own back when it finds no job, and looks once
    more. So no job is left behind, without a lock.

    >>> workers = Workers(2)
    >>> workers.submit(divmod, 7, 2).result(10)
    (3, 1)
    >>> workers.shutdown()
    >>> workers.submit(divmod, 7, 2)
    Traceback (most recent call last):
    RuntimeError: these workers have been shut down
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError("there must be one worker at the least")
        self._limit: Final = limit
        self._tickets: deque[None] = deque([None] * limit)
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._closed = False

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What will come of *function*, which runs as soon as a thread is free.

        Raises RuntimeError after :meth:`shutdown`, and where the system gives no thread.
        """
        if self._closed:
            raise RuntimeError("these workers have been shut down")
        future: Future[Any] = Future()
        job = (future, lambda: function(*args, **kwargs))
        self._jobs.append(job)
        if self._take_ticket() and not pool.submit((self._work, None)):
            self._tickets.append(None)
            if len(self._tickets) == self._limit and self._withdraw(job):
                raise RuntimeError("the system gives no thread for another call")
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Take no more; what runs goes on. *wait* has no effect.

        With *cancel_futures* what has not begun will not.
        """
        self._closed = True
        while cancel_futures and self._jobs:
            try:
                self._jobs.popleft()[0].cancel()
            except IndexError:  # a thread took it
                return

    def _take_ticket(self) -> bool:
        try:
            self._tickets.pop()
        except IndexError:
            return False
        return True

    def _withdraw(self, job: tuple[Future[Any], Callable[[], Any]]) -> bool:
        try:
            self._jobs.remove(job)
        except ValueError:  # a thread took it
            return False
        return True

    def _work(self, _: None) -> None:
        while True:
            try:
                future, function = self._jobs.popleft()
            except IndexError:
                self._tickets.append(None)
                # Who adds a job after this takes the ticket; what was added before is seen here.
                if not (self._jobs and self._take_ticket()):
                    return
                continue
            if future.set_running_or_notify_cancel():
                _run(future, function)
            del future, function


def _run(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        result = function()
    except BaseException as exc:
        future.set_exception(exc)
    else:
        future.set_result(result)
