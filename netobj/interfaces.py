"""What a ``typing.Protocol`` asks for, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from netobj.core.consts import SPECIAL_INDEX
from netobj.core.lookup import describe

P = TypeVar("P")
# What a type checker takes a Protocol for where an object of it is wanted; type[P] would refuse it.
Interface = Callable[..., P]

_OF_ALL: Final = frozenset(dir(object))
_TYPINGS_OWN: Final = ("typing", "typing_extensions")


def is_protocol(cls: object) -> bool:
    """Whether *cls* is a Protocol, and no class that only follows one."""
    return isinstance(cls, type) and bool(vars(cls).get("_is_protocol", False))


def names_of(protocol: type) -> frozenset[str]:
    """The names that *protocol* and its bases declare: public ones and special methods.

    >>> from typing import Protocol
    >>> class Calculator(Protocol):
    ...     last: int
    ...     def add(self, a: int, b: int) -> int: ...
    ...     def __len__(self) -> int: ...
    >>> sorted(names_of(Calculator))
    ['__len__', 'add', 'last']
    """
    found: set[str] = set()
    for base in protocol.__mro__:
        if is_protocol(base) and base.__module__ not in _TYPINGS_OWN:
            found.update(vars(base), vars(base).get("__annotations__", ()))
    return frozenset(name for name in found if name[:1] != "_" or is_special(name))


def is_special(name: str) -> bool:
    """Whether *name* is a special method that not every object has."""
    return name in SPECIAL_INDEX and name not in _OF_ALL


def checked_interface(protocol: Any) -> type:
    """*protocol*; TypeError if it is none."""
    if not is_protocol(protocol):
        raise TypeError(f"stub() takes a typing.Protocol, not {describe(protocol)}")
    cls: type = protocol
    return cls


def known_names(target: Any) -> frozenset[str]:
    """The names that *target*, a proxy or a reference, is known to have, without asking."""
    description = target.____handle__.imported.description
    methods = (name.partition(".")[0] for name in description.methods)  # of namespaces: dotted
    return frozenset((*methods, *description.specials))


def missing_error(protocol: type, missing: Iterable[str]) -> AttributeError:
    """What is raised when the other side lacks the names *missing*."""
    names = ", ".join(sorted(missing))
    return AttributeError(
        f"the other side shows no {names}, which {protocol.__name__} asks for: are they "
        "exposed there, and spelled so?"
    )
