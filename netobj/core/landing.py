"""The memory that a big value is received into, and that then is the value, without a copy."""

from __future__ import annotations

import io
from typing import Any, Final

AHEAD: Final = 32 * 1024 * 1024
"""Bytes that are allocated for a value before it has come."""
_GROWTH: Final = 4
_SMALL: Final = 256 * 1024


class Landing:
    """A ``bytes`` of *size* bytes on its way in.

    Memory grows with what arrives: no more is allocated than :data:`AHEAD`, or four times of what
    is there. Pages of it that nothing was written to cost nothing on most systems.

    >>> landing = Landing(5)
    >>> landing.put(b"abc"); landing.room(100)[:] = b"de"; landing.advance(2)
    >>> landing.value()
    b'abcde'
    """

    __slots__ = ("_allocated", "_file", "_room", "filled", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.filled = 0
        self._allocated = size if size < AHEAD else AHEAD
        # Views of it are short-lived: the garbage collector complains of a file that has one.
        self._file = _blank(self._allocated)
        self._room: memoryview | None = None

    def room(self, most: int) -> memoryview:
        """Where the next bytes go, at most *most*; it ends with the next call of any method.

        Whoever drops the landing while there is a room releases the room.
        """
        self._leave_room()
        if self.filled == self._allocated:
            self._grow()
        with self._file.getbuffer() as memory:
            self._room = memory[self.filled : self.filled + most]
        return self._room

    def advance(self, count: int) -> None:
        """*count* bytes have been put into the room."""
        self.filled += count
        self._leave_room()

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Copy *data*, no more than is missing."""
        self._leave_room()
        start = 0
        while start < len(data):
            if self.filled == self._allocated:
                self._grow()
            count = min(len(data) - start, self._allocated - self.filled)
            with self._file.getbuffer() as memory:
                memory[self.filled : self.filled + count] = data[start : start + count]
            self.filled += count
            start += count

    def value(self) -> bytes:
        """The value; call it once, when all of it is there."""
        self._leave_room()
        return self._file.getvalue()

    def _leave_room(self) -> None:
        if self._room is not None:
            self._room.release()
            self._room = None

    def _grow(self) -> None:
        self._allocated = min(self.size, _GROWTH * self.filled)
        file = _blank(self._allocated)
        with file.getbuffer() as memory, self._file.getbuffer() as before:
            memory[: self.filled] = before
        self._file = file


def _blank(size: int) -> io.BytesIO:
    """A file of *size* bytes, whatever they are, in memory of its own.

    Two habits of the standard library save the time that filling and copying would take. A
    buffered reader's ``read`` takes memory for all that it will return and lets the raw file
    write there; a ``BytesIO`` that has the only reference to some ``bytes`` works in their memory,
    and ``getvalue`` returns them. An interpreter that does without gets the same, a copy later.
    """
    if size < _SMALL:  # it takes longer to save the filling
        return io.BytesIO(bytes(size))
    return io.BytesIO(io.BufferedReader(_Nothing()).read(size))


class _Nothing(io.RawIOBase):
    """A file that fills any buffer at once, with what is in it already."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return len(buffer)
