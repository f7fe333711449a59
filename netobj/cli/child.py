"""The process that serves one shell: it runs what is typed there on its main thread."""

from __future__ import annotations

import os
import socket
import sys
import threading

from netobj.blocking.connection import Connection
from netobj.blocking.streams import SocketStream
from netobj.cli.runner import MainThread, offer_main_thread
from netobj.core.service import SlaveService
from netobj.factory import connect_stream

_GRACE = 5.0  # seconds that threads and exit handlers have when the shell has ended


class _OneShell(SlaveService):
    """Everything of this process, until its one client goes."""

    def __init__(self, main: MainThread) -> None:
        super().__init__()
        self._main = main

    def on_disconnect(self, conn: Connection) -> None:
        super().on_disconnect(conn)
        self._main.stop()
        end = threading.Timer(_GRACE, os._exit, [0])
        end.daemon = True
        end.start()


def main(fd: int) -> None:
    """Serve the connected socket *fd* until the other end closes it."""
    main_thread = offer_main_thread()
    _like_a_fresh_prompt()
    connection = connect_stream(SocketStream(socket.socket(fileno=fd)), _OneShell(main_thread))
    try:
        if not connection.closed:  # else the service may never hear that it has ended
            main_thread.loop()
    finally:
        connection.close()


def _like_a_fresh_prompt() -> None:
    sys.argv[:] = [""]
    names = vars(sys.modules["__main__"])
    for name in set(names) - {"__name__", "__doc__", "__builtins__", "__spec__", "__loader__"}:
        del names[name]
