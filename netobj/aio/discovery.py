"""Finding services by their names, from an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, Final

from netobj.aio.connection import Connection
from netobj.aio.factory import Connecting, connect_socket, open_tcp
from netobj.core.service import VoidService
from netobj.registry import discovery
from netobj.registry.places import Address
from netobj.sockets import address_text

Settings = Mapping[str, Any]
_NONE: Final[Settings] = {}


async def discover(
    service_name: str, host: str | None = None, registrar: Any = None, timeout: float = 2
) -> tuple[Address, ...]:
    """As :func:`netobj.discover`, which a thread does meanwhile."""
    return await asyncio.to_thread(discovery.discover, service_name, host, registrar, timeout)


def connect_by_service(
    service_name: str,
    host: str | None = None,
    registrar: Any = None,
    timeout: float = 2,
    service: Any = VoidService,
    config: Settings = _NONE,
) -> Connecting:
    """As :func:`netobj.connect_by_service`, to be awaited or entered as :func:`connect` is.

    >>> import netobj
    >>> from netobj.utils.registry import UDPRegistryClient, UDPRegistryServer
    >>> class EchoService(netobj.Service):
    ...     async def exposed_echo(self, text): return text
    >>> async def main(registrar):
    ...     async with netobj.aio.connect_by_service("ECHO", registrar=registrar) as conn:
    ...         return await conn.root.echo("hello")
    >>> with UDPRegistryServer("127.0.0.1", port=0) as registry:
    ...     registrar = UDPRegistryClient("127.0.0.1", registry.port)
    ...     with netobj.AsyncServer(EchoService, registrar=registrar):
    ...         asyncio.run(main(registrar))
    'hello'
    """

    async def connecting() -> Connection:
        refusals = []
        found = await discover(service_name, host, registrar, timeout)
        for address in discovery.in_any_order(found):
            try:
                sock = await _open(address, max(timeout, discovery.REACH))
            except (OSError, asyncio.TimeoutError) as exc:  # not yet a TimeoutError in Python 3.10
                refusals.append(f"{address_text(address)}: {exc}")
            else:
                return await connect_socket(sock, service, config)
        raise discovery.unreachable(service_name, refusals)

    return Connecting(connecting())


async def _open(address: Address, patience: float) -> socket.socket:
    return await asyncio.wait_for(open_tcp(*address, socket.AF_UNSPEC), patience)
