"""Worker threads of an asyncio connection: plain ``def`` methods use blocking proxies in there.

What such a method is given are the proxies of the blocking skin, on the same handles; what it asks
through them is sent through the loop, and its thread waits. A call of the peer's that belongs to
the chain in which a thread waits runs in that thread, so recursion cannot use up the workers.
"""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from netobj.aio import chains
from netobj.aio.reference import Reference
from netobj.calls import time_for_stream
from netobj.core import values
from netobj.core.ends import AsyncDuplex, AsyncIncoming, Duplex, Incoming
from netobj.core.flow import Flow
from netobj.core.keeping import Keeper
from netobj.core.netref import proxy_for
from netobj.core.numbers import numbers
from netobj.errors import AsyncResultTimeout, ProtocolError


class ThreadWaiter(Keeper):
    """A worker thread's place to wait for the answer to one request.

    The loop puts into its queue what the thread is to do next: a request to run, with its
    dispatcher, or None when the answer is there. The thread takes out. A request that comes at the
    moment when the thread leaves is taken out by whoever sees it, and runs elsewhere.
    """

    of_task = False  # the thread waits for a task of the loop's, which may call in its chain

    def __init__(self, link: Any, name: tuple[int, Any, Any], since: float) -> None:
        self.link = link
        self.seq = 0
        self.chain = 0
        self.name = name
        self.since = since
        self.thread = threading.get_ident()
        self.where = f"thread {threading.current_thread().name!r}"
        self.done = False
        self._news: SimpleQueue[tuple[Any, Any] | None] = SimpleQueue()
        self._gone = False  # the thread looks no more
        self._ok = True
        self._answer: Any = None
        self._deferred = False

    def complete(self, ok: bool, answer: Any, deferred: bool) -> None:
        """The answer has come, or never will; on the loop."""
        self._ok, self._answer, self._deferred = ok, answer, deferred
        self.done = True
        self._news.put(None)

    def assign(self, dispatcher: Any, request: Any) -> None:
        """Let the waiting thread run *request*; on the loop of *dispatcher*."""
        self._news.put((dispatcher, request))
        if self._gone:
            self._hand_on()

    def _hand_on(self) -> None:
        while not self._news.empty():
            try:
                job = self._news.get_nowait()
            except Empty:  # taken by the other one just now
                return
            if job is not None:
                job[0].run_elsewhere(job[1])

    @contextmanager
    def in_chain(self) -> Iterator[int]:
        """The chain of the thread's call; in the block it is listed as waiting in there."""
        chain = chains.serving.get()
        if chain is None:
            chain = next(numbers.chains)
        self.chain = chain
        chains.enter(chain, self)
        try:
            yield chain
        finally:
            chains.leave(chain, self)
            self._gone = True
            self._hand_on()
            self.let_go()

    def wait(self, deadline: float | None) -> Any:
        """Wait, run jobs meanwhile, and return the answer or raise it."""
        try:
            while not self.done:
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                job = self._news.get(timeout=timeout)
                if job is not None:
                    job[0].run_in_thread(job[1])
        except Empty:
            self._give_up()
            raise AsyncResultTimeout("no answer came before the deadline") from None
        except BaseException:
            self._give_up()
            raise
        return self._outcome()

    def _give_up(self) -> None:
        self.done = True
        self.link.session.cancel(self.seq)
        self.link.flush()

    def _outcome(self) -> Any:
        answer = self._answer
        if self._ok:
            return values.complete(answer) if self._deferred else answer
        try:
            error = self.link.session.failure(answer)
        except ProtocolError as exc:
            self.link.broken_from_thread(exc)
            raise
        try:
            raise error
        finally:
            error = None  # no cycle through this frame


def wait_in_thread(ready: Callable[[], bool], flow: Flow) -> None:
    """Block until *ready*, which changes of *flow* may bring about.

    Raises AsyncResultTimeout when a ``netobj.deadline`` of this thread passes first.
    """
    while not ready():
        left = time_for_stream()
        signal = threading.Event()
        flow.subscribe(signal.set)
        try:
            if not ready():
                signal.wait(left)
        finally:
            flow.unsubscribe(signal.set)


def as_blocking(value: Any) -> Any:
    """*value* as a thread uses it: references as blocking proxies, streams likewise."""
    kind = type(value)
    if kind is Reference:
        return proxy_for(value.____handle__)
    if kind is AsyncIncoming or kind is AsyncDuplex:
        return _moved(value)
    if kind is tuple:
        return tuple(map(as_blocking, value))
    if kind is list:
        items = list(map(as_blocking, value))
        return value if all(map(operator.is_, items, value)) else items  # it may be one of ours
    if kind is dict:
        changed = {key: as_blocking(item) for key, item in value.items()}
        return value if all(map(operator.is_, changed.values(), value.values())) else changed
    return value


def _moved(end: AsyncIncoming | AsyncDuplex) -> Incoming | Duplex:
    flow = end.detach()
    return Incoming(flow) if type(end) is AsyncIncoming else Duplex(flow, threading.Lock())
