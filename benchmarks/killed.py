"""The process at the other end is killed: how long until whoever waits has heard of it.

``python benchmarks/killed.py [rounds]``: with 100 calls that wait and 100 completion callbacks,
each skin as client, each server in a process of its own that is killed (SIGKILL), five rounds by
default. Then the other way round: a client is killed while a server's methods wait for callbacks
of it. All is to be over within 100 ms.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netobj
from processes import CLIENTS, SERVERS, Verdict, serve, server_process

WAITING = 100
HANG = 10.0
"""Seconds after which what is not over is said to hang."""
MOST_MS = 100.0
ROUNDS = 5


class Waits(netobj.Service):
    """Calls that wait for ever."""

    server: Any = None

    @netobj.exposed
    async def wait(self) -> None:
        await asyncio.sleep(3600)

    @netobj.exposed
    def ready(self) -> int:
        return 1


class Ends:
    """Notes what ends, and when the last of *count* things has."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()  # protects what follows
        self.ends: Counter[str] = Counter()
        self.times: Counter[int] = Counter()
        self._last = 0.0
        self._all = threading.Event()

    def note(self, number: int, end: str) -> None:
        """Thing *number* has come to this *end*."""
        with self._lock:
            self.ends[end] += 1
            self.times[number] += 1
            self._last = time.monotonic()
            if len(self.times) >= self._count:
                self._all.set()

    def wait(self, since: float) -> float:
        """Milliseconds from *since* to the last end. Raises TimeoutError for what hangs."""
        if not self._all.wait(HANG):
            raise TimeoutError(
                f"{self._count - len(self.times)} of {self._count} hang: {self.ends}"
            )
        return (self._last - since) * 1000


def kill_server_in_threads(port: int, pid: int) -> tuple[float, Ends]:
    """Kill *pid*, which threads and callbacks wait for; milliseconds, and what they came to."""
    ends = Ends(2 * WAITING)
    with netobj.connect("127.0.0.1", port) as conn:
        assert conn.root.ready() == 1

        def wait(number: int) -> None:
            try:
                conn.root.wait()
            except netobj.ConnectionLost:
                ends.note(number, "call")

        def called(number: int) -> Callable[[Any], None]:
            return lambda result: ends.note(number, "callback" if result.error else "answered")

        results = [netobj.async_(conn.root.wait)() for _ in range(WAITING)]
        for number, result in enumerate(results):
            result.add_callback(called(number))
        threads = [
            threading.Thread(target=wait, args=(WAITING + number,), daemon=True)
            for number in range(WAITING)
        ]
        for thread in threads:
            thread.start()
        while len(conn.session.pending) < 2 * WAITING:
            time.sleep(0.001)
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        took = ends.wait(begin)
        for thread in threads:
            thread.join(HANG)
    return took, ends


def kill_server_on_loop(port: int, pid: int) -> tuple[float, Ends]:
    """The same for tasks, and callbacks of tasks."""
    return asyncio.run(_kill_server_on_loop(port, pid))


async def _kill_server_on_loop(port: int, pid: int) -> tuple[float, Ends]:
    ends = Ends(2 * WAITING)
    async with netobj.aio.connect("127.0.0.1", port) as conn:
        assert await conn.root.ready() == 1

        async def wait() -> None:
            await conn.root.wait()

        async def note(number: int) -> None:
            try:
                await wait()
            except netobj.ConnectionLost:
                ends.note(number, "call")

        def called(number: int) -> Callable[[Any], None]:
            return lambda task: ends.note(number, "callback" if task.exception() else "answered")

        tasks = [asyncio.ensure_future(wait()) for _ in range(WAITING)]
        for number, task in enumerate(tasks):
            task.add_done_callback(called(number))
        others = [asyncio.ensure_future(note(WAITING + number)) for number in range(WAITING)]
        while len(conn.session.pending) < 2 * WAITING:
            await asyncio.sleep(0.001)
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait([*tasks, *others], timeout=HANG)
    return ends.wait(begin), ends


KILL_SERVER: dict[str, Callable[[int, int], tuple[float, Ends]]] = {
    "blocking": kill_server_in_threads,
    "aio": kill_server_on_loop,
}


def kill_server(client: str, kind: str) -> tuple[float, Ends]:
    """Kill a server of that *kind*, which one of the CLIENTS waits for."""
    with server_process(__file__, kind) as server:
        return KILL_SERVER[client](server.port, server.pid)


# --- the other way round --------------------------------------------------------------------------


class Calls(netobj.Service):
    """Its methods wait for callbacks."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self.disconnected = 0

    def on_disconnect(self, conn: Any) -> None:
        self.disconnected += 1

    @netobj.exposed(concurrent=True)
    def call(self, number: int, callback: Any) -> None:
        try:
            callback()
        except netobj.ConnectionLost:
            self._ends.note(number, "method")

    @netobj.exposed
    async def call_async(self, number: int, callback: Any) -> None:
        try:
            await callback()
        except (netobj.ConnectionLost, asyncio.CancelledError):
            self._ends.note(number, "task")


CLIENT = """
import sys, threading, netobj
def wait(): threading.Event().wait()
conn = netobj.connect("127.0.0.1", int(sys.argv[1]))
calls = [netobj.async_(getattr(conn.root, sys.argv[2]))(n, wait) for n in range(int(sys.argv[3]))]
threading.Event().wait()
"""


METHODS = {
    "ThreadedServer": ("call", WAITING),
    "ThreadPoolServer": ("call", 20),  # as many as it has threads
    "AsyncServer": ("call_async", WAITING),
}
"""What waits for callbacks in a server of each kind, and how many of it can."""


def kill_client(kind: str) -> tuple[float, Ends, Calls]:
    """Kill a client on which a server of that *kind*, one of netobj's, waits in 100 methods."""
    name, count = METHODS[kind]
    ends = Ends(count)
    service = Calls(ends)
    with getattr(netobj, kind)(service, hostname="127.0.0.1") as server:
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(server.port), name, str(count)],
            cwd=Path(netobj.__file__).parent.parent,
        )
        try:
            end = time.monotonic() + 6 * HANG
            while sum(len(one.session.pending) for one in server.connections) < count:
                if time.monotonic() > end or client.poll() is not None:
                    raise TimeoutError("the calls did not begin")
                time.sleep(0.001)
            begin = time.monotonic()
        finally:
            client.kill()
        took = ends.wait(begin)
        client.wait()
        end = time.monotonic() + HANG
        while server.connections and time.monotonic() < end:
            time.sleep(0.001)
    return took, ends, service


def main(rounds: int) -> None:
    """Print how long it takes, of each."""
    verdict = Verdict()
    for client in CLIENTS:
        for kind in SERVERS:
            took = [kill_server(client, kind)[0] for _ in range(rounds)]
            verdict.show(
                f"{kind} killed, {client} client: the last has heard of it",
                statistics.median(took), MOST_MS, "ms",
            )  # fmt: skip
    for kind in METHODS:
        took = [kill_client(kind)[0] for _ in range(rounds)]
        verdict.show(
            f"client killed, {kind}: the last has heard of it",
            statistics.median(took),
            MOST_MS,
            "ms",
        )
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Waits, *sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
