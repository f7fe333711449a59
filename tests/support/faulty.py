"""A wire that fails in all the ways in which networks do: what is between two sides is the test's.

Nothing is reordered, lost or changed in the middle, as TCP has it: what comes through is always a
beginning of what was sent.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import NamedTuple

from patience import HANG

RESET = struct.pack("ii", 1, 0)
"""Of SO_LINGER: closing the socket resets the connection."""
QUESTIONS, ANSWERS = "questions", "answers"
"""The two directions: what the client sends, and what the server does."""


class Fault(NamedTuple):
    """What is wrong with one direction of a :class:`FaultyWire`. By itself nothing is.

    *delay*: seconds that each piece is held back. *throttle*: bytes a second that come through.
    *at*: so many bytes come through, then it happens: by *how* it is "cut" (both sides see an
    orderly end), "reset", or "dead": sockets stay open, but nothing comes through any more, in no
    direction.
    """

    delay: float = 0.0
    throttle: float = 0.0
    at: int | None = None
    how: str = "cut"


_NONE = Fault()


class FaultyWire:
    """Passes bytes between any number of clients, who connect to ``port``, and a server.

    *target* is the server's port. *questions* and *answers* are the faults of the two directions;
    they hold for each connection by itself.

    >>> with socket.create_server(("127.0.0.1", 0)) as listener:
    ...     with FaultyWire(listener.getsockname()[1], questions=Fault(at=3)) as wire:
    ...         client = socket.create_connection(("127.0.0.1", wire.port))
    ...         server, _ = listener.accept()
    ...         client.sendall(b"four")
    ...         server.recv(10), server.recv(10), client.recv(10)
    (b'fou', b'', b'')
    >>> client.close(); server.close()
    """

    def __init__(self, target: int, questions: Fault = _NONE, answers: Fault = _NONE) -> None:
        self._target = target
        self._faults = {QUESTIONS: questions, ANSWERS: answers}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()  # protects what follows
        self._wires: list[_Wire] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._closed = False
        self._threads[0].start()

    @property
    def passed(self) -> dict[str, int]:
        """How many bytes have come through in each direction, of all connections."""
        with self._lock:
            return {name: sum(one.passed[name] for one in self._wires) for name in self._faults}

    def cut(self) -> None:
        """Let both sides of each connection see its end."""
        self._each(_Wire.cut)

    def reset(self) -> None:
        """Reset each connection, at both ends."""
        self._each(_Wire.reset)

    def die(self) -> None:
        """Pass on nothing more, and tell nobody."""
        self._each(_Wire.die)

    def close(self) -> None:
        """End all connections and threads."""
        with self._lock:
            self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(HANG)
            assert not thread.is_alive(), "a faulty wire hangs"
        for wire in self._wires:
            wire.close()

    def __enter__(self) -> FaultyWire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _each(self, what: object) -> None:
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            what(wire)  # type: ignore[operator]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            wire = _Wire(client, server, self._faults)
            threads = [
                threading.Thread(target=wire.carry, args=(name,), daemon=True)
                for name in self._faults
            ]
            with self._lock:
                self._wires.append(wire)
                self._threads += threads
                if self._closed:
                    wire.cut()
            for thread in threads:
                thread.start()


class _Wire:
    """One connection."""

    def __init__(
        self, client: socket.socket, server: socket.socket, faults: dict[str, Fault]
    ) -> None:
        self._ends = {QUESTIONS: (client, server), ANSWERS: (server, client)}
        self._faults = faults
        self.passed = dict.fromkeys(faults, 0)
        self._dead = False
        self._over = threading.Event()
        for sock in self._ends[QUESTIONS]:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def carry(self, name: str) -> None:
        """Pass on what comes in the direction *name*, until its end."""
        source, sink = self._ends[name]
        fault = self._faults[name]
        if fault.at == 0:
            self._fail(fault)
        try:
            size = max(1, int(fault.throttle / 100)) if fault.throttle else 65536
            while data := source.recv(size):
                self._wait(fault.delay + (len(data) / fault.throttle if fault.throttle else 0))
                fails = fault.at is not None and self.passed[name] + len(data) >= fault.at
                if fails:
                    data = data[: fault.at - self.passed[name]]
                if self._dead:
                    continue
                sink.sendall(data)
                self.passed[name] += len(data)
                if fails:
                    self._fail(fault)
                    if not self._dead:
                        return
            if not self._dead:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()

    def _wait(self, seconds: float) -> None:
        if seconds and not self._over.is_set():
            time.sleep(seconds)

    def _fail(self, fault: Fault) -> None:
        {"cut": self.cut, "reset": self.reset, "dead": self.die}[fault.how]()

    def die(self) -> None:
        self._dead = True

    def reset(self) -> None:
        self._dead = True  # or who carries would tell of the end before
        self._over.set()
        for sock in self._ends[QUESTIONS]:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            # A thread that waits in recv() keeps the descriptor in use: so it is told first.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RD)
            sock.close()

    def cut(self) -> None:
        self._over.set()
        for sock in self._ends[QUESTIONS]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for sock in self._ends[QUESTIONS]:
            sock.close()
