"""A server on several cores: processes that share a port, and a limit that holds for all of them.

    python examples/several_cores.py

Needs a system with fork.
"""

from __future__ import annotations

import os
import signal
import sys

import beside

import netobj

WORKERS = 2


class FactorService(netobj.Service):
    """Computes, each client on the core of its worker."""

    @netobj.exposed
    def factors(self, number: int) -> list[int]:
        found = []
        divisor = 2
        while divisor * divisor <= number:
            while number % divisor == 0:
                found.append(divisor)
                number //= divisor
            divisor += 1
        return [*found, number] if number > 1 else found

    @netobj.exposed(limit=1, queue=10)
    def print_label(self, text: str) -> str:
        """There is one printer, however many workers there are."""
        return f"[{text}]"

    @netobj.exposed
    def pid(self) -> int:
        return os.getpid()


def serve() -> None:
    server = netobj.PreforkServer(
        FactorService,
        hostname="localhost",
        workers=WORKERS,
        bind_cores=hasattr(os, "sched_setaffinity"),
    )
    print(server.port, flush=True)
    server.run_forever()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    with beside.server(__file__) as port:
        workers = set()
        while len(workers) < WORKERS:  # who has the fewest clients takes the next one
            with netobj.connect("localhost", port) as one, netobj.connect("localhost", port) as two:
                workers = {one.root.pid(), two.root.pid()}
        print("workers:", len(workers))

        with netobj.connect("localhost", port) as one, netobj.connect("localhost", port) as two:
            results = [netobj.async_(conn.root.factors) for conn in (one, two)]
            pending = [
                factors(number) for factors, number in zip(results, (9699690, 999983), strict=True)
            ]
            print("factors:", [list(result.value) for result in pending])
            print("printed:", two.root.print_label("ready"))

        with netobj.connect("localhost", port) as conn:
            victim = conn.root.pid()
            os.kill(victim, signal.SIGTERM)
            conn.wait_closed()
        with netobj.connect("localhost", port) as conn:
            print("a worker has left; another serves:", conn.root.pid() != victim)


if __name__ == "__main__":
    main()
