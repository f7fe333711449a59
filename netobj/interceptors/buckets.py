"""Token buckets: so many tokens at once, and a new one at each interval.

A bucket is one number, the time at which it will be full again: taking a token moves that on by an
interval, and no further than *burst* intervals from now. (Networks of telephones, which have this
form of it, call it the generic cell rate algorithm.) A bucket that is full is the same as none, so
buckets that nobody uses need no place.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable
from operator import itemgetter
from typing import Final, NamedTuple
from weakref import WeakSet

_NANO: Final = 1_000_000_000
_FEWEST: Final = 1000
"""Buckets below which none are looked for that are full."""
_MOST: Final = 100_000
"""Buckets that there may be, some tens of megabytes of them."""


class Rate(NamedTuple):
    """*amount* tokens in *seconds*, and *burst* of them at once."""

    amount: int
    seconds: float
    burst: int

    @property
    def interval(self) -> int:
        """Nanoseconds for a token."""
        return max(1, round(self.seconds * _NANO / self.amount))


class Buckets:
    """The buckets of this process, by any key; threads may share them.

    ``_lock`` protects the table; nothing waits while it is held.

    >>> buckets = Buckets(Rate(10, 1.0, burst=2))
    >>> buckets.take("tom", now=0), buckets.take("tom", now=0), buckets.take("tom", now=0)
    (0.0, 0.0, 0.1)
    """

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.interval
        self._span = rate.interval * rate.burst
        self._full: dict[Hashable, int] = {}  # when each will be full, in nanoseconds
        self._sweep_at = _FEWEST
        self._lock = threading.Lock()
        _all.add(self)

    def renew_lock(self) -> None:
        """For the child of a fork, in which nobody would give the lock back."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._full)

    def take(self, key: Hashable, now: int | None = None) -> float:
        """Take a token from the bucket *key*; or return in how many seconds there is one.

        *now* is in nanoseconds of a steady clock, by default ``time.monotonic_ns()``.
        """
        if now is None:
            now = time.monotonic_ns()
        with self._lock:
            full = max(self._full.get(key, now), now) + self._interval
            missing = full - self._span - now
            if missing > 0:
                return missing / _NANO
            self._full[key] = full
            if len(self._full) > self._sweep_at:
                self._sweep(now)
        return 0.0

    def _sweep(self, now: int) -> None:
        """Forget the buckets that are full. So seldom that each token pays for two looks.

        Of too many, as of names that peers have made up, the fullest are forgotten, too.
        """
        kept = [item for item in self._full.items() if item[1] > now]
        if len(kept) >= _MOST:
            kept = sorted(kept, key=itemgetter(1))[-_MOST // 2 :]
        self._full = dict(kept)
        self._sweep_at = min(max(_FEWEST, 2 * len(kept)), _MOST)


_all: Final[WeakSet[Buckets]] = WeakSet()


def _after_fork_in_child() -> None:
    for buckets in _all:
        buckets.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
