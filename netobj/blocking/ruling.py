"""Calls with rules: waiting for a slot, a time limit, another thread or process.

It all happens in the thread of the call, which waits as long as it takes. While it waits for its
slot it counts as little as one that waits for a peer does: it is not in its connection's share of
threads. A plain function that has a time limit runs in a worker, since no thread can be stopped: at
the limit its caller is told, and the function goes on to its end, and keeps its slot until then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from threading import get_ident
from typing import Any, Protocol

from netobj.blocking.pool import pool
from netobj.blocking.safepoint import safe_point
from netobj.blocking.waiting import LONGEST_WAIT, beside
from netobj.calls import Scope, scope
from netobj.core.events import Request
from netobj.core.exposure import Run
from netobj.core.outcomes import Awaited, Ruled
from netobj.core.session import Session
from netobj.errors import AsyncResultTimeout, Busy, CallCancelled
from netobj.gates import Entrance, Lease, Place
from netobj.governed import check_connected, discard, kept, run_on_loop, too_late, too_late_to_start
from netobj.process_pool import come_to, run_in_process


class Host(Protocol):
    """What is needed of the connection."""

    session: Session

    def serves_here(self, request: Request) -> bool:
        """Whether this thread is the one that serves the connection, and no worker."""


def settle(connection: Host, ruled: Ruled) -> object:
    """See ``Front.settle``; in the thread of the call."""
    request = scope.get().request
    assert request is not None
    exposure = ruled.exposure
    if ruled.asynchronous or exposure.run is Run.LOOP:
        return Awaited(run_on_loop(ruled, connection, request.deadline), _itself)
    lease = None if exposure.limit is None else _admitted(connection, request, ruled)
    if exposure.run is Run.PROCESS:
        return _in_process(connection, request, ruled, lease)
    thread = exposure.run is Run.THREAD and connection.serves_here(request)
    if thread or exposure.timeout is not None:
        return _in_worker(connection, request, ruled, lease)
    try:
        outcome = ruled.run()
    except BaseException:
        if lease is not None:
            lease.end()
        raise
    return kept(outcome, lease)


def _itself(outcome: object) -> object:
    return outcome


class Rest:
    """Where the thread of a request waits for what is no answer of the peer's."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while there is nothing new; released as a signal
        self._lock.acquire()

    def wake(self) -> None:
        """There is something new; from any thread."""
        try:
            self._lock.release()
        except RuntimeError:  # it knows
            pass

    @safe_point
    def _sleep(self, seconds: float) -> None:
        self._lock.acquire(timeout=seconds)

    def until(
        self,
        ready: Callable[[], bool],
        connection: Host,
        request: Request,
        limit: float | None = None,
    ) -> bool:
        """Wait until *ready*, which a :meth:`wake` follows, or the time *limit*: then False.

        Raises CallCancelled and AsyncResultTimeout once nobody waits for the answer.
        """
        before, request.run = request.run, self  # whoever cancels the call wakes it, see Dispatcher
        try:
            while not ready():
                if request.cancelled or connection.session.lost is not None:
                    raise CallCancelled("the call was cancelled")
                now = time.monotonic()
                if request.deadline is not None and request.deadline <= now:
                    raise AsyncResultTimeout("the deadline of the call passed while it waited")
                if limit is not None and limit <= now:
                    return False
                times = [one for one in (limit, request.deadline) if one is not None]
                self._sleep(min(min(times, default=now + LONGEST_WAIT) - now, LONGEST_WAIT))
            return True
        finally:
            request.run = before


def _admitted(connection: Host, request: Request, ruled: Ruled) -> Lease:
    """A lease, once there is one. Raises Busy, CallCancelled, AsyncResultTimeout."""
    rest = Rest()
    place = Place(rest.wake)
    entrance = Entrance(ruled, connection)
    lease = entrance.enter(place)
    if lease is not None:
        return lease
    thread = get_ident()
    beside.add(thread)
    try:
        rest.until(lambda: place.inside, connection, request)
        check_connected(connection)
    except AsyncResultTimeout:
        entrance.withdraw(place)
        raise too_late_to_start(ruled) from None
    except BaseException:
        entrance.withdraw(place)
        raise
    finally:
        beside.discard(thread)
    return entrance.lease()


class _Work:
    """A call that another thread runs. It ends *lease* in any case, when it has really ended."""

    def __init__(
        self, connection: Host, request: Request, ruled: Ruled, lease: Lease | None
    ) -> None:
        self.rest = Rest()
        self.done = False
        self.outcome: Any = None
        self.error: BaseException | None = None
        self._given_up = False
        self._lock = threading.Lock()  # protects who of the two threads has the last word
        self._connection = connection
        self._request = request
        self._ruled = ruled
        self._lease = lease

    def run(self, context: Context) -> None:
        context.run(self._run)

    def _run(self) -> None:
        thread = self._request.where = get_ident()
        scope.set(Scope(self._connection, self._request, self._request.deadline, thread))
        try:
            outcome = kept(self._ruled.run(), self._lease)
            with self._lock:
                unwanted = self._given_up
                if not unwanted:
                    self.outcome = outcome
            if unwanted:
                discard(outcome)
        except BaseException as exc:
            self.error = exc
        if self.error is not None:
            self.end()
        self.done = True
        self.rest.wake()

    def end(self) -> None:
        """The call has ended, or never begins."""
        if self._lease is not None:
            self._lease.end()

    def give_up(self) -> None:
        """Nobody will look at the outcome; it may be there already."""
        with self._lock:
            self._given_up = True
            outcome, self.outcome = self.outcome, None
        discard(outcome)


def _in_worker(connection: Host, request: Request, ruled: Ruled, lease: Lease | None) -> object:
    """Have a worker call the function, and wait for it. Raises what it raises, and at the limit."""
    work = _Work(connection, request, ruled, lease)
    if not pool.submit((work.run, copy_context())):
        work.end()
        raise Busy(f"{connection.session.side} can start no thread for {ruled.name}")
    seconds = ruled.exposure.timeout
    limit = None if seconds is None else time.monotonic() + seconds
    try:
        if not work.rest.until(lambda: work.done, connection, request, limit):
            raise too_late(ruled)
    except BaseException:
        work.give_up()
        raise
    try:
        if work.error is not None:
            raise work.error
        return work.outcome
    finally:
        work.error = None  # no cycle through this frame


def _in_process(connection: Host, request: Request, ruled: Ruled, lease: Lease | None) -> object:
    """Have a process call the function, and wait for it."""
    service = type(connection.session.boxing.root)
    try:
        future = run_in_process(ruled, service)
    except BaseException:
        if lease is not None:
            lease.end()
        raise
    rest = Rest()
    if lease is not None:
        future.add_done_callback(lambda _: lease.end())
    future.add_done_callback(lambda _: rest.wake())
    seconds = ruled.exposure.timeout
    limit = None if seconds is None else time.monotonic() + seconds
    try:
        if not rest.until(future.done, connection, request, limit):
            raise too_late(ruled)
    except BaseException:
        future.cancel()  # if it has not begun
        raise
    return ruled.finish(come_to(ruled, future, service))
