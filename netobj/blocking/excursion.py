"""A thread lets the event loop do something for the call that it runs or makes, and waits.

While it waits it is as a thread that waits for an answer: it reads the connection, runs what the
peer calls in its chain, and does not count among those that are busy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from functools import partial
from threading import get_ident
from time import monotonic
from typing import Any

from netobj.blocking.loop import event_loop, loop_thread
from netobj.blocking.tasks import TaskRun
from netobj.blocking.waiting import LONGEST_WAIT, Waiter, enter_chain, leave_chain
from netobj.calls import scope
from netobj.core.events import Request
from netobj.interceptors.stopped import Stopped, finished, settle, taken, tried


class Away(Waiter):
    """The place of a thread that waits for the loop."""

    of_task = True


class Excursion:
    """One such wait, over *connection*; *request*: what the thread serves, None if it asks."""

    def __init__(self, connection: Any, request: Request | None) -> None:
        self._connection = connection
        self._request = request
        self._waiter = Away(connection)
        self._over = False
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What the coroutine that *make* makes comes to on the loop.

        Raises RuntimeError in the loop's own thread, which cannot wait for itself.
        """
        loop = event_loop()
        thread = get_ident()
        if thread == loop_thread():
            raise RuntimeError(
                "an interceptor that is an async def stands around a call that the event loop's "
                "own thread makes, which cannot wait for it: make its on_call a plain function"
            )
        waiter = self._waiter
        waiter.about = (0, None, None, monotonic(), thread)
        request = self._request
        if request is None:
            here = scope.get()
            chain = here.chain if here.thread == thread else None
            work: Callable[[], object] = lambda: loop.create_task(self._drive(make))  # noqa: E731
            return self._stay(chain, partial(loop.call_soon_threadsafe, work))
        before = request.run, request.where
        run = request.run = TaskRun(loop, request)
        try:
            return self._stay(
                request.chain, partial(run.start, partial(self._drive_for_peer, make))
            )
        except BaseException:
            run.cancel()
            raise
        finally:
            request.run, request.where = before

    def _stay(self, chain: int | None, start: Callable[[], object]) -> Any:
        waiter = self._waiter
        if chain is not None:
            # First: what the peer calls in the chain is for this waiter, and not for one around it.
            enter_chain(waiter, chain)
        try:
            start()
            self._wait()
        finally:
            self._over = True
            if chain is not None:
                leave_chain(waiter, chain)
            if waiter.jobs:
                self._connection.hand_on(waiter)
            if waiter.kept_exceptions is not None:
                waiter.let_go()
        try:
            if self._error is not None:
                raise self._error
            return finished(self._value)
        finally:
            self._error = self._value = None  # no cycle through this frame

    def _wait(self) -> None:
        waiter, connection = self._waiter, self._connection
        deadline = monotonic() + LONGEST_WAIT  # with one it can be woken in the midst of reading
        while not waiter.done:
            while waiter.jobs:
                function, argument = waiter.jobs.pop(0)
                function(argument)
            if waiter.has_news():
                continue
            if not connection.ended:
                connection.turn(waiter, deadline)
                continue
            waiter.prepare_sleep()
            if not waiter.has_news():
                waiter.sleep(-1)

    # --- on the loop -------------------------------------------------------------------------

    async def _drive_for_peer(
        self, make: Callable[[], Coroutine[Any, Any, Any]], run: TaskRun
    ) -> None:
        assert self._request is not None
        try:
            run.begin()
            prompt = self._connection.prompt(self._request.chain)
            scope.set(scope.get().but(batch=prompt))
            self._value = await make()
        except Stopped as exc:
            self._value = exc
        except BaseException as exc:
            self._error = run.error_for(exc)
        run.answered()
        self._waiter.finish()

    async def _drive(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        try:
            self._value = await make()
        except Stopped as exc:
            self._value = exc
        except BaseException as exc:
            self._error = exc
        self._waiter.finish()

    async def ashore(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """What *function* comes to in the thread that waits."""
        loop = event_loop()
        future = loop.create_future()
        job = partial(self._run_ashore, future, function)
        self._waiter.assign((job, argument))
        return taken(await future)

    def _run_ashore(self, future: Any, function: Callable[[Any], Any], argument: Any) -> None:
        if self._over:  # the thread was interrupted, and nobody wants it any more
            return
        event_loop().call_soon_threadsafe(settle, future, tried(function, argument))


def run_hook(hook: Callable[..., Any], *args: Any) -> Any:
    """Call a *hook*, and wait for it if it is an ``async def``; not on the loop itself."""
    result = hook(*args)
    if not hasattr(type(result), "__await__"):
        return result
    loop = event_loop()
    work = sys.modules["asyncio"].run_coroutine_threadsafe(_awaited(result), loop)
    return None if get_ident() == loop_thread() else work.result()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
