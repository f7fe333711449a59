"""A service that takes long, for as long as the test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import netobj

ELSEWHERE = (netobj.ForkingServer, netobj.PreforkServer)
"""Servers whose services are in other processes than they."""


class Busy(netobj.Service):
    """What hostile peers call; one object for all connections of a server."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = 0
        self.lock = threading.Lock()

    @netobj.exposed
    def echo(self, value: Any = None) -> Any:
        return value

    @netobj.exposed
    def big(self) -> str:
        with self.lock:
            self.begun += 1
        return "x" * 60_000

    @netobj.exposed(stream=True)
    def count(self) -> Iterator[str]:
        while True:
            self.begun += 1
            yield "x" * 1000

    @netobj.exposed
    def wait(self, _value: Any = None) -> None:
        with self.lock:
            self.begun += 1
        self.go_on.wait(20)
