"""Events: a server watches files and tells its clients when one of them changes.

    python examples/file_monitor.py serve [PORT]
    python examples/file_monitor.py watch HOST PORT FILE [COUNT]

The client ends after COUNT changes (without it: never).
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

import netobj

Listener = Callable[[int, int], object]

LOOK_SECONDS = 0.05
"""How often the server looks at the files."""


def size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


class FileMonitorService(netobj.Service):
    """One for each connection, with a thread that looks at that client's files."""

    def on_connect(self, conn: Any) -> None:
        self._watched: dict[str, tuple[int, Listener]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        netobj.spawn(self._look)

    def on_disconnect(self, conn: Any) -> None:
        self._over.set()

    @netobj.exposed
    def watch(self, path: str, listener: Listener) -> None:
        """Call *listener* with the old and the new size (bytes) when *path* changes."""
        with self._lock:
            self._watched[path] = (size_of(path), netobj.async_(listener))

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                for old, new, listener in self._changes():
                    listener(old, new)
            except netobj.ConnectionLost:
                return

    def _changes(self) -> list[tuple[int, int, Listener]]:
        changes = []
        with self._lock:
            for path, (old, listener) in self._watched.items():
                new = size_of(path)
                if new != old:
                    self._watched[path] = (new, listener)
                    changes.append((old, new, listener))
        return changes


def serve(port: int = 0) -> None:
    server = netobj.ThreadedServer(FileMonitorService, hostname="localhost", port=port)
    print(f"listening on port {server.port}", flush=True)
    server.start()


def watch(host: str, port: int, path: str, count: float) -> None:
    changes: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    with netobj.connect(host, port) as conn:
        conn.root.watch(os.path.abspath(path), lambda old, new: changes.put((old, new)))
        print(f"watching {path}", flush=True)
        while count > 0:
            # The program could do anything here: events come in by themselves.
            old, new = changes.get()
            print(f"{path}: {old} -> {new} bytes", flush=True)
            count -= 1


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    command, *rest = sys.argv[1:]
    if command == "serve":
        serve(*map(int, rest))
    else:
        host, port, path = rest[:3]
        watch(host, int(port), path, int(rest[3]) if len(rest) > 3 else float("inf"))


if __name__ == "__main__":
    main()
