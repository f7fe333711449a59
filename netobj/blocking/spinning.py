"""Polling for a moment before blocking in the kernel: a wake-up costs more than most answers."""

from __future__ import annotations

import os
import sys
import threading
from time import perf_counter
from typing import Final

from netobj.blocking.streams import Stream
from netobj.core.framing import Arrived

if sys.platform == "linux":
    from resource import RUSAGE_THREAD, getrusage

    def _preemptions() -> int:
        """How often this thread lost its processor to another."""
        return getrusage(RUSAGE_THREAD).ru_nivcsw

else:

    def _preemptions() -> int:
        """It cannot be told."""
        return 0


_MOST_SKIPPED: Final = 1024
"""Waits in a row without polling, at the most: so what a vain try costs is spread over them."""
_LOOK_EVERY: Final = 64
"""Polls that pay between two looks whether another process wants this processor."""

_one = threading.Lock()
"""Held, without waiting for it, by the one thread of the process that polls: two would only take
the interpreter from one another."""


class Spinner:
    """Decides for one connection when polling pays; belongs to whoever reads the connection.

    Each poll that ends in vain doubles the number of waits that are not polled after it, each
    that pays halves it. One that was preempted counts as vain, however it ended: where others
    want the processor, it is theirs.

    ``skip`` is how many waits are not to be polled from here on; the reader counts it down.
    """

    __slots__ = ("_penalty", "_preempted", "_seconds", "_until_look", "skip")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._penalty = 1
        self._until_look = _LOOK_EVERY
        self._preempted = _preemptions()
        self.skip = 0

    def recv(self, stream: Stream) -> Arrived | None:
        """What arrives on *stream* within the time, ``b""`` or 0 at its end; None if nothing did.

        Raises OSError.
        """
        if not _one.acquire(False):
            return None
        try:
            end = perf_counter() + self._seconds
            while True:
                data = stream.recv_now()
                if data is not None or perf_counter() >= end:
                    break
        finally:
            _one.release()
        if data is None:
            self._penalize()
        else:
            self._penalty = self._penalty // 2 or 1
            self._until_look -= 1
            if self._until_look <= 0:
                self._look()
        return data

    def _look(self) -> None:
        self._until_look = _LOOK_EVERY
        preempted = _preemptions()
        if preempted != self._preempted:
            self._preempted = preempted
            self._penalty = _MOST_SKIPPED // 2
            self._penalize()

    def _penalize(self) -> None:
        self._penalty = min(2 * self._penalty, _MOST_SKIPPED)
        self.skip = self._penalty


def after_fork_in_child() -> None:
    """Another thread of the parent may have been polling."""
    global _one
    _one = threading.Lock()


def spinner_for(seconds: float) -> Spinner | None:
    """A spinner that polls for *seconds* at a time; None where that cannot pay."""
    return Spinner(seconds) if seconds > 0 and _processors() > 1 else None


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
