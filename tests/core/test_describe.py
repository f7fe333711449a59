"""Class descriptions: what they say of a class, and what is refused of a peer's."""

from __future__ import annotations

import array
import io
import types
from typing import Any

import pytest

from netobj.core import describe, values
from netobj.core.access import Policy
from netobj.core.config import Config
from netobj.core.consts import SPECIALS, Described
from netobj.core.describe import (
    NOTHING,
    Description,
    describe_class,
    describe_object,
    hidden_names,
)
from netobj.core.specials import special_methods
from netobj.errors import ProtocolError

ALL = Policy(Config(allow_all_attrs=True), "here")
STRICT = Policy(Config(), "here")


class Base:
    def exposed_greet(self) -> str:
        return "hello"

    def helper(self) -> None: ...

    @property
    def exposed_size(self) -> int:
        return 3

    def __len__(self) -> int:
        return 3


class Derived(Base):
    __hash__ = None  # type: ignore[assignment]

    def exposed_more(self) -> None: ...


def test_a_class_through_a_strict_policy() -> None:
    found = describe_class(Derived, STRICT)
    assert found.kind == Described.INSTANCE
    assert found.full_name == f"{__name__}.Derived"
    assert found.methods == ("greet", "more")
    assert "__len__" in found.specials
    assert found.bases == (f"{__name__}.Derived", f"{__name__}.Base")
    assert found.unhashable
    assert not found.buffer


def test_a_class_through_an_open_policy() -> None:
    found = describe_class(Base, ALL)
    assert found.methods == ("greet", "helper")  # and greet stands for exposed_greet
    assert not found.unhashable


def test_a_closed_policy_shows_no_methods() -> None:
    closed = Policy(Config(allow_getattr=False, allow_safe_attrs=False), "here")
    found = describe_class(Base, closed)
    assert found.methods == ()
    assert set(found.specials) <= {"__call__"}


def test_modules_and_classes_are_described_one_by_one() -> None:
    found = describe_object(Base, STRICT)
    assert (found.kind, found.full_name) == (Described.CLASS, f"{__name__}.Base")
    assert found.methods == ("greet",)
    assert "__call__" in found.specials
    module = describe_object(io, ALL)
    assert (module.kind, module.full_name) == (Described.MODULE, "builtins.module")
    assert "open" in module.methods
    assert "BytesIO" not in module.methods


@pytest.mark.parametrize("cls", [bytearray, memoryview, array.array])
def test_buffers_are_known(cls: type) -> None:
    assert describe_class(cls, ALL).buffer


def test_what_computes_an_array_interface_is_a_buffer() -> None:
    class Computed:
        @property
        def __array_interface__(self) -> dict[str, Any]:
            raise NotImplementedError

    assert describe_class(Computed, ALL).buffer
    assert not describe_class(list, ALL).buffer


def test_a_class_name_is_read_past_its_metaclass() -> None:
    class Meta(type):
        @property
        def __module__(cls) -> str:  # type: ignore[override]
            raise AssertionError("user code ran")

        def __getattribute__(cls, name: str) -> Any:
            raise AssertionError("user code ran")

    cls = Meta("Odd", (), {"__module__": 7})
    assert describe.class_name(cls) == ("?", "Odd")
    assert describe.class_name(dict) == ("builtins", "dict")


class TestHiddenNames:
    def test_instance_attributes_hide_methods(self) -> None:
        description = describe_class(Derived, STRICT)
        obj = Derived()
        assert hidden_names(obj, description, "exposed_") == []
        obj.other = 1  # type: ignore[attr-defined]
        assert hidden_names(obj, description, "exposed_") == []
        obj.exposed_greet = len  # type: ignore[assignment,method-assign]
        assert hidden_names(obj, description, "exposed_") == ["greet"]
        obj.more = len  # type: ignore[attr-defined]
        assert hidden_names(obj, description, "exposed_") == ["greet", "more"]

    def test_nothing_hides_in_what_has_no_dict_or_is_described_itself(self) -> None:
        assert hidden_names([], describe_class(list, ALL), "") == []
        assert hidden_names(io, describe_object(io, ALL), "") == []
        assert hidden_names(object(), NOTHING, "") == []


class TestWire:
    @pytest.mark.parametrize("policy", [ALL, STRICT])
    @pytest.mark.parametrize("cls", [Base, Derived, list, dict, str, types.FunctionType])
    def test_comes_back_as_it_was(self, cls: type, policy: Policy) -> None:
        found = describe_class(cls, policy)
        items = values.unpack_message(values.pack(found.to_wire()), lambda code, data: None, 1000)
        back = Description.from_wire(items)
        assert back._replace(specials=()) == found._replace(specials=())
        assert set(back.specials) == set(found.specials)

    def test_the_bits_of_a_later_minor_version_are_ignored(self) -> None:
        items = (0, "m", "C", (), b"\xff" * 30, (), False, False)
        assert Description.from_wire(items).specials == SPECIALS

    @pytest.mark.parametrize(
        "items",
        [
            None,
            (),
            (0, "m", "C", (), b"", (), False),
            (0, "m", "C", (), b"", (), False, 0),
            (0, "m", b"C", (), b"", (), False, False),
            (0, "m", "C", [], b"", (), False, False),
            (0, "m", "C", (1,), b"", (), False, False),
            (0, "m", "C", (), b"", (1,), False, False),
            (9, "m", "C", (), b"", (), False, False),
            (0, "m", "C", ("a",) * 20_001, b"", (), False, False),
        ],
    )
    def test_what_is_malformed(self, items: Any) -> None:
        with pytest.raises(ProtocolError, match="a class description"):
            Description.from_wire(items)

    @pytest.mark.parametrize(
        "name",
        ["__del__", "__class__", "__getattribute__", "__slots__", "____handle__", "__dict__"],
    )
    def test_a_peer_cannot_put_special_names_into_a_class(self, name: str) -> None:
        with pytest.raises(ProtocolError, match="special methods"):
            Description.from_wire((0, "m", "C", (name,), b"", (), False, False))


def test_what_was_not_described_yet_can_do_nothing() -> None:
    assert special_methods(NOTHING) == {"__hash__": object.__hash__}


def test_a_class_that_was_made_where_no_module_is() -> None:
    nowhere = eval("type('Nowhere', (), {})", {"__builtins__": {"type": type}})
    assert describe.class_name(nowhere) == ("?", "Nowhere")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 1001])
def test_a_name_that_no_class_can_have(name: str) -> None:
    with pytest.raises(ProtocolError, match="a name that no class can have"):
        Description.from_wire((0, "m", name, (), b"", (), False, False))
    odd = type("Odd", (), {})
    odd.__qualname__ = name  # which Python does not refuse
    assert describe_class(odd, Policy(Config(), "here")).name == "?"
