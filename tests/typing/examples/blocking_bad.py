"""What a type checker has to find: blocking connections. The errors stand where they belong."""

from __future__ import annotations

from typing import Protocol

import netobj


class Calculator(Protocol):
    """As the other side has it."""

    def add(self, a: int, b: int = 0) -> int: ...


class CalculatorService(netobj.Service):
    """The other side."""

    @netobj.exposed(check_types=True)
    def add(self, a: int, b: int = 0) -> int:
        return a + b


def by_annotation(port: int) -> str:
    conn: netobj.Connection[Calculator] = netobj.connect("localhost", port)
    conn.root.add("1")  # E: Argument 1 to "add" of "Calculator" has incompatible type "str"
    conn.root.add()  # E: Missing positional argument "a" in call to "add"
    conn.root.ad(1)  # E: "Calculator" has no attribute "ad"
    return conn.root.add(1)  # E: Incompatible return value type (got "int", expected "str")


def in_with(port: int) -> None:
    conn: netobj.Connection[Calculator]
    with netobj.connect("localhost", port) as conn:
        conn.root.add(1, c=2)  # E: Unexpected keyword argument "c" for "add" of "Calculator"


def by_stub(port: int) -> None:
    with netobj.connect("localhost", port) as conn:
        calculator = netobj.stub(conn.root, Calculator)
        calculator.subtract(1, 2)  # E: "Calculator" has no attribute "subtract"
        calculator.add(1, None)  # E: Argument 2 to "add" of "Calculator" has incompatible type


def checked_functions_keep_their_types() -> None:
    CalculatorService().add("1")  # E: Argument 1 to "add" of "CalculatorService" has incompatible
