"""Calls that are given up at random moments: what remains, what comes out, what hangs.

``python benchmarks/cancelling.py [seconds [seed]]``: each skin as client, each server in a process
of its own, 1,000 calls in flight for so many seconds (30 by default): of ``async def``, plain
functions, callbacks, streams and generators; cancelled, timed out, past their deadline, or left to
end. Before that, some connections are closed with as many calls in flight. Every answer must be
the right one and nothing may hang; after a while the tables of both sides must be empty, and the
``finally`` of every function and generator that began must have run.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import netobj
from processes import CLIENTS, SERVERS, Server, Verdict, serve, server_process
from storms import (
    CHAINS,
    QUIET,
    Tally,
    Thing,
    close_in_threads,
    close_on_loop,
    storm_in_threads,
    storm_on_loop,
)

WIDTH = 1_000
ROUNDS = 5  # connections that are closed while that many calls are in flight
SETTLE = 20.0
"""Seconds that the tables may take to be empty."""


class StormService(netobj.Service):
    """Calls of each kind; they count how often they began and ended.

    ``_lock`` protects the counts.
    """

    CONFIG: ClassVar[dict[str, Any]] = QUIET
    server: Any = None
    _lock = threading.Lock()
    _open: ClassVar[Counter[str]] = Counter()

    def on_connect(self, conn: Any) -> None:
        self._conn = conn

    @contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        with self._lock:
            self._open[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[name] -= 1

    @netobj.exposed
    async def later(self, number: int, seconds: float) -> int:
        with self._counted("later"):
            await asyncio.sleep(seconds)
            return number

    @netobj.exposed(concurrent=True)
    def wait(self, number: int, seconds: float) -> int:
        with self._counted("wait"):
            call = netobj.current_call()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                call.check()
                time.sleep(0.001)
            return number

    @netobj.exposed
    def thing(self, number: int) -> Thing:
        return Thing(number)

    @netobj.exposed(concurrent=True)
    def back(self, callback: Any, number: int) -> Any:
        with self._counted("back"):
            return callback(number)

    @netobj.exposed
    async def back_on_loop(self, callback: Any, number: int) -> Any:
        with self._counted("back_on_loop"):
            result = callback(number) if self._is_on_loop() else netobj.async_(callback)(number)
            return await result

    def _is_on_loop(self) -> bool:
        return isinstance(self._conn, netobj.aio.Connection)

    @netobj.exposed(stream=True)
    def plain_stream(self, number: int, count: int) -> Any:
        with self._counted("plain_stream"):
            for index in range(count):
                yield number, index

    @netobj.exposed(stream=True)
    async def asynchronous_stream(self, number: int, count: int) -> Any:
        with self._counted("asynchronous_stream"):
            for index in range(count):
                yield number, index
                await asyncio.sleep(0)

    @netobj.exposed
    def plain_generator(self, number: int, count: int) -> Any:
        with self._counted("plain_generator"):
            for index in range(count):
                yield number, index

    @netobj.exposed
    async def asynchronous_generator(self, number: int, count: int) -> Any:
        with self._counted("asynchronous_generator"):
            for index in range(count):
                yield number, index

    @netobj.exposed
    def left(self) -> tuple[tuple[str, int], ...]:
        """What is left of calls on this side, but for those of the one who asks."""
        gc.collect()
        found = Counter(self._open)
        for conn in self.server.connections:
            if conn is not self._conn:
                found.update(tables(conn))
        return tuple(found.items())

    @netobj.exposed
    def dump_pending(self) -> str:
        return "\n".join(
            conn.dump_pending() for conn in self.server.connections if conn is not self._conn
        )


def tables(conn: Any) -> dict[str, int]:
    """How much is in the tables of a connection."""
    session, lanes = conn.session, conn.dispatcher._lanes
    return {
        "calls that wait": len(session.pending),
        "calls that run": len(session.running),
        "exports": len(session.boxing.exports),
        "imports": len(session.boxing.imports),
        "answers": len(session.boxing.answers),
        "streams": len(session.flows),
        "exceptions": len(session._left),
        "tasks": len(getattr(conn.dispatcher, "_tasks", ())),
        "lanes": len(getattr(lanes, "_queues", lanes)),  # blocking: in a class of its own
        "chains of the process": sum(map(len, CHAINS)),
    }


class Storm(NamedTuple):
    """How long and how strong a storm is."""

    seconds: float
    width: int = WIDTH  # calls in flight
    rounds: int = ROUNDS
    seed: int = 1


def measure(client: str, kind: str, storm: Storm) -> dict[str, Any]:
    """What a storm of one pairing leaves behind: faults, and what is in tables."""
    tally = Tally()
    with (
        server_process(__file__, kind) as server,
        netobj.connect("127.0.0.1", server.port) as control,
    ):
        if client == "aio":
            left = asyncio.run(_storm_on_loop(server, control, tally, storm))
        else:
            left = _storm_in_threads(server, control, tally, storm)
    return {"ends": tally.ends, "faults": tally.faults, "left": left}


def _storm_in_threads(server: Server, control: Any, tally: Tally, storm: Storm) -> dict[str, int]:
    rng = random.Random(storm.seed)
    for _ in range(storm.rounds):
        closed = netobj.connect("127.0.0.1", server.port, config=QUIET)
        close_in_threads(closed, tally, storm.width, rng)
    with netobj.connect("127.0.0.1", server.port, config=QUIET) as conn:
        tally.begin(storm.seconds)
        storm_in_threads(conn, tally, storm.width, rng)
        end = time.monotonic() + SETTLE
        while True:
            left = _left(conn, control)
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.1)


async def _storm_on_loop(
    server: Server, control: Any, tally: Tally, storm: Storm
) -> dict[str, int]:
    rng = random.Random(storm.seed)
    loop = asyncio.get_running_loop()
    for _ in range(storm.rounds):
        closed = await netobj.aio.connect("127.0.0.1", server.port, config=QUIET)
        await close_on_loop(closed, tally, storm.width, rng)
    async with netobj.aio.connect("127.0.0.1", server.port, config=QUIET) as conn:
        tally.begin(storm.seconds)
        await storm_on_loop(conn, tally, storm.width, rng)
        end = time.monotonic() + SETTLE
        while True:
            left = await loop.run_in_executor(None, _left, conn, control)
            if not left or time.monotonic() > end:
                return left
            await asyncio.sleep(0.1)


def _left(conn: Any, control: Any) -> dict[str, int]:
    """What is left on both sides; empty when all is well."""
    gc.collect()
    here = {f"here: {name}": count for name, count in tables(conn).items()}
    there = {f"there: {name}": count for name, count in control.root.left()}
    return {name: count for name, count in {**here, **there}.items() if count}


def main(seconds: float, seed: int) -> None:
    """Print what came of a storm of each pairing."""
    verdict = Verdict()
    for client in CLIENTS:
        for kind in SERVERS:
            found = measure(client, kind, Storm(seconds, seed=seed))
            calls = sum(found["ends"].values())
            print(f"{client} client, {kind}: {calls:,} calls in {seconds:g} s (seed {seed})")
            for name, count in sorted(found["ends"].items()):
                verdict.show(f"    {name}", count)
            verdict.show("    faults", len(found["faults"]), 0)
            for text, count in Counter(found["faults"]).most_common(5):
                print(f"        {count} x {text}")
            verdict.show("    left in tables, or begun and not ended", len(found["left"]), 0)
            for name, count in found["left"].items():
                print(f"        {name}: {count}")
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(StormService, *sys.argv[2:])
    else:
        numbers = [float(text) for text in sys.argv[1:]]
        main(numbers[0] if numbers else 30.0, int(numbers[1]) if len(numbers) > 1 else 1)
