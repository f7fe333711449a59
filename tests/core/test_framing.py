"""Frames: cut anywhere, capped before they are read, and no other error than the documented."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.core import framing
from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE, PSK_PREAMBLE, RAW_FLAG
from netobj.core.framing import FrameReader, frame, raw_frames
from netobj.core.landing import AHEAD
from netobj.errors import FrameTooLarge, NotNetobj, ProtocolError, VersionMismatch


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """*data* cut at the places that *cuts* name, in order."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def read_all(reader: FrameReader, parts: list[bytes]) -> list[bytes]:
    bodies = []
    for part in parts:
        reader.feed(part)
        while (body := reader.next_message()) is not None:
            bodies.append(body)
    return bodies


@given(st.lists(st.binary(max_size=50), max_size=8), st.lists(st.integers(0, 1000)))
def test_frames_survive_any_cuts(bodies: list[bytes], cuts: list[int]) -> None:
    stream = PREAMBLE + b"".join(map(frame, bodies))
    reader = FrameReader(100)
    assert read_all(reader, pieces(stream, cuts)) == bodies
    assert not reader.mid_frame


def test_frames_survive_a_cut_at_every_byte() -> None:
    stream = PREAMBLE + frame(b"abc") + frame(b"") + frame(b"d" * 20)
    for cut in range(len(stream) + 1):
        parts = [stream[:cut], stream[cut:]]
        assert read_all(FrameReader(100), parts) == [b"abc", b"", b"d" * 20]


@pytest.mark.parametrize("preamble", [False, True])
def test_what_is_taken_may_be_cut_at_every_byte(preamble: bool) -> None:
    bodies = [b"abc", b"", b"d" * 20, b"e"]
    stream = PREAMBLE * preamble + b"".join(map(frame, bodies))
    for cut in range(1, len(stream)):
        for end in range(cut, len(stream)):
            reader = FrameReader(100, preamble)
            found: list[bytes] = []
            for piece in filter(None, (stream[:cut], stream[cut:end], stream[end:])):
                body = reader.take(piece)
                while body is not None:
                    found.append(body)
                    body = reader.next_message() if reader.filled else None
            assert found == bodies
            assert not reader.mid_frame
            assert not reader.filled


def test_what_is_taken_as_a_whole_leaves_nothing() -> None:
    reader = FrameReader(3, preamble=False)
    assert reader.take(frame(b"abc")) == b"abc"
    assert not reader.filled
    assert reader.take(frame(b"")) == b""
    with pytest.raises(FrameTooLarge):
        reader.take(frame(b"abcd"))


def test_nothing_is_held_of_what_was_read() -> None:
    reader = FrameReader(100, preamble=False)
    reader.feed(frame(b"one") + frame(b"two"))
    assert (reader.next_message(), reader.filled) == (b"one", True)
    assert (reader.next_message(), reader.filled) == (b"two", False)


def test_a_raw_frame_is_not_taken_for_a_message() -> None:
    reader = FrameReader(100, preamble=False)
    with pytest.raises(ProtocolError, match="no message announced"):
        reader.take(b"".join(raw_frames(b"abc")))


def test_what_was_consumed_is_not_kept() -> None:
    reader = FrameReader(1 << 20, preamble=False)
    body = b"x" * 100_000
    stream = frame(body) * 3
    reader.feed(stream[:150_000])
    assert reader.next_message() == body
    reader.feed(stream[150_000:250_000])
    assert len(reader._data) < 200_000
    assert reader.next_message() == body
    reader.feed(stream[250_000:])
    assert reader.next_message() == body
    assert reader.next_message() is None
    assert not reader.mid_frame


def test_mid_frame_says_whether_something_is_missing() -> None:
    reader = FrameReader(100, preamble=False)
    assert not reader.mid_frame
    reader.feed(frame(b"abc")[:3])
    assert reader.next_message() is None
    assert reader.mid_frame
    reader.feed(frame(b"abc")[3:])
    assert reader.next_message() == b"abc"
    assert not reader.mid_frame
    reader.feed(raw_frames(b"abcdef")[0])
    assert reader.next_raw(6) is None
    assert reader.mid_frame


def test_a_frame_above_the_limit_is_refused_by_its_header() -> None:
    reader = FrameReader(10, preamble=False)
    reader.feed((11).to_bytes(4, "big"))
    with pytest.raises(FrameTooLarge, match="a frame of 11 bytes; this side accepts 10"):
        reader.next_message()


def test_a_raw_frame_that_nothing_announced_is_refused() -> None:
    reader = FrameReader(10, preamble=False)
    reader.feed(b"".join(raw_frames(b"abc")))
    with pytest.raises(ProtocolError, match="no message announced"):
        reader.next_message()


class TestRaw:
    @given(st.binary(max_size=60), st.integers(1, 70), st.lists(st.integers(0, 1000)))
    def test_big_values_survive_any_frames_and_cuts(
        self, data: bytes, chunk: int, cuts: list[int]
    ) -> None:
        parts = [data[start : start + chunk] for start in range(0, len(data), chunk)]
        stream = b"".join(b"".join(raw_frames(part)) for part in parts) + frame(b"next")
        reader = FrameReader(100, preamble=False)
        found = None
        for piece in pieces(stream, cuts):
            reader.feed(piece)
            if found is None:
                found = reader.next_raw(len(data))
        if found is None:
            found = reader.next_raw(len(data))
        assert found == data
        assert reader.next_message() == b"next"

    def test_what_is_longer_than_a_frame_can_be_becomes_several(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(framing, "RAW_CHUNK", 4)
        parts = raw_frames(b"abcdefghij")
        assert [bytes(part) for part in parts[1::2]] == [b"abcd", b"efgh", b"ij"]
        reader = FrameReader(100, preamble=False)
        reader.feed(b"".join(parts))
        assert reader.next_raw(10) == b"abcdefghij"

    def test_pieces_are_not_copied(self) -> None:
        data = bytes(1000)
        (_, piece) = raw_frames(data)
        assert isinstance(piece, memoryview)
        assert piece.obj is data

    def test_nothing_needs_no_frame(self) -> None:
        assert raw_frames(b"") == []
        assert FrameReader(10, preamble=False).next_raw(0) == b""

    @pytest.mark.parametrize("header", [3, RAW_FLAG | 7, RAW_FLAG])
    def test_only_raw_frames_of_what_is_missing_are_taken(self, header: int) -> None:
        reader = FrameReader(100, preamble=False)
        reader.feed(header.to_bytes(4, "big") + b"abcdefg")
        with pytest.raises(ProtocolError, match="a raw frame of at most 6 bytes was due"):
            reader.next_raw(6)

    def test_a_size_alone_takes_little_memory(self) -> None:
        reader = FrameReader(100, preamble=False)
        tracemalloc.start()
        try:
            reader.feed((RAW_FLAG | 1 << 30).to_bytes(4, "big") + b"abc")
            assert reader.next_raw(1 << 30) is None
            assert tracemalloc.get_traced_memory()[1] < 2 * AHEAD
        finally:
            tracemalloc.stop()


class TestRoom:
    """Bytes of big values may be put where they belong by whoever receives them."""

    @given(
        st.binary(max_size=200),
        st.integers(1, 90),
        st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=30),
    )
    def test_in_any_mixture_with_feeding(
        self, data: bytes, chunk: int, steps: list[tuple[bool, int]]
    ) -> None:
        parts = [data[start : start + chunk] for start in range(0, len(data), chunk)]
        stream = b"".join(b"".join(raw_frames(part)) for part in parts) + frame(b"next")
        reader = FrameReader(100, preamble=False)
        found = reader.next_raw(len(data))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(framing, "_WORTH_LANDING", 1)
            for in_room, size in [*steps, *[(True, 1000)] * 100, (False, len(stream))]:
                room = reader.room() if found is None and in_room else None
                count = min(size, len(stream)) if room is None else min(size, len(room))
                if room is None:
                    reader.feed(stream[:count])
                else:
                    room[:count] = stream[:count]
                    reader.advance(count)
                stream = stream[count:]
                if found is None:
                    found = reader.next_raw(len(data))
        assert found == data
        assert reader.next_message() == b"next"
        assert reader.room() is None

    def test_there_is_none_where_a_header_is_due(self) -> None:
        reader = FrameReader(100, preamble=False)
        assert reader.room() is None
        header, data = raw_frames(bytes(100_000))
        reader.feed(bytes(header)[:3])
        assert reader.next_raw(200_000) is None
        assert reader.room() is None
        reader.feed(bytes(header)[3:])
        assert reader.next_raw(200_000) is None
        room = reader.room()
        assert room is not None
        assert len(room) == len(data)  # of this frame, not of the value
        reader.advance(len(data))
        assert reader.next_raw(200_000) is None
        assert reader.room() is None

    def test_there_is_none_for_the_last_few_bytes(self) -> None:
        """They are better read with what comes behind them."""
        reader = FrameReader(100, preamble=False)
        reader.feed(b"".join(raw_frames(bytes(70_000)))[:-100])
        assert reader.next_raw(70_000) is None
        assert reader.room() is None
        assert reader.mid_frame


class TestPreamble:
    @pytest.mark.parametrize("cut", range(1, len(PREAMBLE)))
    def test_it_may_come_in_parts(self, cut: int) -> None:
        reader = FrameReader(100)
        reader.feed(PREAMBLE[:cut])
        assert reader.next_message() is None
        reader.feed(PREAMBLE[cut:] + frame(b"a"))
        assert reader.next_message() == b"a"

    @pytest.mark.parametrize(
        "first",
        [b"GET / HTTP/1.1\r\n", b"\x00\x00\x00\x1f\x00rpyc", b"\x16\x03\x01", b"n\n", b"netobjx"],
    )
    def test_a_stranger_is_named_by_its_first_bytes(self, first: bytes) -> None:
        reader = FrameReader(100)
        reader.feed(first)
        with pytest.raises(NotNetobj, match="does not speak netobj: its first bytes were"):
            reader.next_message()

    @pytest.mark.parametrize("version", [2, 17, 9999])
    def test_another_major_version_is_named(self, version: int) -> None:
        reader = FrameReader(100)
        reader.feed(f"netobj {version}\r\n".encode())
        with pytest.raises(
            VersionMismatch, match=f"speaks major version {version} of .*, this side 1"
        ):
            reader.next_message()

    def test_a_version_line_that_goes_on_is_waited_for_and_then_refused(self) -> None:
        reader = FrameReader(100)
        reader.feed(b"netobj 12")
        assert reader.next_message() is None
        reader.feed(b"345678")
        with pytest.raises(NotNetobj, match="version line is malformed"):
            reader.next_message()


@given(st.lists(st.binary(max_size=40)), st.integers(0, 30), st.booleans())
def test_garbage_raises_protocol_errors_only(parts: list[bytes], size: int, raw: bool) -> None:
    reader = FrameReader(1000, preamble=False)
    try:
        for part in parts:
            reader.feed(part)
            if raw:
                reader.next_raw(size)
            else:
                reader.next_message()
    except ProtocolError:
        pass


def test_a_longer_version_may_come_in_pieces() -> None:
    reader = FrameReader(100)
    reader.feed(b"netobj 10\r")
    assert reader.next_message() is None
    reader.feed(b"\n")
    with pytest.raises(VersionMismatch, match="major version 10"):
        reader.next_message()


def test_a_version_has_few_digits() -> None:
    reader = FrameReader(100)
    reader.feed(b"netobj " + b"2" * 6)
    assert reader.next_message() is None
    reader.feed(b"2")
    with pytest.raises(NotNetobj, match="malformed"):
        reader.next_message()


def test_a_peer_that_encrypts() -> None:
    reader = FrameReader(100)
    reader.feed(PSK_PREAMBLE)
    with pytest.raises(NotNetobj, match="pre-shared key"):
        reader.next_message()


def test_a_peer_that_asks_for_a_login() -> None:
    reader = FrameReader(100)
    reader.feed(LOGIN_PREAMBLE)
    with pytest.raises(NotNetobj, match="only who logs in"):
        reader.next_message()


def test_how_much_is_there_of_what_has_begun() -> None:
    reader = FrameReader(1000, preamble=False)
    whole = frame(b"abc")
    reader.feed(whole + whole[:5])
    assert reader.next_message() == b"abc"
    assert reader.arrived == 5
    reader.feed(whole[5:6])
    assert reader.arrived == 6
