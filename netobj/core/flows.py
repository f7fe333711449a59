"""The flows of one connection: their messages, out and in.

On the wire a flow's number is positive in the messages of the side that made it. Its life: it
exists for the maker from :meth:`Flows.open` on, for the other side when the value that announces
it arrives; on each side it is forgotten when both halves have ended there. So CREDIT and STOP may
come for a flow that this side has forgotten, since they cross its END: they mean nothing then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from netobj.core.boxing import MAX_NUMBER, Raised
from netobj.core.consts import Kind
from netobj.core.flow import Flow
from netobj.core.vinegar import unsendable
from netobj.errors import Busy, ProtocolError, StreamClosed

Send = Callable[..., None]
"""Queues a message: its kind, the number of a flow and, where there is one, a value."""


class Flows:
    """The table of flows. *send* queues a message, *raised* marks an exception to travel.

    Sending is open to every thread, one at a time for each flow; receiving belongs to whoever
    reads the connection. The table's entries come and go in single dict operations. *guard*, the
    connection's, protects the giving of numbers, and which items go in front of an end.
    """

    def __init__(
        self,
        link: Any,
        send: Send,
        raised: Callable[[BaseException], Raised],
        guard: AbstractContextManager[object],
        most: int,
    ) -> None:
        self._link = link
        self._send = send
        self._raised = raised
        self._guard = guard
        self._most = self._most_made = most
        self._lost: str | None = None
        self._table: dict[int, Flow] = {}
        self._last_made = 0
        self._last_met = 0

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Flow]:
        return iter(list(self._table.values()))

    # --- out -----------------------------------------------------------------------------

    def open(self, two_way: bool) -> Flow:
        """A new flow of this side's, to be sent as a value. Raises Busy where many are open."""
        with self._guard:
            count = len(self._table)
            if count >= self._most_made:
                raise Busy(f"{count} streams are open on this connection, as many as it may")
            self._last_made += 1
            number = self._last_made
            flow = self._table[number] = Flow(self._link, number, sends=True, receives=two_way)
        self._check_still_there(flow)
        return flow

    def set_peer_limit(self, most: int) -> None:
        """The peer accepts *most* streams of this side's."""
        self._most_made = min(self._most, most)

    def _check_still_there(self, flow: Flow) -> None:
        # The end may have come before the flow was in the table, where it would not be found.
        if self._lost is not None:
            self._table.pop(flow.number, None)
            _lose(flow, self._lost)

    def drop(self, flow: Flow) -> None:
        """*flow* was never announced: it has not existed."""
        self._table.pop(flow.number, None)
        flow.sent_end = flow.ended = True

    def send_items(self, flow: Flow, items: tuple[Any, ...]) -> None:
        """Send *items*, for which there is credit.

        Raises NotEncodable, LimitExceeded, and what else the first item that cannot travel
        raises; those before it have been sent. Raises StreamClosed after the end.
        """
        with self._guard:
            if flow.sent_end:
                raise StreamClosed("this side has ended the stream: no more items can be sent")
            flow.sending += 1
        try:
            self._send_items(flow, items)
        finally:
            if self._end_waits_no_longer(flow):
                self._send_end(flow)

    def _end_waits_no_longer(self, flow: Flow) -> bool:
        with self._guard:
            flow.sending -= 1
            return flow.sent_end and not flow.sending

    def _send_items(self, flow: Flow, items: tuple[Any, ...]) -> None:
        try:
            self._send(Kind.ITEMS, flow.number, (*items,))
        except Exception:
            if len(items) == 1:
                raise
            middle = len(items) // 2
            self._send_items(flow, items[:middle])
            self._send_items(flow, items[middle:])
        else:
            flow.sent += len(items)

    def grant(self, flow: Flow, count: int) -> None:
        """Let the peer send *count* items more."""
        self._send(Kind.CREDIT, flow.number, count)

    def end(self, flow: Flow, error: BaseException | None = None) -> None:
        """This side sends no more, because of *error* if there is one; only the first time counts.

        The end goes behind items that other threads are sending.
        """
        if self.claim_end(flow, error):
            self._send_end(flow)

    def claim_end(self, flow: Flow, error: BaseException | None = None) -> bool:
        """True for the one who may send the end of *flow*."""
        with self._guard:
            if flow.sent_end:
                return False
            flow.last_words = error
            flow.sent_end = True
            return not flow.sending

    def _send_end(self, flow: Flow) -> None:
        error, flow.last_words = flow.last_words, None
        if error is None:
            self._send(Kind.END, flow.number)
        else:
            try:
                self._send(Kind.END, flow.number, self._raised(error))
            except Exception as exc:
                error = unsendable("a stream ended with", error, exc)
                self._send(Kind.END, flow.number, self._raised(error))
        self._forget_if_over(flow)

    def stop(self, flow: Flow) -> None:
        """This side takes no more; what comes until the peer's END is dropped."""
        if flow.stopped:
            return
        flow.stopped = True
        flow.chunks.clear()
        flow.error = None
        if not flow.over and not flow.ended:
            self._send(Kind.STOP, flow.number)

    def give_up(self, flow: Flow) -> None:
        """Nobody here has *flow* any more, and the peer has been told."""
        flow.stopped = flow.sent_end = True
        flow.chunks.clear()
        self._forget_if_over(flow)

    def _forget_if_over(self, flow: Flow) -> None:
        if flow.over:
            self._table.pop(flow.number, None)

    # --- in ------------------------------------------------------------------------------

    def accept(self, wire_number: Any, two_way: Any) -> Flow:
        """The flow that the peer announces. Raises ProtocolError."""
        if type(wire_number) is not int or not 0 < wire_number < MAX_NUMBER:
            raise ProtocolError("a stream is announced by a number of 63 bits")
        if type(two_way) is not bool or -wire_number in self._table:
            raise ProtocolError(f"the stream {wire_number} was announced wrongly, or twice")
        if len(self._table) >= 2 * self._most:  # half of it may be ours
            raise ProtocolError("more streams are open than this side's limit allows")
        self._last_met = max(self._last_met, wire_number)
        flow = Flow(self._link, -wire_number, sends=two_way, receives=True)
        self._table[flow.number] = flow
        self._check_still_there(flow)
        return flow

    def receive_items(self, message: tuple[Any, ...], deferred: bool, size: int) -> Flow | None:
        """Items have come, in a message of *size* bytes. Raises ProtocolError."""
        if len(message) != 3:
            raise ProtocolError("a message with items has 3 fields")
        _, number, items = message
        flow = self._sender(number)
        if type(items) is not tuple or not items or flow.received + len(items) > flow.allowed:
            raise ProtocolError("a stream brought no items, or more than were granted")
        flow.arrived(len(items), size)
        if not flow.stopped:
            flow.chunks.append((items, deferred))
        return flow

    def receive_end(self, message: tuple[Any, ...], deferred: bool, size: int) -> Flow:
        """The peer sends no more. Raises ProtocolError."""
        if not 2 <= len(message) <= 3:
            raise ProtocolError("the end of a stream has 2 or 3 fields")
        flow = self._sender(message[1])
        if flow.stopped:
            flow.chunks.clear()  # what came at the moment of the stop
        elif len(message) == 3:
            flow.error = message[2]
        flow.ended = True
        self._forget_if_over(flow)
        return flow

    def receive_credit(self, message: tuple[Any, ...], deferred: bool, size: int) -> Flow | None:
        """The peer lets this side send more. Raises ProtocolError."""
        if len(message) != 3 or type(message[2]) is not int or not 0 < message[2] < MAX_NUMBER:
            raise ProtocolError("credit is a positive number of items")
        flow = self._receiver(message[1])
        if flow is not None:
            flow.granted += message[2]
        return flow

    def receive_stop(self, message: tuple[Any, ...], deferred: bool, size: int) -> Flow | None:
        """The peer takes no more. Raises ProtocolError."""
        if len(message) != 2:
            raise ProtocolError("a stop has 2 fields")
        flow = self._receiver(message[1])
        if flow is not None:
            flow.refused = True
            if flow.request is not None:
                flow.request.cancelled = True
        return flow

    def _sender(self, number: Any) -> Flow:
        """The flow of the wire's *number*, in which the peer may still send."""
        flow = self._table.get(-number) if type(number) is int else None
        if flow is None or flow.ended:
            raise ProtocolError("the peer sent in a stream that is not open on its side")
        return flow

    def _receiver(self, number: Any) -> Flow | None:
        """The flow of the wire's *number*; None if it has ended here."""
        known = type(number) is int and -self._last_made <= number <= self._last_met
        if not known or not number:
            raise ProtocolError("the peer spoke of a stream that never was")
        return self._table.get(-number)

    # --- the end ---------------------------------------------------------------------------

    def lose(self, reason: str) -> list[Flow]:
        """The connection has ended because of *reason*; returns the flows that were open."""
        self._lost = reason
        flows = []
        while self._table:
            try:
                flows.append(self._table.popitem()[1])
            except KeyError:  # another thread was faster
                break
        for flow in flows:
            _lose(flow, reason)
        return flows


def _lose(flow: Flow, reason: str) -> None:
    flow.lost = reason
    flow.refused = True
