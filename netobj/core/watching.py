"""Letting somebody see each message frame, as it is received, and as it is queued to be sent.

A session that nobody watches has nothing of this: a watched one has these in the places of its
reader and its queue. Big values, which follow their message in raw frames, are not shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from netobj.core.consts import HEADER_SIZE, PREAMBLE, RAW_FLAG
from netobj.core.framing import FrameReader, frame

Wire = bytes | memoryview
See = Callable[[bytes], object]


class WatchedReader(FrameReader):
    """Has *see* called with each frame before it is applied; what that raises goes on up."""

    __slots__ = ("_see",)

    def __init__(self, max_frame: int, see: See) -> None:
        super().__init__(max_frame)
        self._see = see

    def take(self, data: bytes) -> bytes | None:
        self.feed(data)
        return self.next_message()

    def next_message(self) -> bytes | None:
        body = super().next_message()
        if body is not None:
            self._see(frame(body))
        return body


class WatchedQueue(deque[Wire]):
    """Has *see* called with each frame before it is queued; if that returns True it is not."""

    def __init__(self, items: Iterable[Wire], see: See) -> None:
        super().__init__()
        self._see = see
        self.extend(items)

    def append(self, data: Wire) -> None:
        if not self._refused(data):
            super().append(data)

    def extend(self, pieces: Iterable[Wire]) -> None:
        pieces = tuple(pieces)
        if not any(self._refused(data) for data in pieces):
            super().extend(pieces)

    def _refused(self, data: Wire) -> bool:
        return any(self._see(one) for one in frames(data))


_TOP: Final = RAW_FLAG >> 24


def frames(data: Wire) -> Iterable[bytes]:
    """The message frames in *data*, which are whole: pieces of raw frames are none.

    >>> list(frames(frame(b"abc") + frame(b"de")))
    [b'\\x00\\x00\\x00\\x03abc', b'\\x00\\x00\\x00\\x02de']
    """
    if type(data) is not bytes:
        return
    start = len(PREAMBLE) if data.startswith(PREAMBLE) else 0
    while start < len(data) and not data[start] & _TOP:
        end = start + HEADER_SIZE + int.from_bytes(data[start : start + HEADER_SIZE], "big")
        yield data[start:end]
        start = end
