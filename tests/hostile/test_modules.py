"""What a client of classic mode passes is not a way into its interpreter."""

from __future__ import annotations

import asyncio
import io
import json
import math
import os
import sys
import types
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import netobj
from netobj import aio
from netobj.core.access import Policy
from netobj.core.config import settings_for
from netobj.core.consts import SPECIALS, Op
from netobj.core.service import ClassicClient
from netobj.errors import AccessDenied


class Holder:
    """Holds modules as people do: as attributes, in dicts, in lists, in classes."""

    json = json
    lazy = types.ModuleType("lazy")

    def __init__(self) -> None:
        self.os = os
        self.modules = {"os": os, "sys": sys}
        self.names: dict[str, Any] = {}
        exec("import os", self.names)
        self.listed = [os]
        self.space = types.SimpleNamespace(os=os)

    def method(self) -> Any:
        return os


@pytest.fixture
def conn() -> Iterator[Any]:
    """To a hostile classic server: what it does to what it is given is in ``conn.eval``."""
    with netobj.classic.connect_thread() as conn:
        yield conn


PATHS = [
    "h.os.system",
    "h.os.path.join",
    "h.os.environ",
    "h.json.codecs",
    "h.json.dumps",
    "h.json.__dict__",
    "h.modules['os'].system",
    "h.modules['sys'].modules",
    "h.names['os'].system",
    "h.names['__builtins__']",
    "h.names.get('__builtins__')",
    "dict(h.names)",
    "h.listed[0].system",
    "h.listed.pop().system",
    "h.space.os.system",
    "h.method().system",
    "next(iter(h.listed)).system",
    "list(h.modules.values())[0].system",
    "h.lazy.anything",
    "setattr(h.json, 'dumps', 1)",
    "h.os.system('true')",
    "__import__('importlib').reload(h.json)",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_module_leads_nowhere(conn: Any, path: str) -> None:
    with pytest.raises((AttributeError, netobj.NotEncodable, TypeError, ImportError)):
        conn.eval(f"lambda h: {path}")(Holder())


def test_nor_does_one_that_is_passed(conn: Any) -> None:
    for attribute in ("sqrt", "pi", "__dict__", "__loader__"):
        with pytest.raises(AccessDenied):
            conn.eval(f"lambda m: m.{attribute}")(math)
    assert conn.eval("repr")(json) == "<module 'json'>"
    assert conn.eval("lambda view: view.sqrt(9)")(netobj.restricted(math, ["sqrt"])) == 3.0


class Keeper(netobj.Service):
    """Keeps its connection and its server under public names, as in many an example."""

    server: ClassVar[Any] = None

    def on_connect(self, conn: Any) -> None:
        self.conn = conn

    def work(self) -> Any:
        return netobj.current_call()


def test_a_connection_does_not_lead_to_its_settings() -> None:
    server = netobj.ThreadedServer(
        Keeper, hostname="127.0.0.1", protocol_config={"allow_public_attrs": True}
    )
    Keeper.server = server
    with server, netobj.connect("127.0.0.1", server.port) as conn:
        for holder in (conn.root.conn, conn.root.server, conn.root.work()):
            for name in ("session", "config", "_config", "root", "protocol_config", "connections"):
                with pytest.raises(AttributeError):
                    getattr(holder, name)
    Keeper.server = None


# --- and yet -------------------------------------------------------------------------------------


def test_redirected_streams_still_work(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = sys.stdout, sys.stderr, sys.stdin
    with netobj.classic.connect_subproc() as there:
        out = io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
        with netobj.classic.redirected_stdio(there):
            there.execute("print('printed', input())")
        monkeypatch.undo()
    assert there.proc.wait() == 0
    assert out.getvalue() == "printed typed\n"
    assert (sys.stdout, sys.stderr, sys.stdin) == saved


def test_so_do_callbacks_lists_and_objects(conn: Any) -> None:
    class Counter:
        value = 0

        def add(self, number: int) -> int:
            self.value += number
            return self.value

    counter, items = Counter(), [3, 1, 2]
    assert conn.eval("lambda c: [c.add(n) for n in (1, 2)]")(counter)[1] == 3
    assert conn.eval("lambda c: c.value")(counter) == 3
    conn.eval("lambda items: items.sort()")(items)
    assert items == [1, 2, 3]
    assert conn.eval("lambda f: f(2)")(math.sqrt) == math.sqrt(2)
    assert conn.modules.json.dumps("a") == '"a"'


def test_the_same_on_an_event_loop() -> None:
    async def main() -> None:
        async with (
            aio.Server(netobj.SlaveService, "127.0.0.1") as server,
            aio.classic.connect("127.0.0.1", server.port) as conn,
        ):
            for path in ("h.os.system", "h.json.codecs", "h.modules['os'].system"):
                function = await conn.eval(f"lambda h: {path}")
                with pytest.raises(AttributeError):
                    await function(Holder())
            function = await conn.eval("lambda h: h.names is not None")
            assert await function(Holder()) is True

    asyncio.run(main())


# --- wherever public names lead ------------------------------------------------------------------

PASSED: dict[str, Any] = {
    "a holder": Holder(),
    "a function": Holder.method,
    "a bound method": Holder().method,
    "a lambda": lambda: 0,
    "a generator": (n for n in [1]),
    "a class": Holder,
    "an exception": ValueError("x"),
    "a partial": __import__("functools").partial(print),
    "a stream": io.StringIO("text"),
    "a file": sys.__stdout__,
    "a logger": __import__("logging").getLogger("crawled"),
    "a lock": __import__("threading").Lock(),
    "a thread": __import__("threading").Thread(),
    "a pattern": __import__("re").compile("a"),
    "an enum": __import__("http").HTTPStatus,
    "a path": __import__("pathlib").PurePath("."),
    "a connection": netobj.Connection,
}
CALLED = frozenset("mro values keys items copy __iter__ __next__ __enter__".split())


@pytest.mark.parametrize("what", PASSED)
def test_public_names_lead_to_no_globals(what: str) -> None:
    """Whatever can be reached in four steps, by names, items and harmless calls."""
    policy = Policy(settings_for(ClassicClient, {}), "client")
    level, seen = [PASSED[what]], {id(PASSED[what])}
    kept: list[Any] = []
    for _ in range(4):
        found = [one for obj in level for one in _steps(policy, obj)]
        level = []
        for one in found:
            if id(one) not in seen and not isinstance(one, (str, int, bytes, float, type(None))):
                seen.add(id(one))
                kept.append(one)
                level.append(one)
        level = level[:400]
    for one in kept:
        assert not isinstance(one, (types.FrameType, types.CodeType, types.TracebackType)), one
        if isinstance(one, types.ModuleType):
            assert policy.names(one) == [] or set(policy.names(one)) <= {*SPECIALS, "__doc__"}


def _steps(policy: Policy, obj: Any) -> list[Any]:
    found: list[Any] = []
    for name in policy.names(obj):
        try:
            value = policy.getattr(obj, name)
            found.append(value)
            if name in CALLED:
                found.extend(list(value())[:20])
        except Exception:
            continue
    return found


# --- what belongs to the service itself ----------------------------------------------------------

OWN = ["CONFIG", "ALIASES", "EXPOSURE", "on_connect", "on_disconnect"]


@pytest.mark.parametrize("name", OWN)
def test_a_service_does_not_hand_out_its_settings(attack: Any, name: str) -> None:
    """Who could change them would change those of all connections to come."""

    class Open(netobj.Service):
        exposed_cls = netobj.Service

    attacker = attack(Open, {"allow_public_attrs": True})
    for path in ([name], ["cls", name]):
        for op in (Op.GET, Op.CALL):
            with pytest.raises(AccessDenied):
                attacker.ask(op, None, path)
    assert name not in attacker.ask(Op.DIR)


def test_nor_does_a_client_of_classic_mode(conn: Any) -> None:
    before = dict(ClassicClient.CONFIG)
    conn.execute("conn = None")
    conn.namespace["conn"] = conn.root.getconn()
    for name in OWN:
        with pytest.raises(AttributeError):
            conn.eval(f"conn.root.{name}")
    with pytest.raises(AttributeError):
        conn.execute("conn.root.CONFIG['allow_all_attrs'] = True")
    assert before == ClassicClient.CONFIG
