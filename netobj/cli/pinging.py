"""``netobj ping``: how long a round trip takes."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from plumbum import cli

from netobj.cli.asking import Asking
from netobj.cli.printing import as_json, say


class PingCommand(Asking):
    """Measures round trips: the other side's reader echoes a message, no call runs."""

    PROGNAME = "netobj ping"

    count = cli.SwitchAttr(["-c", "--count"], cli.Range(1, 10**6), default=10, help="how many")
    json = cli.Flag("--json", help="print an object in JSON, with times in seconds")

    def main(self, address: str) -> int:
        return self.asked(address)

    def ask(self, conn: Any, *_: str) -> int:
        """Print how long the round trips took."""
        conn.root  # noqa: B018  (waits for the hello, which is no round trip)
        times = [_measured(conn) for _ in range(self.count)]
        least, middle, most = min(times), median(times), max(times)
        if self.json:
            say(as_json({"count": len(times), "min": least, "median": middle, "max": most}))
        else:
            trips = "1 round trip" if len(times) == 1 else f"{len(times)} round trips"
            shown = ", ".join(
                f"{name} {duration(value)}"
                for name, value in (("min", least), ("median", middle), ("max", most))
            )
            say(f"{conn.peer_name}: {trips}: {shown}")
        return 0


def _measured(conn: Any) -> float:
    began = time.perf_counter()
    conn.ping()
    return time.perf_counter() - began


def duration(seconds: float) -> str:
    """*seconds* for people.

    >>> duration(0.0000851), duration(0.0123), duration(2.5)
    ('85.1 us', '12.3 ms', '2.5 s')
    """
    for unit, size in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
