"""Compressed messages: what is sent, what is undone, and what is refused."""

from __future__ import annotations

import bz2
import lzma
import random
import zlib
from collections.abc import Callable
from typing import Any, Final

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakewire import FakeWire, Side, bodies, fields
from netobj.core import compressing, values
from netobj.core.compressing import MOST_DATA, WORTH, codecs, compressed, undone
from netobj.core.config import Compression, Config
from netobj.core.consts import (
    BIG_VALUE,
    DEFAULT_LIMITS,
    MINOR_VERSION,
    PREAMBLE,
    Ext,
    Kind,
    Limit,
    Op,
)
from netobj.core.describe import NOTHING
from netobj.core.events import Reply, Request
from netobj.core.framing import frame, raw_frames
from netobj.core.promises import Answer
from netobj.core.session import Session
from netobj.errors import FrameTooLarge, LimitExceeded, ProtocolError

FILTERS: Final = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 2**20}]
SQUEEZE: Final[dict[Compression, Callable[[bytes], bytes]]] = {
    Compression.ZLIB: zlib.compress,
    Compression.BZ2: bz2.compress,
    Compression.LZMA: lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=FILTERS),
}
every_codec = pytest.mark.parametrize("codec", Compression, ids=lambda codec: codec.value)


def message(*items: Any) -> bytes:
    return values.pack(list(items))


def wrapped(codec: Compression, body: bytes, /, **changes: Any) -> bytes:
    items = {"codec": codec.value, "size": len(body), "data": SQUEEZE[codec](body), **changes}
    return message(Kind.COMPRESSED, *items.values())


def lone(
    codec: Compression | None = None, theirs: tuple[str, ...] = codecs(), **limits: int
) -> Session:
    """A session whose peer the test plays, and which offers all codecs."""
    config = Config().merge({"compression": codec, "limits": limits})
    session = Side("lone", object(), config, codecs()).session
    session.out.clear()
    hello = [MINOR_VERSION, b"p", None, list(DEFAULT_LIMITS), list(theirs), NOTHING.to_wire()]
    session.receive_data(PREAMBLE + frame(message(Kind.HELLO, *hello)), 0.0)
    return session


def sent(session: Session) -> list[Any]:
    found = [fields(body) for data in session.out for body in bodies(bytes(data))]
    session.out.clear()
    return found


def ask(session: Session, *args: Any) -> None:
    session.request("token", Op.CALL, None, "m", args, None, 1)


REQUEST: Final = message(Kind.REQUEST, 1, 1, Op.CALL, 0, "m", ["a" * 5000])


class TestCodecs:
    @every_codec
    @given(
        data=st.one_of(
            st.binary(min_size=1, max_size=3000),
            st.builds(
                bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(1, BIG_VALUE // 4)
            ),
        )
    )
    def test_there_and_back(self, codec: Compression, data: bytes) -> None:
        packed = compressed(codec, data)
        if packed is not None:
            assert len(packed) < len(data)
            assert undone(codec, len(data), packed) == data

    @every_codec
    @given(size=st.integers(1, 100_000), cut=st.integers(1, 50), more=st.binary(min_size=1))
    def test_only_what_is_whole(self, codec: Compression, size: int, cut: int, more: bytes) -> None:
        data = SQUEEZE[codec](b"ab" * 1000)
        for wrong in (data[:-cut], data + more, more):
            with pytest.raises(ProtocolError):
                undone(codec, 2000, wrong)
        if size != 2000:
            with pytest.raises(ProtocolError):
                undone(codec, size, data)

    @every_codec
    @given(at=st.integers(0, 10**6), value=st.integers(1, 255))
    def test_damage_is_an_error_of_the_peers(self, codec: Compression, at: int, value: int) -> None:
        data = bytearray(SQUEEZE[codec](bytes(range(256)) * 8))
        data[at % len(data)] ^= value
        try:
            found = undone(codec, 2048, bytes(data))
        except ProtocolError:
            return
        assert len(found) == 2048

    @every_codec
    def test_what_gets_no_shorter_stays_as_it_is(self, codec: Compression) -> None:
        assert compressed(codec, b"short") is None
        with pytest.raises(ProtocolError, match="longer so"):
            undone(codec, 5, SQUEEZE[codec](b"short"))

    @every_codec
    def test_a_bomb_takes_no_more_than_it_says(
        self, codec: Compression, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """64 MiB in few bytes: no more is ever asked of the codec than was announced."""
        bomb = SQUEEZE[codec](bytes(64 * 2**20))
        asked: list[int] = []
        before = compressing._CODECS[codec]

        class Counting:
            def __init__(self, machine: Any) -> None:
                self._machine = machine

            def __getattr__(self, name: str) -> Any:
                return getattr(self._machine, name)

            def decompress(self, data: bytes, most: int) -> Any:
                found = self._machine.decompress(data, most)
                asked.append(most)
                assert len(found) <= most
                return found

        counting = before._replace(undoing=lambda module: Counting(before.undoing(module)))
        monkeypatch.setitem(compressing._CODECS, codec, counting)
        size = len(bomb) + 1
        with pytest.raises(ProtocolError, match="announces"):
            undone(codec, size, bomb)
        assert asked == [size, 1]

    @every_codec
    def test_there_is_a_most_for_each(self, codec: Compression) -> None:
        most = compressing._CODECS[codec].most
        assert compressed(codec, bytes(most + 1)) is None
        with pytest.raises(ProtocolError, match=f"{most} bytes"):
            undone(codec, most + 1, SQUEEZE[codec](bytes(most + 1)))
        assert undone(codec, most, SQUEEZE[codec](bytes(most))) == bytes(most)

    def test_there_is_a_most_of_what_is_undone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever comes of it: blocks with nothing in them take time, too."""
        empty = b"\x78\x01" + b"\0\0\0\xff\xff" * (MOST_DATA // 5 + 1)
        with pytest.raises(ProtocolError, match=f"{MOST_DATA} when compressed"):
            undone(Compression.ZLIB, 2 * MOST_DATA, empty)
        monkeypatch.setattr(compressing, "MOST_DATA", 100)
        assert compressed(Compression.ZLIB, bytes(2000)) is not None
        assert compressed(Compression.ZLIB, random.Random(1).randbytes(200) * 10) is None

    def test_lzma_has_no_header_that_asks_for_memory(self) -> None:
        for kind in (lzma.FORMAT_XZ, lzma.FORMAT_ALONE):
            with pytest.raises(ProtocolError):
                undone(Compression.LZMA, 2000, lzma.compress(bytes(2000), kind))

    def test_those_that_this_python_lacks_are_not_offered(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compressing, "find_spec", lambda name: name == "zlib" or None)
        codecs.cache_clear()
        try:
            assert codecs() == ("zlib",)
            session = lone(Compression.LZMA, theirs=("lzma",))
            ask(session, "a" * 5000)
            assert sent(session)[0][0] == Kind.REQUEST
        finally:
            codecs.cache_clear()


class TestSending:
    @every_codec
    def test_long_messages_are_compressed(self, codec: Compression) -> None:
        session = lone(codec)
        ask(session, "a" * 5000)
        ((kind, name, size, data),) = sent(session)
        assert (kind, name) == (Kind.COMPRESSED, codec.value)
        assert fields(undone(codec, size, data))[6] == ["a" * 5000]

    def test_short_ones_and_those_that_get_no_shorter_are_not(self) -> None:
        session = lone(Compression.ZLIB)
        noise = random.Random(1).randbytes(5000)
        ask(session, "a" * (WORTH // 2))
        ask(session, noise)
        ask(session, bytes(range(256)) * 3)
        assert [one[0] for one in sent(session)] == [Kind.REQUEST] * 3

    def test_where_only_the_wrapping_makes_it_longer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "netobj.core.sending.compressed", lambda codec, body: bytes(len(body) - 1)
        )
        session = lone(Compression.ZLIB)
        ask(session, "a" * 5000)
        assert sent(session)[0][0] == Kind.REQUEST

    def test_nothing_is_by_default(self) -> None:
        session = lone()
        ask(session, "a" * 5000)
        assert sent(session)[0][0] == Kind.REQUEST

    def test_nothing_that_the_peer_did_not_offer(self) -> None:
        session = lone(Compression.ZLIB, theirs=("bz2", "numpy"))
        ask(session, "a" * 5000)
        assert sent(session)[0][0] == Kind.REQUEST

    def test_nothing_before_the_hello(self) -> None:
        config = Config(compression=Compression.ZLIB)
        session = Side("lone", object(), config, codecs()).session
        session.out.clear()
        ask(session, "a" * 5000)
        assert sent(session)[0][0] == Kind.REQUEST

    def test_short_ways_leave_long_messages_to_the_long_one(self) -> None:
        session = lone(Compression.ZLIB)
        request = Request(1, 1, None, Op.CALL, None, "m", (), False)
        session.running[1] = request
        assert session.plain_reply(request, "a" * 5000) is None
        assert 1 in session.running
        session.reply(request, "a" * 5000)
        assert sent(session)[0][0] == Kind.COMPRESSED

    def test_big_values_follow_as_they_are(self) -> None:
        session = lone(Compression.ZLIB)
        ask(session, "a" * 5000, b"b" * BIG_VALUE)
        data, *raw = map(bytes, session.out)
        assert fields(next(iter(bodies(data))))[0] == Kind.COMPRESSED
        assert b"".join(raw) == b"".join(map(bytes, raw_frames(b"b" * BIG_VALUE)))

    def test_the_limits_are_those_of_the_message_itself(self) -> None:
        session = lone(Compression.ZLIB)
        session.peer_limits = (2000, *DEFAULT_LIMITS[1:])
        with pytest.raises(LimitExceeded):
            ask(session, "a" * 5000)
        session.peer_limits = (*DEFAULT_LIMITS[:3], 64, *DEFAULT_LIMITS[4:])
        with pytest.raises(LimitExceeded, match="64 items"):
            ask(session, *range(1000))
        assert not session.pending

    @every_codec
    def test_one_way_only(self, codec: Compression) -> None:
        root = type("Root", (), {"exposed_echo": lambda self, value: value})()
        config = Config(compression=codec)
        offers = {"left_features": codecs(), "right_features": codecs()}
        wire = FakeWire(right_root=root, left_config=config, **offers)  # type: ignore[arg-type]
        with wire.counted() as log:
            assert wire.left.root.echo("a" * 5000) == "a" * 5000
        assert log == ["left COMPRESSED", "right REPLY"]


class TestReceiving:
    @every_codec
    def test_it_is_as_if_it_had_come_itself(self, codec: Compression) -> None:
        session = lone()
        (request,) = session.receive_data(frame(wrapped(codec, REQUEST)), 0.0)
        assert isinstance(request, Request)
        assert request.args == ("a" * 5000,)
        assert session.running == {1: request}

    def test_the_size_is_that_of_the_message_itself(self) -> None:
        session = lone()
        body = message(Kind.REQUEST, 1, 1, Op.CALL, 0, "m", ["a" * 50_000])
        (request,) = session.receive_data(frame(wrapped(Compression.ZLIB, body)), 0.0)
        assert request.size == len(body)  # type: ignore[union-attr]

    def test_the_wanted_answer(self) -> None:
        session = lone()
        session.pending[1] = "token"
        body = message(Kind.REPLY, 1, "a" * 5000)
        answer = session.receive_data(frame(wrapped(Compression.ZLIB, body)), 0.0, wanted=1)
        assert answer == (Kind.REPLY, 1, "a" * 5000)

    def test_several_at_once(self) -> None:
        session = lone()
        session.pending.update({1: "one", 2: "two", 3: "three"})
        parts = [message(Kind.REPLY, number, "a" * 5000) for number in (1, 2, 3)]
        parts = [wrapped(codec, body) for codec, body in zip(Compression, parts, strict=True)]
        events = session.receive_data(b"".join(map(frame, parts)), 0.0)
        assert [event.token for event in events] == ["one", "two", "three"]  # type: ignore[union-attr]

    def test_big_values_behind_it(self) -> None:
        session = lone()
        big = msgpack.ExtType(Ext.BIG_BYTES, BIG_VALUE.to_bytes(8, "big"))
        session.pending[1] = "token"
        body = message(Kind.REPLY, 1, [big, "a" * 5000])
        data = frame(wrapped(Compression.ZLIB, body))
        raw = b"".join(map(bytes, raw_frames(b"b" * BIG_VALUE)))
        assert session.receive_data(data, 0.0) == []
        (reply,) = session.receive_data(raw + frame(message(Kind.PING, 1)), 0.0)
        assert isinstance(reply, Reply)
        assert values.complete(reply.value) == (b"b" * BIG_VALUE, "a" * 5000)
        assert sent(session) == [[Kind.PONG, 1]]

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (wrapped(Compression.ZLIB, REQUEST, codec="lz4"), "did not offer"),
            (wrapped(Compression.ZLIB, REQUEST, codec=7), "a codec, a size and data"),
            (wrapped(Compression.ZLIB, REQUEST, size=True), "a codec, a size and data"),
            (wrapped(Compression.ZLIB, REQUEST, data="text"), "a codec, a size and data"),
            (wrapped(Compression.ZLIB, REQUEST, more=1), "a codec, a size and data"),
            (message(Kind.COMPRESSED), "a codec, a size and data"),
            (wrapped(Compression.ZLIB, REQUEST, size=-1), "longer"),
            (wrapped(Compression.ZLIB, REQUEST, size=0), "longer"),
            (wrapped(Compression.ZLIB, REQUEST, size=len(REQUEST) - 1), "announces"),
            (wrapped(Compression.ZLIB, REQUEST, size=len(REQUEST) + 1), "announces"),
            (wrapped(Compression.ZLIB, REQUEST, codec="bz2"), "cannot be undone"),
            (wrapped(Compression.ZLIB, REQUEST, size=DEFAULT_LIMITS[Limit.FRAME] + 1), "accepts"),
            (wrapped(Compression.ZLIB, REQUEST, size=2**70), "malformed|a size|accepts"),
            (wrapped(Compression.ZLIB, bytes(5000)), "malformed"),
            (wrapped(Compression.ZLIB, message("a" * 5000)), "number of its kind"),
            (wrapped(Compression.ZLIB, message(99, "a" * 5000)), "99"),
        ],
    )
    def test_what_is_refused(self, body: bytes, why: str) -> None:
        session = lone()
        with pytest.raises(ProtocolError, match=why):
            session.receive_data(frame(body), 0.0)
        assert not session.running

    @pytest.mark.parametrize("start", [b"\x94\x12", b"\x94\xcc\x12", b"\xdc\0\x04\xd1\0\x12"])
    def test_no_message_is_compressed_twice(self, start: bytes) -> None:
        session = lone()
        data = bytes(5000)
        inner = start + wrapped(Compression.ZLIB, REQUEST, data=data)[2:]
        with pytest.raises(ProtocolError, match="twice"):
            session.receive_data(frame(wrapped(Compression.ZLIB, inner)), 0.0)

    @pytest.mark.parametrize(
        ("code", "payload", "why"),
        [
            (Ext.BIG_BYTES, BIG_VALUE.to_bytes(8, "big"), "in the message itself"),
            (Ext.PROMISE, (1).to_bytes(8, "big"), "only requests"),
            (Ext.UUID, bytes(16), "a codec, a size and data"),
            (Ext.TIMEDELTA, message(1, 2, 3), "a codec, a size and data"),
        ],
    )
    def test_the_data_is_bare_bytes(self, code: Ext, payload: bytes, why: str) -> None:
        body = wrapped(Compression.ZLIB, REQUEST, data=msgpack.ExtType(code, payload))
        session = lone()
        session.boxing.answers[1] = Answer()
        with pytest.raises(ProtocolError, match=why):
            session.receive_data(frame(body), 0.0)

    def test_the_size_is_held_to_the_limit_of_this_side(self) -> None:
        session = lone(frame=2000)
        with pytest.raises(FrameTooLarge, match="this side accepts 2000"):
            session.receive_data(frame(wrapped(Compression.ZLIB, REQUEST)), 0.0)

    def test_not_before_the_hello(self) -> None:
        session = Side("lone", object(), Config(), codecs()).session
        with pytest.raises(ProtocolError, match="before the hello"):
            session.receive_data(PREAMBLE + frame(wrapped(Compression.ZLIB, REQUEST)), 0.0)

    @every_codec
    def test_not_what_was_not_offered(self, codec: Compression) -> None:
        others = tuple(name for name in codecs() if name != codec.value)
        session = Side("lone", object(), Config(), others).session
        hello = [MINOR_VERSION, b"p", None, list(DEFAULT_LIMITS), [], NOTHING.to_wire()]
        session.receive_data(PREAMBLE + frame(message(Kind.HELLO, *hello)), 0.0)
        with pytest.raises(ProtocolError, match="did not offer"):
            session.receive_data(frame(wrapped(codec, REQUEST)), 0.0)

    def test_who_watches_sees_it_as_it_travels(self) -> None:
        session = Side("lone", object(), Config(), codecs()).session
        seen: list[bytes] = []
        session.watch(seen.append, lambda _: None)
        hello = [MINOR_VERSION, b"p", None, list(DEFAULT_LIMITS), [], NOTHING.to_wire()]
        session.receive_data(PREAMBLE + frame(message(Kind.HELLO, *hello)), 0.0)
        data = frame(wrapped(Compression.ZLIB, REQUEST))
        assert len(session.receive_data(data, 0.0)) == 1
        assert seen[1:] == [data]
