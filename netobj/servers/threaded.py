"""A thread for each connection."""

from __future__ import annotations

import socket
import threading

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
        # A thread of its own, not a worker that has served another: what a service keeps in its
        # thread is not for the next client.
        greeted = self._greet(sock)
        thread = threading.Thread(
            target=self._authenticate_and_serve_client,
            args=(sock, greeted),
            name="netobj connection",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as exc:
            self._refuse(sock, f"no thread can be started for it ({exc})", greeted)
