"""What all servers have: the listening socket, accepting, the connections, closing."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final

from netobj.blocking.connection import Connection
from netobj.blocking.link import greeting
from netobj.blocking.streams import stream_for
from netobj.core.config import Config, settings_for
from netobj.core.service import Service, instance_of
from netobj.errors import AuthenticationError
from netobj.factory import open_connection
from netobj.sockets import bind_unix, unlink

Authenticator = Callable[[socket.socket], tuple[socket.socket, Any]]

ACCEPT_PAUSE: Final = 0.1
"""Seconds before accepting again when the system gave no descriptor or thread."""


class Server:
    """Base of servers; a subclass says what runs a connection (:meth:`_accept_method`).

    *service*: a :class:`~netobj.core.service.Service` class (an instance for each connection) or
    instance (shared). *hostname*: the address to bind, by default all; *ipv6*: an IPv6 one, by
    default ``::``, which most systems bind for IPv4, too; *port*: 0 lets the system choose;
    *socket_path*: a Unix socket instead. *authenticator*: socket -> (socket,
    credentials), raising AuthenticationError. *protocol_config*: settings of each connection.
    *listener_timeout*: kept for old programs; closing does not wait for it.

    Binding happens when ``port``, ``host``, ``fileno`` or ``start`` is first used. Raises
    ``ValueError`` for *socket_path* together with a host or port.
    """

    def __init__(
        self,
        service: Any,
        hostname: str | None = None,
        ipv6: bool = False,
        port: int = 0,
        backlog: int = socket.SOMAXCONN,
        reuse_addr: bool = True,
        authenticator: Authenticator | None = None,
        registrar: Any = None,
        auto_register: bool | None = None,
        protocol_config: Mapping[str, Any] | None = None,
        logger: logging.Logger | None = None,
        listener_timeout: float | None = 0.5,
        socket_path: str | None = None,
    ) -> None:
        if socket_path is not None and (hostname is not None or port != 0 or ipv6):
            raise ValueError("socket_path cannot go together with hostname, port or ipv6")
        self.service = service
        self.hostname = hostname
        self.ipv6 = ipv6
        self.backlog = backlog
        self.reuse_addr = reuse_addr
        self.authenticator = authenticator
        self.registrar = registrar
        self.auto_register = registrar is not None if auto_register is None else auto_register
        self.protocol_config = dict(protocol_config or {})
        self.socket_path = socket_path
        self.listener_timeout = listener_timeout
        name = self._service_class().get_service_name()
        self.logger = logger or logging.getLogger(f"{name}/{port or socket_path or ''}")
        self.active = False
        self.clients: set[Connection] = set()
        self._port = port
        self._listener: socket.socket | None = None
        # Protects the listener's making and `clients`; nothing waits while it is held.
        self._lock = threading.RLock()
        self._closed = False
        self._thread: threading.Thread | None = None

    def _service_class(self) -> type[Service]:
        service: Any = self.service
        return service if isinstance(service, type) else type(service)

    # --- the listening socket ----------------------------------------------------------------

    @property
    def listener(self) -> socket.socket:
        """The listening socket; bound when it is first asked for. OSError once closed."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the server is closed")
            if self._listener is None:
                self._listener = self._bind()
            return self._listener

    def _bind(self) -> socket.socket:
        if self.socket_path is not None:
            return self._bind_unix(self.socket_path)
        ipv6 = self.ipv6 or ":" in (self.hostname or "")
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        address = (self.hostname or ("::" if ipv6 else "0.0.0.0"), self._port)
        found = socket.getaddrinfo(*address, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if self.reuse_addr and os.name != "nt":  # elsewhere it lets others steal the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(True)  # whatever socket.setdefaulttimeout() says
            listener.bind(found[0][4])
            listener.listen(self.backlog)
        except BaseException:
            listener.close()
            raise
        return listener

    def _bind_unix(self, path: str) -> socket.socket:
        listener = bind_unix(path)
        listener.setblocking(True)  # whatever socket.setdefaulttimeout() says
        listener.listen(self.backlog)
        return listener

    @property
    def host(self) -> str:
        """The address that the server is bound to."""
        if self.socket_path is not None:
            return self.socket_path
        host: str = self.listener.getsockname()[0]
        return host

    @property
    def port(self) -> int:
        """The port that the server is bound to; 0 for a Unix socket."""
        if self.socket_path is not None:
            return 0
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The live connections; ``calls`` of each are what runs for its client."""
        with self._lock:
            return tuple(self.clients)

    def fileno(self) -> int:
        """The descriptor of the listening socket."""
        return self.listener.fileno()

    # --- serving -------------------------------------------------------------------------------

    def start(self) -> None:
        """Accept and serve until :meth:`close`, or until Ctrl-C; returns at once if closed."""
        self.active = True
        try:
            where = self.socket_path or f"[{self.host}]:{self.port}"
            self.logger.info("server started on %s", where)
            while self.active and not self._closed:
                self.accept()
        except KeyboardInterrupt:
            self.logger.warning("interrupted: the server closes")
        except OSError:
            if not self._closed:
                raise
        finally:
            self.close()

    def accept(self) -> None:
        """Accept one connection and hand it over; waits for one."""
        try:
            sock, address = self.listener.accept()
        except OSError as exc:
            if not self.active or self._closed:
                return
            if exc.errno not in _PASSING:
                raise
            self.logger.error("accepting failed, trying again soon: %s", exc)
            time.sleep(ACCEPT_PAUSE)
            return
        sock.setblocking(True)
        self.logger.info("accepted %s", address)
        self._accept_method(sock)

    def _accept_method(self, sock: socket.socket) -> None:
        """Let something run :meth:`_authenticate_and_serve_client` for *sock*."""
        raise NotImplementedError

    def _greet(self, sock: socket.socket) -> Config | None:
        """Say hello now, if all that it says is known: the client waits for it.

        Returns the settings of the connection if that was done. Not before who connects is
        authenticated, nor where the service is still to be made by code of its own.
        """
        root = self._service_class()
        made = root is self.service and (
            root.__init__ is not object.__init__ or root.__new__ is not object.__new__
        )
        if self.authenticator is not None or made:
            return None
        settings = settings_for(self.service, self._settings(None))
        hello = greeting(settings, root)
        if len(hello) > _LONGEST_HELLO:  # a new socket may not have that much room
            return None
        try:
            sock.sendall(hello)
        except OSError:  # it is gone: the reader will see it
            pass
        return settings

    def _settings(self, credentials: Any) -> dict[str, Any]:
        return {
            "connid": None,
            **self.protocol_config,
            "credentials": credentials,
            "logger": self.protocol_config.get("logger") or self.logger,
        }

    def _authenticate_and_serve_client(
        self, sock: socket.socket, greeted: Config | None = None
    ) -> None:
        credentials = None
        try:
            if self.authenticator is not None:
                sock, credentials = self.authenticator(sock)
        except AuthenticationError as exc:
            self.logger.warning("authentication failed: %s", exc)
            _close(sock)
            return
        except Exception:
            self.logger.exception("authentication failed")
            _close(sock)
            return
        try:
            self._serve_client(sock, credentials, greeted)
        except Exception:
            self.logger.exception("serving a client failed")

    def _serve_client(
        self, sock: socket.socket, credentials: Any, greeted: Config | None = None
    ) -> None:
        config = {} if greeted else self._settings(credentials)
        service = instance_of(self.service)
        connection = open_connection(stream_for(sock), service, config, greeted)
        with self._lock:
            admitted = not self._closed
            if admitted:
                self.clients.add(connection)
        if admitted:
            self._serve_admitted(connection)
        else:
            connection.close()

    def _serve_admitted(self, connection: Connection) -> None:
        try:
            self._handle_connection(connection)
        finally:
            self._left(connection)

    def _handle_connection(self, connection: Connection) -> None:
        """Serve *connection* until it ends."""
        connection.serve_all()

    def _left(self, connection: Connection) -> None:
        """*connection* has ended."""
        with self._lock:
            self.clients.discard(connection)
        endpoints = connection.config.endpoints
        self.logger.info("goodbye %s", endpoints and endpoints[1])

    def close(self) -> None:
        """Stop accepting, and close every connection. Closing twice does no harm."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.active = False
            listener, self._listener = self._listener, None
            clients = list(self.clients)
        if listener is not None:
            close_listener(listener)
            if self.socket_path is not None:
                unlink(self.socket_path)
        for client in clients:
            try:
                client.close()
            except Exception:  # its before_closed; the others are closed all the same
                self.logger.exception("closing %r raised", client)
        self.logger.info("server has terminated")

    # --- in the background -----------------------------------------------------------------------

    def __enter__(self) -> Server:
        self.listener  # noqa: B018  (bind now, so that errors are raised here)
        self.active = True
        self._thread = threading.Thread(target=self.start, name="netobj server", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._thread is not None:
            self._thread.join()


_LONGEST_HELLO: Final = 4096
_PASSING: Final = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EINTR", "EPERM")
)


def _close(sock: socket.socket) -> None:
    try:
        sock.close()
    except OSError:
        pass


def close_listener(listener: socket.socket) -> None:
    try:
        listener.shutdown(socket.SHUT_RDWR)  # lets a thread come out of accept() on Linux
    except OSError:
        pass
    _close(listener)
