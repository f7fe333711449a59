from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import netobj
from netobj.registry.messages import (
    COOKIE,
    NONCE,
    PACKET,
    ROOM,
    Challenge,
    Done,
    Found,
    Kind,
    Listing,
    Names,
    Query,
    Refused,
    Register,
    Unregister,
    Why,
    check,
    key_of,
    open_packet,
    seal,
)

NONCE_1 = bytes(range(NONCE))
TOKEN = "a token that is long enough"
ID = b"\x01" * 8
COOKIE_1 = b"\x02" * COOKIE

REQUESTS = [
    Query("ECHO"),
    Query("ÉCHO", ID),
    Listing(),
    Listing(("10.0.0.1", "fd00::1"), "ECHO"),
    Register(b"", ID, ("ECHO", "ECO"), 18861),
    Register(COOKIE_1, ID, ("ECHO",), 1, ("10.0.0.1",), True),
    Unregister(COOKIE_1, 65535, ("10.0.0.1",)),
]
REPLIES = [
    Found(()),
    Found(((ID, "10.0.0.1", 1), (ID, "fd00::1", 65535)), True),
    Names(("A", "B"), True),
    Challenge(COOKIE_1),
    Done(),
    Refused(Why.FULL, "no room"),
]


def packed(body: Any, kind: Kind = Kind.REQUEST) -> bytes:
    """A packet with any body."""
    raw = body if isinstance(body, bytes) else msgpack.packb(body)
    head = b"nreg\x01" + bytes((kind,)) + len(raw).to_bytes(2, "big") + NONCE_1 + bytes(32)
    return (head + raw).ljust(PACKET, b"\0")


@pytest.mark.parametrize(
    ("message", "kind"), [(m, Kind.REQUEST) for m in REQUESTS] + [(m, Kind.REPLY) for m in REPLIES]
)
def test_what_is_sealed_is_opened(message: Any, kind: Kind) -> None:
    data = seal(message, NONCE_1, None)
    packet = open_packet(data, kind)
    assert len(data) == PACKET
    assert packet.message == message
    assert type(packet.message) is type(message)
    assert packet.nonce == NONCE_1


def test_the_layout() -> None:
    data = seal(Query("ECHO"), NONCE_1, None)
    assert data[:8] == b"nreg\x01\x01\x00\x09"
    assert data[8:24] == NONCE_1
    assert data[24:56] == bytes(32)
    assert data[56:64] == b"\x93\x01\xa4ECHO\xc4"
    assert data[65:] == bytes(PACKET - 65)


def test_the_proof() -> None:
    key = key_of(TOKEN)
    assert key is not None
    assert key == key_of(TOKEN.encode())
    data = seal(Query("ECHO"), NONCE_1, key)
    assert TOKEN.encode() not in data
    assert key not in data
    assert open_packet(data, Kind.REQUEST).is_proven(key)
    other = key_of("another token, of 31 bytes here")
    assert other is not None
    assert not open_packet(data, Kind.REQUEST).is_proven(other)
    assert not open_packet(seal(Query("ECHO"), NONCE_1, None), Kind.REQUEST).is_proven(key)
    for place in (9, 24, 60):  # the nonce, the proof, the body
        changed = data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]
        assert not open_packet(changed, Kind.REQUEST).is_proven(key)


def test_a_request_proves_nothing_as_a_reply() -> None:
    key = key_of(TOKEN)
    assert key is not None
    data = seal(Names(("A",)), NONCE_1, key)
    request = data[:5] + b"\x01" + data[6:]  # code 2 with two fields is a Listing, but not this one
    with pytest.raises(netobj.ProtocolError):
        open_packet(request, Kind.REQUEST)
    done = seal(Query("A"), NONCE_1, key)
    assert open_packet(done, Kind.REQUEST).is_proven(key)
    with pytest.raises(netobj.ProtocolError, match="kind 1 where a reply is expected"):
        open_packet(done, Kind.REPLY)


def test_a_short_token_is_refused() -> None:
    assert key_of(None) is None
    with pytest.raises(ValueError, match="of 6 bytes can be guessed: take 16 or more"):
        key_of("secret")
    with pytest.raises(ValueError, match="of 0 bytes"):
        key_of("")


def test_what_does_not_fit_is_not_sent() -> None:
    names = tuple(f"{number}" * 100 for number in range(10, 26))
    with pytest.raises(netobj.LimitExceeded, match=f"{ROOM} is the limit"):
        seal(Register(b"", ID, names, 1), NONCE_1, None)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "0 bytes that are no packet"),
        (b"nreg", "4 bytes"),
        (bytes(PACKET), "1200 bytes that are no packet"),
        (seal(Query("A"), NONCE_1, None) + b"\0", "1201 bytes"),
        (b"nreg\x02".ljust(PACKET, b"\0"), "version 2, this side speaks 1"),
        (b"nreg\x01\x03".ljust(PACKET, b"\0"), "kind 3 where a request is expected"),
        (b"nreg\x01\x01\xff\xff".ljust(PACKET, b"\0"), "a body of 65535 bytes"),
        (packed(b""), "no msgpack"),
        (packed(b"\xc1"), "no msgpack"),
        (packed(b"\xdd\xff\xff\xff\xff"), "no msgpack"),
        (packed(b"\x91" * ROOM), "no m"),
        (packed([1, "A", b""]).replace(b"\xa1A", b"\xa1\xff"), "no msgpack"),
        (packed({}), "no m"),
        (packed({1: 2}), "no m"),
        (packed([1, msgpack.ExtType(1, b"x"), b""]), "no msgpack"),
        (packed([]), "no message"),
        (packed("text"), "no message"),
        (packed(["query", "A", b""]), "no message"),
        (packed([True, "A", b""]), "no message"),
        (packed([99]), "the unknown code 99"),
        (packed([1, "A"]), "a Query of 1 fields, not 2"),
        (packed([1, "", b""]), "name of a service"),
        (packed([1, "A" * 101, b""]), "name of a service"),
        (packed([1, "ß" * 51, b""]), "name of a service"),  # longer in capitals
        (packed([1, "A\n", b""]), "name of a service"),
        (packed([1, 5, b""]), "name of a service"),
        (packed([1, "A", b"x"]), "wrong length"),
        (packed([1, "A", "x" * 8]), "wrong length"),
        (packed([2, ["10.0.0.1"] * 17, ""]), "0 to 16 items"),
        (packed([2, "10.0.0.1", ""]), "0 to 16 items"),
        (packed([2, ["localhost"], ""]), "'localhost' is not the address"),
        (packed([2, ["::0001"], ""]), "not the address"),
        (packed([2, [5], ""]), "not the address"),
        (packed([2, [], "A" * 101]), "too long"),
        (packed([3, b"", ID, [], 1, [], False]), "1 to 16 items"),
        (packed([3, b"", ID, ["A"] * 17, 1, [], False]), "1 to 16 items"),
        (packed([3, b"", ID, ["A"], 0, [], False]), "a port"),
        (packed([3, b"", ID, ["A"], 65536, [], False]), "a port"),
        (packed([3, b"", ID, ["A"], True, [], False]), "a port"),
        (packed([3, b"", ID, ["A"], 1, [], 0]), "a flag"),
        (packed([3, b"x", ID, ["A"], 1, [], False]), "wrong length"),
        (packed([4, b"", "1", [], False]), "a port"),
    ],
)
def test_what_is_no_request(data: bytes, text: str) -> None:
    with pytest.raises(netobj.ProtocolError, match=text):
        open_packet(data, Kind.REQUEST)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([1, [[ID, "10.0.0.1"]], False], "a server is"),
        ([1, [[ID, "example.org", 1]], False], "not the address"),
        ([5, "x", "text"], "a code is a number"),
        ([5, 1, "x" * 301], "too long"),
        ([5, 1, "\x1b[2J"], "cannot be printed"),
    ],
)
def test_what_is_no_reply(body: Any, text: str) -> None:
    with pytest.raises(netobj.ProtocolError, match=text):
        open_packet(packed(body, Kind.REPLY), Kind.REPLY)


@given(st.binary(max_size=ROOM), st.sampled_from(list(Kind)))
def test_any_body_is_a_message_or_a_protocol_error(body: bytes, kind: Kind) -> None:
    try:
        open_packet(packed(body, kind), kind)
    except netobj.ProtocolError:
        pass


_plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()


@given(st.integers(0, 6), st.lists(_plain | st.lists(_plain, max_size=4), max_size=7))
def test_any_fields_are_a_message_or_a_protocol_error(code: int, fields: list[Any]) -> None:
    try:
        body = msgpack.packb([code, *fields])
    except UnicodeEncodeError:
        return
    if len(body) > ROOM:
        return
    for kind in Kind:
        try:
            open_packet(packed(body, kind), kind)
        except netobj.ProtocolError:
            pass


def test_own_requests_are_checked() -> None:
    check(Query("ECHO"))
    with pytest.raises(ValueError, match="name of a service"):
        check(Query(""))
    with pytest.raises(ValueError, match="a port is a number"):
        check(Register(b"", ID, ("A",), 0))
