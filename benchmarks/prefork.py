"""Calls that compute, from eight client processes: a ``ThreadedServer`` beside a ``PreforkServer``.

``python benchmarks/prefork.py [seconds [rounds]]``: each call is 20 ms of Python. In each round (5
by default) each server has so many seconds (4), one after the other, each time in processes of its
own. It prints calls per second, the processor time of the server's processes for each call, and how
many cores they have had; and how much faster the workers were, in the median of the rounds.

Where other programs want the processor, the workers get fewer cores than there are. Then look at
the processor time of each call, which ought to be that of a ``ThreadedServer``.
"""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import netobj
from processes import Verdict, server_process

CLIENTS = 8
WORKERS = 2
CALL_SECONDS = 0.02
HELD_TO = 1.7
KINDS = {
    "ThreadedServer": netobj.ThreadedServer,
    "PreforkServer": functools.partial(netobj.PreforkServer, workers=WORKERS),
    "PreforkServer of AsyncServers": functools.partial(
        netobj.PreforkServer, workers=WORKERS, server=netobj.AsyncServer
    ),
}
_TICKS = os.sysconf("SC_CLK_TCK")


class ComputingService(netobj.Service):
    """Does what takes a processor."""

    @netobj.exposed
    def compute(self, rounds: int) -> int:
        """Python code of a given length."""
        return compute(rounds)


class Figure(NamedTuple):
    """One server in one round."""

    calls_per_second: float
    cpu_ms: float
    cores: float


def compute(rounds: int) -> int:
    """Some arithmetic, *rounds* times."""
    total = 0
    for number in range(rounds):
        total = (total * 31 + number) % 1_000_003
    return total


def rounds_of_a_call() -> int:
    """As many rounds as take :data:`CALL_SECONDS` of a processor here."""
    rounds = 100_000
    best = min(_cpu_of(rounds) for _ in range(10))
    return round(rounds * CALL_SECONDS / best)


def _cpu_of(rounds: int) -> float:
    before = time.process_time()
    compute(rounds)
    return time.process_time() - before


def measure(kind: str, seconds: float, rounds: int) -> Figure:
    """What *kind* does for all the clients at once."""
    with server_process(__file__, kind) as server:
        command = [sys.executable, __file__, "--call", str(server.port), str(rounds)]
        clients = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(CLIENTS)
        ]
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
        family = processes_under(server.pid)
        cpu = sum(map(cpu_seconds, family))
        begin = time.monotonic()
        for client in clients:
            assert client.stdin is not None
            client.stdin.write(f"{begin + seconds}\n")
            client.stdin.flush()
        calls = sum(int(client.communicate()[0]) for client in clients)
        took = time.monotonic() - begin
        cpu = sum(map(cpu_seconds, family)) - cpu
    return Figure(calls / took, 1000 * cpu / calls, cpu / took)


def call(port: int, rounds: int) -> None:
    """A client: calls until the time that it is told, and prints how often."""
    with netobj.connect("127.0.0.1", port) as conn:
        function = conn.root.compute
        function(1)
        print("ready", flush=True)
        end = float(sys.stdin.readline())
        calls = 0
        while time.monotonic() < end:
            function(rounds)
            calls += 1
        print(calls, flush=True)


def cpu_seconds(pid: int) -> float:
    """What the process *pid* has had of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def processes_under(pid: int) -> list[int]:
    """The process *pid*, its children, and theirs."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in processes_under(int(child)))]


def main(seconds: float = 4.0, rounds: int = 5) -> None:
    length = rounds_of_a_call()
    cores = len(os.sched_getaffinity(0))
    print(f"{CLIENTS} clients, calls of {1000 * CALL_SECONDS:.0f} ms, {cores} cores", flush=True)
    found: dict[str, list[Figure]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, figures in found.items():
            figure = measure(kind, seconds, length)
            figures.append(figure)
            print(
                f"{kind:<32}{figure.calls_per_second:>7.1f} calls/s"
                f"{figure.cpu_ms:>7.1f} ms of CPU each, on{figure.cores:>5.2f} cores",
                flush=True,
            )
    verdict = Verdict()
    threaded = found["ThreadedServer"]
    for kind, figures in found.items():
        if kind == "ThreadedServer":
            continue
        pairs = list(zip(figures, threaded, strict=True))
        faster = statistics.median(
            one.calls_per_second / other.calls_per_second for one, other in pairs
        )
        dearer = statistics.median(one.cpu_ms / other.cpu_ms for one, other in pairs)
        verdict.show(f"{kind}: times as fast", faster, least=HELD_TO)
        verdict.show(f"{kind}: times the CPU of each call", dearer)
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        chosen = KINDS[sys.argv[2]](ComputingService, hostname="127.0.0.1")
        print(chosen.port, flush=True)
        chosen.start()
    elif sys.argv[1:2] == ["--call"]:
        call(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
