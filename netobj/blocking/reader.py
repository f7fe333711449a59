"""Who reads a connection, and the threads that wait for what is read.

The reader is whichever thread is free: one that waits for an answer reads, if nobody else does;
else it sleeps on its own waiter, and a reader that leaves wakes another. ``_reader`` is that
role, a lock that is taken without waiting; its holder owns the inbound half of the session. It
is held while blocked in the kernel, never while user code runs. When nobody has been reading for
a while, the process's I/O thread does.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from threading import get_ident
from typing import Any

from netobj.blocking.pool import Job, pool
from netobj.blocking.spinning import Spinner
from netobj.blocking.streams import Stream, wait
from netobj.blocking.waiting import LONGEST_WAIT, Waiter
from netobj.blocking.waker import Waker
from netobj.blocking.writer import Writer
from netobj.core.framing import Arrived
from netobj.errors import ReentrantCall


class Reader(ABC):
    """The reading half of a connection; :class:`netobj.blocking.link.Link` adds the rest."""

    writer: Writer
    _waker: Any = None
    _woken = False
    io_writes = False  # the I/O thread writes what is left
    _writes = False  # the reader writes, too, or has done so

    def __init__(self, stream: Stream, spinner: Spinner | None = None) -> None:
        self.stream = stream
        self._spinner = spinner
        self.noted = False  # see Watched in netobj.blocking.io_thread
        self.readers_left = 0
        self.ended = False
        self.reads_plainly = stream.wakes_on_shutdown
        self._reader = threading.Lock()
        self._reader_thread = 0  # who has the role, while it waits or reads for itself
        self._sleepers: dict[Waiter, int] = {}  # and their threads
        self._plain_reader = False  # the reader is in recv(), which only its peer can end
        self._garbage: list[list[object]] = []  # an empty deque has 600 bytes

    # --- what the whole connection does ----------------------------------------------------

    @abstractmethod
    def receive(self, data: Arrived, waiter: Waiter | None = None) -> None:
        """Apply what has arrived (``b""`` or 0: the end) and hand it to those who wait for it.

        *waiter*: that of the thread that has read it.
        """

    @abstractmethod
    def lose(self, reason: str) -> None:
        """End the connection because of *reason*."""

    @abstractmethod
    def is_alone(self) -> bool:
        """There is no other connection in this process, over which a call could come back."""

    @abstractmethod
    def note_left(self) -> None:
        """A reader has left: the I/O thread is to look whether another comes."""

    @abstractmethod
    def nudge(self) -> None:
        """Make the peer send something, whatever it is."""

    @abstractmethod
    def want_write(self) -> None:
        """Let the I/O thread write what is left."""

    @abstractmethod
    def io_write(self) -> bool:
        """There may be room to write again; True while something is left."""

    # --- waiting -----------------------------------------------------------------------------

    def wait_for(self, waiter: Waiter, deadline: float | None) -> None:
        """Wait until *waiter* is done or *deadline* has passed; meanwhile read, and run its jobs.

        For a server's waiter: until it has run what it was given.
        """
        while True:
            while waiter.jobs:
                function, argument = waiter.jobs.pop(0)
                function(argument)
                if waiter.is_server and not waiter.jobs:
                    return
            if waiter.done or (self.ended and waiter.is_server):  # nobody may know the server
                break
            self.turn(waiter, deadline)
            if deadline is not None and time.monotonic() >= deadline and not waiter.has_news():
                break
        if waiter.jobs:
            self.hand_on(waiter)

    def turn(self, waiter: Waiter, deadline: float | None) -> None:
        """Read for *waiter* if nobody else reads, else sleep; until there is news, or a wake."""
        if not self._reader.acquire(False):
            self._sleep(waiter, deadline)
            return
        try:
            self._reader_thread = get_ident()
            # A plain reader is blocked in recv(), which only the peer or the end can end.
            plain = deadline is None and self.reads_plainly
            plain = plain and (waiter.only_reader_gives or self.is_alone())
            while True:
                # First: who gives the waiter something after this sees it reading, and nudges.
                self._plain_reader = waiter.reading = True
                if waiter.done or waiter.jobs or self.ended:
                    return
                if plain and (not self.writer.blocked or self.io_writes):
                    data: Arrived | None = self._recv()
                else:
                    self._plain_reader = False
                    self._wait_readable(waiter, deadline)
                    data = self.stream.recv_now()
                self._plain_reader = waiter.reading = False
                if data is not None:
                    self.receive(data, waiter)
                    if self._garbage and not waiter.has_news():
                        self._drop_in_worker()  # this thread goes on reading, perhaps for ever
                elif deadline is not None and time.monotonic() >= deadline:
                    return
        except OSError as exc:
            self._reading_failed(exc)
        finally:
            self._plain_reader = waiter.reading = False
            self._leave_reading()

    def _recv(self) -> Arrived:
        """Poll for a moment if that pays, then wait in the kernel."""
        spinner = self._spinner
        if spinner is not None:
            if spinner.skip:
                spinner.skip -= 1
            elif not self._sleepers:
                data = spinner.recv(self.stream)
                if data is not None:
                    return data
        return self.stream.recv()

    def hand_on(self, waiter: Waiter) -> None:
        """Let workers run the jobs of *waiter*, whose thread waits no longer."""
        while waiter.jobs:
            try:
                job = waiter.jobs.pop(0)
            except IndexError:  # another thread does so, too
                return
            self.run_in_worker(job)

    def run_in_worker(self, job: Job) -> None:
        """Run *job* in a worker, or here if there can be none."""
        if not pool.submit(job):
            job[0](job[1])

    def _sleep(self, waiter: Waiter, deadline: float | None) -> None:
        if self.reads_here():
            raise reentrant()
        if self.writer.blocked and not self.io_writes and not self.reader_writes():
            self.want_write()
        timeout = -1.0 if deadline is None else _left(deadline)
        waiter.prepare_sleep()
        self._sleepers[waiter] = get_ident()
        try:
            # From here on a reader that leaves sees this waiter; one that has left is not missed.
            if self._reader.locked() and not waiter.done and not waiter.jobs:
                waiter.sleep(timeout)
        except BaseException:  # it may have been woken to read: let another do so
            self._sleepers.pop(waiter, None)
            self._wake_sleeper()
            raise
        finally:
            self._sleepers.pop(waiter, None)

    # --- reading: only with the role -----------------------------------------------------------

    def is_read(self) -> bool:
        """Somebody reads the connection at the moment."""
        return self._reader.locked()

    def reader_is_there(self) -> bool:
        """A thread has the role of the reader."""
        return self._reader.locked()

    def waiting_threads(self) -> Iterable[int]:
        """The threads that wait for something to come; 0 may be among them."""
        return self._reader_thread, *list(self._sleepers.values())

    def reads_here(self) -> bool:
        """True in the thread that is in the midst of reading: a finalizer or signal handler."""
        return self._reader_thread == get_ident()

    def reader_writes(self) -> bool:
        """A thread that reads goes on writing as soon as there is room."""
        return self._writes and not self._plain_reader and self._reader.locked()

    def _leave_reading(self) -> None:
        self._reader_thread = 0
        self.readers_left += 1
        self._reader.release()
        if self._sleepers:
            self._wake_sleeper()
        if not self.noted:
            self.note_left()
        if self._garbage:
            self._garbage.clear()  # may run finalizers: after the role was given back

    def _wake_sleeper(self) -> None:
        for sleeper in list(self._sleepers):
            if not sleeper.done and not sleeper.jobs:
                sleeper.wake()
                return

    def _reading_failed(self, exc: OSError) -> None:
        self.lose(f"reading from {self.stream.name} failed: {exc}")

    def _wait_readable(self, waiter: Waiter, deadline: float | None) -> None:
        if self._waker is None:
            self._waker = Waker()
        if not (waiter.done or waiter.jobs or self.ended):
            timeout = None if deadline is None else _left(deadline)
            # Two threads that wait for the same room would wake for what the other has filled.
            self._writes = self.writer.blocked and not self.io_writes
            wait(self.stream, read=True, write=self._writes, timeout=timeout, also=self._waker.fd)
        if self._woken:
            self._woken = False
            self._waker.clear()
        if self._writes:
            self.io_write()

    def interrupt_reader(self, waiter: Waiter) -> None:
        """Let *waiter*, which may be blocked as the reader, look at what it was given."""
        if self._plain_reader:
            self.nudge()  # the answer brings it back
        elif self._waker is not None:
            self._waker.wake()
            self._woken = True  # last: who clears it after this clears the waker, too

    def read_available(self) -> None:
        """Read what has arrived, if nobody else reads; never waits."""
        if self._reader.acquire(blocking=False):
            try:
                self._reader_thread = get_ident()
                self._read_now()
            finally:
                self._leave_reading()

    def io_read(self) -> bool:
        """As :meth:`read_available`, running no finalizers; False if somebody else reads."""
        if not self._reader.acquire(blocking=False):
            return False
        try:
            self._reader_thread = get_ident()
            self._read_now()
        finally:
            self._drop_in_worker()
            self._leave_reading()
        return not self.ended

    def _drop_in_worker(self) -> None:
        """Let a worker run the finalizers of what the peer holds no longer."""
        if self._garbage:
            garbage, self._garbage = self._garbage, []
            pool.submit((list.clear, garbage))

    def _read_now(self) -> None:
        if self.ended:
            return
        try:
            data = self.stream.recv_now()
            while data:
                self.receive(data)
                data = self.stream.recv_now() if self.stream.pending() else None
            if data is not None:  # the end
                self.receive(data)
        except OSError as exc:
            self._reading_failed(exc)

    def wake_reader(self) -> None:
        """The connection has ended: let a reader that waits in the kernel notice."""
        if self._waker is not None:
            self._waker.wake()

    def retire_reader(self) -> bool:
        """Take the role for good, so that nobody reads any more; False if somebody reads."""
        return self._reader.acquire(blocking=False)

    def reinstate_reader(self) -> None:
        """Give back the role that :meth:`retire_reader` took."""
        self._reader.release()


def reentrant() -> ReentrantCall:
    """What a call raises that could only wait for the very thread that makes it."""
    return ReentrantCall(
        "a finalizer or signal handler called through a connection whose reading or writing it "
        "interrupted: let it hand the call to a thread"
    )


def _left(deadline: float) -> float:
    return min(LONGEST_WAIT, max(0.0, deadline - time.monotonic()))
