from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from looped import awaiting, run, until

import netobj
from netobj import aio

NewLoop = Callable[[], asyncio.AbstractEventLoop]
needs_unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")


class Echo(netobj.Service):
    @netobj.exposed
    async def echo(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def plain(self, value: Any) -> Any:
        return value


def test_where_it_listens(new_loop: NewLoop) -> None:
    async def main() -> None:
        server = aio.Server(Echo, "127.0.0.1")
        with pytest.raises(OSError, match="not listening"):
            server.port  # noqa: B018
        async with server:
            assert server.host == "127.0.0.1"
            assert server.connections == ()
            async with aio.connect("127.0.0.1", server.port) as conn:
                assert await conn.root.echo(1) == await conn.root.plain(1) == 1
                assert len(server.connections) == 1
            await until(lambda: server.connections == ())
        with pytest.raises(OSError, match="not listening"):
            server.host  # noqa: B018

    run(main(), new_loop)


def test_an_instance_is_shared_and_a_class_is_not() -> None:
    class Counter(netobj.Service):
        def __init__(self) -> None:
            self.count = 0

        @netobj.exposed
        async def next(self) -> int:
            self.count += 1
            return self.count

    async def main() -> None:
        for service, expected in ((Counter, [1, 1]), (Counter(), [1, 2])):
            async with aio.Server(service, "localhost") as server:
                got = []
                for _ in range(2):
                    async with aio.connect("localhost", server.port) as conn:
                        got.append(await conn.root.next())
                assert got == expected

    run(main())


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="one of path, sock"):
        aio.Server(Echo, "localhost", path="x")
    with pytest.raises(ValueError, match="unknown configuration keys nonsense"):
        aio.Server(Echo, config={"nonsense": 1})
    with pytest.raises(ValueError, match="a client's context, which cannot accept"):
        aio.Server(Echo, ssl=ssl.create_default_context())

    async def main() -> None:
        async with aio.Server(Echo, "127.0.0.1") as server:
            other = aio.Server(Echo, "127.0.0.1", server.port)
            with pytest.raises(OSError, match="in use"):
                await other.start()
            await other.close()
            with pytest.raises(RuntimeError, match="started or closed before"):
                await server.start()
        with pytest.raises(RuntimeError, match="started or closed before"):
            await server.start()
        await server.close()
        unstarted = aio.Server(Echo)
        await unstarted.close()
        with pytest.raises(RuntimeError, match="started or closed before"):
            await unstarted.serve_forever()

    run(main())


def test_serve_forever() -> None:
    async def main() -> None:
        for stop in ("close", "cancel", "stop"):
            server = aio.Server(Echo, "localhost")
            task = asyncio.create_task(server.serve_forever())
            await until(lambda: _listens(server))  # noqa: B023
            async with aio.connect("localhost", server.port) as conn:
                assert await conn.root.echo(1) == 1
                if stop == "close":
                    await server.close()
                elif stop == "stop":
                    server.stop()
                else:
                    task.cancel()
                await asyncio.wait([task])
                await conn.wait_closed()

    run(main())


def _listens(server: aio.Server) -> bool:
    try:
        return server.port > 0
    except OSError:
        return False


def test_streams_have_the_time_of_grace_too(new_loop: NewLoop) -> None:
    class Numbers(netobj.Service):
        @netobj.exposed(stream=True)
        async def up_to(self, most: int) -> Any:
            for number in range(most):
                yield number

    async def main() -> None:
        server = aio.Server(Numbers, "127.0.0.1")
        await server.start()
        async with aio.connect("127.0.0.1", server.port) as conn:
            seen = []
            async for number in conn.root.up_to(5000):
                seen.append(number)
                if number == 10:
                    assert [call.name for one in server.connections for call in one.calls]
                    closing = asyncio.ensure_future(server.close(60))
            assert seen == list(range(5000))
        assert await closing == ()

    run(main(), new_loop)


@needs_unix
def test_a_unix_socket(tmp_path: Path, new_loop: NewLoop) -> None:
    path = str(tmp_path / "socket")

    async def main() -> None:
        async with aio.Server(Echo, path=path) as server:
            assert server.host == path
            assert server.port == 0
            assert os.stat(path).st_mode & 0o077 == 0
            async with aio.unix_connect(path) as conn:
                assert await conn.root.echo("here") == "here"
                assert "unix:" in conn.peer_name
            with pytest.raises(OSError, match="in use"):
                await aio.Server(Echo, path=path).start()
        assert not os.path.exists(path)
        with pytest.raises(FileNotFoundError) as info:
            await aio.unix_connect(path)
        assert info.value.filename == f"unix:{path}"

    run(main(), new_loop)


def test_a_socket_that_is_bound_already() -> None:
    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        async with aio.Server(Echo, sock=sock) as server:
            assert server.port == sock.getsockname()[1]
            async with aio.connect("127.0.0.1", server.port) as conn:
                assert await conn.root.echo(2) == 2

    run(main())


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server that is called localhost, and for clients that trust it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def test_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext], new_loop: NewLoop) -> None:
    async def main() -> None:
        async with aio.Server(Echo, "localhost", ssl=contexts[0]) as server:
            async with aio.connect("localhost", server.port, ssl=contexts[1]) as conn:
                data = bytes(300_000)
                assert await conn.root.echo(data) == data
                assert await conn.root.plain(data) == data
            with pytest.raises(ssl.SSLError, match="certificate verify failed"):
                await aio.connect(
                    "localhost", server.port, ssl=contexts[1], server_hostname="elsewhere"
                )
            with pytest.raises(ssl.SSLError, match="certificate verify failed"):
                await aio.connect("127.0.0.1", server.port, ssl=contexts[1])
            untrusting = ssl.create_default_context()
            with pytest.raises(ssl.SSLError, match="certificate verify failed"):
                await aio.connect("localhost", server.port, ssl=untrusting)

    run(main(), new_loop)


def test_the_certificate_of_a_client_is_its_credentials() -> None:
    authority = trustme.CA()
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(here)
    authority.configure_trust(here)
    here.verify_mode = ssl.CERT_REQUIRED
    there = ssl.create_default_context()
    authority.configure_trust(there)
    authority.issue_cert("alice@example.org").configure_cert(there)

    class WhoAmI(netobj.Service):
        @netobj.exposed
        async def me(self) -> Any:
            return netobj.current_call().credentials["subjectAltName"]

    async def main() -> None:
        async with (
            aio.Server(WhoAmI, "localhost", ssl=here) as server,
            aio.connect("localhost", server.port, ssl=there) as conn,
        ):
            assert await conn.root.me() == (("email", "alice@example.org"),)

    run(main())


def test_plain_text_where_tls_is_expected(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async def main() -> None:
        async with aio.Server(Echo, "localhost", ssl=contexts[0]) as server:
            with pytest.raises(netobj.ConnectionLost):
                async with aio.connect("localhost", server.port) as conn:
                    await conn.root.echo(1)
            assert server.connections == ()

    run(main())


def test_a_service_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(netobj.Service):
        def __init__(self) -> None:
            raise LookupError("it cannot be made")

    async def main() -> None:
        async with aio.Server(Broken, "localhost") as server:
            async with aio.connect("localhost", server.port) as conn:
                with pytest.raises(netobj.ConnectionLost):
                    await conn.root.echo(1)
            assert server.connections == ()

    run(main())
    assert "it cannot be made" in caplog.text
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


def test_closing_cancels_an_on_connect_that_hangs() -> None:
    class Hangs(netobj.Service):
        def __init__(self) -> None:
            self.log: list[str] = []

        async def on_connect(self, conn: Any) -> None:  # type: ignore[override]
            self.log.append("begins")
            try:
                await asyncio.Event().wait()
            finally:
                self.log.append("ends")

    async def main() -> None:
        hangs = Hangs()
        async with aio.Server(hangs, "localhost") as server:
            conn = await aio.connect("localhost", server.port)
            await until(lambda: hangs.log)
            await server.close()
            await until(lambda: len(hangs.log) == 2)
            await conn.close()

    run(main())


def test_a_handler_that_does_not_end_does_not_keep_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netobj.aio.link.CLOSE_PATIENCE", 0.05)
    go = threading.Event()

    class Stubborn(netobj.Service):
        @netobj.exposed
        async def refuse(self) -> None:
            entered.set()
            while not go.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    pass

        @netobj.exposed
        def block(self) -> None:
            blocked.set()
            assert go.wait(20)

    entered, blocked = threading.Event(), threading.Event()

    async def main() -> None:
        before = len(asyncio.all_tasks())
        server = aio.Server(Stubborn, "localhost")
        await server.start()
        conn = await aio.connect("localhost", server.port)
        tasks = [awaiting(getattr(conn.root, n)()) for n in ("refuse", "block")]
        await until(lambda: entered.is_set() and blocked.is_set())
        await server.close()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, netobj.ConnectionLost)
        go.set()
        await conn.close()
        await until(lambda: len(asyncio.all_tasks()) == before)

    run(main())


def test_a_server_may_be_closed_by_a_call() -> None:
    class Closes(netobj.Service):
        @netobj.exposed
        async def shut(self) -> None:
            server.stop()

    server: Any = None

    async def main() -> None:
        nonlocal server
        server = aio.Server(Closes, "localhost")
        task = asyncio.create_task(server.serve_forever())
        await until(lambda: _listens(server))
        async with aio.connect("localhost", server.port) as conn:
            await conn.root.shut()
            await task

    run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of the platform's selector")
def test_many_connections() -> None:
    async def main() -> None:
        async with aio.Server(Echo(), "localhost") as server:
            conns = await asyncio.gather(
                *(awaiting(aio.connect("localhost", server.port)) for _ in range(100))
            )
            got = await asyncio.gather(*(awaiting(c.root.plain(n)) for n, c in enumerate(conns)))
            assert got == list(range(100))
            assert len(server.connections) == 100

        for conn in conns:
            await conn.close()

    run(main())
