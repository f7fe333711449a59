"""What one side of a connection sends: messages are packed, looked at, and queued in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from netobj.core import values
from netobj.core.bounds import check_message, nests_deeper, unchecked
from netobj.core.boxing import MOST_BIG, Outgoing
from netobj.core.compressing import WORTH, codecs, compressed
from netobj.core.config import Compression
from netobj.core.consts import HEADER_SIZE, Kind, Limit
from netobj.core.flow import Flow
from netobj.core.framing import frame, raw_frames
from netobj.core.receiving import HEAVY, Receiving
from netobj.core.values import NotPlain
from netobj.errors import LimitExceeded

Wire = bytes | memoryview

_COMPRESSED: Final = int(Kind.COMPRESSED)
_RELEASE: Final = int(Kind.RELEASE)
_FORGET: Final = int(Kind.FORGET)
_RELEASES_AT_ONCE: Final = 10_000  # in one message, if the peer's limits have room for them
ENVELOPE: Final = 16
"""Bytes of a message around its list of numbers, at the most."""
NUMBER: Final = 9
"""Bytes of a number, at the most."""


class Sending(Receiving):
    """Queues messages, and counts what the peer has room for."""

    out: deque[Wire]  # what is to be written; each message is appended in one atomic step
    heavy: dict[int, int]  # our requests that have many bytes: seq -> how many
    _codec: Compression | None = None  # both sides have agreed that messages are so compressed

    def _send(self, kind: int, number: int, value: object) -> None:
        """Box *value*, pack and queue a message of these three."""
        if values.is_plain_value(value) and not self._nests((value,)):
            try:
                self._queue([kind, number, value])
                return
            except NotPlain:
                pass
        out = Outgoing(self.boxing)
        try:
            self._queue([kind, number, self.boxing.box(value, out)], out.raw)
        except BaseException:
            out.roll_back()
            raise
        out.commit()

    def _tell(self, kind: Kind, number: int, *value: object) -> None:
        """Queue a message about a flow."""
        if value:
            self._send(int(kind), number, value[0])
        else:
            self._queue([int(kind), number])

    def _queue_request(
        self, request: list[Any], args: tuple[Any, ...], admit: Callable[[int], None]
    ) -> None:
        """Pack and queue *request*, which has *args*, and box what is more than plain values."""
        target, path = request[4:6]
        if type(target) is int and type(path) is not list and values.is_plain(args):
            if not self._nests(args):
                try:
                    self._queue(request, None, admit)
                    return
                except NotPlain:
                    pass
        self._queue_boxed(request, admit)

    def _queue_boxed(self, request: list[Any], admit: Callable[[int], None]) -> None:
        out = Outgoing(self.boxing, pipes=True)
        try:
            _, _, _, _, target, path, args, *_ = request
            if type(target) is tuple:  # the target itself
                request[4] = [out.box(target[0])]
            if type(path) is list:
                request[5] = [out.box(step) for step in path]
            request[6] = [out.box(item) for item in args]
            self._queue(request, out.raw, admit)
        except BaseException:
            out.roll_back()
            raise
        out.commit()

    def _queue(
        self,
        message: list[Any],
        raw: list[bytes | memoryview] | None = None,
        admit: Callable[[int], None] | None = None,
    ) -> None:
        body = values.pack(message)
        size = len(body)
        if size > self._unchecked:
            data = frame(self._checked(body))
        else:
            data = size.to_bytes(HEADER_SIZE, "big") + body
        behind = self._raw_frames(raw) if raw else ()
        if admit is not None:
            total = size + sum(map(len, raw)) if raw else size
            if total > HEAVY:
                admit(total)
        if self.boxing.dead:  # nothing may fail from here on: what was taken has to leave
            data = self._releases() + data
        if behind:
            self.out.extend((data, *behind))
        else:
            self.out.append(data)

    def _raw_frames(self, raw: list[bytes | memoryview]) -> list[Wire]:
        behind: list[Wire] = []
        size = sum(map(len, raw))
        if size > self.peer_limits[Limit.RAW]:
            raise LimitExceeded(f"a value of {size} bytes is above the peer's limit")
        if len(raw) > MOST_BIG:
            raise LimitExceeded(f"a message has at most {MOST_BIG} big values, and not {len(raw)}")
        for value in raw:
            behind += raw_frames(value)
        return behind

    def _checked(self, body: bytes) -> bytes:
        """The long message *body* as it is sent, compressed perhaps. Raises LimitExceeded."""
        if len(body) > self.peer_limits[Limit.FRAME]:
            raise LimitExceeded(
                f"the message is {len(body)} bytes long and the peer accepts "
                f"{self.peer_limits[Limit.FRAME]}: send less at once, or bytes, which have a "
                "limit of their own"
            )
        if len(body) > unchecked(self.peer_limits):
            check_message(body, self.peer_limits)
        return body if self._codec is None else self._compressed(self._codec, body)

    def _agree(self, codec: Compression) -> None:
        if codec.value in self.peer_features and codec.value in codecs():
            self._codec = codec
            self._unchecked = min(self._unchecked, WORTH)

    def _compressed(self, codec: Compression, body: bytes) -> bytes:
        data = compressed(codec, body)
        if data is None:
            return body
        wrapped = values.pack([_COMPRESSED, codec.value, len(body), data])
        return wrapped if len(wrapped) < len(body) else body

    def _nests(self, items: tuple[Any, ...]) -> bool:
        """Whether there may be more levels in *items* than the peer takes: boxing refuses them."""
        return tuple in map(type, items) and nests_deeper(items, self.boxing.peer_nesting)

    # --- what has died here --------------------------------------------------------------------

    def flush_releases(self) -> bool:
        """Queue what has died here though nothing else is sent; True if there was anything."""
        if not self.boxing.dead or self.lost is not None:
            return False
        releases = self._releases()
        if releases:  # else another thread was faster
            self.out.append(releases)
        return releases != b""

    def _releases(self) -> bytes:
        frames = b""
        room = min(self.peer_limits[Limit.FRAME], self.peer_limits[Limit.ITEMS] * 3 // 4)
        most = min(_RELEASES_AT_ONCE, (room - ENVELOPE) // (2 * NUMBER))
        while self.boxing.dead:
            released, answered, abandoned = self.boxing.take_dead(most)
            if released:
                frames += frame(values.pack([_RELEASE, *released]))
            if answered:
                frames += frame(values.pack([_FORGET, *answered]))
            for flow in abandoned:
                frames += b"".join(self._abandoned(flow))
        return frames

    def _abandoned(self, flow: Flow) -> Iterator[bytes]:
        """The frames that tell the peer that nobody has *flow* any more."""
        if not flow.stopped and not flow.ended:
            yield frame(values.pack([int(Kind.STOP), flow.number]))
        if self.flows.claim_end(flow):
            yield frame(values.pack([int(Kind.END), flow.number]))
        self.flows.give_up(flow)

    # --- what the peer has room for -------------------------------------------------------------

    def bytes_in_flight(self) -> int:
        """The bytes of our requests that are not answered yet, of those that have many."""
        heavy = self.heavy
        for seq in list(heavy):
            if seq not in self.pending:
                heavy.pop(seq, None)
        bytes_of_others = 0 if self._oneways is None else self._oneways.sent_bytes
        return sum(list(heavy.values())) + bytes_of_others

    def has_room(self) -> bool:
        """Whether the peer admits another request that begins a chain."""
        if len(self.pending) >= self.most_pending:
            return False
        if not self.heavy and self._oneways is None:
            return True
        return self.bytes_in_flight() < self.peer_limits[Limit.REQUEST_BYTES]

    def in_flight(self) -> int:
        """How many of our requests the peer is not done with."""
        return len(self.pending) + (0 if self._oneways is None else self._oneways.sent)

    def take_room(self, seq: int, size: int) -> bool:
        """Count the *size* bytes of our request *seq*, if the peer has room for them.

        Under the guard: of two threads that look at once, only one may find the last room.
        """
        with self.boxing.guard:
            room = self.bytes_in_flight() < self.peer_limits[Limit.REQUEST_BYTES]
            if room:
                self.heavy[seq] = size
        return room

    def take_place(self) -> bool:
        """Take a place for a request without an answer, see :meth:`oneway`; False if there is none.

        Any thread may; so places are given out one at a time.
        """
        limits, oneways = self.peer_limits, self.oneways
        if (self.heavy or oneways.sent_bytes) and not self.has_room():
            return False
        if not oneways.take(lambda: limits[Limit.REQUESTS] - len(self.pending)):
            return False
        self._set_most_pending()
        return True

    def take_bytes(self, size: int) -> bool:
        """The same of the *size* bytes of such a request that has many."""
        most = self.peer_limits[Limit.REQUEST_BYTES]
        return self.oneways.take_bytes(size, lambda: self.bytes_in_flight() < most)
