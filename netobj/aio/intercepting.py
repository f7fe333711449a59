"""Connections on an event loop whose calls and messages go through interceptors.

What is around a call is composed once, when the connection is made. A call that runs in a worker
thread has all of it there; asynchronous interceptors then run on the loop, and have the thread run
the rest. Others have all of it on the loop; plain interceptors then have a thread of their own.

What is called there goes through them one call after the other: what a call is built upon is
awaited first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from netobj.aio import reference
from netobj.aio.connection import Connection
from netobj.aio.excursion import Excursion, in_thread
from netobj.aio.outcome import Outcome
from netobj.aio.settling import settled
from netobj.calls import Call, OutgoingCall, SentCall, scope
from netobj.core.config import Config
from netobj.core.consts import Op
from netobj.core.events import Request
from netobj.core.handle import Handle
from netobj.core.outcomes import UNFINISHED, Awaited, is_async
from netobj.interceptors.hooks import Hook, around_calls, checked, for_loop, hooks, wrong_call
from netobj.interceptors.interceptor import Direction, Next
from netobj.interceptors.messages import Watcher
from netobj.interceptors.stopped import Stopped, finished, outcome_of

_GET = int(Op.GET)
_CALL = int(Op.CALL)


def connection_class(config: Config) -> type[Connection]:
    """What a connection with *config* is."""
    return InterceptedConnection if config.interceptors else Connection


async def call_hook(hook: Hook, *args: Any) -> None:
    """For a server's :class:`~netobj.interceptors.entrance.Entrance`."""
    result = hook(*args)
    if hasattr(type(result), "__await__"):
        await result


class InterceptedConnection(Connection):
    """A connection that has interceptors."""

    _asked: Next | None = None  # around what is awaited
    _asked_here: Next | None = None  # around what a worker thread asks
    _told: Next | None = None  # around calls without an answer
    _told_here: Next | None = None

    def __init__(
        self, root: object, transport: asyncio.Transport, config: Config, executor: Any = None
    ) -> None:
        chain = checked(config.interceptors)
        super().__init__(root, transport, config, executor)
        served = around_calls(chain, config.accepted, outgoing=False)
        if served:
            dispatcher = self.dispatcher
            dispatcher.perform = _served_on_loop(self, served, dispatcher.perform)
            dispatcher.perform_in_thread = _served_in_thread(
                self, served, dispatcher.perform_in_thread
            )
            dispatcher.awaits_all = True
            self.holds_threads = True
        asked = around_calls(chain, config.accepted, outgoing=True)
        if asked:
            self._asked = _on_loop(asked, self._ask)
            self._asked_here = _in_thread(self, asked, self._ask_here)
            self._told = _on_loop(asked, self._tell)
            self._told_here = _in_thread(self, asked, self._tell_here)
        self._begun: dict[Any, asyncio.Future[None]] = {}  # calls that are in their interceptors

    def prepare(self) -> None:
        chain = checked(self.config.interceptors)
        Watcher(chain, self._stop).watch(self.session)
        self.on_finish = hooks(reversed(chain), "on_close")

    def _stop(self, direction: Direction, reason: str, exc: BaseException) -> None:
        """An interceptor has refused a message."""
        if direction is Direction.IN:
            self._end_because(reason, exc)
            return
        try:  # from any thread, which may be in the midst of something
            self.loop.call_soon_threadsafe(self._end_because, reason, exc)
        except RuntimeError:  # the loop has ended, and the connection with it
            pass

    def _end_because(self, reason: str, exc: BaseException) -> None:
        self.log.error("the connection to %s was ended: %s", self.peer_name, reason, exc_info=exc)
        self.session.goodbye(reason)
        self.flush()
        self.lose(reason)

    # --- what is asked -------------------------------------------------------------------------

    def answer(self, call: reference.Call) -> Generator[Any, None, Any]:
        if self._asked is None or call.____outcome__ is not None:
            return super().answer(call)
        return self._answer_around(call).__await__()

    async def _answer_around(self, node: reference.Call) -> Any:
        """Send *node* and wait for its answer, through the interceptors; once for all who wait."""
        assert self._asked is not None
        reference.mark_built(node)
        begun = self._begun.get(node)
        while begun is not None and node.____outcome__ is None:
            await asyncio.wait((begun,))
            begun = self._begun.get(node)
        if node.____outcome__ is not None:
            return await _Awaitable(super().answer(node))
        done = self._begun[node] = self.loop.create_future()
        try:
            call = await self._call_of(node)
            try:
                value = await self._asked(call)
            except Stopped as exc:
                raise RuntimeError("an interceptor raised StopIteration") from exc
            except Exception as exc:
                self._outcome_of(node).overrule(False, exc)
                raise
            self._outcome_of(node).overrule(True, value)
            return value
        finally:
            del self._begun[node]
            done.set_result(None)

    async def _call_of(self, node: reference.Call) -> SentCall:
        await _send_parts(node)
        base, steps, op, args, kwargs = node.____what__
        path = steps[0] if len(steps) == 1 and type(steps[0]) is str else steps or None
        return SentCall(self, (op, _target(base), path, args, kwargs, node))

    def _outcome_of(self, node: reference.Call) -> Outcome:
        outcome = node.____outcome__
        if outcome is None:  # an interceptor has answered in the peer's place
            outcome = Outcome(self, 0, 0, False, (0, None, None), 0.0)
            reference.put(node, node.____what__, outcome)
        return outcome

    async def _ask(self, call: Any) -> Any:
        with call.in_scope():
            return await _Awaitable(super().answer(call.what[5]))

    def request(
        self,
        op: int,
        handle: Handle | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if self._asked_here is None:
            return super().request(op, handle, path, args, kwargs)
        return self._asked_here(OutgoingCall(self, (op, handle, path, args, kwargs)))

    def _ask_here(self, call: Any) -> Any:
        with call.in_scope():
            return super().request(*call.what)

    def oneway(self, call: reference.Call) -> Any:
        return super().oneway(call) if self._told is None else self._tell_around(call)

    async def _tell_around(self, node: reference.Call) -> None:
        assert self._told is not None
        await self._told(await self._call_of(node))

    async def _tell(self, call: Any) -> None:
        with call.in_scope():
            await super().oneway(call.what[5])

    def request_oneway(
        self,
        target: Handle | tuple[Any] | None,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        if self._told_here is None:
            super().request_oneway(target, path, args, kwargs)
        else:
            self._told_here(SentCall(self, (_CALL, target, path, args, kwargs)))

    def _tell_here(self, call: Any) -> None:
        with call.in_scope():
            super().request_oneway(*call.what[1:])


def _target(base: Any) -> Any:
    return base.____handle__ if type(base) is reference.Reference else (base,)


async def _send_parts(node: reference.Call) -> None:
    """Await what *node* is built upon, as far as it is not sent."""
    base, steps, op, args, kwargs = node.____what__
    args = tuple([_as_call(arg) for arg in args])
    kwargs = {name: _as_call(arg) for name, arg in kwargs.items()}
    reference.put(node, (base, steps, op, args, kwargs), None)
    for part in (base, *args, *kwargs.values()):
        if type(part) is reference.Call and part.____outcome__ is None:
            await part


def _as_call(arg: Any) -> Any:
    """A path among arguments means what is there."""
    if type(arg) is not reference.Path:
        return arg
    call = reference.new_call(arg, _GET, (), {})
    reference.mark_built(call)
    return call


class _Awaitable:
    """To be awaited once."""

    def __init__(self, steps: Generator[Any, None, Any]) -> None:
        self._steps = steps

    def __await__(self) -> Generator[Any, None, Any]:
        return self._steps


# --- around what the peer calls -------------------------------------------------------------------


def _served_on_loop(
    link: Connection, chain: tuple[Hook, ...], perform: Callable[[Request], object]
) -> Callable[[Request], object]:
    """*perform* with *chain* around it, on the loop: to be awaited."""

    async def innermost(call: Call) -> Any:
        request = call.request if type(call) is Call else None
        if request is None or scope.get().request is not request:
            raise wrong_call()
        try:
            value = perform(request)
            return await settled(value) if type(value) in UNFINISHED else value
        except StopIteration as exc:
            raise Stopped(exc) from exc

    around = _on_loop(chain, innermost)

    def enter(request: Request) -> object:
        return Awaited(outcome_of(around, Call(link, request)), finished)

    return enter


def _served_in_thread(
    link: Connection, chain: tuple[Hook, ...], perform: Callable[[Request], object]
) -> Callable[[Request], object]:
    """*perform* with *chain* around it, in the thread of the call."""

    def innermost(call: Call) -> Any:
        request = call.request if type(call) is Call else None
        if request is None or scope.get().request is not request:
            raise wrong_call()
        value = perform(request)
        if type(value) in UNFINISHED:
            value = Excursion(link, request).run(lambda: settled(value))
        return value

    around = _in_thread(link, chain, innermost)

    def enter(request: Request) -> object:
        return around(Call(link, request))

    return enter


# --- both -----------------------------------------------------------------------------------------


def _on_loop(chain: tuple[Hook, ...], innermost: Next) -> Next:
    """*innermost* with *chain* around it, the first outermost; all to be awaited."""
    below = innermost
    for hook in map(for_loop, reversed(chain)):
        below = partial(_awaiting if is_async(hook) else in_thread, hook, below=below)
    return below


def _awaiting(hook: Hook, call: Any, below: Next) -> Any:
    return hook(call, below)


def _in_thread(link: Connection, chain: tuple[Hook, ...], innermost: Next) -> Next:
    """The same, where nothing is awaited."""
    below = innermost
    for hook in reversed(chain):
        below = partial(_there if is_async(hook) else _here, link, hook, below=below)
    return below


def _here(link: Connection, hook: Hook, call: Any, below: Next) -> Any:
    return hook(call, below)


def _there(link: Connection, hook: Hook, call: Any, below: Next) -> Any:
    """*hook* is an ``async def``: it runs on the loop, and what is below it in this thread."""
    away = Excursion(link, None if call.outgoing else call.request)

    async def go_on(same: Any) -> Any:
        if same is not call:
            raise wrong_call()
        return await away.ashore(below, same)

    return away.run(lambda: hook(call, go_on))
