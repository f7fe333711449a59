"""``netobj call``: arguments as they are typed, results as they are printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import netobj
from netobj.cli.calling import literal, protected
from netobj.cli.main import Netobj


class Tools(netobj.Service):
    @netobj.exposed
    def drill(self, depth: int = 1) -> str:
        return f"drilled {depth}"


class Odd:
    def __repr__(self) -> str:
        return "odd\x1b[31m\nand long"


class Workshop(netobj.Service):
    """One function of every kind."""

    def __init__(self) -> None:
        self.exposed_tools = Tools()
        self.exposed_value = 3

    @netobj.exposed
    def show(self, *args: Any, **kwargs: Any) -> str:
        return f"{args} {kwargs}"

    @netobj.exposed
    def nothing(self) -> None: ...

    @netobj.exposed
    async def later(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def nested(self) -> Any:
        return {"list": [1, (2, [3])], "none": None}

    @netobj.exposed(by_value=True)
    def copied(self) -> Any:
        return {"list": [1, (2, [3])], "none": None}

    @netobj.exposed
    def odd(self) -> Any:
        return Odd()

    @netobj.exposed(stream=True)
    def count(self, most: int) -> Iterator[Any]:
        yield from range(most)
        if most > 2:
            raise ArithmeticError("too many")

    @netobj.exposed(stream=True)
    async def acount(self, most: int) -> AsyncIterator[Any]:
        for number in range(most):
            yield [number]

    @netobj.exposed
    def generate(self) -> Iterator[str]:
        yield "a"
        yield "b"

    @netobj.exposed
    def fail(self) -> None:
        raise ValueError("several\nlines \x1b[31m")

    @netobj.exposed
    def text(self) -> str:
        return "\x1b[31mred"


@pytest.fixture(params=["ThreadedServer", "AsyncServer"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with getattr(netobj, request.param)(Workshop, hostname="127.0.0.1") as server:
        yield f"127.0.0.1:{server.port}"


class Caller:
    def __init__(self, address: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._address = address
        self._capsys = capsys

    def __call__(self, *words: str, switches: tuple[str, ...] = ()) -> tuple[int, str, str]:
        """What ``netobj call`` exits with, and prints."""
        argv = protected(["netobj", "call", *switches, self._address, *words])
        code = Netobj.run(argv, exit=False)[1]
        return code, *self._capsys.readouterr()


@pytest.fixture
def call(address: str, capsys: pytest.CaptureFixture[str]) -> Caller:
    return Caller(address, capsys)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), "() {}"),
        (("1", "-2", "2.5", "-.5", "1e3"), "(1, -2, 2.5, -0.5, 1000.0) {}"),
        (("None", "True", "none", "yes"), "(None, True, 'none', 'yes') {}"),
        (("'1'", '"a b"', "a b", ""), "('1', 'a b', 'a b', '') {}"),
        (("b'x'", "(1, 2)", "1 + 1"), "(b'x', (1, 2), '1 + 1') {}"),
        (("a=1", "b=text", "c=", "d=e=f"), "() {'a': 1, 'b': 'text', 'c': '', 'd': 'e=f'}"),
        (("1=2", "http://x?a=b", "'a=b'"), "('1=2', 'http://x?a=b', 'a=b') {}"),
        (("--", "-x", "--json", "-1"), "('-x', '--json', -1) {}"),
        (("__import__('os')",), "(\"__import__('os')\",) {}"),
    ],
)
def test_arguments(call: Caller, words: tuple[str, ...], shown: str) -> None:
    assert call("show", *words) == (0, repr(shown) + "\n", "")


def test_literals_that_cannot_be() -> None:
    for word in ("{[]: 1}", "[" * 10_000, "1_", "0x", "\0", "{1: 2, **{}}"):
        assert literal(word) == word


def test_results(call: Caller) -> None:
    assert call("nothing") == (0, "None\n", "")
    assert call("later", "3") == (0, "3\n", "")
    assert call("nested") == (0, "{'list': [1, (2, [3])], 'none': None}\n", "")
    assert call("copied") == call("nested")
    assert call("tools.drill", "depth=2") == (0, "'drilled 2'\n", "")


def test_streams_are_printed_item_by_item(call: Caller) -> None:
    assert call("count", "2") == (0, "0\n1\n", "")
    assert call("acount", "2") == (0, "[0]\n[1]\n", "")
    assert call("generate") == (0, "'a'\n'b'\n", "")
    code, out, err = call("count", "3")
    assert (code, out, err) == (1, "0\n1\n2\n", "netobj call: ArithmeticError: too many\n")


def test_json(call: Caller) -> None:
    for name in ("nested", "copied"):
        code, out, err = call(name, switches=("--json",))
        assert (code, err) == (0, "")
        assert json.loads(out) == {"list": [1, [2, [3]]], "none": None}
    assert call("acount", "2", switches=("--json",)) == (0, "[0]\n[1]\n", "")
    assert call("text", switches=("--json",)) == (0, '"\\u001b[31mred"\n', "")


def test_what_has_no_json(call: Caller) -> None:
    for words in (("later", "b'x'"), ("odd",), ("later", "{1}")):
        code, out, err = call(*words, switches=("--json",))
        assert (code, out) == (1, "")
        assert err.startswith("netobj call: the result has no JSON: ")
        assert err.count("\n") == 1


def test_errors_are_one_line(call: Caller) -> None:
    assert call("fail") == (1, "", "netobj call: ValueError: several\\nlines \\x1b[31m\n")
    for words in (("no_such_name",), ("tools.no_such",), ("show.x.y",), ("value",), ("",)):
        code, out, err = call(*words)
        assert (code, out) == (1, "")
        assert err.startswith("netobj call: ")
        assert err.count("\n") == 1


def test_nothing_of_the_peers_steers_the_terminal(call: Caller) -> None:
    assert call("text") == (0, "'\\x1b[31mred'\n", "")
    assert call("odd") == (0, "odd\\x1b[31m\nand long\n", "")


def test_a_call_that_takes_too_long_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    class Slow(netobj.Service):
        @netobj.exposed
        async def wait(self) -> None:
            await asyncio.sleep(3600)

    with netobj.AsyncServer(Slow, hostname="127.0.0.1") as server:
        call = Caller(f"127.0.0.1:{server.port}", capsys)
        code, out, err = call("wait", switches=("--timeout", "0"))
    assert (code, out) == (1, "")
    assert err.startswith("netobj call: AsyncResultTimeout: ")
