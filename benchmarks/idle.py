"""10,000 idle connections on one ``aio.Server``: its memory, and the calls among them.

``python benchmarks/idle.py [connections]``: on asyncio's own loop and, where it is installed, on
uvloop. The server has a process of its own, so have the idle clients (of ``netobj.aio``; each has
made a call) and a second server with a single connection. Calls to the two servers alternate.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import netobj
from processes import LOOPS, Verdict, raise_file_limit, resident_kib, run_on, serve, server_process

FILES_BESIDE = 100  # open files of a process that are no connections
AT_ONCE = 100  # connections that are being made
CALLS = 10_000  # to each server
WARM_UP = 500


class QuickService(netobj.Service):
    """One quick call."""

    server: Any = None

    @netobj.exposed
    async def add(self, a: int, b: int) -> int:
        return a + b

    @netobj.exposed
    async def collect(self) -> int:
        gc.collect()
        return len(self.server.connections)


async def hold(port: int, count: int) -> None:
    """Make *count* connections, each of which makes a call; keep them until stdin ends."""
    raise_file_limit()
    room = asyncio.Semaphore(AT_ONCE)

    async def connect() -> Any:
        async with room:
            conn = await netobj.aio.connect("127.0.0.1", port)
            assert await conn.root.add(1, 2) == 3
            return conn

    connections = await asyncio.gather(*[connect() for _ in range(count)])
    print(len(connections), flush=True)
    gc.freeze()  # its own pauses are not what is measured
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def idle_clients(port: int, count: int) -> Iterator[None]:
    """*count* clients in a process of their own."""
    program = [sys.executable, __file__, "--hold", str(port), str(count)]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert int(process.stdout.readline()) == count
        yield
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def measure(loop: str, count: int, calls: int) -> dict[str, float]:
    """KiB for each of *count* connections, and microseconds of calls to both servers."""
    with (
        server_process(__file__, "aio.Server", loop) as full,
        server_process(__file__, "aio.Server", loop) as empty,
        netobj.connect("127.0.0.1", full.port) as control,
    ):
        run_on(loop, _alternate((full.port,), WARM_UP))  # so that all code is loaded
        assert control.root.collect() == 1
        begin = resident_kib(full.pid)
        with idle_clients(full.port, count):
            assert control.root.collect() == count + 1
            each = (resident_kib(full.pid) - begin) / count
            control.close()
            times = run_on(loop, _alternate((full.port, empty.port), calls))
    crowd, alone = (sorted(spent[WARM_UP:]) for spent in times)
    return {
        "KiB": each,
        "median alone": _quantile(alone, 0.5),
        "median among them": _quantile(crowd, 0.5),
        "p99 alone": _quantile(alone, 0.99),
        "p99 among them": _quantile(crowd, 0.99),
    }


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))] * 1e6


async def _alternate(ports: tuple[int, ...], calls: int) -> list[list[float]]:
    """Seconds of each call, by server; one call at a time, to each in turn."""
    connections = [await netobj.aio.connect("127.0.0.1", port) for port in ports]
    spent: list[list[float]] = [[] for _ in ports]
    for number in range(calls + WARM_UP):
        for conn, times in zip(connections, spent, strict=True):
            begin = time.perf_counter()
            total = await conn.root.add(number, 1)
            times.append(time.perf_counter() - begin)
            assert total == number + 1
    for conn in connections:
        await conn.close()
    return spent


def main(wanted: int) -> None:
    """Print the figures on each loop that there is."""
    verdict = Verdict()
    count = min(wanted, raise_file_limit() - FILES_BESIDE)
    if count < wanted:
        print(f"a process of this machine may have {count + FILES_BESIDE} files: so many less")
    for loop in LOOPS:
        if find_spec(loop) is None:
            print(f"{loop} is not installed")
            continue
        figures = measure(loop, count, CALLS)
        print(f"{count:,} idle connections on {loop}")
        verdict.show("    memory of the server's process for each", figures.pop("KiB"), 16, "KiB")
        for name, figure in figures.items():
            verdict.show(f"    a call, {name}", figure, unit="us")
        ratio = figures["p99 among them"] / figures["p99 alone"]
        verdict.show("    ratio of the p99", ratio, 2)
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(QuickService, *sys.argv[2:])
    elif sys.argv[1:2] == ["--hold"]:
        asyncio.run(hold(int(sys.argv[2]), int(sys.argv[3])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
