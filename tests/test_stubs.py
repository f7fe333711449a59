"""``netobj.stub`` and ``netobj.aio.stub``, and connections with a Protocol in brackets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

import netobj
from netobj import aio
from netobj.interfaces import names_of


class Base(Protocol):
    def add(self, a: int, b: int) -> int: ...


class Calculator(Base, Protocol):
    precision: int

    def __len__(self) -> int: ...


class More(Base, Protocol):
    def subtract(self, a: int, b: int) -> int: ...

    def __getitem__(self, key: str) -> int: ...


class AsyncCalculator(Protocol):
    async def add(self, a: int, b: int) -> int: ...

    def count(self) -> AsyncIterator[int]: ...


class AsyncMore(AsyncCalculator, Protocol):
    async def subtract(self, a: int) -> int: ...


class CalculatorService(netobj.Service):
    exposed_precision = 5

    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        return a + b

    @netobj.exposed(stream=True)
    def count(self) -> Any:
        yield 1

    @netobj.exposed
    def __len__(self) -> int:
        return 1

    @netobj.exposed
    def parts(self) -> list[int]:
        return [1]


def requests(conn: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Of each request that *conn* makes, the operation."""
    made: list[Any] = []
    request = type(conn).request

    def noted(self: Any, op: int, *args: Any) -> Any:
        made.append(op)
        return request(self, op, *args)

    monkeypatch.setattr(type(conn), "request", noted)
    return made


def test_a_stub_is_the_proxy_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with netobj.connect_thread(remote_service=CalculatorService) as conn:
        conn.root  # noqa: B018 (it waits for the hello)
        made = requests(conn, monkeypatch)
        plain = netobj.stub(conn.root, Base)
        assert made == []  # the names of methods are known
        calculator = netobj.stub(conn.root, Calculator)
        assert len(made) == 1
        assert plain is calculator is conn.root
        assert calculator.add(1, 2) == 3
        assert calculator.precision == 5
        assert len(calculator) == 1


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with netobj.connect_thread(remote_service=CalculatorService) as conn:
        conn.root  # noqa: B018
        made = requests(conn, monkeypatch)
        with pytest.raises(AttributeError, match="shows no __getitem__, subtract, which More asks"):
            netobj.stub(conn.root, More)
        assert len(made) == 1


def test_stubs_of_what_a_method_returned_and_of_local_objects() -> None:
    class Items(Protocol):
        def __len__(self) -> int: ...

        def __getitem__(self, index: int) -> int: ...

    with netobj.connect_thread(remote_service=CalculatorService) as conn:
        assert netobj.stub(conn.root.parts(), Items)[0] == 1
        with pytest.raises(AttributeError, match="shows no add"):
            netobj.stub(conn.root.parts(), Base)
    assert netobj.stub([1], Items)[0] == 1
    with pytest.raises(AttributeError, match="shows no add"):
        netobj.stub([1], Base)


@pytest.mark.parametrize("no_protocol", [CalculatorService, int, 5, None, Protocol])
def test_only_protocols_describe(no_protocol: Any) -> None:
    if no_protocol is Protocol:  # which is one, and asks for nothing
        assert netobj.stub(5, no_protocol) == 5
        return
    with pytest.raises(TypeError, match=r"stub\(\) takes a typing.Protocol, not"):
        netobj.stub(5, no_protocol)


def test_a_class_that_follows_a_protocol_is_none() -> None:
    class Own(Base):
        def add(self, a: int, b: int) -> int:
            return a + b

    with pytest.raises(TypeError, match=r"takes a typing\.Protocol"):
        netobj.stub(5, Own)


def test_on_an_event_loop() -> None:
    async def main() -> None:
        conn: aio.Connection[AsyncCalculator]
        async with (
            aio.Server(CalculatorService, "localhost") as server,
            aio.connect("localhost", server.port) as conn,
        ):
            assert await conn.root.add(1, 2) == 3
            calculator = await aio.stub(conn.root, AsyncCalculator)
            assert calculator is conn.root
            assert [item async for item in calculator.count()] == [1]
            with pytest.raises(AttributeError, match="shows no subtract, which AsyncMore"):
                await aio.stub(conn.root, AsyncMore)
            with pytest.raises(TypeError, match=r"takes a typing\.Protocol"):
                await aio.stub(conn.root, int)
            parts = await conn.root.parts()  # type: ignore[attr-defined]
            with pytest.raises(AttributeError, match="shows no add, count"):
                await aio.stub(parts, AsyncCalculator)

    asyncio.run(main())


@pytest.mark.parametrize("connection", [netobj.Connection, aio.Connection])
def test_brackets_work_at_run_time(connection: Any) -> None:
    assert connection[Base].__origin__ is connection
    assert connection[Base].__args__ == (Base,)


def test_names_of_protocols() -> None:
    assert names_of(More) == {"add", "subtract", "__getitem__"}
    assert names_of(Calculator) == {"add", "precision", "__len__"}


class Maths(Protocol):
    def double(self, number: int) -> int: ...


class AsyncMaths(Protocol):
    async def double(self, number: int) -> int: ...


class WithGroup(Protocol):
    @property
    def maths(self) -> Maths: ...


class AsyncWithGroup(Protocol):
    @property
    def maths(self) -> AsyncMaths: ...


def with_group() -> netobj.FunctionService:
    svc = netobj.FunctionService("calc")

    @svc.register(group="maths")
    def double(number: int) -> int:
        return 2 * number

    return svc


def test_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    with netobj.connect_thread(remote_service=with_group()) as conn:
        conn.root  # noqa: B018
        made = requests(conn, monkeypatch)
        calculator = netobj.stub(conn.root, WithGroup)
        assert made == []
        assert calculator.maths.double(2) == 4
        assert netobj.stub(conn.root.maths, Maths).double(2) == 4
        with pytest.raises(AttributeError, match="shows no add"):
            netobj.stub(conn.root.maths, Base)


def test_groups_on_an_event_loop() -> None:
    async def main() -> None:
        async with (
            aio.Server(with_group(), "localhost") as server,
            aio.connect("localhost", server.port) as conn,
        ):
            calculator = await aio.stub(conn.root, AsyncWithGroup)
            assert await calculator.maths.double(2) == 4
            maths = await aio.stub(conn.root.maths, AsyncMaths)
            assert await maths.double(2) == 4

    asyncio.run(main())
