"""netobj on an event loop: references that read naturally and never block.

>>> import asyncio, netobj
>>> class Calculator(netobj.Service):
...     @netobj.exposed
...     async def add(self, a, b): return a + b
>>> async def main():
...     async with netobj.aio.Server(Calculator, "localhost") as server:
...         async with netobj.aio.connect("localhost", server.port) as conn:
...             return await conn.root.add(1, 2)
>>> asyncio.run(main())
3
"""

from __future__ import annotations

from netobj.aio import classic, op
from netobj.aio.connection import Connection
from netobj.aio.discovery import connect_by_service, discover
from netobj.aio.factory import connect, connect_socket, connect_url, ssl_connect, unix_connect
from netobj.aio.op import copy_of
from netobj.aio.reference import Reference
from netobj.aio.server import Server
from netobj.aio.stubs import stub
from netobj.core.ends import AsyncDuplex, AsyncIncoming

__all__ = [
    "AsyncDuplex",
    "AsyncIncoming",
    "Connection",
    "Reference",
    "Server",
    "classic",
    "connect",
    "connect_by_service",
    "connect_socket",
    "connect_url",
    "copy_of",
    "discover",
    "op",
    "ssl_connect",
    "stub",
    "unix_connect",
]
