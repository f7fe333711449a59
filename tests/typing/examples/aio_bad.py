"""What a type checker has to find: connections on an event loop."""

from __future__ import annotations

from typing import Protocol

from netobj import aio


class Calculator(Protocol):
    """As the other side has it."""

    async def add(self, a: int, b: int = 0) -> int: ...


async def by_annotation(port: int) -> str:
    conn: aio.Connection[Calculator]
    async with aio.connect("localhost", port) as conn:
        await conn.root.add("1")  # E: Argument 1 to "add" of "Calculator" has incompatible type
        await conn.root.ad(1)  # E: "Calculator" has no attribute "ad"
        conn.root.add(1) + 1  # E: Unsupported operand types for +
        return await conn.root.add(1)  # E: Incompatible return value type (got "int"


async def by_stub(port: int) -> None:
    async with aio.connect("localhost", port) as conn:
        calculator = await aio.stub(conn.root, Calculator)
        await calculator.add(b=1)  # E: Missing positional argument "a" in call to "add"
        aio.stub(conn.root, Calculator).add(1)  # E: has no attribute "add"
