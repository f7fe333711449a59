"""Attribute lookup that runs no user code: what a class or an object holds, as it lies there.

``getattr`` may run properties, ``__getattr__`` and metaclasses; what decides about access or
describes a class must not. So everything here goes through the descriptors of ``type`` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, Final

MISSING: Final[Any] = object()
"""What the lookups answer where there is nothing (``None`` is a value that classes do hold)."""

# A metaclass may define these names anew; the slots of type cannot be redefined.
mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
class_dict: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__


def find(tp: type, name: str) -> Any:
    """What *tp* or the first of its bases holds under *name*, unbound; else ``MISSING``.

    >>> find(bool, "real") is int.__dict__["real"]
    True
    """
    for base in mro_of(tp):
        found = class_dict(base).get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def instance_dict(obj: object) -> Mapping[str, Any] | None:
    """The ``__dict__`` of *obj* itself, or None where it has none, or one made by user code."""
    if not has_dict(type(obj)):
        return None
    found: Mapping[str, Any] = object.__getattribute__(obj, "__dict__")
    return found


def has_dict(tp: type) -> bool:
    """Whether objects of *tp* have a ``__dict__``, and one that runs no user code.

    >>> has_dict(type("Plain", (), {})), has_dict(int)
    (True, False)
    """
    kind = type(find(tp, "__dict__"))  # compared by identity: a metaclass may define __eq__
    return kind is GetSetDescriptorType or kind is MemberDescriptorType


def bind(attribute: Any, obj: object) -> Any:
    """*attribute*, found on the type of *obj*, bound to it as implicit lookup does.

    >>> bind(find(list, "__len__"), [1, 2])()
    2
    """
    getter = find(type(attribute), "__get__")
    if getter is MISSING:
        return attribute
    return getter(attribute, obj, type(obj))


def type_name(tp: type) -> str:
    """The qualified name of *tp*, without asking its metaclass."""
    return _qualname(tp)


def describe(obj: object) -> str:
    """*obj* for an error text, by its kind and name alone: its repr may be private, or huge.

    >>> describe([1]), describe(list)
    ("a 'list' object", "class 'list'")
    """
    if issubclass(type(obj), type):
        return f"class {type_name(obj)!r}"  # type: ignore[arg-type]
    if issubclass(type(obj), ModuleType):
        name = (instance_dict(obj) or {}).get("__name__")
        return f"module {name!r}" if type(name) is str else "a module"
    return f"a {type_name(type(obj))!r} object"
