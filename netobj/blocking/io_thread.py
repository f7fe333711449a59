"""The process's one I/O thread: it reads connections that nobody else reads.

A connection is a *candidate* after a reader has left it. Each tick looks at the candidates: one
that has had no reader for a whole tick is *armed*, that is registered with the selector; one
that is being read is forgotten until its reader leaves. An armed connection stays registered
while other threads read it from time to time; when the selector reports it and somebody is
reading, it is disarmed and becomes a candidate again. So in a tight loop of calls this thread
wakes at most once a tick, and finds nothing to do.

Ownership: the selector, the armed set and the timers belong to this thread. Other threads
append to the queues (``_noted``, ``_soon``, ``_commands``) and, only if the thread sleeps without
a tick, wake it.
"""

from __future__ import annotations

import heapq
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Protocol

from netobj.blocking.pool import Job
from netobj.blocking.streams import Stream
from netobj.blocking.waker import Waker

TICK: Final = 0.008
"""Seconds after which a connection that nobody reads is read here."""
QUIET_TICKS: Final = 50
"""After so many ticks without a candidate the thread sleeps until it is woken."""
INTERRUPT_PAUSE: Final = 0.0005
"""Seconds after which a Ctrl-C that came in the midst of a message is tried again."""
_MOST_CANCELLED: Final = 30
_NEVER: Final = float("inf")
HOUSEKEEPING: Final = 0.5
"""Seconds between looks for releases that nothing has carried along."""


class Watched(Protocol):
    """What the I/O thread needs of a connection."""

    stream: Stream
    noted: bool  # it is a candidate; set by who notes it, cleared by the I/O thread
    readers_left: int  # how many readers have come and gone
    ended: bool  # it is to be forgotten
    io_writes: bool  # this thread writes what is left; set and cleared by it
    registered: bool  # its descriptors are used here; only the I/O thread changes it

    def is_read(self) -> bool:
        """Somebody reads it at the moment."""

    def io_read(self) -> bool:
        """Read and dispatch what has arrived; False if somebody else is reading."""

    def io_write(self) -> bool:
        """Write what fits; True while something is left."""

    def tick(self, now: float) -> float | None:
        """Heartbeat; returns when it is due again."""

    def flush_releases(self) -> None:
        """Send the releases that nothing has carried along."""

    def release_descriptors(self) -> bool:
        """After the end: close the stream, unless somebody is about to leave it."""


class IOThread:
    """See the module's docstring. Made by :func:`io_thread`."""

    def __init__(self) -> None:
        self._waker = Waker()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker.fd, selectors.EVENT_READ, None)
        self._noted: deque[Watched] = deque()
        self._soon: deque[Job] = deque()
        self._commands: deque[tuple[Callable[[Watched], None], Watched]] = deque()
        self._asleep = False  # set before the last look at the queues
        self._candidates: dict[Watched, int] = {}
        self._armed: set[Watched] = set()
        self._writing: set[Watched] = set()
        self._timers: list[list[Any]] = []  # a heap of [when, number, connection or None]
        self._timer_of: dict[Watched, list[Any]] = {}
        self._cancelled = 0  # timers of no connection any more
        self._watched: set[Watched] = set()
        self._closing: list[Watched] = []
        self._numbers = count()
        self._quiet = 0
        self._interrupt_at = _NEVER
        self._thread = threading.Thread(target=self._run, name="netobj I/O", daemon=True)
        self._thread.start()

    # --- called by other threads --------------------------------------------------------

    def note(self, connection: Watched) -> None:
        """A reader has left *connection*; call only while ``noted`` is False."""
        connection.noted = True
        self._noted.append(connection)
        if self._asleep:
            self._waker.wake()

    def soon(self, job: Job) -> None:
        """Run *job*, which must not wait or run user code, at the next tick."""
        self._soon.append(job)
        if self._asleep:
            self._waker.wake()

    def add(self, connection: Watched) -> None:
        """Watch *connection* from now on."""
        self.note(connection)

    def remove(self, connection: Watched) -> None:
        """*connection* has ended; its descriptors are given back by this thread."""
        self._command(self._remove, connection)

    def forget(self, connection: Watched) -> None:
        """*connection* has ended, and has no descriptors any more."""
        self._commands.append((self._remove, connection))  # there is time until this thread wakes

    def want_write(self, connection: Watched) -> None:
        """Finish writing what *connection* has queued."""
        self._command(self._start_writing, connection)

    def look_at(self, connection: Watched) -> None:
        """Something of *connection* is to be looked at sooner than was known."""
        self._command(self._look_sooner, connection)

    def interrupt_main_soon(self) -> None:
        """Send SIGINT to the main thread in a moment; called by its signal handler."""
        self._interrupt_at = time.monotonic() + INTERRUPT_PAUSE
        self._waker.wake()

    def _command(self, command: Callable[[Watched], None], connection: Watched) -> None:
        self._commands.append((command, connection))
        self._waker.wake()

    def is_current(self) -> bool:
        """True in the I/O thread itself."""
        return threading.current_thread() is self._thread

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        next_tick = time.monotonic() + TICK
        next_sweep = time.monotonic() + HOUSEKEEPING
        while True:
            self._select(self._timeout(next_tick, next_sweep))
            now = time.monotonic()
            if now >= self._interrupt_at:
                self._interrupt_main()
            if now >= next_tick or self._closing:
                self._tick()
                next_tick = now + TICK
            if now >= next_sweep:
                self._sweep()
                next_sweep = now + HOUSEKEEPING
            while self._timers and self._timers[0][0] <= now:
                self._ring(heapq.heappop(self._timers)[2], now)

    def _select(self, timeout: float | None) -> None:
        # By itself, so that no variable keeps a connection alive while the thread sleeps.
        ready = self._selector.select(timeout)
        self._asleep = False
        self._take_commands()
        for key, events in ready:
            if key.data is None:
                self._waker.clear()
            else:
                self._serve(key.data, events)

    def _timeout(self, next_tick: float, next_sweep: float) -> float | None:
        waiting = self._candidates or self._noted or self._soon or self._closing
        ticking = waiting or self._quiet < QUIET_TICKS
        if not ticking:
            self._asleep = True
            if (
                self._noted or self._soon or self._commands
            ):  # a last look: from here on they wake us
                return 0
        due = min(next_tick if ticking else _NEVER, self._interrupt_at)
        if self._closing:
            due = min(due, time.monotonic() + 0.001)
        if self._watched:
            due = min(due, next_sweep)
        if self._timers:
            due = min(due, self._timers[0][0])
        return None if due == _NEVER else max(0.0, due - time.monotonic())

    def _interrupt_main(self) -> None:
        self._interrupt_at = _NEVER
        if hasattr(signal, "pthread_kill"):
            ident = threading.main_thread().ident
            assert ident is not None
            signal.pthread_kill(ident, signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)

    def _take_commands(self) -> None:
        while self._commands:
            command, connection = self._commands.popleft()
            command(connection)

    def _add(self, connection: Watched) -> None:
        self._watched.add(connection)
        self._heartbeat(connection, time.monotonic())

    def _look_sooner(self, connection: Watched) -> None:
        self._cancel_timer(connection)
        self._heartbeat(connection, time.monotonic())

    def _cancel_timer(self, connection: Watched) -> None:
        timer = self._timer_of.pop(connection, None)
        if timer is not None:
            timer[2] = None  # it stays in the heap for a while, but keeps nothing alive
            self._cancelled += 1
            if self._cancelled > max(_MOST_CANCELLED, len(self._timers) // 2):
                self._drop_cancelled()

    def _remove(self, connection: Watched) -> None:
        self._watched.discard(connection)
        self._cancel_timer(connection)
        self._candidates.pop(connection, None)
        self._armed.discard(connection)
        self._writing.discard(connection)
        self._register(connection)
        if not connection.release_descriptors():
            self._closing.append(connection)

    def _drop_cancelled(self) -> None:
        self._timers = [timer for timer in self._timers if timer[2] is not None]
        heapq.heapify(self._timers)
        self._cancelled = 0

    def _start_writing(self, connection: Watched) -> None:
        connection.io_writes = connection.io_write() and not connection.ended
        if connection.io_writes:
            self._writing.add(connection)
            self._register(connection)

    def _register(self, connection: Watched) -> None:
        """Make the selector's entries those that the sets say."""
        stream = connection.stream
        reading = selectors.EVENT_READ if connection in self._armed else 0
        writing = selectors.EVENT_WRITE if connection in self._writing else 0
        if reading or writing:
            # In this order: whoever ends it after the look leaves its descriptors to this thread.
            connection.registered = True
            if connection.ended:
                return
        if stream.read_fd == stream.write_fd:
            self._watch(stream.read_fd, reading | writing, connection)
        else:
            self._watch(stream.read_fd, reading, connection)
            self._watch(stream.write_fd, writing, connection)
        if not reading and not writing:
            connection.registered = False

    def _watch(self, fd: int, events: int, connection: Watched) -> None:
        try:
            known = self._selector.get_map().get(fd)
            if known is not None and known.data is not connection:
                return  # the number is another connection's by now
            if not events:
                if known is not None:
                    self._selector.unregister(fd)
            elif known is None:
                self._selector.register(fd, events, connection)
            elif known.events != events:
                self._selector.modify(fd, events, connection)
        except (OSError, ValueError, KeyError):  # closed under us, or a regular file
            pass

    def _serve(self, connection: Watched, events: int) -> None:
        if events & selectors.EVENT_WRITE and not connection.io_write():
            connection.io_writes = False
            self._writing.discard(connection)
            self._register(connection)
        if events & selectors.EVENT_READ and connection in self._armed:
            self._read(connection)

    def _read(self, connection: Watched) -> None:
        if not connection.io_read():
            self._armed.discard(connection)
            self._register(connection)
            if not connection.ended:
                self._candidates[connection] = connection.readers_left
                connection.noted = True

    def _tick(self) -> None:
        self._closing = [one for one in self._closing if not one.release_descriptors()]
        while self._noted:
            connection = self._noted.popleft()
            if connection not in self._watched and not connection.ended:
                self._add(connection)
            self._candidates.setdefault(connection, -1)
        self._quiet = 0 if self._candidates or self._soon else self._quiet + 1
        for _ in range(len(self._soon)):
            function, argument = self._soon.popleft()
            function(argument)
        for connection, readers_left in list(self._candidates.items()):
            # In this order: a reader that leaves after the next line notes the connection again.
            connection.noted = False
            if connection.ended or connection in self._armed or connection.is_read():
                del self._candidates[connection]
            elif connection.readers_left != readers_left:
                connection.noted = True
                self._candidates[connection] = connection.readers_left
            else:
                del self._candidates[connection]
                self._arm(connection)

    def _arm(self, connection: Watched) -> None:
        self._armed.add(connection)
        self._register(connection)
        connection.flush_releases()
        if connection.stream.pending():  # decrypted bytes wait where the selector cannot see
            self._read(connection)

    def _sweep(self) -> None:
        for connection in list(self._watched):
            connection.flush_releases()

    def _ring(self, connection: Watched | None, now: float) -> None:
        if connection is None:
            self._cancelled -= 1
        else:
            del self._timer_of[connection]
            self._heartbeat(connection, now)

    def _heartbeat(self, connection: Watched, now: float) -> None:
        if connection in self._watched and not connection.ended:
            due = connection.tick(now)
            if due is not None:
                timer = self._timer_of[connection] = [due, next(self._numbers), connection]
                heapq.heappush(self._timers, timer)


_current: IOThread | None = None
_start_lock = threading.Lock()  # protects the making of the one thread; nothing waits in it


def running_io_thread() -> IOThread | None:
    """The process's I/O thread, if it has been started; never waits."""
    return _current


def io_thread() -> IOThread:
    """The process's I/O thread, started when it is first asked for."""
    global _current
    if _current is None:
        with _start_lock:
            if _current is None:
                _current = IOThread()
    return _current


def after_fork_in_child() -> None:
    """A child has no I/O thread until it makes connections of its own."""
    global _current, _start_lock
    _current = None
    _start_lock = threading.Lock()  # another thread of the parent may have held it
