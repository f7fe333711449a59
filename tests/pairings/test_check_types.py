"""Checked types, on every pair of skins: what is refused, and what the caller is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, ClassVar, Protocol

import pytest

import netobj
from pairings import Pair


class Listener(Protocol):
    def __call__(self, text: str) -> object: ...


class Checked(netobj.Service):
    """Functions of each kind, with their types checked."""

    # Records of the log, which pytest keeps, would keep the arguments, too.
    CONFIG: ClassVar[dict[str, Any]] = {"log_exceptions": False}

    def __init__(self) -> None:
        self.times = 0

    @netobj.exposed
    def calls(self) -> int:
        return self.times

    @netobj.exposed(check_types=True)
    def add(self, a: int, b: int = 0) -> int:
        self.times += 1
        return a + b

    @netobj.exposed(check_types=True)
    async def double(self, number: int) -> int:
        return number * 2

    @netobj.exposed(check_types=True)
    def wrong(self) -> int:
        return "42"  # type: ignore[return-value]

    @netobj.exposed(check_types=True)
    async def wrong_later(self) -> int:
        return "42"  # type: ignore[return-value]

    @netobj.exposed(check_types=True, stream=True)
    def count(self, to: int) -> Iterator[int]:
        yield from range(to)
        yield "end"  # type: ignore[misc]

    @netobj.exposed(check_types=True, stream=True)
    async def count_later(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number
        yield "end"  # type: ignore[misc]

    @netobj.exposed(check_types=True)
    def tell(self, listener: Listener) -> None: ...

    @netobj.exposed(check_types=True)
    async def tell_later(self, listener: Callable[[str], Any]) -> None: ...

    @netobj.exposed(check_types=True)
    def total(self, numbers: Iterable[int]) -> None: ...

    @netobj.exposed(check_types=True, arguments_by_value=True)
    def total_of_copy(self, numbers: list[int]) -> int:
        return sum(numbers)

    @netobj.exposed(check_types=True)
    def pair(self, pair: tuple[int, tuple[str, ...]]) -> int:
        return pair[0]

    @netobj.exposed(check_types=True)
    @staticmethod
    def static(text: str) -> str:
        return text

    @netobj.exposed(check_types=True)
    @classmethod
    def of_class(cls, text: str) -> str:
        return text

    @netobj.exposed(check_types=True)
    def __getitem__(self, index: int) -> str:
        return "item"

    @netobj.exposed(check_types=True)
    def talk(self, end: Any, text: str) -> None:
        end.send(text)

    @netobj.exposed(check_types=True)
    def lost(self, item: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


SERVICE = Checked


def refused(pair: Pair, make: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        pair.get(make())


def test_what_fits_passes(pair: Pair) -> None:
    root = pair.root
    assert pair.get(root.add(1, b=2)) == 3
    assert pair.get(root.double(4)) == 8
    assert pair.get(root.pair((1, ("a", "b")))) == 1
    assert pair.get(root.static("a")) == pair.get(root.of_class("a")) == "a"
    assert pair.get(root.total_of_copy([1, 2])) == 3


def test_arguments_are_named(pair: Pair) -> None:
    root = pair.root
    refused(pair, lambda: root.add(1, "2"), r"Checked\.add\(\): the argument 'b': str is not an")
    refused(pair, lambda: root.add(a=None), r"Checked\.add\(\): the argument 'a': None")
    refused(pair, lambda: root.double("2"), r"Checked\.double\(\): the argument 'number': str")
    refused(pair, lambda: root.pair((1, ("a", 2))), r"the argument 'pair': item 1: item 1: int")
    refused(pair, lambda: root.static(1), r"Checked\.static\(\): the argument 'text'")
    refused(pair, lambda: root.of_class(1), r"Checked\.of_class\(\): the argument 'text'")


def test_results_are_named(pair: Pair) -> None:
    root = pair.root
    refused(pair, lambda: root.wrong(), r"Checked\.wrong\(\): the result: str is not an instance")
    refused(pair, lambda: root.wrong_later(), r"Checked\.wrong_later\(\): the result: str")


def test_missing_and_unknown_arguments(pair: Pair) -> None:
    root = pair.root
    refused(pair, lambda: root.add(), r"missing 1 required positional argument: 'a'")
    refused(pair, lambda: root.add(1, 2, 3), r"takes from 2 to 3 positional arguments")
    refused(pair, lambda: root.add(1, c=3), r"unexpected keyword argument 'c'")


@pytest.mark.parametrize("name", ["count", "count_later"])
def test_streams_are_checked_item_by_item(pair: Pair, name: str) -> None:
    items = pair.items(getattr(pair.root, name)(3))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(TypeError, match=rf"Checked\.{name}\(\): item 3 of the result: str"):
        next(items)
    with pytest.raises(TypeError, match="the argument 'to': str"):
        next(pair.items(getattr(pair.root, name)("3")))


def test_proxies_pass_for_what_they_can_do(pair: Pair) -> None:
    root = pair.root
    for listener in (print, lambda text: None):
        pair.get(root.tell(listener))
        pair.get(root.tell_later(listener))
    pair.get(root.total([1, 2]))  # a proxy of a list: its items would be round trips
    for name in ("tell", "tell_later"):
        words = rf"Checked\.{name}\(\): the argument 'listener': a proxy of a remote .*object"
        refused(pair, lambda name=name: getattr(root, name)(object()), words)  # type: ignore[misc]
        refused(pair, lambda name=name: getattr(root, name)(5), "'listener': int")  # type: ignore[misc]
    refused(pair, lambda: root.add([1]), "the argument 'a': a proxy of a remote builtins.list")
    refused(pair, lambda: root.total(object()), "the argument 'numbers': a proxy of a remote")


def test_copies_are_checked_to_the_bottom(pair: Pair) -> None:
    refused(pair, lambda: pair.root.total_of_copy([1, "a"]), r"the argument 'numbers': item 1: str")


def test_a_check_runs_nothing_of_the_callers(pair: Pair) -> None:
    class Shy:
        """Says of each thing that is asked of it that it was asked."""

        def __getattribute__(self, name: str) -> Any:
            if name in ("asked",):
                return super().__getattribute__(name)
            asked.append(name)
            return super().__getattribute__(name)

        def __iter__(self) -> Iterator[int]:
            asked.append("__iter__")
            return iter(())

        def __call__(self, *args: Any) -> None:
            asked.append("__call__")

    asked: list[str] = []
    shy = Shy()
    for name in ("total", "tell", "tell_later"):
        pair.get(getattr(pair.root, name)(shy))
    assert asked == []


def test_what_is_refused_has_not_run(pair: Pair) -> None:
    refused(pair, lambda: pair.root.add("1"), "the argument 'a'")
    assert pair.get(pair.root.calls()) == 0


def test_special_methods(pair: Pair) -> None:
    assert pair.get(pair.root[1]) == "item"
    refused(pair, lambda: pair.root["a"], r"Checked\.__getitem__\(\): the argument 'index': str")


def test_two_way_streams(pair: Pair) -> None:
    with pair.open(pair.root.talk, "a") as end:
        assert end.receive() == "a"
    words = r"Checked\.talk\(\): the argument 'text': int"
    with pytest.raises(TypeError, match=words), pair.open(pair.root.talk, 5) as end:
        end.receive()


def test_annotations_that_do_not_resolve_are_named(pair: Pair) -> None:
    refused(pair, lambda: pair.root.lost(1), r"Checked\.lost\(\) cannot be checked.*'Nowhere'")
