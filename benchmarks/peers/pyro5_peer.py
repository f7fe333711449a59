"""Pyro5, with its default serializer; with msgpack, as its manual advises, where bytes travel."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import Pyro5.api
import Pyro5.server

from measuring import Job, Operation
from peers.service import FLOATS_ARRAY, NUMBERS, Bench, increment
from workloads import CALLBACKS, ECHOED, IDLE, NESTED, Workload

VERSION = version("Pyro5")
LACKS = {
    "fresh_list": "lists go by value",
    "fresh_object": "registered objects are not released when they are dropped",
    "in_flight": "a call waits for its answer",
    "threads": "a proxy belongs to one thread",
    "call": "no asyncio",
}
Pyro5.api.config.THREADPOOL_SIZE = IDLE + 10


@Pyro5.server.expose
class Exposed(Bench):
    """What is measured."""

    attribute = property(lambda self: 7)

    def callbacks(self, callback: Any, count: int) -> int:
        return super().callbacks(callback.increment, count)

    def add(self, a: int, b: int) -> int:
        return a + b

    def nested(self, *values: Any) -> int:
        return len(values)

    def numbers(self) -> list[int]:
        return NUMBERS

    def each_number(self) -> Iterator[int]:
        yield from NUMBERS

    def echo(self, data: bytes) -> bytes:
        return data

    def floats(self) -> bytes:
        return FLOATS_ARRAY.tobytes()


@Pyro5.server.expose
class Callback:
    """What clients let the server call."""

    def increment(self, number: int) -> int:
        return increment(number)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    daemon = Pyro5.api.Daemon(host="127.0.0.1")
    print(daemon.register(Exposed()), flush=True)
    daemon.requestLoop()


class Client:
    """A client."""

    def __init__(self, job: Job) -> None:
        self._proxy = Pyro5.api.Proxy(job.address)

    def close(self) -> None:
        self._proxy._pyroRelease()

    def plain(self) -> Operation:
        proxy = self._proxy
        return lambda: proxy.add(1, 2)

    def bound(self) -> Operation:
        add = self._proxy.add
        return lambda: add(1, 2)

    def nested(self) -> Operation:
        nested = self._proxy.nested
        return lambda: nested(*NESTED)

    def attribute(self) -> Operation:
        proxy = self._proxy
        return lambda: proxy.attribute

    def callbacks(self) -> Operation:
        daemon = Pyro5.api.Daemon(host="127.0.0.1")
        callback, proxy = Callback(), self._proxy
        daemon.register(callback)
        threading.Thread(target=daemon.requestLoop, daemon=True).start()
        return lambda: proxy.callbacks(callback, CALLBACKS)

    def iterate(self) -> Operation:
        proxy = self._proxy

        def iterate() -> None:
            for _ in proxy.each_number():
                pass

        return iterate

    def buffiter(self) -> Operation:
        proxy = self._proxy

        def iterate() -> None:
            for _ in proxy.numbers():
                pass

        return iterate

    def echo(self) -> Operation:
        self._proxy._pyroSerializer = "msgpack"
        data, echo = os.urandom(ECHOED), self._proxy.echo
        return lambda: echo(data)

    def array(self) -> Operation:
        self._proxy._pyroSerializer = "msgpack"
        floats = self._proxy.floats
        return lambda: np.frombuffer(floats())
