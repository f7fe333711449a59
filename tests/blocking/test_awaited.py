"""Proxies of coroutines, asynchronous generators and their like, in threads and on loops."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import netobj

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]

SOURCE = """
import asyncio
log = []

async def count(limit):
    try:
        for number in range(limit):
            await asyncio.sleep(0)
            try:
                said = yield number
            except KeyError as exc:
                log.append(repr(exc))
                said = yield "caught"
            if said is not None:
                log.append(said)
    finally:
        log.append("closed")

class Manager:
    def __init__(self, swallow):
        self.swallow = swallow
    async def __aenter__(self):
        await asyncio.sleep(0)
        return "entered"
    async def __aexit__(self, kind, exc, traceback):
        await asyncio.sleep(0)
        log.append(repr(exc))
        return self.swallow

class Counter:
    def __init__(self):
        self.number = 0
    def __aiter__(self):
        return self
    async def __anext__(self):
        self.number += 1
        if self.number > 3:
            raise StopAsyncIteration
        return self.number

async def double(number):
    await asyncio.sleep(0)
    return 2 * number

class Fails:
    def __await__(self):
        raise LookupError("never")
        yield
"""


@pytest.fixture
def conn(pair: Pair) -> netobj.Connection:
    here, _ = pair()
    here.root.execute(SOURCE)
    return here


@pytest.fixture
def log(conn: netobj.Connection) -> Any:
    return conn.root.eval("log")


def on_loop(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # blocking calls between the awaited ones
        return asyncio.run(main())


# --- in threads ---------------------------------------------------------------------------------


def test_an_asynchronous_generator_in_a_plain_loop(conn: netobj.Connection, log: Any) -> None:
    numbers = conn.root.eval("count(3)")
    assert iter(numbers) is numbers
    assert list(numbers) == [0, 1, 2]
    assert list(numbers) == []
    assert log.pop() == "closed"


def test_send_throw_and_close(conn: netobj.Connection, log: Any) -> None:
    numbers = conn.root.eval("count(10)")
    assert next(numbers) == 0
    assert numbers.send("hello") == 1
    assert log.pop() == "hello"
    assert numbers.throw(KeyError("thrown")) == "caught"
    assert log.pop() == "KeyError('thrown')"
    assert next(numbers) == 2
    numbers.close()
    assert log.pop() == "closed"
    with pytest.raises(StopIteration):
        next(numbers)
    numbers.close()


def test_what_is_thrown_comes_home(conn: netobj.Connection) -> None:
    numbers = conn.root.eval("count(10)")
    next(numbers)
    error = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        numbers.throw(error)
    assert caught.value is error
    other = conn.root.eval("count(10)")
    next(other)
    with pytest.raises(ZeroDivisionError, match="by a class"):
        other.throw(ZeroDivisionError, "by a class")
    with pytest.raises(TypeError, match="takes an exception, not a int"):
        other.throw(3)


def test_throw_of_a_plain_generator_as_before(conn: netobj.Connection) -> None:
    conn.root.execute("def plain():\n    yield 1\n    yield 2")
    for arguments in ((LookupError("x"),), (LookupError, "x"), (LookupError, LookupError("x"))):
        numbers = conn.root.eval("plain()")
        next(numbers)
        with pytest.raises(LookupError, match="x"):
            numbers.throw(*arguments)
    with pytest.raises(TypeError):
        numbers.throw(3)


def test_a_generator_that_stops_when_something_is_sent(conn: netobj.Connection) -> None:
    numbers = conn.root.eval("count(1)")
    next(numbers)
    with pytest.raises(StopIteration):
        numbers.send("last")


# --- on a loop ----------------------------------------------------------------------------------


def test_async_for(conn: netobj.Connection, log: Any) -> None:
    async def main() -> list[Any]:
        numbers = [number async for number in conn.root.eval("count(3)")]
        return numbers + [number async for number in conn.root.eval("Counter()")]

    assert on_loop(main) == [0, 1, 2, 1, 2, 3]
    assert log.pop() == "closed"


def test_await(conn: netobj.Connection) -> None:
    async def main() -> None:
        (coroutine,) = conn.root.eval("[double(21)]")
        assert await coroutine == 42
        with pytest.raises(LookupError, match="never"):
            await conn.root.eval("Fails()")

    on_loop(main)


@pytest.mark.parametrize("swallow", [True, False])
def test_async_with(conn: netobj.Connection, log: Any, swallow: bool) -> None:
    error = LookupError("in the block")

    async def enter(fail: bool) -> None:
        async with conn.root.eval("Manager")(swallow) as entered:
            assert entered == "entered"
            if fail:
                raise error

    on_loop(lambda: enter(False))
    assert log.pop() == "None"
    if swallow:
        on_loop(lambda: enter(True))
    else:
        with pytest.raises(LookupError) as caught:
            on_loop(lambda: enter(True))
        assert caught.value is error
    assert log.pop() == "LookupError('in the block')"


def test_the_calls_of_a_loop_go_on_side_by_side(conn: netobj.Connection) -> None:
    double = netobj.async_(conn.root.eval("double"))

    async def main() -> list[int]:
        coroutines = await asyncio.gather(*(double(number) for number in range(50)))
        return await asyncio.gather(*coroutines)

    assert on_loop(main) == [2 * number for number in range(50)]


def test_only_asynchronous_generators_are_pulled_by_threads(conn: netobj.Connection) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        iter(conn.root.eval("Counter()"))


# --- exposed methods ----------------------------------------------------------------------------


class Steps(netobj.Service):
    """A method that is an asynchronous generator, but no stream: consumed step by step."""

    def __init__(self) -> None:
        self.made = 0

    async def exposed_steps(self, limit: int) -> Any:
        for number in range(limit):
            self.made += 1
            yield number


def test_a_method_that_is_an_asynchronous_generator(pair: Pair) -> None:
    service = Steps()
    here, _ = pair(there=service)
    steps: Iterator[int] = here.root.steps(3)
    assert next(steps) == 0
    assert service.made == 1  # it does not run ahead
    assert list(steps) == [1, 2]
