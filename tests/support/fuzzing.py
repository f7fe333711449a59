"""Parsers of what strangers send, each with the one exception that it may raise.

A :class:`Target` is a function of bytes. Whatever else than its exception comes out is a bug. The
seeds are what such bytes look like when they are right, in ``tests/fuzz/corpus``.
``tests/fuzz/run.py`` has atheris look for more; ``tests/fuzz/test_fuzz.py`` has Hypothesis change
the seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from netobj.auth.messages import read_answer, read_challenge, read_verdict
from netobj.auth.sealing import Handshake, Opener
from netobj.core import values
from netobj.core.boxing import Boxing
from netobj.core.compressing import codecs
from netobj.core.config import Config
from netobj.core.consts import PREAMBLE, Op
from netobj.core.describe import Description
from netobj.core.ends import Duplex, Incoming
from netobj.core.events import Reply, Request
from netobj.core.exposure import exposed
from netobj.core.framing import FrameReader, frame
from netobj.core.handle import Handle, ImportedClass
from netobj.core.handlers import perform
from netobj.core.hello import greeting
from netobj.core.netref import proxy_for
from netobj.core.outcomes import Awaited, Opened, Ruled, Streamed, close_unawaited
from netobj.core.session import Session
from netobj.errors import AccessDenied, AuthenticationError, NotEncodable, ProtocolError
from netobj.registry.messages import NONCE, PACKET, Kind, open_packet
from netobj.urls import parse_url

CORPUS: Final = Path(__file__).parents[1] / "fuzz" / "corpus"
MOST: Final = 4096
"""Bytes that are tried at once."""


class Target(NamedTuple):
    """*parse* takes any bytes and may raise *allowed*, and nothing else."""

    name: str
    parse: Callable[[bytes], object]
    allowed: type[Exception]

    def __call__(self, data: bytes) -> None:
        try:
            self.parse(data[:MOST])
        except self.allowed:
            pass

    def seeds(self) -> list[bytes]:
        """What is kept in the repository."""
        path = CORPUS / f"{self.name}.json"
        return [bytes.fromhex(text) for text in json.loads(path.read_text())]


class _Root:
    """What strangers reach: harmless, and of each kind."""

    def exposed_add(self, a: object, b: object) -> object:
        return a + b  # type: ignore[operator]

    def exposed_give(self, *things: object) -> object:
        return things

    def exposed_fail(self) -> None:
        raise ValueError("fails")

    @exposed(stream=True)
    def rows(self, count: int) -> Iterator[int]:
        yield from range(3)

    @exposed
    async def later(self) -> int:
        return 1


class _Unasked:
    """The link of proxies that nobody may ask: what is decoded asks nobody."""

    guard = nullcontext()
    config = Config()

    def __init__(self) -> None:
        self.session: Any = None

    def request(self, *args: object) -> Any:
        raise AssertionError("decoding has asked the peer")

    def flush(self) -> None:
        """Nothing is written anyhow."""

    def watch(self) -> None:
        """No clock runs."""

    def waits_in(self, chain: int) -> bool:
        """Nobody waits."""
        return False

    def admit(self, seq: int, size: int, chain: int | None) -> None:
        """Nothing is asked for."""

    def settle(self, ruled: Ruled) -> object:
        """No rule is kept."""
        return ruled.run()


def _session(hello: bool = True) -> Session:
    link = _Unasked()
    config = Config(log_exceptions=False)
    root = _Root()
    session = link.session = Session(
        config,
        root,
        link=link,
        make_proxy=proxy_for,
        make_end=lambda flow: Incoming(flow) if flow.sent_end else Duplex(flow, nullcontext()),
        guard=link.guard,
        sequence=count(1),
        process=b"here",
        side="here",
        features=codecs(),
    )
    if hello:
        session.receive_data(_greeting(), 0.0)
        session.request("token", Op.CALL, None, "add", ([], []), None, 1, kept=True)
        session.request("other", Op.CALL, None, "add", (root, 1), None, None, lane=1)
        session.ping(7)
    return session


def _greeting() -> bytes:
    return greeting(Config(), _Root, side="there", process=b"there", features=("numpy",))


def _frames(data: bytes) -> None:
    """The first bytes say where the rest is cut."""
    reader = FrameReader(1024, preamble=bool(data[:1] and data[0] & 1))
    cut = data[1] if len(data) > 1 else 0
    data = data[2:]
    raw = 0
    for piece in (data[:cut], data[cut:]):
        if not piece:
            continue
        body = reader.take(piece) if not raw else reader.feed(piece)
        while True:
            if raw:
                if reader.next_raw(raw) is None:
                    break
                raw = 0
            elif body is not None and body[:1] == b"\xff":  # as if it had named a big value
                raw = len(body)
                continue
            body = reader.next_message()
            if body is None:
                break


def _values(data: bytes) -> None:
    session = _session()
    message = session.boxing.unbox(b"\x92\x00" + data)
    for big in session.boxing.big:
        big.data = b"data"
    _complete(message)


def _complete(value: Any) -> None:
    """As where the call runs; what is wrong there is an error of that call alone."""
    try:
        values.complete(value)
    except (AccessDenied, NotEncodable):  # of a method that is none, of a class not registered
        pass


def _copies(data: bytes) -> None:
    _complete(_session().boxing.unpack_blob(data))


def _hello(data: bytes) -> None:
    _session(hello=False).receive_data(PREAMBLE + frame(data), 0.0)


def _messages(data: bytes) -> None:
    """Messages one after another, each behind two bytes with its length; what they ask is done."""
    session = _session()
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        body, data = data[2:end], data[end:]
        events: Any = session.receive_data(frame(body), 1.0)
        for event in events:
            if isinstance(event, Request):
                _answer(session, event)
            elif isinstance(event, Reply) and not event.ok:
                _fail(session, event.value)
            elif isinstance(event, Reply) and event.deferred:
                _complete(event.value)
        session.flush_releases()
        if session.fault is not None:
            raise session.fault
    session.lose("the end")
    session.flows.lose("the end")
    session.discard_tables()


def _answer(session: Session, request: Request) -> None:
    if not all(answer.settled for answer in request.awaits):
        return
    try:
        value = perform(session, request)
        if isinstance(value, Awaited | Streamed | Opened):
            close_unawaited(value)
            session.reply_stream(request, False)
        else:
            session.reply(request, value)
    except AssertionError:
        raise
    except Exception as exc:
        session.error(request, exc, None)


def _exceptions(data: bytes) -> None:
    session = _session()
    _fail(session, session.boxing.unbox(b"\x92\x00" + data)[1])


def _fail(session: Session, answer: object) -> None:
    """As Session.failure, which may meet values that this side does not know."""
    try:
        answer = values.complete(answer)
    except (AccessDenied, NotEncodable):
        return
    session.loader.load(answer)


def _descriptions(data: bytes) -> None:
    boxing: Boxing = _session().boxing
    description = Description.from_wire(boxing.unbox(b"\x92\x00" + data)[1])
    proxy = proxy_for(Handle(boxing.link, 1, ImportedClass(description)))
    isinstance(proxy, int)
    object.__repr__(proxy)
    repr(type(proxy))


def _login(data: bytes) -> None:
    """The first byte says which of the three messages it is."""
    which = data[0] % 3 if data else 0
    reading = (partial(read_challenge, b"T", "a token"), read_answer, read_verdict)[which]()
    data = data[1:]
    try:
        wanted = next(reading)
        while len(data) >= wanted:
            piece, data = data[:wanted], data[wanted:]
            wanted = reading.send(piece)
    except StopIteration:
        pass


def _handshake(data: bytes) -> None:
    """The first byte says which side hears the rest: a hello, then a confirm."""
    shake = Handshake(bytes(range(32)), server=bool(data[:1] and data[0] & 1))
    data = data[1:]
    for reading in (shake.read_hello(), shake.read_confirm()):
        wanted = next(reading)
        try:
            while len(data) >= wanted:
                piece, data = data[:wanted], data[wanted:]
                wanted = reading.send(piece)
            return
        except StopIteration:
            pass


def _records(data: bytes) -> None:
    """The first byte says where the rest is cut. The seeds are what the key makes of some texts."""
    opener = Opener(bytes(range(100, 132)))
    cut, data = data[:1], data[1:]
    for piece in (data[: cut[0] if cut else 0], data[cut[0] if cut else 0 :]):
        space = opener.space()
        if space is not None:
            count = min(len(space), len(piece))
            space[:count] = piece[:count]
            opener.filled(count)
            piece = piece[count:]
        opener.open(piece)


def _registry(data: bytes) -> None:
    """The first byte says of which kind it is, and whether a head is put in front."""
    which = data[0] if data else 0
    kind = Kind.REPLY if which & 1 else Kind.REQUEST
    body = data[1:]
    if which & 2:
        length = min(len(body), PACKET)
        head = b"nreg" + bytes((1, kind)) + length.to_bytes(2, "big") + bytes(NONCE + 32)
        body = (head + body)[:PACKET]
    open_packet(body.ljust(PACKET, b"\0"), kind)


def _urls(data: bytes) -> None:
    parse_url(data.decode("utf-8", "surrogatepass" if data[:1] < b"\x80" else "replace"))


TARGETS: Final = {
    target.name: target
    for target in (
        Target("frames", _frames, ProtocolError),
        Target("values", _values, ProtocolError),
        Target("copies", _copies, ProtocolError),
        Target("hello", _hello, ProtocolError),
        Target("messages", _messages, ProtocolError),
        Target("exceptions", _exceptions, ProtocolError),
        Target("descriptions", _descriptions, ProtocolError),
        Target("login", _login, AuthenticationError),
        Target("handshake", _handshake, AuthenticationError),
        Target("records", _records, ProtocolError),
        Target("registry", _registry, ProtocolError),
        Target("urls", _urls, ValueError),
    )
}
