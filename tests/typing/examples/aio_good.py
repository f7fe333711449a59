"""What a type checker has nothing to say about: connections on an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from typing_extensions import assert_type

from netobj import aio


class Calculator(Protocol):
    """As the other side has it."""

    @property
    def precision(self) -> Awaitable[int]: ...

    async def add(self, a: int, b: int = 0) -> int: ...

    def count(self, to: int) -> AsyncIterator[int]: ...


async def by_annotation(port: int) -> int:
    conn: aio.Connection[Calculator]
    async with aio.connect("localhost", port) as conn:
        assert_type(conn.root, Calculator)
        assert_type(await conn.root.precision, int)
        async for number in conn.root.count(3):
            assert_type(number, int)
        return await conn.root.add(1, b=2)


async def awaited(port: int) -> int:
    conn: aio.Connection[Calculator] = await aio.connect("localhost", port)
    return await conn.root.add(1)


async def by_stub(port: int) -> int:
    async with aio.connect("localhost", port) as conn:
        calculator = await aio.stub(conn.root, Calculator)
        assert_type(calculator, Calculator)
        return await calculator.add(1, 2)


async def takes_any(conn: aio.Connection) -> Any:
    """Without a Protocol everything is possible, as it always was."""
    assert_type(conn.root, Any)
    return await conn.root.whatever()
