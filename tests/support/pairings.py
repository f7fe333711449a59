"""Two skins by two skins: what lets one test be written once for all four pairings.

A :class:`Pair` is a client of either skin, connected to a server of either skin over a real
socket; see :mod:`skins` for how tests use the client.
"""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import netobj
from netobj import aio
from netobj.blocking.connection import Connection as BlockingConnection
from patience import HANG, wait_until
from relay import Relay
from skins import AioClient, Background, BlockingClient, Client

__all__ = ["Background", "Pair", "Pairing", "wait_until"]


class Server:
    """A server of either skin; *skin* is "blocking" or "aio", *loop* where the latter lives."""

    def __init__(self, skin: str, service: Any, config: dict[str, Any], loop: Background) -> None:
        self.skin = skin
        self._loop = loop
        self.server: Any
        if skin == "aio":
            self.server = loop.call(_make_server, service, config)
            loop.run(self.server.start())
        else:
            self.server = netobj.ThreadedServer(
                service, hostname="127.0.0.1", protocol_config=config
            )
            self.server.__enter__()
        self.port: int = self.server.port

    @property
    def connections(self) -> tuple[Any, ...]:
        """The connections of the server."""
        return self.server.connections

    def close(self) -> None:
        """End the server."""
        if self.skin == "aio":
            self._loop.run(self.server.close())
        else:
            self.server.__exit__(None, None, None)


def _make_server(service: Any, config: dict[str, Any]) -> aio.Server:
    return aio.Server(service, "127.0.0.1", config=config)


class Pair:
    """A client and a server that are connected; the client's methods are the pair's.

    *keeps*: the connection itself keeps references, as those of classic mode do.
    """

    def __init__(
        self, client: Any, server: Server, relay: Relay | None, keeps: bool = False
    ) -> None:
        self.keeps = keeps
        self.client = client
        self.server = server
        self.relay: Any = relay
        wait_until(lambda: server.connections)
        self.served = server.connections[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def assert_clean(self) -> None:
        """Nothing is left in any table of either side, once all news has travelled."""
        end = time.monotonic() + HANG / 4
        pause = threading.Event()
        while left := self.left():
            assert time.monotonic() < end, f"left in the tables: {left}"
            gc.collect()
            for side in (self.client.connection, self.served):
                _flush_releases(side)
            pause.wait(0.002)

    def left(self) -> dict[str, Any]:
        """What is in the tables of the two sides."""
        found = {}
        for side, connection in (("client", self.client.connection), ("server", self.served)):
            session = connection.session
            tables = {
                "pending": session.pending,
                "running": session.running,
                "answers": session.boxing.answers,
                "flows": session.flows,
            }
            if not self.keeps:
                exports = [type(one.obj).__name__ for one in list(session.boxing.exports.values())]
                tables.update(exports=exports, imports=session.boxing.imports)
            found.update({f"{side} {name}": table for name, table in tables.items() if len(table)})
        return found


def _flush_releases(connection: Any) -> None:
    if isinstance(connection, BlockingConnection):
        connection.flush_releases()
        return
    try:
        connection.loop.call_soon_threadsafe(connection.flush_releases)
    except RuntimeError:  # the loop has ended
        pass


class Pairing:
    """Makes pairs of two given skins, and ends them."""

    def __init__(self, client: str, server: str, here: Background, there: Background) -> None:
        self.client = client
        self.server = server
        self.here = here
        self.there = there
        self._pairs: list[Pair] = []
        self._servers: list[Server] = []
        self._relays: list[Relay] = []

    def serve(self, service: Any, **config: Any) -> Server:
        """A server of the pairing's skin."""
        server = Server(self.server, service, config, self.there)
        self._servers.append(server)
        return server

    def join(
        self,
        service: Any,
        *,
        config: dict[str, Any] | None = None,
        own: Any = netobj.VoidService,
        own_config: dict[str, Any] | None = None,
        relay: bool = False,
        classic: bool = False,
    ) -> Pair:
        """A server of *service* with *config*, and a client that shows *own* with *own_config*.

        *relay*: with a :class:`Relay` in between. *classic*: the client is one of classic mode.
        """
        server = self.serve(service, **config or {})
        between = Relay(server.port) if relay else None
        if between is not None:
            self._relays.append(between)
        port = server.port if between is None else between.port
        client = self.connect(port, own, own_config or {}, classic)
        pair = Pair(client, server, between, classic)
        self._pairs.append(pair)
        return pair

    def connect(
        self, port: int, own: Any = netobj.VoidService, config: Any = None, classic: bool = False
    ) -> Client:
        """A client of the pairing's skin; whoever asks closes it."""
        config = config or {}
        if self.client == "blocking":
            if classic:
                return BlockingClient(netobj.classic.connect("127.0.0.1", port), self.here)
            connection = netobj.connect("127.0.0.1", port, own, config)
            return BlockingClient(connection, self.here)

        async def connect() -> Any:
            if classic:
                return await aio.classic.connect("127.0.0.1", port)
            return await aio.connect("127.0.0.1", port, own, config)

        return AioClient(self.here.run(connect()), self.here)

    def check(self) -> None:
        """Nothing is left in any table."""
        for pair in self._pairs:
            pair.assert_clean()

    def close(self) -> None:
        """End all that was made."""
        for pair in self._pairs:
            pair.client.close()
        for server in self._servers:
            server.close()
        for relay in self._relays:
            relay.close()
