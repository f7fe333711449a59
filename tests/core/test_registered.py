"""by_value, and named tuples made by name."""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, Flag
from typing import NamedTuple

import pytest

from netobj.core import registered
from netobj.core.registered import (
    REGISTERED,
    USER_TYPES,
    by_value,
    is_plain_named_tuple,
    named_tuple_class,
)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    names, types = dict(REGISTERED), dict(USER_TYPES)
    yield
    for table, before in ((REGISTERED, names), (USER_TYPES, types)):
        table.clear()
        table.update(before)  # type: ignore[arg-type]


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0
    length: float = field(init=False, default=0.0)


class Plain:
    def __init__(self, text: str) -> None:
        self.text = text


def test_an_enum_travels_by_the_name_of_its_member() -> None:
    by_value(Colour)
    registration = USER_TYPES[Colour]
    assert registration.name == f"{__name__}.Colour"
    assert registration.encode(Colour.BLUE) == "BLUE"
    assert registration.decode("BLUE") is Colour.BLUE


def test_a_flag_is_an_enum() -> None:
    class Permission(Flag):
        READ = 1
        WRITE = 2

    by_value(Permission)
    registration = USER_TYPES[Permission]
    assert registration.decode(registration.encode(Permission.WRITE)) is Permission.WRITE


def test_a_dataclass_travels_by_its_init_fields() -> None:
    by_value(Point)
    registration = REGISTERED[f"{__name__}.Point"]
    assert registration.encode(Point(1, 2)) == (("x", 1), ("y", 2))
    assert registration.decode((("x", 1), ("y", 2))) == Point(1, 2)


def test_any_class_with_functions_of_its_own() -> None:
    decorated = by_value(Plain, name="plain", encode=lambda p: p.text, decode=Plain)
    assert decorated is Plain
    assert REGISTERED["plain"].decode("hello").text == "hello"
    assert REGISTERED["plain"].encode(Plain("a")) == "a"


def test_one_function_is_not_enough() -> None:
    with pytest.raises(TypeError, match="give encode= and decode="):
        by_value(Plain, encode=lambda p: p.text)


def test_it_decorates() -> None:
    @by_value
    @dataclass
    class Local:
        x: int

    assert USER_TYPES[Local].cls is Local


def test_a_name_belongs_to_one_class() -> None:
    by_value(Colour, name="taken")
    with pytest.raises(ValueError, match="the name 'taken' is"):
        by_value(Point, name="taken")
    assert USER_TYPES[Colour] is REGISTERED["taken"]
    assert Point not in USER_TYPES


def test_a_class_defined_anew_takes_its_name_over() -> None:
    """A module that is reloaded, a cell that is run again."""

    def make() -> type:
        @dataclass
        class Again:
            x: int

        return Again

    first, second = make(), make()
    by_value(first, name="again")
    by_value(second, name="again")
    assert REGISTERED["again"].cls is second


class TestNamedTuples:
    def test_one_class_for_a_name_and_fields(self) -> None:
        cls = named_tuple_class("Pair", ("a", "b"))
        assert cls is named_tuple_class("Pair", ("a", "b"))
        assert cls is not named_tuple_class("Pair", ("a", "c"))
        assert cls(1, 2)._asdict() == {"a": 1, "b": 2}

    @pytest.mark.parametrize(
        ("name", "fields"),
        [(1, ()), ("A", (1,)), ("class", ()), ("A", ("a", "a")), ("A", ("_a",)), ("a b", ())],
    )
    def test_what_is_no_named_tuple(self, name: object, fields: tuple[object, ...]) -> None:
        with pytest.raises(ValueError, match=r".+"):
            named_tuple_class(name, fields)

    def test_classes_do_not_pile_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registered, "_MAX_NAMED_TUPLES", 3)
        monkeypatch.setattr(registered, "_named_tuples", {})
        for number in range(10):
            named_tuple_class(f"T{number}", ())
        assert len(registered._named_tuples) <= 3

    def test_plain_is_what_namedtuple_makes(self) -> None:
        class Typed(NamedTuple):
            a: int
            b: int = 2

        assert is_plain_named_tuple(namedtuple("Made", "a b"))
        assert is_plain_named_tuple(Typed)

    def test_plain_it_stays_when_it_was_copied(self) -> None:
        cls = namedtuple("Copied", "a")
        assert copy.copy(cls(1)) == (1,)
        assert is_plain_named_tuple(cls)

    def test_more_is_not_plain(self) -> None:
        class WithMethod(NamedTuple):
            a: int

            def double(self) -> int:
                return 2 * self.a

        class Derived(namedtuple("Base", "a")):
            pass

        for cls in (WithMethod, Derived, tuple, type("Odd", (tuple,), {"_fields": "ab"})):
            assert not is_plain_named_tuple(cls)


def test_named_tuples_of_many_fields_are_refused_and_long_names_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registered, "_named_tuples", {})
    fields = tuple(f"f{number}" for number in range(256))
    with pytest.raises(ValueError, match="at most 255 fields"):
        registered.named_tuple_class("wide", fields)
    assert not registered.is_plain_named_tuple(namedtuple("wide", fields))
    assert registered.is_plain_named_tuple(namedtuple("narrow", fields[:255]))
    assert registered.named_tuple_class("long", ("a" * 10_000,))._fields == ("a" * 10_000,)
    assert registered._named_tuples == {}


def test_state_that_is_none_of_its_class() -> None:
    @dataclass(frozen=True)
    class Point:
        x: int

    by_value(Point, name="test_registered.Point")
    decode = registered.USER_TYPES[Point].decode
    assert decode((("x", 1),)) == Point(1)
    for state in (
        7,
        (("y", 1),),
        (("x", 1), ("x", 2)),
        ((("x",), 1),),
        (("x",),),
        (("x", 1, 2),),
        ("x",),
        [("x", 1)],
    ):
        with pytest.raises(TypeError, match="no state of a"):
            decode(state)


def test_as_many_items_as_fields() -> None:
    with pytest.raises(ValueError, match="as many items as fields"):
        registered.named_tuple("Pair", ("a", "b"), (1,))
