from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.core.consts import HEADER_SIZE, PREAMBLE, RAW_FLAG, Ext, Kind, Op
from netobj.interceptors.readable import readable

GOLDEN = Path(__file__).parents[1] / "core" / "golden"
MESSAGES = json.loads((GOLDEN / "messages.json").read_text(encoding="utf-8"))
VALUES = json.loads((GOLDEN / "values.json").read_text(encoding="utf-8"))


def bodies(data: bytes) -> list[bytes]:
    """The bodies of the message frames in *data*."""
    data = data.removeprefix(PREAMBLE)
    found = []
    while data:
        header = int.from_bytes(data[:HEADER_SIZE], "big")
        end = HEADER_SIZE + (header & ~RAW_FLAG)
        if not header & RAW_FLAG:
            found.append(data[HEADER_SIZE:end])
        data = data[end:]
    return found


def message(*fields: Any) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


@pytest.mark.parametrize("golden", MESSAGES, ids=lambda one: one["what"])
def test_every_message_can_be_read(golden: Any) -> None:
    kinds = [one[0] for one in golden["reads"] if isinstance(one, list)]
    lines = [readable(body, width=1000) for body in bodies(bytes.fromhex(golden["hex"]))]
    assert len(lines) > 0
    for kind, line in zip(kinds, lines, strict=False):
        assert line.startswith(f"{kind} ")
    for line in lines:
        assert line.isprintable()
        assert "unreadable" not in line
        assert "unknown" not in line


@pytest.mark.parametrize("golden", VALUES, ids=lambda one: one["value"])
@pytest.mark.parametrize("values", [True, False])
def test_every_value_can_be_read(golden: Any, values: bool) -> None:
    start = b"\x93" + bytes([Kind.REPLY, 7])
    line = readable(start + bytes.fromhex(golden["hex"]), values=values)
    assert line.startswith("REPLY 7: ")
    assert "unreadable" not in line


LONG = message(Kind.REPLY, 7, "a" * 98)
TWICE = message(Kind.COMPRESSED, "zlib", 50, bytes(90))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            message(Kind.REQUEST, 7, 3, Op.CALL, 0, "add", [1, 2, 3], ["c"]),
            "REQUEST 7 CALL root.add(1, 2, c=3)",
        ),
        (
            message(Kind.ASYNC_REQUEST, 8, 5, Op.GET, 4, ["a", [0]], [], [], 1.5, [["u", 1]]),
            "ASYNC_REQUEST 8 in lane 5 GET object 4.a[0] [1.500 s left, metadata (('u', 1),)]",
        ),
        (
            message(Kind.REQUEST, 1, 1, Op.CALL, 0, None, [], [], None, None, True),
            "REQUEST 1 CALL root() [kept]",
        ),
        (message(Kind.REQUEST, 1, 1, 99, 0, None, []), "REQUEST 1 operation 99 root"),
        (message(Kind.RELEASE, 3, 1, 4, 2), "RELEASE object 3 x 1, object 4 x 2"),
        (message(Kind.FORGET, *range(9)), "FORGET 0, 1, 2, 3, 4, 5, 6, 7, ... 9 in all"),
        (message(Kind.CANCEL, 3, False), "CANCEL 3, False"),
        (message(Kind.GOODBYE, "bye\nbye", [1, 2]), "GOODBYE bye\\nbye [2 calls not started]"),
        (
            message(Kind.ITEMS, 3, list(range(100))),
            "ITEMS of stream 3: (0, 1, 2, 3, 4, 5, 6, 7, ... 100 in all)",
        ),
        (message(Kind.CREDIT, -3, 16), "CREDIT of 16 for stream -3"),
        (message(Kind.END, 3), "END of stream 3"),
        (message(Kind.STOP, 3), "STOP stream 3"),
        (
            message(Kind.COMPRESSED, "zlib", 103, zlib.compress(LONG)),
            (
                f"COMPRESSED zlib, {len(zlib.compress(LONG))} of 103 bytes: "
                f"REPLY 7: '{'a' * 60}'... 38 bytes more"
            ),
        ),
        (
            message(Kind.COMPRESSED, "bz2", 2**20 + 1, b"data"),
            "COMPRESSED bz2, 4 of 1048577 bytes",
        ),
        (
            message(Kind.COMPRESSED, "zlib", len(TWICE), zlib.compress(TWICE)),
            (
                f"COMPRESSED zlib, {len(zlib.compress(TWICE))} of {len(TWICE)} bytes: "
                "COMPRESSED zlib, 90 of 50 bytes"
            ),
        ),
        (message(Kind.COMPRESSED, "zlib", 50, b"data"), "unreadable (ProtocolError)"),
        (message(77, 1), "a message of the unknown kind 77"),
        (b"\xc0", "unreadable (ValueError)"),
    ],
)
def test_what_a_line_says(body: bytes, line: str) -> None:
    assert readable(body) == line


def test_long_values_are_cut_and_large_ones_are_not_looked_at() -> None:
    line = readable(message(Kind.REPLY, 7, "x" * 100_000))
    assert line == f"REPLY 7: '{'x' * 60}'... 99940 bytes more"
    assert readable(message(Kind.REPLY, 7, [[[[[[1]]]]]])) == "REPLY 7: ((((...,),),),)"
    assert len(readable(message(Kind.REPLY, 7, ["x" * 60] * 9), width=100)) == 103


def test_without_values_nothing_of_them_is_told() -> None:
    body = message(
        Kind.REQUEST, 7, 3, Op.CALL, 0, ["a", ["secret"]], ["secret", b"secret", 4711, True, None]
    )
    line = readable(body, values=False)
    assert line == (
        "REQUEST 7 CALL root.a[<str of 7 bytes>]"
        "(<str of 7 bytes>, <bytes of 8 bytes>, <number>, True, None)"
    )
    copy = msgpack.ExtType(Ext.COPY, msgpack.packb({"secret": 1}))
    assert readable(message(Kind.REPLY, 7, copy), values=False) == "REPLY 7: <copy of 9 bytes>"
    assert readable(message(Kind.REPLY, 7, copy)) == "REPLY 7: {'secret': 1}"


def test_an_announced_length_takes_no_memory_and_no_peer_forges_a_line() -> None:
    assert readable(b"\xdd\xff\xff\xff\xff") == "unreadable (OutOfData)"
    assert readable(b"\x93\x03\x07" + b"\x91" * 100_000).isprintable()
    assert "\n" not in readable(message(Kind.REPLY, 7, "a\nERROR 7: no"))


@given(st.binary(max_size=100))
def test_whatever_comes_is_one_line(data: bytes) -> None:
    for body in (data, b"\x93\x03\x07" + data, b"\x97\x01\x07\x03\x01\x00\xc0" + data):
        assert readable(body).isprintable()
        assert readable(body, values=False).isprintable()


def test_a_message_of_many_small_values_takes_no_longer_than_its_line() -> None:
    value: Any = 0
    for _ in range(4):
        value = [value] * 8
    line = readable(message(Kind.REPLY, 7, value), width=100_000)
    assert line.count("0") <= 100


def test_damaged_messages_are_one_line_each() -> None:
    chance = random.Random(7)
    for golden in MESSAGES:
        for body in bodies(bytes.fromhex(golden["hex"])):
            for _ in range(100):
                damaged = bytearray(body)
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
                del damaged[chance.randrange(len(damaged) + 1) :]
                assert readable(bytes(damaged)).isprintable()
