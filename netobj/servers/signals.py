"""SIGTERM and Ctrl-C for a server that runs in the main thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from netobj.blocking.sigint import on_sigint


@contextmanager
def on_sigterm(stop: Callable[[], object]) -> Iterator[None]:
    """In the block, SIGTERM calls *stop*, which must not wait, in place of ending the process.

    Does nothing in other threads than the main one, and where the program handles the signal.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def on_ctrl_c(stop: Callable[[], object]) -> Iterator[None]:
    """In the block, the first Ctrl-C calls *stop*, which must not wait; the next one raises.

    For an event loop, in the midst of which KeyboardInterrupt would lose what it does. Does nothing
    in other threads than the main one, and where the program handles the signal.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not main or before not in (signal.default_int_handler, on_sigint):
        yield
        return
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
