"""Pyro5, with its default serializer; with msgpack, as its manual advises, where bytes travel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import Pyro5.api
import Pyro5.server

from measuring import Job, Operation
from peers.calling import CallingClient, consume
from peers.service import NUMBERS, BytesBench, increment
from workloads import CALLBACKS, IDLE, Workload

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
class Exposed(BytesBench):
    """What is measured. Of a class, its own methods are exposed, not what it inherits."""

    attribute = property(lambda self: 7)
    add = BytesBench.add
    nested = BytesBench.nested
    numbers = BytesBench.numbers
    echo = BytesBench.echo
    floats = BytesBench.floats

    def callbacks(self, callback: Any, count: int) -> int:
        return super().callbacks(callback.increment, count)

    def each_number(self) -> Iterator[int]:
        yield from NUMBERS


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


class Client(CallingClient):
    """A client."""

    def __init__(self, job: Job) -> None:
        super().__init__(Pyro5.api.Proxy(job.address))

    def close(self) -> None:
        self._bench._pyroRelease()

    def attribute(self) -> Operation:
        bench = self._bench
        return lambda: bench.attribute

    def callbacks(self) -> Operation:
        daemon = Pyro5.api.Daemon(host="127.0.0.1")
        callback, bench = Callback(), self._bench
        daemon.register(callback)
        threading.Thread(target=daemon.requestLoop, daemon=True).start()
        return lambda: bench.callbacks(callback, CALLBACKS)

    def iterate(self) -> Operation:
        bench = self._bench
        return lambda: consume(bench.each_number())

    def echo(self) -> Operation:
        self._bench._pyroSerializer = "msgpack"
        return super().echo()

    def array(self) -> Operation:
        self._bench._pyroSerializer = "msgpack"
        return super().array()
