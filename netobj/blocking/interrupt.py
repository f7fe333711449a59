"""Stopping a call where it is: KeyboardInterrupt, raised in the thread that runs it.

In the main thread a real SIGINT does it, so that even a blocking system call is interrupted; the
handler raises only while a call runs that may be stopped. In other threads the interpreter is
asked to raise at the next bytecode, and the request is withdrawn when the call ends first.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from types import FrameType
from typing import Any, Final

from netobj.core.events import Request
from netobj.core.handlers import perform
from netobj.core.session import Session

_lock: Final = threading.Lock()
"""Protects the table and the moment between looking there and asking the interpreter to raise;
nobody waits or runs user code while holding it."""

_running: Final[dict[Request, int]] = {}
"""The calls that may be stopped, and the thread that runs each."""

_main_calls: Final[list[Request]] = []
"""Those of the main thread, innermost last; only the main thread changes it."""


class Interruptible:
    """Calls that the peer may stop."""

    @staticmethod
    def run(session: Session, request: Request) -> object:
        """Perform *request* so that :meth:`interrupt` can stop it."""
        ident = threading.get_ident()
        main = threading.current_thread() is threading.main_thread()
        armed = main and signal.getsignal(signal.SIGINT) is _on_sigint
        try:
            with _lock:
                _running[request] = ident
            if armed:
                _main_calls.append(request)
            return perform(session, request)
        finally:
            if armed and _main_calls and _main_calls[-1] is request:
                _main_calls.pop()
            with _lock:
                if _running.pop(request, None) is not None and request.interrupted and not armed:
                    _raise_in(ident, None)

    @staticmethod
    def interrupt(request: Request) -> None:
        """Raise KeyboardInterrupt in *request*, if it runs."""
        with _lock:
            ident = _running.get(request)
            if ident is None:
                return
            request.interrupted = True
            main = threading.main_thread().ident
            if ident == main and signal.getsignal(signal.SIGINT) is _on_sigint:
                signal.pthread_kill(ident, signal.SIGINT)
            else:
                _raise_in(ident, KeyboardInterrupt)


def _raise_in(ident: int, exc: type[BaseException] | None) -> None:
    wanted = ctypes.py_object() if exc is None else ctypes.py_object(exc)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), wanted)


def _on_sigint(_number: int, _frame: FrameType | None) -> Any:
    if _main_calls and _main_calls[-1].interrupted:
        raise KeyboardInterrupt


def interrupt_main_by_signal() -> None:
    """Let SIGINT stop the calls that the main thread runs, and nothing else.

    For processes that serve a shell on their main thread; call it there.
    """
    signal.signal(signal.SIGINT, _on_sigint)
