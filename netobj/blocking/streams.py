"""Byte streams: TCP and Unix sockets, pairs of pipes, TLS, pre-shared keys.

A stream never waits but in :meth:`Stream.recv`. ``recv_now`` and ``send_now`` do what can be
done at once, whatever the blocking mode; waiting is :func:`wait`'s.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from netobj.auth.sealed import CUT, RECORD, SealedSocket, in_records
from netobj.blocking.safepoint import safe_point
from netobj.core.framing import Arrived
from netobj.errors import ProtocolError
from netobj.sockets import address_text, connect_tcp, connect_unix

RECV_SIZE: Final = 64 * 1024
_FIRST: Final = 448
_FIRST_SIZES: Final = (_FIRST,)
"""Bytes that a thread waits for. Most messages are smaller; who waits, perhaps for hours, in
``recv`` for 64 KiB holds memory for them. As much as Python's own allocator still handles."""
COOPERATIVE: Final = socket.socket.__module__.partition(".")[0] == "gevent"
"""gevent has put its own sockets and threads in the place of the system's, before this module was
imported. Then nobody may poll, since all greenlets wait meanwhile; and its sockets wait unless
they are told never to, whatever the flags of a call say."""
_MAX_PARTS: Final = min(64, getattr(os, "SC_IOV_MAX", 64))

Wire = bytes | memoryview


class Stream(ABC):
    """Two directions of bytes; ``read_fd`` and ``write_fd`` are what to wait for (-1: closed)."""

    wakes_on_shutdown = True
    """A thread inside :meth:`recv` comes out of it when another calls :meth:`shutdown`."""

    room: memoryview | None = None
    """Where :meth:`recv` and :meth:`recv_now` put what comes; they then return how much it is."""

    read_fd: int
    write_fd: int

    @abstractmethod
    def recv(self) -> Arrived:
        """Wait for bytes; ``b""`` or 0 at the end. Raises OSError."""

    @abstractmethod
    def recv_now(self) -> Arrived | None:
        """What has arrived, ``b""`` or 0 at the end, None if there is nothing. Raises OSError."""

    @abstractmethod
    def send_now(self, parts: Sequence[Wire]) -> int:
        """Write what fits at once; returns the bytes written, perhaps 0. Raises OSError."""

    def send(self, data: Wire) -> int:
        """As :meth:`send_now`, of one piece."""
        return self.send_now((data,))

    def pending(self) -> bool:
        """True when bytes wait inside the stream that the kernel does not know of."""
        return False

    def drop_room(self) -> None:
        """Nothing more is received: let go of the memory that it would have been put into."""
        if self.room is not None:
            self.room.release()
            self.room = None

    @abstractmethod
    def shutdown(self) -> None:
        """End both directions, also under threads that use the stream; never raises."""

    @abstractmethod
    def close(self) -> None:
        """Give the descriptors back; never raises. Nobody may use the stream any more."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Who is at the other end, for texts and logs."""

    @property
    def endpoints(self) -> tuple[Any, Any] | None:
        """(local address, peer address), where the stream has them."""
        return None


def _connect_options(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:  # it is no TCP
        pass


class SocketStream(Stream):
    """A connected stream socket (TCP or Unix), which the stream owns from here on."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        # What recv() had when it was interrupted. (To extend a list so takes half as long again.)
        self._received: deque[Arrived] = deque()
        self.read_fd = self.write_fd = sock.fileno()
        if sock.gettimeout() is not None:
            sock.setblocking(True)
        _connect_options(sock)

    @classmethod
    def connect(
        cls, host: str, port: int, ipv6: bool = False, keepalive: float | bool = False
    ) -> SocketStream:
        """A stream to a TCP server; see :func:`netobj.connect`."""
        return cls(connect_tcp(host, port, ipv6, keepalive))

    @classmethod
    def unix_connect(cls, path: str) -> SocketStream:
        """A stream to the Unix socket *path*."""
        return cls(connect_unix(path))

    def recv(self) -> Arrived:
        if not self._received:
            self._block()
        data = self._received.popleft()
        if type(data) is bytes and len(data) == _FIRST:
            try:
                return data + (self.sock.recv(RECV_SIZE, _NOW) or b"")
            except OSError:  # there is no more, or it comes again
                pass
        return data

    @safe_point
    def _block(self) -> None:
        # In one step of the interpreter: an exception after it finds the bytes queued.
        if self.room is None:
            self._received.extend(map(self.sock.recv, _FIRST_SIZES))
        else:
            self._received.extend(map(self.sock.recv_into, (self.room,)))

    def pending(self) -> bool:
        return bool(self._received)

    def recv_now(self) -> Arrived | None:
        if self._received:
            return self._received.popleft()
        try:
            if self.room is None:
                return self.sock.recv(RECV_SIZE, _NOW)
            return self.sock.recv_into(self.room, 0, _NOW)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, data: Wire) -> int:
        try:
            return self.sock.send(data, _SEND_FLAGS)
        except (BlockingIOError, InterruptedError):
            return 0

    def send_now(self, parts: Sequence[Wire]) -> int:
        try:
            return self.sock.sendmsg(parts[:_MAX_PARTS], (), _SEND_FLAGS)
        except (BlockingIOError, InterruptedError):
            return 0

    def shutdown(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # not connected any more
            pass

    def close(self) -> None:
        self.read_fd = self.write_fd = -1
        self.sock.close()

    @property
    def name(self) -> str:
        ends = self.endpoints
        return "a closed socket" if ends is None else address_text(ends[1] or ends[0])

    @property
    def endpoints(self) -> tuple[Any, Any] | None:
        try:
            return self.sock.getsockname(), self.sock.getpeername()
        except OSError:
            return None


_NOW: Final = getattr(socket, "MSG_DONTWAIT", 0)
_SEND_FLAGS: Final = _NOW | getattr(socket, "MSG_NOSIGNAL", 0)


class NonBlockingSocketStream(SocketStream):
    """The same where ``MSG_DONTWAIT`` or ``sendmsg`` is of no use: the socket never blocks."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        sock.setblocking(False)

    def recv(self) -> Arrived:
        while True:
            data = self.recv_now()
            if data is not None:
                return data
            wait(self, read=True, write=False, timeout=None)

    def recv_now(self) -> Arrived | None:
        try:
            if self.room is None:
                return self.sock.recv(RECV_SIZE)
            return self.sock.recv_into(self.room)
        except (BlockingIOError, InterruptedError):
            return None

    def send_now(self, parts: Sequence[Wire]) -> int:
        return self.send(parts[0])


class TLSStream(Stream):
    """A socket under TLS whose handshake is done (an ``ssl.SSLSocket``).

    ``_lock`` protects the SSL object, which two threads at once would corrupt; nobody waits
    while holding it, since the socket never blocks.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.read_fd = self.write_fd = sock.fileno()
        sock.setblocking(False)
        _connect_options(sock)
        self._lock = threading.Lock()

    def recv(self) -> Arrived:
        while True:
            data = self.recv_now()
            if data is not None:
                return data
            wait(self, read=True, write=False, timeout=None)

    def recv_now(self) -> Arrived | None:
        with self._lock:
            try:
                if self.room is None:
                    return self.sock.recv(RECV_SIZE)
                return self.sock.recv_into(self.room)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
            except ssl.SSLEOFError:
                return b""

    def send_now(self, parts: Sequence[Wire]) -> int:
        with self._lock:
            try:
                return self.sock.send(parts[0])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return 0

    def pending(self) -> bool:
        with self._lock:
            return self.sock.pending() > 0

    def shutdown(self) -> None:
        try:
            # Not SSLSocket's own, which takes the SSL object from under other threads.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self.read_fd = self.write_fd = -1
        self.sock.close()

    @property
    def name(self) -> str:
        try:
            return "tls " + address_text(self.sock.getpeername())
        except OSError:
            return "a closed socket"

    @property
    def endpoints(self) -> tuple[Any, Any] | None:
        try:
            return self.sock.getsockname(), self.sock.getpeername()
        except OSError:
            return None


class BrokenSeal(OSError):
    """What came over a :class:`SealedStream` is not what the peer has sent."""


class SealedStream(Stream):
    """A socket under a pre-shared key whose handshake is done.

    ``_lock`` protects what is sent: the numbers of the records, of which none may be used twice,
    and the records that have not left completely. Nobody waits while holding it. What is received
    belongs to the one thread that reads.
    """

    def __init__(self, sealed: SealedSocket) -> None:
        self._plain = PlainSocketStream(sealed.sock)
        self.sock = sealed.sock
        self.read_fd = self.write_fd = self._plain.read_fd
        self._opener = sealed.opener
        self._opened = sealed.opened  # decrypted, and not received yet
        self._sealer = sealed.sealer
        self._rest: list[Wire] = []  # of the records that are on their way
        self._ahead = 0  # the bytes that they carry
        self._lock = threading.Lock()

    def recv(self) -> Arrived:
        data = self._next() if self._opened else None
        while data is None:
            self._prepare()
            data = self._decrypted(self._plain.recv())
        return data

    def recv_now(self) -> Arrived | None:
        data = self._next() if self._opened else None
        while data is None:
            self._prepare()
            arrived = self._plain.recv_now()
            if arrived is None:
                return None
            data = self._decrypted(arrived)
        return data

    def _prepare(self) -> None:
        """What is received next goes where the rest of a record is to be."""
        if self._opener.amid:
            self._plain.room = self._opener.space()
        elif self._plain.room is not None:
            self._plain.room = None

    def _decrypted(self, arrived: Arrived) -> Arrived | None:
        """What is in the records that have come, None if none has come completely."""
        if not arrived:
            if self._opener.amid:
                raise ConnectionResetError(CUT)
            return b"" if self.room is None else 0
        opener = self._opener
        try:
            opened = opener.open(arrived) if type(arrived) is bytes else opener.filled(arrived)
        except ProtocolError as exc:
            raise BrokenSeal(str(exc)) from None
        if not opened:
            return None
        if self.room is not None:
            self._opened.extend(opened)
            return self._next()
        return opened[0] if len(opened) == 1 else b"".join(opened)

    def _next(self) -> Arrived:
        opened = self._opened
        if self.room is None:
            return b"".join([opened.popleft() for _ in range(len(opened))])
        data = opened.popleft()
        count = min(len(data), len(self.room))
        self.room[:count] = data[:count]
        if count < len(data):
            opened.appendleft(memoryview(data)[count:])
        return count

    def pending(self) -> bool:
        return bool(self._opened) or self._plain.pending()

    def send(self, data: Wire) -> int:
        if not 0 < len(data) <= _TOGETHER:
            return self.send_now((data,))
        with self._lock:
            if self._rest:
                return self._send((data,))
            record = b"".join(self._sealer.seal(data))
            count = self._plain.send(record)
            if count == len(record):
                return len(data)
            self._rest.append(memoryview(record)[count:])
            self._ahead = len(data)
            return 0

    def send_now(self, parts: Sequence[Wire]) -> int:
        """As every stream's. Records that do not leave completely are not counted as written;
        their bytes must come first the next time, as they are the first that were not."""
        with self._lock:
            return self._send(parts)

    def _send(self, parts: Sequence[Wire]) -> int:
        sent = 0
        if self._rest:
            if not self._push():
                return 0
            sent = self._ahead
        ahead = 0
        for piece in in_records(parts, sent):
            self._rest.extend(self._sealer.seal(piece))
            ahead += len(piece)
            if ahead >= _AT_ONCE:
                self._ahead = ahead
                if not self._push():
                    return sent
                sent += ahead
                ahead = 0
        self._ahead = ahead
        return sent + ahead if self._push() else sent

    def _push(self) -> bool:
        """Send more of the records that are on their way; True once they have left."""
        rest = self._rest
        if len(rest) == 2 and len(rest[1]) < _TOGETHER:
            rest[:] = [b"".join(rest)]
        while rest:
            count = self._plain.send_now(rest)
            if not count:
                return False
            while rest and count >= len(rest[0]):
                count -= len(rest.pop(0))
            if count:
                rest[0] = memoryview(rest[0])[count:]
        return True

    def drop_room(self) -> None:
        super().drop_room()
        self._plain.drop_room()

    def shutdown(self) -> None:
        self._plain.shutdown()

    def close(self) -> None:
        self.read_fd = self.write_fd = -1
        self._plain.close()

    @property
    def name(self) -> str:
        return "psk " + self._plain.name

    @property
    def endpoints(self) -> tuple[Any, Any] | None:
        return self._plain.endpoints


_TOGETHER: Final = 4096
"""Bytes of a record below which it is cheaper to copy it than to send it in two pieces."""
_AT_ONCE: Final = 4 * RECORD
"""Bytes that are encrypted before the system is given any of them."""


class PipeStream(Stream):
    """One pipe (or tty, or FIFO) to read from and one to write to, by file object or number."""

    wakes_on_shutdown = False

    def __init__(self, incoming: Any, outgoing: Any) -> None:
        self._files = (incoming, outgoing)  # keeps file objects, and so the descriptors, open
        self.read_fd = incoming if isinstance(incoming, int) else incoming.fileno()
        self.write_fd = outgoing if isinstance(outgoing, int) else outgoing.fileno()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)
        self._ended = False

    @classmethod
    def create_pair(cls) -> tuple[PipeStream, PipeStream]:
        """Two streams, each of which reads what is written to the other.

        >>> one, other = PipeStream.create_pair()
        >>> one.send(b"hello"), other.recv()
        (5, b'hello')
        >>> one.close(); other.close()
        """
        (here, from_there), (there, from_here) = os.pipe(), os.pipe()
        return cls(here, from_here), cls(there, from_there)

    @classmethod
    def from_std(cls) -> PipeStream:
        """A stream over standard input and output, which it takes from the rest of the process.

        From here on what is printed goes to standard error, and standard input is at its end, so
        that nothing else comes between the messages.
        """
        if sys.stdout is not None:
            sys.stdout.flush()
        null = os.open(os.devnull, os.O_RDWR)
        try:
            os.fstat(2)
        except OSError:  # there is no standard error
            os.dup2(null, 2)
        stream = cls(os.dup(0), os.dup(1))
        os.dup2(null, 0)
        os.dup2(2, 1)
        if null > 2:
            os.close(null)
        return stream

    def recv(self) -> Arrived:
        while True:
            data = self.recv_now()
            if data is not None:
                return data
            wait(self, read=True, write=False, timeout=None)

    def recv_now(self) -> Arrived | None:
        if self._ended:
            return b""
        try:
            if self.room is None:
                return os.read(self.read_fd, RECV_SIZE)
            return os.readv(self.read_fd, (self.room,))
        except (BlockingIOError, InterruptedError):
            return None

    def send_now(self, parts: Sequence[Wire]) -> int:
        if self._ended:
            raise BrokenPipeError("the pipe was closed on this side")
        try:
            return os.writev(self.write_fd, parts[:_MAX_PARTS])
        except (BlockingIOError, InterruptedError):
            return 0

    def shutdown(self) -> None:
        self._ended = True

    def close(self) -> None:
        self._ended = True
        self.read_fd = self.write_fd = -1
        for file in self._files:
            try:
                if isinstance(file, int):
                    os.close(file)
                else:
                    file.close()
            except OSError:
                pass

    @property
    def name(self) -> str:
        return f"pipes {self.read_fd} and {self.write_fd}"


def stream_for(sock: socket.socket | SealedSocket) -> Stream:
    """The stream for a connected socket, with or without TLS or a pre-shared key.

    >>> import socket
    >>> one, other = socket.socketpair()
    >>> stream_for(one).send_now([b"hello"]), stream_for(other).recv()
    (5, b'hello')
    >>> one.close(); other.close()
    """
    if isinstance(sock, ssl.SSLSocket):
        return TLSStream(sock)
    if isinstance(sock, SealedSocket):
        return SealedStream(sock)
    return PlainSocketStream(sock)


_HAS_FLAGS: Final = hasattr(socket, "MSG_DONTWAIT") and hasattr(socket.socket, "sendmsg")
PlainSocketStream: type[SocketStream] = (
    SocketStream if _HAS_FLAGS and not COOPERATIVE else NonBlockingSocketStream
)
"""The stream of a plain socket that this platform can do, chosen once."""


def wait(
    stream: Stream,
    *,
    read: bool,
    write: bool,
    timeout: float | None,
    also: int | None = None,
) -> None:
    """Wait until *stream* can be read or written, *also* (a descriptor) can be read, or
    *timeout* seconds have passed. Which of them it was, the caller finds out by trying.
    """
    if read and stream.pending():
        return
    _wait(stream, read, write, timeout, also)


@safe_point
def _poll_wait(
    stream: Stream, read: bool, write: bool, timeout: float | None, also: int | None
) -> None:
    poller = select.poll()
    if read:
        poller.register(stream.read_fd, select.POLLIN)
    if write:
        both = select.POLLIN | select.POLLOUT if read else select.POLLOUT
        same = stream.read_fd == stream.write_fd
        poller.register(stream.write_fd, both if same else select.POLLOUT)
    if also is not None:
        poller.register(also, select.POLLIN)
    poller.poll(None if timeout is None else max(0, timeout) * 1000)


@safe_point
def _select_wait(
    stream: Stream, read: bool, write: bool, timeout: float | None, also: int | None
) -> None:
    reading = [stream.read_fd] if read else []
    if also is not None:
        reading.append(also)
    select.select(reading, [stream.write_fd] if write else [], [], timeout)


_wait: Final = _poll_wait if hasattr(select, "poll") else _select_wait
