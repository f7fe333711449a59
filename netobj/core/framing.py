"""Bytes <-> frames: the preamble, the length prefix, and caps before anything is allocated.

See the offsets at the head of :mod:`netobj.core.consts`. A stream of frames may be cut
anywhere; what has arrived is kept and resumed.
"""

from __future__ import annotations

import struct
from typing import Final

from netobj.core.consts import (
    HEADER_SIZE,
    LENGTH_MASK,
    LOGIN_PREAMBLE,
    PREAMBLE,
    PSK_PREAMBLE,
    RAW_FLAG,
)
from netobj.core.landing import Landing
from netobj.errors import FrameTooLarge, NotNetobj, ProtocolError, VersionMismatch

RAW_CHUNK: Final = LENGTH_MASK
_read_header: Final = struct.Struct(">I").unpack_from
_COMPACT_AFTER: Final = 64 * 1024  # consumed bytes that are worth moving the rest forward
_VERSION_DIGITS: Final = 4
_WORTH_LANDING: Final = 16 * 1024
"""Bytes; fewer are better read together with what comes behind them."""

Arrived = bytes | int
"""What a stream delivered, or how many bytes of it are where :meth:`FrameReader.room` said."""


def frame(body: bytes) -> bytes:
    """The message frame around *body*.

    >>> frame(b"abc")
    b'\\x00\\x00\\x00\\x03abc'
    """
    return len(body).to_bytes(4, "big") + body


def raw_frames(data: bytes | memoryview) -> list[bytes | memoryview]:
    """Headers and pieces of *data* as raw frames, without copying it."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(view), RAW_CHUNK):
        piece = view[start : start + RAW_CHUNK]
        parts += ((RAW_FLAG | len(piece)).to_bytes(4, "big"), piece)
    return parts


class FrameReader:
    """Cuts a stream of bytes into the bodies of message frames and into big values.

    >>> reader = FrameReader(max_frame=100, preamble=False)
    >>> reader.feed(frame(b"abc")[:5]); reader.next_message()
    >>> reader.feed(b"bc"); reader.next_message()
    b'abc'
    """

    __slots__ = (
        "_data",
        "_position",
        "_preamble_due",
        "_raw",
        "_raw_frame_left",
        "codecs",
        "filled",
        "fresh",
        "max_frame",
    )

    def __init__(self, max_frame: int, preamble: bool = True) -> None:
        self.max_frame = max_frame
        self.codecs: tuple[str, ...] = ()  # those that a compressed message may have
        self.filled = preamble  # something is left of what was fed, or the preamble is due
        self.fresh = False  # what is left has begun since this was cleared
        self._data: bytes | bytearray = b""
        self._position = 0
        self._preamble_due = preamble
        self._raw: Landing | None = None
        self._raw_frame_left = 0

    @property
    def mid_frame(self) -> bool:
        """True when part of a frame has arrived and the rest has not."""
        return self._position < len(self._data) or self._raw is not None

    @property
    def arrived(self) -> int:
        """How many bytes there are of what has begun."""
        raw = self._raw
        return len(self._data) - self._position + (0 if raw is None else raw.filled)

    def take(self, data: bytes) -> bytes | None:
        """Take what the stream delivered, and return the next message: feed and next_message."""
        if not self.filled:
            length = len(data) - HEADER_SIZE
            if 0 < length <= self.max_frame and _read_header(data)[0] == length:
                return data[HEADER_SIZE:]  # one whole message, as most often
            self._data = data
            self.fresh = self.filled = True
            return self.next_message()
        self.feed(data)
        return self.next_message()

    def feed(self, data: bytes) -> None:
        """Take what the stream delivered, of any length."""
        self.filled = True
        if self._position >= len(self._data):
            self._data = data
            self._position = 0
            return
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        if self._position > _COMPACT_AFTER:
            del self._data[: self._position]
            self._position = 0
        self._data += data

    def next_message(self) -> bytes | None:
        """The body of the next message frame, or None until more bytes come.

        Raises NotNetobj, VersionMismatch, FrameTooLarge, or ProtocolError for a raw frame
        that no message announced.
        """
        if self._preamble_due and not self._read_preamble():
            return None
        data = self._data
        position = self._position
        start = position + HEADER_SIZE
        if start > len(data):
            if position == len(data):  # the preamble or a big value was the last that came
                self._data, self._position = b"", 0
                self.filled = False
            return None
        (length,) = _read_header(data, position)
        if length > self.max_frame:
            self._refuse(length)
        end = start + length
        if end > len(data):
            return None
        # Of a bytearray by way of a view: a slice would be one more copy.
        body = data[start:end] if type(data) is bytes else bytes(memoryview(data)[start:end])
        if end < len(data):
            self._position = end
            self.fresh = True
        else:  # an idle connection holds no buffer
            self._data, self._position = b"", 0
            self.filled = False
        return body

    def next_raw(self, size: int) -> bytes | None:
        """The *size* bytes of a big value, or None until all have come.

        Call it again with the same *size* after the next :meth:`feed` or :meth:`advance`.
        """
        if self._raw is None:
            self._raw = Landing(size)
        landing = self._raw
        while landing.filled < size:
            if not self._raw_frame_left and not self._read_raw_header(size - landing.filled):
                return None
            end = self._position + self._raw_frame_left
            piece = memoryview(self._data)[self._position : end]
            if not piece:
                return None
            landing.put(piece)
            self._position += len(piece)
            self._raw_frame_left -= len(piece)
        self._raw = None
        return landing.value()

    def room(self) -> memoryview | None:
        """Where to put what comes next, in place of :meth:`feed`; None if nowhere.

        To be asked for when :meth:`next_raw` has returned None.
        """
        if self._raw is None or self._raw_frame_left < _WORTH_LANDING:
            return None
        return self._raw.room(self._raw_frame_left)

    def advance(self, count: int) -> None:
        """*count* bytes have been put into the :meth:`room`."""
        assert self._raw is not None
        self._raw.advance(count)
        self._raw_frame_left -= count

    def _read_raw_header(self, missing: int) -> bool:
        start = self._position + HEADER_SIZE
        if start > len(self._data):
            return False
        header = int.from_bytes(self._data[self._position : start], "big")
        length = header & LENGTH_MASK
        if not header & RAW_FLAG or not 0 < length <= missing:
            raise ProtocolError(
                f"a raw frame of at most {missing} bytes was due, and a frame with the header "
                f"{header:#010x} came"
            )
        self._position = start
        self._raw_frame_left = length
        return True

    def _refuse(self, header: int) -> None:
        if header & RAW_FLAG:
            raise ProtocolError("a raw frame came that no message announced")
        raise FrameTooLarge(
            f"the peer announced a frame of {header} bytes; this side accepts {self.max_frame}"
        )

    def _read_preamble(self) -> bool:
        data = bytes(self._data[: len(PREAMBLE) + _VERSION_DIGITS])
        if data.startswith(PREAMBLE):
            self._position = len(PREAMBLE)
            self._preamble_due = False
            return True
        if PREAMBLE.startswith(data):
            return False
        name = PREAMBLE[:7]
        if not data.startswith(name[: len(data)]):
            raise NotNetobj(f"the peer does not speak netobj: its first bytes were {data[:10]!r}")
        if len(data) > len(name) and LOGIN_PREAMBLE.startswith(data[: len(LOGIN_PREAMBLE)]):
            raise NotNetobj(
                "the other side lets in only who logs in: connect with authenticator= (netobj.auth)"
            )
        if len(data) > len(name) and PSK_PREAMBLE.startswith(data[: len(PSK_PREAMBLE)]):
            raise NotNetobj(
                "the other side encrypts with a pre-shared key: give psk=, too (netobj.auth)"
            )
        version, end, _ = data[len(name) :].partition(b"\r\n")
        if end and version.isdigit():
            raise VersionMismatch(
                f"the peer speaks major version {int(version)} of netobj's protocol, this side "
                f"{int(PREAMBLE[7:8])}: use the same major version of netobj on both sides"
            )
        if len(data) >= len(PREAMBLE) + _VERSION_DIGITS or not version.rstrip(b"\r").isdigit():
            raise NotNetobj(f"the peer's version line is malformed: {data!r}")
        return False
