"""Copies of remote containers."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

from fakewire import PUBLIC, FakeWire
from netobj.core.copies import copied, copy_containers, fetch_copy
from netobj.core.handle import RemoteObject
from netobj.errors import NotEncodable


class Root:
    numbers: tuple[int, ...] = ()

    def __init__(self) -> None:
        self.it: Any = None

    def method(self) -> None: ...


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire(None, Root(), right_config=PUBLIC)


def give(wire: FakeWire, thing: Any) -> Any:
    wire.right.session.boxing.root.it = thing  # type: ignore[attr-defined]
    return wire.left.root.it


def test_what_is_here_already_is_returned() -> None:
    numbers = [1]
    assert fetch_copy(numbers) is numbers


def test_copies_of_local_data() -> None:
    inner: list[Any] = [1]
    thing = object()
    data = {"k": (inner, {2}, frozenset((3,))), 4: bytearray(b"x"), 5: thing}
    made = copied(data)
    assert made == data
    assert made["k"][0] is not inner
    assert made[4] is not data[4]
    assert made[5] is thing


def test_plain_data_and_references(wire: FakeWire) -> None:
    assert fetch_copy(give(wire, {"a": [1, (2,)]})) == {"a": [1, (2,)]}
    copied = fetch_copy(give(wire, [object(), 1]))
    assert type(copied) is list
    assert issubclass(type(copied[0]), RemoteObject)


def test_other_objects_are_no_plain_data(wire: FakeWire) -> None:
    for thing in (wire.left.root, wire.left.root.method):
        with pytest.raises(NotEncodable, match="copies plain data"):
            fetch_copy(thing)


def test_only_containers_among_arguments_are_copied(wire: FakeWire) -> None:
    root = wire.left.root
    numbers, method = give(wire, [1, 2]), root.method
    assert copy_containers((numbers, root, method, 7, [8])) == ([1, 2], root, method, 7, [8])


def test_an_array_comes_in_parts() -> None:
    wire = FakeWire(right_root=[numpy.arange(3)], left_config=PUBLIC, right_config=PUBLIC)
    copy = wire.left.copy_of(wire.left.root[0])
    assert type(copy) is numpy.ndarray
    assert copy.tolist() == [0, 1, 2]
