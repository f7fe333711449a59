"""A chain of ten dependent calls, pipelined: one round trip.

``python benchmarks/pipelining.py``: each skin as client, each server in a process of its own,
behind a relay that counts what passes and delays it. A round trip is counted where the client
asks something after it has received something (what it drops it may release at any time).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

import netobj
from netobj.core.consts import DEFAULT_LIMITS, Kind, Limit
from netobj.core.framing import FrameReader
from processes import CLIENTS, SERVERS, Verdict, serve, server_process

CALLS = 10
DELAY = 0.02  # seconds, each way


class Link:
    """One of a chain of objects."""

    def __init__(self, number: int) -> None:
        self._number = number

    @netobj.exposed
    def next(self) -> Link:
        return Link(self._number + 1)

    @netobj.exposed
    def number(self) -> int:
        return self._number


class ChainService(netobj.Service):
    """The first object of a chain."""

    server: Any = None

    @netobj.exposed
    def first(self) -> Link:
        return Link(1)


class Relay:
    """Passes on what comes to its port, with a delay, and counts. Threads do the work.

    ``_lock`` protects the counts and which way the last bytes went.
    """

    def __init__(self, port: int, delay: float) -> None:
        self._delay = delay
        self._lock = threading.Lock()
        self._outwards = False
        self.round_trips = 0
        self.sent = 0  # pieces from the client that ask
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            self._server = socket.create_connection(("127.0.0.1", port))
            accepting = threading.Thread(target=self._accept, args=(listener.dup(),), daemon=True)
            accepting.start()

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            client, _ = listener.accept()
        self._client = client
        for sock in (client, self._server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target in ((client, self._server), (self._server, client)):
            queue: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
            for work in (self._read, self._write):
                sock = source if work == self._read else target
                threading.Thread(target=work, args=(sock, queue), daemon=True).start()

    def _read(self, source: socket.socket, queue: SimpleQueue[tuple[float, bytes]]) -> None:
        outwards = source is self._client
        reader = FrameReader(DEFAULT_LIMITS[Limit.FRAME])
        data = b"?"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            if data and (not outwards or _asks(reader, data)):
                self._count(outwards)
            queue.put((time.perf_counter() + self._delay, data))

    def _write(self, target: socket.socket, queue: SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = queue.get()
                time.sleep(max(0.0, due - time.perf_counter()))
                if not data:
                    break
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _count(self, outwards: bool) -> None:
        with self._lock:
            self.sent += outwards
            if outwards and not self._outwards:
                self.round_trips += 1
            self._outwards = outwards

    def close(self) -> None:
        """Cut the connection."""
        for sock in (self._client, self._server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _asks(reader: FrameReader, data: bytes) -> bool:
    """Whether *data*, which comes next, completes a request."""
    reader.feed(data)
    asks = False
    while (body := reader.next_message()) is not None:
        kind = body[1]  # behind the byte that begins a short array
        asks = asks or kind in (Kind.REQUEST, Kind.ASYNC_REQUEST)
    return asks


def measure(client: str, kind: str, calls: int, delay: float) -> dict[str, float]:
    """Round trips and seconds of *calls* dependent calls, and of a single call."""
    with server_process(__file__, kind) as server:
        relay = Relay(server.port, delay)
        try:
            if client == "aio":
                return asyncio.run(_measure_aio(relay, calls))
            return _measure_blocking(relay, calls)
        finally:
            relay.close()


class Count:
    """What a relay has counted since the making of this object."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._begin = relay.round_trips, relay.sent
        self._since = time.perf_counter()

    def figures(self, name: str) -> dict[str, float]:
        """Round trips, pieces with which the client has asked, and seconds."""
        round_trips, sent = self._begin
        return {
            f"{name}: round trips": self._relay.round_trips - round_trips,
            f"{name}: pieces that the client sent": self._relay.sent - sent,
            f"{name}: ms": (time.perf_counter() - self._since) * 1e3,
        }


def _measure_blocking(relay: Relay, calls: int) -> dict[str, float]:
    with netobj.connect("127.0.0.1", relay.port) as conn:
        root = conn.root
        root.first()
        single = Count(relay)
        root.first()
        found = single.figures("a call")
        chain = Count(relay)
        with netobj.batch(conn):
            link = root.first()
            for _ in range(calls - 2):
                link = link.next()
            number = link.number()
        found |= chain.figures("the chain")
        assert number.value == calls - 1
        return found


async def _measure_aio(relay: Relay, calls: int) -> dict[str, float]:
    async with netobj.aio.connect("127.0.0.1", relay.port) as conn:
        root = conn.root
        await root.first()
        single = Count(relay)
        await root.first()
        found = single.figures("a call")
        chain = Count(relay)
        link = root.first()
        for _ in range(calls - 2):
            link = link.next()
        number = await link.number()
        found |= chain.figures("the chain")
        assert number == calls - 1
        return found


def main() -> None:
    """Print the figures of every pairing."""
    verdict = Verdict()
    for client in CLIENTS:
        for kind in SERVERS:
            print(f"{client} client, {kind}: {CALLS} dependent calls, {DELAY * 1e3:g} ms each way")
            for name, figure in measure(client, kind, CALLS, DELAY).items():
                held = name == "the chain: round trips"
                verdict.show(f"    {name}", figure, 1 if held else None)
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(ChainService, *sys.argv[2:])
    else:
        main()
