"""What all servers have, put together: whom they listen for, admit, serve, and let go.

``listening`` has the listening socket, ``welcoming`` what is said before there is a connection,
``guests`` who is there, ``closing`` the end.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final

from netobj.auth.authenticator import serving
from netobj.auth.exposure import check_reach
from netobj.auth.psk import PreSharedKey, protecting
from netobj.auth.tls import SSLAuthenticator, serving_context
from netobj.blocking.connection import Connection
from netobj.blocking.dispatch import Workers
from netobj.blocking.intercepting import at_once, entrance_for
from netobj.blocking.pool import Job
from netobj.blocking.streams import stream_for
from netobj.calls import Call
from netobj.core.config import Config, introspection, settings_for
from netobj.core.service import Service, instance_of
from netobj.errors import Refused
from netobj.factory import open_connection
from netobj.greetings import greeting
from netobj.interceptors.entrance import Entrance
from netobj.interceptors.hooks import checked, hooks, with_interceptors
from netobj.interceptors.interceptor import Peer
from netobj.process_pool import close_pool
from netobj.refusing import MAX_CONNECTIONS, full, one_grace, refuse
from netobj.registry.client import UDPRegistryClient
from netobj.registry.registration import Advertise, Registration, check_advertise
from netobj.servers.accepting_together import SharedListening
from netobj.servers.closing import close_all, close_with_grace
from netobj.servers.guests import Guests
from netobj.servers.listening import Listening, find_address, listen_at, listen_at_path
from netobj.servers.pump import Executor, Pump
from netobj.servers.signals import alarmed, on_sigterm
from netobj.servers.welcoming import Authenticator, Sock, find_out, greet
from netobj.taking_turns import Room


class Server:
    """Base of servers; a subclass says what runs a connection (:meth:`_accept_method`).

    *service*: a :class:`~netobj.core.service.Service` class (an instance for each connection) or
    instance (shared). *hostname*: the address to bind, by default all; *ipv6*: an IPv6 one, by
    default ``::``, which most systems bind for IPv4, too; *port*: 0 lets the system choose;
    *socket_path*: a Unix socket instead. *protocol_config*: settings of each connection.
    *listener_timeout*: kept for old programs; closing does not wait for it. *max_connections*:
    who comes when there are as many is told so and let go. *executor*: where plain methods run,
    in place of the server's threads, see :class:`netobj.Pump`. *grace*, or *graceful_timeout*:
    seconds that calls have to end when Ctrl-C or SIGTERM ends :meth:`start`.

    *registrar*: a client of a registry, by which the server is registered while it runs.
    *auto_register*: whether it is, by default if there is a registrar; True without one registers
    with every registry that hears a broadcast. *advertise*: the host, or (host, port), at which
    clients reach it, if that is not where it is bound (see :mod:`netobj.registry.registration`).

    *ssl_context*: TLS, see :func:`netobj.auth.server_context`; or *psk*: encryption with a key that
    clients have, too, see :class:`netobj.auth.PreSharedKey`. *authenticator*: says who connects,
    one of :mod:`netobj.auth`'s or a callable: socket -> (socket, credentials), raising
    AuthenticationError. Nothing of the service answers before. *insecure*: a whole interpreter
    (:class:`~netobj.SlaveService`) may be bound where strangers reach it, without either.

    *introspect*: clients find ``conn.root.system``, see :class:`netobj.introspection.System`;
    ``"all"``: it tells of all connections, too, and not only of the client's own.
    *interceptors*: what is around each connection and each call, see :class:`netobj.Interceptor`;
    outside of those that *protocol_config* has.

    Binding happens when ``port``, ``host``, ``fileno`` or ``start`` is first used. Raises
    ``ValueError`` for *socket_path* together with a host or port, or with being registered, for an
    *introspect* that is none, and for what is not secure.
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
        grace: float | None = None,
        graceful_timeout: float | None = None,
        advertise: Advertise | None = None,
        ssl_context: ssl.SSLContext | None = None,
        insecure: bool = False,
        introspect: bool | str | None = None,
        interceptors: Iterable[Any] = (),
        psk: PreSharedKey | None = None,
    ) -> None:
        if socket_path is not None and (hostname is not None or port != 0 or ipv6):
            raise ValueError("socket_path cannot go together with hostname, port or ipv6")
        self.service = service
        self.hostname = hostname
        self.ipv6 = ipv6
        self.backlog = backlog
        self.reuse_addr = reuse_addr
        self.ssl_context = serving_context(ssl_context)
        self.psk = protecting(psk, ssl_context)
        private = ssl_context is not None or psk is not None or socket_path is not None
        self.authenticator = serving(authenticator, private)
        if isinstance(authenticator, SSLAuthenticator):
            if ssl_context is not None:
                raise ValueError("SSLAuthenticator and ssl_context are both TLS: give one of them")
            protecting(psk, authenticator.context)
        self.insecure = insecure
        self.auto_register = registrar is not None if auto_register is None else auto_register
        if self.auto_register and socket_path is not None:
            raise ValueError("a server on a Unix socket cannot be registered: it has no address")
        if self.auto_register:
            registrar = UDPRegistryClient() if registrar is None else registrar
            check_advertise(registrar, advertise)
        self.registrar = registrar
        self.advertise = advertise
        self.protocol_config = dict(with_interceptors(protocol_config or {}, interceptors))
        if introspect is not None:
            self.protocol_config["introspect"] = introspection(introspect)
        self.socket_path = socket_path
        self.listener_timeout = listener_timeout
        name = self._service_class().get_service_name()
        self.logger = logger or logging.getLogger(f"{name}/{port or socket_path or ''}")
        self.max_connections = max_connections
        self.executor = executor
        self.grace = one_grace(grace, graceful_timeout)
        self.active = False
        self._port = port
        self._guests = Guests()
        self._listening = Listening(self._bind, self._refuse, self.logger, socket_path)
        # Protects whether the server is closed, and what is not to begin after that; nothing waits
        # while it is held.
        self._lock = threading.RLock()
        self._closed = False
        self._registration: Registration | None = None
        self._over = threading.Event()  # the connections are closed
        self._entrance = self._make_entrance()
        self._begun = False  # the interceptors have been told that it starts
        self._thread: threading.Thread | None = None

    def _make_entrance(self) -> Entrance:
        return entrance_for(self._settings(), self.logger)

    def _service_class(self) -> type[Service]:
        service: Any = self.service
        return service if isinstance(service, type) else type(service)

    # --- the listening socket ----------------------------------------------------------------

    @property
    def listener(self) -> socket.socket:
        """The listening socket; bound when it is first asked for. OSError once closed."""
        return self._listening.bound()

    @property
    def _listener(self) -> socket.socket | None:
        """The listening socket while there is one; another, or none, may be put in its place."""
        return self._listening.sock

    @_listener.setter
    def _listener(self, sock: socket.socket | None) -> None:
        self._listening.sock = sock

    def _bind(self) -> socket.socket:
        if self.socket_path is not None:
            return listen_at_path(self.socket_path, self.backlog)
        family, address = find_address(self.hostname, self._port, self.ipv6)
        check_reach(
            self.service,
            address,
            ssl_context=self.ssl_context,
            authenticator=self.authenticator,
            insecure=self.insecure,
            logger=self.logger,
            psk=self.psk,
        )
        return self._listen_at(family, address)

    def _listen_at(self, family: int, address: Any) -> socket.socket:
        return listen_at(family, address, self.backlog, self.reuse_addr)

    @property
    def host(self) -> str:
        """The address that the server is bound to, or was until it was closed."""
        if self.socket_path is not None:
            return self.socket_path
        host: str = self._listening.address()[0]
        return host

    @property
    def port(self) -> int:
        """The port that the server is bound to, or was until it was closed; 0 for a Unix socket.

        Asking binds it. Raises OSError if it was closed before it was bound.
        """
        if self.socket_path is not None:
            return 0
        port: int = self._listening.address()[1]
        return port

    @property
    def clients(self) -> set[Connection]:
        """The live connections, as the server itself has them."""
        return self._guests.connections

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The live connections; ``calls`` of each are what runs for its client."""
        return self._guests.present()

    def accept_from(self, listener: socket.socket, room: Room) -> None:
        """Accept from *listener*, as other processes do, as many clients as there is *room* for.

        To be called before :meth:`start`, in place of binding a socket.
        """
        self._listening = SharedListening(listener, room, self._refuse, self.logger)
        self._guests = Guests(room)

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
            # Before it says that it has started.
            with on_sigterm(self._interrupt), alarmed() as self._listening.alarm:
                where = self.socket_path or f"[{self.host}]:{self.port}"
                self._tell_started()
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

    def run_forever(self) -> None:
        """Another name of :meth:`start`."""
        self.start()

    def _tell_started(self) -> None:
        """Tell the interceptors that the server starts; raises what they raise."""
        if not self._begun:
            self._begun = True
            at_once(self._entrance.start(self))

    def _interrupt(self) -> None:
        """Have :meth:`start` close the server; from a signal handler, so without a lock."""
        self.logger.info("interrupted: the server closes")
        self.active = False
        self._listening.interrupt()

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
            accepted = self._listening.accept()
        except OSError:
            if self.active and not self._closed:
                raise
            return
        if accepted is not None:
            self._accepted(*accepted)

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        sock.setblocking(True)
        if self._guests.admit(sock, self.max_connections):
            self.logger.info("accepted %s", address)
            if self._lets_in(sock, address):
                self._accept_method(sock)
        else:
            self._refuse(sock, full(self.max_connections))

    def _lets_in(self, sock: socket.socket, address: Any) -> bool:
        """Whether the interceptors admit who has come as *sock*, who is refused otherwise."""
        try:
            if self._entrance.asks:
                at_once(self._entrance.accept(sock, Peer(address, self)))
        except Refused as exc:
            self._refuse(sock, str(exc))
            return False
        return True

    def _let_go(self, sock: socket.socket) -> None:
        """Who came as *sock* is on the way no longer, and has not entered unless that is known."""
        self._guests.let_go(sock)
        at_once(self._entrance.leave(sock))

    def _refuse(self, sock: socket.socket, reason: str, greeted: Config | None = None) -> None:
        """Close *sock*, whose peer learns the *reason*, unless it is to authenticate itself."""
        self.logger.error("refused a connection: %s", reason)
        hello = None
        if not self._asks:
            hello = b"" if greeted else greeting(self._settings(), self._service_class())
        self._let_go(sock)
        refuse(sock, reason, hello)

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
        settings = self._settings()
        watched = hooks(checked(settings.interceptors), "on_message")
        if self._asks or made or watched:
            return None
        return greet(sock, settings, root)

    def _settings(self) -> Config:
        return settings_for(self.service, self._config(None))

    def _config(self, credentials: Any) -> dict[str, Any]:
        return {
            "connid": None,
            **self.protocol_config,
            "credentials": credentials,
            "accepted": True,
            "logger": self.protocol_config.get("logger") or self.logger,
            "fellows": self._guests.present,
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

    @property
    def _asks(self) -> bool:
        """Whether something comes before netobj's own protocol."""
        return not (self.authenticator is None and self.ssl_context is None and self.psk is None)

    def _authenticate(self, sock: socket.socket) -> tuple[Sock, Any] | None:
        if not self._asks:
            return sock, None
        arrival = self._guests.arrival(sock)
        limit = self._settings().handshake_timeout
        return find_out(
            sock, self.ssl_context, self.authenticator, arrival, self.logger, limit, self.psk
        )

    def _open(
        self,
        accepted: socket.socket,
        sock: Sock,
        credentials: Any,
        greeted: Config | None,
    ) -> Connection | None:
        """The new client, to be spoken with through *sock*; None if the server is closed by now."""
        config = {} if greeted else self._config(credentials)
        service = instance_of(self.service)
        stream = stream_for(sock)
        workers = self._workers()
        will_serve = workers is None
        connection = open_connection(stream, service, config, greeted, workers, will_serve)
        self._entrance.enter(accepted, connection)
        if self._guests.enter(accepted, connection):
            return connection
        connection.close()
        at_once(self._entrance.leave(connection))
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
        if self._guests.leave(connection):
            endpoints = connection.config.endpoints
            self.logger.info("goodbye %s", endpoints and endpoints[1])
            at_once(self._entrance.leave(connection))

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
            registration = self._registration
        if registration is not None:
            registration.stop()
        self._listening.close()
        try:
            return close_with_grace(self._guests.close(), grace, self.logger)
        finally:
            close_pool(self._service_class())
            if registration is not None:
                registration.join()
            self._tell_stopped()
            self.logger.info("server has terminated")
            self._over.set()

    def cut(self) -> None:
        """Close the connections whose calls :meth:`close` has given time, now."""
        close_all(self.connections, self.logger)

    def _tell_stopped(self) -> None:
        """Tell the interceptors that the server has ended."""
        at_once(self._entrance.stop(self))

    # --- in the background -----------------------------------------------------------------------

    def __enter__(self) -> Server:
        self._start_in_thread()
        return self

    def _start_in_thread(self) -> threading.Thread:
        """Serve in the background. A name that programs have from RPyC; ``with`` is to be had."""
        self._begin()
        try:
            self._tell_started()
        except BaseException:
            self.close()
            raise
        self.active = True
        self._thread = threading.Thread(target=self._run, name="netobj server", daemon=True)
        self._thread.start()
        return self._thread

    def _begin(self) -> None:
        """Do now what may fail, so that it is raised here."""
        self.listener  # noqa: B018  (binds)

    def _run(self) -> None:
        """What the thread does."""
        self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._thread is not None:
            self._thread.join(_JOIN)


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


_JOIN: Final = 0.5
"""Seconds that the thread of a server has to end, which may be in a call of a client's."""
