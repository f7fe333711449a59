"""Two sessions joined by bytes: no socket, no thread, no sleep.

A :class:`Side` is a link as proxies and streams want one. Its ``request`` carries bytes to and fro
until the answer is there; what the other side is asked meanwhile runs in between, so that callbacks
are plain recursion. What is asynchronous (``async def``, the producers of streams) is a
:class:`Task` of its side, gone on with when there is nothing to carry. :attr:`FakeWire.log` says
which messages were on the wire.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any

import msgpack

from netobj.core import values
from netobj.core.boxing import Raised
from netobj.core.config import Config
from netobj.core.consts import HEADER_SIZE, PREAMBLE, Kind, Op
from netobj.core.copies import fetch_copy
from netobj.core.ends import AsyncDuplex, Duplex, Incoming
from netobj.core.events import Dropped, Event, Flowed, Reply, Request
from netobj.core.flow import Flow
from netobj.core.handle import Handle
from netobj.core.handlers import perform
from netobj.core.netref import proxy_for
from netobj.core.outcomes import Awaited, Opened, Ruled, Streamed
from netobj.core.promises import Promise
from netobj.core.pumping import Batch, pump_async, pump_some
from netobj.core.service import SlaveService
from netobj.core.session import Session
from netobj.errors import Busy, ConnectionLost

CLASSIC = Config().merge({**SlaveService.CONFIG})
PUBLIC = Config(allow_public_attrs=True, allow_setattr=True, allow_delattr=True)


class Answer(Promise):
    """The token of a request: what came back (not the Reply, which refers to its token).

    A promise, if it was made by :meth:`Side.send`.
    """

    link: Any = None
    seq = 0
    pins = 0
    forgotten = False
    done = False
    ok = False
    kept = False
    value: Any = None
    deferred = False

    def complete(self, ok: bool, value: Any, deferred: bool) -> None:
        self.ok, self.value, self.deferred, self.done = ok, value, deferred, True
        if self.kept and not isinstance(value, ConnectionLost):
            self.link.session.boxing.settled(self)

    def result(self) -> Any:
        return self.link.outcome(self)


class Pause:
    """Awaiting it lets others go on until *ready*."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready

    def __await__(self) -> Iterator[Callable[[], bool]]:
        yield self._ready


class Task:
    """A coroutine that is gone on with by hand."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self.ready: Callable[[], bool] = lambda: True
        self.done = False

    @property
    def running(self) -> bool:
        return bool(self._work.cr_running)  # type: ignore[attr-defined]

    def step(self) -> None:
        try:
            self.ready = self._work.send(None)
        except StopIteration:
            self.done = True

    def throw(self, exc: BaseException) -> None:
        """The task is cancelled."""
        try:
            self.ready = self._work.throw(exc)
        except (StopIteration, type(exc)):
            self.done = True


class Side:
    """One end: a session, and a link for the proxies of what it imports."""

    def __init__(self, name: str, root: object, config: Config, features: tuple[str, ...]) -> None:
        self.name = name
        self.guard = nullcontext()
        self.events: deque[Event] = deque()
        self.other_events: list[Event] = []
        self.waiting = 0
        self.watched = 0  # how often the clock was to look
        self.chains: set[int] = set()  # in which this side waits
        self.kept: list[int] = []
        self.raw_due = False
        self.tasks: list[Task] = []
        self.due: deque[Batch] = deque()  # to be flushed in a moment
        self.make_end: Callable[[Flow], Any] = end_of
        self.session = Session(
            config,
            root,
            link=self,
            make_proxy=proxy_for,
            make_end=lambda flow: self.make_end(flow),
            guard=self.guard,
            sequence=count(1),
            process=name.encode(),
            side=name,
            features=features,
        )
        self.wire: FakeWire

    @property
    def config(self) -> Config:
        return self.session.config

    def congested(self) -> bool:
        return False

    def watch(self) -> None:
        self.watched += 1

    def waits_in(self, chain: int) -> bool:
        return chain in self.chains

    def admit(self, seq: int, size: int, chain: int | None) -> None:
        self.session.heavy[seq] = size

    def settle(self, ruled: Ruled) -> object:
        return ruled.run()

    def admit_oneway(self, size: int) -> None:
        if not self.session.take_bytes(size):
            raise Busy("no room")

    def oneway(
        self,
        path: Any,
        *args: Any,
        target: Any = None,
        kwargs: dict[str, Any] | None = None,
        **more: Any,
    ) -> bool:
        """Queue a call without an answer, if there is a place for it."""
        placed = self.session.take_place()
        if placed:
            self.session.oneway(Op.CALL, target, path, args, kwargs, 7, **more)
        return placed

    @property
    def peer(self) -> Side:
        return self.wire.right if self is self.wire.left else self.wire.left

    @property
    def root(self) -> Any:
        """The peer's root."""
        if self.session.root_class is None:
            self.wire.settle()
        assert self.session.root_class is not None
        return proxy_for(Handle(self, 0, self.session.root_class))

    def request(
        self, op: int, handle: Handle, path: Any, args: tuple[Any, ...], kwargs: Any = None
    ) -> Any:
        token = Answer()
        self.waiting += 1
        try:
            self.session.request(token, op, handle, path, args, kwargs, chain=1)
            while not token.done:
                if not self.wire.step():
                    raise AssertionError(f"{self.name} waits for an answer that nobody sends")
            return self.outcome(token)
        finally:
            self.waiting -= 1
            if not self.waiting:
                self.session.let_go(self.kept)
                self.kept.clear()

    async def request_async(
        self, op: int, handle: Handle, path: Any, args: tuple[Any, ...], kwargs: Any = None
    ) -> Any:
        token = Answer()
        self.session.request(token, op, handle, path, args, kwargs, chain=None, lane=1)
        await until(lambda: token.done)
        return self.outcome(token)

    def send(
        self,
        op: int,
        path: Any,
        *args: Any,
        target: Handle | tuple[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        kept: bool = True,
        **more: Any,
    ) -> Answer:
        """Queue a request; its answer is a promise until it is there."""
        token = Answer()
        token.link = self
        token.kept = kept or "lane" in more
        chain = None if "lane" in more else 1
        seq = self.session.request(token, op, target, path, args, kwargs, chain, kept=kept, **more)
        token.seq = seq
        return token

    def outcome(self, answer: Answer) -> Any:
        """What an answer means: its value, or the exception that it raises."""
        if isinstance(answer.value, ConnectionLost):
            raise answer.value
        if not answer.ok:
            raise self.session.failure(answer.value)
        return values.complete(answer.value) if answer.deferred else answer.value

    def copy_of(self, proxy: Any) -> Any:
        """As netobj.copy_of."""
        return fetch_copy(proxy)

    def raised(self, exc: BaseException) -> Raised:
        return self.session.raised(exc)

    def thrown(self, exc: BaseException) -> AbstractContextManager[Raised]:
        return self.session.thrown(exc)

    def proxy_of(self, handle: Handle) -> Any:
        return proxy_for(handle)

    def run(self, request: Request) -> None:
        """Answer *request*, as a front-end does."""
        for answer in request.awaits:
            if not answer.settled:
                answer.when_settled(lambda: self.events.append(request))
                return
        request.start()
        try:
            self.answer(request, perform(self.session, request))
        except BaseException as exc:
            self.fail(request, exc)
        finally:
            request.args = ()

    def answer(self, request: Request, value: object) -> None:
        """Answer *request* with *value*, or do first what has to be done for it."""
        if isinstance(value, Awaited):
            self.spawn(self._await(request, value))
        elif isinstance(value, Streamed | Opened):
            flow = self.session.reply_stream(request, type(value) is Opened)
            self.spawn(
                self._pump(flow, value) if type(value) is Streamed else self._open(flow, value)
            )
        else:
            self.session.reply(request, value)

    def fail(self, request: Request, exc: BaseException) -> None:
        self.session.error(request, exc, self.kept if self.waiting else None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = Task(work)
        task.step()
        if not task.done:
            self.tasks.append(task)

    async def _await(self, request: Request, value: Awaited) -> None:
        try:
            self.answer(request, value.finish(await value.awaitable))
        except BaseException as exc:
            self.fail(request, exc)

    async def _pump(self, flow: Flow, value: Any) -> None:
        batch = Batch(flow, nullcontext(), self.due.append)
        if value.asynchronous:
            await pump_async(batch, value.items, lambda: until(lambda: True))
        else:
            while not pump_some(batch, value.items):
                await self.wait_until_async(batch.may_go_on, flow)

    async def _open(self, flow: Flow, value: Any) -> None:
        try:
            if value.asynchronous:
                await value.converse_async(AsyncDuplex(flow), lambda exc: exc)
            else:
                value.converse(end_of(flow))
        except BaseException:  # the other side has been told, as the end of the stream
            pass

    def work(self) -> bool:
        """Go on with one thing of this side's; False if there is nothing."""
        if self.due:
            self.due.popleft().flush()
            return True
        for task in self.tasks:
            if not task.running and task.ready():
                task.step()
                if task.done and task in self.tasks:
                    self.tasks.remove(task)
                return True
        return False

    # --- what streams need of their connection ---------------------------------------------------

    def flush(self) -> None:
        """The wire carries what is queued by itself."""

    def wait_until(self, ready: Callable[[], bool], flow: Flow) -> None:
        while not ready():
            if not self.wire.step():
                raise AssertionError(f"{self.name} waits for a stream in which nothing happens")

    async def wait_until_async(self, ready: Callable[[], bool], flow: Flow) -> None:
        while not ready():
            await until(ready)

    # --- what comes ------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            self.run(event)
        elif isinstance(event, Reply):
            event.token.complete(event.ok, event.value, event.deferred)
        elif isinstance(event, Dropped):
            event.objects.clear()
        elif isinstance(event, Flowed):
            event.flow.notify()
        else:
            self.other_events.append(event)

    def take(self) -> bytes:
        """The next piece that this side has to write, noted in the log."""
        data = bytes(self.session.out.popleft())
        self.wire.note(self, data)
        return data


class FakeWire:
    """Two sides and the bytes between them; *left* is the client, by habit.

    >>> wire = FakeWire(right_root={"a": 1})
    >>> wire.left.root["a"], wire.log
    (1, ['left REQUEST', 'right REPLY'])
    """

    def __init__(
        self,
        left_root: object = None,
        right_root: object = None,
        *,
        left_config: Config | None = None,
        right_config: Config | None = None,
        left_features: tuple[str, ...] = (),
        right_features: tuple[str, ...] = (),
    ) -> None:
        self.left = Side("left", left_root, left_config or Config(), left_features)
        self.right = Side("right", right_root, right_config or Config(), right_features)
        self.left.wire = self.right.wire = self
        self.log: list[str] = []
        self.settle()
        self.log.clear()

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.left, self.right

    def step(self) -> bool:
        """Do one thing that is to be done; False if there is nothing."""
        for side in self.sides:
            if side.events:
                side.handle(side.events.popleft())
                return True
        carried = self.carry(self.left) or self.carry(self.right)
        return carried or self.left.work() or self.right.work()

    def carry(self, sender: Side, cut: int | None = None) -> bool:
        """Let the next piece of *sender*'s arrive; the events wait for :meth:`step`.

        *cut*: in two parts, the second behind that many bytes, as far as there are.
        """
        if not sender.session.out:
            return False
        data = sender.take()
        session = sender.peer.session
        for part in (data,) if cut is None else (data[:cut], data[cut:]):
            if part:
                sender.peer.events.extend(session.receive_data(part, 0.0))
            if session.fault is not None:
                raise session.fault
        return True

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine *work* comes to, while the wire carries what there is."""
        came: list[Any] = []

        async def watched() -> None:
            try:
                came.append(await work)
            except Exception as exc:
                came.append(exc)

        self.left.spawn(watched())
        self.settle()
        (result,) = came
        if isinstance(result, Exception):
            raise result
        return result

    def settle(self) -> None:
        """Go on until nothing is left to do."""
        while self.step():
            pass

    def flush(self) -> None:
        """Settle, release what has died on both sides, until nothing changes any more."""
        self.settle()
        while any(side.session.flush_releases() for side in self.sides):
            self.settle()

    def note(self, sender: Side, data: bytes) -> None:
        if sender.raw_due or data.startswith(PREAMBLE):
            sender.raw_due = False
        elif data[0] & 0x80:  # the header of a raw frame, whose bytes are the next piece
            sender.raw_due = True
        else:
            self.log += [f"{sender.name} {kind}" for kind in kinds(data)]

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """Inside of the block the log, which begins empty, is the list that is given."""
        self.log.clear()
        yield self.log

    def tables(self) -> tuple[int, int, int, int]:
        """How many: left's exports, left's imports, right's exports, right's imports."""
        left, right = self.left.session.boxing, self.right.session.boxing
        return len(left.exports), len(left.imports), len(right.exports), len(right.imports)

    def under_way(self) -> tuple[int, int, int, int]:
        """How many: answers that left keeps, and right; streams of left's table, and of right's."""
        left, right = self.left.session, self.right.session
        answers = len(left.boxing.answers), len(right.boxing.answers)
        return *answers, len(left.flows), len(right.flows)

    def lose(self, reason: str = "the wire was cut") -> None:
        for side in self.sides:
            for token in side.session.lose(reason):
                token.complete(False, ConnectionLost(reason), False)
            for flow in side.session.flows.lose(reason):
                flow.notify()


def end_of(flow: Flow) -> Incoming | Duplex:
    """What a thread gets of a stream."""
    return Incoming(flow) if flow.sent_end else Duplex(flow, nullcontext())


async def until(ready: Callable[[], bool]) -> None:
    await Pause(ready)


def kinds(data: bytes) -> list[str]:
    """The names of the messages in *data*, which is whole message frames."""
    return [Kind(fields(body)[0]).name for body in bodies(data)]


def bodies(data: bytes) -> Iterator[bytes]:
    """The bodies of the message frames in *data*."""
    while data:
        end = HEADER_SIZE + int.from_bytes(data[:HEADER_SIZE], "big")
        yield data[HEADER_SIZE:end]
        data = data[end:]


def fields(body: bytes) -> Any:
    """The fields of a message, extension values as they are."""
    return msgpack.unpackb(body, strict_map_key=False)
