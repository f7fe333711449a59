"""netobj itself. Kinds: "" (as it is by default), "nospin", "selector"."""

from __future__ import annotations

from typing import Any

import netobj
from measuring import Job
from netobj.core.config import Config
from peers.transparent import ExposedBench, TransparentClient
from processes import serve as serve_forever
from workloads import How, Workload

VERSION = netobj.__version__
LACKS: dict[str, str] = {}


class BenchService(ExposedBench, netobj.Service):
    """What is measured."""

    server: Any = None

    async def exposed_add_on_loop(self, a: int, b: int) -> int:
        return a + b


class NoSpinService(BenchService):
    """The same, never spinning; a netobj that does not know how to has nothing to switch off."""

    CONFIG = {"spin_time": 0} if "spin_time" in Config._fields else {}


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    service = NoSpinService if job.kind == "nospin" else BenchService
    if job.kind == "selector":
        kind = "ThreadPoolServer"
    else:
        kind = "aio.Server" if workload.how is How.ASYNC else "ThreadedServer"
    serve_forever(service, kind, workload.loop or "asyncio")


class Client(TransparentClient):
    """A client of the blocking skin."""

    def __init__(self, job: Job) -> None:
        config = NoSpinService.CONFIG if job.kind == "nospin" else {}
        conn = netobj.connect("127.0.0.1", int(job.address), config=config)
        super().__init__(conn, netobj.async_, netobj.buffiter)


async def open_call(job: Job) -> Any:
    """An ``async def`` method, called by the asyncio skin."""
    conn: Any = await netobj.aio.connect("127.0.0.1", int(job.address))
    return lambda: conn.root.add_on_loop(1, 2)
