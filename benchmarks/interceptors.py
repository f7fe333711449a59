"""What interceptors cost: the plain call without any, with an empty chain, and with one.

``python benchmarks/interceptors.py``: one process has a server of each kind, another is the client
of one after the other: a turn is so many calls ``conn.root.add(1, 2)`` over a new connection. In
each round every kind has its turn, in an order that changes. Counted is the processor time of both
processes. Other load of the machine only ever adds to that (it empties the caches): so what counts
is the first decile of the turns of each kind, and what it is beyond that of the plain call.

Where things lie in the memory of a process makes more of a difference than what is looked for. So
this is done several times with new processes; printed are the medians, and the least and most.

============== ===============================================================================
plain          no interceptor was ever spoken of
empty          ``interceptors=[]`` on both sides
server, client one whose ``on_call`` does nothing but go on, on that side
both           one on each side
other hooks    one on each side that overrides ``on_close`` alone
messages       one on each side whose ``on_message`` does nothing
============== ===============================================================================
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from typing import Any, Final, NamedTuple

import netobj

CALLS: Final = 250  # in a turn
ROUNDS: Final = 50
TIMES: Final = 9
WARM: Final = 100
NO_SPINNING: Final = {"spin_time": 0}


class Nothing(netobj.Interceptor):
    """Stands around calls and does nothing."""

    def on_call(self, call: Any, next: Any) -> Any:
        return next(call)


class Closing(netobj.Interceptor):
    """Has nothing to do with calls."""

    def on_close(self, conn: Any, reason: str) -> None:
        pass


class Messages(netobj.Interceptor):
    """Sees each message."""

    def on_message(self, frame: bytes, direction: Any) -> None:
        pass


class Kind(NamedTuple):
    """Interceptors of the server and of the client; None: not even an empty list."""

    server: list[Any] | None
    client: list[Any] | None


KINDS: Final = {
    "plain": Kind(None, None),
    "empty": Kind([], []),
    "server": Kind([Nothing()], []),
    "client": Kind([], [Nothing()]),
    "both": Kind([Nothing()], [Nothing()]),
    "other hooks": Kind([Closing()], [Closing()]),
    "messages": Kind([Messages()], [Messages()]),
}


class Service(netobj.Service):
    """What is called."""

    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        """The sum."""
        return a + b


def given(interceptors: list[Any] | None) -> dict[str, Any]:
    """How they are given."""
    return {} if interceptors is None else {"interceptors": interceptors}


def serve() -> None:
    """The process of the servers."""
    for kind in KINDS.values():
        server = netobj.ThreadedServer(
            Service, "127.0.0.1", protocol_config=NO_SPINNING, **given(kind.server)
        )
        print(server.port, flush=True)
        threading.Thread(target=server.start, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


def call() -> None:
    """The client's process: is told a kind and a port, makes its calls, and so on."""
    for line in sys.stdin:
        kind, port = line.split(",")
        more = given(KINDS[kind].client)
        with netobj.connect("127.0.0.1", int(port), config=NO_SPINNING, **more) as conn:
            root = conn.root
            for _ in range(WARM):
                root.add(1, 2)
            print("ready", flush=True)
            sys.stdin.readline()
            for _ in range(CALLS):
                root.add(1, 2)
            print("done", flush=True)
            sys.stdin.readline()


class Process:
    """One of them."""

    def __init__(self, *args: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, text: str) -> None:
        """Say something to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def cpu(self) -> int:
        """Nanoseconds of processor time that it has had, by all threads (Linux)."""
        tasks = f"/proc/{self._process.pid}/task"
        total = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def turn(server: Process, client: Process, kind: str, port: str) -> float:
    """Microseconds of processor time of both for a call."""
    client.tell(f"{kind},{port}")
    client.line()
    before = server.cpu() + client.cpu()
    client.tell("go")
    client.line()
    spent = server.cpu() + client.cpu() - before
    client.tell("close")
    return spent / CALLS / 1000


def measure() -> dict[str, float]:
    """Microseconds of each kind, in two new processes."""
    server, client = Process("serve"), Process("call")
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    order = list(KINDS)
    try:
        ports = {kind: server.line() for kind in KINDS}
        for number in range(ROUNDS):
            for kind in order if number % 2 else reversed(order):
                times[kind].append(turn(server, client, kind, ports[kind]))
            order.append(order.pop(0))
    finally:
        client.end()
        server.end()
    return {kind: statistics.quantiles(own, n=10)[0] for kind, own in times.items()}


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the processes inherit it
    found = [measure() for _ in range(TIMES)]
    print(f"{TIMES} times {ROUNDS} rounds of {CALLS} calls of each kind")
    for kind in KINDS:
        extra = [(one[kind] / one["plain"] - 1) * 100 for one in found]
        time = statistics.median([one[kind] for one in found])
        print(
            f"{kind:<12} {time:6.2f} us of processor time, {statistics.median(extra):+5.1f} %"
            f" ({min(extra):+.1f} to {max(extra):+.1f} %)"
        )


if __name__ == "__main__":
    roles = {"serve": serve, "call": call}
    roles.get(sys.argv[1] if len(sys.argv) > 1 else "", main)()
