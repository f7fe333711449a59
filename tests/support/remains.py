"""What a process has: to see that nothing is left behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from netobj.aio import chains
from netobj.blocking import link, waiting
from netobj.blocking.io_thread import io_thread
from netobj.blocking.loop import event_loop
from netobj.blocking.pool import pool
from patience import wait_until


def descriptors() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


def busy_threads() -> int:
    """How many threads there are, but for workers that have nothing to do."""
    return threading.active_count() - len(pool.idle)


def tables() -> dict[str, Any]:
    """What is in the tables of this process that belong to no one connection."""
    return {
        "waiting threads": dict(waiting.chains),
        "waiting tasks": {**chains.waiting, **chains.outermost},
        "connections": set(link.live),
    }


@contextmanager
def nothing_left(threads: int = 0) -> Iterator[None]:
    """After the block there is nothing that was not there before it, once all has ended.

    *threads*: so many more may be there.
    """
    io_thread()  # they stay, once there
    event_loop()
    gc.collect()
    before = (descriptors(), busy_threads() + threads, tables())
    yield

    def is_as_before() -> bool:
        gc.collect()
        now = tables()
        fewer = all(set(now[name]) <= set(before[2][name]) for name in now)
        return descriptors() <= before[0] and busy_threads() <= before[1] and fewer

    try:
        wait_until(is_as_before)
    except AssertionError:
        now = (descriptors(), busy_threads(), tables())
        names = [thread.name for thread in threading.enumerate()]
        raise AssertionError(f"before {before}, after {now}, threads {names}") from None
