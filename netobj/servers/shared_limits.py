"""Limits that hold for all workers of a server together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from netobj import gates
from netobj.core.admission import Slots
from netobj.interceptors import Interceptor
from netobj.interceptors.crowds import Crowd
from netobj.servers.shared_slots import LOOK, SharedSlots, SharedTable


def share_limits(service: Any, interceptors: Iterable[Interceptor], table: SharedTable) -> None:
    """Count in *table* what has a limit; in a worker, before it serves.

    The calls of *service*, all together or those of an address, and whom *interceptors* let in. A
    limit of each connection is a worker's own anyway.
    """
    for place, one in enumerate(interceptors):
        if isinstance(one, Crowd):
            one.share(_slots(table, f"peers of the interceptor {place}", one.most))
    limits = gates.shared_limits(service)
    if not limits:
        return
    # Set under the lock of a gate; its own is held for a step of Python, by either side.
    missed = threading.Event()
    for name, (function, exposure) in limits.items():
        assert exposure.limit is not None
        slots_for = _slots(table, f"calls of {name}", exposure.limit, missed.set)
        gates.use_slots(function, exposure, slots_for)
    thread = threading.Thread(
        target=_look_again, args=(missed,), name="netobj shared limits", daemon=True
    )
    thread.start()


def _slots(
    table: SharedTable, name: str, limit: int, missed: Callable[[], object] = lambda: None
) -> Callable[[object], Slots]:
    """What makes the slots of each key, such as an address; of None where there are no keys."""
    return lambda key: SharedSlots(table, (name, key), limit, missed)


def _look_again(missed: threading.Event) -> None:
    """Let those in who wait here, for slots that other workers have given back.

    Sleeps where nobody has asked in vain since the last look: who waits does so in every look.
    """
    while True:
        missed.wait()
        missed.clear()
        time.sleep(LOOK)
        gates.retry()
