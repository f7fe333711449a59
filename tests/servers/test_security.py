"""Who is let in, by every server, with clients of both skins."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apart import Apart

import netobj
from certificates import Certificates
from netobj import aio, auth
from netobj.auth import (
    SSLAuthenticator,
    TokenAuthenticator,
    UserAuthenticator,
    UserLogin,
)
from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE
from netobj.errors import AuthenticationError, ConnectionLost
from patience import HANG, wait_until

SERVERS = [
    netobj.ThreadedServer,
    netobj.ThreadPoolServer,
    netobj.ForkingServer,
    netobj.AsyncServer,
    netobj.PreforkServer,
]
ELSEWHERE = (Apart, netobj.PreforkServer)
"""What happens in these servers does not happen in this process."""
TOKEN = TokenAuthenticator("correct-horse-battery-staple")
WRONG = TokenAuthenticator("correct-horse-battery-stable")
TOM = UserLogin("tom", "open sesame")


class Who(netobj.Service):
    made = 0

    def __init__(self) -> None:
        Who.made += 1

    def on_connect(self, conn: Any) -> None:
        self.conn = conn

    def exposed_who(self) -> Any:
        found = self.conn.config.credentials
        return found["subjectAltName"] if isinstance(found, dict) else found

    def exposed_echo(self, value: Any) -> Any:
        return value

    def exposed_apply(self, function: Callable[[int], int], value: int) -> int:
        return function(value)


class Blocking:
    """A blocking client."""

    connect = staticmethod(netobj.connect)
    ssl_connect = staticmethod(netobj.ssl_connect)
    unix_connect = staticmethod(netobj.unix_connect)
    connect_url = staticmethod(netobj.connect_url)

    @staticmethod
    def who(connect: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the server says that the client is."""
        with connect(*args, **kwargs) as conn:
            return conn.root.who()


class OnLoop:
    """A client on an event loop."""

    connect = staticmethod(aio.connect)
    ssl_connect = staticmethod(aio.ssl_connect)
    unix_connect = staticmethod(aio.unix_connect)
    connect_url = staticmethod(aio.connect_url)

    @staticmethod
    def who(connect: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        async def main() -> Any:
            async with connect(*args, **kwargs) as conn:
                return await conn.root.who()

        return asyncio.run(asyncio.wait_for(main(), HANG))


@pytest.fixture(params=[Blocking, OnLoop], ids=["blocking", "aio"])
def client(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.__name__)
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """``serve(service, ...)``: a server that is up, on localhost if nothing else is said."""
    servers: list[Any] = []

    def start(service: Any = Who, **how: Any) -> Any:
        if "socket_path" not in how:
            how.setdefault("hostname", "localhost")
        server = request.param(service, **how)
        if request.param is netobj.ForkingServer:
            server = Apart(server)
        server.__enter__()
        servers.append(server)
        wait_until(lambda: request.param is not netobj.AsyncServer or server._running is not None)
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def users() -> UserAuthenticator:
    asks = UserAuthenticator({"tom": auth.hash_password("open sesame")})
    asks.delay = 0.0
    return asks


@pytest.fixture
def token() -> TokenAuthenticator:
    asks = TokenAuthenticator("correct-horse-battery-staple")
    asks.delay = 0.0
    return asks


# --- TLS ----------------------------------------------------------------------------------------


def test_tls_is_verified(serve: Any, client: Any, certificates: Certificates) -> None:
    port = serve(ssl_context=certificates.server).port
    assert client.who(client.connect, "localhost", port, ssl_context=certificates.client) is None
    assert client.who(client.ssl_connect, "localhost", port, ca_certs=certificates.ca) is None
    for host, ca in (("127.0.0.1", certificates.ca), ("localhost", None)):
        with pytest.raises(ssl.SSLCertVerificationError):
            client.who(client.ssl_connect, host, port, ca_certs=ca)


def test_another_name_may_be_checked_or_less(
    serve: Any, client: Any, certificates: Certificates
) -> None:
    port = serve(ssl_context=certificates.server).port
    there = ("127.0.0.1", port)
    ca = {"ca_certs": certificates.ca}
    assert client.who(client.ssl_connect, *there, **ca, server_hostname="localhost") is None
    assert client.who(client.ssl_connect, *there, **ca, verify_hostname=False) is None
    assert client.who(client.ssl_connect, *there, cert_reqs=ssl.CERT_NONE) is None
    assert client.who(client.ssl_connect, *there, verify_mode=ssl.CERT_NONE) is None


def test_mutual_tls(serve: Any, client: Any, certificates: Certificates) -> None:
    port = serve(ssl_context=certificates.mutual).port
    alice = certificates.issue("alice@example.org")
    found = client.who(
        client.ssl_connect, "localhost", port, alice.keyfile, alice.certfile, certificates.ca
    )
    assert found == (("email", "alice@example.org"),)
    with pytest.raises((ConnectionLost, ssl.SSLError)):
        client.who(client.ssl_connect, "localhost", port, ca_certs=certificates.ca)


def test_ssl_authenticator(serve: Any, client: Any, certificates: Certificates) -> None:
    files = certificates.localhost
    asks = SSLAuthenticator(files.keyfile, files.certfile, certificates.ca)
    port = serve(authenticator=asks).port
    alice = certificates.issue("alice@example.org")
    found = client.who(
        client.ssl_connect, "localhost", port, alice.keyfile, alice.certfile, certificates.ca
    )
    assert found == (("email", "alice@example.org"),)


def test_the_servers_certificate_is_the_credentials_of_the_client(
    serve: Any, certificates: Certificates
) -> None:
    server = serve(ssl_context=certificates.server)
    with netobj.ssl_connect("localhost", server.port, ca_certs=certificates.ca) as conn:
        assert conn.config.credentials["subjectAltName"] == (("DNS", "localhost"),)


def test_plain_and_tls_do_not_meet(serve: Any, client: Any, certificates: Certificates) -> None:
    plain, safe = serve(), serve(ssl_context=certificates.server)
    with pytest.raises(ssl.SSLError, match="localhost does not speak TLS at this port"):
        client.who(client.ssl_connect, "localhost", plain.port)
    with pytest.raises(ConnectionLost):
        client.who(client.connect, "localhost", safe.port)
    assert client.who(client.connect, "localhost", plain.port) is None


def test_much_over_tls_in_both_directions(
    serve: Any, certificates: Certificates, scale: int
) -> None:
    port = serve(ssl_context=certificates.server, authenticator=TOKEN).port
    data = os.urandom(3_000_000)
    wrong: list[object] = []

    with netobj.ssl_connect(
        "localhost", port, ca_certs=certificates.ca, authenticator=TOKEN
    ) as conn:

        def work(number: int) -> None:
            try:
                for i in range(20 * scale):
                    if conn.root.apply(lambda x: x + number, i) != i + number:
                        wrong.append(i)
                if conn.root.echo(data[number:]) != data[number:]:
                    wrong.append("data")
            except BaseException as exc:
                wrong.append(exc)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


# --- tokens and users ---------------------------------------------------------------------------


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_token(serve: Any, client: Any, certificates: Certificates, over_tls: bool) -> None:
    here, there = (certificates.server, certificates.client) if over_tls else (None, None)
    asks = TokenAuthenticator("correct-horse-battery-staple", name="the lab's")
    port = serve(ssl_context=here, authenticator=asks).port
    how = {"ssl_context": there, "authenticator": TOKEN}
    assert client.who(client.connect, "localhost", port, **how) == "the lab's"


def test_a_user_over_tls(
    serve: Any, client: Any, certificates: Certificates, users: UserAuthenticator
) -> None:
    port = serve(ssl_context=certificates.server, authenticator=users).port
    how = {"ssl_context": certificates.client}
    assert client.who(client.connect, "localhost", port, **how, authenticator=TOM) == "tom"
    for wrong in (UserLogin("tom", "sesame"), UserLogin("tim", "open sesame")):
        with pytest.raises(AuthenticationError) as info:
            client.who(client.connect, "localhost", port, **how, authenticator=wrong)
        assert str(info.value) == "the server refused the login: wrong credentials"


def test_a_user_over_a_unix_socket(
    serve: Any, client: Any, users: UserAuthenticator, tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")
    serve(socket_path=path, authenticator=users)
    assert client.who(client.unix_connect, path, authenticator=TOM) == "tom"
    url = f"netobj+unix://tom:open%20sesame@{path}"
    assert client.who(client.connect_url, url) == "tom"


def test_wrong_credentials_get_one_error_and_reach_nothing(
    serve: Any, client: Any, token: TokenAuthenticator, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(authenticator=token)
    port = server.port
    before = Who.made
    with pytest.raises(AuthenticationError) as info:
        client.who(client.connect, "localhost", port, authenticator=WRONG)
    assert str(info.value) == "the server refused the login: wrong credentials"
    with pytest.raises(AuthenticationError, match="asks for a token, this side has a user"):
        client.who(client.connect, "localhost", port, authenticator=_Shown("tom", "x"))
    with pytest.raises(ConnectionLost, match="lets in only who logs in"):
        client.who(client.connect, "localhost", port)
    assert Who.made == before
    if not isinstance(server, ELSEWHERE):  # else others log
        wait_until(lambda: caplog.text.count("authentication failed: 127.0.0.1:") == 3)
    assert client.who(client.connect, "localhost", port, authenticator=TOKEN) == "token"


class _Shown(UserLogin):
    """A user whose password may be seen; nobody should do that."""

    private_only = False


def test_a_client_with_a_token_does_not_talk_to_who_has_none(serve: Any, client: Any) -> None:
    port = serve().port
    with pytest.raises(AuthenticationError, match="asks for no login"):
        client.who(client.connect, "localhost", port, authenticator=TOKEN)


def test_nothing_of_the_service_answers_before_login(serve: Any) -> None:
    port = serve(authenticator=TOKEN).port
    with socket.create_connection(("localhost", port)) as sock:
        sock.settimeout(HANG)
        sock.sendall(PREAMBLE + bytes(100))
        sock.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := sock.recv(4096):
            heard += piece
    assert heard.startswith(LOGIN_PREAMBLE)
    assert len(heard) == len(LOGIN_PREAMBLE) + 1 + 32


def test_who_is_refused_waits_and_holds_up_nobody(serve: Any) -> None:
    asks = TokenAuthenticator("correct-horse-battery-staple")
    asks.delay = 0.3
    port = serve(authenticator=asks).port
    waited: list[float] = []

    def try_it() -> None:
        begun = time.monotonic()
        with pytest.raises(AuthenticationError):
            netobj.connect("localhost", port, authenticator=WRONG)
        waited.append(time.monotonic() - begun)

    threads = [threading.Thread(target=try_it) for _ in range(30)]
    for thread in threads:
        thread.start()
    assert Blocking.who(netobj.connect, "localhost", port, authenticator=TOKEN) == "token"
    for thread in threads:
        thread.join(HANG)
    assert len(waited) == 30
    assert min(waited) >= 0.3


@pytest.mark.parametrize("secured", ["tls", "token", "callable"])
def test_who_says_nothing_holds_up_nobody(
    serve: Any, certificates: Certificates, secured: str
) -> None:
    def callable_(sock: socket.socket) -> Any:
        return sock, sock.recv(1)

    how: dict[str, Any] = {
        "tls": {"ssl_context": certificates.server},
        "token": {"authenticator": TOKEN},
        "callable": {"authenticator": callable_},
    }[secured]
    server = serve(**how)
    idle = [socket.create_connection(("localhost", server.port)) for _ in range(3)]
    if secured == "tls":
        who = Blocking.who(netobj.ssl_connect, "localhost", server.port, ca_certs=certificates.ca)
        assert who is None
    elif secured == "token":
        assert Blocking.who(netobj.connect, "localhost", server.port, authenticator=TOKEN)
    else:
        sock = socket.create_connection(("localhost", server.port))
        sock.sendall(b"x")
        with netobj.connect_stream(netobj.SocketStream(sock)) as conn:
            assert conn.root.who() == b"x"
    server.close()  # ends those that are still silent
    for sock in idle:
        sock.settimeout(HANG)
        try:
            while sock.recv(4096):
                pass
        except ConnectionResetError:
            pass
        sock.close()


@pytest.mark.parametrize("secured", ["tls", "token"])
def test_who_says_nothing_is_dropped(
    serve: Any,
    certificates: Certificates,
    secured: str,
) -> None:
    context = certificates.server if secured == "tls" else None
    server = serve(
        ssl_context=context,
        authenticator=TOKEN if secured == "token" else None,
        protocol_config={"handshake_timeout": 0.05},
    )
    with socket.create_connection(("localhost", server.port)) as sock:
        sock.settimeout(HANG)
        while sock.recv(4096):
            pass


def test_a_callable_as_in_rpyc(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    def magic_word(sock: socket.socket) -> tuple[socket.socket, str]:
        word = sock.recv(5)
        if word != b"Ma6ik":
            raise AuthenticationError("wrong magic word")
        return sock, word.decode()

    server = serve(authenticator=magic_word)
    port = server.port
    for word in (b"Magic", b"Ma6ik"):
        sock = socket.create_connection(("localhost", port))
        sock.sendall(word)
        with netobj.connect_stream(netobj.SocketStream(sock)) as conn:
            if word == b"Ma6ik":
                assert conn.root.who() == "Ma6ik"
            else:
                with pytest.raises(ConnectionLost):
                    conn.root.who()
    if not isinstance(server, ELSEWHERE):  # else others log
        wait_until(lambda: "wrong magic word" in caplog.text)


def test_a_callable_on_the_client(serve: Any) -> None:
    def magic_word(sock: socket.socket) -> tuple[socket.socket, bytes]:
        return sock, sock.recv(5)

    def say(sock: socket.socket) -> tuple[socket.socket, str]:
        sock.sendall(b"Ma6ik")
        return sock, "the server"

    def fail(sock: socket.socket) -> Any:
        raise AuthenticationError("not this one")

    port = serve(authenticator=magic_word).port
    with pytest.raises(AuthenticationError, match="not this one"):
        netobj.connect("localhost", port, authenticator=fail)
    with netobj.connect("localhost", port, authenticator=say) as conn:
        assert conn.root.who() == b"Ma6ik"
        assert conn.config.credentials == "the server"


def test_many_come_with_and_without_credentials(
    serve: Any, token: TokenAuthenticator, scale: int
) -> None:
    server = serve(authenticator=token)
    wrong: list[object] = []

    def come(number: int) -> None:
        for i in range(10 * scale):
            try:
                if (number + i) % 2:
                    assert Blocking.who(
                        netobj.connect, "localhost", server.port, authenticator=TOKEN
                    )
                else:
                    with pytest.raises(AuthenticationError):
                        netobj.connect("localhost", server.port, authenticator=WRONG)
            except BaseException as exc:
                wrong.append(exc)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    wait_until(lambda: not server.connections and not logging_in(server))


def logging_in(server: Any) -> Any:
    """Those who are in the midst of their login, or the processes of those."""
    if isinstance(server, Apart):
        return server.processes
    if isinstance(server, netobj.PreforkServer):
        return any(server.counts)
    if isinstance(server, netobj.AsyncServer):
        return server._running and server._running._arriving
    return server._guests.arriving


def test_closing_ends_a_login_that_waits_for_its_refusal(serve: Any) -> None:
    server = serve(authenticator=TOKEN)
    errors: list[BaseException] = []

    def try_it() -> None:
        try:
            netobj.connect("localhost", server.port, authenticator=WRONG)
        except (AuthenticationError, ConnectionLost, OSError) as exc:
            errors.append(exc)

    thread = threading.Thread(target=try_it)
    thread.start()
    wait_until(lambda: logging_in(server))
    server.close()
    thread.join(HANG)
    assert not thread.is_alive()
    assert len(errors) == 1


# --- addresses in one line ----------------------------------------------------------------------


def test_connect_url(
    serve: Any, client: Any, certificates: Certificates, users: UserAuthenticator
) -> None:
    port = serve(authenticator=TOKEN).port
    secret = "correct-horse-battery-staple"
    assert client.who(client.connect_url, f"netobj://:{secret}@localhost:{port}") == "token"
    assert client.who(client.connect_url, f"netobj://localhost:{port}", authenticator=TOKEN)
    safe = serve(ssl_context=certificates.server, authenticator=users).port
    how = {"ssl_context": certificates.client}
    for scheme in ("netobjs", "netobj"):  # with a context both are over TLS
        url = f"{scheme}://tom:open%20sesame@localhost:{safe}"
        assert client.who(client.connect_url, url, **how) == "tom"
    with pytest.raises(ssl.SSLCertVerificationError):
        client.who(client.connect_url, f"netobjs://tom:open%20sesame@localhost:{safe}")


def test_no_error_of_connect_url_shows_a_password(client: Any, serve: Any) -> None:
    port = serve(authenticator=TOKEN).port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    for url, kind, text in [
        (f"netobj://:hunter2@localhost:{port}", ValueError, "the token has 7 bytes"),
        (f"netobj://tom:hunter2@localhost:{port}", AuthenticationError, "over TLS or a Unix"),
        (f"netobj://:hunter2-hunter2-hunter2@localhost:{port}", AuthenticationError, "refused"),
        (
            f"netobj://:hunter2-hunter2-hunter2@localhost:{closed}",
            ConnectionRefusedError,
            "localhost",
        ),
        ("netobj+unix://tom:hunter2@/no/such/socket", OSError, "No such file"),
        (f"netobj://tom:hunter2@localhost:{port}/x", ValueError, "no address"),
    ]:
        with pytest.raises(kind, match=text) as info:
            client.who(client.connect_url, url)
        error: BaseException | None = info.value
        while error is not None:
            assert "hunter2" not in f"{error!r} {error}"
            error = error.__cause__ or error.__context__


def test_one_login_is_enough(client: Any) -> None:
    with pytest.raises(ValueError, match="give one of them"):
        client.connect_url("netobj://:correct-horse-battery@localhost", authenticator=TOKEN)


# --- what is refused at once --------------------------------------------------------------------


@pytest.mark.parametrize("kind", SERVERS)
def test_a_whole_interpreter_is_not_for_strangers(kind: Any, certificates: Certificates) -> None:
    for use in (
        lambda server: server.port,
        lambda server: server.start(),
        lambda server: server.__enter__(),
    ):
        server = kind(netobj.SlaveService)
        with pytest.raises(ValueError, match="insecure=True"):
            use(server)
        server.close()
    for how in (
        {"insecure": True},
        {"authenticator": TOKEN},
        {"ssl_context": certificates.mutual},
        {"hostname": "localhost"},
        {"hostname": "127.0.0.1"},
    ):
        with kind(netobj.SlaveService, **how) as server:
            assert server.port


@pytest.mark.parametrize("kind", SERVERS)
def test_what_cannot_be(kind: Any, certificates: Certificates, users: UserAuthenticator) -> None:
    files = certificates.localhost
    with pytest.raises(ValueError, match="a client's context"):
        kind(Who, ssl_context=certificates.client)
    with pytest.raises(ValueError, match="over TLS or a Unix socket only"):
        kind(Who, authenticator=users)
    with pytest.raises(TypeError, match="is for clients"):
        kind(Who, ssl_context=certificates.server, authenticator=TOM)
    with pytest.raises(TypeError, match="this is a str"):
        kind(Who, authenticator="token")
    asks = SSLAuthenticator(files.keyfile, files.certfile)
    with pytest.raises(ValueError, match="are both TLS"):
        kind(Who, ssl_context=certificates.server, authenticator=asks)


def test_strangers_do_not_end_a_server(
    serve: Any, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    port = serve(ssl_context=certificates.server, authenticator=TOKEN).port
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", PREAMBLE, os.urandom(500)):
        with socket.create_connection(("localhost", port)) as sock:
            sock.settimeout(HANG)
            sock.sendall(data)
            try:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            except OSError:  # the server has gone at once, with bytes unread
                pass
    how = {"ca_certs": certificates.ca, "authenticator": TOKEN}
    assert Blocking.who(netobj.ssl_connect, "localhost", port, **how) == "token"
