"""Stopping a call where it is: KeyboardInterrupt, raised in the thread that runs it."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from netobj.blocking.safepoint import at_safe_point

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds for which a thread is watched for a safe point to interrupt it at."""
_PAUSE: Final = 0.001


class ThreadRun:
    """A run in the calling thread, which another thread may interrupt.

    ``_lock`` protects ``_thread`` and ``_asked``, and the moment between looking at the first and
    asking the interpreter to raise: so nothing is raised in the thread after the run has ended.
    Nobody waits or runs user code while holding it.

    >>> run = ThreadRun()
    >>> run.execute(lambda: 6 * 7)
    42
    >>> run.interrupt()
    False
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._asked = False

    def execute(self, func: Callable[[], T]) -> T:
        """What *func* returns or raises; ``KeyboardInterrupt`` after :meth:`interrupt`."""
        with self._lock:
            self._thread = threading.get_ident()
        try:
            return func()
        finally:
            self._disarm()

    def interrupt(self) -> bool:
        """Raise ``KeyboardInterrupt`` inside; False when nothing runs any more.

        It shows as soon as the thread runs Python code again. Waits, at most PATIENCE seconds,
        while the thread is in the midst of sending or dispatching a message.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            with self._lock:
                if self._thread is None:
                    return False
                frame = sys._current_frames().get(self._thread)
                if at_safe_point(frame) or time.monotonic() > deadline:
                    self._asked = _raise_in(self._thread, KeyboardInterrupt)
                    return self._asked
            del frame
            time.sleep(_PAUSE)

    def _disarm(self) -> None:
        landed = False
        while self._thread is not None or self._asked:
            try:
                with self._lock:
                    self._thread = None
                if self._asked:
                    _take_back()
            except _TakenBack:
                self._asked = False
            except KeyboardInterrupt:  # it arrived right here
                landed = True
        if landed:
            raise KeyboardInterrupt


class _TakenBack(KeyboardInterrupt):
    """Raised in place of what has not shown yet."""


def _take_back() -> NoReturn:
    """Raise ``_TakenBack`` here; what was to be raised in this thread is not.

    To ask for nothing instead would do, too; but up to Python 3.12 the interpreter then believes
    for ever that something is to be raised in some thread, looks for it at each call and turn of a
    loop, and on 3.11, in a traced function, does not get beyond that look.
    """
    _raise_in(threading.get_ident(), _TakenBack)
    while True:
        time.sleep(0)


def _raise_in(thread: int, error: type[BaseException]) -> bool:
    set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
    return bool(set_async_exc(ctypes.c_ulong(thread), ctypes.py_object(error)))
