"""What becomes of a request of this side's: the asyncio twin of a thread's waiter."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Final

from netobj.core import values
from netobj.core.promises import Promise
from netobj.core.session import Session
from netobj.errors import AsyncResultTimeout, CallCancelled, ConnectionLost, ProtocolError

LOST: Final = object()
"""In the place of an answer: there will be none, the connection has ended."""
NOT_STARTED: Final = object()
"""The same, and the other side has said that it did not run the call."""


class Outcome(Promise):
    """The answer to one request, there or on its way.

    Belongs to the loop's thread. Several tasks may wait for it, each on a future of its own, so
    that one can be cancelled and the others go on.
    """

    __slots__ = (
        "__weakref__",
        "_answer",
        "_deferred",
        "_error",
        "_futures",
        "_task",
        "_traceback",
        "chain",
        "done",
        "forgotten",
        "kept",
        "kept_exceptions",
        "link",
        "name",
        "ok",
        "pins",
        "seq",
        "since",
    )

    def __init__(self, link: Any, kept: bool, name: tuple[int, Any, Any], since: float) -> None:
        self.link = link
        self.seq = 0
        self.chain = 0
        self.done = False
        self.kept = kept
        self.pins = 0
        self.forgotten = False
        self.name = name  # operation, path, target
        self.since = since
        self.kept_exceptions: list[tuple[Session, list[int]]] | None = None
        self._task = asyncio.current_task()
        self._futures: list[asyncio.Future[None]] = []
        self.ok = True
        self._answer: Any = None
        self._deferred = False
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None

    @property
    def where(self) -> str:
        """The task that asked, for people."""
        return "no task" if self._task is None else f"task {self._task.get_name()!r}"

    def complete(self, ok: bool, answer: Any, deferred: bool) -> None:
        """The answer has come, or never will."""
        if not self.done:
            self.ok, self._answer, self._deferred = ok, answer, deferred
            self.done = True
            self._task = None
            for future in self._futures:
                if not future.done():
                    future.set_result(None)
            self._futures.clear()
        if self.kept and answer is not LOST and answer is not NOT_STARTED:
            self.link.session.boxing.settled(self)

    @property
    def awaited(self) -> bool:
        """Tasks wait for it."""
        return bool(self._futures)

    async def wait(self, deadline: float | None = None) -> None:
        """Wait for the answer. A last waiter that gives up cancels the request.

        Raises AsyncResultTimeout at *deadline*, a time of ``time.monotonic()``.
        """
        if self.done:
            return
        loop = self.link.loop
        future: asyncio.Future[None] = loop.create_future()
        self._futures.append(future)
        timer = None
        if deadline is not None:
            timer = loop.call_later(max(0.0, deadline - time.monotonic()), _expire, future)
        try:
            await future
        except BaseException as exc:
            if future in self._futures:
                self._futures.remove(future)
            late = isinstance(exc, AsyncResultTimeout)
            self.abandon(exc if late else None)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def abandon(self, error: BaseException | None = None) -> None:
        """Somebody wants the answer no longer: unless others do, the request is cancelled."""
        if not self._futures:
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
            raise self._error.with_traceback(self._traceback)
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
            self._traceback = self._error.__traceback__

    def _as_error(self, answer: Any) -> BaseException:
        if isinstance(answer, BaseException):
            return answer
        session = self.link.session
        if answer is LOST:
            return ConnectionLost(session.lost)
        if answer is NOT_STARTED:
            return ConnectionLost(f"{session.lost}; the call was not started")
        loaded: BaseException = session.loader.load(values.complete(answer))
        if isinstance(loaded, StopIteration):  # which no coroutine can raise
            return StopAsyncIteration(*loaded.args)
        return loaded

    def keep_for(self, session: Session) -> list[int]:
        """Where *session* notes the exceptions that it keeps until this call ends."""
        numbers: list[int] = []
        if self.kept_exceptions is None:
            self.kept_exceptions = []
        self.kept_exceptions.append((session, numbers))
        return numbers

    def let_go(self) -> None:
        """The call has ended: the exceptions that were kept for it may go."""
        if self.kept_exceptions and not self.ok:
            self._unpack()  # one of them may have come home
        for session, numbers in self.kept_exceptions or ():
            session.let_go(numbers)
        self.kept_exceptions = None


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(AsyncResultTimeout("no answer came before the deadline"))
