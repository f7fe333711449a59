"""What a type checker has nothing to say about: blocking connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from typing_extensions import assert_type

import netobj


class Calculator(Protocol):
    """As the other side has it."""

    precision: int

    def add(self, a: int, b: int = 0) -> int: ...

    def count(self, to: int) -> Iterator[int]: ...


class CalculatorService(netobj.Service):
    """The other side."""

    @netobj.exposed(check_types=True)
    def add(self, a: int, b: int = 0) -> int:
        return a + b

    @netobj.exposed(check_types=True, stream=True)
    def count(self, to: int) -> Iterator[int]:
        yield from range(to)


def by_annotation(port: int) -> int:
    conn: netobj.Connection[Calculator] = netobj.connect("localhost", port)
    with conn:
        assert_type(conn.root, Calculator)
        assert_type(conn.root.precision, int)
        for number in conn.root.count(3):
            assert_type(number, int)
        return conn.root.add(1, b=2)


def in_with(port: int) -> int:
    conn: netobj.Connection[Calculator]
    with netobj.connect("localhost", port) as conn:
        return conn.root.add(1)


def by_stub(port: int) -> int:
    with netobj.connect("localhost", port) as conn:
        calculator = netobj.stub(conn.root, Calculator)
        assert_type(calculator, Calculator)
        return calculator.add(1, 2)


def takes_any(conn: netobj.Connection) -> Any:
    """Without a Protocol everything is possible, as it always was."""
    assert_type(conn.root, Any)
    return conn.root.whatever(conn.other)


def takes_typed(conn: netobj.Connection[Calculator]) -> None:
    takes_any(conn)
    with netobj.batch(conn):
        conn.root.add(1, 2)


def checked_functions_keep_their_types() -> int:
    service = CalculatorService()
    assert_type(service.add(1), int)
    return service.add(1, b=2)
