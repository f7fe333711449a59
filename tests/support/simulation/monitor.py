"""Reads what goes over one connection, and keeps its own books by docs/protocol.rst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgpack

from netobj.core.consts import HEADER_SIZE, LENGTH_MASK, PREAMBLE, RAW_FLAG, Ext, Kind
from netobj.core.flow import FIRST_CREDIT

_PACKED = (Ext.COPY, Ext.RAISED, Ext.TUPLE, Ext.SET, Ext.NAMED_TUPLE, Ext.SLICE, Ext.FROZENSET)
_REQUESTS = (Kind.REQUEST, Kind.ASYNC_REQUEST)


class Violation(AssertionError):
    """Something happened that must not."""


class Message:
    """One message, and what it names."""

    def __init__(self, body: bytes) -> None:
        self.exports: list[int] = []
        self.homes: list[int] = []
        self.promises: list[int] = []
        self.streams: list[tuple[int, bool]] = []
        self.fields: tuple[Any, ...] = _unpack(body, self._ext)
        self.kind = Kind(self.fields[0])

    def _ext(self, code: int, data: bytes) -> object:
        if code == Ext.EXPORT:
            self.exports.append(_unpack(data, self._ext)[0])
        elif code == Ext.HOME:
            self.homes.append(int.from_bytes(data, "big"))
        elif code == Ext.HOME_METHOD:
            self.homes.append(_unpack(data, self._ext)[0])
        elif code == Ext.PROMISE:
            self.promises.append(int.from_bytes(data, "big"))
        elif code == Ext.STREAM:
            self.streams.append(_unpack(data, self._ext))
        elif code in _PACKED:
            return _unpack(data, self._ext)
        return None


def _unpack(data: bytes, ext: Any) -> Any:
    return msgpack.unpackb(data, ext_hook=ext, use_list=False, strict_map_key=False)


class Half:
    """What one side has said in a stream."""

    def __init__(self, open_: bool) -> None:
        self.ended = not open_
        self.sent = 0
        self.credit = FIRST_CREDIT


class Speaker:
    """The books of what one side says: its exports, its requests, its halves of streams."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.greeted = False
        self.gone = False  # it has said goodbye
        self.exported: Counter[int] = Counter()  # how often it was sent
        self.arrived: Counter[int] = Counter()  # how often the other side has it
        self.released: Counter[int] = Counter()  # taken back by the other side
        self.dead: set[int] = set()  # all was taken back, and this side knows
        self.last_new = 0
        self.open: dict[int, bool] = {}  # requests that are not answered: whether they have come
        self.answered: set[int] = set()  # the answers that this side has
        self.kept: set[int] = set()
        self.requests: set[int] = set()
        self.halves: dict[int, Half] = {}  # by the number of the maker, whose sign is the wire's
        self.pings: Counter[Any] = Counter()
        self.pongs: Counter[Any] = Counter()  # of the other side; equal pings may share one


class Monitor:
    """Both sides' books. :meth:`sent` takes what a side has written, :meth:`came` what arrived."""

    def __init__(self, left: str, right: str) -> None:
        self.speakers = {left: Speaker(left), right: Speaker(right)}
        self._other = {left: right, right: left}
        self._unread: dict[str, bytearray] = {left: bytearray(), right: bytearray()}
        self._raw_left = {left: 0, right: 0}
        self._written = {left: 0, right: 0}
        self._under_way: dict[str, list[tuple[int, Message]]] = {left: [], right: []}
        self._received = {left: 0, right: 0}

    def sent(self, side: str, data: bytes) -> list[str]:
        """*side* has written *data*; returns the names of the messages in it."""
        self._unread[side] += data
        names = []
        for message, end in self._cut(side):
            self._check(self.speakers[side], self.speakers[self._other[side]], message)
            self._under_way[side].append((end, message))
            names.append(message.kind.name)
        return names

    def came(self, side: str, count: int) -> None:
        """So many bytes of what *side* has written have arrived."""
        self._received[side] += count
        queue = self._under_way[side]
        while queue and queue[0][0] <= self._received[side]:
            _, message = queue.pop(0)
            self._arrived(self.speakers[side], self.speakers[self._other[side]], message)

    def _cut(self, side: str) -> Iterator[tuple[Message, int]]:
        data = self._unread[side]
        while True:
            if self._raw_left[side]:
                count = min(self._raw_left[side], len(data))
                self._skip(side, count)
                self._raw_left[side] -= count
                if self._raw_left[side]:
                    return
            if data[:7] == PREAMBLE[:7]:
                self._skip(side, len(PREAMBLE))
            if len(data) < HEADER_SIZE:
                return
            header = int.from_bytes(data[:HEADER_SIZE], "big")
            length = header & LENGTH_MASK
            if header & RAW_FLAG:
                self._skip(side, HEADER_SIZE)
                self._raw_left[side] = length
                _, message = self._under_way[side].pop()  # which has not come before this has
                self._under_way[side].append((self._written[side] + length, message))
                continue
            end = HEADER_SIZE + length
            if len(data) < end:
                return
            body = bytes(data[HEADER_SIZE:end])
            self._skip(side, end)
            yield Message(body), self._written[side]

    def _skip(self, side: str, count: int) -> None:
        del self._unread[side][:count]
        self._written[side] += count

    # --- the rules -------------------------------------------------------------------------------

    def _check(self, me: Speaker, peer: Speaker, message: Message) -> None:
        kind, fields = message.kind, message.fields

        def must(right: object, what: str) -> None:
            if not right:
                raise Violation(f"{me.name} said {kind.name} {fields[1:3]!r:.80}: {what}")

        must(not me.gone, "after its goodbye")
        must(me.greeted is (kind is not Kind.HELLO), "hello comes first, and once")
        me.greeted = True
        for number in message.exports:
            must(number not in me.dead, f"the id {number} was used up")
            if number not in me.exported:
                must(number > me.last_new, f"the new id {number} is not above the others")
                me.last_new = number
            me.exported[number] += 1
        for number in message.homes:
            held = peer.arrived[number] - peer.released[number]
            must(not number or held > 0, f"it does not hold {number}")
        for number in message.promises:
            must(number in me.kept, f"the answer to {number} is not kept")
            must(kind in _REQUESTS, "only requests name answers")
        for number, two_way in message.streams:
            must(number > 0 and number not in me.halves, f"the stream {number} is not new")
            me.halves[number] = Half(True)
            peer.halves[-number] = Half(two_way)
        if kind in _REQUESTS:
            seq = fields[1]
            must(seq not in me.requests, "the number of a request was used before")
            me.requests.add(seq)
            me.open[seq] = False
            if kind is Kind.ASYNC_REQUEST or (len(fields) > 10 and fields[10]):
                me.kept.add(seq)
        elif kind in (Kind.REPLY, Kind.ERROR):
            must(peer.open.pop(fields[1], False), "no such request is open")
        elif kind is Kind.RELEASE:
            must(len(fields) % 2, "it is pairs")
            for number, count in zip(fields[1::2], fields[2::2], strict=True):
                held = peer.arrived[number] - peer.released[number]
                must(0 < count <= held, f"it holds {held} of {number}")
                peer.released[number] += count
        elif kind is Kind.FORGET:
            for seq in fields[1:]:
                must(seq in me.kept, f"the answer to {seq} is not kept")
                must(seq in me.answered, f"the answer to {seq} has not come")
                me.kept.remove(seq)
        elif kind is Kind.CANCEL:
            must(fields[1] in me.requests, "no such request")
            must(fields[1] not in me.answered, "the answer has come")
        elif kind in (Kind.ITEMS, Kind.END):
            half = me.halves.get(fields[1])
            must(half is not None and not half.ended, "nothing may be sent in it")
            assert half is not None
            if kind is Kind.END:
                half.ended = True
            else:
                half.sent += len(fields[2])
                must(fields[2] and half.sent <= half.credit, "more items than credit")
        elif kind in (Kind.CREDIT, Kind.STOP):
            must(-fields[1] in peer.halves, "no such stream")
        elif kind is Kind.PING:
            me.pings[fields[1]] += 1
        elif kind is Kind.PONG:
            peer.pongs[fields[1]] += 1
            must(peer.pongs[fields[1]] <= peer.pings[fields[1]], "nobody asked")
        elif kind is Kind.GOODBYE:
            me.gone = True

    def _arrived(self, me: Speaker, peer: Speaker, message: Message) -> None:
        kind, fields = message.kind, message.fields
        for number in message.exports:
            me.arrived[number] += 1
        if kind in _REQUESTS:
            me.open[fields[1]] = True
        elif kind in (Kind.REPLY, Kind.ERROR):
            peer.answered.add(fields[1])
        elif kind is Kind.RELEASE:
            for number in fields[1::2]:
                if peer.exported[number] == peer.released[number]:
                    peer.dead.add(number)
        elif kind is Kind.CREDIT:
            peer.halves[-fields[1]].credit += fields[2]

    def finish(self) -> None:
        """Nothing more will come, nothing was lost, and nobody holds anything."""
        for me in self.speakers.values():
            for what, left in (
                ("references are held", me.exported - me.released),
                ("requests are unanswered", me.open),
                ("answers are kept", me.kept),
                ("streams are open", [n for n, half in me.halves.items() if not half.ended]),
                ("pings are unanswered", me.pings.keys() - me.pongs.keys()),
            ):
                if left:
                    raise Violation(f"at the end of {me.name}'s side {what}: {left!r:.200}")
