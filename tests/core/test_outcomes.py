"""What a call may come to besides a value, and what is known of functions without running them."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from types import CoroutineType, MethodType
from typing import Any

import pytest

from netobj.core.exposure import exposed
from netobj.core.outcomes import (
    AWAITABLE,
    STEPS,
    Awaited,
    Opened,
    Opener,
    Streamed,
    close_unawaited,
    is_async,
    opener,
    streamed,
)


async def coroutine() -> int:
    return 1


async def generator() -> AsyncIterator[int]:
    yield 1


def plain() -> None:
    pass


class Looked:
    """Whoever asks it for anything runs code of its own."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"it was asked for {name}")

    def __call__(self) -> None: ...


class Methods:
    async def method(self) -> None: ...

    def plain(self) -> None: ...

    @exposed
    async def marked(self) -> None: ...

    @staticmethod
    async def static() -> None: ...

    @classmethod
    async def of_class(cls) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        coroutine,
        generator,
        Methods.method,
        Methods().method,
        Methods.marked,
        vars(Methods)["static"],
        vars(Methods)["of_class"],
        Methods.of_class,
        functools.partialmethod(coroutine),
    ],
)
def test_what_is_async(function: Any) -> None:
    assert is_async(function)


@pytest.mark.parametrize(
    "function",
    [plain, len, Methods.plain, Methods, None, 7, functools.partial(coroutine), print.__call__],
)
def test_what_is_not_known_to_be(function: Any) -> None:
    assert not is_async(function)


def test_looking_runs_no_code() -> None:
    assert not is_async(Looked())
    assert not is_async(MethodType(Looked(), 1))


def test_what_is_awaited_where_it_is_made() -> None:
    made = coroutine()
    assert type(made) in AWAITABLE
    made.close()
    items = generator()
    step: Any = items.__anext__()
    assert type(step) in STEPS
    step.close()
    closing: Any = items.aclose()
    assert type(closing) in STEPS
    closing.close()
    assert CoroutineType not in STEPS


def test_importing_it_leaves_nothing_unawaited() -> None:
    code = "import netobj.core.outcomes, gc; gc.collect()"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stderr == ""


def test_an_awaited_says_how_to_go_on() -> None:
    made = coroutine()
    outcome = Awaited(made, str)
    assert (outcome.awaitable, outcome.finish(1)) == (made, "1")
    made.close()


class End:
    """Stands for one end of a two-way stream."""

    def __init__(self) -> None:
        self.finished: list[BaseException | None] = []

    def finish(self, error: BaseException | None) -> None:
        self.finished.append(error)


class Pause:
    """Awaitable, with nothing to close."""

    def __await__(self) -> Iterator[None]:
        yield


def test_a_coroutine_that_nobody_will_await_is_closed() -> None:
    made = coroutine()
    close_unawaited(Awaited(made, str))
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        made.send(None)


@pytest.mark.parametrize("outcome", [Awaited(Pause(), str), Streamed(iter(())), 5])
def test_other_outcomes_have_nothing_to_close(outcome: object) -> None:
    close_unawaited(outcome)


class TestStreamed:
    def test_an_iterator(self) -> None:
        outcome = streamed(iter([1, 2]))
        assert not outcome.asynchronous
        assert list(outcome.items) == [1, 2]

    @pytest.mark.parametrize("result", [[1, 2], (1, 2), range(1, 3), {1: 0, 2: 0}])
    def test_what_can_be_iterated(self, result: Any) -> None:
        assert list(streamed(result).items) == [1, 2]

    def test_an_asynchronous_generator(self) -> None:
        items = generator()
        outcome = streamed(items)
        assert outcome.asynchronous
        assert outcome.items is items

    def test_what_has_both_is_asynchronous(self) -> None:
        class Both:
            def __iter__(self) -> Iterator[int]:
                raise AssertionError

            def __aiter__(self) -> AsyncIterator[int]:
                return generator()

        assert streamed(Both()).asynchronous

    def test_what_is_no_iterator(self) -> None:
        with pytest.raises(TypeError, match="not iterable"):
            streamed(7)

    def test_whether_items_are_asynchronous_is_looked_up_in_their_type(self) -> None:
        assert not Streamed(Looked()).asynchronous


class TestOpened:
    def test_by_the_name_open_of_a_function_or_method(self) -> None:
        for function in (plain, Methods().plain):
            found = opener("open", function)
            assert type(found) is Opener
            outcome = found(1, a=2)
            assert type(outcome) is Opened
            assert (outcome.function, outcome.args, outcome.kwargs) == (function, (1,), {"a": 2})

    def test_any_argument_may_have_any_name(self) -> None:
        outcome = Opener(plain)(self=1, function=2)
        assert outcome.kwargs == {"self": 1, "function": 2}

    @pytest.mark.parametrize("step", ["Open", "close", 1, None, ("open",)])
    def test_by_no_other(self, step: Any) -> None:
        assert opener(step, plain) is None

    @pytest.mark.parametrize("thing", [len, [], Methods, Methods(), open, 7])
    def test_of_nothing_else(self, thing: Any) -> None:
        assert opener("open", thing) is None
        assert opener("open", Looked()) is None

    def test_not_where_it_means_something_already(self) -> None:
        def function() -> None: ...

        function.open = 1  # type: ignore[attr-defined]
        assert opener("open", function) is None

    @pytest.mark.parametrize("error", [None, KeyError("k"), SystemExit(1)])
    def test_the_end_of_the_function_is_that_of_its_end(self, error: BaseException | None) -> None:
        def function(end: End, *args: int, **kwargs: int) -> None:
            calls.append((end, args, kwargs, *end.finished))
            if error is not None:
                raise error

        async def task(end: End, *args: int, **kwargs: int) -> None:
            function(end, *args, **kwargs)

        calls: list[Any] = []
        for opened in (Opened(function, (1,), {"a": 2}), Opened(task, (1,), {"a": 2})):
            end = End()
            with nullcontext() if error is None else pytest.raises(type(error)):
                if opened.asynchronous:
                    asyncio.run(opened.converse_async(end, lambda exc: exc))
                else:
                    opened.converse(end)
            assert calls.pop() == (end, (1,), {"a": 2})
            assert end.finished == [error]

    def test_the_peer_may_be_told_another_error(self) -> None:
        async def task(end: End) -> None:
            raise KeyError("k")

        end = End()
        told = RuntimeError("something else")
        with pytest.raises(KeyError):
            asyncio.run(Opened(task, (), {}).converse_async(end, lambda _exc: told))
        assert end.finished == [told]

    def test_whether_it_runs_on_a_loop(self) -> None:
        assert Opened(coroutine, (), {}).asynchronous
        assert not Opened(plain, (), {}).asynchronous


def test_a_generator_is_not_opened() -> None:
    def rows() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="rows is a generator"):
        Opener(rows)()
