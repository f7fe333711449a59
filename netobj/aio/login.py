"""Logging in on an event loop; the messages are those of :mod:`netobj.auth.messages`."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from netobj.aio.sealed import SealedWire
from netobj.aio.wire import Wire, is_encrypted
from netobj.aio.workers import in_thread
from netobj.auth.authenticator import (
    LEFT,
    LOGIN_TIME,
    VERDICT_TIME,
    WRONG,
    Authenticator,
    check_private,
    proven,
)
from netobj.auth.messages import (
    NONCE_SIZE,
    Reading,
    challenge,
    framed,
    read_answer,
    read_challenge,
    read_verdict,
    refusal,
    welcome,
)
from netobj.errors import AuthenticationError, ConnectionLost, ProtocolError

_ENOUGH: Final = 64 * 1024
"""Bytes that are received ahead; more stay with the system."""
_LEAVING_TIME: Final = 1.0


class LoginWire(asyncio.Protocol):
    """What is said over a transport before netobj's own protocol; then a Wire has it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._news: asyncio.Future[None] | None = None  # while somebody waits
        self._paused = False
        self._ended = False
        self._gone = False
        self._handed_over = False
        self._fault: ProtocolError | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= _ENOUGH and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    arrived = data_received

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def cut(self, reason: str) -> None:
        """The end came in the midst of what was encrypted."""
        self.eof_received()

    def broken(self, exc: ProtocolError) -> None:
        """What came is not what the other side has encrypted."""
        self._fault = exc
        self.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def read(self, reading: Reading, timeout: float) -> bytes:
        """Feed *reading*, with not a byte more than it asks for: what follows is netobj's.

        Raises what it does, TimeoutError after that many seconds, ConnectionLost.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        count = next(reading)
        while True:
            await self._have(count, deadline)
            data = bytes(self._data[:count])
            del self._data[:count]
            try:
                count = reading.send(data)
            except StopIteration as end:
                return bytes(end.value)

    async def _have(self, count: int, deadline: float) -> None:
        while len(self._data) < count:
            if self._fault is not None:
                raise AuthenticationError(f"{self._fault}")
            if self._ended:
                raise ConnectionLost(LEFT)
            if not await self._hear(deadline):
                raise TimeoutError

    async def _hear(self, deadline: float) -> bool:
        """Wait for something to happen; False once it is *deadline*.

        Not asyncio.wait_for, which up to Python 3.11 may swallow that the task was cancelled.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline:
            return False
        self._news = loop.create_future()
        timer = loop.call_at(deadline, self._wake)
        try:
            await self._news
        finally:
            timer.cancel()
            self._news = None
        return True

    async def leave(self) -> None:
        """Close the transport when what was written has left, or after a second."""
        self.transport.close()
        deadline = asyncio.get_running_loop().time() + _LEAVING_TIME
        while not self._gone and await self._hear(deadline):
            pass
        self.transport.abort()

    def hand_over(self, wire: Wire | SealedWire) -> None:
        """*wire* has the transport from here on. Raises ConnectionLost if that has ended."""
        if self._ended:
            raise ConnectionLost(LEFT)
        self._handed_over = True
        self.transport.set_protocol(wire)
        wire.connection_made(self.transport)
        wire.arrived(bytes(self._data))
        if self._paused:
            self.transport.resume_reading()

    @property
    def private(self) -> bool:
        """Whether nobody else can see what passes, without being this user or root."""
        if is_encrypted(self.transport):
            return True
        sock = self.transport.get_extra_info("socket")
        return sock is not None and sock.family == getattr(socket, "AF_UNIX", None)

    def abandon(self) -> None:
        """End the transport, unless it was handed over."""
        if not self._handed_over:
            self.transport.abort()


async def admit(wire: LoginWire, authenticator: Authenticator, limit: float = LOGIN_TIME) -> Any:
    """The server's half; returns the credentials, or raises AuthenticationError, ConnectionLost.

    The client has been told then.
    """
    check_private(authenticator, wire.private)
    loop = asyncio.get_running_loop()
    nonce = os.urandom(NONCE_SIZE)
    wire.transport.write(challenge(authenticator.method, nonce))
    try:
        answer = await wire.read(read_answer(), limit)
    except TimeoutError:
        raise AuthenticationError(f"no login came within {limit:g} s") from None
    came = loop.time()
    try:
        if authenticator.slow:
            judging = in_thread(authenticator.judge, nonce, answer)
            judged = await asyncio.wrap_future(judging)
        else:
            judged = authenticator.judge(nonce, answer)
    except Exception:
        await asyncio.sleep(came + authenticator.delay - loop.time())
        wire.transport.write(refusal(WRONG))
        raise
    credentials, proof = judged
    wire.transport.write(welcome(proof))
    return credentials


async def log_in(
    wire: LoginWire, authenticator: Authenticator, limit: float = VERDICT_TIME
) -> None:
    """The client's half.

    Raises AuthenticationError, ConnectionLost, or TimeoutError if the server does not go on.
    """
    check_private(authenticator, wire.private)
    try:
        reading = read_challenge(authenticator.method, authenticator.title)
        answer, proof = authenticator.answer(await wire.read(reading, limit))
        wire.transport.write(framed(answer))
        proven(await wire.read(read_verdict(), limit), proof)
    except TimeoutError:
        raise TimeoutError(f"the server did not log this side in within {limit:g} s") from None


async def authenticate_by_callable(
    authenticator: Callable[[socket.socket], tuple[socket.socket, Any]],
    sock: socket.socket,
    limit: float = LOGIN_TIME,
) -> tuple[socket.socket, Any]:
    """RPyC's kind of authenticator, which blocks: in a thread, over *sock*.

    Raises what it does, *sock* being closed.
    """
    given_up: list[bool] = []

    def work() -> tuple[socket.socket, Any]:
        try:
            answer = authenticator(sock)
        finally:
            if given_up:
                sock.close()
        if given_up:
            answer[0].close()
        return answer

    sock.settimeout(limit)
    working = asyncio.wrap_future(in_thread(work))
    try:
        found, credentials = await asyncio.shield(working)
        if isinstance(found, ssl.SSLSocket):
            found.close()
            raise TypeError("on an event loop TLS is ssl_context's, not the authenticator's")
    except asyncio.CancelledError:
        given_up.append(True)
        working.add_done_callback(_drop)
        _shutdown(sock)  # so that the thread goes on, and closes it
        raise
    except BaseException:
        sock.close()
        raise
    found.setblocking(False)
    return found, credentials


def _drop(done: asyncio.Future[tuple[socket.socket, Any]]) -> None:
    if not done.cancelled() and done.exception() is None:
        done.result()[0].close()


def _shutdown(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:  # the client has gone
        pass
