"""A program with a loop of its own: the server's events run in it, between its other work.

    python examples/by_hand.py

So do hosts that insist on their main thread: GUI loops, Blender, Maya.
"""

from __future__ import annotations

import selectors
import socket
import sys
import threading
from collections.abc import Callable

import beside

import netobj


class TickerService(netobj.Service):
    """Calls whoever subscribes, a few times."""

    @netobj.exposed
    def subscribe(self, count: int, on_tick: Callable[[int], object]) -> None:
        tick = netobj.async_(on_tick)
        netobj.spawn(lambda: [tick(number) for number in range(count)])


def serve() -> None:
    server = netobj.ThreadedServer(TickerService, hostname="localhost")
    print(server.port, flush=True)
    server.start()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    seen: list[tuple[int, bool]] = []

    def on_tick(number: int) -> None:
        seen.append((number, threading.current_thread() is threading.main_thread()))

    keyboard, typist = socket.socketpair()  # what else this program waits for
    with (
        beside.server(__file__) as port,
        netobj.connect("localhost", port, config={"serve": "caller"}) as conn,
        selectors.DefaultSelector() as selector,
        keyboard,
        typist,
    ):
        selector.register(conn.fileno(), selectors.EVENT_READ, "server")
        selector.register(keyboard, selectors.EVENT_READ, "keyboard")
        conn.root.subscribe(3, on_tick)
        typist.send(b"q")
        typed = b""
        while len(seen) < 3 or not typed:
            for key, _ in selector.select():
                if key.data == "server":
                    conn.poll_all()
                else:
                    typed = keyboard.recv(1)
    print("ticks in the main thread:", [number for number, main in seen if main])
    print("typed meanwhile:", typed.decode())


if __name__ == "__main__":
    main()
