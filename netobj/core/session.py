"""The state machine of one side of a connection: bytes in, events out; requests in, bytes out.

Rule 1: whatever a message changes, it changes here, in the order of arrival, before any other
thread or task hears of it. Rule 2: nothing here waits, looks at a clock or runs user code.

Threads: sending (:meth:`request`, :meth:`reply`, :meth:`error` ...) is open to every thread at
once; what is to be written gathers in :attr:`Session.out`, a deque to which each message is
appended in one atomic step (:mod:`netobj.core.sending`). :meth:`receive_data` (see
:mod:`netobj.core.receiving`) and :meth:`tick` (:mod:`netobj.core.patience`) belong to whoever reads
the connection at the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Final, Protocol

from netobj.core import values
from netobj.core.access import Policy, policy_for
from netobj.core.boxing import MAX_NUMBER, Boxing, ByValue, Raised
from netobj.core.compressing import offered
from netobj.core.config import Config
from netobj.core.consts import BIG_VALUE, HEADER_SIZE, ROOT_ID, Kind, Limit
from netobj.core.copies import copied
from netobj.core.events import Request
from netobj.core.exposure import Exposure
from netobj.core.flow import Flow
from netobj.core.flows import Flows
from netobj.core.handle import Handle
from netobj.core.hello import LONGEST_REASON, hello
from netobj.core.keeping import Left
from netobj.core.offering import OfferingPolicy
from netobj.core.outcomes import Ruled
from netobj.core.patience import Patient
from netobj.core.receiving import HEAVY, LONGEST, MOST_METADATA
from netobj.core.sending import ENVELOPE, NUMBER, Wire
from netobj.core.values import SCALARS, NotPlain
from netobj.core.vinegar import Dumper, Loader, log_untold, unsendable, users_traceback
from netobj.core.vinegar_classes import instance_dict
from netobj.core.watching import See, WatchedQueue, WatchedReader
from netobj.errors import (
    AsyncResultTimeout,
    Busy,
    CallCancelled,
    ConnectionLost,
    LimitExceeded,
    NotEncodable,
)

_REQUEST: Final = int(Kind.REQUEST)
_ASYNC: Final = int(Kind.ASYNC_REQUEST)
_ONEWAY: Final = int(Kind.ONEWAY)
_DONE: Final = int(Kind.DONE)
_REPLY: Final = int(Kind.REPLY)

_ORIGIN: Final = "__netobj_origin__"  # in an exception: which session it came over, its number

Path = None | str | list[Any]
"""What leads from the target to what is meant: None (the target itself), one attribute, or a
list of steps: a str is an attribute, a one-item tuple an item."""

LOST: Final = object()
"""In the place of an answer: there will be none, the connection has ended."""
NOT_STARTED: Final = object()
"""The same, and the other side has said that it did not run the call."""


class Front(Protocol):
    """What a session needs of the front-end's connection."""

    def watch(self) -> None:
        """Let the clock look sooner than it has been told to; in the thread that reads."""

    def waits_in(self, chain: int) -> bool:
        """Whether somebody on this side waits in *chain*."""

    def admit(self, seq: int, size: int, chain: int | None) -> None:
        """Wait until the peer takes the *size* bytes of the request *seq*, and count them."""

    def settle(self, ruled: Ruled) -> object:
        """The outcome of a call that has rules, see :class:`~netobj.core.outcomes.Ruled`.

        Asked in the thread of the call, or on the loop. Raises what the call does, and Busy.
        """

    def admit_oneway(self, size: int) -> None:
        """The same of a request without an answer, whose *size* bytes are counted, too."""


class Session(Patient):
    """One side of one connection.

    *root* is what the peer reaches as its root; *link* goes into every handle and stream;
    *make_proxy* makes the proxy for a handle, *make_end* what the user gets of a stream that the
    peer has made (both in the order of the wire, so they only make an object); *guard* is a
    re-entrant lock (see boxing); *sequence* gives the numbers of requests, unique in the process;
    *process* is this process's own token; *hello_sent* says that the peer has the :func:`greeting`.
    """

    last_traceback: TracebackType | None = None
    """Of the last call of the peer's that failed in code of the user's, for a debugger; kept only
    where the peer may do anything."""
    gone: Callable[[str], ConnectionLost] = ConnectionLost
    """What a request raises that is made after the end, for the reason of which it is given."""
    _loader: Loader | None = None
    _offer: tuple[str, object] | None = None

    def __init__(
        self,
        config: Config,
        root: object,
        *,
        link: Front,
        make_proxy: Callable[[Handle], object],
        make_end: Callable[[Flow], object],
        guard: AbstractContextManager[object],
        sequence: Iterator[int],
        process: bytes,
        side: str,
        features: tuple[str, ...] = (),
        hello_sent: bool = False,
    ) -> None:
        super().__init__(config)
        self.side = side
        self.policy = policy_for(config, side)
        self.boxing = Boxing(
            link=link,
            root=root,
            policy=self.policy,
            make_proxy=make_proxy,
            load_raised=self._load,
            accept_stream=lambda number, two_way: make_end(self.flows.accept(number, two_way)),
            guard=guard,
            limits=config.limits,
        )
        self.flows = Flows(link, self._tell, self._failed, guard, config.limits[Limit.REQUESTS])
        self.link = link
        self.heavy: dict[int, int] = {}  # our requests that have many bytes: seq -> how many
        self.out: deque[Wire] = deque()
        self._sequence = sequence
        self.root_exposure: Exposure | None = getattr(root, "EXPOSURE", None)
        self._left = Left()
        self._reader.codecs = offered(features)
        if not hello_sent:
            description = self.boxing.describe(root)
            self.out.append(hello(process, config.limits, features, description))

    def watch(self, received: See, sent: See) -> None:
        """Have these called with each message frame; before anything was received or written.

        What *received* raises is raised by :meth:`receive_data`, *sent* by whatever queues.
        """
        codecs = self._reader.codecs
        self._reader = WatchedReader(self.config.limits[Limit.GREETING], received)
        self._reader.codecs = codecs
        self.out = WatchedQueue(self.out, sent)

    def exposure_of_root(self, target: object) -> Exposure | None:
        """How the methods of *target* are exposed as a whole, if it is the root and says so."""
        return self.root_exposure if target is self.boxing.root else None

    def reconfigure(self, config: Config) -> None:
        """Go on with *config*; what the peer has been told already stays as it was."""
        self.config = config
        self._take_policy()
        if self._loader is not None:
            self._loader.configure(config)

    def offer(self, name: str, offered: object | None) -> None:
        """From here on the root has *offered* under *name* if it has nothing so named; None: not.

        One thing at a time. To be called before the peer's requests run, or between them.
        """
        self._offer = None if offered is None else (name, offered)
        self._take_policy()

    def _take_policy(self) -> None:
        policy: Policy = policy_for(self.config, self.side)
        if self._offer is not None:
            policy = OfferingPolicy(policy, self.boxing.root, *self._offer)
        self.policy = self.boxing.policy = policy

    @property
    def loader(self) -> Loader:
        """What builds the exceptions of the peer; most connections never need one."""
        if self._loader is None:
            self._loader = Loader(self.config, self._left_home, self._came_from, self.side)
        return self._loader

    def _load(self, dumped: object) -> BaseException:
        return self.loader.load(dumped)

    def failure(self, answer: Any) -> BaseException:
        """What a request of ours is to raise whose *answer* is no result: an error, or LOST.

        Called where the call was made. Raises ProtocolError for what is no exception.
        """
        if answer is LOST:
            return ConnectionLost(self.lost)
        if answer is NOT_STARTED:
            error = ConnectionLost(f"{self.lost}; the call was not started")
            error._not_started = True
            return error
        return self.loader.load(values.complete(answer))

    # --- out -----------------------------------------------------------------------------

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
        lost = self.lost
        if lost is not None:
            raise self.gone(lost)
        if seq is None:
            seq = next(self._sequence)
        number: Any = ROOT_ID
        if isinstance(target, Handle):
            number = target.id
        elif target is not None:
            number = target
        if kwargs:
            args = (*args, *kwargs.values())
        message: list[Any] = [_REQUEST, seq, chain, op, number, path, [*args]]
        if lane is not None:
            message[0], message[2] = _ASYNC, lane
        if kwargs:
            message.append([*kwargs])
        if time_left is not None or metadata or (kept and lane is None):
            _add_extras(message, time_left, metadata, kept)
        self.pending[seq] = token
        mine = seq

        def admit(size: int) -> None:
            self.link.admit(mine, size, chain)

        try:
            self._queue_request(message, args, admit)
        except BaseException:
            self.pending.pop(seq, None)
            raise
        # The end may have come after the first look: whoever takes the entry out answers for it.
        if self.lost is not None and self.pending.pop(seq, None) is not None:
            raise ConnectionLost(self.lost)
        return seq

    def oneway(
        self,
        op: int,
        target: Handle | tuple[Any] | None,
        path: Path,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        lane: int,
        time_left: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue a request that gets no answer, and for which :meth:`take_place` has taken one.

        Only to a peer that has said that it knows such. Otherwise as :meth:`request`; where that
        raises, the place is given back.
        """
        counted: list[int] = []

        def admit(size: int) -> None:
            self.link.admit_oneway(size)
            counted.append(size)

        try:
            if self.lost is not None:
                raise self.gone(self.lost)
            number: Any = ROOT_ID
            if isinstance(target, Handle):
                number = target.id
            elif target is not None:
                number = target
            if kwargs:
                args = (*args, *kwargs.values())
            seq = next(self._sequence)
            message: list[Any] = [_ONEWAY, seq, lane, op, number, path, [*args]]
            if kwargs:
                message.append([*kwargs])
            if time_left is not None or metadata:
                _add_extras(message, time_left, metadata, False)
            self._queue_request(message, args, admit)
        except BaseException:
            self.oneways.give_back(1, sum(counted))
            self._set_most_pending()
            raise

    def _finish_oneway(self, request: Request) -> None:
        """*request*, which gets no answer, has run, or never will."""
        told = self.oneways.over(request.size)
        if told is not None and self.lost is None:
            self._queue([_DONE, *told])

    def plain_request(
        self,
        token: object,
        seq: int,
        chain: int,
        op: int,
        target: Handle,
        path: str | None,
        args: tuple[Any, ...],
        asynchronous: bool = False,
    ) -> bytes | None:
        """As :meth:`request`, where all is plain: what is to be sent, which is not queued.

        What died here goes in front. None where there is more to it: then nothing is done. Of an
        *asynchronous* call *chain* is the lane.
        """
        if not SCALARS.issuperset(map(type, args)):
            if not values.is_plain(args) or self._nests(args):
                return None
        lost = self.lost
        if lost is not None:
            return None
        kind = _ASYNC if asynchronous else _REQUEST
        try:
            body = values.pack([kind, seq, chain, op, target.id, path, [*args]])
        except NotPlain:
            return None
        size = len(body)
        if size > self._unchecked or size > HEAVY:
            return None
        self.pending[seq] = token
        # As in request(): the end may have come just now.
        if self.lost is not None and self.pending.pop(seq, None) is not None:
            return None
        data = size.to_bytes(HEADER_SIZE, "big") + body
        return self._releases() + data if self.boxing.dead else data

    def plain_reply(self, request: Request, value: object) -> bytes | None:
        """As :meth:`reply`, where all is plain: what is to be sent, which is not queued.

        What died here goes in front. None where there is more to it: then nothing is done.
        """
        if not values.is_plain_value(value) or (type(value) is tuple and self._nests((value,))):
            return None
        if self.lost is not None:
            return None
        try:
            body = values.pack([_REPLY, request.seq, value])
        except NotPlain:
            return None
        size = len(body)
        if size > self._unchecked:
            return None
        if request.kept is not None:
            if request.oneway:
                return None
            request.kept.settle(value)
        self.running.pop(request.seq, None)
        data = size.to_bytes(HEADER_SIZE, "big") + body
        return self._releases() + data if self.boxing.dead else data

    def reply(self, request: Request, value: object) -> None:
        """Answer *request*; raises as :meth:`request` does where *value* cannot travel."""
        seq = request.seq
        self.running.pop(seq, None)  # first: once answered, the number is the peer's again
        if request.oneway:
            self._finish_oneway(request)
            return
        answer = request.kept
        # Before it is sent: a copy that cannot be made is an error, and the answer of the call.
        meant = None if answer is None else _meant(value)
        if self.lost is None:
            self._send(_REPLY, seq, value)
        if answer is not None:
            if type(value) is Flow:
                answer.settle(None, NotEncodable(_STREAM_NAMED))
            else:
                answer.settle(meant)

    def reply_stream(self, request: Request, two_way: bool) -> Flow:
        """Answer *request* with a new stream; raises as :meth:`reply`, and Busy."""
        if request.oneway:
            raise NotEncodable("a call that wants no answer has come to a stream: nobody takes it")
        flow = self.flows.open(two_way)
        flow.request = request
        try:
            self.reply(request, flow)
        except BaseException:
            self.flows.drop(flow)
            raise
        request.deadline = None  # it was that of the answer
        return flow

    def error(self, request: Request, exc: BaseException, keep: list[int] | None) -> None:
        """Answer *request* with *exc*, or with what tells of it, if it cannot travel itself.

        *keep* (None: nobody can bring it home) gets the number under which *exc* is kept
        until :meth:`let_go`, so that it comes home as the very object.
        """
        self.running.pop(request.seq, None)
        config = self.config
        if config.allow_all_attrs:
            self.last_traceback = users_traceback(exc) or self.last_traceback
        if type(exc) is Busy or (
            request.deadline is not None and issubclass(type(exc), AsyncResultTimeout)
        ):  # it is no fault, nor is the caller's own time limit
            config = config._replace(log_exceptions=False)
        if request.oneway:
            self._finish_oneway(request)
            if self.lost is None or not issubclass(type(exc), CallCancelled):
                log_untold(exc, config, request.path)
            return
        try:
            self._send_error(request.seq, exc, keep, config)
        except BaseException as failure:
            error = unsendable("the call raised", exc, failure)
            self._send_error(request.seq, error, None, self.config)
            if not isinstance(failure, Exception):
                raise
        finally:
            if request.kept is not None:
                request.kept.settle(None, exc)

    def _refuse(self, request: Request) -> None:
        busy = Busy(
            f"{self.side} runs {len(self.running)} calls of this connection, which is as many, or "
            "as many bytes, as it takes at once"
        )
        self._send_error(request.seq, busy, None, self.config._replace(log_exceptions=False))
        if request.kept is not None:
            request.kept.settle(None, busy)

    def _send_error(
        self, seq: int, exc: BaseException, keep: list[int] | None, config: Config
    ) -> None:
        if self.lost is None:
            self._send(int(Kind.ERROR), seq, self._dump(exc, keep, config))

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
        if type(token) is int:
            small = abs(token) <= MAX_NUMBER
        if not small and token is not None:
            raise NotEncodable("a ping carries None, an int, or a short str or bytes")
        self._queue([int(Kind.PING), token])

    def goodbye(self, reason: str) -> None:
        """Queue a goodbye; what it says was not started will not be. Then the front-end closes."""
        if self.lost is None:
            requests = [request for request in list(self.running.values()) if request.start()]
            waiting = [request.seq for request in requests if not request.oneway]
            reason = reason[:LONGEST_REASON]
            room = self.peer_limits[Limit.FRAME] - 4 * LONGEST_REASON - ENVELOPE
            del waiting[min(room // NUMBER, self.peer_limits[Limit.ITEMS]) :]
            self._queue([Kind.GOODBYE, reason, waiting])

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

    # --- the end -----------------------------------------------------------------------------

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

    def served(self) -> list[Request]:
        """The peer's requests that are not answered yet, and those whose streams are open."""
        streams = [flow.request for flow in self.flows]
        return [*list(self.running.values()), *filter(None, streams)]

    def discard_tables(self) -> list[object]:
        """Empty the tables after the end; returns what was exported, to be dropped unlocked."""
        dropped: list[object] = [*self.boxing.discard(), *self.boxing.dead]
        if self.last_traceback is not None:
            dropped.append(self.last_traceback)
            self.last_traceback = None
        self.boxing.dead.clear()
        self._left.clear()
        self.running.clear()
        return dropped


_STREAM_NAMED: Final = "a stream cannot be used or passed on before it has come: wait for it"


def _meant(value: object) -> object:
    """What later requests mean by an answer: what is sent, so of what travels as a copy, a copy."""
    if type(value) is not ByValue:
        return value
    try:
        return copied(value.value)
    except RecursionError:
        raise NotEncodable(
            "a container that contains itself cannot be copied, nor one hundreds of levels deep"
        ) from None


def _add_extras(
    message: list[Any], time_left: float | None, metadata: Mapping[str, Any] | None, kept: bool
) -> None:
    """Behind a request's arguments and keyword names, what else there is to say."""
    if time_left is not None and not abs(time_left) < LONGEST:
        time_left = None
    message += [[]] * (8 - len(message)) + [time_left]
    if metadata and len(metadata) > MOST_METADATA:
        raise LimitExceeded(f"the metadata of a call has at most {MOST_METADATA} entries")
    if metadata or kept:
        message += [[[*pair] for pair in metadata.items()] if metadata else None, kept]
