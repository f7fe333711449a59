"""A connection on an event loop, below its public names: requests, what arrives, the end.

Everything here belongs to the loop's thread, but what says otherwise: worker threads of a server
ask and answer through the session, which is open to every thread, and have the loop write
(:meth:`Link.flush`).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from contextvars import Context
from functools import partial
from random import random
from types import coroutine
from typing import Any, Final
from weakref import WeakSet

from netobj.aio import reference, sending
from netobj.aio.chains import outermost, serving, waiting
from netobj.aio.dispatch import Dispatcher
from netobj.aio.outcome import Outcome
from netobj.aio.ruling import settle
from netobj.aio.threads import ThreadWaiter, as_blocking, wait_in_thread
from netobj.aio.waiter import Waiter
from netobj.aio.wire import sweeper, unread
from netobj.calls import scope, time_for_stream
from netobj.core.boxing import Raised
from netobj.core.config import Config
from netobj.core.consts import CLOSED_HERE, ONEWAY_FEATURE, SILENT, Limit, Op
from netobj.core.describe import NOTHING
from netobj.core.ends import AsyncDuplex, AsyncIncoming
from netobj.core.events import (
    Cancel,
    Dropped,
    Event,
    Flowed,
    Goodbye,
    Hello,
    Pong,
    Reply,
    Request,
)
from netobj.core.exposure import Run
from netobj.core.flow import Flow
from netobj.core.handle import Handle, ImportedClass
from netobj.core.netref import proxy_for
from netobj.core.numbers import numbers
from netobj.core.outcomes import Ruled
from netobj.core.session import LOST, NOT_STARTED, Session
from netobj.errors import AsyncResultTimeout, Busy, ConnectionLost, ProtocolError
from netobj.greetings import features, side_of
from netobj.introspection import introspect
from netobj.sockets import address_text

CREDIT_PATIENCE: Final = 30.0
"""Seconds without any answer after which a call that waits for room gives up with Busy."""
CLOSE_PATIENCE: Final = 0.3
"""Seconds that the peer has to take what is still to be written when a connection ends, and as
many that what runs for it has to end."""
MOST_OWED: Final = 10_000
"""Times that a peer which takes no answers may have this side answer by itself, as pings do."""
_LOOKS: Final = 4
"""How often it is looked, in the time that the peer has, whether it takes anything."""
_MANY: Final = 16
"""Messages that may wait for the loop before their bytes are counted."""
_CALL: Final = int(Op.CALL)
_LANE: Final = 0
"""The lane of the calls without an answer."""
_MUCH: Final = 16 * 1024
"""Bytes of a message that is not held back until others come along."""

live: Final[WeakSet[Link]] = WeakSet()
"""The connections on loops of this process."""


class Link:
    """What a connection does below its public names, which are those of
    :class:`netobj.aio.connection.Connection`.
    """

    ____closed____ = True  # see netobj.core.rules
    holds_threads = False  # interceptors keep the threads of calls until all is settled
    introspection: Any = None  # what the peer finds as root.system, if it may
    on_finish: tuple[Any, ...] = ()  # called with it and the reason of the end

    def __init__(
        self,
        root: object,
        transport: asyncio.Transport,
        config: Config,
        executor: Any = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop_thread = threading.get_ident()
        self.transport = transport
        ends = (transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
        side = side_of(config, type(root))
        changes: dict[str, Any] = {
            "connid": config.connid or f"conn{next(numbers.connections)}",
            "endpoints": config.endpoints or ends,
        }
        if config.logger is None:
            changes["logger"] = logging.getLogger("netobj")
        self.config = config = config.merge(changes)
        self.guard: Any = threading.RLock()  # the tables of the session, see boxing
        self.session = Session(
            config,
            root,
            link=self,
            make_proxy=self._refer,
            make_end=_end_of,
            guard=self.guard,
            sequence=numbers.requests,
            process=numbers.process,
            side=side,
            features=features(),
        )
        self.prepare()
        self.root_handle = Handle(self, 0, ImportedClass(NOTHING))
        self._root = reference.reference_for(self.root_handle)
        self.dispatcher = Dispatcher(self, executor)
        self.service: Any = None
        self._sweeper = sweeper(self.loop)
        self._pings: dict[Any, asyncio.Future[None]] = {}
        self._room: deque[asyncio.Future[None]] = deque()  # tasks that wait until they may send
        self._progress = 0.0  # when there was room last, while tasks wait for it
        self._on_close: list[Callable[[Any], object]] = []
        self._paused = False
        self._woken: list[Waiter] | None = None  # while something arrives: who goes on then
        self._flush_due = False
        self._closing = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None  # in case the peer takes no more bytes
        self._most_queued = config.limits[Limit.QUEUED]
        self._waiting: dict[Callable[[], object], None] = {}  # until less is to be written
        self._written = 0  # bytes that the transport was given
        self._taken = -1  # of which the peer had taken so many ...
        self._moved = 0.0  # ... when that was found to have grown last
        self._owed = 0  # how often what came was to be answered while too much was to be written
        self._finished: asyncio.Future[None] = self.loop.create_future()
        if config.introspect is not None:
            introspect(self)
        live.add(self)
        self.flush()
        self._tick()

    def prepare(self) -> None:
        """Called when there is a session, and before anything is read or written."""

    # --- requests ----------------------------------------------------------------------------

    def send(
        self,
        op: int,
        target: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        kept: bool,
    ) -> Outcome:
        """Queue a request. Raises as ``Session.request`` does, or when the deadline has passed."""
        now = time.monotonic()
        here = scope.get()
        left = self.config.sync_request_timeout
        if here.deadline is not None:
            left = _time_left(now, here.deadline, left)
        chain = serving.get()
        if chain is None:
            chain = next(numbers.chains)
        seq = next(numbers.requests)
        outcome = Outcome(self, seq, chain, kept, (op, path, target), now)
        self.session.request(
            outcome, op, target, path, args, kwargs, chain, None, left, seq, here.metadata, kept
        )
        return outcome

    def answer(self, call: reference.Call) -> Generator[Any, None, Any]:
        """Send *call* unless it is sent already, wait, and return the answer or raise it.

        A generator, for ``__await__``: what an awaited call goes through is this, and
        :meth:`_wait_for`.
        """
        outcome = call.____outcome__
        if outcome is None:
            try:
                if self._paused or self._is_full():
                    yield from self._await_room(self._is_full).__await__()
                if not call.____simple__:
                    for blocker in sending.blockers(call):
                        yield from self._wait_for(blocker)
                    thrown = sending.raised_as(call)
                    if thrown is not None:
                        return (yield from self._throw(call, thrown))
                outcome = sending.start(call)
            except BaseException:
                reference.mark_built(call)
                self.flush_soon()  # what it is built upon may have left
                raise
        if not outcome.done:
            yield from self._wait_for(outcome)
        answer = outcome.result()
        if type(answer) is reference.Reference and reference.is_coroutine(answer):
            return (yield from reference.special(answer, "__await__").__await__())
        return answer

    def _throw(self, call: reference.Call, exc: BaseException) -> Generator[Any, None, Any]:
        with self.thrown(exc) as marked:
            sending.throw(call, marked)
            outcome = sending.start(call)
            yield from self._wait_for(outcome)
            return outcome.result()

    def abandon_soon(self, outcome: Outcome) -> None:
        """Nobody can ask for *outcome* any more; called by a finalizer, in any thread."""
        try:
            self.loop.call_soon_threadsafe(outcome.abandon)
        except RuntimeError:  # the loop has ended
            pass

    def _wait_for(self, outcome: Outcome) -> Generator[Any, None, None]:
        """Wait until *outcome* is there, at most until this task's deadline; for ``__await__``.

        Whoever gives up as the last one cancels the request.
        """
        if outcome.done:
            return
        limit = self.config.sync_request_timeout
        deadline = scope.get().deadline
        if limit is not None:
            latest = outcome.since + limit
            deadline = latest if deadline is None else min(latest, deadline)
        chain = outcome.chain
        first = outermost.setdefault(chain, outcome) is outcome
        self.flush_soon()  # not before: a peer in this process may make the next call of the chain
        waiter = Waiter(self.loop)
        outcome.waiters = (*outcome.waiters, waiter)
        timer = None
        if deadline is not None:
            timer = self._call_in(max(0.0, deadline - time.monotonic()), _expire, waiter)
        try:
            yield waiter
        except BaseException as exc:
            outcome.leave(waiter, exc)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if first and not outcome.waiters:
                outermost.pop(chain, None)
                if outcome.kept_exceptions is not None:
                    outcome.let_go()

    def _call_in(
        self, seconds: float, function: Callable[[Any], object], argument: object
    ) -> asyncio.TimerHandle:
        # In no context of ours: a loop keeps that of a cancelled timer until its time.
        return self.loop.call_later(seconds, function, argument, context=Context())

    def wake(self, waiters: Iterable[Waiter]) -> None:
        """Go on with the tasks of *waiters*: behind what arrives just now, else soon."""
        if self._woken is not None:
            self._woken.extend(waiters)
            return
        for waiter in waiters:
            waiter.wake()

    @coroutine
    def oneway(self, call: reference.Call) -> Generator[Any, None, None]:
        """Send *call*, which is to have no answer; waits only while too much is under way.

        To a peer that does not know such requests, or of which that is not known yet, it is a call
        whose answer is dropped.
        """
        for blocker in sending.blockers(call):
            yield from self._wait_for(blocker)
        *ready, needs = sending.ready_oneway(call)
        placed = yield from self._place_for_oneway().__await__()
        self._send_oneway(placed, *ready)
        sending.see_through(needs)

    async def _place_for_oneway(self) -> bool:
        """Wait for room; whether the call has taken a place as one without an answer."""
        _time_left(time.monotonic(), scope.get().deadline, None)
        placed = False

        def is_full() -> bool:
            nonlocal placed
            if ONEWAY_FEATURE not in self.session.peer_features:
                return self._is_full()
            placed = self.session.take_place()
            return not placed

        await self._await_room(is_full)
        return placed

    def _send_oneway(
        self,
        placed: bool,
        target: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> None:
        session = self.session
        if session.lost is not None:
            raise session.gone(session.lost)
        here = scope.get()
        left = None if here.deadline is None else here.deadline - time.monotonic()
        entries = here.metadata
        if placed:
            session.oneway(_CALL, target, path, args, kwargs, _LANE, left, entries)
        else:
            seq = next(numbers.requests)
            outcome = Outcome(self, seq, 0, True, (_CALL, path, target), time.monotonic())
            session.request(
                outcome, _CALL, target, path, args, kwargs, None, _LANE, left, seq, entries
            )
        self.flush_soon()

    # --- room --------------------------------------------------------------------------------

    def _is_full(self) -> bool:
        if self.session.has_room():
            return False
        return serving.get() is None  # a call inside of a chain is exempt, see the design

    async def _await_room(self, is_full: Callable[[], bool]) -> None:
        """Wait while too many bytes wait to be written, or the peer admits no more calls."""
        deadline = scope.get().deadline
        if not self._room:
            self._progress = time.monotonic()
        while (self._paused or is_full()) and self.session.lost is None:
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise AsyncResultTimeout("the deadline passed before there was room for the call")
            patience = self._progress + CREDIT_PATIENCE
            if now >= patience:
                raise Busy(
                    f"{self!r} had no room for another call for {CREDIT_PATIENCE:g} s: "
                    f"{len(self.session.pending)} are in flight, and what waits to be written "
                    f"is {self.transport.get_write_buffer_size()} bytes"
                )
            await self._await_turn(min(patience, deadline or patience) - now)

    async def _await_turn(self, patience: float) -> None:
        future: asyncio.Future[None] = self.loop.create_future()
        self._room.append(future)
        timer = self.loop.call_later(patience, _settle, future)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():  # it was this task's turn, which is another's now
                self._make_room()
            raise
        finally:
            timer.cancel()

    def _make_room(self) -> None:
        """Let as many tasks go on as there is room for, those first that came first."""
        session = self.session
        self._progress = time.monotonic()
        room = session.most_pending - len(session.pending) if session.has_room() else 0
        while self._room and room > 0 and not self._paused:
            future = self._room.popleft()
            if not future.done():
                future.set_result(None)
                room -= 1

    def _make_room_for_all(self) -> None:
        waiting, self._room = self._room, deque()
        for future in waiting:
            _settle(future)

    def pause_writing(self) -> None:
        """The transport has more bytes than it likes."""
        self._paused = True
        self._taken, self._moved = self._taken_by_now(), time.monotonic()
        self._tick()

    def resume_writing(self) -> None:
        """They have been written."""
        self._paused = False
        self._owed = 0
        self._make_room_for_all()  # also for those that are exempt from the count
        self._let_waiting_go()

    def _taken_by_now(self) -> int:
        return self._written - self.transport.get_write_buffer_size()

    def congested(self) -> bool:
        """Too much waits to be written: nothing new is to begin; from any thread."""
        if self._paused and self.transport.get_write_buffer_size() > self._most_queued:
            return True
        out = self.session.out  # which threads fill, perhaps faster than the loop comes to it
        return len(out) > _MANY and sum(map(len, list(out))) > self._most_queued

    def when_room(self, callback: Callable[[], object]) -> None:
        """Call *callback*, which must not wait, when that has changed, or at the end."""
        self._waiting[callback] = None
        if not self.congested():  # it came to that before anybody knew of the callback
            self._let_waiting_go()

    def _let_waiting_go(self) -> None:
        while self._waiting:
            try:
                callback = self._waiting.popitem()[0]
            except KeyError:  # another thread was faster
                return
            callback()

    async def await_written(self) -> None:
        """Wait while too much waits to be written."""
        while self.congested() and self.session.lost is None:
            future: asyncio.Future[None] = self.loop.create_future()
            self.when_room(partial(_settle, future))
            await future

    # --- from threads (see netobj.core.methods.Link) -----------------------------------------

    def request(
        self,
        op: int,
        handle: Handle | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """A request of a worker thread's: ask, wait, and return the answer or raise it.

        Raises RuntimeError on the loop's own thread, which must not wait.
        """
        if threading.get_ident() == self.loop_thread:
            raise RuntimeError(
                "a blocking proxy was used on the event loop of its connection, which would stop "
                "it for ever: use the reference that netobj.aio gives, and await it"
            )
        now = time.monotonic()
        left = _time_left(now, scope.get().deadline, self.config.sync_request_timeout)
        waiter = ThreadWaiter(self, (op, path, handle), now)
        waiter.seq = next(numbers.requests)
        with waiter.in_chain() as chain:
            entries = scope.get().metadata
            self.session.request(
                waiter, op, handle, path, args, kwargs, chain, None, left, waiter.seq, entries
            )
            self.flush()
            return as_blocking(waiter.wait(None if left is None else now + left))

    def request_oneway(
        self,
        target: Handle | tuple[Any] | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """A call without an answer of a worker thread's; waits only for room.

        Raises RuntimeError on the loop's own thread, which must not wait.
        """
        if threading.get_ident() == self.loop_thread:
            raise RuntimeError(
                "a blocking proxy was used on the event loop of its connection: use the reference "
                "that netobj.aio gives, and await netobj.oneway(it)(...)"
            )
        placing = asyncio.run_coroutine_threadsafe(self._place_for_oneway(), self.loop)
        self._send_oneway(placing.result(), target, path, args, kwargs)

    def thrown(self, exc: BaseException) -> AbstractContextManager[Raised]:
        """*exc*, marked to travel as an exception; in the block it comes home as itself."""
        return self.session.thrown(exc)

    def proxy_of(self, handle: Handle) -> Any:
        """The blocking proxy of *handle*'s object."""
        return proxy_for(handle)

    # --- streams -------------------------------------------------------------------------------

    def wait_until(self, ready: Callable[[], bool], flow: Flow) -> None:
        """Wait in this thread until *ready*, which changes of *flow* may bring about."""
        if threading.get_ident() == self.loop_thread:
            raise RuntimeError("a stream of threads was waited for on the event loop")
        wait_in_thread(ready, flow)

    async def wait_until_async(self, ready: Callable[[], bool], flow: Flow) -> None:
        """The same on the event loop.

        Raises AsyncResultTimeout when a ``netobj.deadline`` of this task passes first.
        """
        while not ready():
            left = time_for_stream()
            future: asyncio.Future[None] = self.loop.create_future()
            timer = None if left is None else self._call_in(left, _settle, future)

            def wake(future: asyncio.Future[None] = future) -> None:
                if threading.get_ident() == self.loop_thread:
                    _settle(future)
                else:
                    self.loop.call_soon_threadsafe(_settle, future)

            flow.subscribe(wake)
            try:
                if not ready():
                    self._sweeper.note(self)
                    await future
            finally:
                flow.unsubscribe(wake)
                if timer is not None:
                    timer.cancel()

    # --- what arrives ----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Apply what has arrived."""
        session = self.session
        if session.lost is not None:
            return
        try:
            events = session.receive_data(data, time.monotonic())
        except ProtocolError as exc:
            self.broken(exc)
            return
        except Exception as exc:
            self.log.exception("reading a message failed")
            self.lose(f"reading a message failed: {type(exc).__name__}: {exc}")
            return
        woken: list[Waiter] = []
        self._woken = woken
        try:
            self._deliver(events)
        finally:
            self._woken = None
            del events
            if self._room:
                self._make_room()
            if session.fault is not None:
                self.broken(session.fault)
            if session.out:
                if self._paused and self.congested():
                    self._owe_more()
                self.flush_soon()
            if woken:
                self._go_on(woken)

    def _owe_more(self) -> None:
        """What the peer sends makes this side answer, and it takes none of the answers."""
        self._owed += 1
        if self._owed > MOST_OWED:
            self.lose(f"{self.peer_name} asks for answers and does not take them")

    def _go_on(self, woken: list[Waiter]) -> None:
        """Go on with the tasks that have waited for what has arrived, if no other one runs."""
        if asyncio.current_task(self.loop) is not None:
            self.wake(woken)
            return
        for waiter in woken:
            try:
                waiter.resume()
            except BaseException as exc:  # it is to end the loop, and not this connection
                self.loop.call_soon(_raise, exc)

    def _deliver(self, events: list[Event]) -> None:
        # By itself, so that no variable keeps alive what nobody waits for any more.
        for event in events:
            if type(event) is Reply:
                event.token.complete(event.ok, event.value, event.deferred)
            elif type(event) is Request:
                self.dispatcher.route(event)
            else:
                self._handle(event)

    def _handle(self, event: Any) -> None:
        if isinstance(event, Flowed):
            event.flow.notify()
            self.dispatcher.flowed(event.flow)
        elif isinstance(event, Dropped):
            event.objects.clear()
        elif isinstance(event, Cancel):
            self.dispatcher.cancel(event)
        elif isinstance(event, Pong):
            future = self._pings.pop(event.token, None)
            if future is not None:
                _settle(future)
        elif isinstance(event, Hello):
            assert self.session.root_class is not None
            self.root_handle.imported = self.session.root_class
        elif isinstance(event, Goodbye):
            self.lose(f"{self.peer_name} said goodbye: {event.reason}")
            for token in event.not_started:
                token.complete(False, NOT_STARTED, False)

    # --- writing -------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is queued; from another thread: let the loop do so."""
        if threading.get_ident() == self.loop_thread:
            self._write()
        else:
            self._flush_from_thread()

    def _write(self) -> None:
        out = self.session.out
        if not out:
            return
        if len(out) == 1:
            data = out.popleft()
        else:
            data = b"".join([out.popleft() for _ in range(len(out))])
        if not self.transport.is_closing():
            self._written += len(data)
            self.transport.write(data)
        if self._waiting and not self.congested():
            self._let_waiting_go()

    def _flush_from_thread(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            try:
                self.loop.call_soon_threadsafe(self._flush_now)
            except RuntimeError:  # the loop has ended, and the connection with it
                pass

    def flush_soon(self) -> None:
        """Write what is queued: now if nothing else is under way, else with what comes next.

        Much is written now, too, so that the transport can say when it is too much.
        """
        session = self.session
        out = session.out
        if len(session.pending) + len(session.running) <= 1 or (out and len(out[-1]) >= _MUCH):
            self._write()
        elif not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_due = False  # before the look at the queue, so that nothing is left behind
        self._write()

    def flush_releases(self) -> None:
        """Send the releases that nothing has carried along."""
        if self.session.flush_releases():
            self.flush()

    def _refer(self, handle: Handle) -> reference.Reference:
        self._sweeper.note(self)
        return reference.reference_for(handle)

    def note_held(self) -> None:
        """Something came that may die here, of which the peer is to be told then."""
        self._sweeper.note(self)

    def may_release(self) -> bool:
        """Something is held here that may die."""
        session = self.session
        held = session.boxing.imports or session.boxing.dead or len(session.flows)
        return bool(held) and session.lost is None

    def watch(self) -> None:
        """Look at the clock now, and so again when it is due."""
        self._tick()

    def waits_in(self, chain: int) -> bool:
        """Whether a task or a thread of this process waits in *chain*."""
        return chain in outermost or chain in waiting

    def admit(self, seq: int, size: int, chain: int | None) -> None:
        """A task has waited for room before; a thread serves a call of a chain."""
        self.session.heavy[seq] = size

    def settle(self, ruled: Ruled) -> object:
        """The outcome of a call that has rules; on the loop, or in the worker of the call."""
        return settle(self, ruled)

    def executor_for(self, run: Run | None) -> Executor | None:
        """Where a plain function runs that is declared so; None: on the loop."""
        return self.dispatcher.executor_for(run)

    def admit_oneway(self, size: int) -> None:
        """A task has waited for room before; threads may have been faster. Raises Busy."""
        if not self.session.take_bytes(size):
            raise Busy(f"{self!r} has no room for another {size} bytes")

    def _tick(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None
        session = self.session
        now = time.monotonic()
        try:
            due = session.tick(now, self._stuck_since(now))
        except ConnectionLost as exc:
            self.lose(str(exc))
            return
        self.flush()
        if due is None:
            return
        delay = max(0.0, due - now)
        patience = self.config.write_timeout
        if self._paused and patience is not None:
            delay = min(delay, patience / _LOOKS)
        elif session.greeted and not session.timed:
            # Spread, so that thousands that were accepted together do not ping together.
            delay *= 1 + random() / 4
        self._heartbeat = self.loop.call_later(delay, self._tick)

    def _stuck_since(self, now: float) -> float | None:
        """Since when the peer has taken nothing of what waits, if anything does."""
        if not self._paused:
            return None
        taken = self._taken_by_now()
        if taken != self._taken:
            self._taken, self._moved = taken, now
        return self._moved

    # --- the end -------------------------------------------------------------------------------

    @property
    def log(self) -> logging.Logger:
        """Where this connection logs."""
        return self.config.logger or logging.getLogger("netobj")

    @property
    def peer_name(self) -> str:
        """Who is at the other end, for texts and logs."""
        return address_text((self.config.endpoints or (None, None))[1])

    def broken_from_thread(self, exc: ProtocolError) -> None:
        """As :meth:`broken`, from a worker thread."""
        self.loop.call_soon_threadsafe(self.broken, exc)

    def broken(self, exc: ProtocolError) -> None:
        """The peer broke the protocol: end the connection."""
        if self.session.lost is not None:
            return
        self.log.error("the connection to %s was ended: %s", self.peer_name, exc)
        self.session.goodbye(f"protocol error: {exc}")
        self.flush()
        self.lose(f"the peer broke the protocol: {exc}")

    def lose_to_peer(self) -> None:
        """The peer has closed its end."""
        silent = "" if self.session.has_greeted() else SILENT
        self.lose(f"{self.peer_name} closed the connection{silent}")

    def wire_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if isinstance(exc, ConnectionError) and self.session.lost is None:
            self.receive(unread(self.transport))  # the peer's last words may say why
        self.lose(f"the connection to {self.peer_name} broke: {exc}" if exc else CLOSED_HERE)
        assert self._abort is not None
        self._abort.cancel()
        _settle(self._finished)

    def lose(self, reason: str) -> None:
        """End the connection because of *reason*; only the first time counts."""
        session = self.session
        if session.lost is not None:
            return
        reason = CLOSED_HERE if self._closing else reason
        for token in session.lose(reason):
            token.complete(False, LOST, False)
        for flow in session.flows.lose(reason):
            flow.notify()
        for future in self._pings.values():
            _settle(future)
        self._pings.clear()
        self._make_room_for_all()
        self._let_waiting_go()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._sweeper.forget(self)
        self.transport.close()
        self._abort = self.loop.call_later(CLOSE_PATIENCE, self.transport.abort)
        self.dispatcher.end()
        session.discard_tables().clear()
        if self.service is not None:
            self.dispatcher.run_hook(self.service.on_disconnect)
        if self.on_finish:
            self.dispatcher.run_hook(_tell_of_end)
        for callback in self._on_close:
            callback(self)
        self._on_close.clear()

    def abandon_after_fork(self) -> None:
        """In a child: this connection is the parent's, as is what its loop waits with."""
        session = self.session
        for token in session.lose("the connection belongs to the parent process; connect anew"):
            if type(token) is Outcome:  # a thread's is not in this process
                token.complete(False, LOST, False)
        session.out.clear()
        _settle(self._finished)
        self._heartbeat = None

    def when_closed(self, callback: Callable[[Any], object]) -> None:
        """Call *callback* with the connection once it has ended."""
        self._on_close.append(callback)

    async def wait_closed(self) -> None:
        """Wait until the connection has ended, and what ran for the peer with it.

        Of that, what does not end when it is cancelled is left to itself after half a second.
        """
        await asyncio.shield(self._finished)
        await self.dispatcher.wait_ended(CLOSE_PATIENCE)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _time_left(now: float, deadline: float | None, limit: float | None) -> float | None:
    """Seconds that a call has. Raises AsyncResultTimeout if the deadline has passed."""
    if deadline is None:
        return limit
    left = deadline - now
    if left <= 0:
        raise AsyncResultTimeout("the deadline passed before the call was sent")
    return left if limit is None else min(limit, left)


def _expire(waiter: Waiter) -> None:
    waiter.wake(AsyncResultTimeout("no answer came before the deadline"))


def _raise(exc: BaseException) -> None:
    raise exc


def _end_of(flow: Flow) -> AsyncIncoming | AsyncDuplex:
    flow.link.note_held()
    return AsyncIncoming(flow) if flow.sent_end else AsyncDuplex(flow)


def _after_fork_in_child() -> None:
    for link in list(live):
        link.abandon_after_fork()
    live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


async def _tell_of_end(link: Link) -> None:
    for hook in link.on_finish:
        try:
            result = hook(link, link.session.lost)
            if inspect.isawaitable(result):
                await result
        except Exception:
            link.log.exception("%r raised", hook)
