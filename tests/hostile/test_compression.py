"""Compressed messages of peers who want them to become more than they may."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable

import pytest
from rawpeer import RawPeer, call, frame

import netobj
from netobj.core.consts import DEFAULT_LIMITS, Kind, Limit

Serve = Callable[..., int]
Peer = Callable[..., RawPeer]

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 2**20}]
SQUEEZE: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=FILTERS),
}
BODY = call(1, "echo", "a" * 5000)[4:]


def wrapped(codec: str, body: bytes, size: int | None = None) -> bytes:
    return frame(Kind.COMPRESSED, codec, len(body) if size is None else size, SQUEEZE[codec](body))


def assert_others_are_served(port: int) -> None:
    with netobj.connect("localhost", port) as conn:
        assert conn.root.echo(7) == 7


def test_those_that_are_right_are_answered(serve: Serve, peer: Peer) -> None:
    one = peer(serve())
    for codec in SQUEEZE:
        one.send(wrapped(codec, BODY))
        assert one.answers(1) == {1: "REPLY"}  # and not compressed, since it has offered nothing


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (wrapped("zlib", bytes(2**26), DEFAULT_LIMITS[Limit.FRAME]), "announces"),
        (wrapped("bz2", bytes(2**26), 2**20), "announces"),
        (wrapped("lzma", bytes(2**26), 2**20), "announces"),
        (wrapped("zlib", bytes(2**26)), "accepts"),
        (wrapped("zlib", frame(Kind.COMPRESSED, "zlib", 9000, bytes(5000))[4:]), "twice"),
        (frame(Kind.COMPRESSED, "zlib", 5000, b"no"), "cannot be undone"),
        (frame(Kind.COMPRESSED, "pickle", 5000, b"no"), "did not offer"),
    ],
    ids="zlib bz2 lzma size nested junk codec".split(),
)
def test_what_ends_the_connection(serve: Serve, peer: Peer, data: bytes, why: str) -> None:
    port = serve()
    one = peer(port)
    one.send(data)
    assert why in one.last_words()
    assert_others_are_served(port)
