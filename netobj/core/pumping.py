"""Sending the items of an iterator as a stream, as many ahead as the consumer's pace allows.

Items gather in a batch, which doubles while the producer is quick: the first item leaves at once.
An item never waits long for the next one: when a batch begins the front-end is asked to have
:meth:`Batch.flush` called soon, by whoever is free, and a batch that somebody else had to flush
makes the next ones small again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from netobj.core.flow import Flow
from netobj.errors import CallCancelled

MOST_IN_BATCH: Final = 512


class Batch:
    """The items of a stream that are on their way to a message.

    Items leave in order, since only one thread at a time sends; another leaves its items to that
    one, and waits for nothing. *lock* protects who that is: it is held for a look at two flags.
    *soon* has :meth:`flush` called in a moment.
    """

    def __init__(
        self,
        flow: Flow,
        lock: AbstractContextManager[object],
        soon: Callable[[Batch], object],
    ) -> None:
        self.flow = flow
        self.size = 1
        self.failure: Exception | None = None
        self.finished = False  # no more items will be added
        self._lock = lock
        self._soon = soon
        self._items: deque[Any] = deque()
        self._produced = 0
        self._sending = False
        self._ended = False
        self._error: BaseException | None = None

    def may_go_on(self) -> bool:
        """There is credit for an item, or no more are to be made."""
        flow = self.flow
        if flow.refused or self.failure is not None:
            return True
        if self._produced >= flow.granted:
            return False
        if self._items or not flow.link.congested():
            return True
        flow.link.when_room(flow.notify)
        return flow.lost is not None

    def add(self, item: Any) -> bool:
        """One item more, for which there is credit; True if a message left."""
        self._items.append(item)
        self._produced += 1
        count = len(self._items)
        if count >= self.size:
            self.send()
            self.size = min(2 * self.size, MOST_IN_BATCH)
            return True
        if count == 1:
            self._soon(self)
        return False

    def flush(self) -> None:
        """Send what has gathered; called by another than the producer: it is a slow one."""
        if self._items:
            self.size = 1
            self.send()

    def finish(self, error: BaseException | None = None) -> None:
        """Send what has gathered, and the end. Never raises for what cannot be sent."""
        self._error = error
        self.finished = True
        self.send()

    def send(self) -> None:
        """Send what has gathered; called by the producer."""
        while self._claim():
            try:
                finished = self.finished  # looked at before the items: none comes after it
                self._send_items()
                if finished:
                    self._send_end()
            finally:
                self._sending = False
            self.flow.link.flush()

    def _claim(self) -> bool:
        with self._lock:
            has_work = self._items or (self.finished and not self._ended)
            if self._sending or not has_work:
                return False
            self._sending = True
            return True

    def _send_items(self) -> None:
        flow = self.flow
        items = tuple([self._items.popleft() for _ in range(len(self._items))])
        if items and flow.lost is None and self.failure is None:
            try:
                flow.link.session.flows.send_items(flow, items)
            except Exception as exc:  # an item that cannot travel: it ends the stream
                self.failure = exc

    def _send_end(self) -> None:
        self._ended = True
        flow = self.flow
        if flow.lost is None:
            error = None if flow.refused else self.failure or self._error
            flow.link.session.flows.end(flow, error)


def pump(batch: Batch, items: Any) -> None:
    """Send what the iterator *items* yields until it ends, or nobody wants any more; close it.

    Runs in a thread that may wait. Raises only what is no ``Exception``.
    """
    try:
        while not pump_some(batch, items):
            batch.flow.link.wait_until(batch.may_go_on, batch.flow)
    except BaseException as exc:  # of the waiting, unless it is in the stream already
        _finish(batch, items, exc)
        if not isinstance(exc, Exception):
            raise


def pump_some(batch: Batch, items: Any, give_up: bool = False) -> bool:
    """As :func:`pump`, as far as there is credit; True when it is over (at once if *give_up*)."""
    flow = batch.flow
    error: BaseException | None = None
    if give_up:
        error = CallCancelled("the producer of the stream was given up before its end")
    try:
        advance = items.__next__
        while not (give_up or flow.refused or batch.failure is not None):
            if not batch.may_go_on():
                batch.send()
                return False
            try:
                item = advance()
            except StopIteration:
                break
            batch.add(item)
    except Exception as exc:
        error = exc
    except BaseException as exc:
        _finish(batch, items, exc)
        raise
    _finish(batch, items, error)
    return True


def _finish(batch: Batch, items: Any, error: BaseException | None) -> None:
    """Close *items*, if that can be done, and end the stream; the latest error counts."""
    if batch.finished:
        return
    try:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    except BaseException as exc:
        error = exc
        if not isinstance(exc, Exception):
            raise
    finally:
        batch.finish(error)


async def pump_async(batch: Batch, items: Any, pause: Callable[[], Awaitable[None]]) -> None:
    """As :func:`pump`, of an asynchronous iterator, in a task.

    *pause* lets other tasks run: a producer that never waits must not keep the loop to itself.
    """
    flow = batch.flow
    error: BaseException | None = None
    try:
        advance = items.__anext__
        while not (flow.refused or batch.failure is not None):
            if not batch.may_go_on():
                batch.send()
                await flow.link.wait_until_async(batch.may_go_on, flow)
                continue
            try:
                item = await advance()
            except StopAsyncIteration:
                break
            if batch.add(item):
                await pause()
    except Exception as exc:
        error = exc
    except BaseException as exc:
        await _finish_async(batch, items, exc)
        raise
    await _finish_async(batch, items, error)


async def _finish_async(batch: Batch, items: Any, error: BaseException | None) -> None:
    try:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
    except BaseException as exc:
        error = exc
        if not isinstance(exc, Exception):
            raise
    finally:
        batch.finish(error)
