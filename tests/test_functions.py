"""Registering: names, groups, what is taken and what is not."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterator
from types import MethodType
from typing import Any

import pytest

import netobj
from netobj.core.exposure import MARK, Exposure, Run, exposure_of
from netobj.core.methods import NEVER_REMOTE
from netobj.core.outcomes import Ruled
from netobj.process_pool import close_pool


@pytest.fixture
def svc() -> netobj.FunctionService:
    return netobj.FunctionService("calc")


def add(a: int, b: int = 1, *, c: int = 0) -> int:
    """Add numbers."""
    return a + b + c


def test_the_function_is_returned_and_not_touched(svc: netobj.FunctionService) -> None:
    assert svc.register(add) is add
    assert MARK not in vars(add)
    decorate = svc.register(name="other", limit=3)
    assert decorate(add) is add


def test_what_is_registered_looks_like_the_function(svc: netobj.FunctionService) -> None:
    svc.register(add)
    method = vars(type(svc))["add"].__func__
    assert (method(1, c=2), method.__doc__) == (4, "Add numbers.")
    assert method.__qualname__ == "calc.add"
    assert inspect.signature(method) == inspect.signature(add)
    svc.register(add, name="other", doc="Something else.")
    assert vars(type(svc))["other"].__doc__ == "Something else."


def test_services_do_not_share_what_is_registered(svc: netobj.FunctionService) -> None:
    other = netobj.FunctionService("calc")
    svc.register(add)
    assert not hasattr(other, "add")
    assert type(svc) is not type(other)
    assert svc.get_service_name() == other.get_service_name() == "CALC"


@pytest.mark.parametrize("name", ["add", "get_service_name", "on_connect", "register"])
def test_a_name_is_given_once(svc: netobj.FunctionService, name: str) -> None:
    svc.register(add)
    with pytest.raises(ValueError, match=r"is registered already|name of every service's own"):
        svc.register(len, name=name)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "__init__", "1"])
def test_a_name_has_to_be_one(svc: netobj.FunctionService, name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        svc.register(add, name=name)
    with pytest.raises(ValueError, match="is no name"):
        svc.mount(name.replace(".", "!"), object())


def test_a_name_in_another_group_is_another(svc: netobj.FunctionService) -> None:
    svc.register(add)
    svc.register(add, group="more")
    with pytest.raises(ValueError, match=r"calc\.more\.add is registered already"):
        svc.register(len, name="add", group="more")
    with pytest.raises(ValueError, match=r"calc\.add is there already, and is no group"):
        svc.register(len, group="add")
    with pytest.raises(ValueError, match=r"calc\.more is registered already"):
        svc.mount("more", object())


@pytest.mark.parametrize("function", [lambda: 1, functools.partial(lambda: 1), object])
def test_what_has_no_name_needs_one(svc: netobj.FunctionService, function: Any) -> None:
    if function is object:
        function = type("Callable", (), {"__call__": lambda self: 1})()
    with pytest.raises(ValueError, match="has no name of its own"):
        svc.register(function)
    svc.register(function, name="one")
    assert vars(type(svc))["one"].__func__() == 1


@pytest.mark.parametrize("what", [1, None, "add"])
def test_what_cannot_be_called_is_not_registered(svc: netobj.FunctionService, what: Any) -> None:
    with pytest.raises(TypeError):
        svc.register()(what)


@pytest.mark.parametrize("what", [math, int, add])
def test_what_is_no_object_is_not_mounted(svc: netobj.FunctionService, what: Any) -> None:
    with pytest.raises(TypeError, match="takes an object with methods"):
        svc.mount("it", what)


@pytest.mark.parametrize("name", ["", 5, "a\nb", None])
def test_a_service_needs_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        netobj.FunctionService(name)


def test_options_are_noted(svc: netobj.FunctionService) -> None:
    svc.register(add, run="thread", limit=3, queue=2, by_value=True, name="other")
    mark = exposure_of(vars(type(svc))["other"])
    assert mark == Exposure(run=Run.THREAD, limit=3, queue=2, by_value=True)


@pytest.mark.parametrize(
    "options",
    [
        {"run": "somewhere"},
        {"run": 5},
        {"limit": 0},
        {"limit": True},
        {"limit": 2.5},
        {"limit": 1, "queue": -1},
        {"queue": 1},
        {"limit_per": "connection"},
        {"limit": 1, "limit_per": "moon"},
        {"limit": 1, "limit_per": 1},
        {"timeout": 0},
        {"timeout": "1"},
        {"timeout": 1, "stream": True},
        {"run": "process", "stream": True},
        {"run": "process", "slow": True},
    ],
    ids=str,
)
def test_options_that_mean_nothing(svc: netobj.FunctionService, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exposed: "):
        svc.register(add, **options)
    with pytest.raises(ValueError, match=r"exposed: "):
        netobj.exposed(**options)
    assert not hasattr(svc, "add")


def test_options_that_are_none(svc: netobj.FunctionService) -> None:
    with pytest.raises(TypeError, match=r"takes no argument 'colour'"):
        svc.register(add, colour="red")  # type: ignore[call-overload]


SERVERS = ["ThreadedServer", "ThreadPoolServer", "ForkingServer", "OneShotServer", "AsyncServer"]


@pytest.mark.parametrize("kind", SERVERS)
def test_any_server_takes_it(svc: netobj.FunctionService, kind: str) -> None:
    svc.register(add)
    svc.register(add, name="plus", group="more", limit=1, queue=1)
    with (
        getattr(netobj, kind)(svc, hostname="127.0.0.1") as server,
        netobj.connect("127.0.0.1", server.port) as conn,
    ):
        assert (conn.root.add(1, c=2), conn.root.more.plus(1, 2)) == (4, 3)


@pytest.mark.parametrize("run", ["process", "thread"])
def test_an_async_def_runs_on_a_loop(svc: netobj.FunctionService, run: str) -> None:
    async def task() -> None: ...

    with pytest.raises(ValueError, match="an async def runs on an event loop"):
        svc.register(task, run=run)
    with pytest.raises(ValueError, match="an async def runs on an event loop"):
        netobj.exposed(run=run)(task)


def test_a_generator_does_not_go_to_a_process() -> None:
    def items() -> Any:
        yield 1

    with pytest.raises(ValueError, match="a generator cannot run in another process"):
        netobj.exposed(run="process")(items)


def price(item: str, count: int = 1) -> float:
    return 2.5 * count if item == "pear" else "free"  # type: ignore[return-value]


def test_registered_functions_may_have_their_types_checked(svc: netobj.FunctionService) -> None:
    svc.register(price, check_types=True)
    svc.register(price, name="elsewhere", run="process", check_types=True)
    svc.register(math.floor, check_types=True)

    @svc.register(check_types=True, group="streams")
    def numbers(to: int) -> Iterator[int]:
        yield from range(to)
        yield "many"  # type: ignore[misc]

    assert price(1) == "free"  # type: ignore[arg-type,comparison-overlap]
    with netobj.connect_thread(remote_service=svc) as conn:
        for function in (conn.root.price, conn.root.elsewhere):
            assert function("pear", 2) == 5.0
            with pytest.raises(TypeError, match=r"\(\): the argument 'count': str is not an"):
                function("pear", "2")
            with pytest.raises(TypeError, match=r"\(\): the result: str is neither float or int"):
                function("apple")
        assert conn.root.floor(1.5) == 1
        items = iter(conn.root.streams.numbers(1))
        assert next(items) == 0
        with pytest.raises(TypeError, match="item 1 of the result"):
            next(items)
    close_pool(type(svc))


def test_a_namespace_seen_from_afar() -> None:
    svc = netobj.FunctionService("far")

    @svc.register(group="text.find")
    def vowels(text: str) -> int:
        """How many there are."""
        return sum(letter in "aeiou" for letter in text)

    @svc.register(group="text")
    def echo(stream: Any) -> None:
        for item in stream:
            stream.send(item)

    with netobj.connect_thread(remote_service=svc) as conn:
        text = conn.root.text
        assert repr(text) == "<remote namespace text of a netobj.functions.far>"
        assert repr(text.find.vowels).startswith("<remote method text.find.vowels of a ")
        assert hash(text.find) == hash(conn.root.text.find)
        assert (text.find.__name__, text.find.vowels.__doc__) == ("find", "How many there are.")
        assert {"find", "echo"} <= set(dir(text))
        assert text.find.____target__.vowels("netobj") == 2
        assert isinstance(text.find.vowels, MethodType)
        assert not isinstance(text.find, MethodType)
        assert text.find.vowels("netobj") == netobj.async_(text.find.vowels)("netobj").value == 2
        with text.echo.open() as end:
            end.send(1)
            assert end.receive() == 1
        with pytest.raises(AttributeError):
            text.nothing  # noqa: B018
        with pytest.raises(AttributeError):
            text.open()
        with pytest.raises(netobj.AccessDenied):
            text.name = 1
        with pytest.raises(AttributeError):
            getattr(text, next(iter(NEVER_REMOTE)))
        assert type(type(conn.root).text).__name__ != "Nested"
        assert text.__reduce_ex__(2) == (getattr, (text.__self__, "text"))


class Doubles:
    def __call__(self, number: int) -> int:
        return 2 * number


def test_an_object_that_is_called_is_named_by_its_class() -> None:
    ruled = Ruled(Exposure(limit=1), Doubles(), (2,), {}, lambda value: value)
    assert "Doubles" in ruled.name
    assert ruled.run() == 4
