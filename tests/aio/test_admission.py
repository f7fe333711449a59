"""Who is let in by a server on an event loop, who is not, and who is on the way when it closes."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crowding import check_who_is_served, few_descriptors
from looped import LOOPS, run, until

import netobj
from certificates import Certificates
from netobj import aio
from netobj.auth import PreSharedKey, TokenAuthenticator, new_key

NewLoop = Callable[[], asyncio.AbstractEventLoop]
PSK = PreSharedKey(new_key())
TOKEN = TokenAuthenticator("correct-horse-battery-staple")
WAYS = ("plain", "tls", "token", "callable", "token over tls", "psk", "token over psk")


class Echo(netobj.Service):
    @netobj.exposed
    async def echo(self, value: Any) -> Any:
        return value


def hears(sock: socket.socket) -> tuple[socket.socket, bytes]:
    return sock, sock.recv(1)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def secured(way: str, certificates: Certificates) -> dict[str, Any]:
    """The arguments of a server that lets its clients in this way."""
    asks = hears if way == "callable" else TOKEN if "token" in way else None
    context = certificates.server if "tls" in way else None
    psk = PSK if "psk" in way else None
    return {"ssl_context": context, "authenticator": asks, "psk": psk}


def comes(server: aio.Server) -> socket.socket:
    """A client that says nothing; it is connected though the server has not run yet."""
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.setblocking(False)
    return sock


async def heard(sock: socket.socket) -> bytes:
    """All that *sock* hears until its server closes it."""
    loop = asyncio.get_running_loop()
    found = b""
    with sock:
        try:
            while data := await asyncio.wait_for(loop.sock_recv(sock, 4096), 20):
                found += data
        except ConnectionResetError:
            pass
    return found


async def is_served(port: int, **how: Any) -> bool:
    try:
        async with aio.connect("localhost", port, **how) as conn:
            return bool(await conn.root.echo(True))
    except (netobj.ConnectionLost, OSError):
        return False


async def until_served(port: int, **how: Any) -> None:
    """Wait until a newcomer is served."""
    end = asyncio.get_running_loop().time() + 20
    while not await is_served(port, **how):
        assert asyncio.get_running_loop().time() < end, "a newcomer is not served"


# --- too many -----------------------------------------------------------------------------------


def test_at_max_connections_the_newcomer_is_told_why(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with aio.Server(Echo, "127.0.0.1", max_connections=2) as server:
            one = await aio.connect("127.0.0.1", server.port)
            other = await aio.connect("127.0.0.1", server.port)
            for number in range(3):
                assert await one.root.echo(number) == await other.root.echo(number) == number
                with pytest.raises(netobj.ConnectionLost, match="has 2 connections, and takes no"):
                    async with aio.connect("127.0.0.1", server.port) as refused:
                        await refused.root.echo(1)
            assert len(server.connections) == 2
            await one.close()
            await until_served(server.port)
            assert await other.root.echo(1) == 1
            await other.close()

    run(main(), new_loop)


def test_who_is_to_authenticate_itself_is_told_nothing(
    new_loop: NewLoop, certificates: Certificates
) -> None:
    async def main() -> None:
        for way in WAYS[1:]:
            how = secured(way, certificates)
            async with aio.Server(Echo, "127.0.0.1", max_connections=0, **how) as server:
                assert await heard(comes(server)) == b""

    run(main(), new_loop)


def test_who_is_on_the_way_counts(
    way: str, new_loop: NewLoop, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """In a handshake or a login one may stay for seconds: not any number of them at once."""

    async def main() -> None:
        how = secured(way, certificates)
        async with aio.Server(Echo, "127.0.0.1", max_connections=3, **how) as server:
            slow = [comes(server) for _ in range(3)]
            late = comes(server)
            said = await heard(late)
            assert (b"takes no more" in said) == (way == "plain")
            assert caplog.text.count("refused a connection: it has 3 connections") == 1
            for sock in slow:
                sock.close()
            await until(lambda: not server._admitting and not server.connections)
            late = comes(server)
            await until(lambda: server._admitting or server.connections)
            late.close()

    run(main(), new_loop)


def test_each_counts_once_whatever_turn_it_is_in(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with aio.Server(Echo, "127.0.0.1", max_connections=2) as server:
            first = comes(server)
            counts = set()
            while not server.connections:
                counts.add(len(server._admitting) + len(server.connections))
                await asyncio.sleep(0)
            counts.add(len(server._admitting) + len(server.connections))
            assert counts <= {0, 1}
            async with aio.connect("127.0.0.1", server.port) as conn:
                assert await conn.root.echo(1) == 1
            first.close()

    run(main(), new_loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_without_a_descriptor_the_newcomer_is_told_and_others_are_served(
    loop: str, tmp_path: Path
) -> None:
    with few_descriptors("aio.Server", tmp_path / "log", loop) as port:
        check_who_is_served(port)


def test_other_errors_of_accept_end_the_server(new_loop: NewLoop) -> None:
    class Broken:
        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def accept(self) -> Any:
            raise OSError(errno.EINVAL, "broken")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        server = aio.Server(Echo, sock=Broken(sock))  # type: ignore[arg-type]
        await server.start()
        with comes(server), pytest.raises(OSError, match="broken"):
            await server.serve_forever()
        assert sock.fileno() == -1

    run(main(), new_loop)


# --- those who are on the way when it closes ----------------------------------------------------


@pytest.mark.parametrize("turns", range(7))
def test_closing_lets_go_who_comes_just_then(
    turns: int, way: str, new_loop: NewLoop, certificates: Certificates
) -> None:
    """Whatever turn of the loop it is: nothing is left, and no error is met."""

    async def closes() -> None:
        server = aio.Server(Echo, "127.0.0.1", **secured(way, certificates))
        await server.start()
        clients = [comes(server) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close()
        for sock in clients:
            await heard(sock)
        assert server.connections == ()
        assert not server._admitting

    async def main() -> None:
        await closes()  # the loop has what it opens once
        descriptors = count_descriptors()
        await closes()
        await until(lambda: count_descriptors() <= descriptors)

    run(main(), new_loop)


def test_closing_lets_go_who_hesitates(
    way: str, new_loop: NewLoop, certificates: Certificates
) -> None:
    async def main() -> None:
        server = aio.Server(Echo, "127.0.0.1", **secured(way, certificates))
        await server.start()
        clients = [comes(server) for _ in range(3)]
        if way == "tls":
            clients[0].send(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello begins so
        await until(lambda: len(server._admitting) + len(server.connections) == 3)
        await server.close()
        assert not server._arriving
        for sock in clients:
            await heard(sock)

    run(main(), new_loop)


@pytest.mark.parametrize("turns", range(5))
def test_stopping_lets_go_who_comes_just_then(turns: int, new_loop: NewLoop) -> None:
    async def main() -> None:
        server = aio.Server(Echo, "127.0.0.1")
        await server.start()
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        clients = [comes(server) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        server.stop()
        await task
        for sock in clients:
            await heard(sock)

    run(main(), new_loop)


def test_a_handshake_that_fails_is_logged(
    new_loop: NewLoop, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        context = certificates.server
        async with aio.Server(Echo, "127.0.0.1", ssl_context=context) as server:
            sock = comes(server)
            sock.send(b"GET / HTTP/1.1\r\n\r\n")
            await heard(sock)
            await until(lambda: "the TLS handshake failed" in caplog.text)
            untrusting = ssl.create_default_context()
            with pytest.raises(ssl.SSLError):
                await aio.connect("localhost", server.port, ssl_context=untrusting)
            assert await is_served(server.port, ssl_context=certificates.client)

    run(main(), new_loop)
    assert "127.0.0.1:" in caplog.text


def test_a_transport_that_cannot_be_made_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOBUFS, "no room")

    async def main() -> None:
        async with aio.Server(Echo, "127.0.0.1") as server:
            sock = comes(server)
            with monkeypatch.context() as full:
                full.setattr(asyncio.get_running_loop(), "connect_accepted_socket", fails)
                assert await heard(sock) == b""
            assert await is_served(server.port)

    run(main())
    assert "accepting failed: 127.0.0.1:" in caplog.text
    assert "no room" in caplog.text


def count_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
