"""Iteration over what is remote: containers, iterators, generators plain and asynchronous."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import netobj
from pairings import Pair, wait_until


class Counting:
    """An iterator that is no generator, and notes how often it was asked."""

    def __init__(self, stop: int) -> None:
        self.exposed_asked = 0
        self._stop = stop

    def __iter__(self) -> Counting:
        return self

    def __next__(self) -> int:
        if self.exposed_asked == self._stop:
            raise StopIteration
        self.exposed_asked += 1
        return self.exposed_asked


class Log:
    """What generators have done, for all to see."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.closed = threading.Event()


class Iterables(netobj.Service):
    log: Log

    @netobj.exposed
    def container(self, kind: str, size: int) -> Any:
        if kind == "dict":
            return dict.fromkeys(range(size))
        return {"list": list, "set": set, "bytearray": bytearray}[kind](range(size))

    @netobj.exposed
    def view(self, what: str) -> Any:
        return getattr({"a": 1, "b": 2}, what)()

    @netobj.exposed
    def nested(self) -> Any:
        return [[n, [n]] for n in range(40)]

    @netobj.exposed
    def counting(self, stop: int) -> Any:
        return Counting(stop)

    @netobj.exposed
    def plain(self, stop: int) -> Iterator[int]:
        try:
            for n in range(stop):
                self.log.lines.append(n)
                yield n
        finally:
            self.log.closed.set()

    @netobj.exposed
    async def asynchronous(self, stop: int) -> AsyncIterator[int]:
        try:
            for n in range(stop):
                self.log.lines.append(n)
                yield n
        finally:
            self.log.closed.set()

    @netobj.exposed
    def failing(self) -> Iterator[int]:
        yield 1
        raise LookupError("in the middle")

    @netobj.exposed
    async def failing_asynchronous(self) -> AsyncIterator[int]:
        yield 1
        raise LookupError("in the middle")

    @netobj.exposed
    def talking(self) -> Iterator[Any]:
        said = []
        while True:
            try:
                said.append((yield tuple(said)))
            except KeyError as exc:
                said.append(("caught", exc.args[0]))

    @netobj.exposed
    async def talking_asynchronous(self) -> AsyncIterator[Any]:
        said = []
        while True:
            try:
                said.append((yield tuple(said)))
            except KeyError as exc:
                said.append(("caught", exc.args[0]))


SERVICE = Iterables
GENERATORS = pytest.mark.parametrize("method", ["plain", "asynchronous"])
TALKING = pytest.mark.parametrize(
    ("method", "send", "throw", "close"),
    [
        ("talking", "send", "throw", "close"),
        ("talking_asynchronous", "asend", "athrow", "aclose"),
    ],
)


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    Iterables.log = Log()


class TestContainers:
    @pytest.mark.parametrize("kind", ["list", "dict", "set", "bytearray"])
    @pytest.mark.parametrize("size", [0, 1, 200])
    def test_each_item_once_in_order(self, pair: Pair, kind: str, size: int) -> None:
        container = pair.get(pair.root.container(kind, size))
        assert list(pair.items(container)) == list(range(size))
        assert list(pair.items(container)) == list(range(size))

    @pytest.mark.parametrize("what", ["keys", "values", "items"])
    def test_views(self, pair: Pair, what: str) -> None:
        expected = list(getattr({"a": 1, "b": 2}, what)())
        assert list(pair.items(pair.get(pair.root.view(what)))) == expected

    def test_of_containers(self, pair: Pair) -> None:
        for n, row in enumerate(pair.items(pair.get(pair.root.nested()))):
            first, inner = pair.items(row)
            assert first == n
            assert list(pair.items(inner)) == [n]

    def test_what_is_changed_meanwhile_shows_as_locally(self, pair: Pair) -> None:
        table = pair.get(pair.root.container("dict", 200))
        items = pair.items(table)
        next(items)
        pair.act("setitem", table, "new", 1)
        with pytest.raises(RuntimeError, match="changed size"):
            list(items)


class TestIterators:
    def test_are_asked_for_one_item_at_a_time(self, pair: Pair) -> None:
        counting = pair.get(pair.root.counting(3))
        items = pair.items(counting)
        assert next(items) == 1
        assert pair.get(counting.asked) == 1
        assert list(items) == [2, 3]

    def test_directly_from_the_expression(self, pair: Pair) -> None:
        assert list(pair.items(pair.root.counting(4))) == [1, 2, 3, 4]

    @GENERATORS
    def test_generators_do_not_run_ahead(self, pair: Pair, method: str) -> None:
        items = pair.items(getattr(pair.root, method)(5))
        assert Iterables.log.lines == []
        assert next(items) == 0
        assert next(items) == 1
        assert Iterables.log.lines == [0, 1]
        assert list(items) == [2, 3, 4]
        assert Iterables.log.closed.is_set()
        assert list(items) == []

    @GENERATORS
    def test_close_runs_the_finally_over_there(self, pair: Pair, method: str) -> None:
        items = pair.items(getattr(pair.root, method)(5))
        assert next(items) == 0
        items.close()
        assert Iterables.log.closed.is_set()

    @GENERATORS
    def test_what_nobody_has_any_more_is_closed_over_there(self, pair: Pair, method: str) -> None:
        items = pair.items(getattr(pair.root, method)(5))
        assert next(items) == 0
        del items
        pair.assert_clean()
        wait_until(Iterables.log.closed.is_set)

    @pytest.mark.parametrize("method", ["failing", "failing_asynchronous"])
    def test_an_error_comes_behind_the_items(self, pair: Pair, method: str) -> None:
        items = pair.items(getattr(pair.root, method)())
        assert next(items) == 1
        with pytest.raises(LookupError, match="in the middle"):
            next(items)
        assert list(items) == []


class TestTalking:
    @TALKING
    def test_send(self, pair: Pair, method: str, send: str, throw: str, close: str) -> None:
        talking = pair.get(getattr(pair.root, method)())
        assert pair.next(talking) == ()
        assert pair.get(getattr(talking, send)("a")) == ("a",)
        assert pair.get(getattr(talking, send)("b")) == ("a", "b")
        pair.get(getattr(talking, close)())

    @TALKING
    def test_throw(self, pair: Pair, method: str, send: str, throw: str, close: str) -> None:
        talking = pair.get(getattr(pair.root, method)())
        assert pair.next(talking) == ()
        assert pair.get(getattr(talking, throw)(KeyError("k"))) == (("caught", "k"),)
        mine = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught:
            pair.get(getattr(talking, throw)(mine))
        assert caught.value is mine

    @TALKING
    def test_close(self, pair: Pair, method: str, send: str, throw: str, close: str) -> None:
        talking = pair.get(getattr(pair.root, method)())
        assert pair.next(talking) == ()
        pair.get(getattr(talking, close)())
        with pytest.raises(StopIteration):
            pair.next(talking)


def test_the_value_of_a_generator(pair: Pair) -> None:
    generator = pair.get(pair.root.plain(1))
    assert pair.next(generator) == 0
    with pytest.raises(StopIteration):
        pair.next(generator)
