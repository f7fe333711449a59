"""The end of the process: daemon threads that wait go no further, and no thread is started.

Python stops daemon threads when it gets to them, somewhere. Until then one whose connection has
just ended would tell of an error that nobody is interested in any more; and a thread that is
started then may never begin, so that whoever starts it waits for ever.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable

_over = False


def is_over() -> bool:
    """The process is ending: the main thread has run to its end."""
    return _over


def halt_if_over() -> None:
    """Go no further if the process is ending and this is not its main thread."""
    if _over and threading.current_thread() is not threading.main_thread():
        while True:
            time.sleep(3600)


def when_leaving(function: Callable[[], object]) -> None:
    """Call *function* when the process is ending; first of all it is so."""

    def leave() -> None:
        global _over
        _over = True
        function()

    atexit.register(leave)
