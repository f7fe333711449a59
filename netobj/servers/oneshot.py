"""A server for one connection."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from netobj.servers.base import Server, close_listener


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

    def __init__(self, service: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(service, *args, **kwargs)
        if self.executor is not None:
            raise ValueError("OneShotServer takes no executor: the thread of start() serves")

    def _terminate(self) -> None:
        # The thread serves, and is to be interrupted only where that does no harm.
        os.kill(os.getpid(), signal.SIGINT)

    def _accept_method(self, sock: socket.socket) -> None:
        listener = self._listener
        if listener is not None:  # it stays the server's, so that its port is not bound anew
            close_listener(listener)
        try:
            self._authenticate_and_serve_client(sock, self._greet(sock))
        finally:
            self.close()
