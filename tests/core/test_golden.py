"""Golden vectors: what the bytes are, so that a change of the wire is seen as one.

``golden/values.json`` holds values, ``golden/messages.json`` whole frames; each entry is checked
against the encoder and against the decoder. After a change that is meant (and told in
``docs/protocol.rst``), write them anew::

    PYTHONPATH=tests/support:. python tests/core/test_golden.py
"""

from __future__ import annotations

import json
import re
from collections import namedtuple
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import count
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest

from netobj.core import bounds, consts, receiving, values
from netobj.core.boxing import ByValue, Outgoing
from netobj.core.config import Compression, Config
from netobj.core.consts import (
    BIG_VALUE,
    DEFAULT_LIMITS,
    HEADER_SIZE,
    PREAMBLE,
    RAW_FLAG,
    SPECIAL_INDEX,
    SPECIALS,
    Described,
    Ext,
    Kind,
    Limit,
    Op,
)
from netobj.core.describe import Description
from netobj.core.events import Request
from netobj.core.flow import FIRST_CREDIT, MOST_BYTES, MOST_CREDIT
from netobj.core.framing import frame
from netobj.core.handle import Handle
from netobj.core.netref import proxy_for
from netobj.core.promises import Answer, Promise
from netobj.core.registered import REGISTERED, USER_TYPES, by_value
from netobj.core.session import Session
from netobj.core.vinegar_table import Node
from strategies import same

GOLDEN: Final = Path(__file__).parent / "golden"
ROOT: Final = Path(__file__).parents[2]
Point = namedtuple("Point", "x y")


class Colour(Enum):
    RED = 1


class Thing:
    def exposed_greet(self) -> str:
        return "hello"

    def __len__(self) -> int:
        return 3


Thing.__module__ = "golden"
Thing.__qualname__ = "Thing"
THING: Final = Thing()


class Root(Thing):
    pass


Root.__module__ = "golden"
Root.__qualname__ = "Root"

# --- values --------------------------------------------------------------------------------------

VALUES: Final = """
None
True
7
-1
2**63
-(2**64)
1.5
float('-inf')
'text'
'\\ud800'
b'bytes'
(1, ('a', b'b'))
complex(1, -0.0)
Ellipsis
NotImplemented
slice(1, None, 'x')
range(2, 2**65, 3)
frozenset((7,))
Point(1, 'a')
date(2024, 2, 29)
time(1, 2, 3, 4, fold=1)
time(1, tzinfo=timezone.utc)
datetime(2024, 2, 29, 1, 2, 3, 4)
datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=1), 'CET'))
datetime(2024, 2, 29, tzinfo=ZoneInfo('Europe/Berlin'))
timedelta(-1, 2, 3)
timezone(timedelta(hours=-5))
ZoneInfo('UTC')
Decimal('-1.50')
Fraction(1, 3)
UUID(int=1)
PurePosixPath('/a/b')
PureWindowsPath('C:/a')
Colour.RED
copied([1, 'a', [2]])
copied({'k': (1, 2)})
copied([{7}, bytearray(b'x'), frozenset((1,)), None])
""".strip().splitlines()


def copied(container: Any) -> ByValue:
    return ByValue(container)


NAMES: Final = {
    item.__name__: item
    for item in (Colour, Decimal, Fraction, Point, PurePosixPath, PureWindowsPath, UUID, ZoneInfo)
    + (copied, date, datetime, time, timedelta, timezone)
}


def value_of(text: str) -> Any:
    """What an entry of VALUES says, in Python's own words."""
    return eval(text, dict(NAMES))


def encode(value: Any) -> str:
    return values.pack(Outgoing(lone().boxing).box(value)).hex()


def decode(hexed: str) -> Any:
    boxing = lone().boxing
    return values.complete(boxing.unbox(values.pack([0])[:1] + bytes.fromhex(hexed)))[0]


@pytest.fixture(autouse=True)
def _registered() -> Any:
    names, types = dict(REGISTERED), dict(USER_TYPES)
    by_value(Colour, name="golden.Colour")
    yield
    for table, before in ((REGISTERED, names), (USER_TYPES, types)):
        table.clear()
        table.update(before)  # type: ignore[arg-type]


def read(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((GOLDEN / name).read_text())
    return found


@pytest.mark.parametrize("entry", read("values.json"), ids=lambda entry: entry["value"])
def test_values(entry: dict[str, Any]) -> None:
    value = value_of(entry["value"])
    assert encode(value) == entry["hex"]
    assert readable(bytes.fromhex(entry["hex"])) == entry["reads"]
    plain = value.value if isinstance(value, ByValue) else value
    assert same(decode(entry["hex"]), plain)


def test_all_values_are_there() -> None:
    assert [entry["value"] for entry in read("values.json")] == VALUES


def test_a_numpy_scalar() -> None:
    scalar = SimpleNamespace(dtype=SimpleNamespace(str="<f4"), tobytes=lambda: b"\0\0\xc0\x3f")
    packed = values.pack(values.encode_numpy_scalar(scalar, lambda item: item))
    assert packed.hex() == "c70b1392a33c6634c4040000c03f"
    numpy = pytest.importorskip("numpy", reason="numpy is an extra")
    assert decode(packed.hex()) == numpy.float32(1.5)


# --- messages ------------------------------------------------------------------------------------


def lone(greeted: bool = True) -> Session:
    """A session that has heard the same hello as it has sent."""
    link: Any = SimpleNamespace(guard=nullcontext(), config=Config(), admit=lambda *_: None)
    link.waits_in, link.watch = lambda _: False, lambda: None
    session = Session(
        Config(log_exceptions=False),
        Root(),
        link=link,
        make_proxy=proxy_for,
        make_end=lambda flow: f"stream {flow.number}",
        guard=link.guard,
        sequence=count(1),
        process=bytes(range(16)),
        side="golden",
    )
    if greeted:
        session.receive_data(b"".join(map(bytes, session.out)), 0.0)
        session.out.clear()
    return session


def running(session: Session, seq: int = 1) -> Request:
    request = Request(seq, 7, None, Op.GET, session.boxing.root, None, (), False)
    session.running[seq] = request
    return request


def remote(session: Session, number: int) -> Handle:
    assert session.root_class is not None
    return Handle(session.link, number, session.root_class)


def ask(op: int, path: Any = None, *args: Any, **more: Any) -> Callable[[Session], None]:
    kwargs = more.pop("kwargs", None)
    chain = None if "lane" in more else 7
    return lambda session: _ask(session, op, path, args, kwargs, chain, more)


def _ask(
    session: Session, op: int, path: Any, args: Any, kwargs: Any, chain: Any, more: Any
) -> None:
    session.request("token", op, None, path, args, kwargs, chain, **more)


class Result(Promise):
    """The answer to the request 1, which has not come."""

    seq = 1
    done = forgotten = False
    pins = 0

    def __init__(self, session: Session) -> None:
        self.link = session.link


def pipe(session: Session) -> None:
    target = (Result(session),)
    session.request("token", Op.CALL, target, "read", (7,), None, 7, seq=2)


def pass_on(session: Session) -> None:
    args = (Result(session), 7)
    session.request("token", Op.CALL, None, "add", args, None, 7, seq=2)


def forget(session: Session) -> None:
    for seq in (1, 2):
        result = Result(session)
        result.seq = seq
        session.boxing.settled(result)
    session.flush_releases()


def announce(two_way: bool) -> Callable[[Session], None]:
    return lambda session: session.reply(running(session), session.flows.open(two_way))


def items(session: Session) -> None:
    session.flows.send_items(session.flows.open(False), (1, "a"))


def end(error: Exception | None) -> Callable[[Session], None]:
    return lambda session: session.flows.end(session.flows.open(False), error)


def credit(session: Session) -> None:
    session.flows.grant(session.flows.accept(1, False), 16)


def stop(session: Session) -> None:
    session.flows.stop(session.flows.accept(1, False))


def oneway(session: Session) -> None:
    assert session.take_place()
    session.oneway(Op.CALL, None, "add", (1, 2), None, 3)


def reply_compressed(session: Session) -> None:
    session.peer_features = ("bz2",)
    session._agree(Compression.BZ2)
    session.reply(running(session), "a" * 2000)


def done(session: Session) -> None:
    for seq in range(4 * 64):
        session.oneways.come(0)
        request = running(session, seq)
        request.oneway = True
        session.reply(request, None)


def reply(*replies: Any) -> Callable[[Session], None]:
    def send(session: Session) -> None:
        for seq, value in enumerate(replies, 1):
            session.reply(running(session, seq), value)

    return send


def reply_hidden(session: Session) -> None:
    thing = Thing()
    thing.exposed_greet = len  # type: ignore[assignment,method-assign]
    session.reply(running(session), thing)


def reply_home(session: Session) -> None:
    proxy = proxy_for(remote(session, 5))
    session.reply(running(session), (proxy, proxy.greet))


def error(session: Session) -> None:
    keep: list[int] = []
    session.error(running(session), ValueError("no", 1), keep)


def error_with_cause(session: Session) -> None:
    exc = KeyError("k")
    exc.__cause__ = ValueError("no")
    session.error(running(session), exc, None)


def release(session: Session) -> None:
    session.boxing.make_proxy = lambda handle: handle
    data = values.pack([5, 1, session.boxing.class_of(Thing())[1].to_wire()])
    body = values.pack([Kind.PONG, [msgpack.ExtType(Ext.EXPORT, data)] * 2])
    session.boxing.unbox(body)
    session.flush_releases()


def cancel(session: Session) -> None:
    ask(Op.CALL, "slow")(session)
    session.out.clear()
    session.cancel(1, interrupt=True)


def pong(session: Session) -> None:
    session.receive_data(frame(values.pack([Kind.PING, "a"])), 0.0)


def goodbye(session: Session) -> None:
    running(session, 3)
    session.goodbye("closing")


MESSAGES: Final[dict[str, Callable[[Session], Any]]] = {
    "root.add(1, 2)": ask(Op.CALL, "add", 1, 2),
    "root.add(1, b=2), 1.5 s left": ask(Op.CALL, "add", 1, kwargs={"b": 2}, time_left=1.5),
    "root.add(1, 2) for alice": ask(Op.CALL, "add", 1, 2, metadata={"user": "alice"}),
    "root.open('x'), whose answer others name": ask(Op.CALL, "open", "x", kept=True),
    "(the answer to 1).read(7)": pipe,
    "root.add(the answer to 1, 7)": pass_on,
    "async_(root.add)(1, 2)": ask(Op.CALL, "add", 1, 2, lane=3),
    "oneway(root.add)(1, 2)": oneway,
    "256 calls without an answer are over": done,
    "root.a.b['c'].m('x')": ask(Op.CALL, ["a", "b", ("c",), "m"], "x"),
    "root.name": ask(Op.GET, "name"),
    "root.name = 'x'": ask(Op.SET, None, "name", "x"),
    "del root.name": ask(Op.DELETE, None, "name"),
    "len(root)": ask(Op.SPECIAL, None, SPECIAL_INDEX["__len__"]),
    "dir(root)": ask(Op.DIR),
    "help(root.greet)": ask(Op.DOCUMENT, "greet"),
    "copy_of(root.list)": ask(Op.COPY, "list"),
    "bytes(root.buffer)": ask(Op.BUFFER, "buffer"),
    "16 items of root.iterator": ask(Op.FETCH, "iterator", 16, True),
    "isinstance(7, root.Class)": ask(Op.INSTANCE_CHECK, "Class", 7),
    "issubclass(..., root.Class)": ask(Op.SUBCLASS_CHECK, "Class", None),
    "pickle.dumps(root.list)": ask(Op.PICKLE, "list", 4),
    "whether root.add may be called again": ask(Op.DECLARED, "add"),
    "a ping through the dispatcher": ask(Op.PING, None, "data"),
    "a big value": ask(Op.CALL, "write", b"\0" * BIG_VALUE),
    "a big str": ask(Op.CALL, "write", "\0" * BIG_VALUE),
    "a reply: 3": reply(3),
    "a long reply, compressed": reply_compressed,
    "the first reference of its class": reply(Thing()),
    "two references of one class": reply(Thing(), Thing()),
    "a reference to an object with an attribute that hides a method": reply_hidden,
    "a reference and a method, coming home": reply_home,
    "an error": error,
    "an error with a cause": error_with_cause,
    "an exception that travels as one": lambda s: s.reply(running(s), s.raised(KeyError("k"))),
    "a release of a reference that came twice": release,
    "a cancel": cancel,
    "a ping": lambda session: session.ping("a"),
    "a pong": pong,
    "a goodbye, call 3 not started": goodbye,
    "the answers to 1 and 2 have come": forget,
    "a stream": announce(two_way=False),
    "a two-way stream": announce(two_way=True),
    "two items": items,
    "credit for 16 items": credit,
    "the end of a stream": end(None),
    "the end of a stream by an error": end(KeyError("k")),
    "no more items, please": stop,
}


def frames_of(name: str) -> bytes:
    """The frames of the vector *name*, without the zeros of a big value."""
    if name == "hello":
        return b"".join(map(bytes, lone(greeted=False).out))
    session = lone()
    MESSAGES[name](session)
    out = list(map(bytes, session.out))
    return b"".join(out[:2])


def readable(packed: bytes) -> Any:
    """Packed msgpack in the terms of JSON; extension values by their names."""
    return _readable(msgpack.unpackb(packed, strict_map_key=False, unicode_errors="surrogatepass"))


def _readable(item: Any) -> Any:
    if isinstance(item, msgpack.ExtType):
        inside: Any = item.data.hex()
        if item.code not in bounds.FLAT:
            inside = readable(item.data)
        return {Ext(item.code).name: inside}
    if isinstance(item, list):
        return [_readable(part) for part in item]
    if isinstance(item, dict):
        return {"map": [[_readable(key), _readable(value)] for key, value in item.items()]}
    if isinstance(item, bytes):
        return {"bytes": item.hex()}
    if isinstance(item, float):
        return {"float": repr(item)}
    return item


def readable_frames(data: bytes) -> list[Any]:
    found: list[Any] = []
    if data.startswith(PREAMBLE):
        found.append({"preamble": PREAMBLE.decode()})
        data = data[len(PREAMBLE) :]
    while data:
        header = int.from_bytes(data[:HEADER_SIZE], "big")
        if header & RAW_FLAG:
            found.append({"raw frame of so many bytes": header & ~RAW_FLAG})
            break
        body, data = data[HEADER_SIZE : HEADER_SIZE + header], data[HEADER_SIZE + header :]
        kind, *rest = readable(body)
        found.append([Kind(kind).name, *rest])
    return found


_SHOWN: Final = {
    "Request": (
        "seq chain lane op target path args kwnames deadline metadata kept awaits deferred"
    ).split(),
    "Reply": "token ok value deferred".split(),
    "Cancel": "request interrupt".split(),
    "Dropped": "objects".split(),
    "Pong": "token".split(),
    "Hello": [],
    "Goodbye": "reason not_started".split(),
    "Flowed": "number granted refused received chunks ended error".split(),
}
"""What of an event the wire has said."""


def shown(event: Any) -> str:
    """An event in words that are the same in each process."""
    name = type(event).__name__
    fields = []
    source = event.flow if name == "Flowed" else event
    for field in _SHOWN[name]:
        value = getattr(source, field)
        text = repr(value.seq if field == "request" else values.complete(value))
        fields.append(f"{field}={text if len(text) < 500 else type(value).__name__}")
    text = re.sub(r" at 0x[0-9a-f]+", "", f"{name}({', '.join(fields)})")
    return text.replace("<golden.Root object>", "root").replace("<golden.Thing object>", "thing")


def events_of(data: bytes) -> list[str]:
    """What a peer of the session that has sent *data* is told."""
    session = lone(greeted=not data.startswith(PREAMBLE))
    boxing = session.boxing
    boxing.make_proxy = lambda handle: f"proxy {handle.id}"
    session.pending = {number: f"token {number}" for number in (1, 2, 3)}
    boxing._last_id = 4
    out = Outgoing(boxing)
    for _ in range(2):
        out.box(THING)  # twice, as number 5
    kind = data[HEADER_SIZE + 1]
    if kind == Kind.CANCEL:
        running(session)
    elif kind in (Kind.ITEMS, Kind.END):
        session.flows.accept(1, two_way=False)
    elif kind in (Kind.CREDIT, Kind.STOP):
        session.flows.open(two_way=False)
    elif kind == Kind.COMPRESSED:
        session._reader.codecs = ("bz2",)
    elif kind == Kind.DONE:
        assert all(session.take_place() for _ in range(256))
    if kind == Kind.FORGET or '"PROMISE"' in json.dumps(readable_frames(data)):
        for number in (1, 2):
            answer = boxing.answers[number] = Answer()
            answer.settle(f"answer {number}")
    events = session.receive_data(data, 0.0)
    if readable_frames(data)[-1] == {"raw frame of so many bytes": BIG_VALUE}:
        assert events == []
        events = session.receive_data(bytes(BIG_VALUE), 0.0)
    return [shown(event) for event in events]


@pytest.mark.parametrize("entry", read("messages.json"), ids=lambda entry: entry["what"])
def test_messages(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["hex"])
    assert frames_of(entry["what"]).hex() == entry["hex"]
    assert readable_frames(data) == entry["reads"]
    assert events_of(data) == entry["events"]


def test_all_messages_are_there() -> None:
    entries = read("messages.json")
    assert [entry["what"] for entry in entries] == ["hello", *MESSAGES]
    kinds = {frame[0] for entry in entries for frame in entry["reads"] if isinstance(frame, list)}
    assert kinds == {kind.name for kind in Kind} - {"ACK"}
    text = json.dumps(entries) + json.dumps(read("values.json"))
    missing = {code.name for code in Ext if f'"{code.name}": ' not in text}
    assert missing == {"NUMPY_SCALAR"}  # which has a test of its own
    frames = [entry["reads"][0] for entry in entries[1:]]
    requests = [frame for frame in frames if frame[:1] == ["REQUEST"]]
    assert {Op(request[3]) for request in requests} == set(Op)


# --- the page ------------------------------------------------------------------------------------

PAGE: Final = ROOT / "docs" / "protocol.rst"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


def row(page: str, name: str, number: object) -> bool:
    """Whether a table of the page has a row of *name* with *number* in front."""
    return re.search(rf"^ +\* - ``{number}``\n +- ``{re.escape(name)}``$", page, re.M) is not None


@pytest.mark.parametrize("table", [Kind, Op, Ext, Limit, Described])
def test_the_page_names_every_number(page: str, table: type[Kind]) -> None:
    missing = [member.name for member in table if not row(page, member.name, int(member))]
    assert missing == []


def test_the_page_names_every_special_method(page: str) -> None:
    missing = [name for index, name in enumerate(SPECIALS) if f"{index} ``{name}``" not in page]
    assert missing == []


def test_the_page_names_every_field(page: str) -> None:
    for fields in (Node._fields, Description._fields):
        assert [name for name in fields if not re.search(rf"^ +\* - ``{name}``$", page, re.M)] == []


def test_the_page_has_the_numbers_of_the_limits(page: str) -> None:
    limits = page.split("\nLimits\n---")[1]
    for limit, number in zip(Limit, DEFAULT_LIMITS, strict=True):
        block = limits.split(f"- ``{limit.name}``")[1].split("* -")[0]
        assert f"{number:,}".replace(",", " ") in block
    assert f"{BIG_VALUE:,}".replace(",", " ") in page
    assert repr(PREAMBLE)[2:-1] in page
    assert f"``0x{RAW_FLAG:08x}``" in page
    assert consts.HEADER_SIZE == 4


def test_the_page_has_the_numbers_of_streams_and_metadata(page: str) -> None:
    assert f"items as it has credit for: {FIRST_CREDIT} to begin with" in page
    assert f"lets {FIRST_CREDIT} come ahead" in page
    assert f"(up to {MOST_CREDIT})" in page
    assert f"{MOST_BYTES // 1024} KiB in all" in page
    assert f"at most {receiving.MOST_METADATA} pairs" in page
    assert receiving.LONGEST == 10**9
    assert "10\\ :sup:`9`" in page


def write() -> None:
    by_value(Colour, name="golden.Colour")
    entries: list[dict[str, Any]] = []
    for text in VALUES:
        packed = encode(value_of(text))
        entries.append({"value": text, "hex": packed, "reads": readable(bytes.fromhex(packed))})
    _write("values.json", entries)
    entries = []
    for name in ("hello", *MESSAGES):
        data = frames_of(name)
        reads, events = readable_frames(data), events_of(data)
        entries.append({"what": name, "hex": data.hex(), "reads": reads, "events": events})
    _write("messages.json", entries)


def _write(name: str, entries: list[dict[str, Any]]) -> None:
    (GOLDEN / name).write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    write()
