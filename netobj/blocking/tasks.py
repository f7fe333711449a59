"""The tasks in which the event loop runs what the peer calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any

from netobj.blocking.waiting import begin_lane
from netobj.core.events import Request
from netobj.errors import AsyncResultTimeout, CallCancelled

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task, TimerHandle


class TaskRun:
    """The task that runs *request*; any thread may cancel it, and only the first time counts.

    A task that is cancelled before its first step would never run, and could answer nothing: so
    such a one is told to give up when it begins. What has no comment is the loop's.
    """

    __slots__ = (
        "_begun",
        "_cancelled",
        "_late",
        "_loop",
        "_request",
        "_task",
        "_timer",
        "conversing",
    )

    def __init__(self, loop: AbstractEventLoop, request: Request) -> None:
        self.conversing = False  # it has answered, and goes on with a two-way stream
        self._loop = loop
        self._request = request
        self._task: Task[None] | None = None
        self._timer: TimerHandle | None = None
        self._begun = False
        self._cancelled = False
        self._late = False

    # --- for any thread ----------------------------------------------------------------------

    def start(self, work: Callable[[TaskRun], Coroutine[Any, Any, None]]) -> None:
        """Run what *work* makes as a task, in a copy of this thread's context."""
        self._loop.call_soon_threadsafe(self._start, work)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self._loop.call_soon_threadsafe(self._cancel)

    def refuse(self) -> None:
        """The other side takes no more items."""
        if not self.conversing:  # which may still have something to receive, or to do
            self.cancel()

    # --- in the task -------------------------------------------------------------------------

    def begin(self) -> None:
        """The first thing that the task does. Raises CallCancelled if it is to give up."""
        self._begun = True
        begin_lane()
        assert self._task is not None
        self._request.where = f"task {self._task.get_name()!r}"
        if self._cancelled or self._request.cancelled:
            raise CallCancelled("the call was cancelled before it started")

    def answered(self) -> None:
        """The deadline was that of the answer, which is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def error_for(self, exc: BaseException) -> BaseException:
        """What the other side is told when the task ends by *exc*."""
        if not isinstance(exc, sys.modules["asyncio"].CancelledError):
            return exc
        if self._late:
            return AsyncResultTimeout("the deadline of the call passed while it ran")
        return CallCancelled("the call was cancelled while it ran")

    # --- on the loop -------------------------------------------------------------------------

    def _start(self, work: Callable[[TaskRun], Coroutine[Any, Any, None]]) -> None:
        deadline = self._request.deadline
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
            # In no context of ours: a loop keeps that of a cancelled timer until its time.
            self._timer = self._loop.call_later(left, self._expire, context=Context())
        self._task = self._loop.create_task(work(self))

    def _expire(self) -> None:
        self._late = not self._cancelled
        self._cancel()

    def _cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            if self._begun and self._task is not None:
                self._task.cancel()
