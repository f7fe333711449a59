"""zerorpc: over ZeroMQ, on gevent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import zerorpc

from measuring import Job, Operation
from peers.service import FLOATS_ARRAY, NUMBERS, Bench
from workloads import ECHOED, IN_FLIGHT, NESTED, Workload

VERSION = version("zerorpc")
BY_VALUE = "everything goes by value"
LACKS = {
    "attribute": "methods only",
    "fresh_list": BY_VALUE,
    "fresh_object": BY_VALUE,
    "callbacks": "only the server is called",
    "threads": "greenlets of one thread",
    "call": "no asyncio",
}


class Methods(Bench):
    """What is measured."""

    @zerorpc.stream
    def each_number(self) -> Iterator[int]:
        return iter(NUMBERS)

    def floats(self) -> bytes:
        return FLOATS_ARRAY.tobytes()


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends. Clients of ZeroMQ wait for a server that is not there yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = zerorpc.Server(Methods())
    server.bind(f"tcp://127.0.0.1:{port}")
    print(port, flush=True)
    server.run()


class Client:
    """A client."""

    def __init__(self, job: Job) -> None:
        self._client = zerorpc.Client(f"tcp://127.0.0.1:{job.address}")

    def close(self) -> None:
        self._client.close()

    def plain(self) -> Operation:
        client = self._client
        return lambda: client.add(1, 2)

    def bound(self) -> Operation:
        add = self._client.add
        return lambda: add(1, 2)

    def nested(self) -> Operation:
        nested = self._client.nested
        return lambda: nested(*NESTED)

    def iterate(self) -> Operation:
        client = self._client

        def iterate() -> None:
            for _ in client.each_number():
                pass

        return iterate

    def buffiter(self) -> Operation:
        client = self._client

        def iterate() -> None:
            for _ in client.numbers():
                pass

        return iterate

    def in_flight(self) -> Operation:
        add, later = self._client.add, {"async": True}

        def calls() -> None:
            results = [add(1, 2, **later) for _ in range(IN_FLIGHT)]
            for result in results:
                result.get()

        return calls

    def echo(self) -> Operation:
        data, echo = os.urandom(ECHOED), self._client.echo
        return lambda: echo(data)

    def array(self) -> Operation:
        floats = self._client.floats
        return lambda: np.frombuffer(floats())
