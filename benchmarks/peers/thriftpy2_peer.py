"""thriftpy2, with its compiled protocol and transport: calls of functions whose types are declared.

The nested values are a struct of the same 20 values; arrays go as bytes.
"""

from __future__ import annotations

import io
import logging
from importlib.metadata import version
from typing import Any

import thriftpy2
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import make_client
from thriftpy2.server import TThreadedServer
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TCyBufferedTransportFactory, TServerSocket

from measuring import Job, Operation
from peers.calling import BY_VALUE, HOLDS_NOTHING, CallingClient
from peers.service import BytesBench
from workloads import NESTED, Workload

VERSION = version("thriftpy2")
LACKS = {
    "attribute": "functions only",
    **HOLDS_NOTHING,
    "callbacks": "only the server is called",
    "iterate": BY_VALUE,
    "in_flight": "a call waits for its answer",
    "threads": "a client belongs to one thread",
    "call": "its asyncio client is another protocol stack, not measured",
}
DECLARED = """
struct Item { 1: string name, 2: i64 count, 3: double price }
struct Order {
    1: string kind, 2: i64 number, 3: string first, 4: string last, 5: i64 age,
    6: double latitude, 7: double longitude, 8: string state,
    9: list<Item> items, 10: string note, 11: i64 one, 12: double more
}
service BenchService {
    i64 add(1: i64 a, 2: i64 b),
    i64 nested(1: Order order),
    list<i64> numbers(),
    binary echo(1: binary data),
    binary floats()
}
"""
declared: Any = thriftpy2.load_fp(io.StringIO(DECLARED), "bench_thrift")


class SayingSocket(TServerSocket):
    """Says its port when it listens."""

    def listen(self) -> None:
        super().listen()
        print(self.sock.getsockname()[1], flush=True)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    logging.getLogger("thriftpy2").propagate = False  # it tells of each client that goes away
    logging.getLogger("thriftpy2").addHandler(logging.NullHandler())
    listener = SayingSocket(host="127.0.0.1", port=0, client_timeout=None)
    TThreadedServer(
        TProcessor(declared.BenchService, BytesBench()),
        listener,
        iprot_factory=TCyBinaryProtocolFactory(),
        itrans_factory=TCyBufferedTransportFactory(),
    ).serve()


class Client(CallingClient):
    """A client."""

    def __init__(self, job: Job) -> None:
        client: Any = make_client(
            declared.BenchService,
            "127.0.0.1",
            int(job.address),
            proto_factory=TCyBinaryProtocolFactory(),
            trans_factory=TCyBufferedTransportFactory(),
            timeout=None,
        )
        super().__init__(client)

    def close(self) -> None:
        self._bench.close()

    def nested(self) -> Operation:
        nested = self._bench.nested
        head, items, (note, (one, more)) = NESTED

        def call() -> None:
            kind, number, (first, last, age), (latitude, longitude), state = head
            order = declared.Order(
                kind, number, first, last, age, latitude, longitude, state,
                [declared.Item(*item) for item in items], note, one, more,
            )  # fmt: skip
            nested(order)

        return call
