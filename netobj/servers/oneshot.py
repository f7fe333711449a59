"""A server for one connection."""

from __future__ import annotations

import signal
import socket
from typing import Any

from netobj.servers.base import Server
from netobj.servers.welcoming import Sock


class OneShotServer(Server):
    """Serves the first connection, in the thread of :meth:`start`, which then returns.

    Nobody else is accepted from that connection on: who comes late is refused at once, and does
    not wait for the first to end. ``port`` and ``host`` are gone then, so ask before. Who fails to
    log in does not count: a stranger cannot take the place of who is meant. See
    :class:`netobj.servers.base.Server`.

    >>> import netobj
    >>> class EchoService(netobj.Service):
    ...     def exposed_echo(self, text): return text
    >>> with OneShotServer(EchoService, hostname="localhost") as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.echo("hello")
    'hello'
    """

    _let_in = False  # the one connection is there, or was

    def _accept_method(self, sock: socket.socket) -> None:
        if not self._asks:
            self._accept_no_more()  # before the client hears anything
        try:
            self._authenticate_and_serve_client(sock, self._greet(sock))
            for connection in self.connections:  # its calls run on another thread, an executor's
                connection.wait_closed()
        finally:
            if self._let_in:
                self.close()

    def _authenticate(self, sock: socket.socket) -> tuple[Sock, Any] | None:
        authenticated = super()._authenticate(sock)
        if authenticated is not None:
            self._accept_no_more()
        return authenticated

    def _accept_no_more(self) -> None:
        self._let_in = True
        self._listening.stop()

    def _interrupt(self) -> None:
        super()._interrupt()
        if self.clients:  # SIGTERM, and this very thread serves: as Ctrl-C, it ends that
            signal.raise_signal(signal.SIGINT)
