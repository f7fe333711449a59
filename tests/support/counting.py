"""A service that any process can import, for those that are started afresh."""

from __future__ import annotations

import os
import time
from typing import Any

import netobj


class CountingService(netobj.Service):
    """Counts in memory that it may share with whoever started it."""

    def __init__(self) -> None:
        self.exposed_namespace: dict[str, Any] = {}

    @netobj.exposed
    def pid(self) -> int:
        return os.getpid()

    @netobj.exposed
    def add(self, amount: int) -> int:
        shared = self.exposed_namespace["counter"]
        with shared.get_lock():
            shared.value += amount
            return int(shared.value)

    @netobj.exposed
    def hang(self) -> None:
        while True:
            time.sleep(60)


class PlainService(netobj.Service):
    """Has no namespace of its own."""
