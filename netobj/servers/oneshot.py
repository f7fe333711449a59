"""A server for one connection."""

from __future__ import annotations

import signal
import socket

from netobj.servers.base import Server


class OneShotServer(Server):
    """Serves the first connection, in the thread of :meth:`start`, which then returns.

    Nobody else is accepted from that connection on: who comes late is refused at once, and does
    not wait for the first to end. ``port`` and ``host`` are gone then, so ask before. See
    :class:`netobj.servers.base.Server`.

    >>> import netobj
    >>> class EchoService(netobj.Service):
    ...     def exposed_echo(self, text): return text
    >>> with OneShotServer(EchoService, hostname="localhost") as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.echo("hello")
    'hello'
    """

    def _accept_method(self, sock: socket.socket) -> None:
        self._listening.stop()
        try:
            self._authenticate_and_serve_client(sock, self._greet(sock))
            for connection in self.connections:  # its calls run on another thread, an executor's
                connection.wait_closed()
        finally:
            self.close()

    def _interrupt(self) -> None:
        super()._interrupt()
        if self.clients:  # SIGTERM, and this very thread serves: as Ctrl-C, it ends that
            signal.raise_signal(signal.SIGINT)
