"""A server on an event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl as ssl_module
import threading
import time
from collections.abc import Coroutine, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Final

from netobj.aio.agreeing import accept_sealed
from netobj.aio.connection import Connection
from netobj.aio.factory import make_connection
from netobj.aio.intercepting import call_hook
from netobj.aio.listening import Host, Listening, bind
from netobj.aio.login import LoginWire, admit, authenticate_by_callable
from netobj.aio.signals import on_signals
from netobj.aio.wire import Wire, new_wire
from netobj.aio.workers import Workers
from netobj.auth.authenticator import FOREVER, REFUSALS, Authenticator, serving
from netobj.auth.exposure import check_reach
from netobj.auth.psk import PreSharedKey, protecting
from netobj.auth.tls import SSLAuthenticator, one_context, serving_context
from netobj.calls import Call
from netobj.core.config import EMPTY, Settings, settings_for
from netobj.core.service import instance_of
from netobj.errors import AuthenticationError, Refused
from netobj.greetings import greeting
from netobj.interceptors.entrance import Entrance
from netobj.interceptors.hooks import checked, with_interceptors
from netobj.interceptors.interceptor import Peer
from netobj.process_pool import close_pool
from netobj.refusing import MAX_CONNECTIONS, full, one_grace, refuse
from netobj.sockets import address_text, bind_unix, unlink
from netobj.taking_turns import Room

_UNIX: Final = getattr(socket, "AF_UNIX", None)

WORKERS: Final = 32
"""Threads at most in which plain methods run."""


class Server:
    """Serves *service* to any number of connections, on the running event loop.

    *service*: a :class:`~netobj.core.service.Service` class (an instance for each connection) or
    instance (shared). ``async def`` methods run as tasks on the loop, plain ones in at most
    *workers* threads, of which one connection has three quarters at the most. *host* is the address
    to bind, by default all; *port* 0 lets the system choose; *path*: a Unix socket instead; *sock*:
    a socket that is bound already. *config*: settings of each connection. *max_connections*: who
    comes when there are as many, those who are about to log in included, is told so and let go.
    *grace*, or *graceful_timeout*: seconds that calls have to end when a signal ends
    :meth:`run_forever`.

    *ssl_context* (or *ssl*, which is asyncio's name for it): TLS, see
    :func:`netobj.auth.server_context`; or *psk*: encryption with a key that clients have, too, see
    :class:`netobj.auth.PreSharedKey`. *authenticator*: says who connects, one of
    :mod:`netobj.auth`'s, or a callable: socket -> (socket, credentials), which runs in a thread.
    Nothing of the service answers before. *insecure*: a whole interpreter
    (:class:`~netobj.SlaveService`) may be bound where strangers reach it, without either.
    *interceptors*: what is around each connection and each call, see :class:`netobj.Interceptor`.

    *introspect*: clients find ``conn.root.system``, see :class:`netobj.introspection.System`;
    ``"all"``: it tells of all connections, too, and not only of the client's own.

    Raises ``ValueError`` for *path* or *sock* together with a host or port, for unknown settings,
    and, in :meth:`start` at the latest, for what is not secure.

    >>> import asyncio, netobj
    >>> class Clock(netobj.Service):
    ...     @netobj.exposed
    ...     async def wait(self, seconds):
    ...         await asyncio.sleep(seconds)
    ...         return "done"
    >>> async def main():
    ...     async with Server(Clock, "localhost") as server:
    ...         async with netobj.aio.connect("localhost", server.port) as conn:
    ...             return await conn.root.wait(0.01)
    >>> asyncio.run(main())
    'done'
    """

    ____closed____ = True  # see netobj.core.rules

    def __init__(
        self,
        service: Any,
        host: str | None = None,
        port: int = 0,
        *,
        path: str | None = None,
        sock: socket.socket | None = None,
        ssl_context: ssl_module.SSLContext | None = None,
        authenticator: Any = None,
        insecure: bool = False,
        config: Settings = EMPTY,
        workers: int = WORKERS,
        max_connections: int = MAX_CONNECTIONS,
        backlog: int = 1024,
        grace: float | None = None,
        graceful_timeout: float | None = None,
        logger: logging.Logger | None = None,
        ssl: ssl_module.SSLContext | None = None,
        introspect: bool | str | None = None,
        interceptors: Iterable[Any] = (),
        psk: PreSharedKey | None = None,
    ) -> None:
        if (path is not None) + (sock is not None) + (host is not None or port != 0) > 1:
            raise ValueError("one of path, sock, and host with port says where to listen")
        context = serving_context(one_context(ssl_context, ssl))
        if isinstance(authenticator, SSLAuthenticator):
            context, authenticator = one_context(context, authenticator.context), None
        unix = path is not None or (sock is not None and sock.family == _UNIX)
        self._psk = protecting(psk, context)
        protected = context is not None or psk is not None
        if protected and authenticator is not None:
            if not isinstance(authenticator, Authenticator):
                raise ValueError(
                    "a callable cannot read what is encrypted on an event loop: use one of "
                    "netobj.auth's authenticators, or netobj.ThreadedServer"
                )
        self.service = service
        self.logger = logger or logging.getLogger("netobj")
        self.grace = one_grace(grace, graceful_timeout)
        self._where = (host, port, path, sock)
        self._ssl = context
        self._authenticator = serving(authenticator, protected or unix)
        self._asks = self._authenticator is not None or protected
        self._insecure = insecure
        self._connections: set[Connection] = set()
        config = with_interceptors(config, interceptors)
        own: dict[str, Any] = {"accepted": True, "fellows": partial(tuple, self._connections)}
        if introspect is not None:
            own["introspect"] = introspect
        self._config = settings_for(service, {"logger": self.logger, **config, **own})
        self._entrance = Entrance(checked(self._config.interceptors), call_hook, self.logger)
        self.face: Any = self  # the server that interceptors are told of
        self._backlog = backlog
        self._max_connections = max_connections
        self._admitting: set[socket.socket] = set()  # accepted, and no connection yet
        self._arriving: set[asyncio.Task[None]] = set()  # in their handshake or login
        self._attaching: set[asyncio.Task[None]] = set()  # in the service's on_connect
        self._ending: set[asyncio.Task[None]] = set()  # until its on_disconnect has returned
        self._executor = Workers(workers, "netobj worker")
        self._listening: Listening | None = None
        self._started = False
        self._failure: OSError | None = None  # why nobody can be accepted any more
        self._stop = asyncio.Event()
        self._grace = 0.0
        self._room: Room | None = None  # that of several processes
        self._interrupted = False  # by a signal
        self._cut: list[Call] = []  # by cut()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that have not ended; ``calls`` of each are the calls that run."""
        return tuple(self._connections)

    @property
    def port(self) -> int:
        """The port that the server is bound to; 0 for a Unix socket. OSError if not started."""
        name = self._socket().getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    @property
    def host(self) -> str:
        """The address, or the path, that the server is bound to. OSError if not started."""
        name = self._socket().getsockname()
        return str(name[0]) if isinstance(name, tuple) else os.fsdecode(name)

    def _socket(self) -> socket.socket:
        if self._listening is None:
            raise OSError("the server is not listening: it has not been started, or is closed")
        return self._listening.listeners[0]

    async def start(self) -> None:
        """Bind and accept connections from here on; once.

        Raises OSError where that is impossible, RuntimeError if it has been done before.
        """
        if self._started or self._stop.is_set():
            raise RuntimeError("the server has been started or closed before: make another one")
        self._started = True
        host, port, path, sock = self._where
        if path is not None:
            sock = bind_unix(path)
        listeners = await bind(host, port) if sock is None else [sock]
        reaction = Host(self._accepted, self._refuse, self._fail)
        self._listening = Listening(listeners, reaction, self.logger, self._room)
        try:
            self._check_reach(listeners)
            await self._entrance.start(self.face)
            self._listening.begin(self._backlog)
        except BaseException:
            self._stop_listening()
            raise
        self.logger.info("server started on %s", [s.getsockname() for s in listeners])

    def _check_reach(self, listeners: list[socket.socket]) -> None:
        for sock in listeners:
            check_reach(
                self.service,
                sock.getsockname(),
                ssl_context=self._ssl,
                authenticator=self._authenticator,
                insecure=self._insecure,
                logger=self.logger,
                psk=self._psk,
            )

    # --- who comes -------------------------------------------------------------------------------

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        sock.setblocking(False)
        if self._stop.is_set():
            sock.close()
        elif not self._has_room():
            self._refuse(sock, full(self._max_connections))
        else:
            self._admitting.add(sock)
            self._follow(self._arriving, self._admit(sock, address))

    def _has_room(self) -> bool:
        """Whether one more may come; then it has its place in the room of all processes."""
        if len(self._connections) + len(self._admitting) >= self._max_connections:
            return False
        return self._room is None or self._room.try_take()

    def _give_back(self) -> None:
        if self._room is not None:
            self._room.give()

    def _refuse(self, sock: socket.socket, reason: str) -> None:
        """Close *sock*, whose peer learns the *reason*, unless it is to authenticate itself."""
        self.logger.error("refused a connection: %s", reason)
        hello = None
        if not self._asks:
            service = self.service
            root = service if isinstance(service, type) else type(service)
            hello = greeting(self._config, root)
        refuse(sock, reason, hello)

    def _fail(self, exc: OSError) -> None:
        self.logger.error("accepting failed, nobody else can be served: %s", exc)
        self._failure = exc
        self._stop.set()

    async def _admit(self, sock: socket.socket, address: Any) -> None:
        """The handshake and the login; then there is a connection, or none."""
        try:
            if not await self._lets_in(sock, address):
                return
            if self._stop.is_set():
                sock.close()
            elif self._authenticator is None:
                await self._open(self._new_wire(sock), sock)
            elif isinstance(self._authenticator, Authenticator):
                await self._admit_by_login(sock, address)
            else:
                await self._admit_by_callable(sock)
        except Exception as exc:
            self._log_failure(address, exc)
        finally:
            if sock in self._admitting:  # there is no connection, which would have taken its place
                self._admitting.discard(sock)
                self._give_back()
            if self._entrance.asks:
                await asyncio.shield(self._entrance.leave(sock))  # unless it has entered

    async def _lets_in(self, sock: socket.socket, address: Any) -> bool:
        """Whether the interceptors admit who has come as *sock*, who is refused otherwise."""
        try:
            if self._entrance.asks:
                await self._entrance.accept(sock, Peer(address, self.face))
        except Refused as exc:
            self._refuse(sock, str(exc))
            return False
        except BaseException:
            sock.close()
            raise
        return True

    def _log_failure(self, address: Any, exc: Exception) -> None:
        what = "authentication" if self._asks else "accepting"
        peer = address_text(address)
        if isinstance(exc, REFUSALS):
            self.logger.warning("%s failed: %s: %s", what, peer, exc)
        else:
            self.logger.error("%s failed: %s", what, peer, exc_info=exc)

    async def _admit_by_login(self, sock: socket.socket, address: Any) -> None:
        wire = LoginWire()
        await self._open(wire, sock)
        try:
            credentials = await admit(wire, self._authenticator, self._limit())
            wire.hand_over(self._new_wire(sock, credentials))
        except Exception as exc:
            self._log_failure(address, exc)
            await wire.leave()
        finally:
            wire.abandon()

    async def _admit_by_callable(self, sock: socket.socket) -> None:
        found, credentials = await authenticate_by_callable(
            self._authenticator, sock, self._limit()
        )
        await self._open(self._new_wire(sock, credentials), found)

    def _limit(self) -> float:
        return self._config.handshake_timeout or FOREVER

    def _new_wire(self, sock: socket.socket, credentials: Any = None) -> Wire:
        return new_wire(lambda transport: self._connected(transport, sock, credentials))

    async def _open(self, wire: Wire | LoginWire, sock: socket.socket) -> None:
        """Give *wire* a transport over *sock*, which is closed if that does not succeed."""
        loop = asyncio.get_running_loop()
        limit = None if self._ssl is None else self._limit()
        first = wire if self._psk is None else LoginWire()
        try:
            await loop.connect_accepted_socket(
                lambda: first, sock, ssl=self._ssl, ssl_handshake_timeout=limit
            )
        except BaseException as exc:
            sock.close()
            if self._ssl is not None and isinstance(exc, OSError):
                raise AuthenticationError(f"the TLS handshake failed: {exc}") from exc
            raise
        if self._psk is not None:
            assert isinstance(first, LoginWire)
            await accept_sealed(first, self._psk, self._limit(), wire)

    def _connected(
        self, transport: asyncio.Transport, accepted: socket.socket, credentials: Any
    ) -> Connection | None:
        """The connection over *transport*; None if there is to be none."""
        if self._stop.is_set():
            transport.abort()
            return None
        config = self._config
        if credentials is not None:
            config = config.merge({"credentials": credentials})
        try:
            service = instance_of(self.service)
            connection = make_connection(transport, service, config, self._executor.share())
        except BaseException as exc:
            if _is_for_the_loop(exc):
                raise
            self.logger.exception("accepting a connection failed")
            transport.abort()
            return None
        self._entrance.enter(accepted, connection)
        self._admitting.discard(accepted)  # in one step: it counts once
        self._connections.add(connection)
        connection.when_closed(self._ended)
        self._follow(self._attaching, self._attach(connection, service))
        return connection

    def _ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._give_back()
        self._follow(self._ending, self._see_off(connection))

    async def _see_off(self, connection: Connection) -> None:
        await connection.wait_closed()
        await self._entrance.leave(connection)

    def _follow(
        self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        """Do *work* in a task that is among *tasks* until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _attach(self, connection: Connection, service: Any) -> None:
        try:
            await connection.attach(service)
        except BaseException as exc:
            if _is_for_the_loop(exc):
                raise
            self.logger.exception("the service's on_connect raised")

    async def serve_forever(self) -> tuple[Call, ...]:
        """Start, unless that has been done, and serve until :meth:`close` or cancellation.

        Returns the calls that were cut, if it was :meth:`stop` that ended it. Raises OSError where
        it is impossible to bind, or to go on accepting.
        """
        if not self._started:
            await self.start()
        cut: tuple[Call, ...] = ()
        try:
            await self._stop.wait()
        finally:
            cut = await self.close(self._grace)
        if self._failure is not None:
            raise self._failure
        return cut

    async def run_forever(self) -> tuple[Call, ...]:
        """As :meth:`serve_forever`, and Ctrl-C or SIGTERM end it, too, in the main thread.

        Calls that run then have ``grace`` seconds to end; a second signal cuts them.
        """
        with on_signals(self._interrupt):
            return await self.serve_forever()

    def _interrupt(self) -> None:
        if self._interrupted:
            self.logger.warning("interrupted once more: calls are cut")
            self.cut()
        else:
            self.logger.info("interrupted: the server closes")
            self.stop(self.grace)
        self._interrupted = True

    def stop(self, grace: float = 0) -> None:
        """Have :meth:`serve_forever` close the server; to be called on the loop."""
        self._grace = max(self._grace, grace)
        self._stop.set()

    def share(self, room: Room) -> None:
        """Accept from the socket as other processes do, as many clients as there is *room* for.

        To be called before :meth:`start`.
        """
        self._room = room

    def cut(self) -> None:
        """Close the connections whose calls :meth:`close` has given time, now; on the loop."""
        for connection in self._connections:
            self._cut.extend(_running(connection))
            self._follow(self._ending, connection.close())

    async def close(self, grace: float = 0) -> tuple[Call, ...]:
        """Stop accepting, and close every connection. Closing twice does no harm.

        Calls that run have *grace* seconds to end; those that come meanwhile do not run, and fail
        at the clients with ConnectionLost. Returns the calls that were cut.

        Returns after the services' ``on_disconnect``, and when the tasks that ran for the peers
        have ended, within about a second. Plain methods that run are left to end by themselves.
        """
        self._grace = grace = max(self._grace, grace)  # serve_forever() closes, too
        self._stop.set()
        self._stop_listening()
        await asyncio.sleep(0)  # who was accepted last would have a socket that nobody closes
        for task in (*self._arriving, *self._attaching):
            task.cancel()
        if self._arriving:
            await asyncio.wait(set(self._arriving))
            for _ in range(TURNS):
                await asyncio.sleep(0)
        await self._let_calls_end(grace)
        left = [call for one in self._connections for call in _running(one)]
        cut = tuple(dict.fromkeys((*self._cut, *left)))
        closing = [connection.close() for connection in self._connections]
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(result, Exception):
                self.logger.error("closing a connection raised", exc_info=result)
        if self._ending:
            await asyncio.wait(set(self._ending))
        self._executor.shutdown()
        close_pool(self.service if isinstance(self.service, type) else type(self.service))
        await self._entrance.stop(self.face)
        return cut

    def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
            if self._where[2] is not None:
                unlink(self._where[2])

    async def _let_calls_end(self, grace: float) -> None:
        end = time.monotonic() + grace
        if grace > 0:
            for connection in self._connections:
                connection.dispatcher.hold()
        while time.monotonic() < end and self._connections:
            idle = [one for one in self._connections if not _running(one)]
            await asyncio.gather(*(one.close() for one in idle), return_exceptions=True)
            if self._connections:
                await asyncio.sleep(_LOOK)

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


TURNS: Final = 3
"""Of the loop, until what was cancelled or aborted has closed its sockets (uvloop)."""
_LOOK: Final = 0.005
"""Seconds between looks whether calls have ended."""


def _is_for_the_loop(exc: BaseException) -> bool:
    """Whether *exc* is the end of a task, or Ctrl-C, and not the service's."""
    ctrl_c = isinstance(exc, KeyboardInterrupt)
    if ctrl_c and threading.current_thread() is threading.main_thread():
        return True
    return isinstance(exc, (asyncio.CancelledError, GeneratorExit))


def _running(connection: Connection) -> list[Call]:
    return [call for call in connection.calls if call.where is not None]
