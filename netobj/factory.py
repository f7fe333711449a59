"""Connecting: over TCP, SSH, Unix sockets, pipes, a child process, a thread of this process."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from netobj.blocking.channel import Channel
from netobj.blocking.connection import Connection
from netobj.blocking.dispatch import Workers
from netobj.blocking.streams import PipeStream, Stream, stream_for
from netobj.core.config import Config, settings_for
from netobj.core.service import VoidService, instance_of
from netobj.errors import ConnectionLost
from netobj.registry.discovery import REACH, discover, in_any_order, unreachable
from netobj.sockets import address_text, refused
from netobj.ssh import open_through

Settings = Mapping[str, Any]
_NONE: Final[Settings] = {}

_KEEPALIVE_SECONDS: Final = 60


def open_connection(
    stream: Stream,
    service: Any,
    config: Settings,
    greeted: Config | None = None,
    workers: Workers | None = None,
) -> Connection:
    """The connection over *stream* that shows *service*, whose ``on_connect`` has run.

    *greeted*: the settings with which the peer was greeted already; then they are in force.
    *workers*: where its calls run, the first of them, too, in place of the process's threads.
    """
    try:
        instance = instance_of(service)
        settings = greeted or settings_for(instance, config)
        connection = Connection(instance, stream, settings, greeted is not None)
    except BaseException:
        stream.close()
        raise
    connection.dispatcher.workers = workers
    connection.attach(instance)
    return connection


def connect_stream(
    stream: Stream, service: Any = VoidService, config: Settings = _NONE
) -> Connection:
    """A connection over a :class:`~netobj.blocking.streams.Stream`, which it owns from here on.

    *service* is what this side shows, *config* its settings (see
    :class:`netobj.core.config.Config`).
    """
    return open_connection(stream, service, config)


def connect_channel(
    channel: Channel, service: Any = VoidService, config: Settings = _NONE
) -> Connection:
    """A connection over a channel, see :func:`connect_stream`."""
    return open_connection(channel.stream, service, config)


def connect(
    host: str,
    port: int,
    service: Any = VoidService,
    config: Settings = _NONE,
    ipv6: bool = False,
    keepalive: bool = False,
) -> Connection:
    """Connect to a server over TCP.

    *ipv6* prefers IPv6 addresses of *host*; *keepalive* asks the system to probe an idle
    connection (netobj's own heartbeat does so anyway). Raises the system's error, which names the
    address (ConnectionRefusedError, socket.gaierror and other kinds of OSError), if nobody
    answers there.

    >>> import netobj
    >>> with netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.eval("1 + 1")
    2
    """
    family = socket.AF_INET6 if ipv6 else socket.AF_UNSPEC
    sock = _connect_socket(host, port, family)
    if keepalive:
        _keep_alive(sock)
    return open_connection(stream_for(sock), service, config)


def _connect_socket(host: str, port: int, family: int) -> socket.socket:
    last: OSError | None = None
    try:
        addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except OSError as exc:
        raise refused(f"{host}:{port}", exc) from exc
    for kind, type_, protocol, _, address in addresses:
        sock = socket.socket(kind, type_, protocol)
        try:
            sock.connect(address)
        except OSError as exc:
            sock.close()
            last = exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise refused(f"{host}:{port}", last) from last


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL"):  # the second is macOS'
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, _KEEPALIVE_SECONDS)


def unix_connect(path: str, service: Any = VoidService, config: Settings = _NONE) -> Connection:
    """Connect to a server that listens on the Unix socket *path*."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as exc:
        sock.close()
        raise refused(f"unix:{path}", exc) from exc
    return open_connection(stream_for(sock), service, config)


def ssh_connect(
    remote_machine: Any, remote_port: int, service: Any = VoidService, config: Settings = _NONE
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
    return open_connection(open_through(remote_machine, remote_port), service, config)


def connect_by_service(
    service_name: str,
    host: str | None = None,
    registrar: Any = None,
    timeout: float = 2,
    service: Any = VoidService,
    config: Settings = _NONE,
) -> Connection:
    """Connect to a server of the service *service_name*, whichever answers first.

    See :func:`~netobj.registry.discovery.discover` for the arguments. Every address that is found
    is tried, in an order of chance, so that clients spread over the servers; each gets *timeout*
    seconds, too, and 2 at least. Raises DiscoveryError if there is none, or none can be reached.

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
    refusals = []
    for address in in_any_order(discover(service_name, host, registrar, timeout)):
        try:
            sock = socket.create_connection(address, max(timeout, REACH))
        except OSError as exc:
            refusals.append(f"{address_text(address)}: {exc}")
        else:
            sock.setblocking(True)
            return open_connection(stream_for(sock), service, config)
    raise unreachable(service_name, refusals)


def connect_pipes(
    input: Any, output: Any, service: Any = VoidService, config: Settings = _NONE
) -> Connection:
    """A connection that reads from *input* and writes to *output* (files or descriptors)."""
    return open_connection(PipeStream(input, output), service, config)


def connect_stdpipes(service: Any = VoidService, config: Settings = _NONE) -> Connection:
    """A connection over standard input and output, to whoever started this process.

    From here on what this process prints goes to standard error, and its standard input is at its
    end (see :meth:`netobj.PipeStream.from_std`).
    """
    return open_connection(PipeStream.from_std(), service, config)


def connect_subproc(
    args: Sequence[str], service: Any = VoidService, config: Settings = _NONE
) -> Connection:
    """Start *args*, which serves on its standard input and output, and connect to it.

    The process is the connection's ``proc`` (a ``subprocess.Popen``).
    """
    proc = subprocess.Popen(list(args), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    connection = connect_pipes(proc.stdout, proc.stdin, service, config)
    connection.proc = proc
    return connection


def connect_thread(
    service: Any = VoidService,
    config: Settings = _NONE,
    remote_service: Any = VoidService,
    remote_config: Settings = _NONE,
) -> Connection:
    """A connection to *remote_service*, served by a thread of this process."""
    here, there = socket.socketpair()
    ready = threading.Event()

    def serve() -> None:
        try:
            connection = open_connection(stream_for(there), remote_service, remote_config)
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
    "open_connection",
    "ssh_connect",
    "unix_connect",
]
