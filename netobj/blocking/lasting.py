"""A connection that comes back after a loss, made of one plain connection after the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import get_ident
from time import monotonic
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from netobj.blocking.connection import Connection
from netobj.blocking.results import AsyncResult
from netobj.blocking.safepoint import call_user, wait_event
from netobj.calls import scope, time_left
from netobj.core.boxing import Raised
from netobj.core.closing import Closing
from netobj.core.consts import CLOSED_HERE, Op
from netobj.core.handle import Handle, RemoteMethod, RemoteObject, RemotePath, RemoteResult
from netobj.core.methods import BoundMethod
from netobj.core.netref import Netref, proxy_for
from netobj.errors import AsyncResultTimeout, Busy, ConnectionLost, ReentrantCall, StaleReference
from netobj.lasting import (
    IDEMPOTENT,
    RESTED,
    NamedHandle,
    Reconnect,
    is_passing,
    is_stale,
    may_be_asked,
    names_of,
    not_started,
    stale,
)

_GET: Final = int(Op.GET)
T = TypeVar("T")


class _Attempt:
    """One thread connects again; others wait until it is over."""

    def __init__(self) -> None:
        self.thread = get_ident()
        self.process = os.getpid()  # after a fork, the attempt is the parent's
        self.over = threading.Event()
        self.failure: Exception | None = None  # for which it is hopeless for the others, too


class LastingConnection(Closing):
    """What ``netobj.connect(..., reconnect=True)`` returns: a :class:`Connection` that comes back.

    *open_connection* makes each plain connection; the first is made at once. All attributes that
    are not here are those of the present one.

    ``_lock`` protects which connection is the present one, who makes the next, and whether it is
    closed for good. It is held for a look at these; nobody waits or connects under it.
    """

    ____closed____ = True  # see netobj.core.rules

    def __init__(self, open_connection: Callable[[], Connection], settings: Reconnect) -> None:
        self._open_connection = open_connection
        self._settings = settings
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None
        self._closing = threading.Event()
        self.guard = threading.RLock()  # see netobj.core.methods.Link
        self._known: WeakValueDictionary[Any, NamedHandle] = WeakValueDictionary()
        self._root: tuple[Connection, Any] | None = None
        self._connection = self._open()

    def _open(self) -> Connection:
        connection: Connection = call_user(self._open_connection)
        connection.session.gone = stale
        return connection

    # --- as a connection's users see it ----------------------------------------------------------

    @property
    def root(self) -> Any:
        """The root of the other side, which stays of use after a loss."""
        connection = self._present()
        known = self._root
        if known is None or known[0] is not connection:
            handle = NamedHandle(self, (), connection, connection.root.____handle__)
            known = self._root = connection, proxy_for(handle)
        return known[1]

    @property
    def closed(self) -> bool:
        """True once it was closed on this side: a loss is not the end."""
        return self._closing.is_set()

    def close(self) -> None:
        """End it for good; calls that wait, also for a new connection, fail with ConnectionLost."""
        with self._lock:
            self._closing.set()
            connection = self._connection
        connection.close()

    def ping(self, data: Any = None, timeout: float | None = 3) -> None:
        """As :meth:`Connection.ping`; connects again first, where that has to be."""
        self._present().ping(data, timeout)

    def __repr__(self) -> str:
        state = "closed" if self.closed else repr(self._connection)
        return f"<netobj.Connection that comes back, now {state}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_connection":
            raise AttributeError(name)
        return getattr(self._connection, name)

    # --- the present connection --------------------------------------------------------------

    def _present(self) -> Connection:
        """The connection to use, made anew if it was lost. Raises ConnectionLost."""
        connection = self._connection
        heard = connection.session.last_heard
        if heard is not None and monotonic() - heard > RESTED and not connection.closed:
            connection.read_available()  # its end may have come while nobody looked
        while connection.closed or self._closing.is_set():
            with self._lock:
                if self._closing.is_set():
                    raise ConnectionLost(CLOSED_HERE)
                connection = self._connection
                if not connection.closed:  # another thread was faster
                    break
                attempt = self._attempt
                first = attempt is None or attempt.process != os.getpid()
                if first or attempt is None:
                    attempt = self._attempt = _Attempt()
            if first:
                connection = self._connect_again(attempt)
            else:
                self._wait_for(attempt)
                connection = self._connection
        return connection

    def ____present__(self) -> Connection:
        """The plain connection of the moment, for a ``netobj.batch`` block."""
        return self._present()

    def _wait_for(self, attempt: _Attempt) -> None:
        """Wait until another thread has connected, or has given up."""
        if attempt.thread == get_ident():
            raise ReentrantCall(
                "on_connect uses the very connection that is being made: it is given"
            )
        left = time_left("another thread connected again")
        wait_event(attempt.over, left)
        if attempt.failure is not None:
            raise ConnectionLost(str(attempt.failure)) from attempt.failure
        if not attempt.over.is_set():
            time_left("another thread connected again")

    def _connect_again(self, attempt: _Attempt) -> Connection:
        connection: Connection | None = None
        try:
            connection = self._try_often()
        except Exception as exc:
            if not isinstance(exc, AsyncResultTimeout):  # else it is this thread's time only
                attempt.failure = exc
            raise
        finally:
            with self._lock:
                self._attempt = None
                closed = self._closing.is_set()
                if connection is not None and not closed:
                    self._known.clear()
                    self._connection = connection
            attempt.over.set()
        if closed:
            connection.close()
            raise ConnectionLost(CLOSED_HERE)
        return connection

    def _try_often(self) -> Connection:
        settings = self._settings
        why = self._connection.session.lost
        pauses = settings.pauses(settings.attempts - 1)
        while True:
            try:
                connection = self._open()
                connection.root  # noqa: B018  (until it has said hello, nothing is sure)
                return connection
            except Exception as exc:
                if not is_passing(exc):
                    raise
                pause = next(pauses, None)
                if pause is None:
                    raise ConnectionLost(
                        f"the connection was lost ({why}), and did not come back in "
                        f"{settings.attempts} attempts: {exc}"
                    ) from exc
            self._rest(pause)

    def _rest(self, seconds: float) -> None:
        left = time_left("the connection was made again")
        wait_event(self._closing, seconds if left is None else min(seconds, left))
        if self._closing.is_set():
            raise ConnectionLost(CLOSED_HERE)

    # --- what proxies ask for, see netobj.core.methods.Link ------------------------------------

    def request(
        self,
        op: int,
        handle: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
        repeat: bool = False,
    ) -> Any:
        """As :meth:`Link.request`, over the present connection.

        A call that surely did not run is made again, as is one that may be repeated: since its
        author has declared it idempotent, or with *repeat* the caller.
        """
        pauses = self._pauses()
        while True:
            connection = self._present()
            try:
                real = self._real(connection, handle)
                given = self._given(connection, args)
                named = kwargs and self._given_by_name(connection, kwargs)
                result = connection.request(op, real, path, given, named, timeout)
                break
            except (ConnectionLost, Busy) as exc:
                if not self._may_repeat(exc, op, handle, path, repeat):
                    raise
                pause = next(pauses, None)
                if pause is None:
                    raise
            self._rest(pause)
        if op == _GET and issubclass(type(result), Netref) and type(handle) is NamedHandle:
            return self._named(connection, handle, path, result)
        return result

    def request_idempotent(
        self, op: int, handle: Any, path: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """As :meth:`request`, of what may be repeated."""
        return self.request(op, handle, path, args, kwargs, repeat=True)

    def request_async(
        self,
        op: int,
        target: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> AsyncResult:
        """As :meth:`Link.request_async`, over the present connection; never repeated."""

        def send(connection: Connection, real: Any) -> AsyncResult:
            named = kwargs and self._given_by_name(connection, kwargs)
            given = self._given(connection, args)
            return connection.request_async(op, real, path, given, named, timeout)

        return self._send(target, send)

    def request_oneway(
        self,
        target: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """As :meth:`Link.request_oneway`, over the present connection; never repeated."""

        def send(connection: Connection, real: Any) -> None:
            named = kwargs and self._given_by_name(connection, kwargs)
            connection.request_oneway(real, path, self._given(connection, args), named)

        self._send(target, send)

    def _send(self, target: Any, send: Callable[[Connection, Any], T]) -> T:
        """What *send* returns, over another connection where it surely was not sent."""
        pauses = self._pauses()
        while True:
            connection = self._present()
            try:
                return send(connection, self._real(connection, target))
            except ConnectionLost as exc:
                pause = next(pauses, None) if exc._not_started else None
                if pause is None:
                    raise
            self._rest(pause)

    def thrown(self, exc: BaseException) -> AbstractContextManager[Raised]:
        """*exc*, marked to travel as an exception; in the block it comes home as itself."""
        return self._present().thrown(exc)

    def proxy_of(self, handle: Handle) -> Any:
        """The one live proxy of *handle*'s object."""
        return proxy_for(handle)

    def _pauses(self) -> Iterator[float]:
        return self._settings.pauses(self._settings.repeats)

    def _may_repeat(self, exc: Exception, op: int, handle: Any, path: Any, repeat: bool) -> bool:
        if isinstance(exc, ConnectionLost) and exc._not_started:
            return True
        if op == Op.DECLARED:  # which does nothing
            return True
        if isinstance(exc, StaleReference) or not may_be_asked(op, handle, path):
            return False
        return repeat or self._is_idempotent(handle, path)

    def _is_idempotent(self, handle: NamedHandle, path: Any) -> bool:
        """Whether the author of what is called says that it may be called again: the peer is asked.

        So plain calls know nothing of it, and who is to run the call has the say.
        """
        try:
            names = self.request(Op.DECLARED, handle, path, ())
        except AsyncResultTimeout:
            raise
        except Exception:  # it knows no such question, or there is no such function any more
            return False
        return type(names) is tuple and IDEMPOTENT in names

    # --- names -------------------------------------------------------------------------------

    def _real(self, connection: Connection, handle: Any) -> Any:
        """The handle of *connection* for what *handle* means, found again by name if need be."""
        if type(handle) is not NamedHandle:
            return handle
        known, real = handle.now
        if known is connection:
            return real
        try:
            real = self._find(connection, handle)
        except ConnectionLost as exc:
            raise not_started(exc)  # noqa: B904  (the call itself was not sent)
        handle.now = connection, real
        return real

    def _find(self, connection: Connection, handle: NamedHandle) -> Handle:
        root = connection.root.____handle__
        if not handle.steps:
            return root  # type: ignore[no-any-return]
        token = scope.set(scope.get().but(batch=None))
        try:
            found = connection.request(_GET, root, list(handle.steps), ())
        finally:
            scope.reset(token)
        if not issubclass(type(found), Netref):
            raise StaleReference(f"{handle.name} is no remote object any more: get it again")
        return found.____handle__  # type: ignore[no-any-return]

    def _named(self, connection: Connection, handle: NamedHandle, path: Any, found: Any) -> Any:
        """*found*, which has come by name, as what is found again."""
        real, names = found.____handle__, names_of(path)
        if names is None or real.link is not connection:
            return found
        steps = (*handle.steps, *names)
        key = connection.config.connid, steps, real.id
        with self.guard:
            named = self._known.get(key)
            if named is None:
                named = self._known[key] = NamedHandle(self, steps, connection, real)
        return proxy_for(named)

    # --- arguments -----------------------------------------------------------------------------

    def _given(self, connection: Connection, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """*args* with what is named as it is on *connection*. Raises StaleReference."""
        return tuple([self._argument(connection, arg) for arg in args])

    def _given_by_name(self, connection: Connection, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {name: self._argument(connection, arg) for name, arg in kwargs.items()}

    def _argument(self, connection: Connection, arg: Any) -> Any:
        kind = type(arg)
        if kind is tuple:
            return self._given(connection, arg)
        if not issubclass(kind, RemoteObject) or issubclass(kind, (RemotePath, RemoteResult)):
            return arg
        if issubclass(kind, RemoteMethod) and arg.____target__ is not None:
            return self._argument(connection, arg.____target__)
        handle = arg.____handle__
        if handle.link is not self:
            if is_stale(handle.link):
                raise StaleReference(str(stale(handle.link.session.lost)))
            return arg
        real = self._real(connection, handle)
        if issubclass(kind, BoundMethod):
            return kind(real, arg.____name__)
        return proxy_for(real)
