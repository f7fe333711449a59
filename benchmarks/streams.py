"""A stream of a million small items: memory on both sides, and what an item costs.

``python benchmarks/streams.py [items]``: each skin as client, each server in a process of its own,
a plain and an asynchronous generator. In the midst the consumer rests, and the producer must stop.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

import netobj
from processes import CLIENTS, SERVERS, Server, Verdict, resident_kib, serve, server_process

METHODS = ("plain", "asynchronous")
LOOK = 20_000  # items between two looks at the memory of both processes
REST = 0.5  # seconds, twice: in the second half nothing may be produced any more
CALLS = 2_000


class RowsService(netobj.Service):
    """Streams of numbers, and how far they are."""

    server: Any = None
    produced = 0

    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        return a + b

    @netobj.exposed
    async def add_on_loop(self, a: int, b: int) -> int:
        return a + b

    @netobj.exposed(stream=True)
    def plain(self, count: int) -> Any:
        for number in range(count):
            RowsService.produced = number + 1
            yield number

    @netobj.exposed(stream=True)
    async def asynchronous(self, count: int) -> Any:
        for number in range(count):
            RowsService.produced = number + 1
            yield number

    @netobj.exposed
    def produced_so_far(self) -> int:
        return RowsService.produced


class Watch:
    """Follows the memory of both processes and checks the items."""

    def __init__(self, server: Server, count: int) -> None:
        self._pids = (os.getpid(), server.pid)
        self._begin = [resident_kib(pid) for pid in self._pids]
        self._most = list(self._begin)
        self._count = count
        self._rested = 0.0
        self._since = time.perf_counter()
        self.seen = 0
        self.ahead: list[int] = []

    def take(self, item: int) -> bool:
        """The next item has come; True when it is time to rest."""
        if item != self.seen:
            raise AssertionError(f"the item {item} came in the place of {self.seen}")
        self.seen += 1
        if not self.seen % LOOK:
            self._look()
        return self.seen == self._count // 2

    def _look(self) -> None:
        self._most = [max(m, resident_kib(p)) for m, p in zip(self._most, self._pids, strict=True)]

    def rested(self, produced: int, seconds: float) -> None:
        """The producer has come so far, after some rest of the consumer's."""
        self._look()
        self._rested += seconds
        self.ahead.append(produced - self.seen)

    def figures(self, call_us: float) -> dict[str, float]:
        """What has been found."""
        assert self.seen == self._count, f"{self.seen} items came"
        self._look()
        spent = time.perf_counter() - self._since - self._rested
        growth = [(m - b) / 1024 for m, b in zip(self._most, self._begin, strict=True)]
        item_us = spent / self._count * 1e6
        return {
            "client grew by MiB": growth[0],
            "server grew by MiB": growth[1],
            "items ahead of a resting consumer": self.ahead[0],
            "items produced while it went on resting": self.ahead[1] - self.ahead[0],
            "an item, us": item_us,
            "a call, us": call_us,
            "items in the time of a call": call_us / item_us,
        }


def measure(
    client: str, kind: str, method: str, count: int, rest: float = REST
) -> dict[str, float]:
    """The figures of one pairing and one kind of generator."""
    with server_process(__file__, kind) as server:
        if client == "aio":
            return asyncio.run(_measure_aio(server, method, count, rest))
        return _measure_blocking(server, method, count, rest)


def _measure_blocking(server: Server, method: str, count: int, rest: float) -> dict[str, float]:
    with netobj.connect("127.0.0.1", server.port) as conn:
        call_us = min(_time_calls(conn.root.add), _time_calls(conn.root.add_on_loop))
        watch = Watch(server, count)
        for item in getattr(conn.root, method)(count):
            if watch.take(item):
                for _ in range(2):
                    begin = time.perf_counter()
                    time.sleep(rest)
                    watch.rested(conn.root.produced_so_far(), time.perf_counter() - begin)
        return watch.figures(call_us)


def _time_calls(add: Any) -> float:
    """Microseconds that a call takes."""
    begin = time.perf_counter()
    for _ in range(CALLS):
        add(1, 2)
    return (time.perf_counter() - begin) / CALLS * 1e6


async def _measure_aio(server: Server, method: str, count: int, rest: float) -> dict[str, float]:
    async with netobj.aio.connect("127.0.0.1", server.port) as conn:
        call_us = min(
            await _time_calls_aio(conn.root.add), await _time_calls_aio(conn.root.add_on_loop)
        )
        watch = Watch(server, count)
        async for item in getattr(conn.root, method)(count):
            if watch.take(item):
                for _ in range(2):
                    begin = time.perf_counter()
                    await asyncio.sleep(rest)
                    watch.rested(await conn.root.produced_so_far(), time.perf_counter() - begin)
        return watch.figures(call_us)


async def _time_calls_aio(add: Any) -> float:
    begin = time.perf_counter()
    for _ in range(CALLS):
        await add(1, 2)
    return (time.perf_counter() - begin) / CALLS * 1e6


HELD_TO = {
    "client grew by MiB": 10,
    "server grew by MiB": 10,
    "items produced while it went on resting": 0,
}


def main(count: int) -> None:
    """Print the figures of every pairing, each measured in a fresh process."""
    verdict = Verdict()
    for client in CLIENTS:
        for kind in SERVERS:
            for method in METHODS:
                print(f"{client} client, {kind}, {method} generator, {count:,} items")
                program = [sys.executable, __file__, "--measure", client, kind, method, str(count)]
                run = subprocess.run(program, stdout=subprocess.PIPE, check=True)
                figures = json.loads(run.stdout)
                for name, figure in figures.items():
                    verdict.show(f"    {name}", figure, HELD_TO.get(name))
                share = 20 * figures["an item, us"] / figures["a call, us"]
                verdict.show("    an item's cost in twentieths of a call's", share, 1)
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(RowsService, *sys.argv[2:])
    elif sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:5], int(sys.argv[5]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
