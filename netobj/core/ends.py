"""What users have of a stream: an iterator of what comes, or one end of a two-way stream.

Each class is there twice, for threads (:class:`Incoming`, :class:`Duplex`) and for event loops
(:class:`AsyncIncoming`, :class:`AsyncDuplex`). They differ in how they wait, which is the
connection's business: ``link.wait_until`` and ``link.wait_until_async``. When nobody has an end any
more, the peer is told with the next message, without waiting (a finalizer only queues that).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol

from netobj.core import values
from netobj.core.closing import Closing
from netobj.core.flow import Flow
from netobj.errors import ConnectionLost, ProtocolError, StreamClosed


class StreamLink(Protocol):
    """What the ends of streams need of their connection."""

    session: Any

    def flush(self) -> None:
        """Write what is queued, from any thread."""

    def wait_until(self, ready: Callable[[], bool], flow: Flow) -> None:
        """Wait in this thread until *ready*, which changes of *flow* may bring about."""

    async def wait_until_async(self, ready: Callable[[], bool], flow: Flow) -> None:
        """The same on an event loop."""


class _Receiver:
    """The receiving half."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._items: Iterator[Any] = iter(())
        self._unused = 0  # items of the chunk at hand, used up when the next one is taken

    def __repr__(self) -> str:
        state = "closed" if self._flow.over else "open"
        return f"<netobj.{type(self).__name__} {self._flow.number} ({state})>"

    def _take(self) -> bool:
        """Take the next chunk at hand; False where one has to wait. Raises at the end."""
        flow = self._flow
        if self._unused:
            credit = flow.used(self._unused)
            self._unused = 0
            if credit and flow.lost is None:
                flow.link.session.flows.grant(flow, credit)
                flow.link.flush()
        if flow.chunks and not flow.stopped:
            items, deferred = flow.chunks.popleft()
            self._unused = len(items)
            # One by one: what goes wrong with one item leaves the others as they are.
            self._items = map(values.complete, items) if deferred else iter(items)
            return True
        if flow.ended or flow.stopped:
            self._finish()
        if flow.lost is not None:
            raise ConnectionLost(flow.lost)
        return False

    def _finish(self) -> None:
        flow = self._flow
        error, flow.error = flow.error, None
        if error is None or flow.stopped:
            raise self._ends()
        exc = values.complete(error)
        if not issubclass(type(exc), BaseException):
            raise ProtocolError("a stream ended with an error that is no exception")
        raise exc

    def _ends(self) -> BaseException:
        raise NotImplementedError

    def _stop(self) -> None:
        self._items = iter(())
        self._unused = 0
        flow = self._flow
        flow.link.session.flows.stop(flow)
        if flow.lost is None:
            flow.link.flush()
            flow.notify()

    def detach(self) -> Flow:
        """The stream itself: this object is done with, another one takes its place."""
        flow, self._flow = self._flow, None  # type: ignore[assignment]
        return flow

    def __del__(self) -> None:
        flow = getattr(self, "_flow", None)
        if flow is not None and not flow.over:
            flow.link.session.boxing.dead.append(flow)  # told with the next message


class _Sender(_Receiver):
    """The sending half beside it."""

    def _send(self, item: Any) -> None:
        flow = self._flow
        if flow.lost is not None:
            raise ConnectionLost(flow.lost)
        if flow.sent_end:
            raise StreamClosed("this side has ended the stream: nothing can be sent any more")
        if flow.refused:
            raise StreamClosed("the other side has closed the stream and takes no more items")
        flow.link.session.flows.send_items(flow, (item,))
        flow.link.flush()

    def end(self, error: BaseException | None = None) -> None:
        """Send no more (the other side's iteration ends, with *error* if given); go on receiving.

        Ending twice does no harm.
        """
        flow = self._flow
        if flow.lost is None:
            flow.link.session.flows.end(flow, error)
            flow.link.flush()
            flow.notify()

    def close(self) -> None:
        """Neither send nor receive any more. Closing twice does no harm."""
        self._close(None)

    def finish(self, error: BaseException | None) -> None:
        """The method that had this end is over; StreamClosed is no *error* of its own."""
        self._close(None if isinstance(error, StreamClosed) and self._flow.refused else error)

    def _close(self, error: BaseException | None) -> None:
        self._stop()
        self.end(error)


class _Iterating(_Receiver, Iterator[Any]):
    """Iteration in a thread."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self._turn = [None]  # whoever takes it out may take the next chunk

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        for item in self._items:
            return item
        try:
            self._turn.pop()
        except IndexError:  # else both would take a chunk, and one would be lost
            raise ValueError(
                "another thread waits for the next item of this stream: one at a time may iterate"
            ) from None
        try:
            while True:
                for item in self._items:  # another thread may have been here
                    return item
                if not self._take():
                    self._flow.link.wait_until(self._flow.may_take, self._flow)
        finally:
            self._turn.append(None)

    def _ends(self) -> BaseException:
        return StopIteration()


class _AsyncIterating(_Receiver):
    """Iteration on an event loop."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        while True:
            for item in self._items:  # after waiting, too: another task may have been here
                return item
            if not self._take():
                await self._flow.link.wait_until_async(self._flow.may_take, self._flow)

    def _ends(self) -> BaseException:
        return StopAsyncIteration()


class Incoming(_Iterating, Closing):
    """The items of a remote method that is declared ``stream``, as they come.

    Items are sent ahead, more of them while this side keeps up; a slow consumer stops the
    producer. Leaving early (:meth:`close`, the end of a ``with`` block, or when nobody has the
    iterator any more) closes the generator over there. An error of the producer's is raised
    behind the items that it made before. Raises ConnectionLost when the connection ends, and
    ValueError, as generators do, while another thread waits for the next item.

    >>> import netobj
    >>> class Rows(netobj.Service):
    ...     @netobj.exposed(stream=True)
    ...     def rows(self, count):
    ...         yield from range(count)
    >>> with netobj.connect_thread(remote_service=Rows) as conn:
    ...     sum(conn.root.rows(1000))
    499500
    """

    def close(self) -> None:
        """Take no more items: the generator over there is closed."""
        self._stop()


class Duplex(_Sender, _Iterating):
    """One end of a two-way stream: :meth:`send` items, iterate over what the other end sends.

    A client opens one to a method by the method's name ``open``; the method gets the other end
    as its first argument. When the method returns (or raises), its end is closed.

    >>> import netobj
    >>> class Chat(netobj.Service):
    ...     @netobj.exposed
    ...     def shout(self, stream):
    ...         for text in stream:
    ...             stream.send(text.upper())
    >>> with netobj.connect_thread(remote_service=Chat) as conn:
    ...     with conn.root.shout.open() as stream:
    ...         stream.send("hello")
    ...         stream.end()
    ...         list(stream)
    ['HELLO']
    """

    def __init__(self, flow: Flow, lock: Any) -> None:
        super().__init__(flow)
        self._lock = lock  # lets one thread at a time wait for credit and send

    def send(self, item: Any) -> None:
        """Send *item*; waits while the other side does not keep up.

        Raises StreamClosed where either side has ended this direction, ConnectionLost.
        """
        with self._lock:
            while not self._flow.may_send():
                self._flow.link.wait_until(self._flow.may_send, self._flow)
            self._send(item)

    def receive(self) -> Any:
        """The next item of the other side's; raises EOFError when it has ended its direction.

        Raises ValueError while another thread waits for it, ConnectionLost.
        """
        for item in self:
            return item
        raise EOFError("the other side has ended the stream")

    def __enter__(self) -> Duplex:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(exc)


class AsyncIncoming(_AsyncIterating):
    """As :class:`Incoming`, for ``async for``; :meth:`aclose` ends it early."""

    async def aclose(self) -> None:
        """Take no more items: the generator over there is closed."""
        self._stop()

    async def __aenter__(self) -> AsyncIncoming:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class AsyncDuplex(_Sender, _AsyncIterating):
    """As :class:`Duplex`, for event loops: ``await s.send(x)``, ``async for y in s``."""

    async def send(self, item: Any) -> None:
        """Send *item*; waits while the other side does not keep up.

        Raises StreamClosed where either side has ended this direction, ConnectionLost.
        """
        while not self._flow.may_send():
            await self._flow.link.wait_until_async(self._flow.may_send, self._flow)
        self._send(item)

    async def receive(self) -> Any:
        """The next item of the other side's; raises EOFError when it has ended its direction."""
        async for item in self:
            return item
        raise EOFError("the other side has ended the stream")

    async def aclose(self) -> None:
        """Neither send nor receive any more."""
        self.close()

    async def __aenter__(self) -> AsyncDuplex:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(exc)
