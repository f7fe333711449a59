"""Local subclasses of remote classes."""

from __future__ import annotations

import gc
import json
from array import array
from typing import Any

import numpy
import pytest

from fakewire import CLASSIC, FakeWire
from netobj.core import extending
from netobj.core.config import Config
from netobj.errors import AccessDenied


class Theirs:
    """A class of the other side."""

    def __init__(self, name: str = "nobody") -> None:
        self.name = name

    def greet(self) -> str:
        return f"I am {self.name}"

    def twice(self) -> str:
        return self.greet() * 2


class Bare:
    """A class of the other side that takes no arguments."""


class Counted(Theirs):
    """Has special methods."""

    def __len__(self) -> int:
        return len(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted) and other.name == self.name

    __hash__ = None  # type: ignore[assignment]


def remote(*classes: type, config: Config = CLASSIC) -> tuple[FakeWire, Any]:
    wire = FakeWire(
        right_root={cls.__name__: cls for cls in classes}, left_config=CLASSIC, right_config=config
    )
    return wire, wire.left.root


def test_what_the_subclass_defines_runs_here_and_the_rest_there() -> None:
    _, root = remote(Theirs)

    class Mine(root["Theirs"]):  # type: ignore[misc]
        def greet(self) -> str:
            return super().greet() + "!"

    mine = Mine("Ann")
    assert type(mine) is Mine
    assert mine.name == "Ann"
    assert mine.greet() == "I am Ann!"
    assert mine.greet() == "I am Ann!"
    assert mine.twice() == "I am AnnI am Ann"  # the other side does not see the override


def test_init_may_take_other_arguments() -> None:
    _, root = remote(Bare)

    class Mine(root["Bare"]):  # type: ignore[misc]
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    assert Mine(3).number == 3


def test_attributes_go_to_the_remote_object_and_back() -> None:
    _, root = remote(Theirs)

    class Mine(root["Theirs"]):  # type: ignore[misc]
        pass

    mine = Mine()
    mine.name = "Bob"
    assert mine.greet() == "I am Bob"
    del mine.name
    with pytest.raises(AttributeError):
        mine.greet()


def test_attributes_stay_here_where_the_remote_object_takes_none() -> None:
    _, root = remote(list)

    class Mine(root["list"]):  # type: ignore[misc]
        pass

    mine = Mine([1, 2])
    mine.label = "x"
    assert mine.label == "x"
    del mine.label
    assert not hasattr(mine, "label")
    assert mine == [1, 2]
    assert mine + [3] == [1, 2, 3]


def test_the_object_comes_home_as_the_instance() -> None:
    _, root = remote(Theirs, dict)

    class Mine(root["Theirs"]):  # type: ignore[misc]
        pass

    mine = Mine()
    shelf = root["dict"]()
    shelf["it"] = mine
    assert shelf["it"] is mine


def test_isinstance() -> None:
    _, root = remote(list, Theirs)

    class Mine(root["list"]):  # type: ignore[misc]
        pass

    assert isinstance(Mine(), Mine)
    assert isinstance(Mine(), list)
    assert isinstance(Mine(), root["list"])
    assert not isinstance(Mine(), root["Theirs"])


def test_special_methods_and_hash_are_those_of_the_class() -> None:
    _, root = remote(Counted, Theirs)

    class Mine(root["Counted"]):  # type: ignore[misc]
        pass

    class Plain(root["Theirs"]):  # type: ignore[misc]
        pass

    assert len(Mine("abc")) == 3
    assert Mine("a") == Mine("a")
    with pytest.raises(TypeError):
        hash(Mine())
    assert Plain() != Plain()
    assert len({Plain(), Plain()}) == 2
    with pytest.raises(TypeError):
        len(Plain())


@pytest.mark.parametrize(
    ("cls", "args", "contents"),
    [
        (bytearray, (b"abc",), b"abc"),
        (array, ("H", [0x707]), b"\7\7"),
        (numpy.ndarray, ((1,), "u2", b"\5\5"), b"\5\5"),
        (list, ([1, 2],), b"\1\2"),  # its items
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_bytes_of_a_buffer(cls: Any, args: tuple[Any, ...], contents: bytes) -> None:
    _, root = remote(cls)

    class Mine(root[cls.__name__]):  # type: ignore[misc]
        pass

    mine: Any = Mine(*args)
    assert bytes(mine) == contents
    assert hasattr(Mine, "__buffer__") is (cls is not list)


def test_nothing_is_left_when_the_instance_dies() -> None:
    wire, root = remote(Theirs)
    wire.flush()
    before = wire.tables()

    class Mine(root["Theirs"]):  # type: ignore[misc]
        pass

    mine = Mine()
    mine.greet()
    del mine, Mine
    gc.collect()  # classes are cycles
    wire.flush()
    assert wire.tables() == before


def test_a_closed_class_cannot_be_extended() -> None:
    _, root = remote(Theirs, config=Config(allow_public_attrs=True))
    with pytest.raises(AccessDenied):

        class Mine(root["Theirs"]):  # type: ignore[misc]
            pass


def test_only_classes_can_be_extended() -> None:
    wire = FakeWire(
        right_root={"object": Theirs(), "module": json}, left_config=CLASSIC, right_config=CLASSIC
    )
    for name in ("object", "module"):
        with pytest.raises(TypeError, match="only classes can be the base"):

            class Mine(wire.left.root[name]):  # type: ignore[misc]
                pass


def test_a_class_whose_constructor_is_that_of_another_remote_class() -> None:
    class Base:
        def __new__(cls, name: str) -> Any:
            self = object.__new__(cls)
            self.name = name
            return self

    class Child(Base):
        __new__ = staticmethod(Base.__new__)  # type: ignore[assignment]

    _, root = remote(Child)

    class Mine(root["Child"]):  # type: ignore[misc]
        pass

    assert Mine("Ann").name == "Ann"


def test_a_property_of_this_side() -> None:
    _, root = remote(Bare)

    class Mine(root["Bare"]):  # type: ignore[misc]
        kept = 0

        @property
        def local(self) -> int:
            return type(self).kept

        @local.setter
        def local(self, value: int) -> None:
            type(self).kept = value

        @local.deleter
        def local(self) -> None:
            type(self).kept = -1

    mine = Mine()
    mine.local = 5
    assert Mine.kept == mine.local == 5
    del mine.local
    assert Mine.kept == -1


def test_the_names_of_classes_of_this_side() -> None:
    assert extending._full_name(list) == "builtins.list"
