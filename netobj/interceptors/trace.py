"""What two sides say to each other, message by message, for people."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

from netobj.interceptors.interceptor import Interceptor
from netobj.interceptors.readable import readable


class Trace(Interceptor):
    """Writes a line for each message, ``<-`` what comes and ``->`` what goes.

    *to* is a file for text (by default ``sys.stderr``), or a logger (at the level DEBUG). A line is
    cut to *width* characters. *values* false hides what is in the arguments and results, of
    which only types and sizes are shown. What belongs to a login is no message, and never there;
    nor are passwords that are arguments of calls, unless *values* are shown.
    """

    def __init__(
        self, to: TextIO | logging.Logger | None = None, *, width: int = 200, values: bool = True
    ) -> None:
        self._to = to
        self._width = width
        self._values = values
