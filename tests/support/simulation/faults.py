"""Cores that are broken on purpose: does the simulation notice, and how soon?

Each function is given monkeypatch's ``setattr`` and breaks the core in one way. ``python
tests/simulation/replay.py --faults`` says after how many seeds each is found.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from netobj.core.boxing import Boxing, Outgoing
from netobj.core.consts import Kind
from netobj.core.events import Request
from netobj.core.flow import Flow
from netobj.core.flows import Flows
from netobj.core.framing import FrameReader
from netobj.core.receiving import Receiving
from netobj.core.session import Session

Patch = Callable[[Any, str, Any], object]


def release_counted_twice(patch: Patch) -> None:
    """A dead reference is told of with twice its count."""
    take_dead = Boxing.take_dead

    def broken(self: Any, most: int) -> Any:
        flat, answered, flows = take_dead(self, most)
        return [2 * n if i % 2 else n for i, n in enumerate(flat)], answered, flows

    patch(Boxing, "take_dead", broken)


def second_arrival_not_counted(patch: Patch) -> None:
    """A reference that comes again while its handle lives is counted once."""
    import_ = Boxing._import

    def broken(self: Any, data: bytes) -> Any:
        handle = import_(self, data)
        self.imports[handle.id].count = 1
        return handle

    patch(Boxing, "_import", broken)


def release_takes_all(patch: Patch) -> None:
    """A release drops the object, though it was sent again meanwhile."""
    release = Boxing.release

    def broken(self: Any, released: Any) -> Any:
        all_of_it = []
        for number, count in released:
            export = self.exports.get(number)
            all_of_it.append((number, count if export is None else export.count))
        return release(self, all_of_it)

    patch(Boxing, "release", broken)


def id_used_again(patch: Patch) -> None:
    """The last id is given again when its object was let go."""
    drop = Boxing._drop

    def broken(self: Any, export: Any) -> Any:
        if export.id == self._last_id:
            self._last_id -= 1
        return drop(self, export)

    patch(Boxing, "_drop", broken)


def number_of_a_request_used_again(patch: Patch) -> None:
    """The numbers of requests begin again after some."""
    init = Session.__init__

    def broken(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **{**kwargs, "sequence": cycle(range(1, 12))})

    patch(Session, "__init__", broken)


def cancel_of_a_call_that_has_ended(patch: Patch) -> None:
    """CANCEL is sent though the answer is there."""

    def broken(self: Any, seq: int, interrupt: bool = False) -> None:
        if self.lost is None:
            self._queue([Kind.CANCEL, seq, interrupt])

    patch(Session, "cancel", broken)


def end_of_a_stream_lost(patch: Patch) -> None:
    """A stream that has no items has no end."""
    send_end = Flows._send_end

    def broken(self: Any, flow: Flow) -> None:
        if flow.sent:
            send_end(self, flow)
        else:
            self._forget_if_over(flow)

    patch(Flows, "_send_end", broken)


def credit_lost(patch: Patch) -> None:
    """Credit is not granted."""
    patch(Flows, "grant", lambda self, flow, count: None)


def more_than_granted(patch: Patch) -> None:
    """Whoever sends does not look at the credit."""
    patch(Flow, "may_send", lambda self: True)


def answer_never_forgotten(patch: Patch) -> None:
    """The peer is not told that it need not keep an answer."""
    patch(Boxing, "settled", lambda self, promise: None)


def answer_leaves_its_request_pending(patch: Patch) -> None:
    """An answer is handed out, and its request stays in the table."""
    patch(Receiving, "_answered", lambda self, seq: self.pending[seq])


def waiting_call_forgotten_at_the_end(patch: Patch) -> None:
    """One of the calls that wait when the connection ends is not told."""
    lose = Session.lose
    patch(Session, "lose", lambda self, reason: lose(self, reason)[1:])


def goodbye_denies_what_runs(patch: Patch) -> None:
    """A goodbye says of every call that it was not started."""
    start = Request.start
    goodbye = Session.goodbye

    def broken(self: Any, reason: str) -> None:
        patch(Request, "start", lambda self: start(self) or True)
        goodbye(self, reason)
        patch(Request, "start", start)

    patch(Session, "goodbye", broken)


def message_not_sent_keeps_its_references(patch: Patch) -> None:
    """What a message exports stays counted when it cannot be sent."""
    patch(Outgoing, "roll_back", lambda self: None)


def described_before_it_was_sent(patch: Patch) -> None:
    """A class counts as described by a message that was not sent."""
    roll_back = Outgoing.roll_back

    def broken(self: Any) -> None:
        roll_back(self)
        self._boxing.described |= frozenset(self.described)

    patch(Outgoing, "roll_back", broken)


def pong_lost(patch: Patch) -> None:
    """Pings are answered only when something else came with them."""

    def broken(self: Any) -> None:
        self._pongs.clear()

    patch(Receiving, "_answer_pings", broken)


def room_counted_twice(patch: Patch) -> None:
    """Bytes that were put into the memory of a big value count for two frames."""
    advance = FrameReader.advance

    def broken(self: Any, count: int) -> None:
        advance(self, count)
        self._raw_frame_left = max(0, self._raw_frame_left - 1)

    patch(FrameReader, "advance", broken)


def time_stands_still(patch: Patch) -> None:
    """A deadline counts from when the connection began."""
    receive_extras = Receiving._receive_extras

    def broken(self: Any, request: Any, extras: Any) -> None:
        self._now = 1000.0
        receive_extras(self, request, extras)

    patch(Receiving, "_receive_extras", broken)


def impatient_heartbeat(patch: Patch) -> None:
    """The peer is given up as soon as a ping is due."""
    tick = Session.tick

    def broken(self: Any, now: float) -> Any:
        tick(self, now)
        return tick(self, now + self.config.heartbeat_timeout)

    patch(Session, "tick", broken)


def events_out_of_order(patch: Patch) -> None:
    """What came at once is handed out backwards."""
    receive_data = Receiving.receive_data

    def broken(self: Any, *args: Any) -> Any:
        events = receive_data(self, *args)
        return events[::-1] if type(events) is list else events

    patch(Receiving, "receive_data", broken)


def exceptions_do_not_come_home(patch: Patch) -> None:
    """An exception of ours that comes back is built anew."""
    patch(Session, "_left_home", lambda self, number: None)


FAULTS: dict[str, Callable[[Patch], None]] = {
    name: function
    for name, function in list(globals().items())
    if getattr(function, "__module__", "") == __name__ and name.islower() and callable(function)
}
