"""Two sessions joined by bytes: no socket, no thread, no sleep.

A :class:`Side` is a link as proxies want one. Its ``request`` carries bytes to and fro until the
answer is there; what the other side is asked meanwhile runs in between, so that callbacks are
plain recursion. :attr:`FakeWire.log` says which messages were on the wire.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any

import msgpack

from netobj.core import values
from netobj.core.boxing import Raised
from netobj.core.config import Config
from netobj.core.consts import HEADER_SIZE, PREAMBLE, Kind
from netobj.core.copies import fetch_copy
from netobj.core.events import Dropped, Event, Reply, Request
from netobj.core.handle import Handle
from netobj.core.handlers import perform
from netobj.core.netref import proxy_for
from netobj.core.service import SlaveService
from netobj.core.session import Session
from netobj.errors import ConnectionLost

CLASSIC = Config().merge({**SlaveService.CONFIG})
PUBLIC = Config(allow_public_attrs=True, allow_setattr=True, allow_delattr=True)


class Answer:
    """The token of a request: what came back (not the Reply, which refers to its token)."""

    done = False
    ok = False
    value: Any = None
    deferred = False

    def complete(self, ok: bool, value: Any, deferred: bool) -> None:
        self.ok, self.value, self.deferred, self.done = ok, value, deferred, True


class Side:
    """One end: a session, and a link for the proxies of what it imports."""

    def __init__(self, name: str, root: object, config: Config, features: tuple[str, ...]) -> None:
        self.name = name
        self.guard = nullcontext()
        self.events: deque[Event] = deque()
        self.other_events: list[Event] = []
        self.waiting = 0
        self.kept: list[int] = []
        self.raw_due = False
        self.session = Session(
            config,
            root,
            link=self,
            make_proxy=proxy_for,
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

    def outcome(self, answer: Answer) -> Any:
        """What an answer means: its value, or the exception that it raises."""
        if isinstance(answer.value, ConnectionLost):
            raise answer.value
        if not answer.ok:
            raise self.session.loader.load(values.complete(answer.value))
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
        request.start()
        try:
            self.session.reply(request, perform(self.session, request))
        except BaseException as exc:
            self.session.error(request, exc, self.kept if self.waiting else None)
        finally:
            request.args = ()

    def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            self.run(event)
        elif isinstance(event, Reply):
            event.token.complete(event.ok, event.value, event.deferred)
        elif isinstance(event, Dropped):
            event.objects.clear()
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
        return self.carry(self.left) or self.carry(self.right)

    def carry(self, sender: Side) -> bool:
        """Let the next piece of *sender*'s arrive; the events wait for :meth:`step`."""
        if not sender.session.out:
            return False
        data = sender.take()
        session = sender.peer.session
        sender.peer.events.extend(session.receive_data(data, 0.0))
        if session.fault is not None:
            raise session.fault
        return True

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

    def lose(self, reason: str = "the wire was cut") -> None:
        for side in self.sides:
            for token in side.session.lose(reason):
                token.complete(False, ConnectionLost(reason), False)


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
