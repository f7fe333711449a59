"""Finding services by their names, from an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from functools import partial
from ssl import SSLContext
from typing import Any

from netobj.aio.factory import (
    Connecting,
    Security,
    connect_wire,
    connecting,
    open_tcp,
    over,
    security_for,
)
from netobj.aio.wire import Wire
from netobj.auth.authenticator import Authenticator
from netobj.auth.psk import PreSharedKey
from netobj.core.config import EMPTY, Settings
from netobj.core.service import VoidService
from netobj.errors import ConnectionLost
from netobj.interceptors.hooks import with_interceptors
from netobj.lasting import Reconnect
from netobj.registry import discovery
from netobj.registry.places import Address
from netobj.sockets import address_text


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
    config: Settings = EMPTY,
    *,
    ssl_context: SSLContext | None = None,
    server_hostname: str | None = None,
    authenticator: Authenticator | None = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
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
    config = with_interceptors(config, interceptors)

    def security(address: Address) -> Security:
        hostname = server_hostname or address[0]
        return security_for(ssl_context, hostname, authenticator, config, psk)

    async def open_wire(wire: Callable[[], Wire]) -> None:
        refusals = []
        found = await discover(service_name, host, registrar, timeout)
        for address in discovery.in_any_order(found):
            try:
                sock = await _open(address, max(timeout, discovery.REACH))
                await over(sock, wire, security(address))
            except (OSError, ConnectionLost, asyncio.TimeoutError) as exc:  # 3.10: no OSError
                refusals.append(f"{address_text(address)}: {exc}")
            else:
                return
        raise discovery.unreachable(service_name, refusals)

    security(("", 0))  # a wrong kind of authenticator is an error at once
    return connecting(partial(connect_wire, open_wire, service, config), reconnect)


async def _open(address: Address, patience: float) -> socket.socket:
    return await asyncio.wait_for(open_tcp(*address, socket.AF_UNSPEC), patience)
