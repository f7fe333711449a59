"""A chat room: clients give the server a callback, and the server calls it for every line.

    python examples/chat.py serve [PORT]
    python examples/chat.py join HOST PORT NAME

A joined client sends what it reads from its standard input, and leaves at its end.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import netobj


class Room:
    """Who is here. Shared by all connections, so a lock guards the table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, Callable[[str], object]] = {}

    def enter(self, name: str, listener: Callable[[str], object]) -> None:
        with self._lock:
            if name in self._listeners:
                raise ValueError(f"{name} is here already")
            # async_: a client that is slow to print does not hold the others up.
            self._listeners[name] = netobj.async_(listener)
        self.say(f"* {name} has come")

    def leave(self, name: str) -> None:
        with self._lock:
            gone = self._listeners.pop(name, None)
        if gone is not None:
            self.say(f"* {name} has gone")

    def say(self, line: str) -> None:
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            try:
                listener(line)
            except netobj.ConnectionLost:
                pass  # its on_disconnect takes it off the table


class ChatService(netobj.Service):
    """One for each connection; all of them share the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._name = ""

    def on_disconnect(self, conn: Any) -> None:
        self._room.leave(self._name)

    @netobj.exposed
    def join(self, name: str, listener: Callable[[str], object]) -> None:
        self._room.enter(name, listener)
        self._name = name

    @netobj.exposed
    def say(self, text: str) -> None:
        self._room.say(f"{self._name}: {text}")


def serve(port: int = 0) -> None:
    service = netobj.classpartial(ChatService, Room())
    server = netobj.ThreadedServer(service, hostname="localhost", port=port)
    print(f"listening on port {server.port}", flush=True)
    server.start()


def join(host: str, port: int, name: str) -> None:
    def show(line: str) -> None:
        print(line, flush=True)

    with netobj.connect(host, port) as conn:
        conn.root.join(name, show)
        for line in sys.stdin:
            conn.root.say(line.rstrip("\n"))


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    command, *rest = sys.argv[1:]
    if command == "serve":
        serve(*map(int, rest))
    else:
        host, port, name = rest
        join(host, int(port), name)


if __name__ == "__main__":
    main()
