"""zerorpc: over ZeroMQ, on gevent."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib.metadata import version

import zerorpc

from measuring import Job, Operation
from peers.calling import HOLDS_NOTHING, CallingClient, consume
from peers.service import NUMBERS, BytesBench
from workloads import IN_FLIGHT, Workload

VERSION = version("zerorpc")
LACKS = {
    "attribute": "methods only",
    **HOLDS_NOTHING,
    "callbacks": "only the server is called",
    "threads": "greenlets of one thread",
    "call": "no asyncio",
}


class Methods(BytesBench):
    """What is measured."""

    @zerorpc.stream
    def each_number(self) -> Iterator[int]:
        return iter(NUMBERS)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends. Clients of ZeroMQ wait for a server that is not there yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = zerorpc.Server(Methods())
    server.bind(f"tcp://127.0.0.1:{port}")
    print(port, flush=True)
    server.run()


class Client(CallingClient):
    """A client."""

    def __init__(self, job: Job) -> None:
        super().__init__(zerorpc.Client(f"tcp://127.0.0.1:{job.address}"))

    def close(self) -> None:
        self._bench.close()

    def iterate(self) -> Operation:
        bench = self._bench
        return lambda: consume(bench.each_number())

    def in_flight(self) -> Operation:
        add, later = self._bench.add, {"async": True}

        def calls() -> None:
            results = [add(1, 2, **later) for _ in range(IN_FLIGHT)]
            for result in results:
                result.get()

        return calls
