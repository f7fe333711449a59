"""Connections whose calls and messages go through interceptors.

What is around a call is composed once, when the connection is made, into one callable, which takes
the place of ``perform`` (what the peer calls) or stands before ``Link.request`` (what is called
there). So calls go the same short ways as without.

A thread that serves a call stays with it: a plain ``on_call`` runs in it, and so does the method.
An ``async def`` one runs on the event loop meanwhile, and has the thread run the rest. Only where
all of them are asynchronous, or have an asynchronous twin, and so is the method, no thread waits.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from netobj.blocking.connection import Connection
from netobj.blocking.excursion import Excursion, run_hook
from netobj.blocking.link import Link
from netobj.blocking.results import AsyncResult
from netobj.blocking.safepoint import safe_point
from netobj.blocking.settling import settled, settled_on_loop
from netobj.blocking.streams import Stream
from netobj.blocking.writer import Writer
from netobj.calls import Call, LateCall, OutgoingCall, SentCall, scope
from netobj.core.config import Config
from netobj.core.consts import Op
from netobj.core.events import Request
from netobj.core.handle import Handle
from netobj.core.handlers import perform, runs_on_loop
from netobj.core.outcomes import UNFINISHED, Awaited, is_async
from netobj.interceptors.entrance import Entrance
from netobj.interceptors.hooks import Hook, around_calls, checked, for_loop, hooks, wrong_call
from netobj.interceptors.interceptor import Direction, Next
from netobj.interceptors.messages import Watcher
from netobj.interceptors.stopped import Stopped, finished, outcome_of

Perform = Callable[[Request], object]
_new: Final = object.__new__
_request: Final = Link.request


def open_with(root: object, stream: Stream, config: Config, hello_sent: bool = False) -> Connection:
    """A connection with *config*, which is of a class of its own only where it has to be."""
    chain = checked(config.interceptors)
    asked = around_calls(chain, config.accepted, outgoing=True)
    if asked or hooks(chain, "on_message"):
        connection: Connection = InterceptedConnection(root, stream, config, hello_sent)
    else:
        connection = Connection(root, stream, config, hello_sent)
    served = around_calls(chain, config.accepted, outgoing=False)
    if served:  # nothing is served yet, see Dispatcher.open
        connection.dispatcher.perform = around_served(connection, served)
    ending = hooks(reversed(chain), "on_close")
    if ending:
        connection.when_finished(ending)
    return connection


async def call_hook(hook: Hook, *args: Any) -> None:
    """For a server's :class:`~netobj.interceptors.entrance.Entrance`; never suspends."""
    run_hook(hook, *args)


def entrance_for(config: Config, log: Any) -> Entrance:
    """What a server asks of its interceptors, whose coroutines never suspend."""
    return Entrance(checked(config.interceptors), call_hook, log)


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Run *work* of an entrance to its end, which it comes to without being suspended."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise RuntimeError("an entrance of threads was suspended")  # pragma: no cover


class InterceptedConnection(Connection):
    """A connection whose messages, or what is called over it, go through interceptors."""

    # The outermost hook around what is asked, what is below it, what is if nobody waits, and if
    # there is to be no answer.
    # (One attribute: see how many there may be, in Link.)
    _around: tuple[Hook, Next, Next, Next] | None = None

    def __init__(
        self, root: object, stream: Stream, config: Config, hello_sent: bool = False
    ) -> None:
        super().__init__(root, stream, config, hello_sent)
        chain = around_calls(config.interceptors, config.accepted, outgoing=True)
        if chain:
            outermost, below = around_asked(self, chain, self._ask)
            to_send, to_tell = (
                around_asked(self, chain, ask)[1] for ask in (self._send, self._tell)
            )
            self._around = outermost, below, to_send, to_tell

    def make_writer(self, stream: Stream, most: int) -> Writer:
        chain = checked(self.config.interceptors)
        watched = Watcher(chain, self._stop).watch(self.session)
        kind = _WatchedWriter if watched else Writer
        return kind(stream, self.session.out, self._on_blocked, most)

    def _stop(self, direction: Direction, reason: str, exc: BaseException) -> None:
        """An interceptor has refused a message."""
        self.log_later(f"the connection to {self.stream.name} was ended: {reason}", exc)
        leave = partial(self.leave, reason)
        if direction is Direction.IN:
            leave(reason)
        else:  # whoever queues it may be in the midst of something
            self.run_in_worker((leave, reason))

    # --- what is asked -------------------------------------------------------------------------

    def request(
        self,
        op: int,
        handle: Handle | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Any:
        around = self._around
        if around is not None:
            batch = scope.get().batch  # what is in one is sent by send_async()
            if batch is None or batch.for_link(self) is None:
                call = _new(OutgoingCall)  # this way it costs half as much
                call.connection = self
                call.what = (op, handle, path, args, kwargs, timeout)
                call.entries = None
                return around[0](call, around[1])
        return super().request(op, handle, path, args, kwargs, timeout)

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
        around = self._around
        if around is None:
            return super().send_async(op, target, path, args, kwargs, timeout, chain)
        call = SentCall(self, (op, target, path, args, kwargs, timeout, chain))
        found = around[0](call, around[2])
        if isinstance(found, AsyncResult):
            return found
        result = AsyncResult(self)  # an interceptor has answered in the peer's place
        result.forgotten = True
        result.complete(True, found, False)
        return result

    def send_oneway(
        self,
        target: Handle | tuple[Any] | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        around = self._around
        if around is None:
            super().send_oneway(target, path, args, kwargs)
        else:
            around[0](SentCall(self, (Op.CALL, target, path, args, kwargs)), around[3])

    def _ask(self, call: Any) -> Any:
        if call.entries is None:
            op, handle, path, args, kwargs, timeout = call.what  # quicker than a star
            return _request(self, op, handle, path, args, kwargs, timeout)
        with call.in_scope():
            return _request(self, *call.what)

    def _send(self, call: Any) -> AsyncResult:
        with call.in_scope():
            return Link.send_async(self, *call.what)

    def _tell(self, call: Any) -> None:
        with call.in_scope():
            Link.send_oneway(self, *call.what[1:])


class _WatchedWriter(Writer):
    """Everything goes through the queue, which shows it to interceptors."""

    def write(self, data: bytes, reads: bool = False) -> None:
        self._out.append(data)
        self.flush(reads)


# --- around what the peer calls -------------------------------------------------------------------


def around_served(connection: Connection, chain: tuple[Hook, ...]) -> Perform:
    """``perform`` with *chain* around it, the first outermost."""
    session = connection.session

    def innermost(call: Call) -> Any:
        if type(call) is not Call:
            raise wrong_call()
        request = call.request
        value = perform(session, request)
        if type(value) in UNFINISHED:
            value = settled(connection, request, value)
        return value

    below: Next = innermost
    for hook in reversed(chain[1:]):
        below = partial(_level(connection, hook), below=below)
    outermost = chain[0]
    twins = tuple(map(for_loop, chain))
    on_loop = _all_on_loop(connection, twins) if all(map(is_async, twins)) else None

    if is_async(outermost):
        run = _level(connection, outermost)

        @safe_point
        def enter(request: Request) -> object:
            if on_loop is not None and runs_on_loop(session, request):
                return Awaited(outcome_of(on_loop, LateCall(connection, request)), finished)
            return run(Call(connection, request), below=below)

        return enter

    @safe_point
    def enter_here(request: Request) -> object:
        call = _new(Call)  # this way it costs half as much
        call.connection = connection
        call.request = request
        return outermost(call, below)

    if on_loop is None:
        return enter_here

    @safe_point
    def enter_either(request: Request) -> object:
        if runs_on_loop(session, request):
            return Awaited(outcome_of(on_loop, LateCall(connection, request)), finished)
        return enter_here(request)

    return enter_either


def _level(connection: Connection, hook: Hook) -> Callable[..., Any]:
    """Calls *hook* with a call and what is *below* it, in the thread of the call."""
    if not is_async(hook):
        return partial(_here, hook)
    return partial(_there, connection, hook)


@safe_point
def _here(hook: Hook, call: Any, below: Next) -> Any:
    return hook(call, below)


@safe_point
def _there(connection: Connection, hook: Hook, call: Any, below: Next) -> Any:
    """*hook* is an ``async def``: it runs on the loop, and what is below it here."""
    away = Excursion(connection, None if call.outgoing else call.request)

    async def go_on(same: Any) -> Any:
        if same is not call:
            raise wrong_call()
        return await away.ashore(below, same)

    return away.run(lambda: hook(call, go_on))


def _all_on_loop(connection: Connection, chain: tuple[Hook, ...]) -> Next:
    """*chain* around ``perform`` on the event loop, where nobody's thread waits."""
    session = connection.session

    async def innermost(call: LateCall) -> Any:
        if type(call) is not LateCall or scope.get().request is not call.request:
            raise wrong_call()
        try:
            return await settled_on_loop(perform(session, call.whole()))
        except StopIteration as exc:
            raise Stopped(exc) from exc

    below: Next = innermost
    for hook in reversed(chain):
        below = partial(_on_loop, hook, below)
    return below


def _on_loop(hook: Hook, below: Next, call: Any) -> Any:
    return hook(call, below)


# --- around what is asked -------------------------------------------------------------------------


def around_asked(connection: Connection, chain: tuple[Hook, ...], ask: Next) -> tuple[Hook, Next]:
    """The outermost hook of *chain*, and what is below it, with *ask* innermost."""
    below = ask
    for hook in reversed(chain[1:]):
        below = partial(_level(connection, hook), below=below)
    outermost = chain[0]
    return (partial(_there, connection, outermost) if is_async(outermost) else outermost), below
