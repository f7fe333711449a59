from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import netobj
from netobj.registry.client import UDPRegistryClient
from netobj.registry.server import UDPRegistryServer
from patience import HANG


class EchoService(netobj.Service):
    async def exposed_echo(self, value: Any) -> Any:
        return value


def test_discover_and_connect_by_service() -> None:
    with UDPRegistryServer(port=0) as registry:
        registrar = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        with socket.socket() as sock:  # bound, and not listening
            sock.bind(("127.0.0.1", 0))
            dead = sock.getsockname()
            registrar.register(("ECHO", "DEAD"), dead[1])

            async def main(port: int) -> None:
                found = await netobj.aio.discover("echo", "localhost", registrar, HANG)
                assert set(found) >= {dead}
                registrar.register(("ECHO",), port)
                for _ in range(3):
                    connecting = netobj.aio.connect_by_service("ECHO", registrar=registrar)
                    async with connecting as conn:
                        assert await conn.root.echo(1) == 1
                conn = await netobj.aio.connect_by_service("ECHO", registrar=registrar)
                assert await conn.root.echo(2) == 2
                await conn.close()
                with pytest.raises(netobj.DiscoveryError, match=r"can be reached: 127\.0\.0\.1:"):
                    await netobj.aio.connect_by_service("DEAD", registrar=registrar)
                with pytest.raises(netobj.DiscoveryError, match="was found"):
                    await netobj.aio.connect_by_service("NONE", registrar=registrar, timeout=0)

            with netobj.AsyncServer(EchoService) as server:
                asyncio.run(main(server.port))
