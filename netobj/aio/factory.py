"""Connecting from an event loop: over TCP (with or without TLS) and Unix sockets, by URL."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netobj.aio.agreeing import connect_sealed
from netobj.aio.connection import Connection
from netobj.aio.intercepting import connection_class
from netobj.aio.lasting import lasting
from netobj.aio.login import LoginWire, log_in
from netobj.aio.wire import Wire, new_wire
from netobj.auth.authenticator import FOREVER, LOGIN_TIME, Authenticator
from netobj.auth.psk import PreSharedKey, protecting
from netobj.auth.tls import (
    File,
    certificate,
    client_context,
    connecting_context,
    no_tls,
    one_context,
)
from netobj.auth.users import login_for
from netobj.core.config import EMPTY, Config, Settings, settings_for
from netobj.core.service import VoidService, instance_of
from netobj.interceptors.hooks import with_interceptors
from netobj.lasting import Reconnect, settings_of
from netobj.sockets import keep_alive, keepalive_seconds, refused
from netobj.ssh import SshStream, passage_to
from netobj.urls import Target, Way, parse_url


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
        found = certificate(transport.get_extra_info("ssl_object"))
        if found is not None and config.credentials is None:
            config = config.merge({"credentials": found})
        connection = connection_class(config)(service, transport, config, executor)
    except BaseException:
        transport.abort()
        raise
    connection.dispatcher.hold(for_good=False)
    return connection


Open = Callable[[Callable[[], Wire]], Any]


async def connect_wire(
    open_wire: Open,
    service: Any,
    config: Settings,
    extend: Callable[[Connection], object] | None = None,
) -> Connection:
    """The connection whose wire *open_wire* opens, over which :func:`over` has been."""
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


async def open_tcp(
    host: str, port: int, family: int, keepalive: int | None = None
) -> socket.socket:
    """A socket that is connected to the first address of *host* that answers.

    *keepalive*: see :func:`netobj.sockets.keep_alive`.
    """
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    try:
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise refused(f"{host}:{port}", exc) from exc
    for kind, type_, protocol, _, address in found:
        try:
            return await _open(socket.socket(kind, type_, protocol), address, keepalive)
        except OSError as exc:
            last = exc
    raise refused(f"{host}:{port}", last) from last


async def _open(sock: socket.socket, address: Any, keepalive: int | None = None) -> socket.socket:
    try:
        keep_alive(sock, keepalive)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


class Security(NamedTuple):
    """What there is to be done before netobj's protocol is spoken."""

    tls: ssl_module.SSLContext | None = None
    hostname: str | None = None
    authenticator: Authenticator | None = None
    limit: float = LOGIN_TIME  # seconds for each of them
    psk: PreSharedKey | None = None


def connect(
    host: str,
    port: int,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    ssl_context: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    authenticator: Authenticator | None = None,
    ipv6: bool = False,
    keepalive: float | bool = False,
    extend: Callable[[Connection], object] | None = None,
    ssl: ssl_module.SSLContext | None = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
) -> Connecting:
    """Connect to a server over TCP: ``async with netobj.aio.connect(host, port) as conn``.

    *service* is what this side shows, *config* its settings (see
    :class:`netobj.core.config.Config`). *ssl_context* (or *ssl*, which is asyncio's name for it):
    TLS, which checks the server's certificate against *server_hostname*, by default *host*; *psk*:
    encryption with a key that the server has, too (see :class:`netobj.auth.PreSharedKey`).
    *authenticator* logs in: a :class:`~netobj.auth.TokenAuthenticator` or a
    :class:`~netobj.auth.UserLogin`. *ipv6*: only IPv6 addresses of *host*. *keepalive*: after so
    many seconds of silence the system probes the connection, and as often; ``True``: 60.
    *interceptors*: what is around each call, see :class:`netobj.Interceptor`. What
    *extend* returns for the connection lends it its public attributes. *reconnect*: after a loss
    the next use connects again, see :class:`~netobj.Reconnect`.

    Raises OSError if nobody answers there, ssl.SSLError if the certificate is not to be trusted,
    AuthenticationError if the server refuses the login or has another key, ValueError for a
    *keepalive* below 1 second, and for *psk* together with TLS.

    >>> import asyncio, netobj
    >>> async def main():
    ...     async with netobj.aio.Server(netobj.SlaveService, "localhost") as server:
    ...         async with netobj.aio.connect("localhost", server.port) as conn:
    ...             return await conn.root.eval("6 * 7")
    >>> asyncio.run(main())
    42
    """
    config = with_interceptors(config, interceptors)
    tls = one_context(ssl_context, ssl)
    security = security_for(tls, server_hostname or host, authenticator, config, psk)
    seconds = keepalive_seconds(keepalive)

    async def open_wire(wire: Callable[[], Wire]) -> None:
        sock = await open_tcp(host, port, socket.AF_INET6 if ipv6 else socket.AF_UNSPEC, seconds)
        await over(sock, wire, security)

    return connecting(partial(connect_wire, open_wire, service, config, extend), reconnect)


def connecting(
    open_connection: Callable[[], Coroutine[Any, Any, Connection]], reconnect: bool | Reconnect
) -> Connecting:
    """The connection that *open_connection* makes; with *reconnect* anew after each loss."""
    if not reconnect:
        return Connecting(open_connection())
    coming_back: Any = lasting(open_connection, settings_of(reconnect))
    return Connecting(coming_back)  # it has the face of a connection


def security_for(
    tls: ssl_module.SSLContext | None,
    hostname: str | None,
    authenticator: Any,
    config: Settings = EMPTY,
    psk: PreSharedKey | None = None,
) -> Security:
    """What *authenticator*, *tls* and *psk* ask for.

    Raises ValueError for both of these, TypeError for an authenticator of another kind.
    """
    if authenticator is not None and not isinstance(authenticator, Authenticator):
        raise TypeError(
            "on an event loop an authenticator is a netobj.auth.TokenAuthenticator or UserLogin; "
            "log in over a socket of your own otherwise, and give it to connect_socket()"
        )
    limit = config.get("handshake_timeout", LOGIN_TIME) or FOREVER
    protecting(psk, tls)
    return Security(tls, None if tls is None else hostname, authenticator, limit, psk)


async def over(sock: socket.socket, wire: Callable[[], Wire], security: Security) -> None:
    """Put *wire* on *sock*, which it owns, once it is encrypted and this side has logged in."""
    tls, hostname, authenticator, _, psk = security
    plain = authenticator is None and psk is None
    first: Callable[[], asyncio.BaseProtocol] = wire if plain else LoginWire
    limit = None if tls is None else security.limit
    try:
        _, login = await asyncio.get_running_loop().create_connection(
            first, sock=sock, ssl=tls, server_hostname=hostname, ssl_handshake_timeout=limit
        )
    except ssl_module.SSLError as exc:
        sock.close()
        raise no_tls(exc, str(hostname)) from exc
    except BaseException:
        sock.close()
        raise
    if psk is not None:
        assert isinstance(login, LoginWire)
        inner = wire() if authenticator is None else LoginWire()
        await connect_sealed(login, psk, security.limit, inner)
        login = inner
    if authenticator is not None:
        assert isinstance(login, LoginWire)
        try:
            await log_in(login, authenticator, 3 * security.limit)
            login.hand_over(wire())
        finally:
            login.abandon()


def ssl_connect(
    host: str,
    port: int,
    keyfile: File | None = None,
    certfile: File | None = None,
    ca_certs: File | None = None,
    cert_reqs: int | None = None,
    ssl_version: int | None = None,
    ciphers: str | None = None,
    service: Any = VoidService,
    config: Settings = EMPTY,
    ipv6: bool = False,
    keepalive: float | bool = False,
    verify_mode: int | None = None,
    *,
    verify_hostname: bool = True,
    server_hostname: str | None = None,
    authenticator: Authenticator | None = None,
    extend: Callable[[Connection], object] | None = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
) -> Connecting:
    """Connect to a server over TLS, verified; see :func:`netobj.ssl_connect`."""
    config = with_interceptors(config, interceptors)
    context = connecting_context(
        ca_certs,
        certfile,
        keyfile,
        cert_reqs,
        verify_mode,
        verify_hostname,
        ciphers,
        ssl_version,
    )
    return connect(
        host,
        port,
        service,
        config,
        ssl_context=context,
        server_hostname=server_hostname,
        authenticator=authenticator,
        ipv6=ipv6,
        keepalive=keepalive,
        extend=extend,
        reconnect=reconnect,
    )


def unix_connect(
    path: str,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    ssl_context: ssl_module.SSLContext | None = None,
    server_hostname: str = "localhost",
    authenticator: Authenticator | None = None,
    extend: Callable[[Connection], object] | None = None,
    ssl: ssl_module.SSLContext | None = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
) -> Connecting:
    """Connect to a server that listens on the Unix socket *path*; see :func:`connect`."""
    config = with_interceptors(config, interceptors)
    tls = one_context(ssl_context, ssl)
    security = security_for(tls, server_hostname, authenticator, config, psk)

    async def open_wire(wire: Callable[[], Wire]) -> None:
        try:
            sock = await _open(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path)
        except OSError as exc:
            raise refused(f"unix:{path}", exc) from exc
        await over(sock, wire, security)

    return connecting(partial(connect_wire, open_wire, service, config, extend), reconnect)


def connect_url(
    url: str,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    ssl_context: ssl_module.SSLContext | None = None,
    authenticator: Authenticator | None = None,
    extend: Callable[[Connection], object] | None = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
) -> Connecting:
    """Connect to where *url* says, ``netobj://HOST:PORT``, say; see :func:`netobj.connect_url`.

    >>> import asyncio, netobj
    >>> async def main():
    ...     async with netobj.aio.Server(netobj.SlaveService, "localhost") as server:
    ...         async with netobj.aio.connect_url(f"netobj://localhost:{server.port}") as conn:
    ...             return await conn.root.eval("6 * 7")
    >>> asyncio.run(main())
    42
    """
    config = with_interceptors(config, interceptors)
    target = parse_url(url)
    login = login_for(target, authenticator)
    more = {"ssl_context": ssl_context, "authenticator": login, "extend": extend, "psk": psk}
    more["reconnect"] = reconnect
    return _OPENERS[target.way](target, service, config, more)


Opener = Callable[[Target, Any, Settings, dict[str, Any]], Connecting]


def _open_plain(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connecting:
    return connect(target.host, target.port, service, config, **more)


def _open_tls(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connecting:
    more["ssl_context"] = more["ssl_context"] or client_context()
    return _open_plain(target, service, config, more)


def _open_unix(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connecting:
    return unix_connect(target.path, service, config, **more)


def _open_ssh(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connecting:
    reconnect = more.pop("reconnect")
    return connecting(partial(_through_ssh, target, service, config, **more), reconnect)


async def _through_ssh(
    target: Target,
    service: Any,
    config: Settings,
    ssl_context: Any,
    authenticator: Authenticator | None,
    extend: Callable[[Connection], object] | None,
    psk: PreSharedKey | None,
) -> Connection:
    security = security_for(None, None, authenticator, config)
    protection = protecting(psk) or ssl_context
    passage = passage_to(target.host, target.user, target.port, protection)
    opening = asyncio.get_running_loop().run_in_executor(None, passage.stream)
    try:
        stream = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_stream)
        passage.give_up()
        raise

    async def open_wire(wire: Callable[[], Wire]) -> None:
        stream.sock.setblocking(False)
        await over(stream.sock, wire, security)

    try:
        connection = await connect_wire(open_wire, service, config, extend)
    except BaseException:
        stream.close()
        raise
    if stream.process is not None:  # it ends by itself when the transport closes the socket
        end_soon = stream.process.end_soon
        connection.when_closed(lambda _: end_soon())
    return connection


def _close_stream(opening: asyncio.Future[SshStream]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


_OPENERS: Final[dict[Way, Opener]] = {
    Way.TCP: _open_plain,
    Way.TLS: _open_tls,
    Way.UNIX: _open_unix,
    Way.SSH: _open_ssh,
}


def connect_socket(
    sock: socket.socket,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    extend: Callable[[Connection], object] | None = None,
    interceptors: Iterable[Any] = (),
) -> Connecting:
    """A connection over a connected stream socket, which it owns from here on."""
    config = with_interceptors(config, interceptors)

    async def open_wire(wire: Callable[[], Wire]) -> None:
        sock.setblocking(False)
        await over(sock, wire, Security())

    return Connecting(connect_wire(open_wire, service, config, extend))
