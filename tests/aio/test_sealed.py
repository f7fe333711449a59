"""What is particular to a transport under a pre-shared key; the rest is in test_admission.py and
tests/servers/test_psk.py."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from looped import LOOPS, run, until

import netobj
from netobj import aio
from netobj.aio.sealed import SealedTransport, SealedWire
from netobj.aio.wire import unread
from netobj.auth import PreSharedKey, TokenAuthenticator, new_key
from netobj.auth.sealed import RECORD
from netobj.auth.sealing import Opener, Sealer
from netobj.errors import AuthenticationError, ConnectionLost

NewLoop = Callable[[], asyncio.AbstractEventLoop]
PSK = PreSharedKey(new_key())
TOKEN = TokenAuthenticator("correct-horse-battery-staple")
SECRET = bytes(range(100, 132))


class Echo(netobj.Service):
    @netobj.exposed
    async def echo(self, value: Any) -> Any:
        return value


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    found: NewLoop = request.param
    return found


def test_calls_of_all_sizes_at_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with (
            aio.Server(Echo, "127.0.0.1", psk=PSK) as server,
            aio.connect("127.0.0.1", server.port, psk=PSK) as conn,
        ):
            values = [bytes([number]) * (number**4) for number in range(40)]
            assert list(await asyncio.gather(*map(conn.root.echo, values))) == values

    run(main(), new_loop)


def test_what_breaks_a_record_ends_the_connection(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with aio.Server(Echo, "127.0.0.1", psk=PSK) as server:
            conn = await aio.connect("127.0.0.1", server.port, psk=PSK)
            conn.transport._plain.write(bytes(100))
            await until(lambda: conn.closed and not server.connections)
            with pytest.raises(ConnectionLost, match="protocol error: a record was changed"):
                await conn.root.echo(1)
            await conn.close()
            async with aio.connect("127.0.0.1", server.port, psk=PSK) as other:
                assert await other.root.echo(1) == 1

    run(main(), new_loop)
    assert "was ended: a record was changed" in caplog.text


def test_what_breaks_a_record_ends_the_login(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with aio.Server(Echo, "127.0.0.1", psk=PSK, authenticator=TOKEN) as server:
            sock = socket.create_connection(("127.0.0.1", server.port))
            shake = PSK.handshake(False)
            loop = asyncio.get_running_loop()
            sock.setblocking(False)
            await loop.sock_sendall(sock, shake.hello)
            reading, wanted = shake.read_hello(), 10
            next(reading)
            with suppress(StopIteration):
                while True:
                    try:
                        wanted = reading.send(await loop.sock_recv(sock, wanted))
                    except StopIteration as end:
                        await loop.sock_sendall(sock, end.value + bytes(100))
                        raise
            with sock, suppress(ConnectionError):
                while await loop.sock_recv(sock, 4096):
                    pass

    run(main(), new_loop)
    assert "authentication failed" in caplog.text
    assert "a record was changed" in caplog.text


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Shake:
    """A handshake that is over; what is sealed is opened here, too."""

    def __init__(self) -> None:
        self.sealer, self.opener = Sealer(SECRET), Opener(SECRET)


class Inner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.told.append((name, *args))


def wired() -> tuple[Transport, SealedWire, Inner, SealedTransport]:
    plain, inner = Transport(), Inner()
    wire = SealedWire(inner, Shake())
    wire.connection_made(plain)
    (told,) = inner.told
    inner.told.clear()
    return plain, wire, inner, told[1]


def test_large_writes_are_several_records() -> None:
    plain, wire, inner, transport = wired()
    transport.write(b"")
    transport.write(bytes(2 * RECORD + 1))
    assert [len(record) - 36 for record in plain.written] == [RECORD, RECORD, 1]
    wire.arrived(b"".join(plain.written))
    assert inner.told == [("arrived", bytes(2 * RECORD + 1))]


def test_what_is_not_made_for_it_does_not_get_past_the_encryption() -> None:
    plain, _, _, transport = wired()
    for method in (transport.write_eof, transport.can_write_eof):
        with pytest.raises(NotImplementedError):
            method()
    transport.writelines([b"a", b"b"])  # joins, and writes
    assert b"ab" not in b"".join(plain.written)


def test_the_end_in_the_midst_of_a_record() -> None:
    plain, wire, inner, transport = wired()
    transport.write(b"x")
    wire.arrived(plain.written[0][:-1])
    wire.eof_received()
    assert inner.told == [("cut", "the connection was cut in the midst of a record")]
    wire.arrived(plain.written[0][-1:])
    wire.eof_received()
    assert inner.told[1:] == [("arrived", b"x"), ("eof_received",)]


def test_nothing_is_heard_after_what_was_wrong() -> None:
    plain, wire, inner, transport = wired()
    transport.write(b"x")
    wire.arrived(bytes(40))
    wire.arrived(plain.written[0])
    wire.eof_received()
    assert [told[0] for told in inner.told] == ["broken"]
    wire.connection_lost(None)
    assert inner.told[-1] == ("connection_lost", None)


def test_pauses_are_handed_on() -> None:
    _, wire, inner, transport = wired()
    wire.pause_writing()
    wire.resume_writing()
    assert [told[0] for told in inner.told] == ["pause_writing", "resume_writing"]
    other = Inner()
    transport.set_protocol(other)
    assert transport.get_protocol() is other
    wire.pause_writing()
    assert other.told == [("pause_writing",)]


def test_last_words_are_not_read_past_the_encryption() -> None:
    """What lies unread in the socket of a transport that broke is encrypted, or somebody else's."""

    async def main() -> None:
        async with (
            aio.Server(Echo, "127.0.0.1", psk=PSK) as server,
            aio.connect("127.0.0.1", server.port, psk=PSK) as conn,
        ):
            assert isinstance(conn.transport, SealedTransport)
            conn.transport.pause_reading()
            (there,) = server.connections
            there.transport._plain.write(b"\0\0\0\x03\x92\x07\xc0")
            sock = conn.transport.get_extra_info("socket")
            with sock.dup() as raw:
                await until(lambda: _peek(raw))
            assert unread(conn.transport) == b""

    run(main())


def _peek(sock: socket.socket) -> bytes:
    sock.setblocking(False)
    with suppress(BlockingIOError):
        return sock.recv(1, socket.MSG_PEEK)
    return b""


def test_a_client_that_is_cancelled_in_the_handshake(new_loop: NewLoop) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            task = asyncio.ensure_future(_connect(port))
            listener.setblocking(False)
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with sock:
                sock.setblocking(False)
                with suppress(ConnectionError):
                    while await asyncio.get_running_loop().sock_recv(sock, 4096):
                        pass

    run(main(), new_loop)


async def _connect(port: int) -> None:
    await aio.connect("127.0.0.1", port, psk=PSK)


def test_a_client_whose_login_is_meddled_with() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            task = asyncio.ensure_future(_log_in(listener.getsockname()[1]))
            sock, _ = await loop.sock_accept(listener)
            sock.setblocking(False)
            shake = PSK.handshake(True)
            await loop.sock_sendall(sock, shake.hello)
            theirs = b""
            while len(theirs) < 79:
                theirs += await loop.sock_recv(sock, 79 - len(theirs))
            reading = shake.read_hello()
            wanted = next(reading)
            try:
                while True:
                    piece, theirs = theirs[:wanted], theirs[wanted:]
                    wanted = reading.send(piece)
            except StopIteration as end:
                await loop.sock_sendall(sock, end.value + bytes(100))
            with pytest.raises(AuthenticationError, match="a record was changed"):
                await task
            sock.close()

    run(main())


async def _log_in(port: int) -> None:
    await aio.connect("127.0.0.1", port, psk=PSK, authenticator=TOKEN)
