"""Interceptors around what is asked, on the side that connects; and around messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from intercepting import SERVERS, client

import netobj
from netobj.interceptors import Direction
from patience import wait_until
from skins import Client


class Shop(netobj.Service):
    @netobj.exposed
    def add(self, a: int, b: int = 0) -> int:
        return a + b

    @netobj.exposed
    def who(self) -> Any:
        return netobj.current_call().metadata.get("user")

    def __init__(self) -> None:
        self._noted: list[Any] = []

    @netobj.exposed
    def note(self) -> None:
        self._noted.append(netobj.current_call().metadata.get("user"))

    @netobj.exposed(by_value=True)
    def noted(self) -> list[Any]:
        return self._noted

    @netobj.exposed
    def refuse(self) -> None:
        raise KeyError("refused")

    @netobj.exposed
    def numbers(self) -> Any:
        return [1, 2]

    @netobj.exposed
    def apply(self, function: Any, value: int) -> Any:
        return function(value)


class Plain(netobj.Interceptor):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_call(self, call: Any, next: Any) -> Any:
        assert call.outgoing
        call.metadata["user"] = "alice"
        self.seen.append((call.name, call.asynchronous))
        if call.kwargs.get("b") == 13:
            return "answered here"
        if call.kwargs.get("b") == 14:
            raise ValueError("not 14")
        return next(call)


class Async(Plain):
    async def on_call(self, call: Any, next: Any) -> Any:
        call.metadata["user"] = "alice"
        self.seen.append((call.name, call.asynchronous))
        await asyncio.sleep(0)
        if call.kwargs.get("b") == 13:
            return "answered here"
        if call.kwargs.get("b") == 14:
            raise ValueError("not 14")
        return await next(call)


@pytest.fixture(params=[Plain, Async])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["blocking", "aio"])
def skin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def port() -> Iterator[int]:
    with netobj.ThreadedServer(Shop, "localhost") as server:
        yield server.port


@pytest.fixture
def joined(port: int, kind: Any, skin: str) -> Iterator[tuple[list[Any], Client]]:
    chain = [kind(), kind()]
    with client(skin, port, interceptors=chain) as one:
        yield chain, one


Joined = tuple[list[Any], Client]


def test_each_call_passes_through(joined: Joined) -> None:
    chain, one = joined
    assert one.get(one.root.add(1, b=2)) == 3
    assert one.get(one.root.who()) == "alice"
    with pytest.raises(KeyError, match="refused"):
        one.get(one.root.refuse())
    for passed in chain:
        assert [name for name, _ in passed.seen] == ["root.add()", "root.who()", "root.refuse()"]


def test_results_are_replaced_and_calls_refused(joined: Joined) -> None:
    chain, one = joined
    assert one.get(one.root.add(1, b=13)) == "answered here"
    with pytest.raises(ValueError, match="not 14"):
        one.get(one.root.add(1, b=14))
    assert [len(passed.seen) for passed in chain] == [2, 0]
    assert one.start(one.root.add, 1, b=13).result() == "answered here"
    assert one.get(one.root.add(1, b=2)) == 3


def test_calls_that_nobody_waits_for_yet(joined: Joined) -> None:
    chain, one = joined
    started = [one.start(one.root.add, number, b=1) for number in range(20)]
    assert [each.result() for each in started] == list(range(1, 21))
    assert {name for name, _ in chain[0].seen} == {"root.add()"}
    assert all(asynchronous for _, asynchronous in chain[0].seen)


def test_calls_without_an_answer(joined: Joined) -> None:
    chain, one = joined
    for _ in range(3):
        one.oneway(one.root.note)
    assert one.start(one.root.noted).result() == ["alice"] * 3
    for passed in chain:
        assert passed.seen[:3] == [("root.note()", True)] * 3


def test_calls_built_upon_one_another(joined: Joined) -> None:
    chain, one = joined

    def build(root: Any) -> list[Any]:
        numbers = root.numbers()
        return [numbers[1], root.add(root.add(1, 2), 3)]

    assert [give() for give in one.pipelined(build)] == [2, 6]
    names = [name for name, _ in chain[1].seen]
    assert names.count("root.numbers()") == 1
    assert names.count("root.add()") == 2


def test_a_call_that_several_tasks_await(port: int, kind: Any) -> None:
    async def main() -> None:
        passed = kind()
        async with netobj.aio.connect("localhost", port, interceptors=[passed]) as conn:
            call = conn.root.add(1, 2)
            assert await asyncio.gather(*(wait(call) for _ in range(5))) == [3] * 5
            assert await call == 3
            assert passed.seen == [("root.add()", True)]
            replaced = conn.root.add(1, b=13)
            answers = await asyncio.gather(*(wait(replaced) for _ in range(5)))
            assert answers == ["answered here"] * 5

    async def wait(call: Any) -> Any:
        return await call

    asyncio.run(main())


def test_callbacks_are_not_asked_here(joined: Joined) -> None:
    chain, one = joined
    assert one.get(one.root.apply(lambda value: value + 1, 1)) == 2
    assert [name for name, _ in chain[0].seen] == ["root.apply()"]


def test_metadata_that_cannot_go_along(port: int, skin: str) -> None:
    class Wrong(netobj.Interceptor):
        def on_call(self, call: Any, next: Any) -> Any:
            call.metadata["user"] = object()
            return next(call)

    wrong = pytest.raises(TypeError, match="metadata 'user': a object cannot go along")
    with client(skin, port, interceptors=[Wrong()]) as one, wrong:
        one.get(one.root.add(1))


def test_the_end_is_told_once(port: int, skin: str) -> None:
    class Closing(netobj.Interceptor):
        def __init__(self) -> None:
            self.told: list[Any] = []

        def on_close(self, conn: Any, reason: str) -> None:
            self.told.append((conn, reason))

    closing = Closing()
    with client(skin, port, interceptors=[closing]) as one:
        assert one.get(one.root.add(1)) == 1
        assert closing.told == []
        connection = one.connection
    wait_until(lambda: closing.told)
    assert closing.told == [(connection, "the connection was closed on this side")]


# --- messages -------------------------------------------------------------------------------------


class Seeing(netobj.Interceptor):
    def __init__(self, refused: bytes = b"never there") -> None:
        self.seen: list[tuple[Direction, bytes]] = []
        self.refused = refused

    def on_message(self, frame: bytes, direction: Direction) -> None:
        self.seen.append((direction, frame))
        if self.refused in frame:
            raise ValueError("that is not to be said")


def frames_of(seeing: Seeing, direction: Direction) -> list[bytes]:
    return [frame for way, frame in list(seeing.seen) if way is direction]


@pytest.mark.parametrize("kind", ["threaded", "aio"])
def test_both_sides_see_the_same_messages(kind: str, skin: str) -> None:
    there, here = Seeing(), Seeing()
    with SERVERS[kind](Shop, "localhost", interceptors=[there]) as server:
        with client(skin, server.port, interceptors=[here]) as one:
            assert one.get(one.root.add(1, 2)) == 3
            assert one.get(one.root.add("x" * 100_000, "y")) == "x" * 100_000 + "y"
            started = [one.start(one.root.add, number, 1) for number in range(50)]
            assert [each.result() for each in started] == list(range(1, 51))
        wait_until(lambda: frames_of(there, Direction.IN) == frames_of(here, Direction.OUT))
        sent = frames_of(there, Direction.OUT)
        assert frames_of(here, Direction.IN) == sent[: len(frames_of(here, Direction.IN))]
    for frame in (*frames_of(here, Direction.IN), *frames_of(here, Direction.OUT)):
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4


@pytest.mark.parametrize("kind", ["threaded", "aio"])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_message_that_is_refused_ends_the_connection(
    kind: str, skin: str, direction: Direction
) -> None:
    seeing = Seeing(b"swear")
    chains: dict[str, list[Any]] = {"here": [], "there": []}
    chains["there" if direction is Direction.IN else "here"] = [seeing]
    with SERVERS[kind](Shop, "localhost", interceptors=chains["there"]) as server:
        lost = pytest.raises(netobj.ConnectionLost, match=r"Seeing\.on_message refused a message")
        with client(skin, server.port, interceptors=chains["here"]) as one:
            assert one.get(one.root.add(1)) == 1
            with lost as caught:
                one.get(one.root.add("swear", "word"))
            assert "that is not to be said" in str(caught.value)
