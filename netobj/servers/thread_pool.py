"""A few threads for all connections."""

from __future__ import annotations

import socket
from typing import Any, Final

from netobj.blocking.connection import Connection
from netobj.blocking.crew import Crew
from netobj.blocking.dispatch import Workers
from netobj.blocking.pool import pool
from netobj.servers.base import Server

THREADS: Final = 20
"""As many as RPyC has by default."""


class ThreadPoolServer(Server):
    """Serves all connections with a few threads; see :class:`netobj.servers.base.Server`.

    At most *nbThreads* calls run at once; more wait. A call that waits for a client, in a callback
    for example, does not count meanwhile: what the client does may take further calls. One thread
    waits for all connections, so that many which are mostly idle take little. What a service keeps
    in its thread is shared by its clients. *requestBatchSize* is accepted for programs that were
    written for RPyC, and has no effect: each connection has its turn after each call.

    >>> import netobj
    >>> class EchoService(netobj.Service):
    ...     def exposed_echo(self, text): return text
    >>> with ThreadPoolServer(EchoService, hostname="localhost", nbThreads=4) as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.echo("hello")
    'hello'
    """

    def __init__(
        self,
        service: Any,
        *args: Any,
        nbThreads: int = THREADS,  # noqa: N803  (RPyC's names)
        requestBatchSize: int = 10,  # noqa: N803
        **kwargs: Any,
    ) -> None:
        super().__init__(service, *args, **kwargs)
        if nbThreads < 1:
            raise ValueError("ThreadPoolServer: nbThreads is a number of threads, 1 at the least")
        self.nbThreads = nbThreads
        self.requestBatchSize = requestBatchSize
        self._crew: Crew | None = None

    def start(self) -> None:
        """Accept and serve until :meth:`close`, or until Ctrl-C; returns at once if closed."""
        self._crew = Crew(self.nbThreads, self.logger)
        try:
            super().start()
        finally:
            self._crew.close()

    def _accept_method(self, sock: socket.socket) -> None:
        # A worker of the process's: who authenticates slowly takes no thread from the clients.
        greeted = self._greet(sock)
        if not pool.submit((self._admit, (sock, greeted))):
            self._refuse(sock, "no thread can be started for it", greeted)

    def _admit(self, accepted: tuple[socket.socket, Any]) -> None:
        self._authenticate_and_serve_client(*accepted)

    def _workers(self) -> Workers | None:
        return self._crew if self.executor is None else super()._workers()

    def _handle_connection(self, connection: Connection) -> None:
        if connection.served_by_caller:  # a setting that asks for one thread
            super()._handle_connection(connection)
        else:
            assert self._crew is not None
            self._crew.add(connection)
