"""A wire under a pre-shared key on which somebody sits who has no key: listens, and changes things.

What passes is cut into what was said at once: in each direction first the hello, then the confirm,
then records.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from patience import HANG

QUESTIONS, ANSWERS = "questions", "answers"
HELLO, CONFIRM, LENGTH, TAGS = 79, 32, 4, 32

Change = Callable[[int, bytes], "list[bytes] | None"]
"""Given the number of a piece and the piece, returns what is passed on instead; None: the end."""


def unchanged(number: int, piece: bytes) -> list[bytes]:
    return [piece]


class Meddler:
    """Passes bytes between any number of clients, who connect to ``port``, and the server at
    *target*; what is said in the direction *where* goes through *change*, of each connection anew.

    ``said`` is what both sides of the last connection have said, before it was changed.
    """

    def __init__(
        self, target: int, where: str = QUESTIONS, change: Callable[[], Change] = lambda: unchanged
    ) -> None:
        self._target = target
        self._where = where
        self._change = change
        self.said: dict[str, list[bytes]] = {}
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            self.said = {QUESTIONS: [], ANSWERS: []}
            for name, source, sink in ((QUESTIONS, client, server), (ANSWERS, server, client)):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                change = self._change() if name == self._where else unchanged
                arguments = (source, sink, self.said[name], change)
                thread = threading.Thread(target=self._carry, args=arguments, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(
        self, source: socket.socket, sink: socket.socket, said: list[bytes], change: Change
    ) -> None:
        with suppress(OSError), source.makefile("rb") as stream:
            while True:
                if len(said) < 2:
                    piece = stream.read((HELLO, CONFIRM)[len(said)])
                else:
                    piece = length = stream.read(LENGTH)
                    if len(length) == LENGTH:
                        piece += stream.read(int.from_bytes(length, "big") + TAGS)
                if not piece:
                    break
                said.append(piece)
                instead = change(len(said) - 1, piece)
                if instead is None:
                    break
                for one in instead:
                    sink.sendall(one)
        for sock in (source, sink):
            _end(sock)

    def close(self) -> None:
        """End all connections and threads."""
        _end(self._listener)
        self._listener.close()
        for sock in self._sockets:
            _end(sock)
        for thread in self._threads:
            thread.join(HANG)
            assert not thread.is_alive(), "a meddler hangs"
        for sock in self._sockets:
            sock.close()

    def __enter__(self) -> Meddler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
