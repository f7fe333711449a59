from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from looped import awaiting, run, until

import netobj
from certificates import Certificates
from netobj import aio, auth
from netobj.aio import login
from netobj.auth import SSLAuthenticator, TokenAuthenticator, UserAuthenticator, UserLogin
from netobj.core.consts import PREAMBLE
from netobj.errors import AuthenticationError, ConnectionLost
from netobj.sockets import bind_unix

NewLoop = Callable[[], asyncio.AbstractEventLoop]
TOKEN = TokenAuthenticator("correct-horse-battery-staple")
WRONG = TokenAuthenticator("correct-horse-battery-stable")


class Who(netobj.Service):
    def on_connect(self, conn: Any) -> None:
        self.conn = conn

    @netobj.exposed
    async def who(self) -> Any:
        found = self.conn.config.credentials
        return found["subjectAltName"] if isinstance(found, dict) else found

    @netobj.exposed
    async def echo(self, value: Any) -> Any:
        return value


@pytest.fixture
def token() -> TokenAuthenticator:
    asks = TokenAuthenticator("correct-horse-battery-staple")
    asks.delay = 0.0
    return asks


@pytest.fixture
def users() -> UserAuthenticator:
    asks = UserAuthenticator(lambda user, password: password == "open sesame")
    asks.delay = 0.0
    return asks


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_token(new_loop: NewLoop, certificates: Certificates, over_tls: bool) -> None:
    here, there = (certificates.server, certificates.client) if over_tls else (None, None)

    async def main() -> None:
        asks = TokenAuthenticator("correct-horse-battery-staple", name="lab")
        asks.delay = 0.0
        async with aio.Server(Who, "localhost", ssl_context=here, authenticator=asks) as server:
            port = server.port
            async with aio.connect(
                "localhost", port, ssl_context=there, authenticator=TOKEN
            ) as conn:
                assert await conn.root.who() == "lab"
                data = bytes(2_000_000)
                assert await conn.root.echo(data) == data
            with pytest.raises(AuthenticationError, match="wrong credentials"):
                await aio.connect("localhost", port, ssl_context=there, authenticator=WRONG)
            with pytest.raises(ConnectionLost, match="lets in only who logs in"):
                async with aio.connect("localhost", port, ssl_context=there) as conn:
                    await conn.root.who()
            await until(lambda: not server.connections and not server._arriving)

    run(main(), new_loop)


def test_users(new_loop: NewLoop, certificates: Certificates, users: UserAuthenticator) -> None:
    async def main() -> None:
        async with aio.Server(
            Who, "localhost", ssl_context=certificates.server, authenticator=users
        ) as server:
            how = {"ca_certs": certificates.ca}
            for user in ("tom", "tim"):
                who = UserLogin(user, "open sesame")
                async with aio.ssl_connect(
                    "localhost", server.port, **how, authenticator=who
                ) as conn:
                    assert await conn.root.who() == user
            who = UserLogin("tom", "sesame")
            with pytest.raises(AuthenticationError, match="wrong credentials"):
                await aio.ssl_connect("localhost", server.port, **how, authenticator=who)

    run(main(), new_loop)


def test_users_over_a_unix_socket(tmp_path: Path, users: UserAuthenticator) -> None:
    path = str(tmp_path / "socket")

    async def main() -> None:
        async with (
            aio.Server(Who, path=path, authenticator=users),
            aio.connect_url(f"netobj+unix://tom:open%20sesame@{path}") as conn,
        ):
            assert await conn.root.who() == "tom"
        async with (
            aio.Server(Who, sock=bind_unix(path), authenticator=users),
            aio.unix_connect(path, authenticator=UserLogin("tom", "open sesame")) as conn,
        ):
            assert await conn.root.who() == "tom"

    run(main())


def test_tls_over_a_unix_socket(tmp_path: Path, certificates: Certificates) -> None:
    path = str(tmp_path / "socket")

    async def main() -> None:
        async with (
            aio.Server(Who, path=path, ssl_context=certificates.server),
            aio.unix_connect(path, ssl_context=certificates.client) as conn,
        ):
            assert await conn.root.who() is None
            assert conn.config.credentials["subjectAltName"] == (("DNS", "localhost"),)

    run(main())


def test_classic_mode(certificates: Certificates) -> None:
    async def main() -> None:
        async with aio.Server(
            netobj.SlaveService, "localhost", ssl_context=certificates.server, authenticator=TOKEN
        ) as server:
            port = server.port
            async with aio.classic.ssl_connect(
                "localhost", port, ca_certs=certificates.ca, authenticator=TOKEN
            ) as conn:
                assert await conn.modules.os.path.join("a", "b") == "a/b"
            async with aio.classic.connect(
                "localhost", port, ssl_context=certificates.client, authenticator=TOKEN
            ) as conn:
                assert await conn.eval("6 * 7") == 42
            url = f"netobjs://:correct-horse-battery-staple@localhost:{port}"
            async with aio.classic.connect_url(url, ssl_context=certificates.client) as conn:
                assert await conn.eval("6 * 7") == 42

    run(main())


def test_ssl_authenticator_is_a_context_here(certificates: Certificates) -> None:
    files = certificates.localhost
    alice = certificates.issue("alice@example.org")
    asks = SSLAuthenticator(files.keyfile, files.certfile, certificates.ca)

    async def main() -> None:
        async with aio.Server(Who, "localhost", authenticator=asks) as server:
            context = auth.client_context(certificates.ca, *alice)
            async with aio.connect("localhost", server.port, ssl_context=context) as conn:
                assert await conn.root.who() == (("email", "alice@example.org"),)

    run(main())


@pytest.mark.parametrize("secret", [True, False])
def test_connecting_can_be_cancelled_in_the_midst_of_a_login(secret: bool) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            task = awaiting(aio.connect("127.0.0.1", port, authenticator=TOKEN))
            there, _ = await asyncio.to_thread(listener.accept)
            if secret:
                there.sendall(b"netobj")
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            with there:
                there.settimeout(20)
                try:
                    assert await asyncio.to_thread(there.recv, 100) == b""
                except ConnectionResetError:  # it has not read what was said
                    pass

    run(main())


def test_closing_a_server_ends_the_logins(new_loop: NewLoop) -> None:
    async def main() -> None:
        server = aio.Server(Who, "localhost", authenticator=TOKEN)
        async with server:
            idle = [await asyncio.open_connection("localhost", server.port) for _ in range(3)]
            for reader, _ in idle:
                await reader.readexactly(49)
            task = awaiting(aio.connect("localhost", server.port, authenticator=WRONG))
            await until(lambda: len(server._arriving) == 4)
        with pytest.raises((AuthenticationError, ConnectionLost, OSError)):
            await task
        for reader, writer in idle:
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                pass
            writer.close()

    run(main(), new_loop)


def test_a_client_that_sends_and_sends_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wires: list[login.LoginWire] = []
    received: list[int] = []
    old = login.LoginWire.data_received

    def received_now(wire: login.LoginWire, data: bytes) -> None:
        wires.append(wire)
        old(wire, data)
        received.append(len(wire._data))

    monkeypatch.setattr(login.LoginWire, "data_received", received_now)
    go_on = threading.Event()

    def slow(user: str, password: str) -> bool:
        return go_on.wait(20)

    async def main(path: str) -> None:
        async with aio.Server(Who, path=path, authenticator=UserAuthenticator(slow)):
            _, writer = await asyncio.open_unix_connection(path)
            answer = UserLogin("tom", "x").answer(b"")[0]
            writer.write(len(answer).to_bytes(2, "big") + answer)
            writer.write(bytes(5_000_000))
            await until(lambda: wires and wires[0]._paused)
            assert max(received) < 1_000_000
            go_on.set()
            writer.transport.abort()

    run(main(str(tmp_path / "socket")))


def test_what_follows_a_login_is_netobjs(new_loop: NewLoop) -> None:
    """The server's hello may come together with its verdict."""

    async def main() -> None:
        async def serve(reader: Any, writer: Any) -> None:
            nonce = bytes(32)
            writer.write(b"netobj login 1\r\nT" + nonce)
            size = int.from_bytes(await reader.readexactly(2), "big")
            answer = await reader.readexactly(size)
            _, proof = TOKEN.judge(nonce, answer)
            writer.write(b"\0\x21+" + proof + PREAMBLE + b"\0\0\0\2\x92")  # a frame cut short
            await reader.read(1)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with aio.connect("127.0.0.1", port, authenticator=TOKEN) as conn:
            with pytest.raises(ConnectionLost):
                await conn.root.who()
        server.close()
        await server.wait_closed()

    run(main(), new_loop)


def test_a_callable(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    def word(sock: socket.socket) -> tuple[socket.socket, bytes]:
        heard = sock.recv(5)
        if heard == b"error":
            raise LookupError("a bug")
        if heard != b"Ma6ik":
            raise AuthenticationError("wrong magic word")
        return sock, heard

    async def main() -> None:
        async with aio.Server(Who, "localhost", authenticator=word) as server:
            for said in (b"Magic", b"error", b"Ma6ik"):
                sock = await asyncio.to_thread(socket.create_connection, ("localhost", server.port))
                sock.sendall(said)
                async with aio.connect_socket(sock) as conn:
                    if said == b"Ma6ik":
                        assert await conn.root.who() == b"Ma6ik"
                        assert len(server.connections) == 1
                    else:
                        with pytest.raises(ConnectionLost):
                            await conn.root.who()
        assert "wrong magic word" in caplog.text
        assert "LookupError" in caplog.text

    run(main(), new_loop)


def test_closing_ends_a_callable_that_waits(new_loop: NewLoop) -> None:
    heard: list[bytes] = []

    def waits(sock: socket.socket) -> tuple[socket.socket, None]:
        heard.append(b"begun")
        heard.append(sock.recv(1))
        return sock, None

    async def main() -> None:
        async with aio.Server(Who, "localhost", authenticator=waits) as server:
            reader, writer = await asyncio.open_connection("localhost", server.port)
            await until(lambda: heard)
        await until(lambda: len(heard) == 2)
        assert await reader.read() == b""
        writer.close()

    run(main(), new_loop)


def test_a_callable_that_makes_tls_itself(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    context = certificates.server

    def wraps(sock: socket.socket) -> tuple[socket.socket, None]:
        return context.wrap_socket(sock, server_side=True), None

    async def main() -> None:
        async with aio.Server(Who, "localhost", authenticator=wraps) as server:
            with pytest.raises((ConnectionLost, ConnectionError, ssl.SSLError)):
                async with aio.connect(
                    "localhost", server.port, ssl_context=certificates.client
                ) as conn:
                    await conn.root.who()
            await until(lambda: "TLS is ssl_context's" in caplog.text)

    run(main())


def test_what_cannot_be(certificates: Certificates, users: UserAuthenticator) -> None:
    def callable_(sock: socket.socket) -> Any:
        return sock, None

    with pytest.raises(ValueError, match="a callable cannot read what is encrypted"):
        aio.Server(Who, ssl_context=certificates.server, authenticator=callable_)
    with pytest.raises(ValueError, match="over TLS or a Unix socket only"):
        aio.Server(Who, authenticator=users)
    with pytest.raises(TypeError, match="is for clients"):
        aio.Server(Who, authenticator=UserLogin("tom", "x"), ssl_context=certificates.server)
    with pytest.raises(ValueError, match="give one of them"):
        aio.Server(Who, ssl_context=certificates.server, ssl=certificates.server)
    for connect in (aio.connect, aio.connect_url):
        args = ("localhost", 1) if connect is aio.connect else ("netobj://localhost",)
        with pytest.raises(TypeError, match="on an event loop an authenticator is"):
            connect(*args, authenticator=callable_)


def test_a_whole_interpreter_is_not_for_strangers(certificates: Certificates) -> None:
    async def main() -> None:
        for host in (None, "0.0.0.0"):
            server = aio.Server(netobj.SlaveService, host)
            with pytest.raises(ValueError, match="insecure=True"):
                await server.start()
            await server.close()
        for how in (
            {"insecure": True},
            {"authenticator": TOKEN},
            {"ssl_context": certificates.mutual},
            {"host": "localhost"},
        ):
            async with aio.Server(netobj.SlaveService, **how) as server:
                assert server.port

    run(main())
