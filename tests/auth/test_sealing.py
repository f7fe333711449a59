"""The handshake with a pre-shared key, and its records, without any I/O."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from netobj.auth import sealing
from netobj.auth.messages import NoLogin, Reading
from netobj.auth.sealed import RECORD
from netobj.auth.sealing import Handshake, Opener, Sealer
from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE, PSK_PREAMBLE
from netobj.errors import AuthenticationError, ProtocolError

KEY = bytes(range(32))
SECRET = bytes(range(100, 132))


def feed(reading: Reading, data: bytes) -> bytes:
    """What *reading* returns for *data*, of which it takes everything."""
    wanted = next(reading)
    while True:
        assert len(data) >= wanted
        piece, data = data[:wanted], data[wanted:]
        try:
            wanted = reading.send(piece)
        except StopIteration as end:
            assert not data
            return bytes(end.value)


def shaken(key: bytes = KEY, other: bytes = KEY) -> tuple[Handshake, Handshake]:
    client, server = Handshake(key, False), Handshake(other, True)
    to_server, to_client = (
        feed(client.read_hello(), server.hello),
        feed(server.read_hello(), client.hello),
    )
    feed(client.read_confirm(), to_client)
    feed(server.read_confirm(), to_server)
    return client, server


def sealed(sealer: Sealer, data: bytes) -> bytes:
    return b"".join(sealer.seal(data))


def test_both_sides_understand_one_another() -> None:
    client, server = shaken()
    assert server.opener.open(sealed(client.sealer, b"to the server")) == [b"to the server"]
    assert client.opener.open(sealed(server.sealer, b"to the client")) == [b"to the client"]


def test_each_direction_and_connection_has_keys_of_its_own() -> None:
    sealers = [side.sealer for pair in (shaken(), shaken()) for side in pair]
    assert len({sealed(sealer, b"the same") for sealer in sealers}) == 4
    client, _ = shaken()
    with pytest.raises(ProtocolError, match="a record was changed"):
        client.opener.open(sealed(client.sealer, b"sent back"))


def test_another_key() -> None:
    with pytest.raises(AuthenticationError, match="the server does not know the pre-shared key"):
        shaken(KEY, bytes(range(1, 33)))


def test_a_hello_is_new_each_time() -> None:
    assert Handshake(KEY, True).hello != Handshake(KEY, True).hello


def test_what_was_said_before() -> None:
    client, server = Handshake(KEY, False), Handshake(KEY, True)
    confirm = feed(client.read_hello(), server.hello)
    again = Handshake(KEY, True)
    feed(again.read_hello(), client.hello)
    with pytest.raises(AuthenticationError, match="says what somebody said before"):
        feed(again.read_confirm(), confirm)


@pytest.mark.parametrize("at", range(15, 79))
def test_a_changed_hello(at: int) -> None:
    """The salts and public keys of both are in the secrets."""
    client, server = Handshake(KEY, False), Handshake(KEY, True)
    changed = bytearray(client.hello)
    changed[at] ^= 1
    confirm = feed(client.read_hello(), server.hello)
    feed(server.read_hello(), bytes(changed))
    with pytest.raises(AuthenticationError, match="the client does not know"):
        feed(server.read_confirm(), confirm)


def test_a_mirror() -> None:
    client = Handshake(KEY, False)
    with pytest.raises(AuthenticationError, match="the other side is no server"):
        feed(client.read_hello(), client.hello[:15])
    server = Handshake(KEY, True)
    confirm = feed(server.read_hello(), client.hello)
    with pytest.raises(AuthenticationError):  # its own, sent back
        feed(server.read_confirm(), confirm)


def test_a_public_key_that_gives_the_secret_away() -> None:
    server = Handshake(KEY, True)
    with pytest.raises(AuthenticationError, match="no good public key"):
        feed(server.read_hello(), PSK_PREAMBLE + b"C" + bytes(64))


@pytest.mark.parametrize(
    ("start", "kind", "text"),
    [
        (PREAMBLE, NoLogin, "the client speaks netobj without encryption"),
        (LOGIN_PREAMBLE[:10], AuthenticationError, "asks for a login"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", AuthenticationError, "speaks TLS"),
        (b"\x15\x03\x01\x00\x02\x02\x46\x00\x00\x00", AuthenticationError, "speaks TLS"),
        (b"GET / HTTP", AuthenticationError, "does not speak netobj: it said b'GET"),
    ],
)
def test_who_says_something_else(start: bytes, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        feed(Handshake(KEY, True).read_hello(), start)


def test_another_version() -> None:
    with pytest.raises(AuthenticationError, match="does not speak netobj"):
        feed(Handshake(KEY, True).read_hello(), b"netobj psk 2\r\n")


def test_all_of_it_as_another_implementation_would() -> None:
    """By cryptography's own HKDF, and by what the page says."""
    client, server = Handshake(KEY, False), Handshake(KEY, True)
    said = sha256(client.hello + server.hello).digest()
    private = client._private
    shared = private.exchange(server._private.public_key())
    salt = client.hello[15:47] + server.hello[15:47]

    def derive(label: bytes) -> bytes:
        info = b"netobj psk 1 " + label + said
        return HKDF(SHA256(), 32, salt, info).derive(KEY + shared)

    assert feed(client.read_hello(), server.hello) == derive(b"C confirm ")
    assert feed(server.read_hello(), client.hello) == derive(b"S confirm ")
    secret = derive(b"C secret ")
    for number in (0, 2):
        key = hmac.digest(secret, b"netobj psk 1 key\x01", "sha256")
        first = hmac.digest(secret, b"netobj psk 1 nonce\x01", "sha256")[:12]
        nonces = [
            (int.from_bytes(first, "big") ^ n).to_bytes(12, "big") for n in (number, number + 1)
        ]
        record = sealed(client.sealer, b"hello")
        cipher = AESGCM(key)
        assert record[:4] == b"\0\0\0\x05"
        assert cipher.decrypt(nonces[0], record[4:20], record[:4]) == b""
        assert cipher.decrypt(nonces[1], record[20:], record[:4]) == b"hello"


def test_golden_records() -> None:
    sealer = Sealer(SECRET)
    assert sealed(sealer, b"hello").hex() == GOLDEN[0]
    assert sealed(sealer, b"hello").hex() == GOLDEN[1]


GOLDEN = (
    "000000056916f7202ff6bade13a3c216cb523da0315eead7b326f1b1271c23e969a43a762a9ab31b1e",
    "00000005f8ac0f0c8fa3211b6531e1e07295b1d296edc85b2f33afa29563575d340de63431e792814e",
)


# --- records ------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=8), st.data())
def test_however_they_arrive(messages: list[bytes], data: Any) -> None:
    sealer, opener = Sealer(SECRET), Opener(SECRET)
    wire = b"".join(sealed(sealer, message) for message in messages)
    opened: list[bytes] = []
    while wire:
        count = data.draw(st.integers(1, len(wire)))
        piece, wire = wire[:count], wire[count:]
        space = opener.space()
        if space is not None and data.draw(st.booleans()):
            count = min(len(space), len(piece))
            space[:count] = piece[:count]
            opened += opener.filled(count)
            piece = piece[count:]
        opened += opener.open(data.draw(st.sampled_from([bytes, bytearray, memoryview]))(piece))
    assert opened == messages
    assert not opener.amid
    assert opener.space() is None


def test_large_records_one_after_another_through_space() -> None:
    """As a stream that receives much has them: several at once, and what is whole is not copied."""
    sealer, opener = Sealer(SECRET), Opener(SECRET)
    messages = [bytes([number]) * RECORD for number in range(5)]
    wire = memoryview(b"".join(sealed(sealer, message) for message in messages))
    opened = opener.open(wire[:100])
    wire = wire[100:]
    receptions = 0
    while len(wire):
        space = opener.space()
        assert space is not None
        count = min(len(space), len(wire))
        space[:count] = wire[:count]
        wire = wire[count:]
        opened += opener.filled(count)
        receptions += 1
    assert opened == messages
    assert receptions == 2
    assert len(opener._buffer) == 0  # who is idle keeps no memory


def test_memory_for_a_record_is_taken_when_its_length_is_known_to_be_right() -> None:
    sealer, opener = Sealer(SECRET), Opener(SECRET)
    record = sealed(sealer, bytes(RECORD))
    assert opener.open(record[:19]) == []
    assert len(opener._buffer) < 64
    assert opener.open(record[19:20]) == []
    assert RECORD < len(opener._buffer) < 5 * RECORD
    opener = Opener(SECRET)
    assert opener.open(sealed(Sealer(SECRET), bytes(1000))[:20]) == []
    assert 1000 < len(opener._buffer) < 1100
    other = Opener(SECRET)
    with pytest.raises(ProtocolError):
        other.open(b"\xff" + record[1:20])
    assert len(other._buffer) == 0


@pytest.mark.parametrize("size", [0, RECORD + 1, 2**32 - 1])
def test_a_length_that_is_out_of_bounds_from_who_has_the_key(size: int) -> None:
    sealer, opener = Sealer(SECRET), Opener(SECRET)
    length = size.to_bytes(4, "big")
    header = length + sealer._cipher.encrypt(sealer._nonce(), b"", length)
    with pytest.raises(ProtocolError, match=f"a record of {size} bytes"):
        opener.open(header)


@pytest.mark.parametrize("size", [0, RECORD + 1])
def test_what_cannot_be_sealed(size: int) -> None:
    with pytest.raises(ValueError, match="carries 1 to 65536 bytes"):
        Sealer(SECRET).seal(bytes(size))


def records(count: int) -> list[bytes]:
    sealer = Sealer(SECRET)
    return [sealed(sealer, b"message %d" % number) for number in range(count)]


@given(st.integers(0, 44), st.integers(0, 7))
def test_a_flipped_bit(at: int, bit: int) -> None:
    first, second = records(2)
    changed = bytearray(second)
    changed[at] ^= 1 << bit
    opener = Opener(SECRET)
    assert opener.open(first) == [b"message 0"]
    with pytest.raises(ProtocolError, match="a record was changed"):
        opener.open(bytes(changed))


@pytest.mark.parametrize(
    "order", [(1,), (0, 0), (0, 2), (0, 2, 1), (0, 1, 0), (2, 1, 0), (0, 1, 1, 2)]
)
def test_left_out_repeated_or_out_of_order(order: tuple[int, ...]) -> None:
    said = records(3)
    opener = Opener(SECRET)
    opened: list[bytes] = []

    def hear() -> None:
        for number in order:
            opened.extend(opener.open(said[number]))

    with pytest.raises(ProtocolError, match="repeated, left out or put in another place"):
        hear()
    assert opened == [b"message %d" % number for number in range(len(opened))]


def test_nothing_is_opened_after_what_was_wrong() -> None:
    first, second, third = records(3)
    opener = Opener(SECRET)
    with pytest.raises(ProtocolError):
        opener.open(second)
    for data in (first, second, third, b"x"):
        with pytest.raises(ProtocolError, match="after one that was wrong"):
            opener.open(data)


def test_one_half_of_a_record_with_another_ones() -> None:
    """Header and contents belong together."""
    sealer = Sealer(SECRET)
    (header, _), (_, other) = sealer.seal(b"12345"), sealer.seal(b"67890")
    with pytest.raises(ProtocolError):
        Opener(SECRET).open(header + other)


def test_new_keys_long_before_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "RENEW_AFTER", 3)
    sealer, opener = Sealer(SECRET), Opener(SECRET)
    nonces, secrets = set(), set()
    for number in range(20):
        record = sealed(sealer, b"same")
        secrets.add(sealer._secret)
        nonces.add((sealer._secret, sealer._number))
        assert sealer._number <= 6
        assert opener.open(record) == [b"same"], number
    assert len(secrets) == 7
    assert len(nonces) == 20
    assert sealing._expand(SECRET, b"next") in secrets


def test_the_bounds_are_far_away() -> None:
    """Those of NIST SP 800-38D, and of RFC 8446 (5.5): what one key encrypts at most."""
    blocks = sealing.RENEW_AFTER * (RECORD // 16 + 4)
    assert blocks < 2**33
    assert 2 * sealing.RENEW_AFTER < 2**32


def test_private_keys_are_new() -> None:
    one, other = Handshake(KEY, True), Handshake(KEY, True)
    assert isinstance(one._private, X25519PrivateKey)
    assert one._private.private_bytes_raw() != other._private.private_bytes_raw()


def test_the_tables_say_the_sizes() -> None:
    page = Path(__file__).parents[2] / "docs" / "protocol.rst"
    for text in (sealing.__doc__ or "", page.read_text(encoding="utf-8")):
        begin = text.index("hello")
        assert "netobj psk 1\\r\\n" in text
        assert len(PSK_PREAMBLE) == 14
        sizes = set(re.findall(r"\((\d+)\)", text[begin : text.index("HKDF")]))
        assert {"32", "4", "16"} <= sizes
