"""Classic mode on an event loop: the other side's whole interpreter, by references.

>>> import asyncio, netobj
>>> async def main():
...     async with netobj.aio.Server(netobj.SlaveService, "localhost") as server:
...         async with netobj.aio.classic.connect("localhost", server.port) as conn:
...             return await conn.modules.os.path.join("a", "b")
>>> asyncio.run(main())
'a/b'
"""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Callable
from typing import Any, Final

from netobj.aio import factory
from netobj.aio.connection import Connection
from netobj.aio.factory import Connecting
from netobj.aio.reference import Call
from netobj.auth.authenticator import Authenticator
from netobj.auth.psk import PreSharedKey
from netobj.auth.tls import File
from netobj.core import service
from netobj.core.config import EMPTY, Settings
from netobj.teleportation import export_function
from netobj.urls import PORT, TLS_PORT

DEFAULT_SERVER_PORT: Final = PORT
DEFAULT_SERVER_SSL_PORT: Final = TLS_PORT


class Modules:
    """The modules of the other side, by attribute and item; each is asked for once.

    No I/O: ``modules.os.getpid()`` is one round trip, made when it is awaited.
    """

    def __init__(self, connection: Connection) -> None:
        self.__connection = connection
        self.__cache: dict[str, Call] = {}

    def __getitem__(self, name: str) -> Any:
        found = self.__cache.get(name)
        if found is None or self.__failed(found):
            found = self.__cache[name] = self.__connection.root.getmodule(name)
        return found

    @staticmethod
    def __failed(call: Call) -> bool:
        outcome = call.____outcome__
        return outcome is not None and outcome.done and not outcome.ok

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self[name]


class Master(service.Master):
    """What a connection to a classic server offers; its names are the connection's.

    What the base returns is to be awaited here.
    """

    def __init__(self, connection: Connection) -> None:
        self._conn = connection
        self.modules = Modules(connection)  # type: ignore[assignment]

    @property
    def namespace(self) -> Any:
        """The remote dictionary in which :meth:`eval` and :meth:`execute` work."""
        return self._conn.root.namespace

    async def teleport(
        self, func: Callable[..., Any], globals: Any = None, def_: bool = True
    ) -> Any:
        """*func* as a function of the other side; see :func:`netobj.classic.teleport_function`."""
        importer = self.modules["netobj.teleportation"].import_function
        names = self.namespace if globals is None else globals
        return await importer(export_function(func), names, def_)


class _Client(service.VoidService):
    """The settings of a classic client; exposes nothing."""

    CONFIG = service.ClassicClient.CONFIG


def connect(
    host: str,
    port: int = DEFAULT_SERVER_PORT,
    config: Settings = EMPTY,
    *,
    ssl_context: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    authenticator: Authenticator | None = None,
    ipv6: bool = False,
    ssl: ssl_module.SSLContext | None = None,
    psk: PreSharedKey | None = None,
) -> Connecting:
    """Connect to a classic server over TCP; see :func:`netobj.aio.connect`."""
    return factory.connect(
        host,
        port,
        _Client,
        config,
        ssl_context=ssl_context,
        server_hostname=server_hostname,
        authenticator=authenticator,
        ipv6=ipv6,
        extend=Master,
        ssl=ssl,
        psk=psk,
    )


def ssl_connect(
    host: str,
    port: int = DEFAULT_SERVER_SSL_PORT,
    keyfile: File | None = None,
    certfile: File | None = None,
    ca_certs: File | None = None,
    cert_reqs: int | None = None,
    ssl_version: int | None = None,
    ciphers: str | None = None,
    ipv6: bool = False,
    *,
    config: Settings = EMPTY,
    verify_hostname: bool = True,
    authenticator: Authenticator | None = None,
) -> Connecting:
    """Connect to a classic server over TLS, verified; see :func:`netobj.ssl_connect`."""
    return factory.ssl_connect(
        host,
        port,
        keyfile,
        certfile,
        ca_certs,
        cert_reqs,
        ssl_version,
        ciphers,
        _Client,
        config,
        ipv6,
        verify_hostname=verify_hostname,
        authenticator=authenticator,
        extend=Master,
    )


def connect_url(
    url: str,
    config: Settings = EMPTY,
    *,
    ssl_context: ssl_module.SSLContext | None = None,
    authenticator: Authenticator | None = None,
    psk: PreSharedKey | None = None,
) -> Connecting:
    """Connect to a classic server by URL; see :func:`netobj.connect_url`."""
    return factory.connect_url(
        url,
        _Client,
        config,
        ssl_context=ssl_context,
        authenticator=authenticator,
        psk=psk,
        extend=Master,
    )


def unix_connect(path: str, config: Settings = EMPTY) -> Connecting:
    """Connect to a classic server that listens on the Unix socket *path*."""
    return factory.unix_connect(path, _Client, config, extend=Master)
