"""Handles: one for each object of the peer's; what happens when the last user dies."""

from __future__ import annotations

from collections import deque

from netobj.core.describe import NOTHING
from netobj.core.handle import Handle, HandleRef, ImportedClass, RemoteMethod, RemoteObject


def make(number: int = 7) -> Handle:
    return Handle("the link", number, ImportedClass(NOTHING))


def test_a_handle_knows_where_it_belongs() -> None:
    handle = make()
    assert (handle.link, handle.id, handle.proxy, handle.document) == ("the link", 7, None, None)
    assert handle.hidden == set()
    assert handle.imported.proxy_class is None


def test_its_death_is_noted_with_its_number_and_count() -> None:
    dead: deque[HandleRef] = deque()
    handle = make()
    ref = HandleRef(handle, dead.append)
    ref.count += 2
    assert ref() is handle
    assert not dead
    del handle
    assert ref() is None
    assert list(dead) == [ref]
    assert (ref.id, ref.count) == (7, 3)


def test_no_python_code_runs_when_it_dies() -> None:
    """The callback is a C function, so a finalizer is safe wherever it runs."""
    ref = HandleRef(make(), deque[HandleRef]().append)
    assert type(ref.__callback__).__name__ in ("builtin_function_or_method", "NoneType")


def test_a_method_is_a_remote_object_with_slots_only() -> None:
    assert issubclass(RemoteMethod, RemoteObject)
    method = object.__new__(RemoteMethod)
    assert not hasattr(method, "__dict__")
