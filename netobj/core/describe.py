"""Class descriptions: what goes with the first reference of a class, so that nobody asks.

A description says how the objects of a class look through the policy of the side that sends
it. Classes and modules are described one by one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any, Final, NamedTuple

from netobj.core.access import Policy
from netobj.core.consts import SPECIAL_INDEX, SPECIALS, Described
from netobj.core.exposure import MOUNTED
from netobj.core.lookup import class_dict, instance_dict, mro_of
from netobj.core.rules import is_dunder
from netobj.core.vinegar_table import is_name
from netobj.errors import ProtocolError

_MAX_NAMES: Final = 20_000
_ALL_SPECIALS: Final = (1 << len(SPECIALS)) - 1


class Description(NamedTuple):
    """What one side knows of a class of the other; field for field what the wire carries."""

    kind: int  # consts.Described
    module: str
    name: str  # the qualified name
    methods: tuple[str, ...]
    specials: tuple[str, ...]
    bases: tuple[str, ...]  # "module.qualname" of each class in the MRO but object
    unhashable: bool
    buffer: bool  # bytes(obj) and memoryview(obj) make sense

    def to_wire(self) -> list[Any]:
        """The msgpack array of this description."""
        bits = sum(1 << SPECIAL_INDEX[name] for name in self.specials)
        size = (len(SPECIALS) + 7) // 8
        names = [list(self.methods), bits.to_bytes(size, "big"), list(self.bases)]
        return [self.kind, self.module, self.name, *names, self.unhashable, self.buffer]

    @classmethod
    def from_wire(cls, items: Any) -> Description:
        """The description in *items*; raises ProtocolError where they are not one."""
        kind, module, name, methods, bits, bases, unhashable, buffer = _fields(items)
        named = (module, name, *methods, *bases)
        if set(map(type, named)) != {str} or len(named) > _MAX_NAMES:
            raise ProtocolError("a class description holds names that are no str, or too many")
        if not (is_name(module) and is_name(name)):  # a class will be named so
            raise ProtocolError("a class description holds a name that no class can have")
        if kind not in _KINDS or any(map(is_dunder, methods)):
            raise ProtocolError("a class description is of no known kind, or has special methods")
        specials = _specials(int.from_bytes(bits, "big") & _ALL_SPECIALS)
        return cls(kind, module, name, methods, specials, bases, unhashable, buffer)

    @property
    def names(self) -> int:
        """How many names are in it."""
        return len(self.methods) + len(self.bases) + 2

    @property
    def full_name(self) -> str:
        """``module.qualname``."""
        return f"{self.module}.{self.name}"


@lru_cache(maxsize=128)
def _specials(flags: int) -> tuple[str, ...]:
    return tuple(text for index, text in enumerate(SPECIALS) if flags >> index & 1)


_KINDS: Final = frozenset(Described)
_SHAPE: Final = (int, str, str, tuple, bytes, tuple, bool, bool)


def _fields(items: Any) -> tuple[Any, ...]:
    if type(items) is tuple and len(items) == len(_SHAPE):
        if all(type(item) is kind for item, kind in zip(items, _SHAPE, strict=True)):
            return items
    raise ProtocolError("a class description is malformed")


NOTHING: Final = Description(0, "builtins", "object", (), (), (), False, False)
"""What is known of an object whose description has not come yet."""


def class_name(cls: type) -> tuple[str, str]:
    """Module and qualified name of *cls*, read past any metaclass."""
    try:
        module = type.__dict__["__module__"].__get__(cls)
    except AttributeError:  # it was made where no module is
        module = None
    name = type.__dict__["__qualname__"].__get__(cls)
    return module if is_name(module) else "?", name if is_name(name) else "?"


def _mro_names(cls: type) -> tuple[str, ...]:
    return tuple(".".join(class_name(base)) for base in mro_of(cls)[:-1])


def _has_buffer(cls: type) -> bool:
    return any(
        not BUFFER_NAMES.isdisjoint(class_dict(base)) or any(base is one for one in BUFFERS)
        for base in mro_of(cls)
    )


BUFFERS: Final = (bytes, bytearray, memoryview, array)
BUFFER_NAMES: Final = frozenset(("__buffer__", "__array_interface__"))
"""Classes whose objects are buffers, and names that a class of such has."""


def describe_class(cls: type, policy: Policy) -> Description:
    """How objects of *cls* look through *policy*, which remembers it."""
    return policy.described(cls, _describe_class)


def _describe_class(cls: type, policy: Policy) -> Description:
    module, name = class_name(cls)
    return Description(
        Described.INSTANCE,
        module,
        name,
        tuple(sorted({*policy.methods_of(cls), *_nested(cls, policy)})),
        tuple(sorted(policy.specials_of(cls))),
        _mro_names(cls),
        policy.unhashable(cls),
        _has_buffer(cls),
    )


def _nested(cls: type, policy: Policy, depth: int = 0) -> Iterator[str]:
    """The dotted names of the methods of what is mounted in *cls*, so that nobody asks for it."""
    if not MOUNTED or depth > _DEEPEST:
        return
    for name, what in policy.mounted_in(cls):
        kind = type(what)
        if set(policy.specials_of(kind)) - {"__repr__"}:  # it is more than a namespace
            continue
        for inner in (*policy.methods_of(kind), *_nested(kind, policy, depth + 1)):
            yield f"{name}.{inner}"


_DEEPEST: Final = 8
"""Namespaces inside of one another, whose names are told in advance."""


def describe_object(obj: type | ModuleType, policy: Policy) -> Description:
    """How one class or one module looks through *policy*."""
    kind = Described.MODULE
    module, name = "builtins", "module"
    if isinstance(obj, type):
        kind = Described.CLASS
        module, name = class_name(obj)
    meta = type(obj)
    return Description(
        kind,
        module,
        name,
        tuple(sorted(policy.methods_of_object(obj))),
        tuple(sorted(policy.specials_of(meta))),
        _mro_names(meta),
        policy.unhashable(meta),
        False,
    )


def hidden_names(obj: object, description: Description, prefix: str) -> list[str]:
    """The described methods that an instance attribute of *obj*, perhaps prefixed, hides."""
    if not description.methods or description.kind != Described.INSTANCE:
        return []
    names = instance_dict(obj)
    if not names:
        return []
    return [name for name in description.methods if name in names or prefix + name in names]
