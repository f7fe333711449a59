"""Several processors: children of this process compute, each a part, at the same time.

python examples/primes.py
"""

from __future__ import annotations

import netobj

WORKERS = 3
PART = 2_000


class PrimeService(netobj.Service):
    """Each child has one."""

    @netobj.exposed(by_value=True)
    def primes(self, begin: int, end: int) -> list[int]:
        return [n for n in range(max(2, begin), end) if all(n % k for k in range(2, n))]


def main() -> None:
    conns = [netobj.connect_multiprocess(remote_service=PrimeService) for _ in range(WORKERS)]
    # All of them are asked before the first answers.
    asked = [
        netobj.async_(conn.root.primes)(number * PART, (number + 1) * PART)
        for number, conn in enumerate(conns)
    ]
    found = [prime for one in asked for prime in one.value]
    print(f"{len(found)} primes below {WORKERS * PART}, the largest: {found[-1]}")
    for conn in conns:
        conn.close()
        conn.proc.join()


if __name__ == "__main__":
    main()
