"""What two sides say to each other, message by message, for people."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from netobj.core.consts import HEADER_SIZE, PREAMBLE
from netobj.interceptors.interceptor import Direction, Interceptor
from netobj.interceptors.readable import readable


class Trace(Interceptor):
    """Writes a line for each message, ``<-`` what comes and ``->`` what goes.

    *to* is a file for text (by default ``sys.stderr``), or a logger (at the level DEBUG). A line is
    cut to *width* characters. *values* false hides what is in the arguments and results, of
    which only types and sizes are shown: also passwords, if some are among them. What belongs to a
    login is no message, and never there. Bare bytes of big values are told by their size.
    """

    def __init__(
        self, to: TextIO | logging.Logger | None = None, *, width: int = 200, values: bool = True
    ) -> None:
        self._to = to
        self._width = width
        self._values = values

    def on_message(self, frame: bytes, direction: Direction) -> None:
        """Write the line of *frame*."""
        to = self._to
        if isinstance(to, logging.Logger):
            if to.isEnabledFor(logging.DEBUG):
                to.debug("%s", self._line(frame, direction))
        else:
            self._write(to or sys.stderr, f"{self._line(frame, direction)}\n")

    def _write(self, to: TextIO, line: str) -> None:
        try:
            try:
                to.write(line)  # at once: others may write there, too
            except UnicodeEncodeError:
                to.write(line.encode("ascii", "backslashreplace").decode("ascii"))
            to.flush()
        except (OSError, ValueError):  # a file that is closed is not worth the connection
            pass

    def _line(self, frame: bytes, direction: Direction) -> str:
        body = frame.removeprefix(PREAMBLE)[HEADER_SIZE:]
        arrow = "<-" if direction is Direction.IN else "->"
        return f"{arrow} {len(frame)} bytes: {readable(body, self._width, self._values)}"
