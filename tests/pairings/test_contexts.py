"""Context managers over there, plain and asynchronous."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import netobj
from pairings import Pair


class Door:
    """Notes who came and went; swallows KeyError."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def __enter__(self) -> Door:
        self._log.append("in")
        return self

    def __exit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        self._log.append(exc)
        return kind is KeyError


class AsyncDoor:
    """The same, asynchronous."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    async def __aenter__(self) -> str:
        self._log.append("in")
        return "entered"

    async def __aexit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        self._log.append(exc)
        return kind is KeyError


class House(netobj.Service):
    log: list[Any]

    @netobj.exposed
    def door(self) -> Any:
        return Door(self.log)

    @netobj.exposed
    def async_door(self) -> Any:
        return AsyncDoor(self.log)

    @netobj.exposed
    @contextlib.contextmanager
    def generated(self) -> Iterator[str]:
        try:
            yield "value"
        finally:
            self.log.append("left")

    @netobj.exposed
    @contextlib.asynccontextmanager
    async def async_generated(self) -> AsyncIterator[str]:
        try:
            yield "value"
        finally:
            self.log.append("left")


SERVICE = House


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    House.log = []
    yield
    House.log.clear()  # what came home in it would be kept


@pytest.mark.parametrize("kind", ["plain", "async"])
class TestWith:
    def enter(self, pair: Pair, kind: str) -> Any:
        if kind == "plain":
            return pair.entered(pair.get(pair.root.door()))
        return pair.entered_async(pair.get(pair.root.async_door()))

    def test_enter_and_leave(self, pair: Pair, kind: str) -> None:
        with self.enter(pair, kind):
            assert House.log == ["in"]
        assert House.log == ["in", None]

    def test_an_error_arrives_there_and_goes_on_as_itself(self, pair: Pair, kind: str) -> None:
        mine = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught, self.enter(pair, kind):
            raise mine
        assert caught.value is mine
        assert type(House.log[1]) is ValueError
        assert House.log[1].args == ("mine",)

    def test_what_it_swallows_is_swallowed(self, pair: Pair, kind: str) -> None:
        with self.enter(pair, kind):
            raise KeyError("gone")
        assert House.log[1].args == ("gone",)


def test_what_is_entered(pair: Pair) -> None:
    door = pair.get(pair.root.door())
    with pair.entered(door) as inside:
        assert inside is door
    with pair.entered_async(pair.get(pair.root.async_door())) as inside:
        assert inside == "entered"


def test_managers_made_of_generators(pair: Pair) -> None:
    with pair.entered(pair.get(pair.root.generated())) as value:
        assert value == "value"
    with pair.entered_async(pair.get(pair.root.async_generated())) as value:
        assert value == "value"
    assert House.log == ["left", "left"]
