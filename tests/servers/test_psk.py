"""A pre-shared key, on every server and on both skins: who is let in, and who meddles."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from apart import Apart
from meddling import ANSWERS, QUESTIONS, Change, Meddler

import netobj
from certificates import Certificates
from netobj import aio
from netobj.auth import (
    PreSharedKey,
    SSLAuthenticator,
    TokenAuthenticator,
    UserAuthenticator,
    UserLogin,
    hash_password,
    new_key,
)
from netobj.core.consts import PREAMBLE, PSK_PREAMBLE
from netobj.errors import AuthenticationError, ConnectionLost
from patience import HANG, wait_until

PSK, OTHER = PreSharedKey(new_key()), PreSharedKey(new_key())
TOKEN = TokenAuthenticator("correct-horse-battery-staple")
LIVELY = {"heartbeat_interval": 0.05, "heartbeat_timeout": HANG}
"""Silence is soon broken, so that what was left out or put off is missed."""


FIRST_CALL = 3
"""The number of the record that has the first call, or its answer, behind hello, confirm and
netobj's own hello. (A heartbeat may be there first.)"""


class Notes(netobj.Service):
    """Writes down what was asked for, where another process sees it, too."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exposed_note(self, word: str) -> str:
        with self.path.open("a") as file:
            file.write(word + "\n")
        return word

    def exposed_echo(self, value: Any) -> Any:
        return value


class LoopServer:
    """An aio.Server on a loop of its own."""

    def __init__(self, service: Any, hostname: str, protocol_config: Any, **how: Any) -> None:
        self._make = lambda: aio.Server(service, hostname, config=protocol_config, **how)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with self._make() as server:
            self.port = server.port
            self._started.set()
            await self._end.wait()

    def __enter__(self) -> LoopServer:
        self._thread.start()
        assert self._started.wait(HANG)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(HANG)


SERVERS = [
    netobj.ThreadedServer,
    netobj.ThreadPoolServer,
    netobj.ForkingServer,
    netobj.AsyncServer,
    LoopServer,
]


class Place:
    """Where a server is: its port, what it noted and what it logged."""

    def __init__(self, folder: Path) -> None:
        self.notes, self._log = folder / "notes", folder / "log"
        self.port = 0
        self.logger = logging.getLogger(f"psk {folder}")
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        self.handler = logging.FileHandler(self._log)
        self.logger.addHandler(self.handler)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def noted(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    def await_log(self, text: str) -> None:
        wait_until(lambda: text in self.log)

    def serves(self) -> bool:
        """Whether it still serves who has the key."""
        with netobj.connect("localhost", self.port, psk=PSK) as conn:
            return bool(conn.root.echo(True))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.logger.removeHandler(found.handler)
    found.handler.close()


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.__name__)
def serve(request: pytest.FixtureRequest, place: Place) -> Iterator[Callable[..., Place]]:
    """``serve(...)``: a server that has the key is up, and here is where."""
    servers: list[Any] = []

    def start(**how: Any) -> Place:
        config = {**LIVELY, "logger": place.logger, **how.pop("config", {})}
        how = {"hostname": "localhost", "logger": place.logger, "psk": PSK, **how}
        server = request.param(Notes(place.notes), protocol_config=config, **how)
        if request.param is netobj.ForkingServer:
            server = Apart(server)
        server.__enter__()
        servers.append(server)
        if request.param is netobj.AsyncServer:
            wait_until(lambda: server._running is not None)
        place.port = server.port
        return place

    yield start
    for server in servers:
        server.__exit__(None, None, None)


class Blocking:
    """A blocking client."""

    connect = staticmethod(netobj.connect)

    @staticmethod
    def call(
        name: str, value: Any, port: int, logger: Any = None, config: Any = None, **how: Any
    ) -> Any:
        """The answer of *name* to *value*, by the server at *port*."""
        config = {**LIVELY, "logger": logger, **(config or {})}
        with netobj.connect("localhost", port, config=config, **how) as conn:
            return getattr(conn.root, name)(value)

    @staticmethod
    def call_on(port: int, logger: Any) -> None:
        """Call until that fails."""
        config = {**LIVELY, "logger": logger}
        with netobj.connect("localhost", port, config=config, psk=PSK) as conn:
            while True:
                conn.root.echo(1)


class OnLoop:
    """A client on an event loop."""

    connect = staticmethod(aio.connect)

    @staticmethod
    def call(
        name: str, value: Any, port: int, logger: Any = None, config: Any = None, **how: Any
    ) -> Any:
        config = {**LIVELY, "logger": logger, **(config or {})}

        async def main() -> Any:
            async with aio.connect("localhost", port, config=config, **how) as conn:
                return await getattr(conn.root, name)(value)

        return asyncio.run(asyncio.wait_for(main(), HANG))

    @staticmethod
    def call_on(port: int, logger: Any) -> None:
        config = {**LIVELY, "logger": logger}

        async def main() -> None:
            async with aio.connect("localhost", port, config=config, psk=PSK) as conn:
                while True:
                    await conn.root.echo(1)

        asyncio.run(asyncio.wait_for(main(), HANG))


@pytest.fixture(params=[Blocking, OnLoop], ids=["blocking", "aio"])
def client(request: pytest.FixtureRequest) -> Any:
    return request.param


# --- who has the key ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
def test_who_has_the_key_is_served(serve: Any, client: Any, size: int) -> None:
    port = serve().port
    assert client.call("echo", b"x" * size, port, psk=PSK) == b"x" * size


def test_a_login_over_it(serve: Any, client: Any) -> None:
    port = serve(authenticator=TOKEN).port
    assert client.call("echo", 1, port, psk=PSK, authenticator=TOKEN) == 1
    wrong = TokenAuthenticator("correct-horse-battery-stable")
    with pytest.raises(AuthenticationError, match="wrong credentials"):
        client.call("echo", 1, port, psk=PSK, authenticator=wrong)


def test_passwords_may_go_over_it(serve: Any, client: Any) -> None:
    asks = UserAuthenticator({"tom": hash_password("open sesame")})
    port = serve(authenticator=asks).port
    login = UserLogin("tom", "open sesame")
    assert client.call("echo", 1, port, psk=PSK, authenticator=login) == 1


def test_nothing_that_is_said_is_readable(serve: Any, client: Any) -> None:
    place = serve()
    with Meddler(place.port) as wire:
        assert client.call("note", "marmalade", wire.port, psk=PSK) == "marmalade"
        for said in wire.said.values():
            assert said[0].startswith(PSK_PREAMBLE)
            assert not any(word in b"".join(said) for word in (b"marmalade", b"note", PREAMBLE))


def test_what_is_said_is_never_twice_the_same(serve: Any) -> None:
    place = serve()
    conversations = []
    with Meddler(place.port) as wire:
        for _ in range(2):
            assert Blocking.call("echo", 1, wire.port, psk=PSK) == 1
            conversations.append({*wire.said[QUESTIONS], *wire.said[ANSWERS]})
    assert not conversations[0] & conversations[1]


def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with netobj.ThreadedServer(netobj.SlaveService, socket_path=path, psk=PSK):
        with netobj.unix_connect(path, psk=PSK) as conn:
            assert conn.root.eval("6 * 7") == 42
        with netobj.connect_url(f"netobj+unix://{path}", psk=PSK) as conn:
            assert conn.root.eval("6 * 7") == 42

        async def main() -> None:
            async with aio.unix_connect(path, psk=PSK) as conn:
                assert await conn.root.eval("6 * 7") == 42
            async with aio.connect_url(f"netobj+unix://{path}", psk=PSK) as conn:
                assert await conn.root.eval("6 * 7") == 42

        asyncio.run(main())


# --- who meddles --------------------------------------------------------------------------------


def flip(place: int, bit: int, number: int = FIRST_CALL) -> Callable[[], Change]:
    def change(at: int, piece: bytes) -> list[bytes]:
        changed = bytearray(piece)
        if at == number:
            changed[place] ^= bit
        return [bytes(changed)]

    return lambda: change


def remove(number: int, piece: bytes) -> list[bytes]:
    return [] if number == FIRST_CALL else [piece]


def repeat(number: int, piece: bytes) -> list[bytes]:
    return [piece, piece] if number == FIRST_CALL else [piece]


def plain_text(number: int, piece: bytes) -> list[bytes]:
    ping = b"\0\0\0\x03\x92\x07\xc0"
    return [ping, piece] if number == FIRST_CALL else [piece]


def truncate(number: int, piece: bytes) -> list[bytes]:
    return [piece[:-1]] if number == FIRST_CALL else [piece]


def swapped() -> Change:
    held: list[bytes] = []

    def change(number: int, piece: bytes) -> list[bytes]:
        if number == FIRST_CALL:
            held.append(piece)
            return []
        return [piece, *held] if number == FIRST_CALL + 1 else [piece]

    return change


def said_again() -> Change:
    first: list[bytes] = []

    def change(number: int, piece: bytes) -> list[bytes]:
        if number == 2:
            first.append(piece)
        return [*first, piece] if number == FIRST_CALL else [piece]

    return change


CHANGES: dict[str, Callable[[], Change]] = {
    "a flipped bit of the contents": flip(20, 1),
    "a flipped bit of the tag": flip(-1, 128),
    "a flipped bit of the length": flip(3, 1),
    "a longer length": flip(2, 64),
    "a huge length": flip(0, 128),
    "a flipped bit of the length's tag": flip(10, 8),
    "removed": lambda: remove,
    "repeated": lambda: repeat,
    "out of order": swapped,
    "an earlier one again": said_again,
    "something not encrypted": lambda: plain_text,
    "without its end": lambda: truncate,
}


@pytest.mark.parametrize("where", [QUESTIONS, ANSWERS])
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_who_meddles_is_noticed(
    serve: Any, client: Any, where: str, change: Callable[[], Change]
) -> None:
    """The connection ends, which is logged, and nothing is done twice; others are served."""
    place = serve()
    with Meddler(place.port, where, change) as wire:
        with pytest.raises(ConnectionLost):
            client.call_on(wire.port, place.logger)
        place.await_log("was ended: a record")
    assert place.serves()


def test_a_call_that_was_repeated_runs_once_at_most(serve: Any, client: Any) -> None:
    place = serve()

    def repeat_all(number: int, piece: bytes) -> list[bytes]:
        return [piece, piece] if number > 2 else [piece]

    with Meddler(place.port, QUESTIONS, lambda: repeat_all) as wire:
        with suppress(ConnectionLost):  # the answer may be there before
            client.call("note", "once", wire.port, place.logger, psk=PSK)
        place.await_log("was ended: a record was changed")
    assert place.serves()
    assert place.noted() in ([], ["once"])


def test_a_connection_that_was_cut_is_not_one_that_was_closed(serve: Any) -> None:
    """Who closes says so, encrypted; nobody else can say that."""
    place = serve()

    def cut(number: int, piece: bytes) -> list[bytes] | None:
        return None if number == FIRST_CALL else [piece]

    with (
        Meddler(place.port, ANSWERS, lambda: cut) as wire,
        pytest.raises(ConnectionLost, match=r"closed the connection|broke|reading") as lost,
    ):
        Blocking.call("echo", 1, wire.port, psk=PSK)
    assert "goodbye" not in str(lost.value)
    assert place.serves()


@pytest.mark.parametrize("where", [QUESTIONS, ANSWERS])
def test_a_handshake_that_was_changed(serve: Any, client: Any, where: str) -> None:
    place = serve()
    for at in (15, 46, 47, 78):  # the salt, the public key
        with (
            Meddler(place.port, where, flip(at, 1, number=0)) as wire,
            pytest.raises((AuthenticationError, ConnectionLost)),
        ):
            client.call("echo", 1, wire.port, psk=PSK)
    wait_until(lambda: place.log.count("authentication failed") == 4)
    assert place.serves()


# --- who says what others have said -------------------------------------------------------------


def talk(port: int, *said: bytes, end: bool = False) -> bytes:
    """Say this to the server; what it says until it closes the connection."""
    heard = b""
    with socket.create_connection(("localhost", port)) as sock, suppress(ConnectionError):
        sock.settimeout(HANG)
        for piece in said:
            sock.sendall(piece)
        if end:
            with suppress(OSError):  # the server has closed it
                sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            heard += data
    return heard


def test_a_recorded_conversation_is_refused(serve: Any, client: Any) -> None:
    place = serve()
    with Meddler(place.port) as wire:
        assert client.call("note", "pay", wire.port, psk=PSK) == "pay"
        recorded = wire.said[QUESTIONS]
    assert place.noted() == ["pay"]
    talk(place.port, b"".join(recorded))
    place.await_log("the client does not know the pre-shared key")
    assert place.serves()
    assert place.noted() == ["pay"]


def test_a_recorded_server_is_refused(client: Any) -> None:
    with (
        netobj.ThreadedServer(netobj.SlaveService, hostname="localhost", psk=PSK) as server,
        Meddler(server.port) as wire,
    ):
        assert client.call("eval", "1", wire.port, psk=PSK) == 1
        recorded = wire.said[ANSWERS]
    with (
        answering(b"".join(recorded)) as port,
        pytest.raises(AuthenticationError, match="does not know the pre-shared key"),
    ):
        client.call("eval", "1", port, psk=PSK)


def test_a_mirror_is_refused(serve: Any, client: Any) -> None:
    """Who sends back what it hears proves nothing."""
    place = serve()
    with socket.create_connection(("localhost", place.port)) as sock:
        sock.settimeout(HANG)
        with suppress(ConnectionError):
            while data := sock.recv(4096):
                sock.sendall(data)
    place.await_log("the other side is no client")
    with mirror() as port, pytest.raises(AuthenticationError, match="the other side is no server"):
        client.call("echo", 1, port, psk=PSK)


# --- who has no key -----------------------------------------------------------------------------


def test_who_has_another_key_is_refused(serve: Any, client: Any) -> None:
    place = serve()
    with pytest.raises(AuthenticationError, match="server does not know the pre-shared key"):
        client.call("echo", 1, place.port, psk=OTHER)
    place.await_log("the client does not know the pre-shared key")
    assert place.serves()


def test_who_does_not_encrypt_is_told_what_to_do(serve: Any, client: Any) -> None:
    place = serve()
    with pytest.raises(ConnectionLost, match="pre-shared key: give psk="):
        client.call("note", "clear", place.port, place.logger)
    place.await_log("the client speaks netobj without encryption")
    with pytest.raises(AuthenticationError, match="does not know netobj's login"):
        client.call("note", "clear", place.port, authenticator=TOKEN)
    assert place.serves()
    assert place.noted() == []


def test_who_speaks_tls_is_refused(serve: Any, client: Any, certificates: Certificates) -> None:
    place = serve()
    with pytest.raises(OSError, match=r"."):
        client.call("echo", 1, place.port, ssl_context=certificates.client)
    place.await_log("the client speaks TLS")
    assert place.serves()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(4096),
        b"SSH-2.0-scan\r\n",
        PREAMBLE,
        PSK_PREAMBLE + b"C",
        PSK_PREAMBLE + b"C" + bytes(64),
        PSK_PREAMBLE + b"C" + bytes(64 + 32 + 4),
    ],
    ids=["nothing", "http", "zeros", "ssh", "netobj", "half", "zero key", "zero key and more"],
)
def test_who_scans_hears_no_more_than_a_hello(serve: Any, said: bytes) -> None:
    place = serve()
    heard = talk(place.port, said, end=True)
    assert len(heard) <= 79
    place.await_log("authentication failed")
    assert place.serves()


def test_who_says_nothing_is_dropped(serve: Any) -> None:
    place = serve(config={"handshake_timeout": 0.1})
    talk(place.port)
    talk(place.port, b"netobj psk 1\r\nC")
    wait_until(lambda: place.log.count("no handshake with a pre-shared key within 0.1 s") == 2)


def test_a_client_does_not_talk_to_who_has_no_key(client: Any, certificates: Certificates) -> None:
    def port_of(**how: Any) -> Any:
        return netobj.ThreadedServer(netobj.SlaveService, hostname="localhost", **how)

    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "the server speaks netobj without encryption"),
        ({"authenticator": TOKEN}, "the server asks for a login, and has no pre-shared key"),
        ({"ssl_context": certificates.server}, "it may have another key, or want TLS|speaks TLS"),
    ]
    for how, text in cases:
        with (
            port_of(**how) as server,
            pytest.raises((AuthenticationError, ConnectionLost), match=text),
        ):
            client.call("eval", "1", server.port, psk=PSK)
    asks = {"handshake_timeout": 0.1}
    with answering(b"") as port, pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        client.call("eval", "1", port, psk=PSK, config=asks)


class answering:  # noqa: N801
    """A server of one client, which says *said* to it, then reads to the end."""

    def __init__(self, said: bytes, back: bool = False) -> None:
        self._said, self._back = said, back
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        with sock, suppress(OSError):
            sock.sendall(self._said)
            while data := sock.recv(65536):
                if self._back:
                    sock.sendall(data)

    def __enter__(self) -> int:
        self._thread.start()
        port: int = self._listener.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._thread.join(HANG)
        self._listener.close()


def mirror() -> answering:
    return answering(b"", back=True)


# --- what cannot be -----------------------------------------------------------------------------


def test_a_whole_interpreter_may_be_reached_by_who_has_the_key() -> None:
    with (
        netobj.ThreadedServer(netobj.SlaveService, hostname="0.0.0.0", psk=PSK) as server,
        netobj.connect("localhost", server.port, psk=PSK) as conn,
    ):
        assert conn.root.eval("1") == 1

    async def main() -> None:
        async with aio.Server(netobj.SlaveService, "0.0.0.0", psk=PSK):
            pass

    asyncio.run(main())


def test_both_kinds_of_encryption(certificates: Certificates) -> None:
    here, there = certificates.client, certificates.server
    files = certificates.localhost
    asks = SSLAuthenticator(files.keyfile, files.certfile)
    calls: list[Callable[[], object]] = [
        lambda: netobj.connect("localhost", 1, ssl_context=here, psk=PSK),
        lambda: netobj.unix_connect("/nowhere", ssl_context=here, psk=PSK),
        lambda: netobj.connect_url("netobjs://localhost", psk=PSK),
        lambda: netobj.connect_by_service("X", ssl_context=here, psk=PSK),
        lambda: aio.connect("localhost", 1, ssl_context=here, psk=PSK),
        lambda: aio.unix_connect("/nowhere", ssl_context=here, psk=PSK),
        lambda: aio.connect_url("netobjs://localhost", psk=PSK),
        lambda: aio.connect_by_service("X", ssl_context=here, psk=PSK),
        lambda: netobj.ThreadedServer(netobj.VoidService, ssl_context=there, psk=PSK),
        lambda: netobj.AsyncServer(netobj.VoidService, ssl_context=there, psk=PSK),
        lambda: aio.Server(netobj.VoidService, ssl_context=there, psk=PSK),
        lambda: netobj.ThreadedServer(netobj.VoidService, authenticator=asks, psk=PSK),
        lambda: aio.Server(netobj.VoidService, authenticator=asks, psk=PSK),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="psk and TLS both encrypt"):
            call()


def test_a_key_that_is_none() -> None:
    key: Any = new_key()
    for call in (
        lambda: netobj.connect("localhost", 1, psk=key),
        lambda: aio.connect("localhost", 1, psk=key),
        lambda: netobj.ThreadedServer(netobj.VoidService, psk=key),
        lambda: aio.Server(netobj.VoidService, psk=key),
    ):
        with pytest.raises(TypeError, match=r"psk is a netobj\.auth\.PreSharedKey"):
            call()


def test_through_ssh_there_is_no_need() -> None:
    with pytest.raises(ValueError, match="SSH protects what it carries"):
        netobj.connect_url("netobj+ssh://nowhere", psk=PSK)


def test_a_callable_that_takes_the_encryption_away(caplog: pytest.LogCaptureFixture) -> None:
    def unwrap(sock: Any) -> tuple[Any, None]:
        return sock.sock, None

    with netobj.ThreadedServer(
        netobj.SlaveService, hostname="localhost", psk=PSK, authenticator=unwrap
    ) as server:
        with pytest.raises(ConnectionLost):
            Blocking.call("eval", "1", server.port, psk=PSK)
        with pytest.raises(TypeError, match="without the encryption"):
            netobj.connect("localhost", server.port, psk=PSK, authenticator=unwrap)
    assert "without the encryption" in caplog.text


def test_a_callable_over_it() -> None:
    def ask(sock: Any) -> tuple[Any, str]:
        sock.sendall(b"who?")
        return sock, sock.recv(5).decode()

    def answer(sock: Any) -> tuple[Any, None]:
        assert sock.recv(4) == b"who?"
        sock.send(b"Ma6ik")
        return sock, None

    class Who(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        def exposed_who(self) -> Any:
            return self.conn.config.credentials

    with (
        netobj.ThreadedServer(Who, hostname="localhost", psk=PSK, authenticator=ask) as server,
        netobj.connect("localhost", server.port, psk=PSK, authenticator=answer) as conn,
    ):
        assert conn.root.who() == "Ma6ik"
    with pytest.raises(ValueError, match="a callable cannot read what is encrypted"):
        aio.Server(Who, psk=PSK, authenticator=ask)
