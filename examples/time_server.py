"""A service in ten lines: the clock of this machine.

    python examples/time_server.py [PORT]

Prints the port that it listens on; ask it with time_client.py.
"""

from __future__ import annotations

import sys
from datetime import datetime, timezone

import netobj


class TimeService(netobj.Service):
    """Tells the time. Datetimes travel as values."""

    @netobj.exposed
    def now(self) -> datetime:
        return datetime.now(timezone.utc)


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = netobj.ThreadedServer(TimeService, hostname="localhost", port=port)
    print(f"listening on port {server.port}", flush=True)
    server.start()


if __name__ == "__main__":
    main()
