"""Which local class a proxy passes for."""

from __future__ import annotations

import collections
import decimal
import io
import os.path
import types
from typing import Any

import pytest

from netobj.core.consts import Described
from netobj.core.describe import NOTHING, Description
from netobj.core.localclass import builtin_class, local_class


def description(*names: str, kind: int = Described.INSTANCE) -> Description:
    module, _, name = names[0].rpartition(".")
    return NOTHING._replace(kind=kind, module=module, name=name, bases=names[1:])


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("builtins.list", list),
        ("builtins.dict", dict),
        ("builtins.set", set),
        ("builtins.bytearray", bytearray),
        ("builtins.memoryview", memoryview),
        ("builtins.object", object),
        ("builtins.function", types.FunctionType),
        ("builtins.method", types.MethodType),
        ("builtins.generator", types.GeneratorType),
        ("builtins.dict_keys", type({}.keys())),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_builtins_are_known(name: str, cls: type, trusted: bool) -> None:
    assert local_class(description(name), trusted) is cls


@pytest.mark.parametrize(
    "cls", [str, bytes, int, bool, float, complex, tuple, frozenset, ValueError, BaseException]
)
def test_what_travels_by_value_is_believed_only_where_trusted(cls: type) -> None:
    claimed = description(f"builtins.{cls.__name__}")
    assert local_class(claimed, trusted=False) is None
    assert local_class(claimed, trusted=True) is cls


def test_a_subclass_of_a_value_type_falls_back_to_nothing_without_trust() -> None:
    claimed = description("m.MyStr", "m.MyStr", "builtins.str")
    assert local_class(claimed, trusted=False) is None
    assert local_class(claimed, trusted=True) is str


def test_the_nearest_known_base() -> None:
    claimed = description("nowhere.Deep", "nowhere.Mid", "collections.OrderedDict", "builtins.dict")
    assert local_class(claimed, trusted=False) is dict
    assert local_class(claimed, trusted=True) is collections.OrderedDict


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("decimal.Decimal", decimal.Decimal),
        ("_io.BytesIO", io.BytesIO),
        ("collections.Counter", collections.Counter),
        (f"{__name__}.Outer.Inner", "Inner"),
    ],
)
def test_imported_classes_are_found_where_trusted(name: str, cls: Any) -> None:
    found = local_class(description(name), trusted=True)
    assert found is (Outer.Inner if cls == "Inner" else cls)
    assert local_class(description(name), trusted=False) is None


class Outer:
    class Inner: ...

    value = 3


@pytest.mark.parametrize(
    "name",
    [
        "no.such.module.C",
        "os.path.join",  # not a class
        "os.nothing",
        f"{__name__}.Outer.value",
        f"{__name__}.Outer.value.real",
        f"{__name__}.Outer.Missing",
        ".",
        "",
        "..",
    ],
)
def test_what_is_not_there_is_nothing(name: str) -> None:
    assert os.path
    assert local_class(description(name), trusted=True) is None


def test_names_never_import() -> None:
    import sys

    assert "this" not in sys.modules
    assert local_class(description("this.s"), trusted=True) is None
    assert "this" not in sys.modules


def test_a_class_is_a_type_and_a_module_a_module() -> None:
    assert local_class(description("x.C", kind=Described.CLASS), trusted=False) is type
    module = description("builtins.module", kind=Described.MODULE)
    assert local_class(module, trusted=False) is types.ModuleType


def test_builtin_class_is_the_builtin_that_a_class_proxy_stands_for() -> None:
    assert builtin_class(description("builtins.list", kind=Described.CLASS)) is list
    assert builtin_class(description("builtins.str", kind=Described.CLASS)) is str
    assert builtin_class(description("m.list", kind=Described.CLASS)) is None
