"""A chat room on event loops: each client has a two-way stream to the server.

    python examples/aio_chat.py serve [PORT]
    python examples/aio_chat.py join HOST PORT NAME

A joined client sends what it reads from its standard input, and leaves at its end. Compare
chat.py, where the server calls its clients back.
"""

from __future__ import annotations

import asyncio
import sys

import netobj

Lines = asyncio.Queue[str]

MOST_LINES = 1000
"""Lines that wait for a slow client; it misses what comes when there are more."""


class ChatService(netobj.Service):
    """Shared by all connections. Everything runs on one loop, so the table needs no lock."""

    def __init__(self) -> None:
        self._members: dict[str, Lines] = {}

    @netobj.exposed
    async def join(self, stream: netobj.AsyncDuplex, name: str) -> None:
        """Until the client ends its half of *stream*, or is gone, *name* is in the room."""
        if name in self._members:
            raise ValueError(f"{name} is here already")
        lines = self._members[name] = Lines(MOST_LINES)
        showing = asyncio.create_task(_show(lines, stream))
        try:
            self._say(f"* {name} has come")
            async for text in stream:
                self._say(f"{name}: {text}")
        finally:
            showing.cancel()
            del self._members[name]
            self._say(f"* {name} has gone")

    def _say(self, line: str) -> None:
        for lines in self._members.values():
            if not lines.full():
                lines.put_nowait(line)


async def _show(lines: Lines, stream: netobj.AsyncDuplex) -> None:
    try:
        while True:
            await stream.send(await lines.get())
    except (netobj.StreamClosed, netobj.ConnectionLost):
        pass  # the client is gone, and join() is about to notice


async def serve(port: int = 0) -> None:
    async with netobj.aio.Server(ChatService(), "localhost", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


async def join(host: str, port: int, name: str) -> None:
    async with netobj.aio.connect(host, port) as conn, conn.root.join.open(name) as stream:
        talking = asyncio.create_task(_talk(stream))
        async for line in stream:
            print(line, flush=True)
        await talking


async def _talk(stream: netobj.AsyncDuplex) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        await stream.send(line.rstrip("\n"))
    stream.end()


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    command, *rest = sys.argv[1:]
    if command == "serve":
        asyncio.run(serve(*map(int, rest)))
    else:
        host, port, name = rest
        asyncio.run(join(host, int(port), name))


if __name__ == "__main__":
    main()
