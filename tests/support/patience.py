"""How long tests wait for what is to come, and how a thread waits for it without guessing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

HANG = 20.0
"""Seconds after which a test gives up, for hangs only."""


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds."""
    end = time.monotonic() + HANG
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition did not come to hold"
        pause.wait(0.001)
