"""Calls with rules on an event loop: no thread is held by a call that waits for its slot.

What has to wait is a task. A plain function that has a time limit and runs in a worker cannot be
stopped: at the limit its caller is told, and the function goes on to its end, and keeps its slot
until then.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import Any, Final, Protocol

from netobj.aio.threads import as_blocking
from netobj.blocking.pool import pool
from netobj.calls import scope
from netobj.core.exposure import Run
from netobj.core.outcomes import Awaited, Ruled
from netobj.core.session import Session
from netobj.errors import CallCancelled
from netobj.gates import Lease
from netobj.governed import (
    admitted,
    discard,
    kept,
    run_admitted,
    run_on_loop,
    too_late,
    within,
)
from netobj.process_pool import come_to, run_in_process


class Host(Protocol):
    """What is needed of the connection."""

    session: Session
    loop: asyncio.AbstractEventLoop
    loop_thread: int
    holds_threads: bool  # interceptors keep the thread of a call until all has been settled

    def executor_for(self, run: Run | None) -> Executor | None:
        """Where a plain function runs that is declared so; None: on the loop."""


def settle(link: Host, ruled: Ruled) -> object:
    """See ``Front.settle``; on the loop, or in the worker of the call."""
    exposure = ruled.exposure
    on_loop = threading.get_ident() == link.loop_thread
    request = scope.get().request
    deadline = None if request is None else request.deadline
    if ruled.asynchronous or exposure.run in (Run.INLINE, Run.LOOP):
        if exposure.limit is None and exposure.timeout is None and on_loop:
            return ruled.run()
        tasks = run_on_loop(ruled, link, deadline)
        return Awaited(tasks, _itself, in_order=not ruled.asynchronous)
    right_here = not on_loop or (exposure.run is None and link.executor_for(None) is None)
    if right_here and not (exposure.limit or exposure.timeout or exposure.run is Run.PROCESS):
        return ruled.run()
    if on_loop and link.executor_for(exposure.run) is not None:  # the arguments are a task's so far
        ruled.args, ruled.kwargs = as_blocking(ruled.args), as_blocking(ruled.kwargs)
    # All of the server's own threads may be held by calls that wait for their slots.
    spare = _SPARE if link.holds_threads and not on_loop else None
    work = _govern(link, ruled, deadline, spare)
    return Awaited(work, _itself, in_order=not exposure.concurrent)


def _itself(outcome: object) -> object:
    return outcome


class _Spare(Executor):
    """Threads of the process's pool, of which there are as many as are wanted."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run(_: object) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as exc:
                future.set_exception(exc)

        if not pool.submit((run, None)):
            raise RuntimeError("no thread can be started for it")
        return future


_SPARE: Final = _Spare()


async def _govern(
    link: Host, ruled: Ruled, deadline: float | None, spare: Executor | None
) -> object:
    lease = await admitted(ruled, link, deadline)
    if ruled.exposure.run is Run.PROCESS:
        return await _in_process(link, ruled, lease)
    executor = link.executor_for(ruled.exposure.run)
    if executor is None:
        return await run_admitted(ruled, lease)
    ending = _Ending(lease)
    try:
        work = (spare or executor).submit(copy_context().run, _in_worker, ruled)
    except RuntimeError as exc:  # it is being shut down
        if lease is not None:
            lease.end()
        raise CallCancelled(f"{link.session.side} is closing: {exc}") from None
    work.add_done_callback(ending.ended)
    try:
        await _until_done(work, ruled)
    except BaseException:
        ending.give_up()
        raise
    work.result()
    outcome = ending.outcome
    if type(outcome) is Awaited:
        return outcome.finish(await within(outcome.awaitable, ruled))
    return outcome


async def _in_process(link: Host, ruled: Ruled, lease: Lease | None) -> object:
    service = type(link.session.boxing.root)
    try:
        work = run_in_process(ruled, service)
    except BaseException:
        if lease is not None:
            lease.end()
        raise
    if lease is not None:
        work.add_done_callback(lambda _: lease.end())
    await _until_done(work, ruled)
    return ruled.finish(come_to(ruled, work, service))


def _in_worker(ruled: Ruled) -> object:
    request = scope.get().request
    if request is not None:
        request.where = f"thread {threading.current_thread().name!r}"
    return ruled.run()


async def _until_done(work: Future[Any], ruled: Ruled) -> None:
    """Wait for *work* in another thread or process. Raises AsyncResultTimeout at the limit."""
    future = asyncio.wrap_future(work)
    future.add_done_callback(_seen)
    try:
        done, _ = await asyncio.wait((future,), timeout=ruled.exposure.timeout)
        if not done:
            raise too_late(ruled)
    except BaseException:
        work.cancel()  # if it has not begun
        raise


def _seen(future: asyncio.Future[Any]) -> None:
    """Its exception is looked at, so that nobody warns that it was not."""
    if not future.cancelled():
        future.exception()


class _Ending:
    """Ends a lease when the work has ended, or hands it on to what that has come to.

    ``_lock`` protects who has the last word, the worker or the loop that gives up.
    """

    def __init__(self, lease: Lease | None) -> None:
        self.outcome: Any = None
        self._lease = lease
        self._lock = threading.Lock()
        self._given_up = False

    def ended(self, work: Future[Any]) -> None:
        """In the thread in which the work has ended, before anybody else hears of it."""
        if work.cancelled() or work.exception() is not None:
            if self._lease is not None:
                self._lease.end()
            return
        outcome = kept(work.result(), self._lease)
        with self._lock:
            unwanted = self._given_up
            if not unwanted:
                self.outcome = outcome
        if unwanted:
            discard(outcome)

    def give_up(self) -> None:
        """Nobody will look at the outcome; it may be there already."""
        with self._lock:
            self._given_up = True
            outcome, self.outcome = self.outcome, None
        discard(outcome)
