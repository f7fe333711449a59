"""A task's place to wait, from which it goes on without a turn of the loop in between.

Whoever completes an :class:`asyncio.Future` has the loop call the task back in its next turn. That
turn costs as much as all that a call does here. A :class:`Waiter` is a future to the task that
awaits it, in the way that asyncio offers for that (see :func:`asyncio.isfuture`), and knows how to
go on with it: at once, where no other task runs, else in the next turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any


class Waiter:
    """Awaited once, by one task of *loop*; all of it belongs to the loop's thread."""

    __slots__ = ("_asyncio_future_blocking", "_callback", "_context", "_error", "_loop", "_over")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = True  # the task that gets it from ``await`` clears it
        self._loop = loop
        self._callback: Any = None  # goes on with the task
        self._context: Any = None
        self._over = False
        self._error: BaseException | None = None

    def __await__(self) -> Generator[Any, None, None]:
        yield self

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task that waits; None if it goes on."""
        return getattr(self._callback, "__self__", None)

    # --- by whoever ends the waiting -------------------------------------------------------------

    def resume(self) -> None:
        """Go on with the task, now. Only where no task runs.

        Raises only what ends the loop, SystemExit and the like.
        """
        if not self._over:
            self._over = True
            callback, context = self._callback, self._context
            self._callback = self._context = None  # they refer to the task, which may refer here
            context.run(callback, self)

    def wake(self, error: BaseException | None = None) -> None:
        """Go on with the task in the loop's next turn; *error* is raised in it."""
        if not self._over:
            self._over = True
            self._error = error
            self._loop.call_soon(self._callback, self, context=self._context)
            self._callback = self._context = None

    # --- by the task -----------------------------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        self._callback = callback
        self._context = context

    def cancel(self, msg: Any = None) -> bool:
        if self._over:
            return False
        self.wake(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True

    def done(self) -> bool:
        return self._over

    def result(self) -> None:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # no cycle through its traceback
