"""How long tests wait for what is to come, and how; and what there is to wait for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

HANG = 60.0
"""Seconds after which a test gives up, for hangs only: on a busy machine a Python may take ten to
start."""


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds."""
    end = time.monotonic() + HANG
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition did not come to hold"
        pause.wait(0.001)


def has_ipv6_loopback() -> bool:
    """Whether this machine has ``::1``."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
