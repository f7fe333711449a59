"""Monkey-patching: a local program that uses the network, and the clock, of the other side.

    python examples/borrowed_network.py HOST PORT TARGET_HOST TARGET_PORT

HOST and PORT are those of a classic server (netobj_classic). Fetches the first line that
TARGET sends, with ordinary code that knows nothing of netobj; but the connection leaves from
the server's machine, which may reach what we do not.
"""

from __future__ import annotations

import socket
import sys
import time
from unittest import mock

import netobj


def first_line(host: str, port: int) -> str:
    """What a program does with the standard library."""
    with socket.create_connection((host, port), timeout=10) as sock:
        received = b""
        while b"\n" not in received:
            data = sock.recv(1024)
            if not data:
                break
            received += data
    return received.split(b"\n")[0].decode()


def epoch() -> float:
    """A clock that stands still."""
    return 0.0


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    host, port, target_host, target_port = sys.argv[1:]
    with netobj.classic.connect(host, int(port)) as conn:
        there = conn.modules.socket
        with mock.patch.object(socket, "create_connection", there.create_connection):
            print("the target says:", first_line(target_host, int(target_port)))

        # The same the other way round: for a moment, the other side sees our clock.
        conn.execute("import time")
        with mock.patch.object(conn.modules.time, "time", epoch):
            print("the time over there:", conn.eval("time.time()"))
        print("and its own clock again:", abs(conn.eval("time.time()") - time.time()) < 3600)


if __name__ == "__main__":
    main()
