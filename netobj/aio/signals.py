"""SIGTERM and Ctrl-C for a server on an event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from netobj.blocking.sigint import on_sigint


@contextmanager
def on_signals(act: Callable[[], object]) -> Iterator[None]:
    """In the block, SIGTERM and Ctrl-C call *act* on the running loop.

    Not in other threads than the main one, nor those that the program handles itself, nor where
    the system has no such thing.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if _is_default(handler):
                try:
                    loop.add_signal_handler(number, act)
                except NotImplementedError:
                    break
                before[number] = handler
    try:
        yield
    finally:
        for taken, handler in before.items():
            loop.remove_signal_handler(taken)
            signal.signal(taken, handler)


def _is_default(handler: Any) -> bool:
    """Whether it is Python's, netobj's, or that of ``asyncio.run``, and not the program's."""
    function = getattr(handler, "func", handler)
    ours = (signal.SIG_DFL, signal.default_int_handler, on_sigint)
    return handler in ours or getattr(function, "__module__", None) == "asyncio.runners"
