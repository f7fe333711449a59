"""A peer that speaks the protocol byte by byte, without netobj's own code in between."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import msgpack

from netobj.core.consts import ANNOUNCED, DEFAULT_LIMITS, PREAMBLE, Ext, Kind, Op
from patience import HANG


def frame(*message: Any) -> bytes:
    """The frame of a message."""
    body: bytes = msgpack.packb(list(message))
    return len(body).to_bytes(4, "big") + body


def hello(limits: tuple[int, ...] = DEFAULT_LIMITS[:ANNOUNCED]) -> bytes:
    """A preamble and a hello."""
    root = [0, "raw", "Raw", [], b"\0" * 16, [], False, False]
    return PREAMBLE + frame(Kind.HELLO, 0, b"raw", None, list(limits), [], root)


def call(seq: int, name: str, *args: Any) -> bytes:
    """A call of a method of the root, in a chain of its own."""
    return frame(Kind.REQUEST, seq, 2**40 + seq, Op.CALL, 0, name, list(args))


def ext(code: Ext, *items: Any) -> msgpack.ExtType:
    """An extension value with these packed items in it."""
    return msgpack.ExtType(code, msgpack.packb(list(items)))


class RawPeer:
    """A connected socket that has said hello, unless it is not to."""

    def __init__(self, port: int, greets: bool = True) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what it does not read
        self.sock.settimeout(HANG)
        self.sock.connect(("localhost", port))
        self._data = b""
        self._greeted = False
        if greets:
            self.send(hello())

    def send(self, data: bytes) -> None:
        """Send all of it; an end of the connection is seen when reading."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def flood(self, pieces: Iterator[bytes]) -> None:
        """Send *pieces* without end, reading nothing, until the other side ends it."""
        end = time.monotonic() + HANG
        left = memoryview(next(pieces))
        self.sock.settimeout(0.05)
        while time.monotonic() < end:
            try:
                left = left[self.sock.send(left) :] or memoryview(next(pieces))
            except TimeoutError:
                pass
            except OSError:
                return
        raise AssertionError("the connection was not ended")

    def messages(self, most: int = 10**9) -> list[list[Any]]:
        """What comes until the end of the connection, or *most* messages."""
        found: list[list[Any]] = []
        while len(found) < most:
            message = self._next()
            if message is None:
                break
            found.append(message)
        return found

    def answers(self, most: int) -> dict[int, str]:
        """By their numbers, what kinds of answer come to requests, until there are *most*."""
        found: dict[int, str] = {}
        while len(found) < most:
            message = self._next()
            assert message is not None, f"the connection ended after {found}"
            if message[0] in (Kind.REPLY, Kind.ERROR):
                found[message[1]] = Kind(message[0]).name
        return found

    def last_words(self) -> str:
        """The reason in the goodbye with which the other side ends the connection."""
        said = [message[1] for message in self.messages() if message[0] == Kind.GOODBYE]
        return said[-1] if said else ""

    def _next(self) -> list[Any] | None:
        while True:
            if not self._greeted and self._data.startswith(PREAMBLE):
                self._data = self._data[len(PREAMBLE) :]
                self._greeted = True
            if self._greeted and len(self._data) >= 4:
                size = int.from_bytes(self._data[:4], "big")
                if len(self._data) >= 4 + size:
                    body, self._data = self._data[4 : 4 + size], self._data[4 + size :]
                    return list(msgpack.unpackb(body, strict_map_key=False))
            try:
                piece = self.sock.recv(2**20)
            except ConnectionError:
                return None
            if not piece:
                return None
            self._data += piece

    def close(self) -> None:
        """End the connection."""
        self.sock.close()
