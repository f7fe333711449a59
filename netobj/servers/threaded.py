"""A thread for each connection."""

from __future__ import annotations

import socket
import threading
from contextvars import Context

from netobj.blocking.pool import pool
from netobj.core.config import Config
from netobj.servers.base import Server


class ThreadedServer(Server):
    """Serves each connection in a thread of its own; see :class:`netobj.servers.base.Server`.

    >>> import netobj
    >>> class EchoService(netobj.Service):
    ...     def exposed_echo(self, text): return text
    >>> with ThreadedServer(EchoService, hostname="localhost") as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.echo("hello")
    'hello'
    """

    def _accept_method(self, sock: socket.socket) -> None:
        # A worker that has served another connection is there sooner than a new thread would be.
        job = (sock, self._greet(sock))
        if not pool.submit((self._serve_in_worker, job)):
            self.logger.error("refused a connection, no thread can be started")
            sock.close()

    def _serve_in_worker(self, job: tuple[socket.socket, Config | None]) -> None:
        thread = threading.current_thread()
        name, thread.name = thread.name, "netobj connection"
        # In a context of its own: what the service sets there is not for the next connection.
        Context().run(self._authenticate_and_serve_client, *job)
        thread.name = name
