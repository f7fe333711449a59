"""What all servers have: the listening socket, accepting, the connections, closing."""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from netobj.auth.authenticator import LOGIN_TIME, REFUSALS, serving
from netobj.auth.exposure import check_reach
from netobj.auth.tls import SSLAuthenticator, accept_tls, certificate, serving_context
from netobj.blocking.connection import Connection
from netobj.blocking.dispatch import Workers
from netobj.blocking.link import greeting
from netobj.blocking.pool import Job
from netobj.blocking.streams import stream_for
from netobj.calls import Call
from netobj.core.config import Config, settings_for
from netobj.core.service import Service, instance_of
from netobj.core.session import goodbye
from netobj.factory import open_connection
from netobj.registry.client import UDPRegistryClient
from netobj.registry.registration import Advertise, Registration, check_advertise
from netobj.servers.pump import Executor, Pump
from netobj.servers.signals import on_sigterm
from netobj.sockets import bind_unix, peer_text, unlink

Authenticator = Callable[[socket.socket], tuple[socket.socket, Any]]

MAX_CONNECTIONS: Final = 10_000
GRACE: Final = 3.0
"""Seconds that calls have to end when a signal ends the server."""
ACCEPT_PAUSE: Final = 0.1
"""Seconds before accepting again when the system gave no descriptor or thread."""


class Server:
    """Base of servers; a subclass says what runs a connection (:meth:`_accept_method`).

    *service*: a :class:`~netobj.core.service.Service` class (an instance for each connection) or
    instance (shared). *hostname*: the address to bind, by default all; *ipv6*: an IPv6 one, by
    default ``::``, which most systems bind for IPv4, too; *port*: 0 lets the system choose;
    *socket_path*: a Unix socket instead. *protocol_config*: settings of each connection.
    *listener_timeout*: kept for old programs; closing does not wait for it. *max_connections*:
    who comes when there are as many is told so and let go. *executor*: where plain methods run,
    in place of the server's threads, see :class:`netobj.Pump`. *grace*: seconds that calls have
    to end when Ctrl-C or SIGTERM ends :meth:`start`.

    *registrar*: a client of a registry, by which the server is registered while it runs.
    *auto_register*: whether it is, by default if there is a registrar; True without one registers
    with every registry that hears a broadcast. *advertise*: the host, or (host, port), at which
    clients reach it, if that is not where it is bound (see :mod:`netobj.registry.registration`).

    *ssl_context*: TLS, see :func:`netobj.auth.server_context`. *authenticator*: says who connects,
    one of :mod:`netobj.auth`'s or a callable: socket -> (socket, credentials), raising
    AuthenticationError. Nothing of the service answers before. *insecure*: a whole interpreter
    (:class:`~netobj.SlaveService`) may be bound where strangers reach it, without either.

    Binding happens when ``port``, ``host``, ``fileno`` or ``start`` is first used. Raises
    ``ValueError`` for *socket_path* together with a host or port, or with being registered, and for
    what is not secure.
    """

    ____closed____ = True  # see netobj.core.rules

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
        *,
        max_connections: int = MAX_CONNECTIONS,
        executor: Executor | None = None,
        grace: float = GRACE,
        advertise: Advertise | None = None,
        ssl_context: ssl.SSLContext | None = None,
        insecure: bool = False,
    ) -> None:
        if socket_path is not None and (hostname is not None or port != 0 or ipv6):
            raise ValueError("socket_path cannot go together with hostname, port or ipv6")
        self.service = service
        self.hostname = hostname
        self.ipv6 = ipv6
        self.backlog = backlog
        self.reuse_addr = reuse_addr
        self.ssl_context = serving_context(ssl_context)
        private = ssl_context is not None or socket_path is not None
        self.authenticator = serving(authenticator, private)
        if ssl_context is not None and isinstance(authenticator, SSLAuthenticator):
            raise ValueError("SSLAuthenticator and ssl_context are both TLS: give one of them")
        self.insecure = insecure
        self.auto_register = registrar is not None if auto_register is None else auto_register
        if self.auto_register and socket_path is not None:
            raise ValueError("a server on a Unix socket cannot be registered: it has no address")
        if self.auto_register:
            registrar = UDPRegistryClient() if registrar is None else registrar
            check_advertise(registrar, advertise)
        self.registrar = registrar
        self.advertise = advertise
        self._registration: Registration | None = None
        self.protocol_config = dict(protocol_config or {})
        self.socket_path = socket_path
        self.listener_timeout = listener_timeout
        name = self._service_class().get_service_name()
        self.logger = logger or logging.getLogger(f"{name}/{port or socket_path or ''}")
        self.max_connections = max_connections
        self.executor = executor
        self.grace = grace
        self.active = False
        self.clients: set[Connection] = set()
        self._admitting: set[socket.socket] = set()  # accepted, and not among the clients yet
        self._arriving: set[socket.socket] = set()  # copies of those in their handshake or login
        self._port = port
        self._listener: socket.socket | None = None
        self._spare: int | None = None  # a descriptor for refusing when there is no other
        # Protects the listener's making, `clients`, `_admitting` and `_arriving`; nothing waits in
        # it.
        self._lock = threading.RLock()
        self._closed = False
        self._over = threading.Event()  # the connections are closed
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
                self._spare = os.open(os.devnull, os.O_RDONLY)
            return self._listener

    def _bind(self) -> socket.socket:
        if self.socket_path is not None:
            return self._bind_unix(self.socket_path)
        ipv6 = self.ipv6 or ":" in (self.hostname or "")
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        address = (self.hostname or ("::" if ipv6 else "0.0.0.0"), self._port)
        found = socket.getaddrinfo(*address, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
        check_reach(
            self.service,
            found[0][4],
            ssl_context=self.ssl_context,
            authenticator=self.authenticator,
            insecure=self.insecure,
            logger=self.logger,
        )
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
        """Accept and serve until :meth:`close`, or until Ctrl-C; returns at once if closed.

        In the main thread SIGTERM ends it, too. Calls that run then have ``grace`` seconds to end.
        """
        self.active = True
        try:
            with on_sigterm(self._interrupt):  # before it says that it has started
                where = self.socket_path or f"[{self.host}]:{self.port}"
                self.logger.info("server started on %s", where)
                self._register()
                while self.active and not self._closed:
                    self.accept()
        except KeyboardInterrupt:
            self._interrupt()
        except OSError:
            if not self._closed:
                raise
        finally:
            self.close(0 if self.active else self.grace)
            self._over.wait()  # another thread may be about it

    def _interrupt(self) -> None:
        """Have :meth:`start` close the server; from a signal handler, so without a lock."""
        self.logger.info("interrupted: the server closes")
        self.active = False
        listener = self._listener
        if listener is not None:
            _shutdown(listener)

    def _register(self) -> None:
        """Begin to register, if that is to be done; it goes on until the server is closed."""
        if not self.auto_register:
            return
        registration = Registration(
            self.registrar,
            self._service_class().get_service_aliases,
            self.port,
            self.host,
            self.logger,
            self.advertise,
        )
        with self._lock:
            if self._closed or not registration.start():
                registration.discard()
            else:
                self._registration = registration

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
            if exc.errno in _NO_DESCRIPTOR:
                self._accept_with_spare(f"{exc.strerror}")
            time.sleep(ACCEPT_PAUSE)
            return
        self._accepted(sock, address)

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        sock.setblocking(True)
        with self._lock:
            admitted = len(self.clients) + len(self._admitting) < self.max_connections
            if admitted:
                self._admitting.add(sock)
        if admitted:
            self.logger.info("accepted %s", address)
            self._accept_method(sock)
        else:
            self._refuse(sock, f"it has {self.max_connections} connections, and takes no more")

    def _accept_with_spare(self, reason: str) -> None:
        """Accept who comes next, to say that there is no descriptor, unless there is one by then.

        The system does not wait for somebody to come before it says that there is none.
        """
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None:
            self._renew_spare()
            return
        os.close(spare)
        try:
            sock, address = self.listener.accept()
        except OSError:  # another thread has taken the descriptor, or the server is closed
            self._renew_spare()
        else:
            if self._renew_spare():
                self._accepted(sock, address)
            else:
                self._refuse(sock, reason)
                self._renew_spare()

    def _renew_spare(self) -> bool:
        """Keep a descriptor for later; False if there is none."""
        with self._lock:
            if self._spare is None and not self._closed:
                try:
                    self._spare = os.open(os.devnull, os.O_RDONLY)
                except OSError:
                    pass
            return self._spare is not None

    def _refuse(self, sock: socket.socket, reason: str, greeted: Config | None = None) -> None:
        """Close *sock*, whose peer learns the *reason*, unless it is to authenticate itself."""
        self.logger.error("refused a connection: %s", reason)
        try:
            if self.authenticator is None and self.ssl_context is None:
                sock.setblocking(False)  # what does not fit is not worth waiting for
                hello = b""
                if greeted is None:
                    settings = settings_for(self.service, self._settings(None))
                    hello = greeting(settings, self._service_class())
                sock.send(hello + goodbye(f"the server refuses the connection: {reason}"))
                sock.shutdown(socket.SHUT_WR)
        except OSError:  # it is gone
            pass
        finally:
            self._let_go(sock)
            _close(sock)

    def _let_go(self, sock: socket.socket) -> None:
        """*sock* is among the clients from here on, or closed."""
        with self._lock:
            self._admitting.discard(sock)

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
        if self.authenticator is not None or self.ssl_context is not None or made:
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
        connection = None
        try:
            authenticated = self._authenticate(sock)
            if authenticated is not None:
                connection = self._open(sock, *authenticated, greeted)
        except Exception:
            self.logger.exception("serving a client failed")
        finally:
            self._let_go(sock)
        if connection is not None:
            self._serve_admitted(connection)

    def _authenticate(self, sock: socket.socket) -> tuple[socket.socket, Any] | None:
        """The handshake and the login, which may take many seconds: not in the thread that accepts.

        Returns the socket to go on with and the credentials; None if the client was refused, which
        is logged, and *sock* closed.
        """
        if self.authenticator is None and self.ssl_context is None:
            return sock, None
        peer = peer_text(sock)
        try:
            with self._arrival(sock):
                sock.settimeout(LOGIN_TIME)
                if self.ssl_context is not None:
                    sock = accept_tls(sock, self.ssl_context)
                if self.authenticator is None:
                    return sock, certificate(sock)
                return self.authenticator(sock)
        except REFUSALS as exc:
            self.logger.warning("authentication failed: %s: %s", peer, exc)
        except Exception:
            self.logger.exception("authentication failed: %s", peer)
        _close(sock)
        return None

    @contextmanager
    def _arrival(self, sock: socket.socket) -> Iterator[None]:
        """While in the block, :meth:`close` ends what is said over *sock*, whatever wraps it."""
        other = sock.dup()
        try:
            with self._lock:
                if self._closed:
                    _shutdown(other)
                self._arriving.add(other)
            yield
        finally:
            with self._lock:
                self._arriving.discard(other)
                other.close()

    def _open(
        self,
        accepted: socket.socket,
        sock: socket.socket,
        credentials: Any,
        greeted: Config | None,
    ) -> Connection | None:
        """The new client, to be spoken with through *sock*; None if the server is closed by now."""
        config = {} if greeted else self._settings(credentials)
        service = instance_of(self.service)
        stream = stream_for(sock)
        connection = open_connection(stream, service, config, greeted, self._workers())
        with self._lock:
            if not self._closed:
                self._admitting.discard(accepted)  # in one step: it counts once
                self.clients.add(connection)
                return connection
        connection.close()
        return None

    def _serve_admitted(self, connection: Connection) -> None:
        connection.on_end = self._left
        try:
            if self.executor is None:  # else the I/O thread reads what comes
                self._handle_connection(connection)
        except Exception:
            self.logger.exception("serving a client failed")
            connection.close()
        finally:
            if connection.closed:  # perhaps before it was to tell
                self._left(connection)

    def _workers(self) -> Workers | None:
        """Where calls run that the connection's own thread does not run."""
        return None if self.executor is None else _Workers(self.executor)

    def _handle_connection(self, connection: Connection) -> None:
        """Serve *connection* until it ends."""
        connection.serve_all()

    def _left(self, connection: Connection) -> None:
        """*connection* has ended."""
        with self._lock:
            if connection not in self.clients:
                return
            self.clients.discard(connection)
        endpoints = connection.config.endpoints
        self.logger.info("goodbye %s", endpoints and endpoints[1])

    def pump(self, timeout: float | None = 0) -> int:
        """Run the calls that wait, in this thread; returns how many jobs that were.

        For a server with ``executor=netobj.Pump()``, see :meth:`netobj.Pump.pump`; RuntimeError
        for any other.
        """
        if not isinstance(self.executor, Pump):
            raise RuntimeError("pump() is for servers that were made with executor=netobj.Pump()")
        return self.executor.pump(timeout)

    # --- the end ---------------------------------------------------------------------------------

    def close(self, grace: float = 0) -> tuple[Call, ...]:
        """Stop accepting, and close every connection. Closing twice does no harm.

        Calls that run have *grace* seconds to end; those that come meanwhile do not run, and fail
        at the clients with ConnectionLost. Returns the calls that were cut.
        """
        with self._lock:
            if self._closed:
                return ()
            self._closed = True
            self.active = False
            listener, self._listener = self._listener, None
            spare, self._spare = self._spare, None
            clients = list(self.clients)
            for sock in self._arriving:
                _shutdown(sock)
            registration = self._registration
        if registration is not None:
            registration.stop()
        if spare is not None:
            os.close(spare)
        if listener is not None:
            close_listener(listener)
            if self.socket_path is not None:
                unlink(self.socket_path)
        try:
            return self._close_clients(clients, grace)
        finally:
            if registration is not None:
                registration.join()
            self.logger.info("server has terminated")
            self._over.set()

    def _close_clients(self, clients: list[Connection], grace: float) -> tuple[Call, ...]:
        if grace > 0:
            for client in clients:
                client.dispatcher.hold()
            end = time.monotonic() + grace
            try:
                while clients and time.monotonic() < end:
                    for client in [one for one in clients if not one.calls]:
                        clients.remove(client)
                        self._close_client(client)
                    if clients:
                        time.sleep(_LOOK)
            except KeyboardInterrupt:
                self.logger.warning("interrupted once more: calls are cut")
        cut = tuple(call for client in clients for call in client.calls)
        for client in clients:
            self._close_client(client)
        return cut

    def _close_client(self, client: Connection) -> None:
        try:
            client.close()
        except Exception:  # its before_closed; the others are closed all the same
            self.logger.exception("closing %r raised", client)

    # --- in the background -----------------------------------------------------------------------

    def __enter__(self) -> Server:
        self._start_in_thread()
        return self

    def _start_in_thread(self) -> threading.Thread:
        """Serve in the background. A name that programs have from RPyC; ``with`` is to be had."""
        self.listener  # noqa: B018  (bind now, so that errors are raised here)
        self.active = True
        self._thread = threading.Thread(target=self.start, name="netobj server", daemon=True)
        self._thread.start()
        return self._thread

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._thread is not None:
            self._thread.join()


class _Workers:
    """An executor, as a dispatcher uses its workers."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, job: Job) -> bool:
        try:
            self._executor.submit(*job)
        except RuntimeError:  # it has been shut down
            return False
        return True


_LOOK: Final = 0.005
"""Seconds between looks whether calls have ended."""
_LONGEST_HELLO: Final = 4096
_PASSING: Final = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EINTR", "EPERM")
)

_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)


def _close(sock: socket.socket) -> None:
    try:
        sock.close()
    except OSError:
        pass


def _shutdown(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)  # lets a thread come out of accept() on Linux
    except OSError:
        pass


def close_listener(listener: socket.socket) -> None:
    """Close *listener*, also while a thread waits in its ``accept``."""
    _shutdown(listener)
    _close(listener)
