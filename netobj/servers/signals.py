"""SIGTERM and Ctrl-C for a server that runs in the main thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

from netobj.blocking.sigint import on_sigint

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled(number: int, handler: Handler, *defaults: Any) -> Iterator[bool]:
    """In the block, *handler* handles the signal *number*; whether it does.

    Not in other threads than the main one, nor where the program handles the signal, so that its
    handler is none of the *defaults*.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(number)
    if not main or before not in defaults:
        yield False
        return
    signal.signal(number, handler)
    try:
        yield True
    finally:
        signal.signal(number, before)


def on_sigterm(stop: Callable[[], object]) -> AbstractContextManager[bool]:
    """In the block, SIGTERM calls *stop*, which must not wait, in place of ending the process.

    As :func:`handled`.
    """
    return handled(signal.SIGTERM, lambda _number, _frame: stop(), signal.SIG_DFL)


def on_ctrl_c(stop: Callable[[], object]) -> AbstractContextManager[bool]:
    """In the block, the first Ctrl-C calls *stop*, which must not wait; the next one raises.

    For an event loop, in the midst of which KeyboardInterrupt would lose what it does. As
    :func:`handled`.
    """
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()

    return handled(signal.SIGINT, ask, signal.default_int_handler, on_sigint)
