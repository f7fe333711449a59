"""``root.system``: on every kind of server and both skins, what it tells, and what it does not."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import netobj
from netobj import aio
from netobj.errors import AccessDenied
from patience import HANG, wait_until

KINDS = [
    "ThreadedServer",
    "ThreadPoolServer",
    "ForkingServer",
    "OneShotServer",
    "AsyncServer",
    "aio.Server",
]


OBJECT = object()


class Vault(netobj.Service):
    """A namespace of its own."""

    @netobj.exposed
    def open(self, code: str = "secret") -> None:
        """Open it.

        With the code.
        """

    def burn(self) -> None:
        """Not exposed."""


class Helper:
    @netobj.exposed
    def help_out(self) -> None:
        """Of an object that is no namespace."""


class Bank(netobj.Service):
    """A bank."""

    exposed_limit = 100
    exposed_helper = Helper()

    def __init__(self) -> None:
        self.exposed_vault = Vault()
        self.hidden_vault = Vault()
        self.exposed_callback = print
        self.entered = threading.Event()
        self.go_on = threading.Event()

    @netobj.exposed
    def deposit(self, account: str, amount: float = 1.5, note: Any = OBJECT) -> None:
        """Put money into an account.

        More of it.
        """

    @netobj.exposed
    async def transfer(self) -> None:
        """Later."""

    @netobj.exposed(stream=True)
    def history(self, days: int) -> Iterator[int]:
        yield from range(days)

    @netobj.exposed
    def lines(self) -> Iterator[str]:
        yield "line"

    @netobj.exposed
    class Receipt:
        """A class."""

    @netobj.exposed
    @staticmethod
    def rate() -> float:
        return 0.5

    @netobj.exposed
    @functools.lru_cache  # noqa: B019
    def cached(self, key: int) -> int:
        return key

    @property
    def exposed_balance(self) -> int:
        """The balance."""
        raise AssertionError("a property does not run because somebody asks for names")

    @netobj.exposed
    def wait(self) -> None:
        self.entered.set()
        self.go_on.wait(HANG)

    @netobj.exposed(stream=True)
    def drip(self) -> Iterator[int]:
        yield from range(10**6)

    def secret(self) -> None:
        """Not exposed."""


@contextmanager
def serving(kind: str, service: Any, **more: Any) -> Iterator[int]:
    """A server of that *kind*; its port."""
    if kind != "aio.Server":
        with getattr(netobj, kind)(service, hostname="127.0.0.1", **more) as server:
            yield server.port
        return
    more["config"] = more.pop("protocol_config", {})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> aio.Server:
        server = aio.Server(service, "127.0.0.1", **more)
        await server.start()
        return server

    def run(what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, loop).result(HANG)

    server = run(start())
    try:
        yield server.port
    finally:
        run(server.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(HANG)
        loop.close()


def client(port: int) -> netobj.Connection:
    return netobj.connect("127.0.0.1", port)


@pytest.fixture(params=["ThreadedServer", "AsyncServer"])
def bank(request: pytest.FixtureRequest) -> Iterator[Any]:
    with serving(request.param, Bank, introspect=True) as port, client(port) as conn:
        yield conn.root


def local(service: Any, **settings: Any) -> netobj.Connection:
    """A connection to *service* in a thread of this process."""
    return netobj.connect_thread(
        remote_service=service, remote_config={"introspect": True, **settings}
    )


# --- where it is -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_server_tells_if_it_is_to(kind: str) -> None:
    with serving(kind, Bank, introspect=True) as port, client(port) as conn:
        names = [one["name"] for one in conn.root.system.methods()]
        assert {"deposit", "vault.open"} <= set(names)
        assert conn.root.system.help("vault.open") == "Open it.\n\nWith the code."
        assert conn.root.system.connections()["count"] == 1
        assert conn.root.system.calls() == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_server_tells_by_itself(kind: str) -> None:
    with serving(kind, Bank) as port, client(port) as conn:
        assert "system" not in dir(conn.root)
        with pytest.raises(AccessDenied) as unknown:
            conn.root.no_such_name  # noqa: B018
        with pytest.raises(AccessDenied) as system:
            conn.root.system  # noqa: B018
        assert str(system.value) == str(unknown.value).replace("no_such_name", "system")


@pytest.mark.parametrize("kind", ["ThreadedServer", "AsyncServer", "aio.Server"])
@pytest.mark.parametrize("where", ["config", "service"])
def test_it_is_a_setting(kind: str, where: str) -> None:
    service = type("Told", (Bank,), {"CONFIG": {"introspect": True}})
    more = {"protocol_config": {"introspect": True}} if where == "config" else {}
    with serving(kind, Bank if more else service, **more) as port, client(port) as conn:
        assert conn.root.system.signature("rate") == "() -> float"


@pytest.mark.parametrize("kind", ["ThreadedServer", "AsyncServer", "aio.Server"])
def test_what_a_server_is_given_goes_before_the_settings(kind: str) -> None:
    more: dict[str, Any] = {"protocol_config": {"introspect": True}, "introspect": False}
    with serving(kind, Bank, **more) as port, client(port) as conn:
        assert not hasattr(conn.root, "system")


@pytest.mark.parametrize("kind", ["ThreadedServer", "AsyncServer", "aio.Server"])
def test_what_is_no_way_to_tell_is_refused(kind: str) -> None:
    make: Callable[..., Any] = aio.Server if kind == "aio.Server" else getattr(netobj, kind)

    async def attempt() -> None:
        make(Bank, introspect="everything")

    with pytest.raises(ValueError, match="everything"):
        asyncio.run(attempt())


def test_a_connection_begins_and_ceases_to_tell() -> None:
    class Late(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        @netobj.exposed
        def tell(self, introspect: Any) -> None:
            self.conn._config["introspect"] = introspect

    with netobj.connect_thread(remote_service=Late) as conn:
        assert not hasattr(conn.root, "system")
        conn.root.tell(True)
        assert conn.root.system.signature("tell") == "(introspect: Any) -> None"
        conn.root.tell("all")
        assert conn.root.system.signature("tell") == "(introspect: Any) -> None"
        conn.root.tell(False)
        assert not hasattr(conn.root, "system")


def test_a_client_can_be_asked_by_its_server() -> None:
    class Curious(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        @netobj.exposed
        def look(self) -> Any:
            return self.conn.root.system.methods()

    with netobj.connect_thread(
        service=Vault, config={"introspect": True}, remote_service=Curious
    ) as conn:
        assert "open" in [one["name"] for one in conn.root.look()]


def test_from_an_event_loop_in_one_go() -> None:
    async def main(port: int) -> Any:
        async with aio.connect("127.0.0.1", port) as conn:
            return await conn.root.system.methods(), await conn.root.system.connections()

    with serving("AsyncServer", Bank, introspect=True) as port:
        methods, connections = asyncio.run(main(port))
    assert "transfer" in [one["name"] for one in methods]
    assert connections["count"] == 1


def test_a_system_of_the_services_own_stays() -> None:
    class Own(netobj.Service):
        @netobj.exposed
        def system(self, command: str) -> str:
            return f"ran {command}"

    with local(Own) as conn:
        assert conn.root.system("ls") == "ran ls"
        assert dir(conn.root).count("system") == 1


def test_a_private_system_is_no_obstacle() -> None:
    class Private(netobj.Service):
        system = "private"

    with local(Private) as conn:
        assert conn.root.system.connections()["count"] == 1


def test_it_can_only_be_asked() -> None:
    for settings in ({}, {"allow_public_attrs": True, "allow_setattr": True}):
        with local(Bank, **settings) as conn:
            system = conn.root.system
            assert [name for name in dir(system) if not name.startswith("__")] == [
                "calls",
                "connections",
                "help",
                "methods",
                "signature",
            ]
            for name in ("_connection", "_root", "_since", "_side"):
                with pytest.raises(AttributeError):
                    getattr(system, name)
            with pytest.raises(AttributeError):
                system.methods = print
            assert system.methods()


# --- names -----------------------------------------------------------------------------------


def entry(root: Any, name: str) -> Any:
    return next(one for one in root.system.methods() if one["name"] == name)


def test_methods_are_plain_data(bank: Any) -> None:
    methods = bank.system.methods()
    assert type(methods) is list
    for one in methods:
        assert type(one) is dict
        assert {type(value) for value in one.values()} <= {str, type(None)}
    names = [one["name"] for one in methods]
    assert names == sorted(names)
    assert len(set(names)) == len(names)


def test_methods_are_those_that_the_caller_may_use(bank: Any) -> None:
    inherited = {"get_service_aliases", "get_service_name"}
    own = {"deposit", "transfer", "history", "lines", "Receipt", "rate", "cached", "wait", "drip"}
    assert {one["name"] for one in bank.system.methods()} == {
        *own,
        *inherited,
        "callback",
        "vault.open",
        *(f"vault.{name}" for name in inherited),
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deposit", "function"),
        ("transfer", "coroutine"),
        ("history", "stream"),
        ("lines", "generator"),
        ("Receipt", "class"),
        ("rate", "function"),
        ("cached", "function"),
        ("callback", "function"),
        ("get_service_name", "function"),
    ],
)
def test_kinds(bank: Any, name: str, kind: str) -> None:
    assert entry(bank, name)["kind"] == kind


def test_signatures_and_documents(bank: Any) -> None:
    signature = "(account: str, amount: float = 1.5, note: Any = ...) -> None"
    assert entry(bank, "deposit") == {
        "name": "deposit",
        "signature": signature,
        "doc": "Put money into an account.",
        "kind": "function",
    }
    assert bank.system.signature("deposit") == signature
    assert bank.system.signature("vault.open") == "(code: str = ...) -> None"
    assert bank.system.signature("cached") == "(key: int) -> int"
    assert bank.system.help("deposit") == "Put money into an account.\n\nMore of it."
    assert bank.system.help("vault") == "A namespace of its own."
    assert bank.system.help("balance") == "The balance."
    assert bank.system.help("rate") is None
    assert entry(bank, "rate")["doc"] is None


@pytest.mark.parametrize("ask", ["signature", "help"])
@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "vault.burn",
        "hidden_vault.open",
        "helper.help_out",
        "deposit.__func__",
        "no_such_name",
        "vault.vault.open",
        "system.methods",
        "",
        "vault.",
        ".vault",
        "." * 1000,
        "x" * 100_000,
    ],
)
def test_what_may_not_be_used_has_no_documentation(bank: Any, ask: str, name: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        getattr(bank.system, ask)(name)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("name", [None, 3, b"deposit", ["deposit"], len])
def test_a_name_is_a_str(bank: Any, name: Any) -> None:
    for ask in (bank.system.help, bank.system.signature):
        with pytest.raises(TypeError, match="a name is a str"):
            ask(name)


def test_what_is_not_called_has_no_signature(bank: Any) -> None:
    for name in ("balance", "limit", "vault"):
        with pytest.raises(TypeError, match="is not called"):
            bank.system.signature(name)


def test_the_policys_settings_hold() -> None:
    def names(**settings: Any) -> set[str]:
        with local(Bank, **settings) as conn:
            return {one["name"] for one in conn.root.system.methods()}

    assert "secret" in names(allow_public_attrs=True)
    assert "vault.burn" in names(allow_public_attrs=True)
    assert "on_connect" not in names(allow_public_attrs=True)
    assert "on_connect" in names(allow_all_attrs=True)
    assert not any(name.startswith("_") for name in names(allow_all_attrs=True))
    assert "callback" not in names(exposed_prefix="other_")


def test_a_name_that_is_open_and_not_there_is_refused() -> None:
    with local(Bank, allow_public_attrs=True) as conn:
        for ask in (conn.root.system.help, conn.root.system.signature):
            with pytest.raises(AccessDenied, match="has no 'no_such_name'"):
                ask("no_such_name")


def test_who_may_do_all_sees_default_values() -> None:
    with local(Bank, allow_all_attrs=True) as conn:
        assert conn.root.system.signature("vault.open") == "(code: str = 'secret') -> None"


def test_a_root_with_rules_of_its_own_says_what_there_is() -> None:
    class Ruled(netobj.Service):
        def _netobj_getattr(self, name: str) -> Any:
            if name in ("plain", "gone"):
                return getattr(self, name)
            raise AttributeError("my own rule")

        def _netobj_dir(self) -> list[str]:
            return ["plain", "gone", "refused"]

        def plain(self, a: int) -> int:
            """Plain."""
            return a

    with local(Ruled) as conn:
        assert conn.root.system.methods() == [
            {"name": "plain", "signature": "(a: int) -> int", "doc": "Plain.", "kind": "function"}
        ]
        with pytest.raises(AttributeError):
            conn.root.system.help("refused")


def test_namespaces_that_lead_back_end() -> None:
    class Ring(netobj.Service):
        def __init__(self) -> None:
            self.exposed_self = self
            self.exposed_vault = Vault()

    with local(Ring) as conn:
        names = [one["name"] for one in conn.root.system.methods()]
        assert "vault.open" in names
        assert not any(name.startswith("self.") for name in names)


def test_callbacks_of_the_peers_are_not_asked() -> None:
    class Keeper(netobj.Service):
        @netobj.exposed
        def keep(self, callback: Any) -> None:
            self.exposed_kept = callback

    def callback() -> None:
        """Of the client's."""

    with local(Keeper) as conn:
        conn.root.keep(callback)
        kept = entry(conn.root, "kept")
        assert kept == {"name": "kept", "signature": None, "doc": None, "kind": "function"}


def test_an_object_with_rules_of_its_own_keeps_its_signature() -> None:
    class Ruled:
        def _netobj_getattr(self, name: str) -> Any:
            raise AttributeError(name)

        def __call__(self, secret: int) -> None: ...

    class Host(netobj.Service):
        exposed_ruled = Ruled()

    with local(Host) as conn:
        assert entry(conn.root, "ruled")["signature"] is None


# --- connections and calls -------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["ThreadedServer", "ThreadPoolServer", "AsyncServer", "aio.Server"]
)
@pytest.mark.parametrize("introspect", [True, "own", "all"])
def test_connections(kind: str, introspect: Any) -> None:
    began = datetime.now(timezone.utc)
    with serving(kind, Bank, introspect=introspect) as port:
        with client(port) as conn, client(port) as other:
            other.ping()
            wait_until(lambda: conn.root.system.connections()["count"] == 2)
            found = conn.root.system.connections()["shown"]
            assert len(found) == (2 if introspect == "all" else 1)
            assert [one["own"] for one in found].count(True) == 1
            mine = next(one for one in found if one["own"])
            assert mine["address"] == "{}:{}".format(*conn.config.endpoints[0])
            for one in found:
                assert began <= one["since"] <= datetime.now(timezone.utc)
                assert type(one["id"]) is str
        with client(port) as conn:
            wait_until(lambda: conn.root.system.connections()["count"] == 1)


def test_a_connection_without_a_server_is_the_only_one() -> None:
    with local(Bank) as conn:
        found = conn.root.system.connections()
        assert found["count"] == len(found["shown"]) == 1


def test_connections_that_do_not_tell_are_shown_too() -> None:
    class Odd(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            if len(server.connections) == 0:
                conn._config["introspect"] = None

    server = netobj.ThreadedServer(Odd, hostname="127.0.0.1", introspect="all")
    with server, client(server.port) as first:
        first.ping()
        wait_until(lambda: len(server.connections) == 1)
        with client(server.port) as second:
            wait_until(lambda: second.root.system.connections()["count"] == 2)
            shown = second.root.system.connections()["shown"]
            assert [one["since"] is None for one in shown] == [True, False]


@pytest.mark.parametrize("kind", ["ThreadedServer", "AsyncServer", "aio.Server"])
@pytest.mark.parametrize("introspect", [True, "all"])
def test_calls(kind: str, introspect: Any) -> None:
    service = Bank()
    told = serving(kind, service, introspect=introspect)
    with told as port, client(port) as conn, client(port) as other:
        waiting = netobj.async_(conn.root.wait)()
        assert service.entered.wait(HANG)
        mine = conn.root.system.calls()
        assert [one["name"] for one in mine] == ["Bank.wait()"]
        assert mine[0]["seconds"] >= 0
        assert mine[0]["address"] == "{}:{}".format(*conn.config.endpoints[0])
        shown = conn.root.system.connections()["shown"]
        assert mine[0]["connection"] == next(one["id"] for one in shown if one["own"])
        theirs = other.root.system.calls()
        assert [one["name"] for one in theirs] == (["Bank.wait()"] if introspect == "all" else [])
        service.go_on.set()
        waiting.wait()
        wait_until(lambda: conn.root.system.calls() == [])


@pytest.mark.parametrize("kind", ["ThreadedServer", "AsyncServer", "aio.Server"])
def test_streams_run_until_they_end(kind: str) -> None:
    with serving(kind, Bank, introspect=True) as port, client(port) as conn:
        with conn.root.drip() as items:
            assert next(items) == 0
            assert [one["name"] for one in conn.root.system.calls()] == ["Bank.drip()"]
        wait_until(lambda: conn.root.system.calls() == [])


# --- functions as services -------------------------------------------------------------------


def calculator() -> netobj.FunctionService:
    """A service of functions: plain, in groups, renamed, mounted."""
    svc = netobj.FunctionService("calc")

    @svc.register
    def add(a: int, b: int = 2) -> int:
        """The sum."""
        return a + b

    @svc.register(name="slow", group="maths.heavy")
    async def slow_sum(*numbers: int) -> int:
        return sum(numbers)

    @svc.register
    async def tick(most: int) -> Any:
        for number in range(most):
            yield number

    svc.mount("helper", Helper())
    svc.mount("vault", Vault())
    return svc


@pytest.mark.parametrize("kind", ["ThreadedServer", "AsyncServer", "aio.Server"])
def test_functions_and_groups(kind: str) -> None:
    with serving(kind, calculator(), introspect=True) as port, client(port) as conn:
        found = {one["name"]: one["kind"] for one in conn.root.system.methods()}
        assert {
            "add": "function",
            "tick": "stream",
            "maths.heavy.slow": "coroutine",
            "helper.help_out": "function",
            "vault.open": "function",
        }.items() <= found.items()
        assert not {"slow_sum", "register", "mount", "vault.burn"} & found.keys()
        assert conn.root.system.signature("add") == "(a: int, b: int = 2) -> int"
        assert conn.root.system.help("helper.help_out") == "Of an object that is no namespace."
        for name in found:
            target = conn.root
            for step in name.split("."):
                target = getattr(target, step)


def test_renamed_functions_have_the_peers_name() -> None:
    class Renamed(netobj.Service):
        @netobj.exposed(name="public")
        def internal(self) -> None:
            """Renamed."""

    with local(Renamed) as conn:
        names = [one["name"] for one in conn.root.system.methods()]
        assert "public" in names
        assert "internal" not in names
        assert conn.root.system.help("public") == "Renamed."
        with pytest.raises(AccessDenied):
            conn.root.system.help("internal")


def test_who_is_elsewhere_is_not_told_of_what_is_local() -> None:
    class Here(netobj.Service):
        @netobj.exposed(local_only=True)
        def here(self) -> None:
            """Local."""

        @netobj.exposed
        def anywhere(self) -> None:
            """Not local."""

    elsewhere = (("10.0.0.1", 1), ("10.0.0.2", 2))
    for endpoints, shown in ((None, True), (elsewhere, False)):
        with local(Here, endpoints=endpoints) as conn:
            names = [one["name"] for one in conn.root.system.methods()]
            assert ("here" in names) is shown
            assert "anywhere" in names
            if not shown:
                with pytest.raises(AttributeError):
                    conn.root.system.help("here")


GEVENT = """
from gevent import monkey
monkey.patch_all()
import netobj
class Green(netobj.Service):
    @netobj.exposed
    def echo(self, value: int) -> int: return value
with netobj.GeventServer(Green, hostname="127.0.0.1", introspect=True) as server:
    with netobj.connect("127.0.0.1", server.port) as conn:
        print(conn.root.system.signature("echo"), conn.root.system.connections()["count"])
"""


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
def test_gevent_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GEVENT],
        capture_output=True,
        text=True,
        timeout=2 * HANG,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert (done.stdout, done.stderr) == ("(value: int) -> int 1\n", "")
