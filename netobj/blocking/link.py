"""A connection as proxies, helpers and the I/O thread use it: requests, answers, the end."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from threading import get_ident
from time import monotonic
from typing import Any, Final

from netobj.blocking import io_thread as io_thread_module
from netobj.blocking import loop as loop_module
from netobj.blocking import spinning, waiting
from netobj.blocking.dispatch import Dispatcher
from netobj.blocking.excursion import run_hook
from netobj.blocking.flowing import Flowing
from netobj.blocking.io_thread import io_thread
from netobj.blocking.leaving import halt_if_over, is_over, when_leaving
from netobj.blocking.loop import warn_on_loop
from netobj.blocking.pool import Job, pool
from netobj.blocking.reader import reentrant
from netobj.blocking.results import AsyncResult, Failed
from netobj.blocking.ruling import settle
from netobj.blocking.running import Server
from netobj.blocking.safepoint import call_user
from netobj.blocking.sigint import guard_against_sigint
from netobj.blocking.spinning import spinner_for
from netobj.blocking.streams import BrokenSeal, Stream
from netobj.blocking.waiting import (
    FOREVER,
    Latch,
    Waiter,
    enter_chain,
    lane_of_thread,
    leave_chain,
)
from netobj.blocking.writer import Writer
from netobj.calls import Scope, scope
from netobj.core import values
from netobj.core.boxing import Raised
from netobj.core.config import Config, Serve
from netobj.core.consts import ONEWAY_FEATURE, SILENT, Limit, Op
from netobj.core.ends import Duplex, Incoming
from netobj.core.events import Cancel, Dropped, Event, Flowed, Goodbye, Hello, Pong, Reply, Request
from netobj.core.flow import Flow
from netobj.core.framing import Arrived
from netobj.core.handle import Handle
from netobj.core.netref import proxy_for
from netobj.core.numbers import numbers
from netobj.core.outcomes import Ruled
from netobj.core.session import LOST, NOT_STARTED, Session
from netobj.errors import AsyncResultTimeout, Busy, ConnectionLost, ProtocolError
from netobj.greetings import features, side_of
from netobj.introspection import introspect

MOST_OWED: Final = 10_000
"""Times that a peer which takes no answers may have this side answer by itself, as pings do."""
CREDIT_PATIENCE: Final = 30.0
"""Seconds without any answer after which a call that waits for room gives up with Busy."""

_LOGGER: Final = logging.getLogger("netobj")
_modules: Final = sys.modules

live: Final[set[Link]] = set()
"""The connections of this process that have not ended."""


class Link(Flowing):
    """What a connection does below its public names, which are those of
    :class:`netobj.blocking.connection.Connection`.
    """

    ____closed____ = True  # see netobj.core.rules
    _finished = False
    finished = False  # the service has been told of the end, too
    _leaving = ""  # why this side ends it, once it has begun to
    _close_begun = False  # before_closed is called once
    _service: Any = None
    _rest_noted = False  # the I/O thread will see to what is left to write
    registered = False  # see Watched in netobj.blocking.io_thread
    _write_timed = False  # the I/O thread will look whether the peer takes anything
    _owed = 0  # how often what came was to be answered while too much was to be written
    _flush_noted = False  # the I/O thread will flush with its next tick
    crew: Any = None  # whose leader reads and runs what comes, see netobj.blocking.crew
    introspection: Any = None  # what the peer finds as root.system, if it may
    on_finish: tuple[Any, ...] = ()  # called with it and the reason of the end, before on_end
    on_end: Any = None  # called with it when it has ended, after the service's on_disconnect

    # An object with more than 30 attributes of its own is slower at each of them (CPython's
    # SHARED_KEYS_MAX_SIZE): hence what is above.

    def __init__(
        self, root: object, stream: Stream, config: Config | None = None, hello_sent: bool = False
    ) -> None:
        config = config or Config()
        side = side_of(config, type(root))
        config = config._replace(
            connid=config.connid or f"conn{next(numbers.connections)}",
            endpoints=config.endpoints or stream.endpoints,
            logger=config.logger or _LOGGER,
        )
        guard_against_sigint()
        super().__init__(stream, spinner_for(config.spin_time))
        self._io = io_thread()
        self.guard = threading.RLock()
        self.process = numbers.process
        self.session = Session(
            config,
            root,
            link=self,
            make_proxy=proxy_for,
            make_end=_end_of,
            guard=self.guard,
            sequence=numbers.requests,
            process=self.process,
            side=side,
            features=features(),
            hello_sent=hello_sent,
        )
        self.config = config
        self._limit = config.sync_request_timeout
        self._hello_waiters: list[Waiter] = []
        self._pings: dict[Any, Waiter] = {}
        self._end_lock = threading.Lock()  # protects the flags below; nothing waits in it
        self.unlogged: list[str] = []  # what a worker is about to log
        self._released = Latch()  # the descriptors are given back
        self.dispatcher = Dispatcher(self)
        most = config.limits[Limit.QUEUED]
        self.writer = self.make_writer(stream, most)
        if config.introspect is not None:
            introspect(self)
        live.add(self)
        self._io.add(self)
        self.flush()

    def make_writer(self, stream: Stream, most: int) -> Writer:
        """Called when there is a session, and before anything is read or written."""
        return Writer(stream, self.session.out, self._on_blocked, most)

    # --- requests ----------------------------------------------------------------------------

    def request(
        self,
        op: int,
        handle: Handle | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Ask, wait, and return the answer or raise what it raised.

        *timeout* in seconds; the setting ``sync_request_timeout`` and the deadline of what this
        thread does may allow less. When the time is over the peer is told to drop the call, and
        AsyncResultTimeout is raised. In a ``netobj.batch`` block it returns at once.
        """
        here = scope.get()
        if here.batch is not None:
            batch = here.batch.for_link(self)
            if batch is not None:
                return batch.request(op, handle, path, args, kwargs)
        if "asyncio" in _modules:
            warn_on_loop()
        thread = get_ident()
        now = monotonic()
        deadline = time_left = None
        if timeout is not None or self._limit is not None or here.deadline is not None:
            deadline = _earliest(now, timeout, self._limit, here)
            time_left = None if deadline is None else deadline - now
        waiter = Waiter(self)
        waiter.about = (op, path, handle, now, thread)
        chain = here.chain if here.thread == thread else None
        outermost = chain is None
        if chain is None:
            if len(self.session.pending) >= self.session.most_pending:
                self._await_credit()
            chain = next(numbers.chains)
        waiter.seq = next(numbers.requests)
        sent: bool | tuple[Any, ...] = False
        try:
            if self.writer.owner == thread:
                raise reentrant()
            if deadline is None and not (kwargs or here.metadata or path.__class__ is list):
                sent = self._ask_straight(waiter, chain, op, handle, path, args)
                if type(sent) is tuple:
                    return sent[2]
            if not sent:
                enter_chain(waiter, chain)
                self.session.request(
                    *(waiter, op, handle, path, args, kwargs, chain),
                    time_left=time_left,
                    seq=waiter.seq,
                    metadata=here.metadata,
                )
                self.flush(reads=True)
            self.wait_for(waiter, deadline)
            if not waiter.done:
                raise AsyncResultTimeout(f"no answer came within {time_left:.3g} s")
            ok, value = self.outcome(waiter)
            if ok:
                return value
            try:
                raise value
            finally:
                value = None  # no cycle through this frame
        except Failed as failed:
            raise failed.error from None
        except ConnectionLost:
            halt_if_over()
            raise
        finally:
            if waiter.entered:
                leave_chain(waiter, chain)
                if waiter.jobs:  # they came when the answer was there, or with the interrupt
                    self.hand_on(waiter)
            if not waiter.done:  # out of time, or interrupted
                waiter.given_up = True
                self.cancel_request(waiter.seq)
                self.release_soon()
            if outermost and waiter.kept_exceptions is not None:
                waiter.let_go()

    def _ask_straight(
        self,
        waiter: Waiter,
        chain: int,
        op: int,
        handle: Handle | None,
        path: str | None,
        args: tuple[Any, ...],
    ) -> bool | tuple[Any, ...]:
        """Send a call and read the answer, where nothing else happens on the connection.

        The short way of most calls, in which nobody has to be told of anything: all is plain,
        nobody else reads or writes, and what comes is the message with the answer, which is
        returned. True if the call was sent and *waiter* waits for the answer, False if nothing
        was done.
        """
        session = self.session
        if handle is None or not self.reads_plainly or len(live) > 1:
            return False
        if not self._reader.acquire(False):
            return False
        try:
            self._reader_thread = get_ident()
            data = session.plain_request(waiter, waiter.seq, chain, op, handle, path, args)
            if data is None:
                return False
            # First: who finds the waiter in its chain, over a new connection, sees it reading.
            self._plain_reader = waiter.reading = True
            enter_chain(waiter, chain)
            try:
                self.writer.write(data, True)
            except OSError as exc:
                self._plain_reader = waiter.reading = False
                self._read_now()  # the peer may have said why before it went
                self._write_failed(exc)
            if self.writer.blocked or self.ended:
                return True
            answer = self._apply(self._recv(), waiter.seq)
            if type(answer) is tuple:
                waiter.done = True
                return answer
            self._plain_reader = waiter.reading = False
            self._deliver(answer)
        except OSError as exc:
            self._reading_failed(exc)
        finally:
            self._plain_reader = waiter.reading = False
            self._leave_reading()
        return True

    def serve_straight(self, server: Server) -> None:
        """Read and run one call after the other, while nothing else happens on the connection.

        The short way of most calls, in which nothing is handed over: *server*'s thread reads the
        call, runs it and answers. Returns when it has something else to do.
        """
        dispatcher = self.dispatcher
        while self.reads_plainly and self._reader.acquire(False):
            request: Any = None
            try:
                self._reader_thread = get_ident()
                if dispatcher.overflow and dispatcher.take_overflow(server):
                    return
                # First: who gives the server something after this sees it reading, and nudges.
                self._plain_reader = server.reading = True
                if server.jobs or server.done or self.ended or self.writer.blocked:
                    return
                events: Any = self._apply(self._recv(), -1)
                self._plain_reader = server.reading = False
                if len(events) > 1 and type(events[0]) is Dropped:  # released along with a call
                    self._handle(events.pop(0))
                if len(events) == 1 and not server.busy and dispatcher.may_run_here(events[0]):
                    request = server.current = events[0]
                    server.busy = True
                else:
                    self._deliver(events)
            except OSError as exc:
                self._reading_failed(exc)
            finally:
                self._plain_reader = server.reading = False
                self._leave_reading()
            if request is None:
                return
            dispatcher.run(request)

    def take_call(self) -> Request | None:
        """Read what has come, if nobody else does; the call that it is, if it is but one.

        The caller is to run it. All else is handed to those who wait for it.
        """
        if not self._reader.acquire(False):
            return None
        request = None
        try:
            self._reader_thread = get_ident()
            data = None if self.ended else self.stream.recv_now()
            if data is not None:
                events: Any = self._apply(data, -1)
                if len(events) > 1 and type(events[0]) is Dropped:  # released along with a call
                    self._handle(events.pop(0))
                free = len(events) == 1 and not self.congested()
                if free and self.dispatcher.may_run_here(events[0]):
                    request = events[0]
                else:
                    self._deliver(events)
        except OSError as exc:
            self._reading_failed(exc)
        finally:
            self._drop_in_worker()
            self._leave_reading()
        return request

    def request_async(
        self,
        op: int,
        target: Handle | tuple[Any] | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> AsyncResult:
        """Ask without waiting for the answer. Waits only while too much is under way.

        *target* as in :meth:`netobj.core.session.Session.request`. After *timeout* seconds, or
        the deadline of what this thread does, the result expires; the other side knows.
        """
        result = self.send_async(op, target, path, args, kwargs, timeout)
        self.flush()
        if self.writer.congested():
            deadlines = [scope.get().deadline, None if timeout is None else monotonic() + timeout]
            self._await_written(min([one for one in deadlines if one is not None], default=None))
        return result

    def send_async(
        self,
        op: int,
        target: Handle | tuple[Any] | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
        chain: int | None = None,
    ) -> AsyncResult:
        """As :meth:`request_async`, but it leaves with the next :meth:`flush`.

        With *chain* it belongs to that chain, and passes through no lane.
        """
        session = self.session
        if len(session.pending) >= session.most_pending and chain is None:
            self._await_credit()
        here = scope.get()
        result = AsyncResult(self)
        now = monotonic()
        known = () if type(target) is tuple else target
        result.about = (op, path, known, now, get_ident())
        time_left = None
        if timeout is not None or here.deadline is not None:
            deadline = _earliest(now, timeout, None, here)
            if deadline is not None:
                time_left = deadline - now
                result.set_expiry(time_left)
        seq = result.seq = next(numbers.requests)
        lane = lane_of_thread() if chain is None else None
        entries = here.metadata
        if not (kwargs or entries) and time_left is None and type(target) is Handle:
            if lane is not None and type(path) is not list:  # as most often
                data = session.plain_request(result, seq, lane, op, target, path, args, True)
                if data is not None:
                    session.out.append(data)
                    return result
        if chain is not None:
            result.chain = chain
            waiting.of_tasks.setdefault(chain, result)
        try:
            session.request(
                result, op, target, path, args, kwargs, chain, lane, time_left, seq, entries, True
            )
        except Failed as failed:  # a result that it names: so it fails as well, unsent
            result.forgotten = True
            result.complete(False, failed.error, False)
        except BaseException as exc:
            if chain is not None:
                waiting.leave_tasks(result, chain)
            if isinstance(exc, ConnectionLost):
                halt_if_over()
            raise
        return result

    def request_oneway(
        self,
        target: Handle | tuple[Any] | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Call without an answer. Waits only while too much is under way."""
        batch = scope.get().batch
        gathering = None if batch is None else batch.for_link(self)
        if gathering is not None:
            gathering.oneway(target, path, args, kwargs)
            return
        self.send_oneway(target, path, args, kwargs)
        self.flush()
        if self.writer.congested():
            self._await_written(scope.get().deadline)

    def send_oneway(
        self,
        target: Handle | tuple[Any] | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """As :meth:`request_oneway`, but it leaves with the next :meth:`flush`.

        To a peer that does not know such requests it is an asynchronous one, and its answer is
        dropped.
        """
        session = self.session
        if ONEWAY_FEATURE not in session.peer_features:
            Link.send_async(self, Op.CALL, target, path, args, kwargs)  # it is around this
            return
        here = scope.get()
        time_left = None
        if here.deadline is not None:
            now = monotonic()
            deadline = _earliest(now, None, None, here)
            time_left = None if deadline is None else deadline - now
        self._await(session.take_place)
        try:
            session.oneway(
                Op.CALL, target, path, args, kwargs, lane_of_thread(), time_left, here.metadata
            )
        except Failed as failed:  # a result that it names
            raise failed.error from None
        except ConnectionLost:
            halt_if_over()
            raise

    def prompt(self, chain: int | None) -> Any:
        """What a task that serves a call of the peer's uses blocking proxies through."""
        raise NotImplementedError

    def proxy_of(self, handle: Handle) -> Any:
        """The one live proxy of *handle*'s object."""
        return proxy_for(handle)

    def thrown(self, exc: BaseException) -> AbstractContextManager[Raised]:
        """*exc*, marked to travel as an exception; in the block it comes home as itself."""
        return self.session.thrown(exc)

    def outcome(self, waiter: Waiter) -> tuple[bool, Any]:
        """(True, result) or (False, exception) of a call that is done; in the caller's thread."""
        value = waiter.answer
        if waiter.ok:
            return True, values.complete(value) if waiter.deferred else value
        if isinstance(value, BaseException):
            return False, value
        try:
            return False, self.session.failure(value)
        except ProtocolError as exc:
            self._broken(exc)
            return False, exc

    def cancel_request(self, seq: int, interrupt: bool = False) -> None:
        """Tell the peer that nobody waits for the answer to request *seq*."""
        self.session.cancel(seq, interrupt)
        self.flush()

    def _await_written(self, deadline: float | None) -> None:
        """Wait while too much waits to be written, at most until *deadline*."""
        while self.writer.congested() and not self.ended and not self.reads_here():
            if deadline is not None and monotonic() >= deadline:
                return
            waiter = Waiter(self)
            self.writer.when_room(waiter.finish)
            self.wait_for(waiter, deadline)

    def waits_in(self, chain: int) -> bool:
        """Whether a thread or a task of this process waits in *chain*."""
        return chain in waiting.chains or chain in waiting.of_tasks

    def admit(self, seq: int, size: int, chain: int | None) -> None:
        """Wait until the peer takes the *size* bytes of the request *seq*, and count them."""
        if chain is not None and self._is_within(chain, seq):
            self.session.heavy[seq] = size
        else:
            self._await(partial(self.session.take_room, seq, size))

    def settle(self, ruled: Ruled) -> object:
        """The outcome of a call that has rules; in its thread."""
        return settle(self, ruled)

    def serves_here(self, request: Request) -> bool:
        """Whether *request* runs in the thread that serves, or polls, and in no worker."""
        server = self.dispatcher.server
        by_server = server is not None and server.current is request
        return by_server or self.dispatcher.mode is Serve.CALLER

    def admit_oneway(self, size: int) -> None:
        """The same of a request without an answer, whose bytes are counted here, too."""
        self._await(partial(self.session.take_bytes, size))

    def _is_within(self, chain: int, seq: int) -> bool:
        """Whether the other side waits in *chain*, so that its answer may need request *seq*."""
        here = scope.get()
        if here.connection is self and here.chain == chain:
            return True
        waiters = waiting.chains.get(chain, ())
        return any(one.connection is self and one.seq != seq for one in waiters)

    def _await_credit(self) -> None:
        """Wait, while the peer admits no more calls at once, for an answer to any of them."""
        self._await(self.session.has_room)

    def _await(self, has_room: Callable[[], bool]) -> None:
        session = self.session
        if has_room():
            return
        self.flush()  # what a batch has gathered may be all that can be answered
        patience = time.monotonic() + CREDIT_PATIENCE
        pending = session.in_flight()
        while not has_room() and not self.ended:
            self._await_room()
            if session.in_flight() < pending:
                patience = time.monotonic() + CREDIT_PATIENCE
            elif time.monotonic() > patience:
                raise Busy(
                    f"{pending} calls are in flight on {self!r}, as many as the peer admits, and "
                    f"none was answered for {CREDIT_PATIENCE:g} s"
                )
            pending = session.in_flight()

    def _await_room(self) -> None:
        """Read, or let others read, for a moment."""
        self.wait_for(Waiter(self), time.monotonic() + 0.01)

    def guarded(self, function: Callable[[Any], object], argument: Any) -> None:
        """Call *function*; what it raises is logged, but for exits of the main thread."""
        try:
            call_user(function, argument)
        except BaseException as exc:
            main = threading.current_thread() is threading.main_thread()
            if main and not isinstance(exc, Exception):
                raise
            self.log.exception("%r raised", function)

    @property
    def log(self) -> logging.Logger:
        """Where this connection logs."""
        return self.config.logger or _LOGGER

    def log_later(self, text: str, exc: BaseException | None = None) -> None:
        """Log an error from a worker: a log handler is user code, which may even call the peer."""
        self.unlogged.append(text)
        self.run_in_worker((self._log, (text, exc)))

    def _log(self, what: tuple[str, BaseException | None]) -> None:
        text, exc = what
        try:
            self.log.error("%s", text, exc_info=exc)
        finally:
            self.unlogged.remove(text)

    # --- what arrives --------------------------------------------------------------------------

    def receive(self, data: Arrived, waiter: Waiter | None = None) -> None:
        """Apply what has arrived; called with the role of the reader, by *waiter*'s thread."""
        # What waits for an asynchronous result has more to do when it is there.
        events = self._apply(data, waiter.seq if type(waiter) is Waiter else -1)
        if waiter is not None and type(events) is tuple:  # as most often
            waiter.answer = events[2]
            waiter.done = True
        else:
            self._deliver(events)

    def _apply(self, data: Arrived, wanted: int) -> list[Event] | tuple[Any, ...]:
        """What the session makes of *data*; a fault ends the connection."""
        session = self.session
        try:
            if data:
                return session.receive_data(data, monotonic(), wanted)
            silent = "" if session.has_greeted() else SILENT
            self.lose(f"{self.stream.name} closed the connection{silent}")
        except ProtocolError as exc:
            self._broken(exc)
        except Exception as exc:  # a fault of ours; other connections of this thread go on
            self.log_later("reading a message failed", exc)
            self.lose(f"reading a message failed: {type(exc).__name__}: {exc}")
        except BaseException:
            self.lose("an exception interrupted the reading of a message")
            raise
        return []

    def _deliver(self, events: Iterable[Event]) -> None:
        if self.session.arriving is not None or self.stream.room is not None:
            self.stream.room = self.session.room()
        for event in events:
            if type(event) is Reply:
                event.token.complete(event.ok, event.value, event.deferred)
            elif type(event) is Request:
                self.dispatcher.route(event)
            elif type(event) is Flowed:
                self.flowed(event.flow)
            else:
                self._handle(event)
        if self.session.fault is not None:
            self._broken(self.session.fault)
        if self.session.out:
            if self.writer.blocked and self.writer.congested():
                self._owe_more()
            self.flush()

    def _owe_more(self) -> None:
        """What the peer sends makes this side answer, and it takes none of the answers."""
        self._owed += 1
        if self._owed > MOST_OWED:
            self.lose(f"{self.stream.name} asks for answers and does not take them")

    def _handle(self, event: Any) -> None:
        if isinstance(event, Dropped):
            self._garbage.append(event.objects)
        elif isinstance(event, Cancel):
            self.dispatcher.cancel(event)
        elif isinstance(event, Pong):
            waiter = self._pings.pop(event.token, None)
            if waiter is not None:
                waiter.complete(True, None, False)
        elif isinstance(event, Hello):
            while self._hello_waiters:
                self._hello_waiters.pop().complete(True, None, False)
        elif isinstance(event, Goodbye):
            self.lose(f"{self.stream.name} said goodbye: {event.reason}")
            for waiter in event.not_started:
                waiter.complete(False, NOT_STARTED, False)

    # --- writing -------------------------------------------------------------------------------

    def write(self, data: bytes, reads: bool = False) -> None:
        """As :meth:`flush`, of *data* in its turn."""
        try:
            self.writer.write(data, reads)
        except OSError as exc:
            self._write_failed(exc)

    def flush(self, reads: bool = False) -> None:
        """Write what is queued, as far as it fits now; the rest follows when there is room.

        *reads*: this thread will read next, and then writes the rest, too.
        """
        try:
            self.writer.flush(reads)
        except OSError as exc:
            self._write_failed(exc)

    def flush_soon(self) -> None:
        """Have what is queued written with the I/O thread's next tick, if it still is."""
        if not self._flush_noted:
            self._flush_noted = True
            self._io.soon((Link._flush_noted_down, self))

    def _flush_noted_down(self) -> None:
        self._flush_noted = False  # before the look: whoever queues after it notes it again
        self.flush()

    def io_write(self) -> bool:
        """There may be room to write again; True while something is left."""
        try:
            if self.writer.resume():
                return True
            self.writer.flush()
        except OSError as exc:
            self._write_failed(exc)
        return False

    def _write_failed(self, exc: OSError) -> None:
        # The peer may have said why before it went: what it sent is read first.
        super().io_read()
        self.lose(f"writing to {self.stream.name} failed: {exc}")

    def _on_blocked(self, reads: bool) -> None:
        if not self._write_timed:
            self._write_timed = True
            self.watch()
        if not reads:
            self.want_write()
        elif not self._rest_noted:
            self._rest_noted = True
            self._io.soon((Link._see_to_rest, self))

    def _see_to_rest(self) -> None:
        """From the I/O thread: if no thread that reads writes what is left, this one does."""
        self._rest_noted = False  # before the look: whoever leaves something after it notes it
        if self.writer.blocked and not self.ended:
            self._on_blocked(self.reader_writes())

    def watch(self) -> None:
        """Let the I/O thread look at the clock before long."""
        self._io.look_at(self)

    def congested(self) -> bool:
        """Too much waits to be written: nothing new is to begin."""
        return self.writer.blocked and self.writer.congested()

    def when_room(self, callback: Callable[[], object]) -> None:
        """Call *callback*, which must not wait, when that has changed, or at the end."""
        self.writer.when_room(callback)

    def want_write(self) -> None:
        """Let the I/O thread write what is left."""
        self._io.want_write(self)

    def flush_releases(self) -> None:
        """Send the releases that nothing has carried along."""
        if self.session.flush_releases():
            self.flush()

    def soon(self, job: Job) -> None:
        """Have the I/O thread run *job*, which must not wait, with its next tick."""
        self._io.soon(job)

    def release_soon(self) -> None:
        """What comes late and is dropped is released before long."""
        self._io.soon((Link.flush_releases, self))

    def tick(self, now: float) -> float | None:
        """Heartbeat and time limits, from the I/O thread."""
        try:
            due = self._tick(now)
        except ConnectionLost:
            super().io_read()  # it may be this process that has rested
            try:
                due = self._tick(now)
            except ConnectionLost as exc:
                self.lose(str(exc))
                return None
        if self.session.out:
            self.flush()
        return due

    def _tick(self, now: float) -> float | None:
        stuck_since = self.writer.stuck_since()
        if self._write_timed and stuck_since is None:
            self._write_timed = False
        return self.session.tick(now, stuck_since)

    def note_left(self) -> None:
        """A reader has left: the I/O thread is to look whether another comes."""
        self._io.note(self)

    def is_read(self) -> bool:
        """A thread reads it, or waits for it among others."""
        return self._reader.locked() or self.crew is not None

    def io_read(self) -> bool:
        """As :meth:`netobj.blocking.reader.Reader.io_read`; a crew's leader reads, too."""
        return self.crew is None and super().io_read()

    def nudge(self) -> None:
        """Make the peer send something: a pong."""
        self.session.ping(None)
        self.flush()

    # --- the end ---------------------------------------------------------------------------------

    def is_alone(self) -> bool:
        """There is no other connection in this process."""
        return len(live) == 1

    def _broken(self, exc: ProtocolError) -> None:
        self.log_later(f"the connection to {self.stream.name} was ended: {exc}")
        self.leave(f"protocol error: {exc}", f"the peer broke the protocol: {exc}")

    def _reading_failed(self, exc: OSError) -> None:
        if isinstance(exc, BrokenSeal):
            self._broken(ProtocolError(exc))
        else:
            super()._reading_failed(exc)

    def leave(self, told: str, reason: str, finish: bool = True) -> None:
        """End the connection because of *reason*; the peer is *told* why."""
        self._leaving = self._leaving or reason
        self.say_goodbye(told)
        self.lose(reason, finish)

    def say_goodbye(self, told: str) -> None:
        """Tell the peer that this side ends the connection, and why."""
        self.session.goodbye(told)
        try:
            self.writer.finish(0.1)
        except OSError as exc:
            self._write_failed(exc)

    def lose(self, reason: str, finish: bool = True) -> None:
        """End the connection because of *reason*; only the first time counts. Never waits."""
        halt_if_over()
        with self._end_lock:
            if self.ended:
                return
            self.ended = True
        live.discard(self)
        # The peer may answer our goodbye by closing before we have come to do so ourselves.
        for waiter in self.session.lose(self._leaving or reason):
            waiter.complete(False, LOST, False)
        for waiter in (*self._hello_waiters, *list(self._pings.values())):
            waiter.complete(False, LOST, False)
        self.lose_flows(self.session.lost or reason)
        self.writer.let_go()
        if self.is_read() and not self.reads_here():  # who comes later sees that it has ended
            self.stream.shutdown()
            self.wake_reader()
        server = self.dispatcher.server
        self.dispatcher.end()
        if server is not None and server.busy:  # it comes out when its call has run
            self._io.remove(self)
        elif finish and server is None:  # a server thread does it when it comes out
            self.run_in_worker((Link.finish, self))

    def finish(self) -> None:
        """After the end: tell the service, let go of what the peer held. Runs once."""
        with self._end_lock:
            if self._finished:
                return
            self._finished = True
            service = self._service
            ending = self.on_finish
        if self.release_descriptors():
            self._io.forget(self)
        else:
            self._io.remove(self)
        if service is not None:
            self.guarded(service.on_disconnect, self)
        for hook in ending:
            self.guarded(self._tell_of_end, hook)
        if self.on_end is not None:
            self.guarded(self.on_end, self)
        if not is_over():  # else a thread may have been stopped that holds the guard
            self.session.discard_tables().clear()
        self._garbage.clear()
        self.finished = True

    def when_finished(self, hooks: tuple[Callable[..., Any], ...]) -> None:
        """Call *hooks* with this and the reason of the end, once, also if it has ended by now."""
        with self._end_lock:
            over = self._finished
            if not over:
                self.on_finish = hooks
        for hook in hooks if over else ():
            self.guarded(self._tell_of_end, hook)

    def _tell_of_end(self, hook: Callable[..., Any]) -> None:
        run_hook(hook, self, self.session.lost)

    def release_descriptors(self) -> bool:
        """After the end: give the descriptors back, if nobody uses them any more; False if not."""
        if self._released.is_set:
            return True
        if self.registered or self.crew is not None or not self.retire_reader():
            return False
        if not self.writer.retire():
            self.reinstate_reader()
            return False
        self.stream.close()
        self.stream.drop_room()
        if self._waker is not None:
            self._waker.close()
        self._released.set()
        return True

    def await_released(self, timeout: float) -> None:
        """After the end: wait at most *timeout* seconds until the descriptors are given back."""
        if not (self._io.is_current() or is_over()) and self._released.wait(timeout):
            self.dispatcher.close()  # not before: a select() loop may be at its descriptor

    def abandon_after_fork(self) -> None:
        """In a child: this connection is the parent's; nothing is sent or shut down."""
        self.ended = self._finished = True
        self._end_lock = threading.Lock()  # another thread of the parent may have held it
        self.stream.close()
        self.stream.drop_room()
        reason = "the connection belongs to the parent process; connect anew"
        for waiter in (*self.session.lose(reason), *self._hello_waiters, *self._pings.values()):
            Waiter.complete(waiter, False, LOST, False)  # callbacks of results are the parent's
        self.session.flows.lose(reason)
        self._released = Latch()
        self._released.set()


def waiting_threads() -> set[int]:
    """The threads of this process that wait for a peer; 0 may be among them."""
    found = set(waiting.beside)
    for link in list(live):
        found.update(link.waiting_threads())
    return found


def _end_of(flow: Flow) -> Incoming | Duplex:
    return Incoming(flow) if flow.sent_end else Duplex(flow, threading.Lock())


def _earliest(now: float, timeout: float | None, limit: float | None, here: Scope) -> float | None:
    """The first of these deadlines, if any; AsyncResultTimeout if it has passed."""
    times = [now + one for one in (timeout, limit) if one is not None and one < FOREVER]
    if here.deadline is not None:
        times.append(here.deadline)
    if not times:
        return None
    deadline = min(times)
    if deadline <= now:
        raise AsyncResultTimeout("the deadline passed before the call was sent")
    return deadline


def _after_fork_in_child() -> None:
    for connection in list(live):
        connection.abandon_after_fork()
    live.clear()
    pool.idle.clear()
    io_thread_module.after_fork_in_child()
    loop_module.after_fork_in_child()
    spinning.after_fork_in_child()
    waiting.after_fork_in_child()


def _at_exit() -> None:
    for connection in list(live):
        connection.say_goodbye("the process of the other side ended")
        # What finalizers still ask fails at once: nobody may be left who reads.
        connection.session.lost = "this process is ending"


when_leaving(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
