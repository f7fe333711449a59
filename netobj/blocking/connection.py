"""A connection, as its users see it."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic

from netobj.blocking.batch import Prompt
from netobj.blocking.channel import Channel
from netobj.blocking.link import Link
from netobj.blocking.loop import warn_on_loop
from netobj.blocking.pool import Job
from netobj.blocking.results import AsyncResult
from netobj.blocking.running import Server
from netobj.blocking.safepoint import call_user, wait_event
from netobj.blocking.streams import Stream
from netobj.blocking.waiting import Waiter
from netobj.calls import Call, Pending, operation_name, report, scope, target_name, thread_name
from netobj.core.closing import Closing
from netobj.core.config import Config, ConfigMapping, Serve
from netobj.core.consts import CLOSED_HERE
from netobj.core.handle import Handle, RemoteMethod, RemoteObject
from netobj.core.netref import proxy_for
from netobj.core.numbers import numbers
from netobj.core.typed import Root
from netobj.errors import AsyncResultTimeout, ConnectionLost, PingError
from netobj.introspection import introspect

LAST_CALLS: Final = 0.4
"""Seconds that calls of ``before_closed`` have."""

PATIENCE: Final = 0.5
"""Seconds that closing waits for the threads that use the descriptors."""


class Connection(Link, Closing, Generic[Root]):
    """One side of a connection; made by :func:`netobj.connect` and its kin, and by servers.

    *root* is what the peer reaches as its root; *stream* carries the bytes; *hello_sent*: the peer
    has the :func:`~netobj.greetings.greeting` already. A connection lives
    until one side closes it, also when nobody refers to it any more, since the peer may still
    call back. To type checkers ``Connection[Calculator]`` says what *root* is, a
    ``typing.Protocol``.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     conn.root.eval("6 * 7")
    42
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What it was extended with."""

    proc: Any = None  # the process at the other end, where this side started it
    _extras: Any = None

    def __init__(
        self, root: object, stream: Stream, config: Config | None = None, hello_sent: bool = False
    ) -> None:
        self._root: Any = None
        super().__init__(root, stream, config, hello_sent)

    @property
    def root(self) -> Root:
        """The root of the other side: its service. Waits for the peer's hello, once."""
        if self._root is None:
            self._await_hello()
            assert self.session.root_class is not None
            root = proxy_for(Handle(self, 0, self.session.root_class))
            with self.guard:  # one root for all threads
                if self._root is None:
                    self._root = root
        return self._root  # type: ignore[no-any-return]

    @property
    def _channel(self) -> Channel:
        return Channel(self.stream)

    @property
    def _config(self) -> ConfigMapping:
        return ConfigMapping(lambda: self.config, self._reconfigure)

    def _await_hello(self) -> None:
        waiter = Waiter(self)
        self._hello_waiters.append(waiter)
        if not self.session.has_greeted() and not self.closed:  # else nobody will complete it
            warn_on_loop()
            self.wait_for(waiter, scope.get().deadline)
        if not self.session.has_greeted():
            if not self.closed:
                raise AsyncResultTimeout("the deadline passed before the peer said hello")
            raise ConnectionLost(self.session.lost)

    @property
    def closed(self) -> bool:
        """True once the connection has ended, for whatever reason."""
        return self.session.lost is not None

    def close(self) -> None:
        """Say goodbye and end the connection; calls that wait fail with ConnectionLost.

        Closing twice does no harm. Returns within about a second, whatever the peer does, after
        the service's ``on_disconnect`` and, first of all, the setting ``before_closed``, whose
        calls have 0.4 seconds.
        """
        try:
            self.begin_close()
        finally:
            self.finish()
            self.await_released(PATIENCE)

    def begin_close(self) -> None:
        """The first part of :meth:`close`: ``before_closed``, and goodbye; then calls fail.

        Followed by ``finish`` and ``await_released``, so that who closes many connections can tell
        all of them before it waits for one.
        """
        try:
            if not self.ended and self.config.before_closed is not None and self._closes_first():
                self._call_before_closed()
        finally:
            if not self.ended:
                self.leave("the other side closed the connection", CLOSED_HERE, finish=False)

    def _closes_first(self) -> bool:
        with self._end_lock:  # before_closed may close, too, and so may another thread
            first, self._close_begun = not self._close_begun, True
            return first

    def _call_before_closed(self) -> None:
        token = scope.set(scope.get().but(deadline=time.monotonic() + LAST_CALLS))
        try:
            assert self.config.before_closed is not None
            call_user(self.config.before_closed, self.root)
        except Exception:
            if not self.config.close_catchall:
                raise
        finally:
            scope.reset(token)

    def __repr__(self) -> str:
        state = f"closed: {self.session.lost}" if self.closed else "open"
        return f"<netobj.Connection to {self.stream.name} ({state})>"

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

    # --- looking -----------------------------------------------------------------------------

    @property
    def peer_name(self) -> str:
        """Who is at the other end, for people."""
        return self.stream.name

    @property
    def calls(self) -> tuple[Call, ...]:
        """The peer's calls that run here at the moment, streams among them."""
        calls = [Call(self, request) for request in self.session.served()]
        return tuple(call for call in calls if call.where is not None)

    def dump_pending(self) -> str:
        """For a hang: which calls wait for the other side since when, in which thread; what of
        the other side's runs here, in which thread or task.

        >>> import netobj
        >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
        ...     print(conn.dump_pending())
        <netobj.Connection to a local socket (open)>:
          nothing is under way
        """
        pending = []
        for seq, waiter in list(self.session.pending.items()):
            if waiter.about is not None:
                op, path, target, since, thread = waiter.about
                name = operation_name(op, path, target_name(target))
                where = None if waiter.given_up else thread_name(thread)
                pending.append(Pending(seq, name, since, where))
        return report(self, pending, [Call(self, request) for request in self.session.served()])

    # --- serving -----------------------------------------------------------------------------

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
            wait_event(self._released, 0.1)

    def serve(self, timeout: float | None = 1) -> bool:
        """Run the next call of the peer's in this thread; True if there was one.

        Waits for one at most *timeout* seconds (None: until one comes). Raises ConnectionLost
        (an EOFError) when the connection has ended.
        """
        self.dispatcher.serve_by_caller()
        job = self._await_job(None if timeout is None else time.monotonic() + timeout)
        if job is None:
            if self.closed:
                self.finish()
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
        server.only_reader_gives = True
        self.dispatcher.server = server
        try:
            self.dispatcher.thread_has_come()
            while not self.ended:
                self.serve_straight(server)
                self.wait_for(server, None)
        finally:
            self.dispatcher.server = None
            server.done = True
            self.hand_on(server)
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

    def _await_job(self, deadline: float | None) -> Job | None:
        """Park as the server until a request is assigned, and return its job."""
        server = Server(self)
        job = self.dispatcher.park(server)
        if job is not None:
            return job
        try:
            while not (server.jobs or server.done):
                self.turn(server, deadline)
                if deadline is not None and time.monotonic() >= deadline:
                    break
        except BaseException:
            job = self.dispatcher.leave(server)
            if job is not None:
                self.dispatcher.put_back(job)
            raise
        return self.dispatcher.leave(server)

    # --- for old programs, and for whoever makes connections -----------------------------------

    def sync_request(self, op: int, proxy: Any, *args: Any) -> Any:
        """Perform the operation *op* (:class:`netobj.core.consts.Op`) on *proxy*'s object."""
        handle, path = _target(proxy)
        return self.request(op, handle, path, args)

    def async_request(
        self, op: int, proxy: Any, *args: Any, timeout: float | None = None
    ) -> AsyncResult:
        """As :meth:`sync_request`, without waiting; *timeout* in seconds is its expiry."""
        handle, path = _target(proxy)
        return self.request_async(op, handle, path, args, timeout=timeout)

    def prompt(self, chain: int | None) -> Prompt:
        """What a task that serves a call of the peer's uses blocking proxies through."""
        return Prompt(self, chain)

    def attach(self, service: Any, will_serve: bool = False) -> None:
        """Let *service* hear of the connection, then let the peer's calls run.

        *will_serve*: this thread calls :meth:`serve_all` next. What has come by then waits for it,
        since ``on_connect``, which it has run, may have kept something in it.
        """
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
        if will_serve:
            self.dispatcher.expect_thread()
        else:
            self.dispatcher.open()

    def extend(self, extras: object) -> None:
        """The public attributes of *extras* are attributes of this connection from here on."""
        self._extras = extras
        own = dir(self)  # these stay what they are
        names = (name for name in dir(extras) if not name.startswith("_"))
        self.__class__ = _extended(type(self), tuple(name for name in names if name not in own))

    def _reconfigure(self, config: Config) -> None:
        self.config = config
        self._limit = config.sync_request_timeout
        self.session.reconfigure(config)
        introspect(self)
        if config.serve is Serve.CALLER:
            self.dispatcher.serve_by_caller()


class _Extra:
    """A name that a connection was extended with; what it is set to there goes first."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, connection: Connection | None, owner: type) -> Any:
        return self if connection is None else getattr(connection._extras, self._name)


@cache
def _extended(cls: type[Connection], names: tuple[str, ...]) -> type[Connection]:
    """Connections with *names* of what they were extended with.

    Not a ``__getattr__``, which would make each use of each attribute of a connection slower.
    """
    extras = {name: _Extra(name) for name in names}
    return type(cls.__name__, (cls,), {"__doc__": cls.__doc__, "__module__": __name__, **extras})


def _target(proxy: Any) -> tuple[Handle | None, Any]:
    if issubclass(type(proxy), RemoteMethod):
        return proxy.____handle__, proxy.____name__
    if issubclass(type(proxy), RemoteObject):
        return proxy.____handle__, None
    raise TypeError(f"a proxy is needed, not a {type(proxy).__name__}")
