"""A peer that keeps to the letter of the protocol, and to nothing else.

An :class:`Attacker` is one end of a socket, whose every message is the test's. At the other end is
a victim: a server or a client of either skin, see :func:`victim`.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any, NamedTuple

import msgpack

import netobj
from fakewire import Side
from netobj import aio
from netobj.blocking.streams import SocketStream
from netobj.core import values
from netobj.core.boxing import Export, Raised
from netobj.core.config import Config
from netobj.core.consts import HEADER_SIZE, SPECIAL_INDEX, Ext, Kind, Op
from netobj.core.events import Event, Reply, Request
from netobj.core.handle import Handle
from netobj.core.handlers import perform
from netobj.core.netref import proxy_for
from netobj.core.service import SlaveService
from netobj.core.session import Session
from patience import HANG
from skins import Background

VICTIMS = ("blocking server", "aio server", "blocking client", "aio client")

INSTANCE, CLASS, MODULE = 0, 1, 2


class Asked(NamedTuple):
    """One request."""

    op: int
    target: Any
    path: Any = None
    args: tuple[Any, ...] = ()


class Attacker:
    """One end of the socket *sock*; *root* is what the other side reaches as its root.

    *answer* answers what the victim asks: it is given a request, and returns a value or raises; by
    default everything is open.
    """

    def __init__(
        self,
        sock: socket.socket,
        root: object = None,
        answer: Callable[[Request], object] | None = None,
    ) -> None:
        self.sock = sock
        sock.settimeout(HANG)
        self.guard = nullcontext()
        self.config = Config().merge({**SlaveService.CONFIG, "log_exceptions": False})
        self.answer = answer or (lambda request: perform(self.session, request))
        self._events: deque[Event] = deque()
        self._class_ids = count(1_000_000)
        self._ids = count(1_000_000)
        self.session = Session(
            self.config,
            root,
            link=self,
            make_proxy=proxy_for,
            make_end=lambda flow: flow,
            guard=self.guard,
            sequence=count(1),
            process=b"an attacker",
            side="the attacker",
            features=("numpy",),
        )
        self.flush()

    # --- asking --------------------------------------------------------------------------------

    def ask(
        self,
        op: int,
        target: Any = None,
        path: Any = None,
        *args: Any,
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """What the victim answers to a request; raises what it raises.

        *target*: None (its root), a proxy, or anything else, which goes as a value.
        """
        token = self._send_request(op, target, path, args, kwargs)
        self.flush()
        return self.outcome(self._replies([token])[token])

    def ask_all(self, requests: list[Asked]) -> list[Any]:
        """What is answered to each, or raised by it; all are sent before the first answer."""
        tokens = [self._send_request(one.op, one.target, one.path, one.args) for one in requests]
        self.flush()
        replies = self._replies(tokens)
        return [self._settled(replies[token]) for token in tokens]

    def _settled(self, reply: Reply) -> Any:
        try:
            return self.outcome(reply)
        except Exception as exc:
            return exc

    def _send_request(
        self,
        op: int,
        target: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        if target is not None:
            target = getattr(target, "____handle__", None) or (target,)
        token = object()
        self.session.request(token, op, target, path, args, kwargs, chain=None, lane=1)
        return token

    def _replies(self, tokens: list[object]) -> dict[object, Reply]:
        found: dict[object, Reply] = {}
        while len(found) < len(tokens):
            event = self.next_event()
            if type(event) is Request:
                self.serve(event)
            elif type(event) is Reply:
                found[event.token] = event
        return found

    def outcome(self, reply: Reply) -> Any:
        """The value of *reply*; raises what it raises."""
        if not reply.ok:
            raise self.session.failure(reply.value)
        return values.complete(reply.value) if reply.deferred else reply.value

    def get(self, target: Any, *steps: Any) -> Any:
        """What the path *steps* leads to."""
        return self.ask(Op.GET, target, list(steps))

    def call(self, target: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what *path* leads to."""
        return self.ask(Op.CALL, target, path, *args, kwargs=kwargs)

    def special(self, target: Any, name: str, *operands: Any) -> Any:
        """Call the special method *name*."""
        return self.ask(Op.SPECIAL, target, None, SPECIAL_INDEX[name], *operands)

    def request(
        self, op: int, handle: Handle, path: Any, args: tuple[Any, ...], kwargs: Any = None
    ) -> Any:
        """As proxies ask."""
        return self.ask(op, proxy_for(handle), path, *args, kwargs=kwargs)

    def thrown(self, exc: BaseException) -> AbstractContextManager[Raised]:
        return self.session.thrown(exc)

    # --- being asked ---------------------------------------------------------------------------

    def next_event(self) -> Event:
        """What comes next. Raises EOFError at the end of the connection."""
        while not self._events:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._events += self.session.receive_data(data, 0.0)
            self.flush()
        return self._events.popleft()

    def requested(self) -> Request:
        """The next request of the victim's."""
        while True:
            event = self.next_event()
            if type(event) is Request:
                return event

    def serve(self, request: Request) -> None:
        """Answer one request."""
        request.start()
        try:
            self.reply(request, self.answer(request))
        except Exception as exc:
            self.session.error(request, exc, None)
            self.flush()

    def serve_all(self) -> None:
        """Answer until the connection ends."""
        try:
            while True:
                self.serve(self.requested())
        except (EOFError, OSError, netobj.ProtocolError):
            self.close()

    def reply(self, request: Request, value: object) -> None:
        """Answer *request* with *value*; what :meth:`claim` and its likes make goes as it is."""
        if type(value) is Forged:
            self.session.running.pop(request.seq, None)
            self.send([Kind.ERROR if value.error else Kind.REPLY, request.seq, value.wire])
        else:
            self.session.reply(request, value)
            self.flush()

    # --- bytes ---------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what is queued."""
        while self.session.out:
            self.sock.sendall(bytes(self.session.out.popleft()))

    def send(self, message: list[Any]) -> None:
        """Send *message*, boxed by hand."""
        body = values.pack(message)
        self.sock.sendall(len(body).to_bytes(HEADER_SIZE, "big") + body)

    def claim(
        self,
        module: str,
        name: str,
        *,
        kind: int = INSTANCE,
        methods: tuple[str, ...] = (),
        specials: tuple[str, ...] = (),
        bases: tuple[str, ...] = (),
        buffer: bool = False,
    ) -> Forged:
        """A reference to a new object that is described as one likes."""
        bits = sum(1 << SPECIAL_INDEX[special] for special in specials)
        description = [kind, module, name, list(methods), bits.to_bytes(16, "big"), list(bases)]
        number = next(self._ids)
        boxing, export = self.session.boxing, Export(Nothing(), number)
        boxing.exports[number] = boxing._by_identity[id(export.obj)] = export
        export.count = 1
        fields = [number, next(self._class_ids), [*description, False, buffer]]
        return Forged(msgpack.ExtType(Ext.EXPORT, values.pack(fields)))

    def home(self, proxy: Any) -> msgpack.ExtType:
        """What names an object of the victim's."""
        return msgpack.ExtType(Ext.HOME, proxy.____handle__.id.to_bytes(8, "big"))

    def close(self) -> None:
        self.sock.close()


class Nothing:
    """What is behind a claim."""


class Forged:
    """What stands on the wire for a value, or with *error* for the exception of an answer."""

    def __init__(self, wire: Any, error: bool = False) -> None:
        self.wire = wire
        self.error = error


class Tuple(Forged):
    """A tuple of such."""

    def __init__(self, *items: Any) -> None:
        super().__init__([item.wire if isinstance(item, Forged) else item for item in items])


def table(**fields: Any) -> list[Any]:
    """One exception of a table, as it stands on the wire; see netobj.core.vinegar_table."""
    node = {
        "home": None,
        "origin": None,
        "module": "builtins",
        "qualname": "ValueError",
        "bases": ["ValueError", "Exception"],
        "is_exception": True,
        "args": [],
        "attributes": [],
        "notes": [],
        "text": "",
        "traceback": None,
        "error_id": None,
        "versions": None,
        "cause": None,
        "context": None,
        "suppress_context": False,
        "members": None,
        **fields,
    }
    return list(node.values())


def error(*nodes: list[Any], **fields: Any) -> Forged:
    """The answer that raises the exception of these nodes, or of one with these fields."""
    return Forged(list(nodes) or [table(**fields)], error=True)


class CoreSocket:
    """In the place of a socket: a session that answers in this thread, with its service."""

    def __init__(self, service: Any, config: Config) -> None:
        self._side = Side("the victim", service, config, ())
        self._side.wire = self  # type: ignore[assignment]

    def settimeout(self, seconds: float) -> None:
        """It never waits."""

    def sendall(self, data: bytes) -> None:
        session = self._side.session
        for event in session.receive_data(data, 0.0):
            self._side.handle(event)

    def recv(self, _size: int) -> bytes:
        while not self._side.session.out:
            if not self._side.work():
                raise AssertionError("the victim does not answer")
        data = b"".join(map(bytes, self._side.session.out))
        self._side.session.out.clear()
        return data

    def close(self) -> None:
        """Nothing to be closed."""


@contextmanager
def victim(
    kind: str, loop: Background, service: Any, config: dict[str, Any] | None = None
) -> Iterator[Attacker]:
    """An attacker; the victim shows *service*, and reads with the settings *config*."""
    settings = {"log_exceptions": False, **(config or {})}
    if kind.endswith("server"):
        yield from _of_server(kind, loop, service, settings)
    else:
        with hostile_server(kind, loop, service, settings) as (attacker, _):
            yield attacker


def _of_server(
    kind: str, loop: Background, service: Any, config: dict[str, Any]
) -> Iterator[Attacker]:
    server: Any
    if kind == "aio server":
        server = loop.call(lambda: aio.Server(service, "127.0.0.1", config=config))
        loop.run(server.start())
    else:
        server = netobj.ThreadedServer(service, hostname="127.0.0.1", protocol_config=config)
        server.__enter__()
    sock = socket.create_connection(("127.0.0.1", server.port))
    try:
        yield Attacker(sock)
    finally:
        sock.close()
        if kind == "aio server":
            loop.run(server.close())
        else:
            server.__exit__(None, None, None)


@contextmanager
def hostile_server(
    kind: str,
    loop: Background,
    service: Any = netobj.VoidService,
    config: dict[str, Any] | None = None,
    answer: Callable[[Request], object] | None = None,
) -> Iterator[tuple[Attacker, Any]]:
    """An attacker that was connected to, and the connection of the client, of either skin."""
    theirs, ours = socket.socketpair()
    attacker = Attacker(theirs, answer=answer)
    connection: Any
    if kind.startswith("aio"):
        connection = loop.run(_entered(aio.factory.connect_socket(ours, service, config or {})))
    else:
        connection = netobj.connect_stream(SocketStream(ours), service, config or {})
    try:
        yield attacker, connection
    finally:
        attacker.close()
        if kind.startswith("aio"):
            loop.run(connection.close())
        else:
            connection.close()


async def _entered(connecting: Any) -> Any:
    return await connecting
