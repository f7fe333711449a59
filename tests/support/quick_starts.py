"""Three servers of twenty functions each, as the quick starts of easyrpc, pymprpc and rap have.

Each is a service, and a table of what to call, with which arguments, and what comes of it. A list
is what a stream gives, or a list by value. Worker processes import this module.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import netobj


class Asked(NamedTuple):
    """One call, and what is expected of it."""

    name: str  # with dots in groups
    args: tuple[Any, ...]
    result: Any
    kwargs: dict[str, Any] = {}  # noqa: RUF012  (nobody changes it)


# --- easyrpc: decorated functions, plain ones in processes, flows with a maximum ------------------


def fibonacci(n: int) -> int:
    """The n-th Fibonacci number, slowly."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def sum_of_squares(n: int) -> int:
    return sum(number * number for number in range(n))


def collatz(n: int) -> int:
    steps = 0
    while n != 1:
        n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
    return steps


def easyrpc_style() -> tuple[netobj.FunctionService, list[Asked]]:
    """``@s.register(maximum_flow=100)``: here ``limit=100``; plain functions in processes."""
    s = netobj.FunctionService("easy", processes=2)
    seen: list[str] = []

    @s.register
    def test(n: int) -> int:
        return n + 1

    @s.register
    async def fib_async(n: int) -> int:
        a, b = 0, 1
        for _ in range(n):
            a, b = b, a + b
        return a

    @s.register(name="fast", limit=100, queue=100)
    def quick(n: int) -> int:
        return -n

    @s.register(limit=1, queue=1000)
    async def one_by_one(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @s.register(timeout=30)
    async def within(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "in time"

    @s.register(timeout=30, run="thread")
    def within_thread(text: str) -> str:
        return text * 2

    @s.register(run="inline")
    def at_once(a: int, b: int = 2, *, c: int = 3) -> int:
        return a * b * c

    @s.register(run="loop")
    async def on_a_loop() -> bool:
        return asyncio.get_running_loop().is_running()

    @s.register(by_value=True)
    def table(n: int) -> dict[str, int]:
        return {str(number): number for number in range(n)}

    @s.register(arguments_by_value=True)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @s.register(concurrent=True)
    def note(text: str) -> int:
        seen.append(text)
        return len(seen)

    @s.register
    def chunks(text: str, size: int) -> Iterator[str]:
        for start in range(0, len(text), size):
            yield text[start : start + size]

    @s.register
    async def ticks(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    @s.register(local_only=True)
    def here() -> str:
        return "here"

    s.register(fibonacci, name="fib_sync", run="process", limit=100, queue=100)
    s.register(sum_of_squares, run="process")
    s.register(collatz, run="process", timeout=30)
    s.register(math.factorial, run="process")
    s.register(math.gcd)
    s.register(lambda *items: max(items), name="largest")
    return s, [
        Asked("test", (1,), 2),
        Asked("fib_async", (90,), 2880067194370816120),
        Asked("fast", (3,), -3),
        Asked("one_by_one", (7,), 7),
        Asked("within", (0.0,), "in time"),
        Asked("within_thread", ("ab",), "abab"),
        Asked("at_once", (5,), 100, {"c": 10}),
        Asked("on_a_loop", (), True),
        Asked("table", (2,), {"0": 0, "1": 1}),
        Asked("total", ([1, 2, 3],), 6),
        Asked("note", ("x",), 1),
        Asked("chunks", ("abcde", 2), ["ab", "cd", "e"]),
        Asked("ticks", (3,), [0, 1, 2]),
        Asked("here", (), "here"),
        Asked("fib_sync", (10,), 55),
        Asked("sum_of_squares", (4,), 14),
        Asked("collatz", (27,), 111),
        Asked("factorial", (20,), 2432902008176640000),
        Asked("gcd", (12, 18), 6),
        Asked("largest", (1, 9, 4), 9),
    ]


# --- pymprpc: functions and an instance, introspection, streams -----------------------------------


def pymprpc_style() -> tuple[netobj.FunctionService, list[Asked]]:
    """``@server.register_function()`` and ``server.register_instance(t)``."""
    server = netobj.FunctionService("pym")

    @server.register
    def testfunc(a: int, b: int) -> int:
        """This one has help."""
        return a + b

    @server.register
    async def testcoro(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    @server.register
    async def testcorogen(a: int, b: int) -> AsyncIterator[int]:
        for i in range(10):
            await asyncio.sleep(0)
            yield i + a + b

    @server.register
    def testgen(n: int) -> Iterator[int]:
        yield from range(n)

    class TestClass:
        def testclassmethod(self, a: int, b: int) -> int:
            return a + b

        async def testclasscoro(self, a: int, b: int) -> int:
            await asyncio.sleep(0)
            return a + b

        async def testclasscorogen(self, a: int, b: int) -> AsyncIterator[int]:
            for i in range(10):
                await asyncio.sleep(0)
                yield i + a + b

        def testclassgen(self, n: int) -> Iterator[int]:
            yield from range(n)

        @classmethod
        def ofclass(cls) -> str:
            return cls.__name__

        @staticmethod
        def static(a: int) -> int:
            return -a

    t = TestClass()
    for name in dir(t):
        if not name.startswith("_"):
            server.register(getattr(t, name), name=name)

    class Shelf:
        def __init__(self) -> None:
            self.books = ["Emma"]

        def add(self, title: str) -> int:
            self.books.append(title)
            return len(self.books)

        def titles(self) -> tuple[str, ...]:
            return tuple(self.books)

    server.mount("shelf", Shelf(), public=True)

    @server.register(name="echo")
    def say_again(text: str) -> str:
        return text

    @server.register
    def divide(a: float, b: float = 1.0) -> float:
        return a / b

    @server.register(run="thread")
    def in_thread(n: int) -> int:
        return n * n

    @server.register(run="loop")
    async def in_loop(n: int) -> int:
        return n * n

    @server.register(doc="Says what it was told.")
    def describe(**named: int) -> str:
        return ", ".join(f"{name}={value}" for name, value in sorted(named.items()))

    server.register(len)
    server.register(str.upper, name="upper")
    server.register(collatz, run="process")
    return server, [
        Asked("testfunc", (5, 4), 9),
        Asked("testcoro", (5, 6), 11),
        Asked("testcorogen", (1, 2), list(range(3, 13))),
        Asked("testgen", (3,), [0, 1, 2]),
        Asked("testclassmethod", (1, 2), 3),
        Asked("testclasscoro", (2, 3), 5),
        Asked("testclasscorogen", (0, 1), list(range(1, 11))),
        Asked("testclassgen", (2,), [0, 1]),
        Asked("ofclass", (), "TestClass"),
        Asked("static", (4,), -4),
        Asked("shelf.add", ("Persuasion",), 2),
        Asked("shelf.titles", (), ("Emma", "Persuasion")),
        Asked("echo", ("hello",), "hello"),
        Asked("divide", (1,), 0.25, {"b": 4}),
        Asked("in_thread", (12,), 144),
        Asked("in_loop", (12,), 144),
        Asked("describe", (), "a=1, b=2", {"b": 2, "a": 1}),
        Asked("len", ((1, 2, 3),), 3),
        Asked("upper", ("abc",), "ABC"),
        Asked("collatz", (6,), 8),
    ]


# --- rap: typed functions, aliases, groups, private ones ------------------------------------------


def sync_sum(a: int, b: int) -> int:
    return a + b


async def async_sum(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def async_gen(a: int) -> AsyncIterator[int]:
    for i in range(a):
        yield i


def names(count: int) -> list[str]:
    return [f"name {number}" for number in range(count)]


def wrong_result(a: int) -> int:
    return f"{a}"  # type: ignore[return-value]  # this is what is to be found out


def rap_style() -> tuple[netobj.FunctionService, list[Asked]]:
    """``server.register(func, name=, group=, is_private=)``, with hints that are checked."""
    server = netobj.FunctionService("rap")
    server.register(sync_sum, check_types=True)
    server.register(async_sum, check_types=True)
    server.register(async_gen, check_types=True)
    server.register(names, check_types=True, by_value=True)
    server.register(wrong_result, check_types=True)
    server.register(async_sum, name="sum_alias")
    server.register(async_sum, group="new_group")
    server.register(sync_sum, group="new_group")
    server.register(sync_sum, group="root_group", local_only=True)
    server.register(async_gen, group="new_group.streams")
    server.register(math.hypot, group="math")
    server.register(math.sqrt, group="math")
    server.register(math.comb, group="math.whole")
    server.register(sorted, by_value=True, arguments_by_value=True)
    server.register(lambda text: text[::-1], name="reversed", doc="par -> rap")

    class Counter:
        def __init__(self) -> None:
            self._count = 0

        @netobj.exposed
        def up(self, by: int = 1) -> int:
            self._count += by
            return self._count

        @netobj.exposed
        async def later(self) -> int:
            return self._count

        @netobj.exposed(check_types=True)
        def set_to(self, value: int) -> None:
            self._count = value

        def hidden(self) -> None:
            raise AssertionError

    server.mount("counter", Counter())

    @server.register
    async def channel(stream: Any) -> None:
        """A duplex: each word comes back in capitals."""
        async for word in stream:
            await stream.send(word.upper())

    inner = netobj.FunctionService("inner")
    inner.register(sync_sum, name="add")
    server.mount("inner", inner)
    return server, [
        Asked("sync_sum", (1, 2), 3),
        Asked("async_sum", (1, 3), 4),
        Asked("async_gen", (10,), list(range(10))),
        Asked("names", (2,), ["name 0", "name 1"]),
        Asked("sum_alias", (1, 1), 2),
        Asked("new_group.async_sum", (2, 2), 4),
        Asked("new_group.sync_sum", (2, 3), 5),
        Asked("root_group.sync_sum", (3, 3), 6),
        Asked("new_group.streams.async_gen", (2,), [0, 1]),
        Asked("math.hypot", (3, 4), 5.0),
        Asked("math.sqrt", (49,), 7.0),
        Asked("math.whole.comb", (5, 2), 10),
        Asked("sorted", ([3, 1, 2],), [1, 2, 3]),
        Asked("reversed", ("rap",), "par"),
        Asked("counter.up", (), 1),
        Asked("counter.up", (), 6, {"by": 5}),
        Asked("counter.later", (), 6),
        Asked("counter.set_to", (0,), None),
        Asked("inner.add", (4, 4), 8),
    ]


STYLES: dict[str, Callable[[], tuple[netobj.FunctionService, list[Asked]]]] = {
    "easyrpc": easyrpc_style,
    "pymprpc": pymprpc_style,
    "rap": rap_style,
}
