"""The clients where registries are absent, odd or several."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

import netobj
from netobj.registry import client as module
from netobj.registry.asking import Search
from netobj.registry.client import (
    RegistryClient,
    TCPRegistryClient,
    UDPRegistryClient,
    addresses_of,
    resolve,
)
from netobj.registry.messages import PACKET, Done, Found, Kind, open_packet, seal
from netobj.registry.server import TCPRegistryServer, UDPRegistryServer
from netobj.registry.stopping import Stop
from patience import HANG


@contextmanager
def answering(reply: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """A port where packets are answered by what *reply* returns for them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                try:
                    data, source = sock.recvfrom(PACKET)
                except TimeoutError:
                    continue
                for packet in reply(data):
                    sock.sendto(packet, source)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            over.set()
            thread.join()


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("kind", ["UDP", "TCP"])
def test_a_registry_that_is_away(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port(socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM)
    client: RegistryClient = (UDPRegistryClient if kind == "UDP" else TCPRegistryClient)(
        "127.0.0.1", port, timeout=0.3
    )
    assert client.discover("ECHO") == ()
    assert client.list() == ()
    assert not client.register(("ECHO",), 1)
    assert not client.unregister(1, timeout=0.05)
    assert f"no registry answered at 127.0.0.1:{port} ({kind})" in client.search("ECHO")[1]
    assert f"no registry answered at 127.0.0.1:{port} ({kind})" in caplog.text


def test_a_registry_whose_name_nobody_knows() -> None:
    for client in (UDPRegistryClient, TCPRegistryClient):
        found, trouble = client("no.such.host.invalid", timeout=1).search("ECHO")
        assert found == ()
        assert "no.such.host.invalid:18811" in trouble


def test_a_broadcast_finds_a_registry_on_this_machine_once() -> None:
    with UDPRegistryServer(port=0) as registry:
        client = UDPRegistryClient(port=registry.port, timeout=HANG)
        assert client.bcast
        assert client.register(("ECHO",), 18861)
        assert registry.services == {"ECHO": (("127.0.0.1", 18861),)}
        assert client.discover("ECHO") == (("127.0.0.1", 18861),)
        assert client.unregister(18861)
        assert registry.services == {}


def test_a_server_that_is_bound_to_one_address_is_registered_there() -> None:
    with UDPRegistryServer(port=0) as registry:
        client = UDPRegistryClient(port=registry.port, timeout=HANG)
        for address in module.local_addresses():
            assert client.register(("ECHO",), 18861, interface=address)
            assert registry.services == {"ECHO": ((address, 18861),)}
            assert client.unregister(18861, address)


def test_an_address_that_cannot_be_bound(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = UDPRegistryClient(port=free_port(socket.SOCK_DGRAM), timeout=0.1)
    assert not client.register(("ECHO",), 1, interface="192.0.2.200")
    assert "nothing can be sent from 192.0.2.200" in caplog.text
    with TCPRegistryServer("127.0.0.1", 0) as registry:
        tcp = TCPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        assert not tcp.register(("ECHO",), 1, interface="192.0.2.200")


def test_a_server_of_the_other_family_needs_a_token() -> None:
    token = "a token that is long enough"
    with UDPRegistryServer("127.0.0.1", 0, token=token) as registry:
        client = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG, token=token)
        assert client.register(("ECHO",), 1, interface="fd00::5", hosts=["fd00::5"])
        assert registry.services == {"ECHO": (("fd00::5", 1),)}


def test_several_registries_hear_a_broadcast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two on different addresses of one machine, as two machines have them."""
    with UDPRegistryServer("127.0.0.2", 0) as one, UDPRegistryServer("127.0.0.3", one.port) as two:
        client = UDPRegistryClient(port=one.port, timeout=HANG)

        def open_paths(interface: str, stack: ExitStack) -> list[module._Path]:
            sock = stack.enter_context(client._bound("127.0.0.1"))
            other = stack.enter_context(client._bound("127.0.0.1"))
            return [
                module._Path(sock, ("127.0.0.2", one.port)),
                module._Path(other, ("127.0.0.3", one.port)),
            ]

        monkeypatch.setattr(client, "_open_paths", open_paths)
        assert client.register(("ECHO",), 1)
        assert one.services == two.services == {"ECHO": (("127.0.0.1", 1),)}
        assert client.discover("ECHO") == (("127.0.0.1", 1),)
        one._registry.table.unregister([("127.0.0.1", 1)])
        assert client.discover("ECHO") == (("127.0.0.1", 1),)  # one of them knows it


def test_a_lost_packet_is_sent_again() -> None:
    seen: list[bytes] = []

    def reply(data: bytes) -> list[bytes]:
        seen.append(data)
        found = Found(((bytes(8), "10.0.0.1", 1),))
        nonce = open_packet(data, Kind.REQUEST).nonce
        return [] if len(seen) < 3 else [seal(found, nonce, None)]

    with answering(reply) as port:
        client = UDPRegistryClient("127.0.0.1", port, timeout=HANG)
        assert client.discover("ECHO") == (("10.0.0.1", 1),)
    assert seen[0] == seen[1] == seen[2]


def test_answers_that_are_none(caplog: pytest.LogCaptureFixture) -> None:
    def reply(data: bytes) -> list[bytes]:
        return [b"", b"OK", b"x" * 5000, data, seal(Done(), b"another nonce!!!", None)]

    with answering(reply) as port:
        client = UDPRegistryClient("127.0.0.1", port, timeout=0.3)
        found, trouble = client.search("ECHO")
        assert found == ()
        assert "what came was no answer of a registry" in trouble
        assert not client.register(("ECHO",), 1)


def test_pages_over_a_socket() -> None:
    with UDPRegistryServer("127.0.0.1", 0) as registry:
        client = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        for port in range(1, 201):
            assert client.register(("ECHO",), port)
        assert sorted(client.discover("ECHO")) == [("127.0.0.1", n) for n in range(1, 201)]


@pytest.mark.parametrize("kind", ["UDP", "TCP"])
def test_waiting_can_be_ended(kind: str) -> None:
    with socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM
    ) as silent:
        silent.bind(("127.0.0.1", 0))
        if kind == "TCP":
            silent.listen()
        silent.settimeout(HANG)
        client: RegistryClient = (UDPRegistryClient if kind == "UDP" else TCPRegistryClient)(
            "127.0.0.1", silent.getsockname()[1], timeout=600
        )
        stop = Stop()
        said: list[module.Attempt] = []
        thread = threading.Thread(target=lambda: said.append(client.attempt(["A"], 1, stop=stop)))
        thread.start()
        if kind == "UDP":
            assert silent.recv(PACKET)
            stop.set()
        else:
            with silent.accept()[0] as sock:
                assert sock.recv(1)
                stop.set()
        thread.join(HANG)
        assert not thread.is_alive()
        assert "no registry answered" in said[0].trouble
        assert not said[0].may_have
        stop.close()


def test_a_tcp_registry_that_says_nothing_or_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = TCPRegistryClient("127.0.0.1", listener.getsockname()[1], timeout=0.2)
        assert "there was no answer in time" in client.search("ECHO")[1]

        def hang_up() -> None:
            for _ in range(2):  # the one that waits since before, and the next
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        client.timeout = HANG
        start = time.monotonic()
        assert "no registry answered" in client.search("ECHO")[1]
        assert time.monotonic() - start < HANG
        thread.join()


@pytest.mark.parametrize("ip", ["255.255.255.255", "10.0.0.255"])
def test_broadcast_addresses(ip: str) -> None:
    assert UDPRegistryClient(ip).bcast
    assert not UDPRegistryClient(ip, bcast=False).bcast
    assert not UDPRegistryClient("10.0.0.1").bcast
    assert UDPRegistryClient("10.0.0.1", bcast=True).bcast


def test_ipv6_has_no_broadcast() -> None:
    assert UDPRegistryClient("::1").ipv6
    for more in ({}, {"ip": "::1", "bcast": True}):
        with pytest.raises(ValueError, match="IPv6 has no broadcast"):
            UDPRegistryClient(ipv6=True, **more)  # type: ignore[arg-type]


def test_wrong_arguments() -> None:
    client = UDPRegistryClient("127.0.0.1", 1)
    with pytest.raises(ValueError, match="name of a service"):
        client.discover("")
    with pytest.raises(ValueError, match="a port is a number"):
        client.register(("A",), 70000)
    with pytest.raises(ValueError, match="1 to 16 items"):
        client.register((), 1)
    with pytest.raises(netobj.LimitExceeded):
        client.register([f"{number}" * 50 for number in range(10, 26)], 1)
    with pytest.raises(ValueError, match="can be guessed"):
        UDPRegistryClient(token="short")
    with pytest.raises(NotImplementedError):
        RegistryClient("127.0.0.1").discover("A")
    with pytest.raises(OSError, match=r"known|No address"):
        client.list("no.such.host.invalid")


def test_how_a_client_shows() -> None:
    assert repr(TCPRegistryClient("reg")) == "TCPRegistryClient('reg', 18811)"
    assert UDPRegistryClient().logger.name == "REGCLNT/UDP"
    assert UDPRegistryClient.REREGISTER_INTERVAL == 60


def test_this_machine_has_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "local_addresses", lambda: ["127.0.0.1", "10.0.0.1"])
    assert resolve("127.0.1.1") == ["127.0.1.1"]
    assert addresses_of("127.0.1.1") == ["127.0.1.1", "127.0.0.1", "10.0.0.1"]
    assert addresses_of("192.0.2.7") == ["192.0.2.7"]


def test_systems_where_the_way_out_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "plan9")
    monkeypatch.setattr(module, "local_addresses", lambda: ["127.0.0.1"])
    with UDPRegistryServer(port=0) as registry:
        client = UDPRegistryClient(port=registry.port, timeout=HANG)
        assert client.register(("ECHO",), 1)
        assert client.discover("ECHO") == (("127.0.0.1", 1),)


def test_where_nothing_can_be_sent() -> None:
    client = UDPRegistryClient("255.255.255.255", 1, timeout=0.05, bcast=False)
    assert "255.255.255.255 cannot be reached: " in client.search("ECHO")[1]


class Odd:
    """A socket that does what a test says: an exception is raised, all else returned."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)

    def setblocking(self, flag: bool) -> None:
        pass

    def recvfrom(self, size: int) -> object:
        return self.next()

    def send(self, data: bytes) -> object:
        return self.next()

    def next(self) -> object:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def test_errors_of_receiving_are_no_end() -> None:
    client = UDPRegistryClient("127.0.0.1", 1)
    search = Search("ECHO", None)
    client._receive(search, Odd(ConnectionRefusedError(111, "Connection refused")))
    assert "Connection refused" in search.trouble


def test_a_packet_that_leaves_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = Odd(100, BlockingIOError(), 1000, 100)
    stream = module._Stream(sock, None, 0)  # type: ignore[arg-type]
    waited: list[int] = []
    monkeypatch.setattr(stream, "_wait", waited.append)
    stream._send(bytes(PACKET))
    assert sock.results == []
    assert len(waited) == 1
