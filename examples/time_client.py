"""How far is the clock of a time_server.py from ours?

    python examples/time_client.py HOST PORT

Takes the best of ten answers.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

import netobj


def offset(conn: netobj.Connection) -> timedelta:
    """The other clock minus ours, as if the answer had been written halfway."""
    asked = datetime.now(timezone.utc)
    answer: datetime = conn.root.now()
    answered = datetime.now(timezone.utc)
    return answer - (asked + (answered - asked) / 2)


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    host, port = sys.argv[1:]
    with netobj.connect(host, int(port)) as conn:
        smallest = min((offset(conn) for _ in range(10)), key=abs)
    print(f"the other clock is {smallest.total_seconds():+.3f} s from ours")


if __name__ == "__main__":
    main()
