"""Who writes: whoever can. Messages are queued first, then one thread writes what is queued."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from threading import get_ident
from time import monotonic
from typing import Final

from netobj.blocking.streams import Stream, Wire
from netobj.core.consts import DEFAULT_LIMITS, Limit

_AT_ONCE: Final = 64  # pieces


class Writer:
    """Writes a session's queue to a stream without ever waiting.

    ``_lock`` is held by the thread that writes, for one attempt that does not block; a thread
    that finds it taken leaves its message to the other, which looks at the queue again after it
    has let go. What does not fit stays in ``_backlog``, of which the lock's holder is the owner,
    and the front-end is told, once, to call :meth:`resume` when there is room: by *on_blocked*,
    which gets what :meth:`flush` got. Above *most* bytes that wait nothing new is to begin.
    """

    def __init__(
        self,
        stream: Stream,
        out: deque[Wire],
        on_blocked: Callable[[bool], None],
        most: int = DEFAULT_LIMITS[Limit.QUEUED],
    ) -> None:
        self._stream = stream
        self._out = out
        self._on_blocked = on_blocked
        self._most = most
        self._lock = threading.Lock()
        self.owner = 0  # the thread that writes
        self._backlog: deque[Wire] = deque()
        self._size = 0  # bytes of the backlog
        self.blocked = False  # the stream took less than there was
        self._moved = 0.0  # when it took anything last, if it is blocked
        self._waiting: dict[Callable[[], object], None] = {}  # for room

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
                self._keep(data, sent)
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
                        self._keep(data, sent)
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
            if self._waiting and not self.congested():
                self.let_go()
        return self.blocked

    def interrupted_here(self) -> bool:
        """True in a thread that is in the midst of writing: a finalizer or signal handler."""
        return self.owner == get_ident()

    def stuck_since(self) -> float | None:
        """Since when the stream has taken nothing; None unless something waits."""
        return self._moved if self.blocked else None

    def congested(self) -> bool:
        """True while too many bytes wait."""
        if not self.blocked:
            return False
        if self._out and self._lock.acquire(False):
            self._gather()
            self._lock.release()
        return self._size > self._most

    def when_room(self, callback: Callable[[], object]) -> None:
        """Call *callback*, which must not wait, once: when there is room, or the end."""
        self._waiting[callback] = None
        if not self.congested():  # it came to that before anybody knew of the callback
            self.let_go()

    def let_go(self) -> None:
        """Call those that wait for room."""
        while self._waiting:
            try:
                callback = self._waiting.popitem()[0]
            except KeyError:  # another thread was faster
                return
            callback()

    def retire(self) -> bool:
        """Take the lock for good, so that nobody writes any more; False if somebody writes."""
        return self._lock.acquire(blocking=False)

    # --- with the lock -------------------------------------------------------------------------

    def _keep(self, data: Wire, sent: int) -> None:
        self._backlog.append(memoryview(data)[sent:])
        self._size += len(data) - sent
        self._moved = monotonic()

    def _gather(self) -> None:
        out, backlog = self._out, self._backlog
        while out:
            data = out.popleft()
            self._size += len(data)
            backlog.append(data)

    def _write(self) -> None:
        backlog, out = self._backlog, self._out
        while out or backlog:
            self._gather()
            if not self._advance(self._stream.send_now(list(islice(backlog, _AT_ONCE)))):
                if not self.blocked:
                    self._moved = monotonic()
                    self.blocked = True
                return
        self.blocked = False

    def _advance(self, sent: int) -> bool:
        """Forget *sent* bytes; False if nothing was sent."""
        if not sent:
            return False
        backlog = self._backlog
        self._size -= sent
        if self.blocked:
            self._moved = monotonic()
        while sent:
            first = backlog.popleft()
            if len(first) > sent:
                backlog.appendleft(memoryview(first)[sent:])
                break
            sent -= len(first)
        return True
