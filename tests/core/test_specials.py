"""Special methods of proxies: those that are awaited, pulled or opened, and buffers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from fakewire import CLASSIC, FakeWire
from netobj.core.ends import Duplex
from netobj.core.quiet import quietly
from netobj.errors import ProtocolError


class Manager:
    def __init__(self) -> None:
        self.left_with: list[BaseException | None] = []

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, kind: Any, exc: BaseException | None, traceback: Any) -> bool:
        self.left_with.append(exc)
        return True


class Promised:
    def __await__(self) -> Generator[Any, None, str]:
        return "kept"
        yield


class Counter:
    def __init__(self) -> None:
        self.number = 0

    def __aiter__(self) -> Counter:
        return self

    async def __anext__(self) -> int:
        self.number += 1
        if self.number > 2:
            raise StopAsyncIteration
        return self.number


class Numbers:
    """Has an array, and no buffer."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return numpy.arange(3)


def remote(**things: Any) -> tuple[FakeWire, Any]:
    wire = FakeWire(right_root=SimpleNamespace(**things), left_config=CLASSIC, right_config=CLASSIC)
    return wire, wire.left.root


class TestAwaited:
    def test_what_can_be_awaited(self) -> None:
        wire, root = remote(thing=Promised())
        thing = root.thing

        async def wait() -> Any:
            return await thing

        assert wire.run(wait()) == "kept"

    def test_a_context_manager(self) -> None:
        manager = Manager()
        wire, root = remote(manager=manager)
        there = root.manager
        error = KeyError("mine")

        async def enter(error: Exception | None) -> Any:
            async with there as entered:
                if error is not None:
                    raise error
            return entered

        assert wire.run(enter(None)) == "entered"
        assert wire.run(enter(error)) == "entered"
        assert manager.left_with[0] is None
        assert repr(manager.left_with[1]) == repr(error)

    def test_an_iterator(self) -> None:
        wire, root = remote(counter=Counter())
        counter = root.counter

        async def collect() -> list[int]:
            return [number async for number in counter]

        assert wire.run(collect()) == [1, 2]


class TestAsynchronousGenerators:
    """Threads pull them like others."""

    def test_everything_that_generators_can_do(self) -> None:
        log: list[Any] = []

        async def talk() -> AsyncIterator[Any]:
            try:
                log.append((yield 1))
                try:
                    yield 2
                except KeyError as exc:
                    log.append(exc)
                    yield 3
                yield 4
            finally:
                log.append("closed")

        error = KeyError("in")
        _, root = remote(talk=talk)
        generator = root.talk()
        assert iter(generator) is generator
        assert next(generator) == 1
        assert generator.send("said") == 2
        assert generator.throw(error) == 3
        with pytest.raises(TypeError, match="throw"):
            generator.throw(3)
        generator.close()
        assert log[0] == "said"
        assert repr(log[1]) == repr(error)
        assert log[2] == "closed"
        assert list(generator) == []


class TestOpening:
    def test_functions_and_methods_have_open(self) -> None:
        def echo(end: Any, *more: int) -> None:
            end.send(more)

        class Thing:
            def method(self, end: Any, more: int) -> None:
                end.send(more)

        _, root = remote(echo=echo, method=Thing().method, thing=Thing())
        for opened, first in (
            (root.echo.open(1, 2), (1, 2)),
            (root.method.open(3), 3),
            (root.thing.method.open(4), 4),
        ):
            assert type(opened) is Duplex
            assert list(opened) == [first]

    def test_a_method_that_was_fetched(self) -> None:
        class Thing:
            def method(self, end: Any) -> None:
                end.send("old")

        _, root = remote(thing=Thing())
        thing = root.thing
        method = thing.method
        thing.method = None
        assert list(method.open()) == ["old"]


class TestBuffers:
    def test_empty_ones(self) -> None:
        _, root = remote(nothing=bytearray(), array=numpy.zeros(0, "u1"))
        for proxy in (root.nothing, root.array):
            assert bytes(type(proxy).__buffer__(proxy, 0)) == b""

    def test_views(self) -> None:
        _, root = remote(data=bytearray(b"abc"), array=numpy.arange(3, dtype="<i4"))
        data = root.data
        view = type(data).__buffer__(data, 0)
        assert (view.tobytes(), view.readonly) == (b"abc", True)
        array = root.array
        view = type(array).__buffer__(array, 0)
        assert (view.tolist(), view.readonly) == ([0, 1, 2], False)

    def test_what_has_an_array(self) -> None:
        _, root = remote(numbers=Numbers(), data=bytearray(b"abc"))
        assert numpy.asarray(root.numbers).tolist() == [0, 1, 2]
        assert numpy.asarray(root.numbers, dtype="f8").dtype == "f8"
        assert numpy.asarray(root.data).tolist() == [97, 98, 99]
        assert numpy.asarray(root.data, dtype="f8").tolist() == [97.0, 98.0, 99.0]

    @pytest.mark.parametrize("answer", [(True, b"x"), (None, b"x")])
    def test_an_answer_that_is_no_array(self, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        wire, root = remote(numbers=Numbers())
        numbers = root.numbers
        monkeypatch.setattr(wire.left, "request", lambda *args: answer)
        with pytest.raises(ProtocolError, match="no array"):
            type(numbers).__array__(numbers)

    @pytest.mark.parametrize("code", ["O", "BB", "Bx"])
    def test_items_that_are_no_numbers(self, code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        wire, root = remote(data=bytearray(b"abc"))
        data = root.data
        monkeypatch.setattr(wire.left, "request", lambda *args: (b"abc", code, (3,)))
        with pytest.raises(TypeError, match="none of numpy's"):
            type(data).__array__(data)


@pytest.mark.parametrize(
    "answer", [None, (), (b"abc", "B"), (b"abc", "B", [3]), ("abc", "B", (3,)), (b"", "B", (0,), 1)]
)
def test_an_answer_that_is_no_buffer(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wire, root = remote(data=bytearray(b"abc"))
    data = root.data
    monkeypatch.setattr(wire.left, "request", lambda *args: answer)
    with pytest.raises(ProtocolError, match="no buffer"):
        bytes(data)


@pytest.mark.parametrize("shape", [("3",), (-3,), (3.0,)])
def test_a_shape_that_is_none(shape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wire, root = remote(data=bytearray(b"abc"))
    data = root.data
    monkeypatch.setattr(wire.left, "request", lambda *args: (b"abc", "B", shape))
    with pytest.raises(ProtocolError, match="shape"):
        type(data).__array__(data)


def test_where_nobody_may_be_asked_a_proxy_tells_what_it_knows() -> None:
    _, root = remote(data=bytearray(b"abc"))
    with quietly():
        assert "bytearray" in str(root.data)
