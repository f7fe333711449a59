"""Connecting from an event loop: over TCP (with or without TLS) and Unix sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable, Coroutine, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from netobj.aio.connection import Connection
from netobj.aio.wire import Wire, new_wire
from netobj.core.config import Config, settings_for
from netobj.core.service import VoidService, instance_of
from netobj.sockets import refused

Settings = Mapping[str, Any]
_NONE: Final[Settings] = {}


class Connecting:
    """What :func:`connect` returns: to be awaited, or used with ``async with``, once."""

    def __init__(self, connecting: Coroutine[Any, Any, Connection]) -> None:
        self._connecting = connecting
        self._connection: Connection | None = None

    if not TYPE_CHECKING:  # checkers know that there is nothing

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"there is no connection yet to read {name!r} of: await netobj.aio.connect(...), "
                "or enter it with `async with`"
            )

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._connecting.__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self._connecting
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        await self._connection.close()


def make_connection(
    transport: asyncio.Transport, service: Any, config: Config, executor: Any = None
) -> Connection:
    """The connection over *transport* that shows the instance *service*; it holds calls back.

    Closes *transport* if that is impossible.
    """
    try:
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and config.credentials is None:
            config = config.merge({"credentials": tls.getpeercert() or None})
        connection = Connection(service, transport, config, executor)
    except BaseException:
        transport.abort()
        raise
    connection.dispatcher.hold()
    return connection


Open = Callable[[Callable[[], Wire]], Any]


async def _connect(
    open_wire: Open,
    service: Any,
    config: Settings,
    extend: Callable[[Connection], object] | None = None,
) -> Connection:
    made: list[Connection] = []
    failed: list[Exception] = []
    instance = instance_of(service)
    settings = settings_for(instance, config)

    def make(transport: asyncio.Transport) -> Connection | None:
        try:
            made.append(make_connection(transport, instance, settings))
        except Exception as exc:
            failed.append(exc)
            return None
        return made[0]

    await open_wire(lambda: new_wire(make))
    if failed:
        raise failed[0]
    connection = made[0]
    try:
        if extend is not None:
            connection.extend(extend(connection))
        await connection.attach(instance)
    except BaseException:
        connection.lose("it was never used: what was to be done first raised")
        raise
    return connection


async def open_tcp(host: str, port: int, family: int) -> socket.socket:
    """A socket that is connected to the first address of *host* that answers."""
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    try:
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise refused(f"{host}:{port}", exc) from exc
    for kind, type_, protocol, _, address in found:
        try:
            return await _open(socket.socket(kind, type_, protocol), address)
        except OSError as exc:
            last = exc
    raise refused(f"{host}:{port}", last) from last


async def _open(sock: socket.socket, address: Any) -> socket.socket:
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def connect(
    host: str,
    port: int,
    service: Any = VoidService,
    config: Settings = _NONE,
    *,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    ipv6: bool = False,
    extend: Callable[[Connection], object] | None = None,
) -> Connecting:
    """Connect to a server over TCP: ``async with netobj.aio.connect(host, port) as conn``.

    *service* is what this side shows, *config* its settings (see
    :class:`netobj.core.config.Config`). *ssl*: a context for TLS, which checks the certificate
    against *server_hostname*, by default *host*. *ipv6*: only IPv6 addresses of *host*. What
    *extend* returns for the connection lends it its public attributes. Raises OSError if nobody
    answers there, ssl.SSLError if the certificate is not to be trusted.

    >>> import asyncio, netobj
    >>> async def main():
    ...     async with netobj.aio.Server(netobj.SlaveService, "localhost") as server:
    ...         async with netobj.aio.connect("localhost", server.port) as conn:
    ...             return await conn.root.eval("6 * 7")
    >>> asyncio.run(main())
    42
    """
    if ssl is not None and server_hostname is None:
        server_hostname = host

    async def open_wire(wire: Callable[[], Wire]) -> None:
        sock = await open_tcp(host, port, socket.AF_INET6 if ipv6 else socket.AF_UNSPEC)
        await _over(sock, wire, ssl, server_hostname)

    return Connecting(_connect(open_wire, service, config, extend))


async def _over(
    sock: socket.socket,
    wire: Callable[[], Wire],
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
) -> None:
    try:
        await asyncio.get_running_loop().create_connection(
            wire, sock=sock, ssl=ssl, server_hostname=server_hostname
        )
    except BaseException:
        sock.close()
        raise


def unix_connect(
    path: str,
    service: Any = VoidService,
    config: Settings = _NONE,
    *,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    extend: Callable[[Connection], object] | None = None,
) -> Connecting:
    """Connect to a server that listens on the Unix socket *path*; see :func:`connect`."""

    async def open_wire(wire: Callable[[], Wire]) -> None:
        try:
            sock = await _open(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path)
        except OSError as exc:
            raise refused(f"unix:{path}", exc) from exc
        await _over(sock, wire, ssl, server_hostname)

    return Connecting(_connect(open_wire, service, config, extend))


def connect_socket(
    sock: socket.socket,
    service: Any = VoidService,
    config: Settings = _NONE,
    *,
    extend: Callable[[Connection], object] | None = None,
) -> Connecting:
    """A connection over a connected stream socket, which it owns from here on."""

    async def open_wire(wire: Callable[[], Wire]) -> None:
        sock.setblocking(False)
        await _over(sock, wire)

    return Connecting(_connect(open_wire, service, config, extend))
