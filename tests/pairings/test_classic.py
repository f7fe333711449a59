"""Classic mode: the other side's whole interpreter, in either skin's spelling."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

import netobj
from pairings import Pair, Pairing

SERVICE = netobj.SlaveService


@pytest.fixture
def conn(pairing: Pairing) -> tuple[Pair, Any]:
    pair = pairing.join(netobj.SlaveService, classic=True)
    return pair, pair.client.connection


class TestModules:
    def test_functions(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        assert pair.get(there.modules.os.getpid()) == os.getpid()
        assert pair.get(there.modules.os.path.join("a", "b")) == os.path.join("a", "b")
        assert pair.get(there.modules["os.path"].basename("/a/b")) == "b"
        assert pair.get(there.modules.sys.version) == sys.version

    def test_builtins(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        assert pair.get(there.builtins.len("four")) == 4
        numbers = pair.get(there.builtins.list(range(4)))
        assert list(pair.items(numbers)) == [0, 1, 2, 3]

    def test_a_module_that_is_not_there(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        with pytest.raises(ImportError, match="no_such_module"):
            pair.get(there.modules["no_such_module"].thing)

    def test_setting(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        made = pair.get(there.modules.types.SimpleNamespace())
        pair.act("setattr", made, "a", [1])
        assert pair.get(made.a) == [1]
        pair.act("delattr", made, "a")
        with pytest.raises(AttributeError):
            pair.get(made.a)


class TestCode:
    def test_eval_execute_and_the_namespace(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        assert pair.get(there.eval("6 * 7")) == 42
        pair.get(there.execute("def double(x): return 2 * x"))
        assert pair.get(there.namespace["double"](21)) == 42
        assert pair.get(there.eval("double('ab')")) == "abab"

    def test_errors_bring_their_traceback(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        pair.get(there.execute("def fail(): raise LookupError('remote', 3)"))
        with pytest.raises(LookupError, match="remote") as caught:
            pair.get(there.namespace["fail"]())
        assert caught.value.args[:2] == ("remote", 3)

    def test_custom_exceptions_that_are_known_here(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        pair.get(there.execute("import configparser"))
        with pytest.raises(sys.modules["configparser"].NoSectionError):
            pair.get(there.eval("configparser.ConfigParser().get('a', 'b')"))

    def test_generators_and_what_is_sent_to_them(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        pair.get(there.execute("def echo():\n  x = yield\n  while True: x = yield (x, x)"))
        echo = pair.get(there.eval("echo()"))
        assert pair.next(echo) is None
        assert pair.get(echo.send("a")) == ("a", "a")
        pair.get(echo.close())

    def test_async_functions(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        pair.get(there.execute("async def later(x): return x"))
        result = pair.get(there.namespace["later"](5))
        if isinstance(there, netobj.Connection):  # gets a coroutine, as it would locally
            coroutine = result

            async def awaited() -> Any:
                return await coroutine

            result = pair.loop.run(awaited())
        assert result == 5

    def test_callbacks(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        assert pair.get(there.builtins.sum(pair.get(there.builtins.map(abs, [-1, -2])))) == 3
        seen: list[Any] = []
        pair.get(there.builtins.list(pair.get(there.builtins.map(seen.append, (1, 2)))))
        assert seen == [1, 2]

    def test_teleport(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        offset = 3

        def shift(x: int, by: int = 1) -> int:
            return x + by + offset

        moved = pair.get(there.teleport(shift))
        assert pair.get(moved(10)) == 14
        assert pair.get(there.eval("shift(1, 1)")) == 5

    def test_teleport_with_globals_of_its_own(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn

        def use() -> int:
            return word  # type: ignore[name-defined] # noqa: F821

        names = pair.get(there.eval("{'word': 17}"))
        moved = pair.get(there.teleport(use, globals=names, def_=False))
        assert pair.get(moved()) == 17
        put_there = pair.get(there.eval("lambda names: 'use' in names"))
        assert pair.get(put_there(names)) is False

    def test_its_globals_are_the_namespace(self, conn: tuple[Pair, Any]) -> None:
        pair, there = conn
        moved = pair.get(there.teleport(lambda: word))  # type: ignore[name-defined] # noqa: F821
        pair.get(there.execute("word = 7"))
        assert pair.get(moved()) == 7
        is_mine = pair.get(there.eval("lambda names: names is globals()"))
        assert pair.get(is_mine(pair.get(there.namespace)))
