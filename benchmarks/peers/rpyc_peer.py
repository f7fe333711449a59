"""RPyC 6. Kinds: "" (as it is by default), "nodelay" (TCP_NODELAY on both sides)."""

from __future__ import annotations

import os
import socket
from importlib.metadata import version
from typing import Any

import numpy as np
import rpyc
from measuring import Job, Operation
from peers.service import Bench, increment
from rpyc.utils.helpers import buffiter
from workloads import CALLBACKS, ECHOED, IN_FLIGHT, NESTED, Workload

VERSION = version("rpyc")
LACKS: dict[str, str] = {"call": "no asyncio"}
CONFIG = {"allow_pickle": True, "allow_public_attrs": True}  # which arrays need


class BenchService(rpyc.Service):
    """What is measured."""

    exposed_attribute = Bench.attribute
    exposed_add = Bench.add
    exposed_nested = Bench.nested
    exposed_fresh_list = Bench.fresh_list
    exposed_fresh_object = Bench.fresh_object
    exposed_callbacks = Bench.callbacks
    exposed_numbers = Bench.numbers
    exposed_echo = Bench.echo
    exposed_floats = Bench.floats


class NoDelayServer(rpyc.ThreadedServer):
    """Without Nagle's algorithm."""

    def _accept_method(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super()._accept_method(sock)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    kind = NoDelayServer if job.kind == "nodelay" else rpyc.ThreadedServer
    server = kind(BenchService, hostname="127.0.0.1", port=0, protocol_config=CONFIG)
    print(server.port, flush=True)
    server.start()


class Client:
    """A client."""

    def __init__(self, job: Job) -> None:
        stream = rpyc.SocketStream.connect(
            "127.0.0.1", int(job.address), nodelay=job.kind == "nodelay"
        )
        self._conn: Any = rpyc.connect_stream(stream, config=CONFIG)

    def close(self) -> None:
        self._conn.close()

    def plain(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.add(1, 2)

    def bound(self) -> Operation:
        add = self._conn.root.add
        return lambda: add(1, 2)

    threads = bound

    def nested(self) -> Operation:
        nested = self._conn.root.nested
        return lambda: nested(*NESTED)

    def attribute(self) -> Operation:
        root = self._conn.root
        return lambda: root.attribute

    def fresh_list(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.fresh_list()

    def fresh_object(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.fresh_object()

    def callbacks(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.callbacks(increment, CALLBACKS)

    def iterate(self) -> Operation:
        numbers = self._conn.root.numbers()

        def iterate() -> None:
            for _ in numbers:
                pass

        return iterate

    def buffiter(self) -> Operation:
        numbers = self._conn.root.numbers()

        def iterate() -> None:
            for _ in buffiter(numbers):
                pass

        return iterate

    def in_flight(self) -> Operation:
        add = rpyc.async_(self._conn.root.add)

        def call() -> None:
            results = [add(1, 2) for _ in range(IN_FLIGHT)]
            for result in results:
                result.value  # noqa: B018  waits for it

        return call

    def echo(self) -> Operation:
        data, echo = os.urandom(ECHOED), self._conn.root.echo
        return lambda: echo(data)

    def array(self) -> Operation:
        floats = self._conn.root.floats()
        return lambda: np.asarray(floats)
