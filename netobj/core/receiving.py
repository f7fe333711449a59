"""The half of a session that receives: bytes in, events out.

What a message changes is changed here, in the order of arrival; see :mod:`netobj.core.session`.
All of it belongs to whoever reads the connection at the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, overload
from weakref import WeakValueDictionary

from netobj.core import values
from netobj.core.bounds import unchecked
from netobj.core.boxing import MAX_NUMBER, Boxing
from netobj.core.compressing import undone
from netobj.core.config import Compression, Config
from netobj.core.consts import ANNOUNCED, DEFAULT_LIMITS, ROOT_ID, Kind, Limit
from netobj.core.describe import Description
from netobj.core.events import (
    Cancel,
    Dropped,
    Event,
    Flowed,
    Goodbye,
    Hello,
    Pong,
    Reply,
    Request,
)
from netobj.core.flow import Flow
from netobj.core.flows import Flows
from netobj.core.framing import Arrived, FrameReader
from netobj.core.handle import ImportedClass
from netobj.core.oneways import Oneways
from netobj.core.promises import Answer
from netobj.core.values import SCALARS
from netobj.errors import FrameTooLarge, LimitExceeded, ProtocolError

LONGEST: Final = 1e9
"""Seconds that a call may have, if it says so."""
MOST_METADATA: Final = 64
"""Entries of a call's metadata."""

_REQUEST: Final = int(Kind.REQUEST)
_ONEWAY: Final = int(Kind.ONEWAY)
_REQUESTS: Final = (_REQUEST, int(Kind.ASYNC_REQUEST), _ONEWAY)
_REPLY: Final = int(Kind.REPLY)
_COMPRESSED: Final = int(Kind.COMPRESSED)
_INTS: Final = frozenset((int,))
_SMALL: Final = frozenset((int, str, bytes, type(None)))
_SMALL_HELLO: Final = 4096  # bytes of a hello that may be remembered when its connection has ended
_SMALLEST_FRAME: Final = 1024
_FEWEST_ITEMS: Final = 64
_FEWEST_LIMITS: Final = 6  # in a hello; those behind are the defaults then

HEAVY: Final = 16 * 1024
"""Bytes from which on a request counts among the bytes in flight."""
_CHAIN_ROOM: Final = 16
"""Calls of chains in which this side waits are exempt from the count of calls in flight, but for
one that is so far above it."""


class Receiving:
    """Base of :class:`netobj.core.session.Session`, which makes the tables."""

    boxing: Boxing
    flows: Flows
    config: Config
    fault: ProtocolError | None = None  # of the peer's, behind events that still count
    peer_process: bytes = b""
    peer_features: tuple[str, ...] = ()
    root_class: ImportedClass | None = None
    begun: float | None = None  # since when there is a part of a frame, or of a big value
    timed = False  # the front-end's clock will look at that
    _was_there = 0  # bytes of it, at the last look
    _oneways: Oneways | None = None
    link: Any

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pending: dict[int, Any] = {}  # our requests: seq -> the front-end's token
        self.running: dict[int, Request] = {}  # the peer's requests that are not answered
        self.lost: str | None = None  # why the connection is at its end
        self.greeted = False
        self.peer_limits = DEFAULT_LIMITS
        self.most_pending = DEFAULT_LIMITS[Limit.REQUESTS]  # calls that the peer admits at once
        self.last_heard: float | None = None
        self._unchecked = unchecked(DEFAULT_LIMITS)
        self._admitted = config.limits[Limit.REQUESTS]
        self._most_running = _CHAIN_ROOM * config.limits[Limit.REQUESTS]
        self.crowd = self._most_running // 2  # calls that tasks may be in the midst of
        self._now = 0.0
        self._reader = FrameReader(config.limits[Limit.GREETING])
        self._size = 0  # bytes of the message being applied
        self.arriving: tuple[tuple[Any, ...], list[values.BigValue]] | None = None
        # What to echo, once however often it came at once, and requests that are to be refused.
        self._pongs: dict[Any, None] = {}

    def _queue(self, message: list[Any]) -> None:
        raise NotImplementedError

    def _agree(self, codec: Compression) -> None:
        """The messages that are sent may be compressed from here on, if the peer takes that."""
        raise NotImplementedError

    def _refuse(self, request: Request) -> None:
        """Answer *request*, which comes at a time when there are too many, with an error."""
        raise NotImplementedError

    @property
    def oneways(self) -> Oneways:
        """The requests without an answer, both ways; most connections never have any."""
        if self._oneways is None:
            limits = self.config.limits
            with self.boxing.guard:
                if self._oneways is None:
                    most = limits[Limit.REQUESTS], limits[Limit.REQUEST_BYTES]
                    self._oneways = Oneways(self.boxing.guard, *most)
        return self._oneways

    def has_greeted(self) -> bool:
        """True once the peer's hello has come."""
        return self.greeted

    def room(self) -> memoryview | None:
        """Where the bytes that come next may be put, while a big value arrives."""
        return None if self.arriving is None else self._reader.room()

    @overload
    def receive_data(self, data: Arrived, now: float) -> list[Event]: ...
    @overload
    def receive_data(
        self, data: Arrived, now: float, wanted: int
    ) -> list[Event] | tuple[Any, ...]: ...
    def receive_data(
        self, data: Arrived, now: float, wanted: int = -1
    ) -> list[Event] | tuple[Any, ...]:
        """Apply what has arrived (*now* in seconds of any steady clock).

        *data* is the bytes, or how many of them were put into the last :meth:`room`.

        Returns what the front-end is to hear of. Where it is but the plain answer to our request
        *wanted*, that message itself: the result is its third item, and there is no event.

        After a fault of the peer's the connection is to be ended, see :meth:`lose`. Raises
        ProtocolError if nothing came before the fault; else returns what did, and :attr:`fault`
        is the error.
        """
        self._now = self.last_heard = now
        events: list[Event] = []
        reader, boxing = self._reader, self.boxing
        inner = None
        try:
            if self.arriving is None:
                body = reader.take(data)  # type: ignore[arg-type]  # there was no room
            else:
                body = self._go_on_with_big(data, events)
            while body is not None:
                message = boxing.unbox(body)
                kind = message[0]
                if boxing.deferred or type(kind) is not int or not self.greeted:
                    if boxing.big:
                        self._check_big(message)
                        self._size = len(body)
                        self.arriving = (message, boxing.big)
                        reader.fresh = True
                        body = self._go_on_with_big(b"", events)
                        continue
                    self._check_kind(kind)
                elif kind == _REPLY and not (events or reader.filled or self._pongs):
                    seq = message[1] if len(message) == 3 else None
                    if type(seq) is int and seq == wanted and self.pending.pop(seq, None):
                        return message
                if kind in _REQUESTS:
                    events.append(self._receive_request(message, boxing.deferred, len(body)))
                elif kind == _REPLY:
                    events.append(self._receive_reply(message, boxing.deferred))
                elif kind == _COMPRESSED:
                    if body is inner:
                        raise ProtocolError("a message was compressed twice")
                    body = inner = self._undo(message)
                    continue
                else:
                    self._size = len(body)
                    self._receive(message, boxing.deferred, events)
                if not reader.filled:
                    break
                body = reader.next_message()
            else:
                self._look_at_rest(now)
            if self._pongs:
                self._answer_pings()
        except ProtocolError as exc:
            if self.lost is not None:  # the tables are being emptied: nothing fits any more
                return events
            if not events:
                raise
            self.fault = exc
        return events

    def _undo(self, message: tuple[Any, ...]) -> bytes:
        """The body of the message that has come compressed in *message*. Raises ProtocolError."""
        if len(message) != 4 or list(map(type, message[1:])) != [str, int, bytes]:
            raise ProtocolError("a compressed message has a codec, a size and data")
        _, codec, size, data = message
        if codec not in self._reader.codecs:
            raise ProtocolError("a message was compressed in a way that this side did not offer")
        most = self.config.limits[Limit.FRAME]
        if size > most:
            raise FrameTooLarge(f"the peer compressed {size} bytes; this side accepts {most}")
        return undone(Compression(codec), size, data)

    def _look_at_rest(self, now: float) -> None:
        """What is left of what has come is the beginning of something: from when on?"""
        reader = self._reader
        if self.begun is None or reader.fresh:
            self.begun, self._was_there = now, 0  # in this order: the clock may look meanwhile
            reader.fresh = False
            if not self.timed:
                self.timed = True
                self.link.watch()

    def _go_on_with_big(self, data: Arrived, events: list[Event]) -> bytes | None:
        """Receive the big values of the message that waits for them, then apply it.

        Returns the next message, if it has come.
        """
        assert self.arriving is not None
        if isinstance(data, int):
            self._reader.advance(data)
        elif data:
            self._reader.feed(data)
        if not self._receive_big(*self.arriving):
            return None
        message, self.arriving = self.arriving[0], None
        self._check_kind(message[0])
        self._receive(message, True, events)
        return self._reader.next_message()

    def _receive(self, message: tuple[Any, ...], deferred: bool, events: list[Event]) -> None:
        """Apply a message of any kind."""
        receive = _APPLY.get(message[0])
        if receive is None:
            raise _unknown(message[0])
        event = receive(self, message, deferred)
        if event is not None:
            events.append(event)

    def _answer_pings(self) -> None:
        try:
            for token in self._pongs:
                if type(token) is Request:
                    self._refuse(token)
                else:
                    self._queue([int(Kind.PONG), token])
        except LimitExceeded as exc:
            raise ProtocolError(f"the peer does not accept what its own ping holds: {exc}") from exc
        self._pongs.clear()

    def _receive_big(self, _message: tuple[Any, ...], big: list[values.BigValue]) -> bool:
        while big:
            data = self._reader.next_raw(big[0].size)
            if data is None:
                return False
            big.pop(0).data = data
            self._size += len(data)
        return True

    def _check_kind(self, kind: Any) -> None:
        if type(kind) is not int:
            raise ProtocolError("a message begins with the number of its kind")
        if not self.greeted and kind != Kind.HELLO:
            raise ProtocolError("a message came before the hello")
        if kind not in _APPLY and kind != _COMPRESSED:
            raise _unknown(kind)
        if self.boxing.awaited and kind not in _REQUESTS:
            raise ProtocolError("only requests may name the answers to others")

    def _receive_reply(self, message: tuple[Any, ...], deferred: bool) -> Reply:
        if len(message) != 3:
            raise ProtocolError("a reply has 3 fields")
        seq = message[1]
        token = self.pending.pop(seq, None) if type(seq) is int else None
        if token is None:
            token = self._answered(seq)
        return Reply(token, True, message[2], deferred)

    def _receive_flow(self, message: tuple[Any, ...], deferred: bool) -> Flowed | None:
        flow = _FLOWING[message[0]](self.flows, message, deferred, self._size)
        return None if flow is None else Flowed(flow)

    def _answered(self, seq: Any) -> Any:
        if type(seq) is not int or not 0 <= seq < MAX_NUMBER:  # hashing a proxy would ask the peer
            raise ProtocolError("the peer answered what is no number of a request")
        try:
            return self.pending.pop(seq)
        except KeyError:
            raise ProtocolError(f"the peer answered the request {seq}, never made") from None

    def _check_big(self, message: tuple[Any, ...]) -> None:
        """Raise ProtocolError where there is no room for a request with big values."""
        kind, chain = message[0], message[2] if len(message) > 2 else None
        if type(kind) is int and kind == _COMPRESSED:
            raise ProtocolError("what is compressed stands in the message itself")
        if type(kind) is int and kind == _ONEWAY:
            self.oneways.check_room()
        elif type(kind) is int and kind in _REQUESTS and not self._is_within(kind, chain):
            if bytes_of(self.running) >= self.config.limits[Limit.REQUEST_BYTES]:
                raise ProtocolError("the requests in flight have more bytes than this side allows")

    def _is_within(self, kind: int, chain: Any) -> bool:
        """Whether a thread or task of this side waits in the chain of the request."""
        return kind == _REQUEST and type(chain) is int and self.link.waits_in(chain)

    def _admits(self, kind: int, chain: int) -> bool:
        """Whether another request may begin. Raises ProtocolError far above the limit."""
        running, limits = self.running, self.config.limits
        if len(running) >= self._most_running:
            raise ProtocolError("more requests are in flight than this side's limit allows")
        if self._is_within(kind, chain):
            return True
        if len(running) >= limits[Limit.REQUESTS]:
            return False
        return bytes_of(running) < limits[Limit.REQUEST_BYTES]

    def _receive_request(
        self, message: tuple[Any, ...], deferred: bool, size: int = 0
    ) -> Request | Dropped:
        extras = len(message) - 7
        if not 0 <= extras <= 4:
            raise ProtocolError("a request has 7 to 11 fields")
        kind, seq, thread, op, number, path, args = message[:7] if extras else message
        if type(seq) is not int or type(thread) is not int or type(op) is not int:
            raise ProtocolError("the numbers of a request are integers")
        if type(args) is not tuple or not 0 <= seq < MAX_NUMBER:
            raise ProtocolError("a request has a number of 63 bits and a tuple of arguments")
        running = self.running
        if seq in running:
            raise ProtocolError(f"the request {seq} is running already")
        admitted = True
        size = size or self._size
        if size > HEAVY or len(running) >= self._admitted:
            admitted = kind == _ONEWAY or self._admits(kind, thread)
        if type(number) is int:
            target = self.boxing.root if number == ROOT_ID else self.boxing.home(number)
            given = False
        else:
            given = type(number) is tuple and len(number) == 1
            target = number[0] if given else self.boxing.home(number)
        if kind == _REQUEST:
            request = Request(seq, thread, None, op, target, path, args, deferred, self._now)
        else:
            request = Request(seq, None, thread, op, target, path, args, deferred, self._now)
            if kind == _ONEWAY:
                request.oneway = True
                request.kept = Answer()  # which nobody can name
                self.oneways.come(size if size > HEAVY else 0)
            else:
                self._keep(request)
        if deferred or given or extras:
            request.given = given
            request.awaits = tuple(self.boxing.awaited)
            if extras:
                self._receive_extras(request, message[7:])
        if size > HEAVY:
            request.size = size
        if not admitted:
            self._pongs[request] = None
            return Dropped([])
        running[seq] = request
        return request

    def _receive_extras(self, request: Request, extras: tuple[Any, ...]) -> None:
        names = extras[0]
        if type(names) is not tuple or any(type(name) is not str for name in names):
            raise ProtocolError("keyword names are a tuple of str")
        if len(names) > len(request.args):
            raise ProtocolError("there are more keyword names than arguments")
        request.kwnames = names
        if len(extras) > 1:
            time_left = extras[1]
            number = type(time_left) in (int, float) and abs(time_left) < LONGEST
            if time_left is not None and not number:
                raise ProtocolError("the time left is a number of seconds")
            if time_left is not None:
                request.deadline = self._now + time_left
        if len(extras) > 2 and extras[2] is not None:
            request.metadata = _metadata(extras[2])
        if len(extras) > 3:
            if type(extras[3]) is not bool:
                raise ProtocolError("whether a request is kept is a truth value")
            if extras[3] and request.oneway:
                raise ProtocolError("a request without an answer cannot be kept")
            if extras[3] and request.kept is None:
                self._keep(request)

    def _keep(self, request: Request) -> None:
        answers = self.boxing.answers
        if request.seq in answers:
            raise ProtocolError(f"the answer to the request {request.seq} is still kept")
        if len(answers) >= 2 * self._most_running:
            raise ProtocolError("more answers are kept than this side's limit allows")
        request.kept = answers[request.seq] = Answer()

    def _receive_forget(self, message: tuple[Any, ...], _deferred: bool) -> Dropped | None:
        answers = map(self.boxing.forget, message[1:])
        dropped: list[object] = [answer for answer in answers if not answer.is_plain]
        return Dropped(dropped) if dropped else None

    def _receive_error(self, message: tuple[Any, ...], deferred: bool) -> Reply:
        if len(message) != 3:
            raise ProtocolError("an error has 3 fields")
        return Reply(self._answered(message[1]), False, message[2], deferred)

    def _receive_hello(self, message: tuple[Any, ...], _deferred: bool) -> Hello:
        if self.greeted:
            raise ProtocolError("a second hello came")
        if len(message) < 7:
            raise ProtocolError("a hello has at least 7 fields")
        _, minor, process, _session, limits, features, description = message[:7]
        numbers = (minor, *limits) if type(limits) is tuple else ()
        if len(numbers) <= _FEWEST_LIMITS or any(
            type(n) is not int or not 0 <= n < MAX_NUMBER for n in numbers
        ):
            raise ProtocolError("a hello carries the limits as integers")
        if limits[Limit.FRAME] < _SMALLEST_FRAME:
            raise ProtocolError(f"a peer accepts frames of {_SMALLEST_FRAME} bytes at the least")
        if limits[Limit.ITEMS] < _FEWEST_ITEMS:
            raise ProtocolError(f"a peer accepts {_FEWEST_ITEMS} items at the least")
        if type(process) is not bytes or type(features) is not tuple:
            raise ProtocolError("a hello carries the process as bytes and a tuple of features")
        self.root_class = _root_class(Description.from_wire(description), self._size)
        self.peer_process = process
        limits = limits[:ANNOUNCED] + DEFAULT_LIMITS[min(len(limits), ANNOUNCED) :]
        if limits == self.config.limits:
            limits = self.config.limits  # idle connections are to be small
        self.peer_limits = limits
        self.most_pending = limits[Limit.REQUESTS]
        self._unchecked = unchecked(limits)
        self.boxing.set_peer_limits(limits)
        self.flows.set_peer_limit(limits[Limit.REQUESTS])
        self.peer_features = tuple(name for name in features if type(name) is str)
        self.boxing.peer_has_numpy = "numpy" in self.peer_features
        if self.config.compression is not None:
            self._agree(self.config.compression)
        self._reader.max_frame = self.config.limits[Limit.FRAME]
        self.greeted = True
        return Hello()

    def _receive_release(self, message: tuple[Any, ...], _deferred: bool) -> Dropped | None:
        if (
            not len(message) % 2
            or not _INTS.issuperset(map(type, message))
            or not 0 <= min(message) <= max(message) < MAX_NUMBER
        ):
            raise ProtocolError("a release is pairs of an id and a count")
        dropped = self.boxing.release(zip(message[1::2], message[2::2], strict=True))
        return Dropped(dropped) if dropped else None

    def _receive_cancel(self, message: tuple[Any, ...], _deferred: bool) -> Cancel | None:
        if len(message) != 3 or type(message[1]) is not int or type(message[2]) is not bool:
            raise ProtocolError("a cancel carries the number of a request and a flag")
        request = self.running.get(message[1])
        return None if request is None else Cancel(request, message[2])

    def _receive_ping(self, message: tuple[Any, ...], deferred: bool) -> None:
        if len(message) != 2 or deferred or type(message[1]) not in _SMALL:
            raise ProtocolError("a ping carries one small value")
        if type(message[1]) is int and not abs(message[1]) <= MAX_NUMBER:
            raise ProtocolError("a ping carries an integer of 64 bits at most")
        self._pongs[message[1]] = None  # equal pings that came at once get one answer

    def _receive_done(self, message: tuple[Any, ...], _deferred: bool) -> None:
        if len(message) != 3 or not _INTS.issuperset(map(type, message)):
            raise ProtocolError("of requests that are done, their number and their bytes are told")
        self.oneways.give_back(message[1], message[2])
        self._set_most_pending()

    def _set_most_pending(self) -> None:
        """Requests without an answer take the places of others."""
        with self.boxing.guard:
            self.most_pending = self.peer_limits[Limit.REQUESTS] - self.oneways.sent

    def _receive_pong(self, message: tuple[Any, ...], deferred: bool) -> Pong:
        if len(message) != 2 or deferred or type(message[1]) not in _SMALL:
            raise ProtocolError("a pong carries one small value")
        return Pong(message[1])

    def _receive_goodbye(self, message: tuple[Any, ...], _deferred: bool) -> Goodbye:
        if len(message) != 3 or type(message[1]) is not str or type(message[2]) is not tuple:
            raise ProtocolError("a goodbye carries a reason and numbers of requests")
        if any(type(seq) is not int for seq in message[2]):
            raise ProtocolError("a goodbye carries a reason and numbers of requests")
        not_started = [self.pending.pop(seq, None) for seq in message[2]]
        return Goodbye(_shown(message[1]), [token for token in not_started if token is not None])


def _shown(reason: str) -> str:
    """*reason* as one short line, which is all that a log and an error have room for."""
    return "".join(c if c.isprintable() else "?" for c in reason[:_LONGEST_REASON])


_LONGEST_REASON: Final = 1000


def bytes_of(requests: Mapping[int, Request]) -> int:
    """The bytes of *requests* in flight, of those that have many."""
    return sum([request.size for request in list(requests.values())])


def _unknown(kind: int) -> ProtocolError:
    shown = kind if 0 <= kind < 256 else "beyond all"
    return ProtocolError(f"the kind of message {shown} is not one of the protocol's")


def _root_class(description: Description, size: int) -> ImportedClass:
    return _shared_root(description) if size <= _SMALL_HELLO else ImportedClass(description)


_roots: Final[WeakValueDictionary[Description, ImportedClass]] = WeakValueDictionary()


def _shared_root(description: Description) -> ImportedClass:
    """What stands for the class of a root; connections to roots that look alike share it."""
    known = _roots.get(description)
    if known is None:
        known = _roots[description] = ImportedClass(description)
    return known


def _metadata(pairs: Any) -> dict[str, Any]:
    """The metadata of a call. Raises ProtocolError."""
    if type(pairs) is not tuple or len(pairs) > MOST_METADATA:
        raise ProtocolError("metadata is an array of few pairs")
    metadata: dict[str, Any] = {}
    for pair in pairs:
        if type(pair) is not tuple or list(map(type, pair))[:1] != [str] or len(pair) != 2:
            raise ProtocolError("metadata is pairs of a name and a value")
        if type(pair[1]) not in _METADATA_VALUES:
            raise ProtocolError("values of metadata are None, bool, int, float, str or bytes")
        metadata[pair[0]] = pair[1]
    return metadata


_METADATA_VALUES: Final = SCALARS | {str, bytes}

_FLOWING: Final[dict[Kind, Callable[..., Flow | None]]] = {
    Kind.ITEMS: Flows.receive_items,
    Kind.CREDIT: Flows.receive_credit,
    Kind.END: Flows.receive_end,
    Kind.STOP: Flows.receive_stop,
}

_KINDS: Final[dict[Kind, Callable[[Receiving, tuple[Any, ...], bool], Event | None]]] = {
    Kind.REQUEST: Receiving._receive_request,
    Kind.ASYNC_REQUEST: Receiving._receive_request,
    Kind.ONEWAY: Receiving._receive_request,
    Kind.DONE: Receiving._receive_done,
    Kind.REPLY: Receiving._receive_reply,
    Kind.HELLO: Receiving._receive_hello,
    Kind.ERROR: Receiving._receive_error,
    Kind.RELEASE: Receiving._receive_release,
    Kind.CANCEL: Receiving._receive_cancel,
    Kind.PING: Receiving._receive_ping,
    Kind.PONG: Receiving._receive_pong,
    Kind.GOODBYE: Receiving._receive_goodbye,
    Kind.FORGET: Receiving._receive_forget,
    **dict.fromkeys(_FLOWING, Receiving._receive_flow),
}
_APPLY: Final = {int(kind): function for kind, function in _KINDS.items()}
