from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj.registry.client import UDPRegistryClient
from netobj.registry.server import UDPRegistryServer
from patience import HANG, wait_until


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


def test_connect_by_service_over_tls_and_with_a_token(certificates: Certificates) -> None:
    right, wrong = (
        netobj.TokenAuthenticator(f"the {word} token of all") for word in ("right", "wrong")
    )

    async def main(registrar: UDPRegistryClient) -> None:
        def connecting(**how: Any) -> Any:
            context = {"ssl_context": certificates.client, "server_hostname": "localhost", **how}
            return netobj.aio.connect_by_service(
                "ECHO", registrar=registrar, timeout=HANG, **context
            )

        for _ in range(5):
            async with connecting(authenticator=right) as conn:
                assert await conn.root.echo(1) == 1
        with pytest.raises(netobj.AuthenticationError):
            await connecting(authenticator=wrong)
        with pytest.raises(netobj.DiscoveryError, match="IP address mismatch"):
            await connecting(authenticator=right, server_hostname=None)
        with pytest.raises(TypeError, match="on an event loop an authenticator is"):
            connecting(authenticator=lambda sock: (sock, None))

    with UDPRegistryServer(port=0) as registry:
        registrar = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        with (
            netobj.ThreadedServer(EchoService) as stranger,  # speaks no TLS: it is passed over
            netobj.AsyncServer(
                EchoService,
                registrar=registrar,
                ssl_context=certificates.server,
                authenticator=right,
            ),
        ):
            registrar.register(("ECHO",), stranger.port)
            wait_until(lambda: len(registrar.discover("ECHO")) == 2)
            asyncio.run(main(registrar))
