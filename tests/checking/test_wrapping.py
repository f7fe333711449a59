"""Checked functions: each kind of them, called as Python calls them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from netobj.checking import checked
from netobj.core.exposure import exposed, exposure_of
from netobj.core.outcomes import is_async


def add(a: int, b: int = 0, /, *more: int, scale: float = 1.0, **named: str) -> int:
    return a + b


def test_arguments_of_every_kind_are_named() -> None:
    function = checked(add)
    assert function(1) == 1
    assert function(1, 2, 3, 4, scale=2, x="y") == 3
    for args, kwargs, named in [
        (("1",), {}, "the argument 'a': str is not an instance of int"),
        ((1, None), {}, "the argument 'b': None is not an instance of int"),
        ((1, 2, 3, "4"), {}, "the argument 'more': str"),
        ((1,), {"scale": "2"}, "the argument 'scale': str"),
        ((1,), {"x": 1}, "the argument 'named': int is not an instance of str"),
    ]:
        with pytest.raises(TypeError) as caught:
            function(*args, **kwargs)  # type: ignore[arg-type]
        assert str(caught.value).startswith(f"add(): {named}")


def test_missing_and_unknown_arguments_are_pythons_affair() -> None:
    @checked
    def divide(a: int, *, by: int) -> float:
        return a / by

    for args, kwargs in [((), {}), ((1, 2), {"by": 1}), ((1,), {}), ((1,), {"by": 1, "c": 2})]:
        with pytest.raises(TypeError, match=r"divide\(\) (missing|takes|got)"):
            divide(*args, **kwargs)


def test_results_are_checked() -> None:
    @checked
    def answer(right: bool) -> int:
        return 42 if right else "42"  # type: ignore[return-value]

    assert answer(True) == 42
    with pytest.raises(TypeError, match=r"^answer\(\): the result: str is not an instance of int"):
        answer(False)


def test_defaults_and_what_has_no_annotation_are_not_checked() -> None:
    @checked
    def quiet(a, b: int = None, c=3):  # type: ignore[no-untyped-def,assignment]  # noqa: RUF013
        return "anything"

    assert quiet(object()) == "anything"
    assert quiet(1, 2, "c") == "anything"


def test_a_checked_function_stays_what_it_was() -> None:
    async def task() -> None: ...

    def items() -> Iterator[int]:
        yield 1

    async def async_items() -> AsyncIterator[int]:
        yield 1

    for function in (add, task, items, async_items):
        made = checked(function)
        for of_kind in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        ):
            assert of_kind(made) == of_kind(function)
        assert is_async(made) == is_async(function)
        assert inspect.signature(made) == inspect.signature(function)
        assert (made.__name__, made.__doc__) == (function.__name__, function.__doc__)


def test_async_functions() -> None:
    @checked
    async def double(number: int) -> int:
        return number * 2 if number else "zero"  # type: ignore[return-value]

    assert asyncio.run(double(2)) == 4
    with pytest.raises(TypeError, match=r"double\(\): the argument 'number'"):
        asyncio.run(double("2"))
    with pytest.raises(TypeError, match=r"double\(\): the result: str"):
        asyncio.run(double(0))


def test_generators_are_checked_item_by_item() -> None:
    closed = []

    @checked
    def count(to: int, odd: Any = None) -> Generator[int, str, str]:
        try:
            for number in range(to):
                sent = yield number
                if sent is not None:
                    closed.append(sent)
            if odd is not None:
                yield odd
            return 5 if to == 1 else "end"  # type: ignore[return-value]
        finally:
            closed.append("closed")

    assert list(count(3)) == [0, 1, 2]
    items = count(2, "odd")
    assert next(items) == 0
    assert items.send("sent") == 1
    with pytest.raises(TypeError, match=r"^count\(\): item 2 of the result: str is not"):
        next(items)
    assert closed == ["closed", "sent", "closed"]
    with pytest.raises(TypeError, match=r"the argument 'to'"):
        next(count("3"))
    with pytest.raises(TypeError, match=r"count\(\): the result: int is not an instance of str"):
        list(count(1))


def test_what_is_thrown_into_a_generator_arrives() -> None:
    @checked
    def patient() -> Iterator[int]:
        try:
            yield 1
        except KeyError:
            yield 2

    items = patient()
    assert next(items) == 1
    assert items.throw(KeyError()) == 2  # type: ignore[attr-defined]
    assert list(items) == []


def test_a_generator_that_is_left_is_closed() -> None:
    left = []

    @checked
    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            left.append(True)

    items = endless()
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert left == [True]


def test_asynchronous_generators() -> None:
    log: list[Any] = []

    @checked
    async def count(to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                try:
                    log.append((yield number))
                except KeyError:
                    log.append("thrown")
            yield "end"  # type: ignore[misc]
        finally:
            log.append("closed")

    async def use() -> None:
        items: Any = count(3)
        assert await items.__anext__() == 0
        assert await items.asend("sent") == 1
        assert await items.athrow(KeyError()) == 2
        with pytest.raises(TypeError, match=r"^count\(\): item 3 of the result: str"):
            await items.__anext__()
        with pytest.raises(TypeError, match="the argument 'to'"):
            await count("3").__anext__()
        left: Any = count(3)
        await left.__anext__()
        await left.aclose()

    asyncio.run(use())
    assert log == ["sent", "thrown", None, "closed", "closed"]


def test_asynchronous_generators_end() -> None:
    @checked
    async def two() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def use() -> list[int]:
        return [item async for item in two()]

    assert asyncio.run(use()) == [1, 2]


def test_iterators_that_are_streamed() -> None:
    def plain(items: list[Any]) -> Iterator[int]:
        return iter(items)

    assert list(checked(plain)(["a"])) == ["a"]  # an iterator's items are the caller's affair
    items = checked(plain, stream=True)([1, "a"])
    assert next(items) == 1
    with pytest.raises(TypeError, match=r"plain\(\): item 1 of the result: str"):
        next(items)

    def later() -> AsyncIterator[int]:
        async def items() -> AsyncIterator[Any]:
            yield 1
            yield "a"

        return items()

    async def use() -> None:
        found = checked(later, stream=True)()
        assert await found.__anext__() == 1
        with pytest.raises(TypeError, match=r"later\(\): item 1 of the result: str"):
            await found.__anext__()

    asyncio.run(use())

    def no_items() -> Iterator[int]:
        return 5  # type: ignore[return-value]

    assert checked(no_items, stream=True)() == 5  # refused by who streams it


class Account:
    def __init__(self) -> None:
        self._balance = 1

    @exposed(check_types=True)
    def pay(self, amount: int) -> Account:
        return self

    @exposed(check_types=True)
    @staticmethod
    def low(amount: int) -> bool:
        return amount < 3

    @staticmethod
    @exposed(check_types=True)
    def high(amount: int) -> bool:
        return amount > 3

    @exposed(check_types=True)
    @classmethod
    def opened(cls, amount: int) -> Account:
        return cls()

    @exposed(check_types=True)
    @property
    def balance(self) -> int:
        """The balance."""
        return self._balance

    @balance.setter
    def balance(self, value: int) -> None:
        self._balance = value

    @exposed(check_types=True)
    @functools.cached_property
    def owner(self) -> str:
        return 5  # type: ignore[return-value]


def test_methods_of_every_kind() -> None:
    account = Account()
    assert account.pay(1) is account
    assert Account.low(1)
    assert Account.high(5)
    assert type(Account.opened(1)) is Account
    for call in (account.pay, Account.low, Account.high, account.opened):
        assert exposure_of(call) is not None
        with pytest.raises(TypeError, match=r"Account\.\w+\(\): the argument 'amount': str"):
            call("1")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'amount'"):
        account.pay()  # type: ignore[call-arg]


def test_properties() -> None:
    account = Account()
    assert account.balance == 1
    assert Account.balance.__doc__ == "The balance."
    account._balance = "a"  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"Account\.balance\(\): the result: str"):
        account.balance  # noqa: B018
    with pytest.raises(TypeError, match=r"Account\.owner\(\): the result: int"):
        account.owner  # noqa: B018


def test_property_setters() -> None:
    class Dial:
        value: Any = 0

        def read(self) -> int:
            return 1

        def turn(self, value: int) -> None:
            self.value = value

        level = checked(property(read, turn))

    dial = Dial()
    dial.level = 3
    assert dial.value == 3
    with pytest.raises(TypeError, match=r"Dial\.turn\(\): the argument 'value': str"):
        dial.level = "3"


def test_bound_methods() -> None:
    class Plain:
        def double(self, number: int) -> int:
            return number * 2

    double = checked(Plain().double)
    assert double(2) == 4
    with pytest.raises(TypeError, match="the argument 'number'"):
        double("2")


def test_names_of_the_place_of_declaration_are_found() -> None:
    class Local:
        pass

    class Service:
        class Inner:
            pass

        @exposed(check_types=True)
        def take(self, local: Local, inner: Inner) -> None: ...

    Service().take(Local(), Service.Inner())
    with pytest.raises(TypeError, match="the argument 'inner'"):
        Service().take(Local(), Local())  # type: ignore[arg-type]


@checked
def early(item: Late) -> Late:
    return item


class Late:
    pass


def test_classes_that_are_defined_later_are_found() -> None:
    late = Late()
    assert early(late) is late
    with pytest.raises(TypeError, match=r"early\(\): the argument 'item': int is not an instance"):
        early(5)


def test_names_that_are_nowhere_are_named() -> None:
    @checked
    def lost(item: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for _ in range(2):
        with pytest.raises(TypeError, match=r"lost\(\) cannot be checked.*'Nowhere'.*globals of"):
            lost(1)


def test_what_a_decorator_makes_of_a_result_is_not_checked() -> None:
    @checked
    @contextmanager
    def opened(name: str) -> Iterator[int]:
        yield 5

    with opened("a") as number:
        assert number == 5
    with pytest.raises(TypeError, match="the argument 'name'"):
        opened(5)


def test_what_stands_for_a_function_without_annotations_is_not_checked() -> None:
    @checked
    @functools.wraps(len)
    def measure(*args: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
        return len(*args)

    assert measure("abc") == 3


def test_functions_in_modules_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(early)) is early


@pytest.mark.parametrize("target", [Account, len, functools.partial(add, 1), 5, None])
def test_only_functions_are_checked(target: Any) -> None:
    with pytest.raises(TypeError, match="check_types=True checks functions"):
        checked(target)


def test_without_typeguard_the_declaration_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['typeguard'] = None\n"
        "import netobj\n"
        "@netobj.exposed\n"
        "def fine(): ...\n"
        "try:\n"
        "    @netobj.exposed(check_types=True)\n"
        "    def f(): ...\n"
        "except ImportError as exc: print(exc)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'netobj[types]'" in run.stdout


def test_typeguard_is_imported_only_where_it_is_asked_for() -> None:
    code = "import sys, netobj; netobj.exposed, netobj.Service; print('typeguard' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"
