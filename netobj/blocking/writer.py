"""Who writes: whoever can. Messages are queued first, then one thread writes what is queued."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Final

from netobj.blocking.streams import Stream, Wire

MAX_QUEUED: Final = 8 * 1024 * 1024
"""Bytes waiting to be written above which the callers of asynchronous calls wait."""


class Writer:
    """Writes a session's queue to a stream without ever waiting.

    ``_lock`` is held by the thread that writes, for one attempt that does not block; a thread
    that finds it taken leaves its message to the other, which looks at the queue again after it
    has let go. What does not fit stays in ``_backlog``, of which the lock's holder is the owner,
    and the front-end is told, once, to call :meth:`resume` when there is room: by *on_blocked*,
    which gets what :meth:`flush` got.
    """

    def __init__(
        self, stream: Stream, out: deque[Wire], on_blocked: Callable[[bool], None]
    ) -> None:
        self._stream = stream
        self._out = out
        self._on_blocked = on_blocked
        self._lock = threading.Lock()
        self.owner = 0  # the thread that writes
        self._backlog: list[Wire] = []
        self.blocked = False  # the stream took less than there was

    def write(self, data: bytes, reads: bool = False) -> None:
        """As :meth:`flush`, of *data* in its turn."""
        if self._out or self.blocked or not self._lock.acquire(False):
            self._out.append(data)
            self.flush(reads)
            return
        self.owner = get_ident()
        try:
            if self._backlog:  # another thread was faster, and is not through
                self._out.append(data)
                return
            sent = self._stream.send(data)
            if sent < len(data):
                self._backlog.append(memoryview(data)[sent:])
                self.blocked = True
        finally:
            self.owner = 0
            self._lock.release()
        if self.blocked:
            self._on_blocked(reads)
        elif self._out:  # another thread has left it to us
            self.flush(reads)

    def flush(self, reads: bool = False) -> None:
        """Write what is queued, as far as it fits. Raises OSError.

        *reads*: this thread will wait for the stream next, and can go on with what is left.
        """
        out = self._out
        while out and not self.blocked:
            if not self._lock.acquire(False):
                return
            self.owner = get_ident()
            try:
                if len(out) == 1 and not self._backlog:  # as most often
                    data = out.popleft()
                    sent = self._stream.send(data)
                    if sent < len(data):
                        self._backlog.append(memoryview(data)[sent:])
                        self.blocked = True
                else:
                    self._write()
            finally:
                self.owner = 0
                self._lock.release()
            if self.blocked:
                self._on_blocked(reads)

    def finish(self, timeout: float) -> None:
        """As :meth:`flush`, also when another thread writes: it is done within *timeout* s."""
        while self._out and not self.blocked and not self.interrupted_here():
            if not self._lock.acquire(timeout=timeout):
                return
            self._lock.release()
            self.flush()

    def resume(self) -> bool:
        """There may be room again: go on; True while something is left. Raises OSError."""
        if self._lock.acquire(False):
            self.owner = get_ident()
            try:
                self._write()
            finally:
                self.owner = 0
                self._lock.release()
        return self.blocked

    def interrupted_here(self) -> bool:
        """True in a thread that is in the midst of writing: a finalizer or signal handler."""
        return self.owner == get_ident()

    def congested(self) -> bool:
        """True while more than MAX_QUEUED bytes wait."""
        return self.blocked and sum(map(len, list(self._out))) + self._left() > MAX_QUEUED

    def _left(self) -> int:
        return sum(map(len, list(self._backlog)))

    def retire(self) -> bool:
        """Take the lock for good, so that nobody writes any more; False if somebody writes."""
        return self._lock.acquire(blocking=False)

    def _write(self) -> None:
        backlog, out = self._backlog, self._out
        while out or backlog:
            while out:
                backlog.append(out.popleft())
            if not self._advance(self._stream.send_now(list(backlog))):
                self.blocked = True
                return
        self.blocked = False

    def _advance(self, sent: int) -> bool:
        """Forget *sent* bytes; False if nothing was sent."""
        progress = sent > 0
        while sent:
            first = self._backlog[0]
            if len(first) <= sent:
                sent -= len(first)
                del self._backlog[0]
            else:
                self._backlog[0] = memoryview(first)[sent:]
                sent = 0
        return progress
