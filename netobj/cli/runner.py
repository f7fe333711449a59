"""Running code so that somebody else can interrupt it, and nothing after it.

:class:`~netobj.blocking.interrupt.ThreadRun` runs it in the calling thread; :class:`MainThread`
offers the process's main thread, where a signal ends blocking system calls too.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Generic, Protocol, TypeVar

from netobj.blocking.interrupt import ThreadRun
from netobj.blocking.safepoint import at_safe_point

T = TypeVar("T")

_SIGNALS = 20
_BETWEEN_SIGNALS = 0.05  # seconds


class Run(Protocol):
    """One run of a piece of code."""

    def execute(self, func: Callable[[], T]) -> T:
        """What *func* returns or raises; ``KeyboardInterrupt`` after :meth:`interrupt`."""

    def interrupt(self) -> bool:
        """Ask for a ``KeyboardInterrupt`` inside; False when nothing runs any more."""


class _Job(Generic[T]):
    """A function on its way through the main thread."""

    def __init__(self, func: Callable[[], T]) -> None:
        self._func = func
        self._done = threading.Event()
        self._result: tuple[T] | None = None
        self._error: BaseException | None = None
        self.armed = False
        self.heard = False  # the signal handler has run since the last interrupt()

    def perform(self) -> None:
        try:
            self.armed = True
            result = self._func()
            self.armed = False
            self._result = (result,)
        except BaseException as exc:
            self._error = exc
        finally:
            self.armed = False
            self._done.set()

    def wait(self, timeout: float | None = None) -> bool:
        """True once it has ended."""
        return self._done.wait(timeout)

    def result(self) -> T:
        self.wait()
        if self._result is None:
            raise self._error or KeyboardInterrupt
        return self._result[0]


class MainThread:
    """The main thread, for whoever claims it.

    :meth:`loop` is called there, once; it takes over SIGINT, which is heeded only while a
    claimed run is under way.
    """

    def __init__(self) -> None:
        self._claimed = threading.Lock()
        self._jobs: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._current: _Job[object] | None = None

    def loop(self) -> None:
        """Run what is submitted until :meth:`stop`."""
        signal.signal(signal.SIGINT, self._on_sigint)
        while True:
            job = self._jobs.get()
            if job is None:
                return
            self._current = job
            job.perform()

    def stop(self) -> None:
        """Let :meth:`loop` return once what it runs has ended."""
        self._jobs.put(None)

    def claim(self) -> MainRun | None:
        """A run in the main thread, or None while another one is under way there."""
        return MainRun(self) if self._claimed.acquire(blocking=False) else None

    def submit(self, job: _Job[object]) -> None:
        self._jobs.put(job)

    def release(self) -> None:
        self._claimed.release()

    def interrupt(self, job: _Job[object]) -> bool:
        """Signal the main thread until it takes notice, or for a while if it does not.

        Python's handler does not run for a signal that comes right before a system call
        blocks; the next one ends the call.
        """
        job.heard = False
        for _ in range(_SIGNALS):
            if not job.armed or job.heard:
                return job.heard
            _signal_main_thread()
            if job.wait(_BETWEEN_SIGNALS):
                break
        return True

    def _on_sigint(self, signum: int, frame: FrameType | None) -> None:
        job = self._current
        if job is not None and job.armed and at_safe_point(frame):
            job.heard = True
            raise KeyboardInterrupt


def _signal_main_thread() -> None:
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)


class MainRun:
    """A run in the main thread; the caller's thread waits. To be executed once."""

    def __init__(self, main: MainThread) -> None:
        self._main = main
        self._job: _Job[object] | None = None

    def execute(self, func: Callable[[], T]) -> T:
        job = _Job(func)
        self._job = job  # type: ignore[assignment]  # a job of T is a job of object here
        try:
            self._main.submit(self._job)  # type: ignore[arg-type]
            return job.result()
        finally:
            self._main.release()

    def interrupt(self) -> bool:
        return self._job is not None and self._main.interrupt(self._job)


_offered: MainThread | None = None


def offer_main_thread() -> MainThread:
    """From now on runs go to the main thread, which is to call ``loop()`` of what is returned."""
    global _offered
    _offered = MainThread()
    return _offered


def process_is_offered() -> bool:
    """True where this process was started for one shell and offers its main thread."""
    return _offered is not None


def new_run() -> Run:
    """A run in the main thread, where it is offered and free, else in the calling one."""
    claimed = None if _offered is None else _offered.claim()
    return ThreadRun() if claimed is None else claimed
