"""What two sides say to each other, message by message, for people."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

from netobj.core.consts import HEADER_SIZE, PREAMBLE
from netobj.interceptors.interceptor import Direction, Interceptor
from netobj.interceptors.readable import one_line, readable
from netobj.sockets import address_text


class Trace(Interceptor):
    """Writes a line for each message, ``<-`` what comes and ``->`` what goes, and one at the end.

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
        if self._is_wanted():
            body = frame.removeprefix(PREAMBLE)[HEADER_SIZE:]
            arrow = "<-" if direction is Direction.IN else "->"
            text = readable(body, self._width, self._values)
            self._write(f"{arrow} {len(frame)} bytes: {text}")

    def on_close(self, conn: Any, reason: str) -> None:
        """Write that *conn* has ended, and why."""
        if self._is_wanted():
            ends = conn.config.endpoints  # a socket that is closed no longer knows
            peer = address_text(ends[1]) if ends else conn.peer_name
            self._write(f"-- {peer}: {one_line(reason, self._width)}")

    def _is_wanted(self) -> bool:
        to = self._to
        return not isinstance(to, logging.Logger) or to.isEnabledFor(logging.DEBUG)

    def _write(self, line: str) -> None:
        to = self._to
        if isinstance(to, logging.Logger):
            to.debug("%s", line)
            return
        file = to or sys.stderr
        try:
            try:
                file.write(f"{line}\n")  # at once: others may write there, too
            except UnicodeEncodeError:
                file.write(f"{line.encode('ascii', 'backslashreplace').decode('ascii')}\n")
            file.flush()
        except (OSError, ValueError):  # a file that is closed is not worth the connection
            pass
