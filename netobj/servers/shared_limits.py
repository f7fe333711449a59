"""Limits of functions that hold for all workers of a server together."""

from __future__ import annotations

import threading
import time
from typing import Any

from netobj import gates
from netobj.servers.shared_slots import LOOK, SharedSlots, SharedTable


def share_limits(service: Any, table: SharedTable) -> None:
    """Count the calls of *service* that have a limit in *table*; in a worker, before it serves.

    Limits of each connection are a worker's own anyway; those of each address stay each worker's.
    """
    limits = gates.shared_limits(service)
    if not limits:
        return
    # Set under the lock of a gate; its own is held for a step of Python, by either side.
    missed = threading.Event()
    for name, (function, exposure) in limits.items():
        assert exposure.limit is not None
        slots = SharedSlots(table, f"calls of {name}", exposure.limit, missed.set)
        gates.use_slots(function, exposure, slots)
    thread = threading.Thread(
        target=_look_again, args=(missed,), name="netobj shared limits", daemon=True
    )
    thread.start()


def _look_again(missed: threading.Event) -> None:
    """Let those in who wait here, for slots that other workers have given back.

    Sleeps where nobody has asked in vain since the last look: who waits does so in every look.
    """
    while True:
        missed.wait()
        missed.clear()
        time.sleep(LOOK)
        gates.retry()
