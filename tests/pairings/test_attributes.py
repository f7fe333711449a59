"""Attributes, items, operators, comparison and containers, in either skin's spelling."""

from __future__ import annotations

from typing import Any

import pytest

import netobj
from pairings import Pair, Pairing

OPEN = {"allow_public_attrs": True, "allow_setattr": True, "allow_delattr": True}


class Balance:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def add(self, more: int) -> int:
        self.amount += more
        return self.amount

    async def add_async(self, more: int) -> int:
        return self.add(more)


class Account:
    def __init__(self) -> None:
        self.balance = Balance(10)


class Number:
    """Has all operators, and says which was used."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> Any:
        return self.value == getattr(other, "value", other)

    def __lt__(self, other: Any) -> bool:
        return self.value < getattr(other, "value", other)

    def __hash__(self) -> int:
        return self.value * 31

    def __repr__(self) -> str:
        return f"Number({self.value})"

    def __str__(self) -> str:
        return f"number {self.value}"

    def __int__(self) -> int:
        return self.value

    def __float__(self) -> float:
        return self.value + 0.5

    def __index__(self) -> int:
        return self.value

    def __bool__(self) -> bool:
        return self.value != 0

    def __neg__(self) -> int:
        return -self.value

    def __abs__(self) -> int:
        return abs(self.value)

    def __invert__(self) -> int:
        return ~self.value

    def __add__(self, other: Any) -> Any:
        return self.value + int(other)

    def __radd__(self, other: Any) -> Any:
        return ("reflected", int(other) + self.value)

    def __sub__(self, other: Any) -> Any:
        return NotImplemented

    def __iadd__(self, other: Any) -> Any:
        self.value += other
        return self

    def __matmul__(self, other: Any) -> Any:
        return ("matmul", other)

    def __divmod__(self, other: Any) -> Any:
        return divmod(self.value, other)


class Bank(netobj.Service):
    def __init__(self) -> None:
        self.exposed_accounts = {"alice": Account()}
        self.exposed_limit = 5
        self.exposed_grid = {(1, 2): [[0, 1], [2, 3]]}

    @netobj.exposed
    def number(self, value: int) -> Any:
        return Number(value)

    @netobj.exposed
    def table(self) -> Any:
        return {"a": 1, "b": [2]}

    @netobj.exposed
    def numbers(self) -> Any:
        return [5, 6, 7]

    @netobj.exposed
    def fruits(self) -> Any:
        return {"apple", "pear"}

    @netobj.exposed
    def data(self) -> Any:
        return bytearray(b"data")

    @netobj.exposed
    def account_class(self) -> Any:
        return Account


@pytest.fixture
def pair(pairing: Pairing) -> Pair:
    return pairing.join(Bank, config=OPEN)


class TestPaths:
    def test_an_expression_through_attributes_items_and_calls(self, pair: Pair) -> None:
        assert pair.get(pair.root.accounts["alice"].balance.add(5)) == 15
        assert pair.get(pair.root.accounts["alice"].balance.amount) == 15
        assert pair.get(pair.root.limit) == 5

    def test_items_of_all_kinds(self, pair: Pair) -> None:
        assert pair.get(pair.root.grid[1, 2][1][0]) == 2
        numbers = pair.get(pair.root.numbers())
        assert pair.get(numbers[-1]) == 7
        assert pair.act("copy_of", pair.get(numbers[0:2])) == [5, 6]

    def test_what_is_not_there(self, pair: Pair) -> None:
        with pytest.raises(KeyError, match="bob"):
            pair.get(pair.root.accounts["bob"].balance)
        with pytest.raises(AttributeError, match="nothing"):
            pair.get(pair.root.accounts["alice"].nothing)
        with pytest.raises(IndexError):
            pair.get(pair.get(pair.root.numbers())[10])

    def test_a_fetched_reference_goes_on_as_a_base(self, pair: Pair) -> None:
        balance = pair.get(pair.root.accounts["alice"].balance)
        assert pair.get(balance.add(1)) == 11
        assert pair.start(balance.add, 1).result() == 12
        assert pair.start(balance.add_async, 1).result() == 13


class TestSetting:
    def test_attributes(self, pair: Pair) -> None:
        balance = pair.get(pair.root.accounts["alice"].balance)
        pair.act("setattr", balance, "amount", 99)
        assert pair.get(balance.amount) == 99
        pair.act("delattr", balance, "amount")
        with pytest.raises(AttributeError, match="amount"):
            pair.get(balance.amount)
        pair.act("setattr", balance, "new", (1, "a"))
        assert pair.act("getattr", balance, "new") == (1, "a")

    def test_an_object_of_ours_as_an_attribute_of_theirs(self, pair: Pair) -> None:
        balance = pair.get(pair.root.accounts["alice"].balance)
        mine = [1]
        pair.act("setattr", balance, "amount", mine)
        assert pair.get(balance.amount) is mine
        pair.act("setattr", balance, "amount", 0)

    def test_items(self, pair: Pair) -> None:
        table = pair.get(pair.root.table())
        pair.act("setitem", table, "c", 3)
        pair.act("delitem", table, "a")
        assert pair.act("copy_of", table) == {"b": [2], "c": 3}
        with pytest.raises(KeyError, match="a"):
            pair.act("delitem", table, "a")

    def test_slices(self, pair: Pair) -> None:
        numbers = pair.get(pair.root.numbers())
        pair.act("setitem", numbers, slice(0, 2), (1,))
        assert pair.act("copy_of", numbers) == [1, 7]


class TestOperators:
    def test_arithmetic_both_ways_round(self, pair: Pair) -> None:
        number = pair.get(pair.root.number(4))
        assert pair.act("add", number, 3) == 7
        assert pair.act("add", 3, number) == ("reflected", 7)
        assert pair.act("add", number, number) == 8
        assert pair.act("matmul", number, "x") == ("matmul", "x")
        assert pair.act("divmod", number, 3) == (1, 1)

    def test_what_neither_side_supports(self, pair: Pair) -> None:
        number = pair.get(pair.root.number(4))
        with pytest.raises(TypeError):
            pair.act("sub", number, 1)

    def test_in_place(self, pair: Pair) -> None:
        number = pair.get(pair.root.number(4))
        assert pair.act("iadd", number, 3) is number
        assert pair.act("int", number) == 7
        fruits = pair.get(pair.root.fruits())
        assert pair.act("ior", fruits, {"plum"}) is fruits
        assert pair.act("len", fruits) == 3

    def test_unary_and_conversions(self, pair: Pair) -> None:
        number = pair.get(pair.root.number(4))
        assert pair.act("neg", number) == -4
        assert pair.act("invert", number) == ~4
        assert pair.act("abs", pair.get(pair.root.number(-4))) == 4
        assert pair.act("int", number) == 4
        assert pair.act("float", number) == 4.5
        assert pair.act("index", number) == 4
        assert pair.act("str", number) == "number 4"
        assert pair.act("repr", number) == "Number(4)"
        assert pair.act("hash", number) == hash(Number(4))
        assert pair.act("truth", number) is True
        assert pair.act("truth", pair.get(pair.root.number(0))) is False

    def test_comparison(self, pair: Pair) -> None:
        one, two = pair.get(pair.root.number(1)), pair.get(pair.root.number(2))
        assert pair.act("lt", one, two) is True
        assert pair.act("gt", one, two) is False
        assert pair.act("eq", one, 1) is True
        assert pair.act("ne", one, two) is True
        with pytest.raises(TypeError):
            pair.act("le", one, 1)


class TestContainers:
    def test_length_membership_and_equality(self, pair: Pair) -> None:
        table = pair.get(pair.root.table())
        assert pair.act("len", table) == 2
        assert pair.act("contains", table, "a") is True
        assert pair.act("contains", table, "z") is False
        assert pair.act("eq", table, {"a": 1, "b": [2]}) is True
        assert pair.act("eq", pair.get(pair.root.numbers()), [5, 6]) is False

    def test_their_methods(self, pair: Pair) -> None:
        numbers = pair.get(pair.root.numbers())
        pair.get(numbers.append(8))
        pair.get(numbers.extend([9, 10]))
        assert pair.get(numbers.pop()) == 10
        pair.get(numbers.sort(reverse=True))
        assert pair.act("copy_of", numbers) == [9, 8, 7, 6, 5]
        assert pair.get(pair.get(pair.root.table()).get("zzz", "default")) == "default"

    def test_operators_with_local_containers(self, pair: Pair) -> None:
        numbers = pair.get(pair.root.numbers())
        assert pair.act("copy_of", pair.act("add", numbers, [8])) == [5, 6, 7, 8]
        assert pair.act("lt", numbers, [6]) is True
        fruits = pair.get(pair.root.fruits())
        assert pair.act("copy_of", pair.act("and_", fruits, {"pear", "x"})) == {"pear"}

    def test_the_bytes_of_a_buffer(self, pair: Pair) -> None:
        assert pair.act("bytes", pair.get(pair.root.data())) == b"data"

    def test_isinstance_of_a_remote_class(self, pair: Pair) -> None:
        account, kind = pair.get(pair.root.accounts["alice"]), pair.get(pair.root.account_class())
        assert pair.act("isinstance", account, kind) is True
        assert pair.act("isinstance", pair.get(pair.root.number(1)), kind) is False

    def test_dir(self, pair: Pair) -> None:
        balance = pair.get(pair.root.accounts["alice"].balance)
        assert {"add", "amount"} <= set(pair.act("dir", balance))
