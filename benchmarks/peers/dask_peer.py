"""Actors of dask.distributed: a scheduler and a worker in one process; clients call it directly."""

from __future__ import annotations

import os
import threading
from importlib.metadata import version
from typing import Any

import numpy as np
from distributed import Client as Connection
from distributed import LocalCluster

from measuring import Job, Operation
from peers.calling import BY_VALUE, HOLDS_NOTHING, consume
from peers.service import Bench
from workloads import ECHOED, IN_FLIGHT, NESTED, Workload

VERSION = version("distributed")
LACKS = {
    **HOLDS_NOTHING,
    "callbacks": "only actors are called",
    "iterate": BY_VALUE,
    "idle": "a client is no mere connection: 500 of them need 500 event loops",
}


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    cluster = LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address=None,
    )
    print(cluster.scheduler_address, flush=True)
    threading.Event().wait()


class Client:
    """A client with an actor of its own."""

    def __init__(self, job: Job) -> None:
        self._connection: Any = Connection(job.address, direct_to_workers=True)
        self._actor = self._connection.submit(Bench, actor=True, pure=False).result()

    def close(self) -> None:
        self._connection.close()

    def plain(self) -> Operation:
        actor = self._actor
        return lambda: actor.add(1, 2).result()

    def bound(self) -> Operation:
        add = self._actor.add
        return lambda: add(1, 2).result()

    threads = bound

    def nested(self) -> Operation:
        nested = self._actor.nested
        return lambda: nested(*NESTED).result()

    def attribute(self) -> Operation:
        actor = self._actor
        return lambda: actor.attribute

    def buffiter(self) -> Operation:
        numbers = self._actor.numbers
        return lambda: consume(numbers().result())

    def in_flight(self) -> Operation:
        add = self._actor.add

        def calls() -> None:
            results = [add(1, 2) for _ in range(IN_FLIGHT)]
            for result in results:
                result.result()

        return calls

    def echo(self) -> Operation:
        data, echo = os.urandom(ECHOED), self._actor.echo
        return lambda: echo(data).result()

    def array(self) -> Operation:
        floats = self._actor.floats
        return lambda: np.asarray(floats().result())


async def open_call(job: Job) -> Any:
    """A call on an event loop."""
    connection: Any = await Connection(job.address, direct_to_workers=True, asynchronous=True)
    actor = await connection.submit(Bench, actor=True, pure=False)
    return lambda: actor.add(1, 2)
