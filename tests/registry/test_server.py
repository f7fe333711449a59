"""The registries on real sockets, and what strangers send to them."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import pytest

from netobj.registry import server as module
from netobj.registry.client import TCPRegistryClient, UDPRegistryClient
from netobj.registry.messages import PACKET, Query, seal
from netobj.registry.server import RegistryServer, TCPRegistryServer, UDPRegistryServer
from patience import HANG, wait_until

KINDS: list[tuple[Any, Any]] = [
    (UDPRegistryServer, UDPRegistryClient),
    (TCPRegistryServer, TCPRegistryClient),
]
both = pytest.mark.parametrize(("server_class", "client_class"), KINDS, ids=["UDP", "TCP"])


@both
def test_register_discover_list_unregister(server_class: Any, client_class: Any) -> None:
    with server_class("127.0.0.1", 0, allow_listing=True) as registry:
        client = client_class("127.0.0.1", registry.port, timeout=HANG)
        assert client.register(("Echo", "Eco"), 18861)
        assert client.discover("ECHO") == client.discover("eco") == (("127.0.0.1", 18861),)
        assert client.list() == ("ECHO", "ECO")
        assert client.list("localhost") == ("ECHO", "ECO")
        assert client.list("192.0.2.200") == ()
        assert registry.services == {
            "ECHO": (("127.0.0.1", 18861),),
            "ECO": (("127.0.0.1", 18861),),
        }
        assert client.unregister(18861)
        assert client.discover("ECHO") == ()
        assert registry.services == {}


@both
def test_listing_is_off_by_default(server_class: Any, client_class: Any) -> None:
    with server_class("127.0.0.1", 0) as registry:
        client = client_class("127.0.0.1", registry.port, timeout=HANG)
        assert not registry.allow_listing
        assert client.list() is None
        registry.allow_listing = True
        assert client.list() == ()


@both
def test_on_service_added_and_on_service_removed(server_class: Any, client_class: Any) -> None:
    heard: list[tuple[Any, ...]] = []

    class Watching(server_class):  # type: ignore[misc]
        def on_service_added(self, name: str, addrinfo: tuple[str, int]) -> None:
            heard.append(("added", name, addrinfo))

        def on_service_removed(self, name: str, addrinfo: tuple[str, int]) -> None:
            heard.append(("removed", name, addrinfo))
            raise LookupError("which is logged")

    with Watching("127.0.0.1", 0) as registry:
        client = client_class("127.0.0.1", registry.port, timeout=HANG)
        for _ in range(3):
            assert client.register(("ECHO",), 18861)
        assert client.unregister(18861)
        assert client.unregister(18861)
    assert heard == [
        ("added", "ECHO", ("127.0.0.1", 18861)),
        ("removed", "ECHO", ("127.0.0.1", 18861)),
    ]


@both
def test_pruning_timeout(server_class: Any, client_class: Any) -> None:
    removed = threading.Event()
    with server_class("127.0.0.1", 0, pruning_timeout=0.2) as registry:
        registry.on_service_removed = lambda name, addrinfo: removed.set()
        client = client_class("127.0.0.1", registry.port, timeout=HANG)
        assert client.register(("ECHO",), 18861)
        assert removed.wait(HANG)  # with nobody asking
        assert client.discover("ECHO") == ()
    assert server_class("127.0.0.1", 0).pruning_timeout == 240


@both
def test_a_token(server_class: Any, client_class: Any) -> None:
    token = "a token that is long enough"
    with server_class("127.0.0.1", 0, token=token) as registry:
        knowing = client_class("127.0.0.1", registry.port, timeout=HANG, token=token)
        plain = client_class("127.0.0.1", registry.port, timeout=HANG)
        assert not plain.register(("ECHO",), 18861)
        assert knowing.register(("ECHO",), 18861)
        assert not plain.unregister(18861)
        assert plain.discover("ECHO") == knowing.discover("ECHO") == (("127.0.0.1", 18861),)
        other = client_class("127.0.0.1", registry.port, timeout=0.3, token=token[::-1])
        assert not other.register(("ECHO",), 18862)
        assert other.discover("ECHO") == ()  # it does not believe the answer
    with pytest.raises(ValueError, match="can be guessed"):
        server_class("127.0.0.1", 0, token="secret")


@both
def test_over_ipv6(server_class: Any, client_class: Any) -> None:
    try:
        registry = server_class("::1", 0)
        assert registry.host == "::1"
    except OSError as exc:
        pytest.skip(f"no IPv6 here: {exc}")
    with registry:
        client = client_class("::1", registry.port, timeout=HANG)
        assert client.register(("ECHO",), 18861)
        assert client.discover("ECHO") == (("::1", 18861),)


@both
def test_starting_and_closing(server_class: Any, client_class: Any) -> None:
    registry = server_class("127.0.0.1", 0)
    port = registry.port
    thread = threading.Thread(target=registry.start)
    thread.start()
    client = client_class("127.0.0.1", port, timeout=HANG)
    assert client.register(("ECHO",), 1)
    assert registry.active
    with pytest.raises(ValueError, match="running already"):
        registry.start()
    registry.close()
    thread.join(HANG)
    assert not thread.is_alive()
    assert not registry.active
    registry.close()
    registry.start()  # closed: it returns at once
    with pytest.raises(OSError, match="the registry is closed"):
        registry.port  # noqa: B018


@both
def test_nothing_is_bound_before_it_is_needed(server_class: Any, client_class: Any) -> None:
    registry = server_class("127.0.0.1", 0)
    assert registry._sock is None
    registry.close()
    bound = server_class("127.0.0.1", 0)
    assert bound.port > 0
    bound.close()  # gives the socket back, though it never ran
    assert bound._sock is None


@both
def test_a_port_that_is_taken(server_class: Any, client_class: Any) -> None:
    with server_class("127.0.0.1", 0) as registry:
        with pytest.raises(OSError, match="in use"), server_class("127.0.0.1", registry.port):
            pass
        with pytest.raises(OSError, match="in use"):
            server_class("127.0.0.1", registry.port).start()


@both
def test_the_descriptors_are_given_back(server_class: Any, client_class: Any) -> None:
    def once() -> None:
        with server_class("127.0.0.1", 0) as registry:
            client = client_class("127.0.0.1", registry.port, timeout=HANG)
            assert client.register(("ECHO",), 1)

    once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        once()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_defaults() -> None:
    for server_class in (UDPRegistryServer, TCPRegistryServer):
        registry = server_class()
        assert registry._address == ("0.0.0.0", 18811)
        assert registry.logger.name == f"REGSRV/{server_class._kind}/18811"
        registry.close()


def test_a_registry_needs_to_say_how_packets_travel() -> None:
    with pytest.raises(NotImplementedError):
        RegistryServer._ready(UDPRegistryServer(), None, None)  # type: ignore[arg-type]


# --- strangers ----------------------------------------------------------------------------------

RUBBISH = [
    b"",
    b"x",
    b"GET / HTTP/1.1\r\n\r\n",
    bytes(PACKET),
    b"nreg\x01\x01\xff\xff".ljust(PACKET, b"\xff"),
    os.urandom(PACKET),
    os.urandom(60000),
    seal(Query("ECHO"), bytes(16), None)[:-1],
]


def test_udp_rubbish_gets_no_answer_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with (
        UDPRegistryServer("127.0.0.1", 0) as registry,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(HANG)
        query = seal(Query("ECHO"), bytes(16), None)
        for data in RUBBISH:
            sock.sendto(data, ("127.0.0.1", registry.port))
        sock.sendto(query, ("127.0.0.1", registry.port))
        assert len(sock.recv(100000)) == len(query)  # the first answer is to that
        for data in RUBBISH * 50:
            sock.sendto(data, ("127.0.0.1", registry.port))
        client = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        assert client.register(("ECHO",), 1)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    dropped = [r for r in caplog.records if "dropped what" in r.getMessage()]
    assert len(dropped) == 10


def test_tcp_rubbish_ends_that_connection(caplog: pytest.LogCaptureFixture) -> None:
    with TCPRegistryServer("127.0.0.1", 0) as registry:
        for data in RUBBISH:
            with socket.create_connection(("127.0.0.1", registry.port)) as sock:
                sock.settimeout(HANG)
                try:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    assert sock.recv(1) == b""
                except OSError:  # it was closed before all was sent
                    pass
        client = TCPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        assert client.register(("ECHO",), 1)


def test_tcp_connections_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 3)
    with TCPRegistryServer("127.0.0.1", 0) as registry:
        idle = [socket.create_connection(("127.0.0.1", registry.port)) for _ in range(10)]
        client = TCPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        assert client.register(("ECHO",), 1)
        for sock in idle[:7]:
            sock.settimeout(HANG)
            assert sock.recv(1) == b""
        wait_until(lambda: len(registry._clients) <= 3)
        for sock in idle:
            sock.close()
        wait_until(lambda: registry._clients == {})


def test_tcp_connections_are_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.05)
    with (
        TCPRegistryServer("127.0.0.1", 0, pruning_timeout=0.2) as registry,
        socket.create_connection(("127.0.0.1", registry.port)) as sock,
    ):
        sock.settimeout(HANG)
        sock.sendall(b"nreg")
        assert sock.recv(1) == b""


def test_tcp_several_requests_and_one_in_pieces() -> None:
    query = seal(Query("ECHO"), bytes(16), None)
    with (
        TCPRegistryServer("127.0.0.1", 0) as registry,
        socket.create_connection(("127.0.0.1", registry.port)) as sock,
    ):
        sock.settimeout(HANG)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in query:
            sock.send(bytes((byte,)))
        with sock.makefile("rb") as answers:
            assert len(answers.read(PACKET)) == PACKET
            sock.sendall(query * 3)
            assert len(answers.read(3 * PACKET)) == 3 * PACKET


def test_tcp_accepting_goes_on_when_descriptors_run_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_ACCEPT_PAUSE", 0.001)
    registry = TCPRegistryServer("127.0.0.1", 0)
    listener = registry._bind()
    failures = [OSError(24, "Too many open files")] * 3

    class Full:
        def accept(self) -> Any:
            if failures:
                raise failures.pop()
            return listener.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(listener, name)

    registry._sock = Full()  # type: ignore[assignment]
    with registry:
        client = TCPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        assert client.register(("ECHO",), 1)
    assert "Too many open files" in caplog.text


def test_ctrl_c_closes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    registry = UDPRegistryServer("127.0.0.1", 0)
    monkeypatch.setattr(registry, "_ready", interrupt)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", registry.port))
        registry.start()
    assert "interrupted: the registry closes" in caplog.text
    assert registry._sock is None


# --- odd sockets --------------------------------------------------------------------------------


class Odd:
    """A socket that does what a test says: an exception is raised, all else returned."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)

    def next(self, *_args: object) -> object:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    recv = recvfrom = send = sendto = accept = next


QUERY = seal(Query("ECHO"), bytes(16), None)


def test_udp_errors_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    registry = UDPRegistryServer()
    source = ("127.0.0.1", 0)  # to which nothing can be sent
    sock = Odd((QUERY, source), OSError("port 0"), ConnectionResetError("of an earlier answer"))
    registry._ready(sock, None)  # type: ignore[arg-type]
    assert sock.results == []
    assert "receiving failed: of an earlier answer" in caplog.text


def test_udp_a_burst_is_bounded() -> None:
    registry = UDPRegistryServer()
    sock = Odd(*[(b"rubbish", ("127.0.0.1", 1))] * (module._BURST + 1))
    registry._ready(sock, None)  # type: ignore[arg-type]
    assert len(sock.results) == 1


@pytest.mark.parametrize(
    ("results", "goes_on"),
    [
        ([BlockingIOError()], True),
        ([b"nreg"], True),
        ([QUERY, PACKET], True),
        ([QUERY, PACKET - 1], False),  # it does not read what it asked for
        ([QUERY, BlockingIOError()], False),
        ([bytes(PACKET)], False),
        ([b""], False),
        ([ConnectionResetError()], False),
    ],
)
def test_tcp_what_ends_a_connection(results: list[object], goes_on: bool) -> None:
    registry = TCPRegistryServer()
    client = module._Client(Odd(*results), ("127.0.0.1", 1), 0)  # type: ignore[arg-type]
    assert registry._serve_client(client) is goes_on


def test_tcp_who_has_gone_before_he_was_accepted() -> None:
    registry = TCPRegistryServer()
    registry._sock = Odd(BlockingIOError())  # type: ignore[assignment]
    registry._accept(None)  # type: ignore[arg-type]
    registry._ready(Odd(), None)  # type: ignore[arg-type]  # dropped a moment ago
    assert registry._clients == {}


def test_tcp_without_reusing_addresses() -> None:
    with TCPRegistryServer("127.0.0.1", 0, reuse_addr=False) as registry:
        assert registry._bind().getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0


def test_other_errors_end_it_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise ValueError("odd")

    registry = UDPRegistryServer("127.0.0.1", 0)
    monkeypatch.setattr(registry, "_serve", fail)
    with pytest.raises(ValueError, match="odd"):
        registry.start()
    assert registry._sock is None


def test_whatever_goes_wrong_with_one_packet_the_others_are_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with UDPRegistryServer("127.0.0.1", 0) as registry:
        answer = registry._registry.answer
        failures = [RecursionError("odd")]

        def fail_once(*args: Any) -> Any:
            if failures:
                raise failures.pop()
            return answer(*args)

        monkeypatch.setattr(registry._registry, "answer", fail_once)
        client = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        assert client.register(("ECHO",), 1)
    assert "failed: RecursionError('odd')" in caplog.text
