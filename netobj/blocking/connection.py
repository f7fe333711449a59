"""A connection, as threads use it.

The reader is whichever thread is free: one that waits for an answer reads, if nobody else does;
else it sleeps on its own waiter, and a reader that leaves wakes another. ``_reader`` is that
role, a lock that is taken without waiting; its holder owns the inbound half of the session. It
is held while blocked in the kernel, never while user code runs. When nobody has been reading for
a while, the process's I/O thread does.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final

from netobj.blocking import io_thread as io_thread_module
from netobj.blocking import waiting
from netobj.blocking.channel import Channel
from netobj.blocking.dispatch import Dispatcher, Server, pool
from netobj.blocking.io_thread import io_thread
from netobj.blocking.pool import Job
from netobj.blocking.results import AsyncResult
from netobj.blocking.safepoint import call_user
from netobj.blocking.sigint import guard_against_sigint
from netobj.blocking.streams import Stream, wait
from netobj.blocking.waiting import Waiter, chains, context, lane_of_thread, numbers
from netobj.blocking.waker import Waker
from netobj.blocking.writer import Writer
from netobj.core import values
from netobj.core.boxing import Raised
from netobj.core.config import Config, ConfigMapping, Serve
from netobj.core.consts import Limit
from netobj.core.events import Cancel, Dropped, Goodbye, Hello, Pong, Reply, Request
from netobj.core.handle import Handle, RemoteMethod, RemoteObject
from netobj.core.netref import proxy_for
from netobj.core.session import Session
from netobj.errors import (
    AsyncResultTimeout,
    Busy,
    ConnectionLost,
    PingError,
    ProtocolError,
    ReentrantCall,
)

CREDIT_PATIENCE: Final = 30.0
"""Seconds without any answer after which a call that waits for room gives up with Busy."""

_live: Final[set[Connection]] = set()
"""The connections of this process that have not ended."""


class Connection:
    """One side of a connection; made by :func:`netobj.connect` and its kin, and by servers.

    *root* is what the peer reaches as its root; *stream* carries the bytes.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     conn.root.eval("6 * 7")
    42
    """

    def __init__(self, root: object, stream: Stream, config: Config | None = None) -> None:
        config = config or Config()
        changes: dict[str, Any] = {"endpoints": config.endpoints or stream.endpoints}
        if config.logger is None:
            changes["logger"] = logging.getLogger("netobj")
        config = config.merge(changes)
        self.stream = stream
        self.guard = threading.RLock()
        self.process = numbers.process
        self.session = Session(
            config,
            root,
            link=self,
            make_proxy=proxy_for,
            guard=self.guard,
            sequence=numbers.requests,
            process=self.process,
            side=config.connid or f"the {type(root).__name__} side",
            features=_features(),
        )
        self.config = config
        self.noted = False
        self.readers_left = 0
        self._channel = Channel(stream)
        self._config = ConfigMapping(lambda: self.config, self._reconfigure)
        self._reader = threading.Lock()
        self._sleepers: dict[Waiter, None] = {}
        self._hello_waiters: list[Waiter] = []
        self._pings: dict[Any, Waiter] = {}
        self._waker: Any = None
        self._woken = False
        self._plain_reader = False  # the reader is in recv(), which only its peer can end
        self._garbage: deque[list[object]] = deque()
        self._end_lock = threading.Lock()  # protects the two flags below; nothing waits in it
        self._ended = False
        self._finished = False
        self._closing = False
        self._released = threading.Event()
        self._service: Any = None
        self._extras: Any = None
        self._root: Any = None
        self.proc: Any = None  # the process at the other end, where this side started it
        self.dispatcher = Dispatcher(self)
        self.writer = Writer(stream, self.session.out, self._on_blocked)
        guard_against_sigint()
        self._io = io_thread()
        _live.add(self)
        self._io.add(self)
        self.flush()

    # --- for users -------------------------------------------------------------------------

    @property
    def root(self) -> Any:
        """The root of the other side: its service. Waits for the peer's hello, once."""
        if self._root is None:
            self._await_hello()
            assert self.session.root_class is not None
            root = proxy_for(Handle(self, 0, self.session.root_class))
            with self.guard:  # one root for all threads
                if self._root is None:
                    self._root = root
        return self._root

    @property
    def closed(self) -> bool:
        """True once the connection has ended, for whatever reason."""
        return self.session.lost is not None

    def close(self) -> None:
        """Say goodbye and end the connection; calls that wait fail with ConnectionLost.

        Closing twice does no harm. Returns within about a second, whatever the peer does.
        """
        try:
            if not self._ended and self.config.before_closed is not None:
                self._call_before_closed()
        finally:
            if not self._ended:
                self._closing = True
                self._say_goodbye("the other side closed the connection")
            self._lose(_CLOSED_HERE, finish=False)
            self.finish()
            if not self._io.is_current() and self._released.wait(0.5):
                self.dispatcher.close()  # not before: a select() loop may be at its descriptor

    def _say_goodbye(self, reason: str) -> None:
        self.session.goodbye(reason)
        try:
            self.writer.finish(0.1)
        except OSError as exc:
            self._write_failed(exc)

    def _call_before_closed(self) -> None:
        try:
            assert self.config.before_closed is not None
            call_user(self.config.before_closed, self.root)
        except Exception:
            if not self.config.close_catchall:
                raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"closed: {self.session.lost}" if self.closed else "open"
        return f"<netobj.Connection to {self.stream.name} ({state})>"

    def __getattr__(self, name: str) -> Any:
        extras = self.__dict__.get("_extras")
        if extras is not None and not name.startswith("_"):
            return getattr(extras, name)
        raise AttributeError(f"a Connection has no attribute {name!r}")

    def ping(self, data: Any = None, timeout: float | None = 3) -> None:
        """Check that the other side is there: its reader echoes a message.

        *data* is accepted for old programs and has no effect. Raises PingError when the echo does
        not come within *timeout* seconds.
        """
        waiter = Waiter(self)
        token = next(numbers.requests)
        self._pings[token] = waiter
        try:
            if self.closed:  # else nobody would complete it
                raise ConnectionLost(self.session.lost)
            self.session.ping(token)
            self.flush()
            self.wait_for(waiter, None if timeout is None else time.monotonic() + timeout)
            if not waiter.done:
                raise PingError(f"{self.stream.name} did not answer a ping within {timeout} s")
            if not waiter.ok:
                raise ConnectionLost(self.session.lost)
        finally:
            self._pings.pop(token, None)

    def fileno(self) -> int:
        """A descriptor that is readable while calls of the peer wait for :meth:`serve`.

        The first use makes them wait there (``serve="caller"``).
        """
        self.dispatcher.serve_by_caller()
        return self.dispatcher.signal_fd()

    @property
    def served_by_caller(self) -> bool:
        """True when the peer's calls wait for :meth:`serve` (``serve="caller"``)."""
        return self.dispatcher.mode is Serve.CALLER

    def wait_closed(self, stop: threading.Event | None = None) -> None:
        """Wait until the connection has ended, or *stop* is set."""
        while not self.closed and not (stop is not None and stop.is_set()):
            self._released.wait(0.1)

    def serve(self, timeout: float | None = 1) -> bool:
        """Run the next call of the peer's in this thread; True if there was one.

        Waits for one at most *timeout* seconds (None: until one comes). Raises ConnectionLost
        (an EOFError) when the connection has ended.
        """
        self.dispatcher.serve_by_caller()
        job = self._await_job(None if timeout is None else time.monotonic() + timeout)
        if job is None:
            if self.closed:
                raise ConnectionLost(self.session.lost)
            return False
        job[0](job[1])
        return True

    def poll(self, timeout: float | None = 0) -> bool:
        """As :meth:`serve`, by default without waiting."""
        return self.serve(timeout)

    def poll_all(self, timeout: float = 0) -> bool:
        """Serve all that waits, or comes within *timeout* seconds; True if there was any."""
        deadline = time.monotonic() + timeout
        served = False
        while not self.closed and self.serve(max(0.0, deadline - time.monotonic())):
            served = True
        return served

    def serve_all(self) -> None:
        """Run what the peer calls in this thread until the connection ends."""
        if self.served_by_caller:
            self._serve_all_by_hand()
            return
        server = Server(self)
        self.dispatcher.server = server
        try:
            while not self.closed:
                self.wait_for(server, None)
        finally:
            self.dispatcher.server = None
            server.done = True
            self._hand_on(server)
            self.close()

    def _serve_all_by_hand(self) -> None:
        try:
            while not self.closed:
                self.serve(None)
        except ConnectionLost:
            pass
        finally:
            self.close()

    def serve_threaded(self, thread_count: int = 10) -> None:
        """As :meth:`serve_all`; workers join in by themselves, so *thread_count* has no effect."""
        self.serve_all()

    def sync_request(self, op: int, proxy: Any, *args: Any) -> Any:
        """Perform the operation *op* (:class:`netobj.core.consts.Op`) on *proxy*'s object."""
        handle, path = _target(proxy)
        return self.request(op, handle, path, args)

    def async_request(
        self, op: int, proxy: Any, *args: Any, timeout: float | None = None
    ) -> AsyncResult:
        """As :meth:`sync_request`, without waiting; *timeout* in seconds is its expiry."""
        handle, path = _target(proxy)
        result = self.request_async(op, handle, path, args)
        if timeout is not None:
            result.set_expiry(timeout)
        return result

    # --- for proxies and helpers -------------------------------------------------------------

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

        *timeout* in seconds; by default the setting ``sync_request_timeout``. After it the
        peer is told to drop the call, and AsyncResultTimeout is raised.
        """
        waiter = Waiter(self)
        chain = context.chain
        outermost = chain is None
        if chain is None:
            chain = next(numbers.chains)
            stack = chains[chain] = [waiter]
            if len(self.session.pending) >= self.session.peer_limits[Limit.REQUESTS]:
                self._await_credit()
        else:
            stack = chains.setdefault(chain, [])
            stack.append(waiter)
        if timeout is None:
            timeout = self.config.sync_request_timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            if self.writer.interrupted_here():
                raise _reentrant()
            seq = waiter.seq = next(numbers.requests)
            self.session.request(waiter, op, handle, path, args, kwargs, chain, None, timeout, seq)
            self.flush()
            self.wait_for(waiter, deadline)
            if not waiter.done:
                raise AsyncResultTimeout(f"no answer came within {timeout:g} s")
            if waiter.ok and not waiter.deferred:
                return waiter.answer
            ok, value = self.outcome(waiter)
            if ok:
                return value
            try:
                raise value
            finally:
                value = None  # no cycle through this frame
        finally:
            if not waiter.done:  # out of time, or interrupted
                self.cancel_request(waiter.seq)
            stack.remove(waiter)
            if not stack:
                chains.pop(chain, None)
            if outermost and waiter.kept is not None:
                waiter.let_go()

    def request_async(
        self,
        op: int,
        handle: Handle | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> AsyncResult:
        """Ask without waiting for the answer. Waits only while too much is under way."""
        if len(self.session.pending) >= self.session.peer_limits[Limit.REQUESTS]:
            self._await_credit()
        result = AsyncResult(self)
        seq = result.seq = next(numbers.requests)
        lane = lane_of_thread()
        self.session.request(result, op, handle, path, args, kwargs, None, lane, None, seq)
        self.flush()
        while self.writer.congested() and not self.closed:
            self._await_room()
        return result

    def raised(self, exc: BaseException) -> Raised:
        """*exc*, marked to travel as an exception."""
        return self.session.raised(exc)

    def outcome(self, waiter: Waiter) -> tuple[bool, Any]:
        """(True, result) or (False, exception) of a call that is done; in the caller's thread."""
        value = waiter.answer
        if waiter.ok:
            return True, values.complete(value) if waiter.deferred else value
        if isinstance(value, BaseException):
            return False, value
        if value is _LOST:
            return False, ConnectionLost(self.session.lost)
        if value is _NOT_STARTED:
            return False, ConnectionLost(f"{self.session.lost}; the call was not started")
        try:
            return False, self.session.loader.load(values.complete(value))
        except ProtocolError as exc:
            self._broken(exc)
            return False, exc

    def cancel_request(self, seq: int, interrupt: bool = False) -> None:
        """Tell the peer that nobody waits for the answer to request *seq*."""
        self.session.cancel(seq, interrupt)
        self.flush()

    def run_in_worker(self, job: Job) -> None:
        """Run *job* in a worker, or here if there can be none."""
        if not pool.submit(job):
            job[0](job[1])

    def guarded(self, function: Callable[[Any], object], argument: Any) -> None:
        """Call *function*; what it raises is logged."""
        try:
            call_user(function, argument)
        except Exception:
            self.log.exception("%r raised", function)

    @property
    def log(self) -> logging.Logger:
        """Where this connection logs."""
        return self.config.logger or logging.getLogger("netobj")

    def attach(self, service: Any) -> None:
        """Let *service* hear of the connection, then let the peer's calls run."""
        try:
            call_user(service.on_connect, self)
        except BaseException:
            self.close()  # it was never connected: no on_disconnect
            raise
        with self._end_lock:
            self._service = service
            over = self._finished
        if over:  # before the service could hear of it
            self.guarded(service.on_disconnect, self)
        self.dispatcher.open()

    def extend(self, extras: object) -> None:
        """The public attributes of *extras* are attributes of this connection from here on."""
        self._extras = extras

    def _reconfigure(self, config: Config) -> None:
        self.config = config
        self.session.reconfigure(config)
        if config.serve is Serve.CALLER:
            self.dispatcher.serve_by_caller()

    # --- waiting -----------------------------------------------------------------------------

    def wait_for(self, waiter: Waiter, deadline: float | None) -> None:
        """Wait until *waiter* is done or *deadline* has passed; meanwhile read, and run its jobs.

        For a :class:`Server`: until it has run what it was given.
        """
        while True:
            while waiter.jobs:
                function, argument = waiter.jobs.popleft()
                function(argument)
                if isinstance(waiter, Server) and not waiter.jobs:
                    return
            if waiter.done:
                break
            if self._reader.acquire(blocking=False):
                try:
                    self._read_for(waiter, deadline)
                finally:
                    self._leave_reading()
            else:
                self._sleep(waiter, deadline)
            if deadline is not None and time.monotonic() >= deadline and not waiter.has_news():
                break
        if waiter.jobs:
            self._hand_on(waiter)

    def _hand_on(self, waiter: Waiter) -> None:
        while waiter.jobs:
            self.run_in_worker(waiter.jobs.popleft())

    def _sleep(self, waiter: Waiter, deadline: float | None) -> None:
        timeout = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        waiter.prepare_sleep()
        self._sleepers[waiter] = None
        try:
            # From here on a reader that leaves sees this waiter; one that has left is not missed.
            if self._reader.locked() and not waiter.done and not waiter.jobs:
                waiter.sleep(timeout)
        except BaseException:  # it may have been woken to read: let another do so
            self._sleepers.pop(waiter, None)
            self._wake_sleeper()
            raise
        finally:
            self._sleepers.pop(waiter, None)

    def _await_hello(self) -> None:
        waiter = Waiter(self)
        self._hello_waiters.append(waiter)
        if not self.session.has_greeted() and not self.closed:  # else nobody will complete it
            self.wait_for(waiter, None)
        if not self.session.has_greeted():
            raise ConnectionLost(self.session.lost)

    def _await_job(self, deadline: float | None) -> Job | None:
        """Park as the server until a request is assigned, and return its job."""
        server = Server(self)
        job = self.dispatcher.park(server)
        if job is not None:
            return job
        try:
            while not (server.jobs or server.done):
                if self._reader.acquire(blocking=False):
                    try:
                        self._read_for(server, deadline)
                    finally:
                        self._leave_reading()
                else:
                    self._sleep(server, deadline)
                if deadline is not None and time.monotonic() >= deadline:
                    break
        except BaseException:
            job = self.dispatcher.leave(server)
            if job is not None:
                self.dispatcher.put_back(job)
            raise
        return self.dispatcher.leave(server)

    def _await_credit(self) -> None:
        """Wait for an answer to any call, since the peer admits no more at once."""
        session = self.session
        patience = time.monotonic() + CREDIT_PATIENCE
        pending = len(session.pending)
        while pending >= session.peer_limits[Limit.REQUESTS] and not self.closed:
            self._await_room()
            if len(session.pending) < pending:
                patience = time.monotonic() + CREDIT_PATIENCE
            elif time.monotonic() > patience:
                raise Busy(
                    f"{pending} calls are in flight on {self!r}, as many as the peer admits, and "
                    f"none was answered for {CREDIT_PATIENCE:g} s"
                )
            pending = len(session.pending)

    def _await_room(self) -> None:
        """Read, or let others read, for a moment."""
        self.wait_for(Waiter(self), time.monotonic() + 0.01)

    # --- reading: only with the role -----------------------------------------------------------

    def is_read(self) -> bool:
        """Somebody reads the connection at the moment."""
        return self._reader.locked()

    def is_over(self) -> bool:
        """The connection has ended."""
        return self._ended

    def _leave_reading(self) -> None:
        self.readers_left += 1
        self._reader.release()
        if self._sleepers:
            self._wake_sleeper()
        if not self.noted:
            self._io.note(self)
        if self._garbage:
            self._garbage.clear()  # may run finalizers: after the role was given back

    def _wake_sleeper(self) -> None:
        for sleeper in list(self._sleepers):
            if not sleeper.done and not sleeper.jobs:
                sleeper.wake()
                return

    def _read_for(self, waiter: Waiter, deadline: float | None) -> None:
        stream, writer = self.stream, self.writer
        plain = stream.wakes_on_shutdown and deadline is None and len(_live) == 1
        while not (waiter.done or waiter.jobs or self._ended):
            waiter.reading = True
            try:
                if plain and not writer.blocked:
                    self._plain_reader = True
                    if waiter.has_news():  # given before it could see us reading
                        return
                    data: bytes | None = stream.recv()
                else:
                    self._wait_readable(waiter, deadline)
                    data = stream.recv_now()
            except OSError as exc:
                self._lose(f"reading from {stream.name} failed: {exc}")
                return
            finally:
                waiter.reading = self._plain_reader = False
            if data is not None:
                self._receive(data)
            elif deadline is not None and time.monotonic() >= deadline:
                return

    def _wait_readable(self, waiter: Waiter, deadline: float | None) -> None:
        if self._waker is None:
            self._waker = Waker()
        if not (waiter.done or waiter.jobs or self._ended):
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            blocked = self.writer.blocked
            wait(self.stream, read=True, write=blocked, timeout=timeout, also=self._waker.fd)
        if self._woken:
            self._woken = False
            self._waker.clear()
        if self.writer.blocked:
            self.io_write()

    def interrupt_reader(self, waiter: Waiter) -> None:
        """Let *waiter*, which may be blocked as the reader, look at what it was given."""
        if self._plain_reader:
            self.session.ping(None)  # the answer brings it back
            self.flush()
        elif self._waker is not None:
            self._waker.wake()
            self._woken = True  # last: who clears it after this clears the waker, too

    def read_available(self) -> None:
        """Read what has arrived, if nobody else reads; never waits."""
        if self._reader.acquire(blocking=False):
            try:
                self._read_now()
            finally:
                self._leave_reading()

    def io_read(self) -> bool:
        """For the I/O thread: read and dispatch; False if somebody else reads."""
        if not self._reader.acquire(blocking=False):
            return False
        try:
            self._read_now()
        finally:
            garbage, self._garbage = self._garbage, deque()
            self._leave_reading()
        if garbage:
            pool.submit((deque.clear, garbage))
        return not self._ended

    def _read_now(self) -> None:
        if self._ended:
            return
        try:
            data = self.stream.recv_now()
            while data:
                self._receive(data)
                data = self.stream.recv_now() if self.stream.pending() else None
            if data == b"":
                self._receive(data)
        except OSError as exc:
            self._lose(f"reading from {self.stream.name} failed: {exc}")

    def _receive(self, data: bytes) -> None:
        if not data:
            self._lose(f"{self.stream.name} closed the connection")
            return
        try:
            events = self.session.receive_data(data, time.monotonic())
        except ProtocolError as exc:
            self._broken(exc)
            return
        except BaseException:
            self._lose("an exception interrupted the reading of a message")
            raise
        for event in events:
            if type(event) is Reply:
                event.token.complete(event.ok, event.value, event.deferred)
            elif type(event) is Request:
                self.dispatcher.route(event)
            else:
                self._handle(event)
        if self.session.out:
            self.flush()

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
            self._lose(f"{self.stream.name} said goodbye: {event.reason}")
            for waiter in event.not_started:
                waiter.complete(False, _NOT_STARTED, False)

    # --- writing -------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is queued, as far as it fits now; the rest follows when there is room."""
        try:
            self.writer.flush()
        except OSError as exc:
            self._write_failed(exc)

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
        self.read_available()
        self._lose(f"writing to {self.stream.name} failed: {exc}")

    def _on_blocked(self) -> None:
        self._io.want_write(self)

    def flush_releases(self) -> None:
        """Send the releases that nothing has carried along."""
        if self.session.flush_releases():
            self.flush()

    def tick(self, now: float) -> float | None:
        """Heartbeat, from the I/O thread."""
        try:
            due = self.session.tick(now)
        except ConnectionLost as exc:
            self._lose(str(exc))
            return None
        if self.session.out:
            self.flush()
        return due

    # --- the end ---------------------------------------------------------------------------------

    def _broken(self, exc: ProtocolError) -> None:
        self.log.error("the connection to %s was ended: %s", self.stream.name, exc)
        self.session.goodbye(f"protocol error: {exc}")
        try:
            self.writer.flush()
        except OSError:
            pass
        self._lose(f"the peer broke the protocol: {exc}")

    def _lose(self, reason: str, finish: bool = True) -> None:
        """End the connection because of *reason*; only the first time counts. Never waits."""
        with self._end_lock:
            if self._ended:
                return
            self._ended = True
        _live.discard(self)
        # The peer may answer our goodbye by closing before we have come to do so ourselves.
        for waiter in self.session.lose(_CLOSED_HERE if self._closing else reason):
            waiter.complete(False, _LOST, False)
        for waiter in (*self._hello_waiters, *list(self._pings.values())):
            waiter.complete(False, _LOST, False)
        self.stream.shutdown()
        if self._waker is not None:
            self._waker.wake()
        server = self.dispatcher.server
        self.dispatcher.end()
        self._io.remove(self)
        if finish and server is None:  # a server thread does it when it comes out
            self.run_in_worker((Connection.finish, self))

    def finish(self) -> None:
        """After the end: tell the service, let go of what the peer held. Runs once."""
        with self._end_lock:
            if self._finished:
                return
            self._finished = True
            service = self._service
        if service is not None:
            self.guarded(service.on_disconnect, self)
        self.session.discard_tables().clear()
        self._garbage.clear()

    def release_descriptors(self) -> bool:
        """Give the descriptors back, once nobody reads or writes any more; for the I/O thread."""
        if not self._reader.acquire(blocking=False):
            return False
        if not self.writer.retire():
            self._reader.release()
            return False
        self.stream.close()
        if self._waker is not None:
            self._waker.close()
        self._released.set()
        return True

    def abandon_after_fork(self) -> None:
        """In a child: this connection is the parent's; nothing is sent or shut down."""
        self._ended = self._finished = True
        self.session.lost = "the connection belongs to the parent process; connect anew"
        self.stream.close()
        self._released = threading.Event()
        self._released.set()


_NOT_STARTED: Final = object()
"""The same, and the other side has said that it did not run the call."""
_CLOSED_HERE: Final = "the connection was closed on this side"

_LOST: Final = object()
"""In the place of an answer: there will be none, the connection has ended."""


def _reentrant() -> ReentrantCall:
    return ReentrantCall(
        "a finalizer or signal handler called through a connection whose write it "
        "interrupted: let it hand the call to a thread"
    )


def _target(proxy: Any) -> tuple[Handle | None, Any]:
    if issubclass(type(proxy), RemoteMethod):
        return proxy.____handle__, proxy.____name__
    if issubclass(type(proxy), RemoteObject):
        return proxy.____handle__, None
    raise TypeError(f"a proxy is needed, not a {type(proxy).__name__}")


@cache
def _features() -> tuple[str, ...]:
    return ("numpy",) if find_spec("numpy") is not None else ()


def _after_fork_in_child() -> None:
    for connection in list(_live):
        connection.abandon_after_fork()
    _live.clear()
    pool.idle.clear()
    io_thread_module.after_fork_in_child()
    waiting.after_fork_in_child()


def _at_exit() -> None:
    for connection in list(_live):
        connection._say_goodbye("the process of the other side ended")


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
