"""A live read-out: an instrument's readings as a stream, for as long as somebody looks.

    python examples/readout.py serve [PORT]
    python examples/readout.py watch HOST PORT CHANNEL COUNT

The server measures only while a client takes the readings; here it is asyncio's, and its client
blocks, but either could be either.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import netobj

INTERVAL = 0.02
"""Seconds between readings."""


class MeterService(netobj.Service):
    """A meter of four channels, whose values rise steadily."""

    @netobj.exposed(stream=True)
    async def readings(self, channel: int) -> AsyncIterator[float]:
        """The voltage of *channel*, for ever. Raises ValueError if there is no such channel."""
        if channel not in range(4):
            raise ValueError(f"there is no channel {channel}: 0 to 3")
        print(f"channel {channel} is on", flush=True)
        try:
            volts = float(channel)
            while True:
                yield volts
                await asyncio.sleep(INTERVAL)
                volts += 0.25
        finally:  # the client has left the loop, or is gone
            print(f"channel {channel} is off", flush=True)


async def serve(port: int = 0) -> None:
    async with netobj.aio.Server(MeterService, "localhost", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


def watch(host: str, port: int, channel: int, count: int) -> None:
    with netobj.connect(host, port) as conn, conn.root.readings(channel) as readings:
        for number, volts in enumerate(readings, 1):
            print(f"{volts:.2f} V", flush=True)
            if number == count:
                break


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    command, *rest = sys.argv[1:]
    if command == "serve":
        asyncio.run(serve(*map(int, rest)))
    else:
        host, port, channel, count = rest
        watch(host, int(port), int(channel), int(count))


if __name__ == "__main__":
    main()
