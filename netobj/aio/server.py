"""A server on an event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl as ssl_module
import threading
import time
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Final

from netobj.aio.connection import Connection
from netobj.aio.factory import make_connection
from netobj.aio.login import LoginWire, admit, authenticate_by_callable
from netobj.aio.wire import Wire, new_wire
from netobj.aio.workers import Workers
from netobj.auth.authenticator import REFUSALS, Authenticator, serving
from netobj.auth.exposure import check_reach
from netobj.auth.tls import HANDSHAKE_TIME, SSLAuthenticator, one_context, serving_context
from netobj.calls import Call
from netobj.core.config import settings_for
from netobj.core.service import instance_of
from netobj.sockets import address_text, bind_unix, unlink

Settings = Mapping[str, Any]
_NONE: Final[Settings] = {}

_UNIX: Final = getattr(socket, "AF_UNIX", None)

WORKERS: Final = 32
"""Threads at most in which plain methods run."""


class Server:
    """Serves *service* to any number of connections, on the running event loop.

    *service*: a :class:`~netobj.core.service.Service` class (an instance for each connection) or
    instance (shared). ``async def`` methods run as tasks on the loop, plain ones in at most
    *workers* threads. *host* is the address to bind, by default all; *port* 0 lets the system
    choose; *path*: a Unix socket instead; *sock*: a socket that is bound already. *config*:
    settings of each connection.

    *ssl_context* (or *ssl*, which is asyncio's name for it): TLS, see
    :func:`netobj.auth.server_context`. *authenticator*: says who connects, one of
    :mod:`netobj.auth`'s, or a callable: socket -> (socket, credentials), which runs in a thread.
    Nothing of the service answers before. *insecure*: a whole interpreter
    (:class:`~netobj.SlaveService`) may be bound where strangers reach it, without either.

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
        config: Settings = _NONE,
        workers: int = WORKERS,
        backlog: int = 1024,
        logger: logging.Logger | None = None,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        if (path is not None) + (sock is not None) + (host is not None or port != 0) > 1:
            raise ValueError("one of path, sock, and host with port says where to listen")
        context = serving_context(one_context(ssl_context, ssl))
        if isinstance(authenticator, SSLAuthenticator):
            context, authenticator = one_context(context, authenticator.context), None
        unix = path is not None or (sock is not None and sock.family == _UNIX)
        if context is not None and authenticator is not None:
            if not isinstance(authenticator, Authenticator):
                raise ValueError(
                    "a callable cannot read what TLS protects on an event loop: use one of "
                    "netobj.auth's authenticators, or netobj.ThreadedServer"
                )
        self.service = service
        self.logger = logger or logging.getLogger("netobj")
        self._where = (host, port, path, sock)
        self._ssl = context
        self._authenticator = serving(authenticator, context is not None or unix)
        self._insecure = insecure
        self._config = settings_for(service, {"logger": self.logger, **config})
        self._backlog = backlog
        self._connections: set[Connection] = set()
        self._arriving: set[asyncio.Task[None]] = set()  # in their login
        self._attaching: set[asyncio.Task[None]] = set()  # in the service's on_connect
        self._ending: set[asyncio.Task[None]] = set()  # until its on_disconnect has returned
        self._executor = Workers(workers)
        self._server: asyncio.Server | None = None
        self._started = False
        self._stop = asyncio.Event()
        self._grace = 0.0

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

    def _socket(self) -> Any:
        if self._server is None or not self._server.sockets:
            raise OSError("the server is not listening: it has not been started, or is closed")
        return self._server.sockets[0]

    async def start(self) -> None:
        """Bind and accept connections from here on; once.

        Raises OSError where that is impossible, RuntimeError if it has been done before.
        """
        if self._started or self._stop.is_set():
            raise RuntimeError("the server has been started or closed before: make another one")
        self._started = True
        loop = asyncio.get_running_loop()
        host, port, path, sock = self._where
        options: dict[str, Any] = {"backlog": self._backlog, "start_serving": False}
        if self._ssl is not None:
            options |= {"ssl": self._ssl, "ssl_handshake_timeout": HANDSHAKE_TIME}
        if path is not None:
            sock = bind_unix(path)
        if sock is None:
            self._server = await loop.create_server(self._wire, host, port, **options)
        else:
            sock.setblocking(False)
            if sock.family == _UNIX:
                self._server = await loop.create_unix_server(self._wire, sock=sock, **options)
            else:
                self._server = await loop.create_server(self._wire, sock=sock, **options)
        try:
            self._check_reach(self._server)
            await self._server.start_serving()
        except BaseException:
            self._server.close()
            raise
        self.logger.info("server started on %s", [s.getsockname() for s in self._server.sockets])

    def _check_reach(self, server: asyncio.Server) -> None:
        for sock in server.sockets:
            check_reach(
                self.service,
                sock.getsockname(),
                ssl_context=self._ssl,
                authenticator=self._authenticator,
                insecure=self._insecure,
                logger=self.logger,
            )

    def _wire(self) -> asyncio.BaseProtocol:
        return new_wire(self._accept) if self._authenticator is None else LoginWire(self._ask)

    def _ask(self, wire: LoginWire) -> None:
        """Find out who connects."""
        if self._stop.is_set():
            wire.abandon()
            return
        if not isinstance(self._authenticator, Authenticator):
            wire.hold()
        task = self._follow(self._arriving, self._admit(wire))
        task.add_done_callback(lambda _: wire.abandon())  # it may be cancelled before it begins

    async def _admit(self, wire: LoginWire) -> None:
        peer = address_text(wire.transport.get_extra_info("peername"))
        try:
            if isinstance(self._authenticator, Authenticator):
                await self._admit_by_login(wire)
            else:
                await self._admit_by_callable(wire.take_socket())
        except REFUSALS as exc:
            self.logger.warning("authentication failed: %s: %s", peer, exc)
        except Exception:
            self.logger.exception("authentication failed: %s", peer)
        else:
            return
        await wire.leave()

    async def _admit_by_login(self, wire: LoginWire) -> None:
        credentials = await admit(wire, self._authenticator)
        wire.hand_over(self._new_wire(credentials))

    async def _admit_by_callable(self, sock: socket.socket) -> None:
        sock, credentials = await authenticate_by_callable(self._authenticator, sock)
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: self._new_wire(credentials), sock)
        except BaseException:
            sock.close()
            raise

    def _new_wire(self, credentials: Any) -> Wire:
        return new_wire(lambda transport: self._accept(transport, credentials))

    def _accept(self, transport: asyncio.Transport, credentials: Any = None) -> Connection | None:
        if self._stop.is_set():  # accepted by the loop before the server was closed
            transport.abort()
            return None
        config = self._config
        if credentials is not None:
            config = config.merge({"credentials": credentials})
        try:
            service = instance_of(self.service)
            connection = make_connection(transport, service, config, self._executor)
        except BaseException as exc:
            if _is_for_the_loop(exc):
                raise
            self.logger.exception("accepting a connection failed")
            transport.abort()
            return None
        self._connections.add(connection)
        connection.when_closed(self._ended)
        self._follow(self._attaching, self._attach(connection, service))
        return connection

    def _ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._follow(self._ending, connection.wait_closed())

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

        Returns the calls that were cut, if it was :meth:`stop` that ended it.
        """
        if not self._started:
            await self.start()
        cut: tuple[Call, ...] = ()
        try:
            await self._stop.wait()
        finally:
            cut = await self.close(self._grace)
        return cut

    def stop(self, grace: float = 0) -> None:
        """Have :meth:`serve_forever` close the server; to be called on the loop."""
        self._grace = max(self._grace, grace)
        self._stop.set()

    async def close(self, grace: float = 0) -> tuple[Call, ...]:
        """Stop accepting, and close every connection. Closing twice does no harm.

        Calls that run have *grace* seconds to end; those that come meanwhile do not run, and fail
        at the clients with ConnectionLost. Returns the calls that were cut.

        Returns after the services' ``on_disconnect``, and when the tasks that ran for the peers
        have ended, within about a second. Plain methods that run are left to end by themselves.
        """
        self._grace = grace = max(self._grace, grace)  # serve_forever() closes, too
        self._stop.set()
        server, self._server = self._server, None
        if server is not None:
            server.close()
            if self._where[2] is not None:
                unlink(self._where[2])
        for task in (*self._arriving, *self._attaching):
            task.cancel()
        if self._arriving:
            await asyncio.wait(set(self._arriving))
        await self._let_calls_end(grace)
        cut = tuple(call for one in self._connections for call in _running(one))
        closing = [connection.close() for connection in self._connections]
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(result, Exception):
                self.logger.error("closing a connection raised", exc_info=result)
        if self._ending:
            await asyncio.wait(set(self._ending))
        self._executor.shutdown(wait=False, cancel_futures=True)
        return cut

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
