"""The state machine of one side of a connection: bytes in, events out; requests in, bytes out.

Rule 1: whatever a message changes, it changes here, in the order of arrival, before any other
thread or task hears of it. Rule 2: nothing here waits, looks at a clock or runs user code.

Threads: sending (:meth:`request`, :meth:`reply`, :meth:`error` ...) is open to every thread at
once; what is to be written gathers in :attr:`Session.out`, a deque to which each message is
appended in one atomic step. :meth:`receive_data` and :meth:`tick` belong to whoever reads the
connection at the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any, Final

from netobj.core import values
from netobj.core.access import Policy
from netobj.core.boxing import MAX_NUMBER, SCALARS, Boxing, ByValue, Outgoing, Raised
from netobj.core.config import Config
from netobj.core.consts import (
    BIG_VALUE,
    DEFAULT_LIMITS,
    MINOR_VERSION,
    PREAMBLE,
    ROOT_ID,
    Kind,
    Limit,
)
from netobj.core.copies import copied
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
from netobj.core.exposure import Exposure
from netobj.core.flow import Flow
from netobj.core.flows import Flows
from netobj.core.framing import FrameReader, frame, raw_frames
from netobj.core.handle import Handle, ImportedClass
from netobj.core.promises import Answer
from netobj.core.vinegar import Dumper, Loader
from netobj.core.vinegar_classes import instance_dict
from netobj.errors import ConnectionLost, LimitExceeded, NotEncodable, ProtocolError

_REQUEST: Final = int(Kind.REQUEST)
_ASYNC: Final = int(Kind.ASYNC_REQUEST)
_REPLY: Final = int(Kind.REPLY)
_SMALL: Final = frozenset((int, str, bytes, type(None)))
_SMALLEST_FRAME: Final = 1024
_FEWEST_ITEMS: Final = 64
_LONGEST: Final = 1e9  # seconds that a call may have, if it says so
_MOST_METADATA: Final = 64  # entries of a call's metadata
_RELEASES_AT_ONCE: Final = 10_000  # in one message, if the peer's limits have room for them
_ENVELOPE: Final = 16  # bytes of a message around its list of numbers, at the most
_NUMBER: Final = 9  # bytes of a number, at the most
_LONGEST_REASON: Final = 200  # characters of a goodbye, so that it fits the smallest frame

_ORIGIN: Final = "__netobj_origin__"  # in an exception: which session it came over, its number

_CHAIN_ROOM: Final = 16
"""Calls inside of chains are exempt from the sender's count of calls in flight. The receiver
cannot tell them apart for sure, so it ends a connection only far above that count."""

Path = None | str | list[Any]
"""What leads from the target to what is meant: None (the target itself), one attribute, or a
list of steps: a str is an attribute, a one-item tuple an item."""

Wire = bytes | memoryview


class Session:
    """One side of one connection.

    *root* is what the peer reaches as its root; *link* goes into every handle and stream;
    *make_proxy* makes the proxy for a handle, *make_end* what the user gets of a stream that the
    peer has made (both in the order of the wire, so they only make an object); *guard* is a
    re-entrant lock (see boxing); *sequence* gives the numbers of requests, unique in the process;
    *process* is this process's own token.
    """

    def __init__(
        self,
        config: Config,
        root: object,
        *,
        link: object,
        make_proxy: Callable[[Handle], object],
        make_end: Callable[[Flow], object],
        guard: AbstractContextManager[object],
        sequence: Iterator[int],
        process: bytes,
        side: str,
        features: tuple[str, ...] = (),
    ) -> None:
        self.config = config
        self.side = side
        self.policy = Policy(config, side)
        self.loader = Loader(config, self._left_home, self._came_from, side)
        self.boxing = Boxing(
            link=link,
            root=root,
            policy=self.policy,
            make_proxy=make_proxy,
            load_raised=self.loader.load,
            accept_stream=lambda number, two_way: make_end(self.flows.accept(number, two_way)),
            guard=guard,
            limits=config.limits,
        )
        self.flows = Flows(link, self._send, self._failed, guard, config.limits[Limit.REQUESTS])
        self.link = link
        self.out: deque[Wire] = deque()
        self.pending: dict[int, Any] = {}  # our requests: seq -> the front-end's token
        self.running: dict[int, Request] = {}  # the peer's requests that are not answered
        self.lost: str | None = None  # why the connection is at its end
        self.fault: ProtocolError | None = None  # of the peer's, behind events that still count
        self.greeted = False
        self.peer_process: bytes = b""
        self.peer_limits = DEFAULT_LIMITS
        self._unchecked = _smallest(DEFAULT_LIMITS)
        self.peer_features: tuple[str, ...] = ()
        self.root_class: ImportedClass | None = None
        self.last_heard: float | None = None
        self._now = 0.0
        self._pinged_at: float | None = None
        self._sequence = sequence
        self._reader = FrameReader(config.limits[Limit.FRAME])
        self._size = 0  # bytes of the message being applied
        self._arriving: tuple[tuple[Any, ...], list[values.BigValue]] | None = None
        self._pongs: dict[Any, None] = {}  # what to echo, once however often it came at once
        self._root_exposure: Exposure | None = getattr(root, "EXPOSURE", None)
        self._left = _Left()
        self.out.append(PREAMBLE)
        self._say_hello(process, features)

    def exposure_of_root(self, target: object) -> Exposure | None:
        """How the methods of *target* are exposed as a whole, if it is the root and says so."""
        return self._root_exposure if target is self.boxing.root else None

    def reconfigure(self, config: Config) -> None:
        """Go on with *config*; what the peer has been told already stays as it was."""
        self.config = config
        self.policy = self.boxing.policy = Policy(config, self.side)
        self.loader.configure(config)

    # --- out -----------------------------------------------------------------------------

    def _say_hello(self, process: bytes, features: tuple[str, ...]) -> None:
        description = self.boxing.class_of(self.boxing.root)[1].to_wire()
        limits = list(self.config.limits)
        self._queue([Kind.HELLO, MINOR_VERSION, process, None, limits, list(features), description])

    def request(
        self,
        token: object,
        op: int,
        target: Handle | tuple[Any] | None,
        path: Path,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        chain: int | None,
        lane: int | None = None,
        time_left: float | None = None,
        seq: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        kept: bool = False,
    ) -> int:
        """Queue a request; returns its number, under which the answer will find *token*.

        *target* is a handle, None (the peer's root), or a tuple of one value, which may be a
        promise. *seq* None takes the next number. *kept*: later requests may name the answer (a
        request with a *lane* always is). *time_left* is in seconds; as many as no call takes are
        like None. Raises ConnectionLost, NotEncodable, LimitExceeded; then nothing was queued.
        """
        if self.lost is not None:
            raise ConnectionLost(self.lost)
        if seq is None:
            seq = next(self._sequence)
        if target is None:
            number: Any = ROOT_ID
        else:
            number = target if isinstance(target, tuple) else target.id
        if lane is None:
            message: list[Any] = [_REQUEST, seq, chain, op, number, path, args]
        else:
            message = [_ASYNC, seq, lane, op, number, path, args]
        if kwargs:
            message[6] = (*args, *kwargs.values())
            message.append(list(kwargs))
        if time_left is not None or metadata or (kept and lane is None):
            _add_extras(message, time_left, metadata, kept)
        self.pending[seq] = token
        try:
            if type(path) is list or type(target) is tuple:
                self._send_boxed(message, 6, single=False)
            else:
                self._send(message, 6, single=False)
        except BaseException:
            self.pending.pop(seq, None)
            raise
        self._check_still_there(seq)
        return seq

    def _check_still_there(self, seq: int) -> None:
        # The end may have come after the first look: whoever takes the entry out answers for it.
        if self.lost is not None and self.pending.pop(seq, None) is not None:
            raise ConnectionLost(self.lost)

    def reply(self, request: Request, value: object) -> None:
        """Answer *request*; raises as :meth:`request` does where *value* cannot travel."""
        self.running.pop(request.seq, None)  # first: once answered, the number is the peer's again
        answer = request.kept
        # Before it is sent: a copy that cannot be made is an error, and the answer of the call.
        meant = None if answer is None else _meant(value)
        if self.lost is None:
            self._send([_REPLY, request.seq, (value,)], 2)
        if answer is not None:
            if type(value) is Flow:
                answer.settle(None, NotEncodable(_STREAM_NAMED))
            else:
                answer.settle(meant)

    def error(self, request: Request, exc: BaseException, keep: list[int] | None) -> None:
        """Answer *request* with *exc*.

        *keep* (None: nobody can bring it home) gets the number under which *exc* is kept
        until :meth:`let_go`, so that it comes home as the very object.
        """
        self.running.pop(request.seq, None)
        try:
            if self.lost is None:
                self._send([Kind.ERROR, request.seq, (self._dump(exc, keep),)], 2)
        finally:
            if request.kept is not None:
                request.kept.settle(None, exc)

    def raised(
        self, exc: BaseException, keep: list[int] | None = None, failed: bool = False
    ) -> Raised:
        """*exc* marked to travel as an exception; *keep* as in :meth:`error`.

        *failed*: it is what went wrong here, to be logged like an error, not a value.
        """
        log = failed and self.config.log_exceptions
        return Raised(self._dump(exc, keep, self.config._replace(log_exceptions=log)))

    def _failed(self, exc: BaseException) -> Raised:
        return self.raised(exc, failed=True)

    @contextmanager
    def thrown(self, exc: BaseException) -> Iterator[Raised]:
        """*exc* marked to travel as an exception; in the block it comes home as itself."""
        keep: list[int] = []
        try:
            yield self.raised(exc, keep)
        finally:
            self.let_go(keep)

    def cancel(self, seq: int, interrupt: bool = False) -> None:
        """Tell the peer that the answer to our request *seq* is not wanted any more."""
        if seq in self.pending and self.lost is None:
            self._queue([Kind.CANCEL, seq, interrupt])

    def ping(self, token: object) -> None:
        """Queue a ping; :class:`Pong` brings *token* (None, or a small int, str or bytes) back.

        Raises NotEncodable for anything else.
        """
        small = type(token) in (str, bytes) and len(token) < BIG_VALUE  # type: ignore[arg-type]
        if not small and type(token) not in (type(None), int):
            raise NotEncodable("a ping carries None, an int, or a short str or bytes")
        self._queue([int(Kind.PING), token])

    def goodbye(self, reason: str) -> None:
        """Queue a goodbye; what it says was not started will not be. Then the front-end closes."""
        if self.lost is None:
            waiting = [request.seq for request in list(self.running.values()) if request.start()]
            reason = reason[:_LONGEST_REASON]
            room = self.peer_limits[Limit.FRAME] - 4 * _LONGEST_REASON - _ENVELOPE
            del waiting[min(room // _NUMBER, self.peer_limits[Limit.ITEMS]) :]
            self._queue([Kind.GOODBYE, reason, waiting])

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
        most = min(_RELEASES_AT_ONCE, (self._unchecked - _ENVELOPE) // (2 * _NUMBER))
        while self.boxing.dead:
            released, answered, abandoned = self.boxing.take_dead(most)
            for kind, numbers in ((Kind.RELEASE, released), (Kind.FORGET, answered)):
                if numbers:
                    frames += frame(values.pack([int(kind), *numbers]))
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

    def _send(self, message: list[Any], at: int, single: bool = True) -> None:
        """Box the tuple at *at* (to its lone item, if *single*), pack and queue."""
        items = message[at]
        for item in items:
            kind = type(item)
            if kind not in SCALARS and (kind is not str or len(item) >= BIG_VALUE):
                self._send_boxed(message, at, single)
                return
        message[at] = items[0] if single else list(items)
        self._queue(message)

    def _send_boxed(self, message: list[Any], at: int, single: bool) -> None:
        request = at == 6
        out = Outgoing(self.boxing, request)
        try:
            if request:
                if type(message[4]) is tuple:  # the target itself
                    message[4] = [out.box(message[4][0])]
                if type(message[5]) is list:  # the steps of a path
                    message[5] = [out.box(step) for step in message[5]]
            boxed = [out.box(item) for item in message[at]]
            message[at] = boxed[0] if single else boxed
            self._queue(message, out.raw)
        except BaseException:
            out.roll_back()
            raise
        out.commit()

    def _queue(self, message: list[Any], raw: list[bytes] | None = None) -> None:
        body = values.pack(message)
        if len(body) > self._unchecked:
            self._check_size(body)
        behind: list[Wire] = []
        for value in raw or ():
            if len(value) > self.peer_limits[Limit.RAW]:
                raise LimitExceeded(f"a value of {len(value)} bytes is above the peer's limit")
            behind += raw_frames(value)
        data = frame(body)
        if self.boxing.dead:  # nothing may fail from here on: what was taken has to leave
            data = self._releases() + data
        if behind:
            self.out.extend((data, *behind))
        else:
            self.out.append(data)

    def _check_size(self, body: bytes) -> None:
        if len(body) > self.peer_limits[Limit.FRAME]:
            raise LimitExceeded(
                f"the message is {len(body)} bytes long and the peer accepts "
                f"{self.peer_limits[Limit.FRAME]}: send less at once, or bytes, which have a "
                "limit of their own"
            )
        values.check_items(body, self.peer_limits[Limit.ITEMS])

    # --- exceptions that may come home -----------------------------------------------------

    def _dump(
        self, exc: BaseException, keep: list[int] | None, config: Config | None = None
    ) -> tuple[Any, ...]:
        def remember(leaving: BaseException) -> int:
            if keep is None:
                return 0
            number = self._left.add(leaving)
            keep.append(number)
            return number

        return Dumper(config or self.config, remember, self._origin).dump(exc)

    def _origin(self, exc: BaseException) -> int | None:
        origin = instance_dict(exc).get(_ORIGIN)
        if type(origin) is tuple and origin[0] is self._left:
            number: int = origin[1]
            return number
        return None

    def _came_from(self, exc: BaseException, number: int) -> None:
        instance_dict(exc)[_ORIGIN] = (self._left, number)  # past any __setattr__

    def _left_home(self, number: int) -> BaseException | None:
        return self._left.get(number)

    def let_go(self, keep: list[int]) -> None:
        """The outermost call of a chain has ended: forget the exceptions that it kept."""
        for number in keep:
            self._left.pop(number, None)

    # --- in ------------------------------------------------------------------------------

    def has_greeted(self) -> bool:
        """True once the peer's hello has come."""
        return self.greeted

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Apply what has arrived (*now* in seconds of any steady clock).

        After a fault of the peer's the connection is to be ended, see :meth:`lose`. Raises
        ProtocolError if nothing came before the fault; else returns what did, and :attr:`fault`
        is the error.
        """
        self._now = self.last_heard = now
        events: list[Event] = []
        try:
            self._reader.feed(data)
            self._apply_all(events)
        except ProtocolError as exc:
            if self.lost is not None:  # the tables are being emptied: nothing fits any more
                return events
            if not events:
                raise
            self.fault = exc
        return events

    def _apply_all(self, events: list[Event]) -> None:
        while True:
            if self._arriving is None:
                body = self._reader.next_message()
                if body is None:
                    break
                self._size = len(body)
                message = self.boxing.unbox(body)
                if self.boxing.big:
                    self._arriving = (message, self.boxing.big)
                    continue
                deferred = self.boxing.deferred
            else:
                if not self._receive_big(*self._arriving):
                    break
                message, deferred = self._arriving[0], True
                self._arriving = None
            self._apply(message, deferred, events)
        if self._pongs:
            self._answer_pings()

    def _answer_pings(self) -> None:
        try:
            for token in self._pongs:
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

    def _apply(self, message: tuple[Any, ...], deferred: bool, events: list[Event]) -> None:
        kind = message[0]
        if type(kind) is not int:
            raise ProtocolError("a message begins with the number of its kind")
        if self.boxing.awaited and kind not in (_REQUEST, _ASYNC):
            raise ProtocolError("only requests may name the answers to others")
        if kind == _REPLY and len(message) == 3:
            events.append(Reply(self._answered(message[1]), True, message[2], deferred))
            return
        if kind in (_REQUEST, _ASYNC):
            events.append(self._receive_request(message, deferred))
            return
        receive = _FLOWING.get(kind)
        if receive is not None and self.greeted:
            flow = receive(self.flows, message, deferred, self._size)
            if flow is not None:
                events.append(Flowed(flow))
            return
        apply = _APPLY.get(kind)
        if apply is None:
            shown = kind if 0 <= kind < 256 else "beyond all"
            raise ProtocolError(f"the kind of message {shown} is not one of the protocol's")
        if not self.greeted and kind != Kind.HELLO:
            raise ProtocolError("a message came before the hello")
        event = apply(self, message, deferred)
        if event is not None:
            events.append(event)

    def _answered(self, seq: Any) -> Any:
        if not self.greeted:
            raise ProtocolError("a message came before the hello")
        if type(seq) is not int or not 0 <= seq < MAX_NUMBER:  # hashing a proxy would ask the peer
            raise ProtocolError("the peer answered what is no number of a request")
        try:
            return self.pending.pop(seq)
        except KeyError:
            raise ProtocolError(f"the peer answered the request {seq}, never made") from None

    def _receive_request(self, message: tuple[Any, ...], deferred: bool) -> Request:
        if not self.greeted:
            raise ProtocolError("a message came before the hello")
        if not 7 <= len(message) <= 11:
            raise ProtocolError("a request has 7 to 11 fields")
        kind, seq, thread, op, number, path, args = message[:7]
        if type(seq) is not int or type(thread) is not int or type(op) is not int:
            raise ProtocolError("the numbers of a request are integers")
        if type(args) is not tuple or not 0 <= seq < MAX_NUMBER:
            raise ProtocolError("a request has a number of 63 bits and a tuple of arguments")
        if seq in self.running:
            raise ProtocolError(f"the request {seq} is running already")
        if len(self.running) >= _CHAIN_ROOM * self.config.limits[Limit.REQUESTS]:
            raise ProtocolError("more requests are in flight than this side's limit allows")
        chain, lane = (thread, None) if kind == _REQUEST else (None, thread)
        given = type(number) is tuple and len(number) == 1
        target = number[0] if given else self.boxing.home(number)
        request = Request(seq, chain, lane, op, target, path, args, deferred)
        request.given = given
        request.since = self._now
        if self.boxing.awaited:
            request.awaits = tuple(self.boxing.awaited)
        if len(message) > 7:
            self._receive_extras(request, message[7:])
        if lane is not None or request.kept is not None:
            self._keep(request)
        self.running[seq] = request
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
            number = type(time_left) in (int, float) and abs(time_left) < _LONGEST
            if time_left is not None and not number:
                raise ProtocolError("the time left is a number of seconds")
            if time_left is not None:
                request.time_left = time_left
                request.deadline = self._now + time_left
        if len(extras) > 2 and extras[2] is not None:
            request.metadata = _metadata(extras[2])
        if len(extras) > 3:
            if type(extras[3]) is not bool:
                raise ProtocolError("whether a request is kept is a truth value")
            request.kept = Answer() if extras[3] else None

    def _keep(self, request: Request) -> None:
        answers = self.boxing.answers
        if request.seq in answers:
            raise ProtocolError(f"the answer to the request {request.seq} is still kept")
        if len(answers) >= 2 * _CHAIN_ROOM * self.config.limits[Limit.REQUESTS]:
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
        if len(numbers) <= len(Limit) or any(type(n) is not int or n < 0 for n in numbers):
            raise ProtocolError("a hello carries the limits as integers")
        if limits[Limit.FRAME] < _SMALLEST_FRAME:
            raise ProtocolError(f"a peer accepts frames of {_SMALLEST_FRAME} bytes at the least")
        if limits[Limit.ITEMS] < _FEWEST_ITEMS:
            raise ProtocolError(f"a peer accepts {_FEWEST_ITEMS} items at the least")
        if type(process) is not bytes or type(features) is not tuple:
            raise ProtocolError("a hello carries the process as bytes and a tuple of features")
        self.root_class = ImportedClass(Description.from_wire(description))
        self.peer_process = process
        self.peer_limits = limits
        self._unchecked = _smallest(limits)
        self.boxing.set_peer_limits(limits)
        self.flows.set_peer_limit(limits[Limit.REQUESTS])
        self.peer_features = tuple(name for name in features if type(name) is str)
        self.boxing.peer_has_numpy = "numpy" in self.peer_features
        self.greeted = True
        return Hello()

    def _receive_release(self, message: tuple[Any, ...], _deferred: bool) -> Dropped | None:
        flat = message[1:]
        if len(flat) % 2 or any(type(n) is not int or not 0 <= n < MAX_NUMBER for n in flat):
            raise ProtocolError("a release is pairs of an id and a count")
        dropped = self.boxing.release(list(zip(flat[::2], flat[1::2], strict=True)))
        return Dropped(dropped) if dropped else None

    def _receive_cancel(self, message: tuple[Any, ...], _deferred: bool) -> Cancel | None:
        if len(message) != 3 or type(message[1]) is not int or type(message[2]) is not bool:
            raise ProtocolError("a cancel carries the number of a request and a flag")
        request = self.running.get(message[1])
        return None if request is None else Cancel(request, message[2])

    def _receive_ping(self, message: tuple[Any, ...], deferred: bool) -> None:
        if len(message) != 2 or deferred or type(message[1]) not in _SMALL:
            raise ProtocolError("a ping carries one small value")
        self._pongs[message[1]] = None  # equal pings that came at once get one answer

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
        return Goodbye(message[1], [token for token in not_started if token is not None])

    # --- time and end ----------------------------------------------------------------------

    def tick(self, now: float) -> float | None:
        """Do what is due at *now*; returns when to call again, or None (no heartbeat).

        Raises ConnectionLost when the peer did not answer a ping in time.
        """
        interval, patience = self.config.heartbeat_interval, self.config.heartbeat_timeout
        if interval is None or self.lost is not None:
            return None
        if self.last_heard is None:
            self.last_heard = now
        if self._pinged_at is not None and self.last_heard >= self._pinged_at:
            self._pinged_at = None
        if self._pinged_at is None:
            if now < self.last_heard + interval:
                return self.last_heard + interval
            self._pinged_at = now
            self._queue([int(Kind.PING), None])
            return now + min(interval, patience)
        if now < self._pinged_at + patience:
            return min(now + interval, self._pinged_at + patience)
        raise ConnectionLost(
            f"the peer has been silent for {now - self.last_heard:.0f} s and did not answer a ping "
            f"within {patience:g} s"
        )

    def lose(self, reason: str) -> list[Any]:
        """The connection is at its end because of *reason*; returns the tokens that waited."""
        if self.lost is None:
            self.lost = reason
        waiting: list[Any] = []
        while self.pending:
            try:
                waiting.append(self.pending.popitem()[1])
            except KeyError:  # another thread withdrew its own just now
                break
        return waiting

    def discard_tables(self) -> list[object]:
        """Empty the tables after the end; returns what was exported, to be dropped unlocked."""
        dropped: list[object] = [*self.boxing.discard(), *self.boxing.dead]
        self.boxing.dead.clear()
        self._left.clear()
        self.running.clear()
        return dropped


class _Left(dict[int, BaseException]):
    """The exceptions of this side that have left and may come home as themselves, by number.

    The table of one session, which also stands for it in exceptions that came over it.
    """

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = count(1)

    def add(self, exc: BaseException) -> int:
        """Keep *exc*; returns its number."""
        number = next(self._numbers)
        self[number] = exc
        return number


def _smallest(limits: tuple[int, ...]) -> int:
    """The bytes of a message which breaks no limit, whatever is in it."""
    return min(limits[Limit.FRAME], limits[Limit.ITEMS])


_STREAM_NAMED: Final = "a stream cannot be passed on before it has come"


def _meant(value: object) -> object:
    """What later requests mean by an answer: what is sent, so of what travels as a copy, a copy."""
    return copied(value.value) if type(value) is ByValue else value


def _add_extras(
    message: list[Any], time_left: float | None, metadata: Mapping[str, Any] | None, kept: bool
) -> None:
    """Behind a request's arguments and keyword names, what else there is to say."""
    if time_left is not None and not abs(time_left) < _LONGEST:
        time_left = None
    message += [[]] * (8 - len(message)) + [time_left]
    if metadata and len(metadata) > _MOST_METADATA:
        raise LimitExceeded(f"the metadata of a call has at most {_MOST_METADATA} entries")
    if metadata or kept:
        message += [[[*pair] for pair in metadata.items()] if metadata else None, kept]


def _metadata(pairs: Any) -> dict[str, Any]:
    """The metadata of a call. Raises ProtocolError."""
    if type(pairs) is not tuple or len(pairs) > _MOST_METADATA:
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

_FLOWING: Final[dict[int, Callable[..., Flow | None]]] = {
    Kind.ITEMS: Flows.receive_items,
    Kind.CREDIT: Flows.receive_credit,
    Kind.END: Flows.receive_end,
    Kind.STOP: Flows.receive_stop,
}

_APPLY: Final[dict[int, Callable[[Session, tuple[Any, ...], bool], Event | None]]] = {
    Kind.HELLO: Session._receive_hello,
    Kind.ERROR: Session._receive_error,
    Kind.RELEASE: Session._receive_release,
    Kind.CANCEL: Session._receive_cancel,
    Kind.PING: Session._receive_ping,
    Kind.PONG: Session._receive_pong,
    Kind.GOODBYE: Session._receive_goodbye,
    Kind.FORGET: Session._receive_forget,
}
