"""Finding services, and connecting to them, on the blocking skin."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj.registry import discovery as module
from netobj.registry.client import UDPRegistryClient
from netobj.registry.server import UDPRegistryServer
from patience import HANG, wait_until


class EchoService(netobj.Service):
    def exposed_echo(self, value: Any) -> Any:
        return value


@pytest.fixture
def registry() -> Iterator[UDPRegistryServer]:
    with UDPRegistryServer(port=0) as server:
        assert isinstance(server, UDPRegistryServer)
        yield server


@pytest.fixture
def registrar(registry: UDPRegistryServer) -> UDPRegistryClient:
    return UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)


def dead_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_discover(registrar: UDPRegistryClient) -> None:
    registrar.register(("ECHO", "ECO"), 1)
    registrar.register(("ECHO",), 2)
    assert sorted(netobj.discover("echo", registrar=registrar)) == [
        ("127.0.0.1", 1),
        ("127.0.0.1", 2),
    ]
    assert netobj.discover("eco", "localhost", registrar) == (("127.0.0.1", 1),)
    with pytest.raises(netobj.DiscoveryError, match=r"'eco' was found on 192\.0\.2\.200: there"):
        netobj.discover("eco", "192.0.2.200", registrar, timeout=0)


def test_discover_what_nobody_serves(registrar: UDPRegistryClient) -> None:
    with pytest.raises(
        netobj.DiscoveryError, match="no server of 'NONE' was found: the registry of UDPRegistry"
    ):
        netobj.discover("NONE", registrar=registrar, timeout=0)


def test_discover_without_a_registry() -> None:
    client = UDPRegistryClient("127.0.0.1", dead_port(), timeout=0.2)
    with pytest.raises(netobj.DiscoveryError, match="no registry answered at 127"):
        netobj.discover("ECHO", registrar=client, timeout=0.1)


def test_discover_waits_for_who_is_about_to_register(registrar: UDPRegistryClient) -> None:
    asked = threading.Event()

    class Slow(UDPRegistryClient):
        def search(self, name: str) -> Any:
            found = super().search(name)
            asked.set()
            return found

    def register() -> None:
        assert asked.wait(HANG)
        registrar.register(("ECHO",), 1)

    thread = threading.Thread(target=register)
    thread.start()
    client = Slow("127.0.0.1", registrar.port, timeout=HANG)
    assert netobj.discover("ECHO", registrar=client, timeout=HANG) == (("127.0.0.1", 1),)
    thread.join()


def test_the_default_registrar(
    registry: UDPRegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever hears a broadcast; here on a port of its own."""
    made: list[float] = []

    def make(timeout: float) -> UDPRegistryClient:
        made.append(timeout)
        return UDPRegistryClient(port=registry.port, timeout=timeout)

    monkeypatch.setattr(module, "UDPRegistryClient", make)
    UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG).register(("ECHO",), 1)
    assert netobj.discover("ECHO", timeout=HANG) == (("127.0.0.1", 1),)
    registry.allow_listing = True
    assert netobj.list_services(timeout=HANG) == ("ECHO",)
    assert made == [HANG, HANG]


def test_a_registrar_of_the_programs_own() -> None:
    class Clerk:
        def discover(self, name: str) -> Any:
            return [("127.0.0.1", 7)] if name == "ECHO" else []

        def list(self, filter_host: str | None) -> Any:
            return ["ECHO"]

    assert netobj.discover("ECHO", registrar=Clerk()) == (("127.0.0.1", 7),)
    assert netobj.list_services(Clerk()) == ("ECHO",)
    with pytest.raises(netobj.DiscoveryError, match="knows none"):
        netobj.discover("OTHER", registrar=Clerk(), timeout=0)


def test_list_services(registry: UDPRegistryServer, registrar: UDPRegistryClient) -> None:
    with pytest.raises(netobj.ForbiddenError, match="does not allow listing: start it with"):
        netobj.list_services(registrar)
    registry.allow_listing = True
    assert netobj.list_services(registrar) == ()
    registrar.register(("ECHO", "ECO"), 1)
    assert netobj.list_services(registrar) == ("ECHO", "ECO")
    assert netobj.list_services(registrar, "127.0.0.1") == ("ECHO", "ECO")
    assert netobj.list_services(registrar, filter_host="192.0.2.200") == ()


def test_connect_by_service(registrar: UDPRegistryClient) -> None:
    class Client(netobj.Service):
        def exposed_name(self) -> str:
            return "client"

    class AskingService(EchoService):
        ALIASES = ("ECHO",)

        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        def exposed_ask(self) -> str:
            return str(self.conn.root.name())

    with (
        netobj.ThreadedServer(AskingService, registrar=registrar),
        netobj.connect_by_service(
            "echo",
            host="localhost",
            registrar=registrar,
            timeout=HANG,
            service=Client,
            config={"sync_request_timeout": HANG},
        ) as conn,
    ):
        assert conn.root.echo("hello") == "hello"
        assert conn.root.ask() == "client"
        assert conn.config.sync_request_timeout == HANG


def test_connect_by_service_tries_every_address(registrar: UDPRegistryClient) -> None:
    for _ in range(5):
        registrar.register(("ECHO",), dead_port())
    with netobj.ThreadedServer(EchoService) as server:
        registrar.register(("ECHO",), server.port)
        for _ in range(5):
            with netobj.connect_by_service("ECHO", registrar=registrar) as conn:
                assert conn.root.echo(1) == 1


def test_connect_by_service_where_all_are_down(registrar: UDPRegistryClient) -> None:
    ports = [dead_port(), dead_port()]
    for port in ports:
        registrar.register(("ECHO",), port)
    with pytest.raises(netobj.DiscoveryError, match="no server of 'ECHO' can be reached") as info:
        netobj.connect_by_service("ECHO", registrar=registrar)
    for port in ports:
        assert f"127.0.0.1:{port}: " in str(info.value)


def test_connect_by_service_over_tls_and_with_a_token(
    registrar: UDPRegistryClient, certificates: Certificates
) -> None:
    login = netobj.TokenAuthenticator("a token of the tests")
    how = {"ssl_context": certificates.server, "authenticator": login}
    with (
        netobj.ThreadedServer(EchoService) as stranger,  # speaks no TLS: it is passed over
        netobj.ThreadedServer(EchoService, registrar=registrar, **how),  # type: ignore[arg-type]
    ):
        registrar.register(("ECHO",), stranger.port)
        wait_until(lambda: len(registrar.discover("ECHO")) == 2)
        for _ in range(5):
            with netobj.connect_by_service(
                "ECHO",
                registrar=registrar,
                timeout=HANG,
                ssl_context=certificates.client,
                server_hostname="localhost",
                authenticator=login,
            ) as conn:
                assert conn.root.echo(1) == 1
                assert conn._config["credentials"]["subjectAltName"] == (("DNS", "localhost"),)


def test_connect_by_service_checks_the_address_against_the_certificate(
    registrar: UDPRegistryClient, certificates: Certificates
) -> None:
    with netobj.ThreadedServer(
        EchoService, registrar=registrar, ssl_context=certificates.server
    ) as server:
        at = f"127.0.0.1:{server.port}"
        with pytest.raises(netobj.DiscoveryError, match=f"reached: {at}: .*IP address mismatch"):
            netobj.connect_by_service(
                "ECHO", registrar=registrar, timeout=HANG, ssl_context=certificates.client
            )


def test_connect_by_service_with_a_wrong_token(registrar: UDPRegistryClient) -> None:
    right, wrong = (
        netobj.TokenAuthenticator(f"the {word} token of all") for word in ("right", "wrong")
    )
    with (
        netobj.ThreadedServer(EchoService, registrar=registrar, authenticator=right),
        pytest.raises(netobj.AuthenticationError),
    ):
        netobj.connect_by_service("ECHO", registrar=registrar, timeout=HANG, authenticator=wrong)


def test_clients_spread_over_the_servers() -> None:
    addresses = [("10.0.0.1", number) for number in range(20)]
    first = {module.in_any_order(addresses)[0] for _ in range(500)}
    assert len(first) > 10
    assert sorted(module.in_any_order(addresses)) == addresses
