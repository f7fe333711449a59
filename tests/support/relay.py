"""A wire between a client and a server that can be watched, held up and cut."""

from __future__ import annotations

import socket
import threading

from patience import HANG


class Relay:
    """Passes bytes between one client and the server at *port*."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._target = port
        self._sockets: list[socket.socket] = []
        self._open = {"questions": threading.Event(), "answers": threading.Event()}
        for gate in self._open.values():
            gate.set()
        # Protects the counts, who spoke last, the sockets and whether they are to be cut.
        self._lock = threading.Lock()
        self._is_cut = False
        self._last = ""
        self.round_trips = 0
        """How often the client spoke after the server."""
        self.passed = {"questions": 0, "answers": 0}
        """How many bytes have come, each way."""
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # closed before anybody came
            return
        server = socket.create_connection(("127.0.0.1", self._target))
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets += [client, server]
            if self._is_cut:  # before it came to this
                _shut(client)
                _shut(server)
        for what, source, sink in (("questions", client, server), ("answers", server, client)):
            thread = threading.Thread(target=self._pass, args=(what, source, sink), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pass(self, what: str, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._open[what].wait()
                with self._lock:
                    self.round_trips += what == "questions" and self._last != what
                    self._last = what
                    self.passed[what] += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            _shut(sock)

    def hold(self, what: str) -> None:
        """Keep *what* ("questions" or "answers") back from here on."""
        self._open[what].clear()

    def let_go(self) -> None:
        """Pass on what was kept back."""
        for gate in self._open.values():
            gate.set()

    def cut(self) -> None:
        """Break the connection: both sides see its end; what was kept back is gone."""
        with self._lock:
            self._is_cut = True
            for sock in self._sockets:
                _shut(sock)

    def close(self) -> None:
        """Break the connection and end all threads."""
        _shut(self._listener)
        self._listener.close()
        self.cut()
        self.let_go()
        for thread in self._threads:
            thread.join(HANG)
        for sock in self._sockets:
            sock.close()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
