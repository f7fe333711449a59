"""multiprocessing's managers, over a Unix socket as is their default; one that leaves no file."""

from __future__ import annotations

import os
import platform
from multiprocessing.managers import AutoProxy, BaseManager, ListProxy, MakeProxyType
from typing import Any

from measuring import Job, Operation
from peers.calling import CallingClient, consume
from peers.service import Bench
from workloads import Workload

VERSION = f"of Python {platform.python_version()}"
LACKS = {
    "callbacks": "only the server is called",
    "in_flight": "a call waits for its answer",
    "call": "no asyncio",
    "threads": "a thread has a connection of its own, none is shared",
    "idle": "a thread has no second connection to a server",
}
AUTHKEY = b"bench"
METHODS = "add nested fresh_list fresh_object numbers echo floats __getattribute__".split()
BenchProxy: Any = MakeProxyType("BenchProxy", METHODS[:-1])
BenchProxy.attribute = property(lambda self: self._callmethod("__getattribute__", ("attribute",)))


class BenchManager(BaseManager):
    """What is measured."""


BenchManager.register("List", proxytype=ListProxy, create_method=False)
BenchManager.register("Thing", proxytype=AutoProxy, create_method=False)
BenchManager.register(
    "bench",
    Bench,
    BenchProxy,
    exposed=METHODS,
    method_to_typeid={"fresh_list": "List", "numbers": "List", "fresh_object": "Thing"},
)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    address = f"\0netobj-bench-{os.getpid()}"
    server = BenchManager(address, AUTHKEY).get_server()
    print(address, flush=True)
    server.serve_forever()


class Client(CallingClient):
    """A client."""

    def __init__(self, job: Job) -> None:
        manager: Any = BenchManager(job.address, AUTHKEY)
        manager.connect()
        super().__init__(manager.bench())

    def close(self) -> None:
        del self._bench  # the last proxy takes its connection along

    def attribute(self) -> Operation:
        bench = self._bench
        return lambda: bench.attribute

    def fresh_list(self) -> Operation:
        bench = self._bench
        return lambda: bench.fresh_list()

    def fresh_object(self) -> Operation:
        bench = self._bench
        return lambda: bench.fresh_object()

    def iterate(self) -> Operation:
        numbers = self._bench.numbers()
        return lambda: consume(numbers)

    def buffiter(self) -> Operation:
        numbers = self._bench.numbers()
        return lambda: consume(numbers[:])  # a slice goes by value

    def array(self) -> Operation:
        return self._bench.floats
