"""Threads that wait: for an answer, for work, in a chain of calls."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from itertools import count
from typing import Any, Final

from netobj.blocking.pool import Job
from netobj.blocking.safepoint import safe_point
from netobj.core.keeping import Keeper
from netobj.core.numbers import numbers

FOREVER: Final = 1e9
"""Seconds from which on a time limit is as good as none."""
LONGEST_WAIT: Final = 1e6
"""Seconds that the system's calls can wait at once; who waits longer waits again."""


class Waiter(Keeper):
    """A thread's place to wait in a connection.

    Filled in by whoever reads the connection (``done`` last), looked at by the thread that
    waits. ``lock`` is there once the thread has had to sleep, and is held while it sleeps:
    :meth:`wake` releases it. ``reading`` says that the thread may be blocked in the kernel as
    the connection's reader, where the lock does not reach it. ``about`` is for people: the
    operation, path and target that was asked for, when (``time.monotonic()``), by which thread.
    """

    is_server = False
    of_task = False  # the thread waits for a task of the loop's, which may call in its chain
    only_reader_gives = False  # no thread but the one that reads gives it jobs

    # What few waiters need is in the class, so that making one costs little.
    about: tuple[int, Any, Any, float, int] | None = None
    seq = -1
    given_up = False  # nobody waits any more, though the answer is still to come
    ok = True
    answer: Any = None

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.jobs: list[Job] = []
        self.done = False
        self.deferred = False
        self.lock: Any = None
        self.reading = False
        self.kept_exceptions = None  # looked at in each call, so not left to the class
        self.entered = False  # it is in the stack of its chain

    @property
    def thread(self) -> int | None:
        """The number of the thread that asks."""
        return None if self.about is None else self.about[4]

    def complete(self, ok: bool, answer: Any, deferred: bool) -> None:
        """The answer is there. Called once, by whoever reads the connection."""
        self.ok = ok
        self.answer = answer
        self.deferred = deferred
        self.done = True
        if self.lock is not None:
            self.wake()

    def finish(self) -> None:
        """What is waited for has come about, perhaps by another thread than the reader."""
        self.done = True
        self.rouse()

    def assign(self, job: Job) -> None:
        """Give the waiting thread a job to run."""
        self.jobs.append(job)
        self.rouse()

    def rouse(self) -> None:
        """Let the thread look at what it was given, wherever it waits."""
        self.wake()
        if self.reading:
            self.connection.interrupt_reader(self)

    def has_news(self) -> bool:
        """The answer is there, or something to run."""
        return self.done or bool(self.jobs)

    def wake(self) -> None:
        """Let the thread look again, if it sleeps."""
        lock = self.lock
        if lock is not None:
            try:
                lock.release()
            except RuntimeError:  # awake already
                pass

    @safe_point
    def sleep(self, timeout: float) -> None:
        """Wait for :meth:`wake`, at most *timeout* seconds (-1: for ever)."""
        self.lock.acquire(timeout=timeout)

    def prepare_sleep(self) -> None:
        """From here on :meth:`wake` is not lost; look once more, then :meth:`sleep`."""
        if self.lock is None:
            lock = threading.Lock()
            lock.acquire()
            self.lock = lock


class Latch:
    """What threads may wait for, and happens once; of a tenth of the size of an Event.

    >>> latch = Latch()
    >>> latch.wait(0), latch.set(), latch.wait(None)
    (False, None, True)
    """

    __slots__ = ("_lock", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()  # held until it happens, then by nobody for long
        self._lock.acquire()

    def set(self) -> None:
        """Let all go on who wait; called once."""
        self.is_set = True
        self._lock.release()

    @safe_point
    def wait(self, timeout: float | None) -> bool:
        """Wait until it has happened, at most *timeout* seconds; whether it has."""
        if not self.is_set and self._lock.acquire(timeout=-1 if timeout is None else timeout):
            self._lock.release()
        return self.is_set


beside: Final[set[int]] = set()
"""Threads that wait for what another thread waits for in a connection."""


class _ThreadContext(threading.local):
    """What belongs to the thread: its lane for ordered calls."""

    lane = 0


_context: Final = _ThreadContext()
_lanes: Final = count(1)


_lane_of_task: Final[ContextVar[int]] = ContextVar("netobj_lane", default=0)


def begin_lane() -> None:
    """The task that calls this, which serves a call, shares its lane with no other.

    Tasks of one thread may wait for one another, so the calls of one must not hold up another's.
    """
    _lane_of_task.set(next(_lanes))


def lane_of_thread() -> int:
    """The number that orders the asynchronous calls of the calling thread, or of its task."""
    lane = _lane_of_task.get()
    if lane:
        return lane
    if not _context.lane:
        _context.lane = next(_lanes)
    return _context.lane


# --- chains ----------------------------------------------------------------------------------

chains: Final[dict[int, list[Waiter]]] = {}
"""The chains in which threads of this process wait: innermost last. A stack is changed by the
threads of its chain, of which only one runs at a time; each step is one operation on it."""

of_tasks: Final[dict[int, Waiter]] = {}
"""Of each chain in which tasks of this process wait, the call that has waited longest, which is the
last to be answered. Entries come and go in single operations."""


def leave_tasks(waiter: Waiter, chain: int) -> None:
    """Nothing is left for *waiter*, a task's, to wait for."""
    if of_tasks.get(chain) is waiter:
        of_tasks.pop(chain, None)


def enter_chain(waiter: Waiter, chain: int) -> None:
    """*waiter*'s thread waits in *chain* from here on."""
    chains.setdefault(chain, []).append(waiter)
    waiter.entered = True


def leave_chain(waiter: Waiter, chain: int) -> None:
    """*waiter*'s thread waits no longer."""
    stack = chains.get(chain)
    if stack is not None:  # else this is the child of a fork
        stack.remove(waiter)
        if not stack:
            chains.pop(chain, None)


def find_waiter(chain: int, connection: Any, seq: int, same_process: bool) -> Waiter | None:
    """The innermost thread that waits in *chain* and is not the one that asks.

    The asker is a waiter of this process too when both ends of a connection are here
    (*same_process*); it is known by the number of its request, unique in the process. It waits
    for this very request, so its outer calls cannot run it either. Nor does a thread that waits for
    a task here run what that task asks.
    """
    stack = chains.get(chain)
    if not stack:
        return None
    asking = None
    for waiter in reversed(stack):
        if (
            same_process
            and waiter.connection is not connection
            and (waiter.seq == seq or waiter.of_task)
        ):
            asking = waiter.thread
        elif asking is None or waiter.thread != asking:
            return waiter
    return None


def after_fork_in_child() -> None:
    """A child has none of its parent's waiting threads, and numbers of its own."""
    chains.clear()
    beside.clear()
    numbers.renew()
