"""Servers that are registered while they run."""

from __future__ import annotations

import logging
import queue
import socket
import threading
from typing import Any

import pytest

import netobj
from netobj.registry import registration as module
from netobj.registry.client import Attempt, TCPRegistryClient, UDPRegistryClient
from netobj.registry.registration import Registration
from netobj.registry.server import TCPRegistryServer, UDPRegistryServer
from patience import HANG, wait_until

TOKEN = "a token that is long enough"


class EchoService(netobj.Service):
    ALIASES = ("Echo", "Eco")

    def exposed_echo(self, value: Any) -> Any:
        return value


class Clerk:
    """A registrar of the program's own, as RPyC's programs write them."""

    REREGISTER_INTERVAL = 0.01

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def register(self, aliases: Any, port: int, interface: str = "") -> bool:
        self.heard.put(("register", tuple(aliases), port, interface))
        result = self.results.pop(0) if self.results else True
        if isinstance(result, Exception):
            raise result
        return bool(result)

    def unregister(self, port: int) -> None:
        self.heard.put(("unregister", port))


kinds = pytest.mark.parametrize(
    ("registry_class", "client_class"),
    [(UDPRegistryServer, UDPRegistryClient), (TCPRegistryServer, TCPRegistryClient)],
    ids=["UDP", "TCP"],
)
servers = pytest.mark.parametrize(
    "server_class", [netobj.ThreadedServer, netobj.ThreadPoolServer, netobj.AsyncServer]
)


@kinds
@servers
def test_registered_at_start_and_unregistered_at_close(
    registry_class: Any, client_class: Any, server_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", HANG)
    monkeypatch.setattr(module, "_JOIN", HANG)
    with registry_class(port=0) as registry:
        client = client_class("127.0.0.1", registry.port, timeout=HANG)
        with server_class(EchoService, registrar=client) as server:
            assert server.auto_register
            at = ("127.0.0.1", server.port)
            wait_until(lambda: registry.services == {"ECHO": (at,), "ECO": (at,)})
        assert registry.services == {}
    assert [t.name for t in threading.enumerate() if t.name == "netobj registration"] == []


@pytest.mark.parametrize(
    ("attempts", "unregisters"),
    [
        ([Attempt("", True)], True),
        ([Attempt("cut short", True)], True),  # its answer was on the way
        ([Attempt("cut short", False)], False),  # nobody was heard
        ([Attempt("", True), Attempt("cut short", False)], True),  # known since before
        ([Attempt("", True), Attempt("away", False), Attempt("cut short", False)], False),
    ],
)
def test_closing_unregisters_what_a_registry_may_know(
    monkeypatch: pytest.MonkeyPatch, attempts: list[Attempt], unregisters: bool
) -> None:
    monkeypatch.setattr(module, "_FIRST_RETRY", 0)
    left = list(attempts)
    unregistered: list[int] = []

    class Cut(UDPRegistryClient):
        REREGISTER_INTERVAL = 0

        def attempt(self, *_args: Any, **_more: Any) -> Attempt:
            if len(left) == 1:  # the server closes in the midst of the last one
                registration.stop()
            return left.pop(0)

        def unregister(self, port: int, *_args: Any, **_more: Any) -> bool:
            unregistered.append(port)
            return True

    log = logging.getLogger("test")
    registration = Registration(Cut(), lambda: ["A"], 18861, "0.0.0.0", log)
    registration.start()
    registration.join()
    assert unregistered == ([18861] if unregisters else [])


def test_registered_again_and_again() -> None:
    clerk = Clerk()
    with netobj.ThreadedServer(EchoService, hostname="localhost", registrar=clerk) as server:
        for _ in range(5):
            said = clerk.heard.get(timeout=HANG)
            assert said == ("register", ("ECHO", "ECO"), server.port, "127.0.0.1")
        port = server.port
    said = [clerk.heard.get_nowait() for _ in range(clerk.heard.qsize())]
    assert said[-1] == ("unregister", port)
    assert said.count(("unregister", port)) == 1


def test_a_registry_that_forgets_is_told_again() -> None:
    with UDPRegistryServer(port=0) as registry:
        client = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        client.REREGISTER_INTERVAL = 0.02
        with netobj.ThreadedServer(EchoService, registrar=client):
            wait_until(lambda: len(registry.services) == 2)
            registry._registry.table.unregister(registry.services["ECHO"])
            wait_until(lambda: len(registry.services) == 2)


@pytest.mark.parametrize(
    ("arguments", "registered"),
    [
        ({}, False),
        ({"registrar": True}, True),
        ({"registrar": True, "auto_register": False}, False),
        ({"registrar": True, "auto_register": True}, True),
    ],
)
def test_auto_register(arguments: dict[str, Any], registered: bool) -> None:
    clerk = Clerk()
    if "registrar" in arguments:
        arguments = {**arguments, "registrar": clerk}
    with netobj.ThreadedServer(EchoService, hostname="localhost", **arguments) as server:
        assert server.auto_register is registered
        if registered:
            assert clerk.heard.get(timeout=HANG)[0] == "register"
    if not registered:
        assert clerk.heard.empty()


def test_auto_register_without_a_registrar_looks_for_one() -> None:
    server = netobj.ThreadedServer(EchoService, auto_register=True)
    assert isinstance(server.registrar, UDPRegistryClient)
    assert (server.registrar.ip, server.registrar.port) == ("255.255.255.255", 18811)
    server.close()


def test_a_registry_that_is_away_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "_FIRST_RETRY", 0.001)
    monkeypatch.setattr(module, "_LONGEST_RETRY", 0.004)
    clerk = Clerk(False, False, LookupError("odd"), LookupError("odd"), True)
    with netobj.ThreadedServer(EchoService, hostname="localhost", registrar=clerk) as server:
        for _ in range(6):
            clerk.heard.get(timeout=HANG)
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.echo(1) == 1
    said = [r.getMessage() for r in caplog.records if "register" in r.getMessage()]
    assert said == [
        "not registered, trying again: the registrar says so",
        "not registered, trying again: LookupError: odd",
        f"registered with {clerk!r}",
    ]


def test_what_was_never_registered_is_not_unregistered() -> None:
    clerk = Clerk(False)
    with netobj.ThreadedServer(EchoService, hostname="localhost", registrar=clerk):
        clerk.heard.get(timeout=HANG)
    assert clerk.heard.empty()


def test_a_registrar_that_cannot_unregister(caplog: pytest.LogCaptureFixture) -> None:
    clerk = Clerk()
    clerk.unregister = lambda port: 1 // 0  # type: ignore[method-assign]
    with netobj.ThreadedServer(EchoService, hostname="localhost", registrar=clerk):
        clerk.heard.get(timeout=HANG)
    assert "ZeroDivisionError" in caplog.text


@kinds
def test_closing_does_not_wait_for_a_registry_that_is_silent(
    registry_class: Any, client_class: Any
) -> None:
    kind = registry_class._type
    with socket.socket(socket.AF_INET, kind) as silent:
        silent.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            silent.listen()
        client = client_class("127.0.0.1", silent.getsockname()[1], timeout=3600)
        with netobj.ThreadedServer(EchoService, registrar=client) as server:
            wait_until(lambda: server._registration is not None)
        registration = server._registration
        assert registration is not None
        assert not registration._thread.is_alive()


def test_closing_leaves_a_registrar_that_never_returns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_JOIN", 0.01)
    over, entered = threading.Event(), threading.Event()

    class Slow(Clerk):
        def register(self, aliases: Any, port: int, interface: str = "") -> bool:
            entered.set()
            return over.wait(HANG)

    with netobj.ThreadedServer(EchoService, hostname="localhost", registrar=Slow()) as server:
        assert entered.wait(HANG)
    assert "does not return: it is left alone" in caplog.text
    over.set()
    assert server._registration is not None
    server._registration._thread.join(HANG)
    assert not server._registration._thread.is_alive()


def test_a_server_that_is_closed_before_it_starts_is_not_registered() -> None:
    clerk = Clerk()
    server = netobj.ThreadedServer(EchoService, hostname="localhost", registrar=clerk)
    server.close()
    server.start()
    assert clerk.heard.empty()


def test_closing_in_the_midst_of_starting() -> None:
    clerk = Clerk()

    class Closing(netobj.ThreadedServer):
        def _service_class(self) -> Any:
            if getattr(self, "active", False):  # it is about to be registered
                self.close()
            return super()._service_class()

    server = Closing(EchoService, hostname="localhost", registrar=clerk)
    server.start()
    assert server._registration is None
    assert clerk.heard.empty()


def test_without_a_thread_the_server_serves_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    server = netobj.ThreadedServer(EchoService, hostname="localhost", registrar=Clerk())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    server._register()
    monkeypatch.undo()
    assert server._registration is None
    assert "the server is not registered: can't start new thread" in caplog.text
    server.close()


@pytest.mark.parametrize("more", [{"registrar": Clerk()}, {"auto_register": True}])
def test_a_unix_socket_cannot_be_registered(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="on a Unix socket cannot be registered"):
        netobj.ThreadedServer(EchoService, socket_path="/tmp/x", **more)


# --- where it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("advertise", "at"),
    [("10.1.2.3", ("10.1.2.3", None)), (("10.1.2.3", 9000), ("10.1.2.3", 9000))],
)
def test_advertise(
    advertise: Any, at: tuple[str, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", HANG)
    monkeypatch.setattr(module, "_JOIN", HANG)
    with UDPRegistryServer(port=0, token=TOKEN) as registry:
        client = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG, token=TOKEN)
        with netobj.ThreadedServer(EchoService, registrar=client, advertise=advertise) as server:
            wait_until(lambda: len(registry.services) == 2)
            assert registry.services["ECHO"] == ((at[0], at[1] or server.port),)
        assert registry.services == {}


def test_advertising_takes_a_token(caplog: pytest.LogCaptureFixture) -> None:
    with UDPRegistryServer(port=0) as registry:
        client = UDPRegistryClient("127.0.0.1", registry.port, timeout=HANG)
        with netobj.ThreadedServer(EchoService, registrar=client, advertise="10.1.2.3"):
            wait_until(lambda: "are taken with a token only" in caplog.text)
        assert registry.services == {}


def test_advertise_takes_a_registrar_that_can_do_it() -> None:
    with pytest.raises(ValueError, match="advertise= takes a registrar of netobj's"):
        netobj.ThreadedServer(EchoService, registrar=Clerk(), advertise="10.1.2.3")


def test_an_advertised_name_is_looked_up_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def resolve(host: str) -> list[str]:
        looked_up.append(host)
        return [f"10.1.2.{len(looked_up)}"]

    monkeypatch.setattr(module, "resolve", resolve)
    client = UDPRegistryClient(token=TOKEN)
    registration = Registration(
        client, lambda: ["A"], 1, "0.0.0.0", logging.getLogger("x"), "lab.example"
    )
    assert registration._hosts() == ["10.1.2.1"]
    assert registration._hosts() == ["10.1.2.2"]
    registration.discard()
