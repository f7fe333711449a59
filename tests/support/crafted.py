"""Messages as a peer would make them that wants a receiver to work hard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from netobj.core import values
from netobj.core.boxing import MOST_BIG
from netobj.core.consts import Ext, Kind, Op
from netobj.core.framing import frame
from played import message

X = msgpack.ExtType


def request(*args: Any) -> bytes:
    return message(Kind.REQUEST, 1, 1, Op.CALL, 0, "m", list(args))


def ext(code: Ext, *items: Any) -> msgpack.ExtType:
    return X(code, values.pack(list(items)))


def alike(count: int) -> list[msgpack.ExtType]:
    """Integers of one hash."""
    return [values.big_int(number * (2**61 - 1)) for number in range(100, 100 + count)]


def export(number: int, *names: str) -> msgpack.ExtType:
    described = [0, "m", f"C{number}", list(names), b"\0" * 16, [], False, False]
    return ext(Ext.EXPORT, number, number + 10, described)


BIG_ARRAY = b"\xdd\x00\x03\xd0\x90"  # it announces 250 000 items
REFUSED: dict[str, Callable[[], tuple[bytes, str]]] = {
    "lengths that lie": lambda: (frame(BIG_ARRAY * 500), "ends before"),
    "lengths that lie in extension values": lambda: (
        request(X(Ext.SLICE, BIG_ARRAY * 500)),
        "ends before",
    ),
    "many tuples": lambda: (
        frame(BIG_ARRAY[:-1] + b"\x8f" + b"\xdc\0\x20" + (b"\xc0" * 32) * 249_000),
        "items|ends before|malformed",
    ),
    "many items in few tuples": lambda: (request(*[[0] * 200] * 1300), "250000 items"),
    "copies of copies": lambda: (frame(_nested(b"\xc0" * (15 * 2**20), 60)), "nested too deeply"),
    "a huge integer": lambda: (request(X(Ext.BIG_INT, b"\x01" * 200_000)), "1048576 bits"),
    "one hash": lambda: (request(ext(Ext.FROZENSET, *alike(5000))), "share one hash"),
    "one hash in a dict": lambda: (
        request(X(Ext.COPY, _map(alike(1000)))),
        "share one hash",
    ),
    "one hash in a set of a copy": lambda: (
        request(ext(Ext.COPY, ext(Ext.SET, *alike(1000)))),
        "share one hash",
    ),
    "many keys": lambda: (request(ext(Ext.FROZENSET, *range(65_537))), "65536 are the most"),
    "kinds of named tuples": lambda: (
        request(*[ext(Ext.NAMED_TUPLE, f"N{n}", ["a"], [0]) for n in range(5000)]),
        "kinds of named tuples",
    ),
    "classes": lambda: (
        request(*[export(number) for number in range(1, 9000)]),
        "250000 items",
    ),
    "names": lambda: (
        request(export(1, *[f"name{number}" for number in range(150_000)])),
        "too many|250000 items",
    ),
    "long fractions": lambda: (
        request(*[ext(Ext.FRACTION, *[values.big_int(3**6000)] * 2)] * 600),
        "1024 bits",
    ),
    "fractions": lambda: (
        request(*[ext(Ext.FRACTION, values.big_int(3**600), values.big_int(5**400))] * 12_000),
        "250000 items",
    ),
    "long paths": lambda: (request(*[X(Ext.POSIX_PATH, b"a/" * 8000)] * 900), "250000 items"),
    "a very long path": lambda: (request(X(Ext.POSIX_PATH, b"a/" * 9000)), "16384 bytes"),
    "a very long decimal": lambda: (request(X(Ext.DECIMAL, b"1" * 17_000)), "16384 bytes"),
    "big values": lambda: (
        request(*[X(Ext.BIG_BYTES, (2**30).to_bytes(8, "big"))] * 2),
        "accepts 1073741824 in a message",
    ),
    "many big values": lambda: (
        request(*[X(Ext.BIG_BYTES, (1).to_bytes(8, "big"))] * (MOST_BIG + 1)),
        "at most 1000 big values",
    ),
    "a frame": lambda: ((2**24 + 1).to_bytes(4, "big"), "accepts 16777216"),
    "a ping": lambda: (frame(values.pack([Kind.PING, 2**70])), "64 bits"),
}


def _nested(inner: bytes, levels: int) -> bytes:
    for _ in range(levels):
        inner = values.pack([X(Ext.SLICE, inner)])
    return inner


def _map(keys: list[Any]) -> bytes:
    data: bytes = msgpack.Packer().pack_map_pairs([(key, 1) for key in keys])
    return data


"""Refused, and by what words."""


TAKEN: dict[str, Callable[[], list[Any]]] = {
    "tuples": lambda: [[0]] * 120_000,
    "dates": lambda: [ext(Ext.DATETIME, 2024, 1, 1, 0, 0, 0, 0, 0, None)] * 18_000,
    "uuids": lambda: [X(Ext.UUID, b"\1" * 16)] * 60_000,
    "decimals": lambda: [X(Ext.DECIMAL, b"1E+999999999")] * 60_000,
    "slices": lambda: [ext(Ext.SLICE, 0, 1, 1)] * 34_000,
    "home": lambda: [X(Ext.HOME, bytes(8))] * 60_000,
    "alike": lambda: [ext(Ext.FROZENSET, *alike(32))] * 1800,
}
"""Arguments of a request, about as many as are taken."""
