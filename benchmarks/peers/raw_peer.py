"""The floor: the same bytes over a bare TCP socket, a thread for each connection, TCP_NODELAY.

A client says in a header what it wants; requests and replies then have the sizes of netobj's
frames (see :mod:`sizes`). Kinds: "" (blocking), "spinning" (a reader tries for some microseconds
before it blocks). On an event loop it is a bare :class:`asyncio.Protocol`.

What the floor of each workload is:

- calls, callbacks: one send and one receive a side;
- ``in_flight``: each frame sent with a send of its own, while a thread reads the replies; the
  server answers with one send what it got with one receive;
- ``threads``: one call at a time, under a lock;
- ``buffiter``: the list packed by msgpack, as one message, and unpacked;
- ``echo``, ``array``: each received into memory that is allocated afresh.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import time
from typing import Any

import msgpack

from measuring import Job, Operation
from processes import run_on
from workloads import CALLBACKS, ECHOED, FLOATS, IN_FLIGHT, ITEMS, How, Workload

VERSION = ""
LACKS = {"iterate": "a loop has no floor of its own"}
HEADER = struct.Struct("!cII")  # what is wanted, bytes of a request, bytes of a reply
SPIN = 50e-6  # seconds


def receive_blocking(sock: socket.socket, size: int) -> bytes:
    """Exactly *size* bytes; b"" at the end."""
    return sock.recv(size, socket.MSG_WAITALL)


def receive_spinning(sock: socket.socket, size: int) -> bytes:
    """The same, trying for SPIN seconds before it blocks. *size* is small: it comes at once."""
    end = time.perf_counter() + SPIN
    while time.perf_counter() < end:
        try:
            return sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
    return sock.recv(size, socket.MSG_WAITALL)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    if workload.how is How.ASYNC:
        run_on(workload.loop, _serve_on_loop())
    receive = receive_spinning if job.kind == "spinning" else receive_blocking
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_serve_one, args=(sock, receive), daemon=True).start()


def _serve_one(sock: socket.socket, receive: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        header = sock.recv(HEADER.size, socket.MSG_WAITALL)
        wanted, request, reply = HEADER.unpack(header)
        if wanted == b"c":
            data = bytes(reply)
            while receive(sock, request):
                sock.send(data)
        elif wanted == b"f":
            _answer_each(sock, request, bytes(reply))
        elif wanted == b"e":
            while data := receive_blocking(sock, request):
                sock.sendall(data)
        elif wanted == b"a":
            data = os.urandom(FLOATS * 8)  # zeros would all be read from one page
            while sock.recv(1):
                sock.sendall(data)
        else:
            numbers = list(range(ITEMS))
            while sock.recv(1):
                packed = msgpack.packb(numbers)
                sock.sendall(struct.pack("!I", len(packed)) + packed)


def _answer_each(sock: socket.socket, request: int, reply: bytes) -> None:
    left = 0
    while data := sock.recv(65536):
        count, left = divmod(left + len(data), request)
        sock.sendall(reply * count)


class Client:
    """A client."""

    def __init__(self, job: Job) -> None:
        self._sizes = job.sizes
        self._receive = receive_spinning if job.kind == "spinning" else receive_blocking
        self._sock = socket.create_connection(("127.0.0.1", int(job.address)))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._sock.close()

    def _ask(self, wanted: bytes, sizes: tuple[int, int] = (0, 0)) -> None:
        self._sock.sendall(HEADER.pack(wanted, *sizes))

    def plain(self) -> Operation:
        self._ask(b"c", self._sizes)
        sock, receive, data, size = self._sock, self._receive, bytes(self._sizes[0]), self._sizes[1]

        def call() -> None:
            sock.send(data)
            receive(sock, size)

        return call

    bound = nested = attribute = fresh_list = fresh_object = plain

    def callbacks(self) -> Operation:
        call = self.plain()

        def calls() -> None:
            for _ in range(CALLBACKS):
                call()

        return calls

    def threads(self) -> Operation:
        call, lock = self.plain(), threading.Lock()

        def locked() -> None:
            with lock:
                call()

        return locked

    def in_flight(self) -> Operation:
        self._ask(b"f", self._sizes)
        sock, data, total = self._sock, bytes(self._sizes[0]), self._sizes[1] * IN_FLIGHT

        def read() -> None:
            left = total
            while left:
                left -= len(sock.recv(65536))

        def calls() -> None:
            reader = threading.Thread(target=read)
            reader.start()
            for _ in range(IN_FLIGHT):
                sock.send(data)
            reader.join()

        return calls

    def buffiter(self) -> Operation:
        self._ask(b"l")
        sock = self._sock

        def iterate() -> None:
            sock.send(b"?")
            (size,) = struct.unpack("!I", sock.recv(4, socket.MSG_WAITALL))
            for _ in msgpack.unpackb(sock.recv(size, socket.MSG_WAITALL)):
                pass

        return iterate

    def echo(self) -> Operation:
        self._ask(b"e", (ECHOED, ECHOED))
        sock, data = self._sock, os.urandom(ECHOED)

        def echo() -> None:
            sock.sendall(data)
            receive_blocking(sock, ECHOED)

        return echo

    def array(self) -> Operation:
        self._ask(b"a")
        sock = self._sock

        def fetch() -> None:
            sock.send(b"?")
            receive_blocking(sock, FLOATS * 8)

        return fetch


class Answering(asyncio.Protocol):
    """The side of the server on an event loop: the first bytes are a header."""

    _reply = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._reply:
            self._reply = bytes(HEADER.unpack(data)[2])
        self._transport.write(self._reply)


class Asking(asyncio.Protocol):
    """The side of the client."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._waiter.set_result(None)

    def call(self, data: bytes) -> asyncio.Future[None]:
        """Send *data*; done when the answer has come."""
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._transport.write(data)
        return self._waiter


async def _serve_on_loop() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def open_call(job: Job) -> Any:
    """A call on an event loop."""
    loop = asyncio.get_running_loop()
    _, asking = await loop.create_connection(Asking, "127.0.0.1", int(job.address))
    await asking.call(HEADER.pack(b"c", *job.sizes))
    data = bytes(job.sizes[0])
    return lambda: asking.call(data)
