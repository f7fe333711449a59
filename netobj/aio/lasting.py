"""A connection of an event loop that comes back after a loss: one plain connection after the other.

A call is sent over the present connection: what it is built upon is put on that one's references
first. All state belongs to the loop's thread. One task connects, whoever needs a connection waits
for it; who is cancelled, or out of time, leaves it to the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context, ContextVar
from types import coroutine
from typing import Any, Final
from weakref import WeakValueDictionary

from netobj.aio import reference
from netobj.aio.connection import Connection
from netobj.aio.reference import Call, Path, Reference, new_call, place, put, reference_for
from netobj.calls import time_left
from netobj.core.boxing import Raised
from netobj.core.consts import CLOSED_HERE, Op
from netobj.core.handle import Handle
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
_CALL: Final = int(Op.CALL)
_ATTEMPT: Final = 30.0
"""Seconds that one attempt to connect may take."""

Opening = Callable[[], Any]
"""Returns an awaitable of a plain connection."""


_within: Final[ContextVar[object]] = ContextVar("netobj_connecting", default=None)
"""The attempt to connect that this task belongs to."""


async def lasting(open_connection: Opening, settings: Reconnect) -> LastingConnection:
    """The connection that comes back of what *open_connection* makes, and makes anew."""
    return LastingConnection(open_connection, settings, await _opened(open_connection))


async def _opened(open_connection: Opening) -> Connection:
    connection: Connection = await open_connection()
    connection.session.gone = stale
    try:
        await connection.ping(None)  # until it has said hello, nothing is sure
    except BaseException:
        connection.lose("it was never used: the other side did not say hello")
        raise
    return connection


def _take_note(connecting: asyncio.Task[Connection]) -> None:
    """That it has failed is no secret, though nobody may wait for it any more."""
    if not connecting.cancelled():
        connecting.exception()


class LastingConnection:
    """What ``netobj.aio.connect(..., reconnect=True)`` comes to.

    All attributes that are not here are those of the present plain connection.
    """

    ____closed____ = True  # see netobj.core.rules

    def __init__(
        self, open_connection: Opening, settings: Reconnect, connection: Connection
    ) -> None:
        self._open_connection = open_connection
        self._settings = settings
        self._connection = connection
        self._connecting: asyncio.Task[Connection] | None = None
        self._attempt: object = None
        self._over = asyncio.Event()
        self.guard: Any = nullcontext()
        self._known: WeakValueDictionary[Any, NamedHandle] = WeakValueDictionary()
        self._root = reference_for(NamedHandle(self, (), connection, connection.root_handle))

    # --- as a connection's users see it ----------------------------------------------------------

    @property
    def root(self) -> Any:
        """A reference to the root of the other side, which stays of use after a loss. No I/O."""
        return self._root

    @property
    def closed(self) -> bool:
        """True once it was closed on this side: a loss is not the end."""
        return self._over.is_set()

    async def close(self) -> None:
        """End it for good; calls that wait, also for a new connection, fail with ConnectionLost."""
        self._over.set()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        await self._connection.close()

    async def ping(self, timeout: float | None = 3) -> None:
        """As :meth:`Connection.ping`; connects again first, where that has to be."""
        await (await self._present()).ping(timeout)

    async def __aenter__(self) -> LastingConnection:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else repr(self._connection)
        return f"<netobj.aio.Connection that comes back, now {state}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_connection":
            raise AttributeError(name)
        return getattr(self._connection, name)

    # --- the present connection --------------------------------------------------------------

    async def _present(self) -> Connection:
        """The connection to use, made anew if it was lost. Raises ConnectionLost."""
        heard = self._connection.session.last_heard
        if heard is not None and time.monotonic() - heard > RESTED and not self._connection.closed:
            for _ in range(2):  # to the selector, and behind what it has found
                await asyncio.sleep(0)  # its end may have come while the loop did other things
        while self._connection.closed or self.closed:
            if self.closed:
                raise ConnectionLost(CLOSED_HERE)
            connecting = self._connecting
            if connecting is None or connecting.done():  # if nobody has waited for that one's end
                connecting = self._connecting = self._begin()
            elif _within.get() is self._attempt:
                raise ReentrantCall(
                    "on_connect uses the very connection that is being made: it is given that one"
                )
            await asyncio.wait((connecting,), timeout=time_left("it was connected again"))
            if connecting.done():
                self._look_at(connecting)
        return self._connection

    def _look_at(self, connecting: asyncio.Task[Connection]) -> None:
        """The attempt is over. Raises why it has failed."""
        if self._connecting is connecting:
            self._connecting = None
        error = None if connecting.cancelled() else connecting.exception()
        if isinstance(error, ConnectionLost):  # for each who waits its own
            raise ConnectionLost(str(error)) from error
        if error is not None:
            raise error

    def _begin(self) -> asyncio.Task[Connection]:
        self._attempt = object()
        # In no context of ours: it is for all who wait, whatever their deadlines.
        begin = self._connection.loop.create_task
        connecting: asyncio.Task[Connection] = Context().run(begin, self._connect_again())
        connecting.add_done_callback(_take_note)
        return connecting

    async def _connect_again(self) -> Connection:
        _within.set(self._attempt)
        settings = self._settings
        why = self._connection.session.lost
        pauses = settings.pauses(settings.attempts - 1)
        while True:
            try:
                opening = _opened(self._open_connection)
                connection = await asyncio.wait_for(opening, _ATTEMPT)
                break
            except (Exception, asyncio.TimeoutError) as exc:
                if not (is_passing(exc) or isinstance(exc, asyncio.TimeoutError)):
                    raise
                pause = next(pauses, None)
                if pause is None:
                    raise ConnectionLost(
                        f"the connection was lost ({why}), and did not come back in "
                        f"{settings.attempts} attempts: {exc}"
                    ) from exc
            await self._rest(pause)
        if self.closed:  # wait_for() may lose a cancellation (before Python 3.12)
            await connection.close()
            raise ConnectionLost(CLOSED_HERE)
        self._known.clear()
        self._connection = connection
        root: Any = self._root.____handle__
        root.now = connection, connection.root_handle
        root.imported = connection.root_handle.imported
        return connection

    async def _rest(self, seconds: float) -> None:
        left = time_left("the connection was made again")
        try:
            patience = seconds if left is None else min(left, seconds)
            await asyncio.wait_for(self._over.wait(), patience)
        except asyncio.TimeoutError:
            return
        raise ConnectionLost(CLOSED_HERE)

    # --- what references ask for, see netobj.aio.link.Link ---------------------------------------

    def answer(self, call: Call, repeat: bool = False) -> Generator[Any, None, Any]:
        """As :meth:`Link.answer`, over the present connection; for ``__await__``.

        A call that surely did not run is made again, as is one that may be repeated: since its
        author has declared it idempotent, or with *repeat* the caller.
        """
        try:
            return (yield from self._answer(call, repeat))
        except BaseException:
            reference.mark_built(call)  # it was meant, though it may not have been sent
            raise

    def _answer(self, call: Call, repeat: bool) -> Generator[Any, None, Any]:
        what = call.____what__
        base, steps, op, _, _ = what
        handle = base.____handle__ if type(base) is Reference and call.____simple__ else None
        pauses = self._pauses()
        while True:
            connection = yield from self._present().__await__()
            try:
                yield from self._put_on(connection, call).__await__()
                result = yield from connection.answer(call)
                break
            except (ConnectionLost, Busy) as exc:
                if handle is None or self.closed:
                    raise
                asked = self._may_repeat(exc, op, handle, steps, repeat)
                if not (yield from asked.__await__()):
                    raise
                pause = next(pauses, None)
                if pause is None:
                    raise
            put(call, what, None)
            yield from self._rest(pause).__await__()
        if op == _GET and type(result) is Reference and type(handle) is NamedHandle:
            return self._named(connection, handle, steps, result)
        return result

    @coroutine
    def request_idempotent(
        self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Generator[Any, None, Any]:
        """Call *node*, as what may be repeated."""
        call = new_call(node, _CALL, args, kwargs)
        reference.mark_built(call)  # it is sent, though not awaited itself
        return (yield from self.answer(call, repeat=True))

    @coroutine
    def oneway(self, call: Call) -> Generator[Any, None, None]:
        """As :meth:`Link.oneway`, over the present connection; never repeated."""
        what = call.____what__
        pauses = self._pauses() if call.____simple__ else iter(())
        while True:
            connection = yield from self._present().__await__()
            try:
                yield from self._put_on(connection, call).__await__()
                yield from connection.oneway(call)
                return
            except ConnectionLost as exc:
                pause = next(pauses, None) if exc._not_started else None
                if pause is None:
                    raise
            put(call, what, None)
            yield from self._rest(pause).__await__()

    def thrown(self, exc: BaseException) -> AbstractContextManager[Raised]:
        """*exc*, marked to travel as an exception; in the block it comes home as itself."""
        return self._connection.thrown(exc)

    def _pauses(self) -> Iterator[float]:
        return self._settings.pauses(self._settings.repeats)

    async def _may_repeat(
        self, exc: Exception, op: int, handle: Any, steps: tuple[Any, ...], repeat: bool
    ) -> bool:
        if isinstance(exc, ConnectionLost) and exc._not_started:
            return True
        if op == Op.DECLARED:  # which does nothing
            return True
        if isinstance(exc, StaleReference) or not may_be_asked(op, handle, steps):
            return False
        return repeat or await self._is_idempotent(handle, steps)

    async def _is_idempotent(self, handle: NamedHandle, steps: tuple[Any, ...]) -> bool:
        """See :meth:`netobj.blocking.lasting.LastingConnection._is_idempotent`."""
        node: Any = reference_for(handle)
        for step in steps:
            node = reference.path(node, step)
        try:
            names = await new_call(node, Op.DECLARED, (), {})
        except AsyncResultTimeout:
            raise
        except Exception:  # it knows no such question, or there is no such function any more
            return False
        return type(names) is tuple and IDEMPOTENT in names

    # --- names -------------------------------------------------------------------------------

    async def _put_on(self, connection: Connection, call: Call) -> None:
        """Let *call*, and what it is built upon, be of *connection*. Raises StaleReference."""
        if call.____outcome__ is not None:
            return
        base, steps, op, args, kwargs = call.____what__
        base = await self._argument(connection, base)
        args = tuple([await self._argument(connection, arg) for arg in args])
        kwargs = {name: await self._argument(connection, arg) for name, arg in kwargs.items()}
        put(call, (base, steps, op, args, kwargs), None)

    async def _argument(self, connection: Connection, arg: Any) -> Any:
        kind = type(arg)
        if kind is Reference:
            handle = arg.____handle__
            if type(handle) is NamedHandle and handle.link is self:
                return reference_for(await self._real(connection, handle))
            if is_stale(handle.link):
                raise StaleReference(str(stale(handle.link.session.lost)))
        elif kind is Path:
            base, steps = place(arg)
            node: Any = await self._argument(connection, base)
            for step in steps:
                node = reference.path(node, step)
            return node
        elif kind is Call:
            await self._put_on(connection, arg)
        elif kind is tuple:
            return tuple([await self._argument(connection, item) for item in arg])
        return arg

    async def _real(self, connection: Connection, handle: NamedHandle) -> Handle:
        """The handle of *connection* for what *handle* means, found again by name if need be."""
        known, real = handle.now
        if known is connection:
            return real
        node: Any = connection.root
        for step in handle.steps:
            node = reference.path(node, step)
        try:
            found = await new_call(node, _GET, (), {}) if handle.steps else node
        except ConnectionLost as exc:
            raise not_started(exc)  # noqa: B904  (the call itself was not sent)
        if type(found) is not Reference:
            raise StaleReference(f"{handle.name} is no remote object any more: get it again")
        handle.now = connection, found.____handle__
        return found.____handle__

    def _named(
        self, connection: Connection, handle: NamedHandle, steps: tuple[Any, ...], found: Reference
    ) -> Reference:
        """*found*, which has come by name, as what is found again."""
        real, names = found.____handle__, names_of(steps)
        if names is None or real.link is not connection:
            return found
        key = connection.config.connid, (*handle.steps, *names), real.id
        named = self._known.get(key)
        if named is None:
            named = self._known[key] = NamedHandle(self, key[1], connection, real)
        return reference_for(named)
