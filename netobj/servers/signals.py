"""SIGTERM and Ctrl-C for a server that runs in the main thread."""

from __future__ import annotations

import selectors
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

from netobj.blocking.sigint import on_sigint
from netobj.blocking.streams import COOPERATIVE

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


class Alarm:
    """Wakes the main thread, where it waits for a socket, as soon as a signal has come.

    The interpreter looks for signals between two instructions. One that comes after its last look,
    and before the system call that waits, would be handled only when that call ends.
    """

    def __init__(self) -> None:
        self._here, self.there = socket.socketpair()
        self._here.setblocking(False)
        self.there.setblocking(False)
        # Not epoll: it would wait for ever for a socket that another thread closes.
        kind = getattr(selectors, "PollSelector", selectors.SelectSelector)
        self._selector: selectors.BaseSelector = kind()
        self._selector.register(self._here, selectors.EVENT_READ)

    def wait(self, sock: socket.socket) -> None:
        """Until *sock* is readable, has ended, or a signal has come; its handler runs first."""
        if sock.fileno() < 0:  # closed by another thread
            return
        self._selector.register(sock, selectors.EVENT_READ)
        try:
            for key, _ in self._selector.select():
                if key.fileobj is self._here:
                    self._here.recv(4096)
        finally:
            self._selector.unregister(sock)

    def close(self) -> None:
        self._selector.close()
        self._here.close()
        self.there.close()


@contextmanager
def alarmed() -> Iterator[Alarm | None]:
    """In the block, signals ring an alarm.

    None in other threads than the main one, with gevent, whose loop sees to signals, and where
    the program itself is woken by them (``signal.set_wakeup_fd``).
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or COOPERATIVE:
        yield None
        return
    alarm = Alarm()
    try:
        before = signal.set_wakeup_fd(alarm.there.fileno(), warn_on_full_buffer=False)
        try:
            if before != -1:
                signal.set_wakeup_fd(before)
            yield alarm if before == -1 else None
        finally:
            signal.set_wakeup_fd(before)
    finally:
        alarm.close()
