"""Ctrl-C in a program that uses connections: raised where it does no harm."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from netobj.blocking.io_thread import running_io_thread
from netobj.blocking.safepoint import at_safe_point
from netobj.blocking.streams import COOPERATIVE


def on_sigint(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, if need be a moment later."""
    io = running_io_thread()
    if io is None or at_safe_point(frame):  # without it there is no connection to harm
        raise KeyboardInterrupt
    io.interrupt_main_soon()


def guard_against_sigint() -> None:
    """Let Ctrl-C wait for a safe point from here on.

    Does something only in the main thread, and only where Python's own handler is in place: a
    program with a handler of its own keeps it, and must not raise from it inside netobj. Where
    threads are greenlets there is no thread to signal.
    """
    if not COOPERATIVE and threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, on_sigint)
