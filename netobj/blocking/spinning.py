"""Polling for a moment before blocking in the kernel: a wake-up costs more than most answers."""

from __future__ import annotations

import os
import sys
import threading
from time import perf_counter
from typing import Final

from netobj.blocking.streams import COOPERATIVE, Stream
from netobj.core.framing import Arrived

if sys.platform == "linux":
    from resource import RUSAGE_THREAD, getrusage

    def preemptions() -> int:
        """How often this thread lost its processor while it could have gone on."""
        return getrusage(RUSAGE_THREAD).ru_nivcsw

else:

    def preemptions() -> int:
        """It cannot be told here."""
        return 0


MOST_SKIPPED: Final = 1024
"""Waits that are not polled after one in vain, at the most: so its cost is spread over them."""
MOST_RESTED: Final = 8 * MOST_SKIPPED
"""The same after a preemption."""
SOON: Final = 300
"""Polls after which a preemption does not count as one more of the same: with eight busy processes
on two cores there are some 130 between two."""
FIRST_SKIPPED: Final = 4
"""The first waits of a connection, of which many end after one call: its other side is only
starting, on the very processor that polling would take."""
LOOK_EVERY: Final = 64
"""Polls that paid between two looks at the preemptions."""
TOO_MANY: Final = LOOK_EVERY // 8
"""Preemptions between two looks which say that both sides share one processor: each poll ends
when the other side takes it away. The interpreter's own threads cause one in hundreds of polls."""
PREEMPTED: Final = 0.0005
"""Seconds by which a poll lasts too long when another process had the processor meanwhile. The
interpreter's other threads, and the system's, take less."""

_one = threading.Lock()
"""Held, without waiting for it, by the one thread of the process that polls: two would only take
the interpreter from one another."""


class Spinner:
    """Decides for one connection when polling pays; belongs to whoever reads the connection.

    Each poll that ends in vain doubles the number of waits that are not polled after it, each
    that pays halves it. Where others want the processor, it is theirs: after a poll that was
    preempted, at least MOST_SKIPPED waits are not polled, and twice as many as the last time if
    that was fewer than SOON polls ago. The same where both sides share one processor, which shows
    in how often it is taken from the one that polls.

    ``skip`` is how many waits are not to be polled from here on; the reader counts it down.
    """

    __slots__ = ("_paid", "_penalty", "_preemptions", "_rest", "_seconds", "skip")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._penalty = 1
        self._rest = MOST_SKIPPED
        self._paid = 0  # polls since the last preemption that paid
        self._preemptions = 0  # at the last look
        self.skip = FIRST_SKIPPED

    def recv(self, stream: Stream) -> Arrived | None:
        """What arrives on *stream* within the time, ``b""`` at its end; None if nothing did.

        Raises OSError.
        """
        if not _one.acquire(False):
            return None
        try:
            end = perf_counter() + self._seconds
            while True:
                data = stream.recv_now()
                now = perf_counter()
                if data is not None or now >= end:
                    break
        finally:
            _one.release()
        if now - end > PREEMPTED:
            self._let_others()
        elif data is None:
            self._penalty = min(2 * self._penalty, MOST_SKIPPED)
            self.skip = self._penalty
        else:
            self._penalty = self._penalty // 2 or 1
            self._paid += 1
            if self._paid % LOOK_EVERY == 0:
                self._look()
        return data

    def _look(self) -> None:
        before, self._preemptions = self._preemptions, preemptions()
        if self._preemptions - before >= TOO_MANY and self._paid > LOOK_EVERY:
            self._let_others()

    def _let_others(self) -> None:
        soon = self._paid < SOON
        self._rest = min(2 * self._rest, MOST_RESTED) if soon else MOST_SKIPPED
        self._paid = 0
        self.skip = self._rest


def after_fork_in_child() -> None:
    """Another thread of the parent may have been polling."""
    global _one
    _one = threading.Lock()


def spinner_for(seconds: float) -> Spinner | None:
    """A spinner that polls for *seconds* at a time; None where that cannot pay.

    Not where this process may run, but what the machine has: the other side may be elsewhere.
    """
    pays = seconds > 0 and (os.cpu_count() or 1) > 1 and not COOPERATIVE
    return Spinner(seconds) if pays else None
