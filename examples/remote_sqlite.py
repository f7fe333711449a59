"""A database of the other side, read here: its cursor is a remote iterator, fetched in chunks.

    python examples/remote_sqlite.py [HOST PORT]

HOST and PORT are those of a classic server (netobj_classic); without them a process is started.
"""

from __future__ import annotations

import sys
from typing import Any

import netobj

ROWS = 5_000


def fill(db: Any) -> None:
    """Make *db* a table of readings; teleported, so that the loop runs beside the database."""
    db.execute("create table reading (id integer primary key, celsius real)")
    with db:
        db.executemany(
            "insert into reading (celsius) values (?)", ((20 + n % 10 / 10,) for n in range(5_000))
        )


def main() -> None:
    if sys.argv[1:]:
        host, port = sys.argv[1:]
        conn = netobj.classic.connect(host, int(port))
    else:
        conn = netobj.classic.connect_subproc()
    with conn:
        # Calls of one connection may run in different threads over there; one at a time here.
        db = conn.modules.sqlite3.connect(":memory:", check_same_thread=False)
        conn.teleport(fill)(db)

        (count,) = db.execute("select count(*) from reading").fetchone()
        print(f"{count} readings over there")

        # Rows are tuples and come as values. Iterating the cursor itself would make a round
        # trip for each row; buffiter makes a few.
        cursor = db.execute("select id, celsius from reading where celsius > 20.75")
        warm = [number for number, _ in netobj.buffiter(cursor, chunk=100)]
        print(f"{len(warm)} of them warm, the first: {warm[:3]}")

        try:
            db.execute("select * from no_such_table")
        except Exception as error:  # a sqlite3 error of the other side
            print(f"{type(error).__name__}: {error}")
        db.close()
    if conn.proc is not None:
        conn.proc.wait()


if __name__ == "__main__":
    main()
