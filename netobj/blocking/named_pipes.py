"""Windows' named pipes, as streams."""

from __future__ import annotations

import os
import socket
import threading
from multiprocessing.connection import Client, Listener
from typing import Any, Final, Protocol

from netobj.blocking.streams import RECV_SIZE, NonBlockingSocketStream

PREFIX: Final = "\\\\.\\pipe\\"
_FAMILY = "AF_PIPE"
_LOOK_SECONDS: Final = 0.2
"""How often the thread that reads the pipe looks whether the stream has ended."""
_LAST_SECONDS: Final = 5.0
"""How long a peer may take to read what was sent before the stream ended."""


class Pipe(Protocol):
    """What is needed of a connection of :mod:`multiprocessing.connection`."""

    def poll(self, timeout: float) -> bool:
        """Whether there is something to receive, within *timeout* seconds."""

    def recv_bytes(self, maxlength: int) -> bytes:
        """The next message; raises EOFError at the end, OSError if it is longer."""

    def send_bytes(self, buf: bytes) -> None:
        """Send a message."""

    def close(self) -> None:
        """Give the handle back."""


class NamedPipeStream(NonBlockingSocketStream):
    """One end of a named pipe, which the stream owns from here on.

    *pipe* is a connection of :mod:`multiprocessing.connection`, by which Python has named pipes;
    nothing is ever unpickled. Since Windows waits for sockets and pipes in different ways, two
    threads carry the bytes between the pipe and a pair of sockets, of which the stream is one.

    Only who runs as the same user may write to the pipe, but any program of the machine may
    take its name first: connect by it to what you trust.
    """

    def __init__(self, pipe: Pipe, name: str = "a named pipe") -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        self._title = name
        carrier = _Carrier(pipe, theirs)
        for work in (carrier.read_pipe, carrier.write_pipe):
            threading.Thread(target=work, name="netobj named pipe", daemon=True).start()

    @classmethod
    def create_server(cls, pipename: str) -> NamedPipeStream:
        """Make the named pipe *pipename*, wait for who connects to it, and return that stream.

        *pipename* gets the prefix ``\\\\\\\\.\\\\pipe\\\\`` if it has none. Raises OSError, for
        example where such a pipe is there already, or there are no named pipes.
        """
        address = _address(pipename)
        with Listener(address, _family()) as listener:
            return cls(listener.accept(), address)

    @classmethod
    def create_client(cls, pipename: str) -> NamedPipeStream:
        """Connect to the named pipe *pipename*; raises OSError if there is none."""
        address = _address(pipename)
        return cls(Client(address, _family()), address)

    @property
    def name(self) -> str:
        return self._title

    @property
    def endpoints(self) -> tuple[Any, Any] | None:
        return None


class _Carrier:
    """Carries bytes between a pipe and a socket, until one of them ends.

    Each thread uses one direction of both. The one that reads the pipe closes them: it looks
    from time to time whether the other has ended, since nothing wakes it.
    """

    def __init__(self, pipe: Pipe, sock: socket.socket) -> None:
        self._pipe = pipe
        self._sock = sock
        self._over = threading.Event()

    def read_pipe(self) -> None:
        try:
            while not self._over.is_set():
                if self._pipe.poll(_LOOK_SECONDS):
                    self._sock.sendall(self._pipe.recv_bytes(RECV_SIZE))
        except (EOFError, OSError):  # one of them has ended
            pass
        try:
            self._sock.shutdown(socket.SHUT_RDWR)  # the stream is at its end, and so is write_pipe
        except OSError:
            pass
        self._over.wait(_LAST_SECONDS)
        self._pipe.close()
        self._sock.close()

    def write_pipe(self) -> None:
        try:
            while data := self._sock.recv(RECV_SIZE):
                self._pipe.send_bytes(data)
        except OSError:
            pass
        self._over.set()


def _address(name: str) -> str:
    return name if _FAMILY != "AF_PIPE" or name.startswith(PREFIX) else PREFIX + name


def _family() -> str:
    if _FAMILY == "AF_PIPE" and os.name != "nt":
        raise OSError("named pipes are Windows': use unix_connect and socket_path here")
    return _FAMILY
