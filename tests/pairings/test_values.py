"""What travels by value, what by reference, and what comes home."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import uuid
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import netobj
from pairings import Pair, Pairing

Point = namedtuple("Point", "x y")
ZONE = datetime.timezone(datetime.timedelta(hours=2), "here")


@netobj.by_value
@dataclasses.dataclass(frozen=True)
class Money:
    amount: int
    unit: str


@netobj.by_value
class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Thing:
    """Goes by reference."""

    def method(self) -> str:
        return "called"


class Keeper(netobj.Service):
    def __init__(self) -> None:
        self.kept: Any = None

    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value

    @netobj.exposed
    async def echo_async(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def type_name(self, value: Any) -> str:
        return type(value).__name__

    @netobj.exposed
    def make(self) -> Any:
        return Thing()

    @netobj.exposed
    def keep(self, value: Any) -> None:
        self.kept = value

    @netobj.exposed
    def is_kept(self, value: Any) -> bool:
        return value is self.kept

    @netobj.exposed
    def numbers(self) -> Any:
        return [1, 2, 3]

    @netobj.exposed(by_value=True)
    def numbers_copied(self) -> Any:
        return {"all": [1, 2, (3, 4)], "set": {5}}

    @netobj.exposed(by_value=True)
    async def numbers_copied_async(self) -> Any:
        return {"all": [1, 2, (3, 4)], "set": {5}}

    @netobj.exposed(arguments_by_value=True)
    def is_list(self, value: Any) -> bool:
        return type(value) is list and value == [1, [2]]


SERVICE = Keeper

VALUES = [
    None,
    True,
    0,
    -1,
    2**63,
    -(2**64),
    10**100,
    1.5,
    float("inf"),
    2 + 3j,
    "",
    "plain",
    "ünïcödé \U0001f600 \0 end",
    "lone \ud800 surrogate",
    b"",
    b"\x00\xff",
    (),
    (1, ("a", (None, b"b"))),
    slice(1, None, 2),
    range(3, 30, 4),
    Ellipsis,
    NotImplemented,
    frozenset({1, "a", (2, 3)}),
    datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
    datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
    datetime.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZONE),
    datetime.date(1, 1, 1),
    datetime.time(23, 59, 59, 999999),
    datetime.timedelta(days=-3, microseconds=7),
    ZONE,
    decimal.Decimal("1.10"),
    decimal.Decimal("-Infinity"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("/a/b"),
    pathlib.PureWindowsPath("c:\\a"),
    np.float32(1.5),
    np.int64(-3),
    Money(3, "EUR"),
    Colour.RED,
]


class TestByValue:
    @pytest.mark.parametrize("method", ["echo", "echo_async"])
    def test_each_value_comes_back_equal_and_of_its_type(self, pair: Pair, method: str) -> None:
        for value in VALUES:
            back = pair.get(getattr(pair.root, method)(value))
            assert type(back) is type(value), value
            assert back == value

    def test_the_other_side_sees_the_same_types(self, pair: Pair) -> None:
        for value in VALUES:
            assert pair.get(pair.root.type_name(value)) == type(value).__name__

    def test_a_named_tuple_has_its_name_and_fields(self, pair: Pair) -> None:
        back = pair.get(pair.root.echo(Point(1, "b")))
        assert (type(back).__name__, back._fields) == ("Point", ("x", "y"))
        assert back == (1, "b")
        assert back.y == "b"

    def test_nan(self, pair: Pair) -> None:
        back = pair.get(pair.root.echo(float("nan")))
        assert back != back

    def test_big_values(self, pair: Pair) -> None:
        data = bytes(range(256)) * 4096
        text = "ä\U0001f600b" * 300_000
        assert pair.get(pair.root.echo(data)) == data
        assert pair.get(pair.root.echo_async(data)) == data
        assert pair.get(pair.root.echo(text)) == text
        assert pair.get(pair.root.echo((data, [data], text)))[0] == data

    def test_many_big_values_at_once(self, pair: Pair) -> None:
        parts = [bytes([n]) * 2**20 for n in range(8)]
        started = [pair.start(pair.root.echo, part) for part in parts]
        assert [one.result() for one in started] == parts

    @pytest.mark.parametrize("method", ["numbers_copied", "numbers_copied_async"])
    def test_results_that_are_declared_so_are_copies(self, pair: Pair, method: str) -> None:
        copied = pair.get(getattr(pair.root, method)())
        assert type(copied) is dict
        assert copied == {"all": [1, 2, (3, 4)], "set": {5}}

    def test_arguments_that_are_declared_so_are_copies(self, pair: Pair) -> None:
        assert pair.get(pair.root.is_list([1, [2]])) is True

    def test_copy_of(self, pair: Pair) -> None:
        copied = pair.act("copy_of", pair.get(pair.root.numbers()))
        assert copied == [1, 2, 3]
        assert type(copied) is list


class TestByReference:
    @pytest.mark.parametrize("method", ["echo", "echo_async"])
    def test_what_was_sent_comes_home_as_itself(self, pair: Pair, method: str) -> None:
        for mine in (Thing(), [1], {"a": 1}, {1}, bytearray(b"x"), object(), lambda: 1, Thing):
            assert pair.get(getattr(pair.root, method)(mine)) is mine

    def test_a_bound_method_comes_home_as_that_of_the_same_object(self, pair: Pair) -> None:
        thing = Thing()
        back = pair.get(pair.root.echo(thing.method))
        assert back == thing.method
        assert back.__self__ is thing

    def test_what_was_fetched_is_one_object_here_and_itself_there(self, pair: Pair) -> None:
        theirs = pair.get(pair.root.make())
        assert pair.get(pair.root.echo(theirs)) is theirs
        assert pair.get(pair.root.echo_async(theirs)) is theirs
        pair.get(pair.root.keep(theirs))
        assert pair.get(pair.root.is_kept(theirs)) is True
        assert pair.get(pair.root.is_kept(pair.get(pair.root.make()))) is False
        pair.get(pair.root.keep(None))

    def test_references_inside_of_tuples(self, pair: Pair) -> None:
        mine, theirs = Thing(), pair.get(pair.root.make())
        back = pair.get(pair.root.echo((1, (mine, "a"), theirs)))
        assert back[1][0] is mine
        assert back[2] is theirs

    def test_what_is_kept_there_lives_until_it_is_dropped_there(self, pair: Pair) -> None:
        pair.get(pair.root.keep(Thing()))
        assert len(pair.client.connection.session.boxing.exports) == 1
        pair.get(pair.root.keep(None))
        pair.assert_clean()

    def test_a_thousand_references_leave_nothing_behind(self, pair: Pair) -> None:
        things = [pair.start(pair.root.make) for _ in range(1000)]
        assert len({id(one.result()) for one in things}) == 1000
        del things
        pair.assert_clean()


def test_values_that_are_not_registered_go_by_reference(pair: Pair) -> None:
    @dataclasses.dataclass(frozen=True)
    class Unknown:
        n: int

    mine = Unknown(3)
    assert pair.get(pair.root.echo(mine)) is mine
    assert pair.get(pair.root.echo(Money)) is Money


def test_two_clients_of_one_service_instance_share_it(pairing: Pairing) -> None:
    pair = pairing.join(Keeper())
    other = pairing.connect(pair.server.port)
    pair.get(pair.root.keep(17))
    assert other.get(other.root.is_kept(17)) is True
    other.close()
    pair.get(pair.root.keep(None))
