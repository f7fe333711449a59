"""What interceptors need of two kinds: a thread that waits for the loop, a task for a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from typing import Any

from netobj.aio.threads import ThreadWaiter
from netobj.blocking.pool import pool
from netobj.core.events import Request
from netobj.errors import Busy, CallCancelled
from netobj.interceptors.stopped import Stopped, Tried, finished, settle, taken, tried

Make = Callable[[], Coroutine[Any, Any, Any]]


class Away(ThreadWaiter):
    """The place of a thread that waits for a task of the loop's."""

    of_task = True


class Excursion:
    """A thread of *link*'s has the loop do something for its call, and waits.

    Meanwhile it runs what the peer calls in its chain. *request*: what it serves, None if it asks.
    """

    def __init__(self, link: Any, request: Request | None) -> None:
        self._link = link
        self._request = request
        self._waiter = Away(link, (0, None, None), time.monotonic())
        self._over = False

    def run(self, make: Make) -> Any:
        """What the coroutine that *make* makes comes to on the loop."""
        with self._waiter.in_chain():
            done = asyncio.run_coroutine_threadsafe(self._drive(make), self._link.loop)
            try:
                self._waiter.wait(None)
            except BaseException:
                done.cancel()
                raise
            finally:
                self._over = True
        try:
            return finished(done.result())
        except CancelledError:
            raise CallCancelled("the call was cancelled") from None

    async def _drive(self, make: Make) -> Any:
        try:
            work = make()
            request = self._request
            return await (
                work if request is None else self._link.dispatcher.work_for(request, work)
            )
        except Stopped as exc:
            return exc
        finally:
            # The future is settled in the next turn of the loop.
            self._link.loop.call_soon(self._waiter.complete, True, None, False)

    async def ashore(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """What *function* comes to in the thread that waits."""
        future: asyncio.Future[Tried] = self._link.loop.create_future()
        self._waiter.assign(_Job(self, future, function), argument)
        return taken(await future)

    def run_job(self, future: Any, function: Callable[[Any], Any], argument: Any) -> None:
        """In the thread that waits; nobody wants it any more if that was interrupted."""
        if self._over:
            return
        self._link.loop.call_soon_threadsafe(settle, future, tried(function, argument))


class _Job:
    """What a waiter's thread is given in the place of a dispatcher."""

    def __init__(self, excursion: Excursion, future: Any, function: Callable[[Any], Any]) -> None:
        self._excursion = excursion
        self._future = future
        self._function = function

    def run_in_thread(self, argument: Any) -> None:
        self._excursion.run_job(self._future, self._function, argument)

    def run_elsewhere(self, argument: Any) -> None:
        """The thread has gone: there is nobody to run it for."""


async def in_thread(hook: Callable[..., Any], call: Any, below: Callable[[Any], Any]) -> Any:
    """What *hook*, a plain ``on_call``, comes to in a thread; what is *below* it runs on this loop.

    A task that is cancelled cancels what is below, and waits for the thread. Raises Busy where
    there is no thread for it.
    """
    loop = asyncio.get_running_loop()
    lower: list[Future[Any]] = []
    cancelled: asyncio.CancelledError | None = None

    def go_on(same: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(_awaited(below(same)), loop)
        lower.append(future)
        if cancelled is not None:  # by somebody who may have looked for it just before
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise CallCancelled("the call was cancelled") from None

    done = loop.create_future()

    def work() -> None:
        loop.call_soon_threadsafe(settle, done, tried(hook, call, go_on))

    context = copy_context()
    if not pool.submit((lambda _: context.run(work), None)):
        raise Busy("no thread can be started for an interceptor")
    while not done.done():
        try:
            await asyncio.wait((done,))
        except asyncio.CancelledError as exc:
            cancelled = exc
            for one in lower:
                one.cancel()
    if cancelled is not None:
        raise cancelled
    return taken(done.result())


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
