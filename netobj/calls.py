"""The call that is being served, and what the calls made meanwhile inherit from it.

A :class:`Scope` belongs to a thread or an asyncio task (it is in a context variable): the call
that it serves, if any, the deadline of what it does, and the metadata that its calls carry.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from netobj.core.boxing import MAX_NUMBER
from netobj.core.consts import SPECIALS, Limit, Op
from netobj.core.events import Request
from netobj.core.handle import Handle
from netobj.core.session import Session
from netobj.core.values import Deferred, complete
from netobj.errors import AsyncResultTimeout, CallCancelled


class Call:
    """A call of the peer's, while it is served here; :func:`current_call` returns it."""

    __slots__ = ("connection", "request")

    outgoing = False
    """Whether it is this side's own: then it is an :class:`OutgoingCall`."""

    def __init__(self, connection: Any, request: Request) -> None:
        self.connection = connection
        self.request = request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.request is other.request

    def __hash__(self) -> int:
        return hash(self.request)

    def __repr__(self) -> str:
        return f"<netobj.Call of {self.name} by {self.connection.peer_name}>"

    @property
    def name(self) -> str:
        """What is called, for people."""
        request = self.request
        kind = type(request.target)
        target = PENDING_RESULT if kind is Deferred else kind.__name__
        return _name(request.op, request.path, target, request.args)

    @property
    def op(self) -> Op:
        """What is asked for: ``Op.CALL``, ``Op.GET`` ... Raises ValueError for what is none."""
        return Op(self.request.op)

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments that have no name; of a special method those that are written.

        ``()`` once the call has ended. Raises what building an argument raises.
        """
        count = len(self.request.kwnames)
        args = self._arguments()
        return args[self.request.op == Op.SPECIAL : len(args) - count]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments by name."""
        names = self.request.kwnames
        args = self._arguments() if names else ()
        return dict(zip(names, args[-len(names) :], strict=True)) if args else {}

    def _arguments(self) -> tuple[Any, ...]:
        request = self.request
        if request.deferred:
            request.args = complete(request.args)  # which leaves alone what is complete
        return request.args

    @property
    def peer(self) -> Any:
        """The address of the caller's end, as the socket has it; None where there is none."""
        endpoints = self.connection.config.endpoints
        return None if endpoints is None else endpoints[1]

    @property
    def credentials(self) -> Any:
        """What the authenticator found out about the caller."""
        return self.connection.config.credentials

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the caller has sent along, see :func:`metadata`."""
        return self.request.metadata or {}

    @property
    def since(self) -> float:
        """When it arrived, in seconds of ``time.monotonic()``."""
        return self.request.since

    @property
    def deadline(self) -> float | None:
        """Until when the caller waits, in seconds of ``time.monotonic()``; None: for ever."""
        return self.request.deadline

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline, perhaps negative; None: there is none."""
        deadline = self.request.deadline
        return None if deadline is None else deadline - time.monotonic()

    @property
    def where(self) -> str | None:
        """The name of the thread or task that runs it; None while it has not started."""
        where = self.request.where
        return thread_name(where) if isinstance(where, int) else where

    @property
    def cancelled(self) -> bool:
        """True once nobody waits for the answer any more."""
        left = self.time_left
        return self._unwanted() or (left is not None and left <= 0)

    def _unwanted(self) -> bool:
        """The caller has given it up, or is gone."""
        gone: bool = self.connection.closed
        return self.request.cancelled or gone

    def check(self) -> None:
        """Do nothing, or raise once nobody waits for the answer any more.

        Raises AsyncResultTimeout when the deadline has passed, else CallCancelled.
        """
        left = self.time_left
        if left is not None and left <= 0:
            raise AsyncResultTimeout(f"the deadline of {self.name} passed {-left:.3f} s ago")
        if self._unwanted():  # not once more by the clock, which goes on
            raise CallCancelled(f"nobody waits for the answer of {self.name} any more")


class LateCall(Call):
    """A call that a task runs: the thread that has read it keeps its arguments no longer."""

    __slots__ = ("kept",)

    def __init__(self, connection: Any, request: Request) -> None:
        super().__init__(connection, request)
        self.kept = request.args

    def _arguments(self) -> tuple[Any, ...]:
        if self.request.deferred:
            self.kept = complete(self.kept)
        return self.kept

    def whole(self) -> Request:
        """The request, with its arguments."""
        whole = Request.__new__(Request)
        vars(whole).update(vars(self.request), args=self.kept)
        return whole


class OutgoingCall:
    """A request of this side's, while it goes through interceptors. Has the face of a Call.

    ``what`` is what is asked: operation, target, path, arguments, those with names or None.
    """

    __slots__ = ("connection", "entries", "what")

    outgoing = True
    asynchronous = False
    """Whether what comes of it is an :class:`~netobj.AsyncResult`."""

    def __init__(self, connection: Any, what: tuple[Any, ...]) -> None:
        self.connection = connection
        self.what = what
        self.entries: dict[str, Any] | None = None  # of metadata, once somebody has looked

    def __repr__(self) -> str:
        return f"<netobj.OutgoingCall of {self.name} to {self.connection.peer_name}>"

    @property
    def name(self) -> str:
        """What is called, for people."""
        op, target, path, args = self.what[:4]
        known = target is None or type(target) is Handle
        return _name(op, path, target_name(target if known else ()), args)

    @property
    def op(self) -> Op:
        """What is asked for: ``Op.CALL``, ``Op.GET`` ..."""
        return Op(self.what[0])

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments that have no name; of a special method those that are written."""
        args: tuple[Any, ...] = self.what[3]
        return args[self.what[0] == Op.SPECIAL :]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments by name."""
        return self.what[4] or {}

    @property
    def peer(self) -> Any:
        """The address of the other end, as the socket has it; None where there is none."""
        endpoints = self.connection.config.endpoints
        return None if endpoints is None else endpoints[1]

    @property
    def credentials(self) -> Any:
        """Who the other side has turned out to be: with TLS, what its certificate says."""
        return self.connection.config.credentials

    @property
    def metadata(self) -> dict[str, Any]:
        """What goes along; entries may be added, see :func:`metadata`."""
        if self.entries is None:
            self.entries = dict(scope.get().metadata or {})
        return self.entries

    @property
    def deadline(self) -> float | None:
        """Until when the answer is waited for, in seconds of ``time.monotonic()``, or None."""
        return scope.get().deadline

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline, perhaps negative; None: there is none."""
        deadline = self.deadline
        return None if deadline is None else deadline - time.monotonic()

    @contextmanager
    def in_scope(self) -> Iterator[None]:
        """In the block, requests carry its metadata."""
        entries = self.entries
        if entries is None:
            yield
            return
        check_metadata(entries)
        token = scope.set(scope.get().but(metadata=entries))
        try:
            yield
        finally:
            scope.reset(token)


class SentCall(OutgoingCall):
    """One for whose answer nobody waits there."""

    __slots__ = ()

    asynchronous = True


class Scope:
    """What belongs to the thread or task, see the module's docstring. Never changed once made.

    *connection* and *request* are those of the call that is served, if any; *deadline* is in
    seconds of ``time.monotonic()``; ``metadata`` is what calls carry, ``batch`` what they go
    through in a ``netobj.batch()`` block, or in a task. ``chain`` and ``depth`` hold only in the
    *thread* of that number: a context may be copied into other threads.
    """

    chain: int | None = None
    metadata: Mapping[str, Any] | None = None
    batch: Any = None

    def __init__(
        self,
        connection: Any = None,
        request: Request | None = None,
        deadline: float | None = None,
        thread: int = 0,
        depth: int = 0,
    ) -> None:
        self.connection = connection
        self.request = request
        self.deadline = deadline
        self.thread = thread
        self.depth = depth
        if request is not None:
            self.chain = request.chain

    def but(self, **changes: Any) -> Scope:
        """A copy with *changes*."""
        changed = Scope()
        vars(changed).update(vars(self), **changes)
        return changed

    @property
    def call(self) -> Call | None:
        """The call that is served."""
        return None if self.request is None else Call(self.connection, self.request)


_ROOT: Final = Scope()
scope: Final[ContextVar[Scope]] = ContextVar("netobj_scope", default=_ROOT)


SHALLOW: Final = 20
"""Calls nested less deeply than this cannot come near Python's recursion limit by themselves."""
_HEADROOM: Final = 200
"""Frames that running a call and answering it may take, generously."""
_IN_C: Final = 2
"""Functions in C among those of each call, which count towards the limit and have no frame."""


def check_depth(session: Session, depth: int) -> None:
    """Refuse a call that is nested so deep, while there is still stack enough to refuse it.

    Raises RecursionError.
    """
    try:
        sys._getframe(max(0, sys.getrecursionlimit() - _HEADROOM - _IN_C * depth))
    except ValueError:  # the stack is not that deep
        if depth < session.config.limits[Limit.DEPTH]:
            return
    raise RecursionError(f"{session.side}: calls are nested {depth} deep")


def check_crowd(session: Session) -> None:
    """Refuse a call while there is room to answer it, where tasks call one another without end.

    Their stacks do not grow. Raises RecursionError.
    """
    if len(session.running) > session.crowd:
        raise RecursionError(
            f"{session.side}: {len(session.running)} calls are in flight, inside of one another"
        )


def current_call() -> Call:
    """The call that this thread or task serves. Raises RuntimeError where it serves none.

    >>> import netobj
    >>> class Clock(netobj.Service):
    ...     @netobj.exposed
    ...     def left(self): return netobj.current_call().time_left
    >>> with netobj.connect_thread(remote_service=Clock) as conn:
    ...     conn.root.left() is None
    ...     with netobj.deadline(60):
    ...         0 < conn.root.left() <= 60
    True
    True
    """
    call = scope.get().call
    if call is None:
        raise RuntimeError("current_call(): this thread or task serves no call of a peer's")
    return call


_LONGEST: Final = 1e9
"""Seconds of a deadline, at the most: thirty years, which all that waits can count."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """In the block, calls have *seconds* from its beginning, or less, and raise after that.

    They raise AsyncResultTimeout (a TimeoutError). What they call in turn inherits what is left.
    See :func:`current_call` for an example. Raises ValueError for what is no time.
    """
    if not seconds >= 0:
        raise ValueError("deadline: a number of seconds, not negative")
    outer = scope.get()
    until = time.monotonic() + min(seconds, _LONGEST)
    if outer.deadline is not None:
        until = min(until, outer.deadline)
    token = scope.set(outer.but(deadline=until))
    try:
        yield
    finally:
        scope.reset(token)


@contextmanager
def metadata(**entries: Any) -> Iterator[None]:
    """In the block, calls carry *entries*: names with None, bool, int, float, str or bytes.

    The other side reads them in ``current_call().metadata``; its own calls do not inherit them.
    Raises TypeError for other values; a call with more than 64 entries raises LimitExceeded.

    >>> import netobj
    >>> class Echo(netobj.Service):
    ...     @netobj.exposed
    ...     def user(self): return netobj.current_call().metadata["user"]
    >>> with netobj.connect_thread(remote_service=Echo) as conn, netobj.metadata(user="alice"):
    ...     conn.root.user()
    'alice'
    """
    check_metadata(entries)
    outer = scope.get()
    token = scope.set(outer.but(metadata={**(outer.metadata or {}), **entries}))
    try:
        yield
    finally:
        scope.reset(token)


def check_metadata(entries: Mapping[str, Any]) -> None:
    """Raise TypeError for what cannot be metadata."""
    for name, value in entries.items():
        if type(value) not in (type(None), bool, int, float, str, bytes):
            raise TypeError(f"metadata {name!r}: a {type(value).__name__} cannot go along")


def time_for_stream() -> float | None:
    """Seconds that this thread or task may wait for a stream; None: for ever.

    Raises AsyncResultTimeout when its deadline has passed.
    """
    return time_left("a stream was waited for")


def time_left(meanwhile: str) -> float | None:
    """Seconds until the deadline of this thread or task; None: there is none.

    Raises AsyncResultTimeout, which says what happened *meanwhile*, when it has passed.
    """
    deadline = scope.get().deadline
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise AsyncResultTimeout(f"the deadline passed while {meanwhile}")
    return left


# --- for people ---------------------------------------------------------------------------------


PENDING_RESULT: Final = "a pending result"
_MOST_STEPS: Final = 50  # of a path, that are shown
_MOST_SHOWN: Final = 200  # characters of what is asked


def operation_name(op: int, path: Any, target: str) -> str:
    """What a request asks for, in words: ``add`` of a ``Calculator``."""
    if path is None:
        steps = target
    elif type(path) is str:
        steps = f"{target}.{path}"
    else:
        # The path may be the peer's, and anything: iterating over a proxy would ask the peer.
        known = type(path) in (tuple, list)
        steps = target + ("".join(map(_step, path[:_MOST_STEPS])) if known else "[...]")
    if len(steps) > _MOST_SHOWN:
        steps = f"{steps[:_MOST_SHOWN]}..."
    if not steps.isprintable():  # the peer's names must not look like other lines of a report
        steps = steps.encode("unicode_escape", "backslashreplace").decode("ascii")
    return f"{steps}()" if op == Op.CALL else f"{steps} ({_op_name(op)})"


def _name(op: int, path: Any, target: str, args: tuple[Any, ...]) -> str:
    """As :func:`operation_name`, where the arguments say which special method is called."""
    index = args[0] if op == Op.SPECIAL and args else None
    if type(index) is int and 0 <= index < len(SPECIALS):
        steps = () if path is None else (path,) if type(path) is str else path
        if type(steps) in (tuple, list):
            return operation_name(Op.CALL, (*steps, SPECIALS[index]), target)
    return operation_name(op, path, target)


def _op_name(op: int) -> str:
    try:
        return Op(op).name.lower()
    except ValueError:
        return "an unknown operation"


def _step(step: Any) -> str:
    if type(step) is str:
        return f".{step}"
    if type(step) in (tuple, list) and len(step) == 1:
        item = step[0]
        if type(item) is str or (type(item) is int and abs(item) < MAX_NUMBER):
            return f"[{item!r}]"
    return "[...]"


class Pending(NamedTuple):
    """A call of this side's that waits for its answer."""

    seq: int
    name: str
    since: float
    where: str | None  # the thread or task that waits; None: nobody does any more


def target_name(target: Handle | Any | None) -> str:
    """What a request of this side's asks, in words."""
    if target is None or (type(target) is Handle and target.id == 0):
        return "root"
    if type(target) is Handle:
        return target.imported.description.name
    return PENDING_RESULT


def report(connection: Any, pending: list[Pending], running: list[Call]) -> str:
    """What :meth:`dump_pending` of connections returns."""
    now = time.monotonic()
    lines = [f"{connection!r}:"]
    for call in sorted(pending, key=lambda one: one.since):
        what = f"{call.name} [request {call.seq}]"
        age = f"{now - call.since:.3f} s"
        if call.where is None:
            lines.append(f"  gave up {what} made {age} ago, which is not answered yet")
        else:
            lines.append(f"  waits for {what} since {age}, in {call.where}")
    for served in sorted(running, key=lambda one: one.since):
        where = f"in {served.where}" if served.where else "not started"
        lines.append(f"  runs {served.name} since {now - served.since:.3f} s, {where}")
    if len(lines) == 1:
        lines.append("  nothing is under way")
    return "\n".join(lines)


def thread_name(ident: int) -> str:
    """The thread of number *ident*, for people."""
    for thread in threading.enumerate():
        if thread.ident == ident:
            return f"thread {thread.name!r}"
    return f"thread {ident} (ended)"
