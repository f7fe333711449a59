"""netobj itself. Kinds: "" (as it is by default), "nospin", "selector"."""

from __future__ import annotations

import os
from typing import Any

import netobj
import numpy as np
from measuring import Job, Operation
from netobj.core.config import Config
from peers.service import Bench, increment
from processes import serve as serve_forever
from workloads import CALLBACKS, ECHOED, IN_FLIGHT, NESTED, How, Workload

VERSION = netobj.__version__
LACKS: dict[str, str] = {}


class BenchService(netobj.Service):
    """What is measured."""

    CONFIG: dict[str, Any] = {}  # noqa: RUF012  set before the server starts
    server: Any = None
    exposed_attribute = Bench.attribute
    exposed_add = Bench.add
    exposed_nested = Bench.nested
    exposed_fresh_list = Bench.fresh_list
    exposed_fresh_object = Bench.fresh_object
    exposed_callbacks = Bench.callbacks
    exposed_numbers = Bench.numbers
    exposed_echo = Bench.echo
    exposed_floats = Bench.floats

    async def exposed_add_on_loop(self, a: int, b: int) -> int:
        return a + b


def _settings(kind: str) -> dict[str, Any]:
    """The settings of both sides; a netobj that does not know spinning has none to switch off."""
    if kind == "nospin" and "spin_time" in Config._fields:
        return {"spin_time": 0}
    return {}


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    BenchService.CONFIG = _settings(job.kind)
    kind = "aio.Server" if workload.how is How.ASYNC else "ThreadedServer"
    serve_forever(
        BenchService, "AsyncServer" if job.kind == "selector" else kind, workload.loop or "asyncio"
    )


class Client:
    """A client of the blocking skin."""

    def __init__(self, job: Job) -> None:
        settings = _settings(job.kind)
        self._conn: Any = netobj.connect("127.0.0.1", int(job.address), config=settings)

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
            for _ in netobj.buffiter(numbers):
                pass

        return iterate

    def in_flight(self) -> Operation:
        add = netobj.async_(self._conn.root.add)

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


async def open_call(job: Job) -> Any:
    """An ``async def`` method, called by the asyncio skin."""
    conn: Any = await netobj.aio.connect("127.0.0.1", int(job.address))
    return lambda: conn.root.add_on_loop(1, 2)
