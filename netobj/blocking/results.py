"""The result of an asynchronous call."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextvars import Context
from threading import get_ident
from typing import TYPE_CHECKING, Any

from netobj.blocking.safepoint import wait_event
from netobj.blocking.waiting import FOREVER, Waiter, beside, leave_tasks
from netobj.core.ends import AsyncDuplex, AsyncIncoming, Duplex, Incoming
from netobj.core.promises import Promise
from netobj.errors import AsyncResultTimeout, CallCancelled

if TYPE_CHECKING:
    from concurrent.futures import Future


class AsyncResult(Waiter, Promise):
    """What will come of a call that was made with ``async_``.

    It may be passed to other calls on its connection at once: they run over there when it has
    come, and fail with its error if it fails. Calls on it: :class:`netobj.async_` takes it, too.

    Callbacks run in the thread that waits for the result, or in a worker; never in the thread
    that reads the connection.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     evaluate = netobj.async_(conn.root.eval)
    ...     netobj.async_(evaluate("max"))(evaluate("6"), 7).value  # one round trip
    7
    """

    # What few results need is in the class, so that making one costs little: thousands may be
    # under way. What is made later is put into the instance's dictionary in one atomic step.
    pins = 0  # see netobj.core.promises
    forgotten = False
    jobs: Any = ()  # it waits in no chain, so nobody gives it any
    done = deferred = reading = entered = False
    lock = None
    chain: int | None = None  # in which a task waits for it
    _deadline: float | None = None
    _expired = False
    _fetched: tuple[bool, Any] | None = None
    _callbacks: Any = ()  # a list, once there is one
    _turn: Any = None  # a lock, once a thread waits; held by the one that waits in the connection

    def __init__(self, connection: Any) -> None:
        self.connection = self.link = connection
        self._ticket = [None]  # for the answer, the expiry or cancel(), whichever is first

    def __repr__(self) -> str:
        state = "expired" if self.expired else "ready" if self.done else "pending"
        return f"<AsyncResult object ({state}) at {id(self):#x}>"

    def complete(self, ok: bool, answer: Any, deferred: bool) -> None:
        """The answer is there; called by whoever reads the connection."""
        if self.chain is not None:
            leave_tasks(self, self.chain)
        if self._claim():
            Waiter.complete(self, ok, answer, deferred)
            if self._callbacks and not (self._turn is not None and self._turn.locked()):
                self.connection.run_in_worker((AsyncResult._fire, self))
        else:
            self.done = True  # it expired or was cancelled: what has come is dropped
            self.connection.release_soon()
        self.connection.session.boxing.settled(self)

    def _claim(self) -> bool:
        """True for the one who may complete this result, in one atomic step."""
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True

    def _fire(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:  # another thread took it
                return
            try:
                self.connection.guarded(callback, self)
            except BaseException:  # it ends this thread's wait, but not the others' turn
                if self._callbacks:
                    self.connection.run_in_worker((AsyncResult._fire, self))
                raise

    def _fire_if_done(self) -> None:
        if self.done and not self._expired:
            self._fire()

    def add_callback(self, callback: Callable[[AsyncResult], object]) -> None:
        """Call *callback* with this result when it is there; at once if it is already."""
        vars(self).setdefault("_callbacks", []).append(callback)
        self._fire_if_done()

    def set_expiry(self, timeout: float | None) -> None:
        """Give up *timeout* seconds from now (None: never); then the other side is told."""
        if timeout is None or timeout >= FOREVER:
            self._deadline = None
        else:
            self._deadline = time.monotonic() + timeout

    @property
    def expired(self) -> bool:
        """True once the expiry has passed without an answer."""
        if not self.done and self._deadline is not None and time.monotonic() >= self._deadline:
            self._expire()
        return self._expired

    def _expire(self) -> None:
        if self._claim():  # else the answer is coming at this very moment
            self._expired = self.given_up = True
            self.connection.cancel_request(self.seq)

    @property
    def ready(self) -> bool:
        """True once the answer is there; looks, but never waits."""
        if not self.done and not self.expired:
            self.connection.read_available()
        return self.done and not self._expired

    @property
    def error(self) -> bool:
        """True if the answer is there and is an exception."""
        return self.ready and not self.ok

    def wait(self) -> None:
        """Wait for the answer; raises AsyncResultTimeout when the expiry passes first."""
        if not self.done and not self._expired:
            _turn = threading.Lock()
            turn = vars(self).setdefault("_turn", _turn)  # the first that is made, for all threads
            if turn.acquire(blocking=False):
                try:
                    self.connection.wait_for(self, self._deadline)
                except BaseException:  # the answer may have come and left the callbacks to us
                    turn.release()
                    self.connection.run_in_worker((AsyncResult._fire_if_done, self))
                    raise
                turn.release()
            else:
                self._wait_beside()
        if not self.done:
            self._expire()
        if self._expired:
            raise self._out_of_time()
        if not self.done:
            self.connection.wait_for(self, None)
        self._fire()

    def _out_of_time(self) -> AsyncResultTimeout:
        return AsyncResultTimeout("the result of the call did not come before its expiry")

    def _wait_beside(self) -> None:
        """Wait while another thread does so in the connection; or the I/O thread, if that left."""
        over = threading.Event()
        self.add_callback(lambda _result: over.set())
        left = None if self._deadline is None else max(0, self._deadline - time.monotonic())
        thread = get_ident()
        beside.add(thread)
        try:
            wait_event(over, left)
        finally:
            beside.discard(thread)

    @property
    def value(self) -> Any:
        """The result, waited for; raises what the call raised, or as :meth:`wait`."""
        self.wait()
        ok, value = self._outcome()
        if ok:
            return value
        raise value

    def _outcome(self) -> tuple[bool, Any]:
        if self._expired:
            return False, self._out_of_time()
        if self._fetched is None:
            self._fetched = self.connection.outcome(self)
        return self._fetched

    def result(self) -> Any:
        """The answer, which is there, for a call that it is passed to; raises Failed."""
        ok, value = self._outcome()
        if ok:
            return value
        raise Failed(value)

    def cancel(self, interrupt: bool = False) -> bool:
        """Ask the other side to drop the call; False if the answer is there already.

        This result then raises CallCancelled. With *interrupt* the other side raises
        KeyboardInterrupt in the call, if its setting ``allow_interrupt`` says so, and the
        result is whatever the call makes of it.
        """
        if self.done or self._expired or not (interrupt or self._claim()):
            return False
        self.connection.cancel_request(self.seq, interrupt)
        if not interrupt:
            self.given_up = True
            super().complete(False, CallCancelled("the call was cancelled on this side"), False)
            if self._callbacks:
                self.connection.run_in_worker((AsyncResult._fire, self))
        return True

    def future(self) -> Future[Any]:
        """A ``concurrent.futures.Future`` of the result; cancelling it cancels the call."""
        from concurrent.futures import Future  # slow to import, and asked for by few

        future: Future[Any] = Future()
        once = [settle_future]

        def settle(result: AsyncResult) -> None:
            try:
                once.pop()(future, result)
            except IndexError:  # the expiry and the answer came together
                pass

        future.add_done_callback(lambda done: done.cancelled() and self.cancel())
        self.add_callback(settle)
        if self._deadline is not None:
            timer = threading.Timer(self._deadline - time.monotonic(), settle, (self,))
            timer.daemon = True
            timer.start()
            future.add_done_callback(lambda _: timer.cancel())
        return future

    def __await__(self) -> Generator[Any, None, Any]:
        asyncio = sys.modules["asyncio"]  # somebody awaits, so it is there
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def settle(_result: AsyncResult) -> None:
            loop.call_soon_threadsafe(lambda: future.done() or future.set_result(None))

        self.add_callback(settle)
        left = None if self._deadline is None else self._deadline - time.monotonic()
        # In no context of ours: a loop keeps that of a cancelled timer until its time.
        timer = None if left is None else loop.call_later(left, settle, self, context=Context())
        try:
            yield from future
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if self._fetched is None and not self._expired:
            ok, value = self._outcome()
            self._fetched = ok, _for_loop(value)
        return self.value


def settle_future(future: Future[Any], result: AsyncResult) -> None:
    """Give *future* the outcome of *result*, unless it was cancelled."""
    if future.set_running_or_notify_cancel():
        try:
            value = result.value
        except BaseException as exc:
            future.set_exception(exc)
        else:
            future.set_result(value)


class Failed(Exception):
    """A result that was passed to another call is the exception *error*."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _for_loop(value: Any) -> Any:
    """What code on an event loop uses: of streams the ends that are awaited."""
    if type(value) is Incoming:
        return AsyncIncoming(value.detach())
    if type(value) is Duplex:
        return AsyncDuplex(value.detach())
    return value
