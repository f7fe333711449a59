"""Connecting: over TCP, TLS, SSH, Unix sockets, pipes, to a child process, a thread, or by URL."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ssl import SSLContext
from typing import Any, Final

from netobj.auth.agreeing import connect_sealed
from netobj.auth.authenticator import FOREVER, LOGIN_TIME, Authenticator, log_in
from netobj.auth.psk import PreSharedKey, protecting
from netobj.auth.sealed import SealedSocket, kept_sealed
from netobj.auth.tls import File, certificate, client_context, connect_tls, connecting_context
from netobj.auth.users import login_for
from netobj.blocking.channel import Channel
from netobj.blocking.connection import Connection
from netobj.blocking.dispatch import Workers
from netobj.blocking.intercepting import open_with
from netobj.blocking.lasting import LastingConnection
from netobj.blocking.streams import PipeStream, Stream, stream_for
from netobj.calls import time_left
from netobj.core.config import EMPTY, Config, Settings, settings_for
from netobj.core.service import VoidService, instance_of
from netobj.errors import ConnectionLost
from netobj.interceptors.hooks import with_interceptors
from netobj.lasting import Reconnect, settings_of
from netobj.registry.discovery import REACH, discover, in_any_order, unreachable
from netobj.sockets import address_text, connect_tcp, connect_unix
from netobj.ssh import open_through, passage_to
from netobj.urls import Target, Way, parse_url


def open_connection(
    stream: Stream,
    service: Any,
    config: Settings,
    greeted: Config | None = None,
    workers: Workers | None = None,
    will_serve: bool = False,
) -> Connection:
    """The connection over *stream* that shows *service*, whose ``on_connect`` has run.

    *greeted*: the settings with which the peer was greeted already; then they are in force.
    *workers*: where its calls run, the first of them, too, in place of the process's threads.
    *will_serve*: the calling thread runs ``serve_all`` next, see ``Connection.attach``.
    """
    try:
        instance = instance_of(service)
        settings = greeted or settings_for(instance, config)
        connection = open_with(instance, stream, settings, greeted is not None)
    except BaseException:
        stream.close()
        raise
    connection.dispatcher.workers = workers
    connection.attach(instance, will_serve)
    return connection


def connect_stream(
    stream: Stream,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
) -> Connection:
    """A connection over a :class:`~netobj.blocking.streams.Stream`, which it owns from here on.

    *service* is what this side shows, *config* its settings (see
    :class:`netobj.core.config.Config`).
    """
    config = with_interceptors(config, interceptors)
    return open_connection(stream, service, config)


def connect_channel(
    channel: Channel,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
) -> Connection:
    """A connection over a channel, see :func:`connect_stream`."""
    config = with_interceptors(config, interceptors)
    return open_connection(channel.stream, service, config)


def connect(
    host: str,
    port: int,
    service: Any = VoidService,
    config: Settings = EMPTY,
    ipv6: bool = False,
    keepalive: float | bool = False,
    *,
    ssl_context: SSLContext | None = None,
    server_hostname: str | None = None,
    authenticator: Any = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
) -> Connection:
    """Connect to a server over TCP.

    *ipv6*: only IPv6 addresses of *host*. *keepalive*: after so many seconds of silence the system
    probes the connection, and as often; ``True``: 60 (netobj's own heartbeat does so anyway).
    *ssl_context*: TLS, which checks the server's certificate against *server_hostname*, by default
    *host* (see :func:`netobj.auth.client_context`). *psk*: encryption with a key that the server
    has, too, see :class:`netobj.auth.PreSharedKey`. *authenticator* logs in: a
    :class:`~netobj.auth.TokenAuthenticator`, a :class:`~netobj.auth.UserLogin`, or a function:
    socket -> (socket, credentials). *interceptors*: what is around each call, see
    :class:`netobj.Interceptor`; all ways to connect take them, as the setting of that name.
    *reconnect*: after a loss the next use connects again, see :class:`~netobj.Reconnect`.

    Raises the system's error, which names the address (ConnectionRefusedError, socket.gaierror and
    other kinds of OSError), if nobody answers there, ssl.SSLError if the certificate is not to be
    trusted, AuthenticationError if the server refuses the login or has another key, ValueError for
    a *keepalive* below 1 second, and for *psk* together with TLS.

    >>> import netobj
    >>> with netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.eval("1 + 1")
    2
    """
    protecting(psk, ssl_context)
    config = with_interceptors(config, interceptors)
    if reconnect:
        again = partial(connect, host, port, service, config, ipv6, keepalive, psk=psk)
        security = {"server_hostname": server_hostname, "authenticator": authenticator}
        return _lasting(partial(again, ssl_context=ssl_context, **security), reconnect)
    name = f"{host}:{port}"
    sock: Any = connect_tcp(host, port, ipv6, keepalive, time_left(f"{name} was connected to"))
    sock, found = _secure(sock, ssl_context, server_hostname or host, authenticator, config, psk)
    return _open_socket(sock, found, service, config)


def _lasting(open_connection: Callable[[], Connection], reconnect: bool | Reconnect) -> Connection:
    """What *open_connection* makes, and makes anew after each loss."""
    lasting: Any = LastingConnection(open_connection, settings_of(reconnect))
    return lasting  # type: ignore[no-any-return]  # it has the face of one


def _secure(
    sock: Any,
    ssl_context: SSLContext | None,
    hostname: str,
    authenticator: Any,
    config: Settings,
    psk: PreSharedKey | None,
) -> tuple[Any, Any]:
    """*sock* once it is encrypted and this side has logged in, and who the peer is."""
    try:
        limit = config.get("handshake_timeout", LOGIN_TIME) or FOREVER
        if ssl_context is not None:
            sock.settimeout(limit)
            sock = connect_tls(sock, ssl_context, hostname)
        elif psk is not None:
            sock.settimeout(limit)
            sock = connect_sealed(sock, psk)
        found = certificate(sock)
        if isinstance(authenticator, Authenticator):
            log_in(sock, authenticator, 3 * limit)
        elif authenticator is not None:
            sock, found = kept_sealed(sock, *authenticator(sock))
    except BaseException:
        sock.close()
        raise
    return sock, found


def _open_socket(
    sock: socket.socket | SealedSocket, credentials: Any, service: Any, config: Settings
) -> Connection:
    if credentials is not None:
        config = {"credentials": credentials, **config}
    return open_connection(stream_for(sock), service, config)


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
    authenticator: Any = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
) -> Connection:
    """Connect to a server over TLS, and verify its certificate and its host name.

    *ca_certs*: a file of the certificates to trust, by default those that the system trusts.
    *keyfile*, *certfile*: the client's own, for a server that asks for one.
    ``cert_reqs=ssl.CERT_NONE`` (or *verify_mode*): verify nothing, trust whoever answers;
    ``verify_hostname=False``: trust every certificate of these authorities. The others, and what
    is raised, are as for :func:`netobj.auth.client_context` and :func:`connect`.
    """
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
        ipv6,
        keepalive,
        ssl_context=context,
        server_hostname=server_hostname,
        authenticator=authenticator,
        reconnect=reconnect,
    )


def connect_url(
    url: str,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    ssl_context: SSLContext | None = None,
    authenticator: Any = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
) -> Connection:
    """Connect to where *url* says.

    =======================  =================================================================
    ``netobj://HOST:PORT``   over TCP; port 18812 if none is named; with *ssl_context* over TLS
    ``netobjs://HOST:PORT``  over TLS, by default verified as by :func:`ssl_connect`; port 18821
    ``netobj+unix:///PATH``  over a Unix socket
    ``netobj+ssh://HOST``    through SSH to the machine HOST, to that port of its ``localhost``
    =======================  =================================================================

    ``USER:PASSWORD@`` before the host logs in as a user, which needs TLS or a Unix socket;
    ``:TOKEN@`` with a token; *authenticator* in any other way. With SSH, the user is SSH's, and
    ``USER:TOKEN@`` logs in with a token there. What is special in them,
    ``@ : / ? # %``, is written as %40 and so on. *psk*: see :func:`connect`. Raises ValueError for
    what is no such URL, and as :func:`connect` does; no error has the password in it.

    >>> import netobj
    >>> with netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server:
    ...     with netobj.connect_url(f"netobj://localhost:{server.port}") as conn:
    ...         conn.root.eval("6 * 7")
    42
    """
    config = with_interceptors(config, interceptors)
    if reconnect:
        more = {"ssl_context": ssl_context, "authenticator": authenticator, "psk": psk}
        return _lasting(partial(connect_url, url, service, config, **more), reconnect)
    target = parse_url(url)
    login = login_for(target, authenticator)
    more = {"ssl_context": ssl_context, "authenticator": login, "psk": psk}
    return _OPENERS[target.way](target, service, config, more)


Opener = Callable[[Target, Any, Settings, dict[str, Any]], Connection]


def _open_tcp(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connection:
    return connect(target.host, target.port, service, config, **more)


def _open_tls(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connection:
    more["ssl_context"] = more["ssl_context"] or client_context()
    return _open_tcp(target, service, config, more)


def _open_unix(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connection:
    return unix_connect(target.path, service, config, **more)


def _open_ssh(target: Target, service: Any, config: Settings, more: dict[str, Any]) -> Connection:
    protection = protecting(more["psk"]) or more["ssl_context"]
    stream = passage_to(target.host, target.user, target.port, protection).stream()
    try:
        if more["authenticator"] is not None:
            log_in(stream.sock, more["authenticator"])
    except BaseException:
        stream.close()
        raise
    return open_connection(stream, service, config)


_OPENERS: Final[dict[Way, Opener]] = {
    Way.TCP: _open_tcp,
    Way.TLS: _open_tls,
    Way.UNIX: _open_unix,
    Way.SSH: _open_ssh,
}


def unix_connect(
    path: str,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    ssl_context: SSLContext | None = None,
    server_hostname: str = "localhost",
    authenticator: Any = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
) -> Connection:
    """Connect to a server that listens on the Unix socket *path*; see :func:`connect`."""
    protecting(psk, ssl_context)
    config = with_interceptors(config, interceptors)
    if reconnect:
        security = {"server_hostname": server_hostname, "authenticator": authenticator, "psk": psk}
        again = partial(unix_connect, path, service, config, ssl_context=ssl_context, **security)
        return _lasting(again, reconnect)
    sock: Any = connect_unix(path)
    sock, found = _secure(sock, ssl_context, server_hostname, authenticator, config, psk)
    return _open_socket(sock, found, service, config)


def ssh_connect(
    remote_machine: Any,
    remote_port: int,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
) -> Connection:
    """Connect to a server that listens on *remote_port* of *remote_machine*'s ``localhost``.

    *remote_machine*: a plumbum ``SshMachine``. The connection has an ``ssh`` of its own, which
    ends with it, and opens no port on this machine. Raises ConnectionRefusedError if nobody
    listens there, ConnectionLost if SSH does not get there, TimeoutError if who listens says
    nothing.

    >>> from plumbum import SshMachine
    >>> with SshMachine("lab") as machine:  # doctest: +SKIP
    ...     with netobj.ssh_connect(machine, 18861) as conn:
    ...         conn.root.get_answer()
    42
    """
    config = with_interceptors(config, interceptors)
    if reconnect:
        again = partial(ssh_connect, remote_machine, remote_port, service, config)
        return _lasting(again, reconnect)
    return open_connection(open_through(remote_machine, remote_port), service, config)


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
    authenticator: Any = None,
    interceptors: Iterable[Any] = (),
    reconnect: bool | Reconnect = False,
    psk: PreSharedKey | None = None,
) -> Connection:
    """Connect to a server of the service *service_name*, whichever answers first.

    See :func:`~netobj.registry.discovery.discover` for the first arguments, and :func:`connect`
    for *ssl_context*, *authenticator* and *psk*. A registry knows servers by the numbers of their
    addresses; *server_hostname* is the name that their certificates are for.

    Every address that is found is tried, in an order of chance, so that clients spread over the
    servers; each gets *timeout* seconds, too, and 2 at least. Who is not there or has no
    certificate that is to be trusted is passed over. Raises DiscoveryError if there is none, or
    none can be reached, AuthenticationError at the first that refuses the login.

    >>> import netobj
    >>> from netobj.utils.registry import UDPRegistryClient, UDPRegistryServer
    >>> class EchoService(netobj.Service):
    ...     def exposed_echo(self, text): return text
    >>> with UDPRegistryServer("127.0.0.1", port=0) as registry:
    ...     registrar = UDPRegistryClient("127.0.0.1", registry.port)
    ...     with netobj.ThreadedServer(EchoService, registrar=registrar):
    ...         with netobj.connect_by_service("ECHO", registrar=registrar) as conn:
    ...             conn.root.echo("hello")
    'hello'
    """
    protecting(psk, ssl_context)
    config = with_interceptors(config, interceptors)
    if reconnect:
        again = partial(connect_by_service, service_name, host, registrar, timeout, service, config)
        security = {"server_hostname": server_hostname, "authenticator": authenticator, "psk": psk}
        return _lasting(partial(again, ssl_context=ssl_context, **security), reconnect)
    refusals = []
    for address in in_any_order(discover(service_name, host, registrar, timeout)):
        try:
            sock = socket.create_connection(address, max(timeout, REACH))
            sock.setblocking(True)
            hostname = server_hostname or address[0]
            sock, found = _secure(sock, ssl_context, hostname, authenticator, config, psk)
        except (OSError, ConnectionLost) as exc:
            refusals.append(f"{address_text(address)}: {exc}")
        else:
            return _open_socket(sock, found, service, config)
    raise unreachable(service_name, refusals)


def connect_pipes(
    input: Any,
    output: Any,
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
) -> Connection:
    """A connection that reads from *input* and writes to *output* (files or descriptors)."""
    config = with_interceptors(config, interceptors)
    return open_connection(PipeStream(input, output), service, config)


def connect_stdpipes(
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
) -> Connection:
    """A connection over standard input and output, to whoever started this process.

    From here on what this process prints goes to standard error, and its standard input is at its
    end (see :meth:`netobj.PipeStream.from_std`).
    """
    config = with_interceptors(config, interceptors)
    return open_connection(PipeStream.from_std(), service, config)


def connect_subproc(
    args: Sequence[str],
    service: Any = VoidService,
    config: Settings = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
) -> Connection:
    """Start *args*, which serves on its standard input and output, and connect to it.

    The process is the connection's ``proc`` (a ``subprocess.Popen``).
    """
    config = with_interceptors(config, interceptors)
    proc = subprocess.Popen(list(args), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    config = {"handshake_timeout": None, **config}  # its end would be seen, and it may start slowly
    connection = connect_pipes(proc.stdout, proc.stdin, service, config)
    connection.proc = proc
    return connection


def connect_thread(
    service: Any = VoidService,
    config: Settings = EMPTY,
    remote_service: Any = VoidService,
    remote_config: Settings = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
) -> Connection:
    """A connection to *remote_service*, served by a thread of this process."""
    config = with_interceptors(config, interceptors)
    remote_config = {"accepted": True, **remote_config}
    here, there = socket.socketpair()
    ready = threading.Event()

    def serve() -> None:
        try:
            stream = stream_for(there)
            connection = open_connection(stream, remote_service, remote_config, will_serve=True)
        finally:
            ready.set()
        connection.serve_all()

    threading.Thread(target=serve, name="netobj connect_thread", daemon=True).start()
    ready.wait()
    return open_connection(stream_for(here), service, config)


__all__ = [
    "ConnectionLost",
    "connect",
    "connect_by_service",
    "connect_channel",
    "connect_pipes",
    "connect_stdpipes",
    "connect_stream",
    "connect_subproc",
    "connect_thread",
    "connect_url",
    "open_connection",
    "ssh_connect",
    "ssl_connect",
    "unix_connect",
]
