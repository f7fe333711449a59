"""How many bytes netobj's requests and replies have: what the raw floor sends, too."""

from __future__ import annotations

import asyncio
import select
import socket
import threading

import netobj
from measuring import Job
from peers.netobj_peer import BenchService, Client, open_call
from workloads import CALLBACKS, WORKLOADS, How

PING_PONGS = ("plain", "bound", "nested", "attribute", "fresh_list", "fresh_object", "callbacks")
"""Operations with a floor of the same bytes. For other calls those of a bound call are taken."""

REPEATS = 20


class CountingRelay:
    """Passes on what comes to its port, in a thread, and counts bytes: there, and back."""

    def __init__(self, port: int) -> None:
        self.counts = [0, 0]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, args=(port,), daemon=True).start()

    def _run(self, port: int) -> None:
        with self._listener, socket.create_connection(("127.0.0.1", port)) as server:
            client, _ = self._listener.accept()
            ends = (client, server)
            with client:
                while True:
                    for source in select.select(ends, (), ())[0]:
                        data = source.recv(65536)
                        if not data:
                            return
                        way = ends.index(source)
                        self.counts[way] += len(data)
                        ends[1 - way].sendall(data)


def frame_sizes() -> dict[str, tuple[int, int]]:
    """Workload -> bytes of a request and of its reply."""
    found = {operation: _sizes(operation) for operation in PING_PONGS}
    there, back = found["callbacks"]
    found["callbacks"] = (back // CALLBACKS, there // CALLBACKS)  # it is the server that calls
    on_loop = asyncio.run(_sizes_on_loop())
    return {
        workload.name: on_loop
        if workload.how is How.ASYNC
        else found.get(workload.operation, found["bound"])
        for workload in WORKLOADS
    }


def _sizes(operation: str) -> tuple[int, int]:
    with netobj.ThreadedServer(BenchService, hostname="127.0.0.1") as server:
        relay = CountingRelay(server.port)
        client = Client(Job("measure", "netobj_peer", address=str(relay.port)))
        call = getattr(client, operation)()
        call()
        begin = tuple(relay.counts)
        for _ in range(REPEATS):
            call()
        sizes = _each(relay, begin)
        client.close()
    return sizes


async def _sizes_on_loop() -> tuple[int, int]:
    async with netobj.aio.Server(BenchService, "127.0.0.1") as server:
        relay = CountingRelay(server.port)
        call = await open_call(Job("measure", "netobj_peer", address=str(relay.port)))
        await call()
        begin = tuple(relay.counts)
        for _ in range(REPEATS):
            await call()
        return _each(relay, begin)


def _each(relay: CountingRelay, begin: tuple[int, ...]) -> tuple[int, int]:
    there, back = ((now - then) // REPEATS for now, then in zip(relay.counts, begin, strict=True))
    return there, back
