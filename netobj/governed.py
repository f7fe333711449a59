"""Keeping the rules of a call on an event loop, and what holds a slot for longer than the call.

Both skins use it: an ``async def`` waits for its slot, and is cancelled at its time limit, on the
loop on which it runs. What streams, converses or is awaited later takes the lease of its call
along, and ends it when it has ended itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from netobj.core.outcomes import Awaited, Opened, Ruled, Streamed, close_unawaited
from netobj.errors import AsyncResultTimeout, CallCancelled
from netobj.gates import Entrance, Lease, Place

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future


def too_late(ruled: Ruled) -> AsyncResultTimeout:
    """What the caller is told when the time limit of the function has passed."""
    return AsyncResultTimeout(
        f"{ruled.name} ran longer than its time limit, {ruled.exposure.timeout} s"
    )


def too_late_to_start(ruled: Ruled) -> AsyncResultTimeout:
    """The same of the caller's own deadline, when the call has not begun."""
    return AsyncResultTimeout(f"the deadline of the call passed while {ruled.name} was busy")


def check_connected(connection: Any) -> None:
    """Raise CallCancelled where those that ran have made room only since the connection ended."""
    if connection.session.lost is not None:
        raise CallCancelled("the connection ended before the call began")


async def admitted(ruled: Ruled, connection: Any, deadline: float | None) -> Lease | None:
    """A lease, once there is one, None where there is no limit. Raises Busy, AsyncResultTimeout."""
    if ruled.exposure.limit is None:
        return None
    asyncio = sys.modules["asyncio"]
    loop = asyncio.get_running_loop()
    turn: Future[None] = loop.create_future()
    place = Place(lambda: _soon(loop, _fulfil, turn))
    entrance = Entrance(ruled, connection)
    lease = entrance.enter(place)
    if lease is not None:
        return lease
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        await asyncio.wait((turn,), timeout=left)
        if not place.inside:
            raise too_late_to_start(ruled)
        check_connected(connection)
    except BaseException:
        entrance.withdraw(place)
        raise
    return entrance.lease()


def _soon(loop: AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:  # the loop was closed under the one who waits; its task withdraws
        pass


def _fulfil(turn: Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


async def within(awaitable: Awaitable[Any], ruled: Ruled) -> Any:
    """What *awaitable* comes to; cancelled at the time limit, and AsyncResultTimeout raised."""
    seconds = ruled.exposure.timeout
    if seconds is None:
        return await awaitable
    asyncio = sys.modules["asyncio"]
    loop = asyncio.get_running_loop()
    limit = _TimeLimit(asyncio.current_task())
    timer = loop.call_later(seconds, limit.expire)
    try:
        result = await awaitable
    except asyncio.CancelledError:
        if limit.passed and limit.was_alone():
            raise too_late(ruled) from None
        raise
    finally:
        timer.cancel()
    if limit.passed:  # it did not heed being cancelled
        limit.was_alone()
        raise too_late(ruled)
    return result


class _TimeLimit:
    """Cancels a task."""

    def __init__(self, task: Any) -> None:
        self.passed = False
        self._task = task

    def expire(self) -> None:
        self.passed = True
        self._task.cancel()

    def was_alone(self) -> bool:
        """Whether nobody else has cancelled the task; from Python 3.11 on that is known."""
        uncancel = getattr(self._task, "uncancel", None)
        return uncancel is None or uncancel() == 0


async def run_on_loop(ruled: Ruled, connection: Any, deadline: float | None) -> object:
    """Call the function on this loop, when it is its turn; returns the outcome."""
    lease = await admitted(ruled, connection, deadline)
    return await run_admitted(ruled, lease)


async def run_admitted(ruled: Ruled, lease: Lease | None) -> object:
    """As :func:`run_on_loop`, of a call that has been let in."""
    outcome: object = None
    try:
        outcome = ruled.run()
        if type(outcome) is Awaited:
            outcome = outcome.finish(await within(outcome.awaitable, ruled))
    except BaseException:
        if lease is not None:
            lease.end()
        raise
    return kept(outcome, lease)


def kept(outcome: Any, lease: Lease | None) -> object:
    """*outcome*, which ends *lease* when it has ended; what is a value has ended already."""
    if lease is None:
        return outcome
    kind = type(outcome)
    if kind is Streamed:
        held = _HeldAsync if outcome.asynchronous else _Held
        return Streamed(held(outcome.items, lease))
    if kind is Opened:
        return _held_opened(outcome, lease)
    if kind is Awaited:
        return Awaited(_HeldAwaitable(outcome, lease), outcome.finish, outcome.in_order)
    lease.end()
    return outcome


class _Held:
    """An iterator that ends a lease with itself."""

    def __init__(self, items: Any, lease: Lease) -> None:
        self._items = items
        self._lease = lease

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._items)
        except BaseException:
            self._lease.end()
            raise

    def close(self) -> None:
        try:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        finally:
            self._lease.end()


class _HeldAsync:
    """The same of an asynchronous one."""

    def __init__(self, items: Any, lease: Lease) -> None:
        self._items = items
        self._lease = lease

    async def __anext__(self) -> Any:
        try:
            return await self._items.__anext__()
        except BaseException:
            self._lease.end()
            raise

    async def aclose(self) -> None:
        try:
            close = getattr(self._items, "aclose", None)
            if close is not None:
                await close()
        finally:
            self._lease.end()


class _HeldAwaitable:
    """What a plain function has returned to be awaited."""

    def __init__(self, awaited: Awaited, lease: Lease) -> None:
        self._awaited = awaited
        self._lease = lease

    def __await__(self) -> Any:
        try:
            return (yield from self._awaited.awaitable.__await__())
        finally:
            self._lease.end()

    def close(self) -> None:
        """It will not be awaited."""
        close_unawaited(self._awaited)
        self._lease.end()


def _held_opened(opened: Opened, lease: Lease) -> Opened:
    function = opened.function

    def converse(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            lease.end()

    async def converse_async(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        finally:
            lease.end()

    work = converse_async if opened.asynchronous else converse
    return Opened(work, opened.args, opened.kwargs)


def discard(outcome: Any) -> None:
    """Nobody waits any more for what a function has come to after all."""
    close_unawaited(outcome)
    if type(outcome) is Streamed and not outcome.asynchronous:
        close = getattr(outcome.items, "close", None)
        if close is not None:
            close()
