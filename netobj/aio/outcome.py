"""What becomes of a request of this side's: the asyncio twin of a thread's waiter."""

from __future__ import annotations

import asyncio
import weakref
from types import TracebackType
from typing import Any

from netobj.aio.waiter import Waiter
from netobj.core import values
from netobj.core.keeping import Keeper
from netobj.core.promises import Promise, traceback_of, with_traceback
from netobj.core.session import LOST, NOT_STARTED
from netobj.errors import AsyncResultTimeout, CallCancelled, ProtocolError


class Outcome(Keeper, Promise):
    """The answer to one request, there or on its way.

    Belongs to the loop's thread. Several tasks may wait for it, each in a waiter of its own, so
    that one can be cancelled and the others go on.
    """

    # What few have is in the class, so that making one costs little.
    done = False
    ok = True
    pins = 0
    forgotten = False
    needed = False  # by a call without an answer, which may come after the last task that waits
    waiters: tuple[Waiter, ...] = ()  # of the tasks that wait for it
    _task: weakref.ref[asyncio.Task[Any]] | None = None
    _answer: Any = None
    _deferred = False
    _error: BaseException | None = None
    _traceback: TracebackType | None = None

    def __init__(
        self,
        link: Any,
        seq: int,
        chain: int,
        kept: bool,
        name: tuple[int, Any, Any],
        since: float,
    ) -> None:
        self.link = link
        self.seq = seq
        self.chain = chain
        self.kept = kept
        self.name = name  # operation, path, target
        self.since = since
        if kept:  # so that another one is likely to be awaited in its place
            # Weak: a task that was cancelled holds the frames that hold what it asked for.
            task = asyncio.current_task(link.loop)
            self._task = None if task is None else weakref.ref(task)

    @property
    def where(self) -> str:
        """The task that waits, or that has asked, for people."""
        if self.waiters:
            task = self.waiters[0].task
        else:
            task = None if self._task is None else self._task()
        return "no task" if task is None else f"task {task.get_name()!r}"

    def complete(self, ok: bool, answer: Any, deferred: bool) -> None:
        """The answer has come, or never will."""
        if not self.done:
            self.ok, self._answer, self._deferred = ok, answer, deferred
            self.done = True
            self._task = None
            waiters = self.waiters
            if waiters:
                self.waiters = ()
                self.link.wake(waiters)
        if self.kept and answer is not LOST and answer is not NOT_STARTED:
            self.link.session.boxing.settled(self)
            self.link.note_held()

    def overrule(self, ok: bool, value: Any) -> None:
        """What an interceptor has made of the answer, or has given in its place."""
        if self.done and ok and self.ok and self._error is None and value is self._answer:
            return
        if not self.done:
            if self.seq:
                self.cancel(CallCancelled("an interceptor has answered the call"))
            else:
                self.done = True
        self.ok, self._deferred = ok, False
        self._answer, self._error = (value, None) if ok else (None, value)
        self._traceback = None if ok else traceback_of(value)

    def leave(self, waiter: Waiter, exc: BaseException) -> None:
        """The task of *waiter* waits no longer, because of *exc*."""
        self.waiters = tuple(other for other in self.waiters if other is not waiter)
        self.abandon(exc if isinstance(exc, AsyncResultTimeout) else None)

    def abandon(self, error: BaseException | None = None) -> None:
        """Somebody wants the answer no longer: unless others do, the request is cancelled."""
        if not (self.waiters or self.needed):
            self.cancel(error or CallCancelled("nobody waited for the call any more"))

    def cancel(self, error: BaseException) -> None:
        """Nobody waits for the answer any more, because of *error*: tell the peer."""
        if not self.done:
            link = self.link
            link.session.cancel(self.seq)
            link.flush()
            kept, self.kept = self.kept, False  # the answer is still to come
            self.complete(False, error, False)
            self.kept = kept

    def result(self) -> Any:
        """The answer, which is there; raises what the call raised."""
        if self._deferred or not self.ok:
            self._unpack()
        if self._error is not None:
            # Else each task that it is raised in would add its frames to the same traceback.
            raise with_traceback(self._error, self._traceback)
        return self._answer

    def _unpack(self) -> None:
        answer, deferred = self._answer, self._deferred
        self._deferred = False
        if self._error is not None:
            return
        try:
            if self.ok:
                self._answer = values.complete(answer) if deferred else answer
            else:
                self._answer = None
                self._error = self._as_error(answer)
        except Exception as exc:
            self._error = exc
            if isinstance(exc, ProtocolError):
                self.link.broken(exc)
        if self._error is not None:
            self._traceback = traceback_of(self._error)

    def _as_error(self, answer: Any) -> BaseException:
        if isinstance(answer, BaseException):
            return answer
        error: BaseException = self.link.session.failure(answer)
        if isinstance(error, StopIteration):  # which no coroutine can raise
            return StopAsyncIteration(*error.args)
        return error

    def let_go(self) -> None:
        """The call has ended: the exceptions that were kept for it may go."""
        if self.kept_exceptions and not self.ok:
            self._unpack()  # one of them may have come home
        super().let_go()
