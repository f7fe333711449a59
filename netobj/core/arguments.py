"""Local arguments that travel as copies, since what they are given to only reads them.

``remote_dict.update(local_dict)`` and ``remote_file.write(local_bytearray)`` mean the same with a
copy, need no questions back, and work where the callee wants a real dict or a real buffer.
"""

from __future__ import annotations

from typing import Any, Final

from netobj.core.boxing import ByValue
from netobj.core.consts import Described
from netobj.core.describe import Description
from netobj.core.handle import RemoteObject
from netobj.core.rules import has_hooks

_MOST: Final = 10_000
"""Items of a container from which on it goes by reference, and is fetched by chunks."""

_PLAIN: Final = frozenset((type(None), bool, int, float, complex, str, bytes))
_NESTING: Final = frozenset((tuple, frozenset))  # a copy of these would copy what is in them

_SET_READERS: Final = frozenset(
    (
        "update union intersection difference symmetric_difference intersection_update "
        "difference_update symmetric_difference_update issubset issuperset isdisjoint"
    ).split()
)
_CONTAINER_READERS: Final[dict[str, frozenset[str]]] = {
    "builtins.list": frozenset(("extend",)),
    "builtins.dict": frozenset(("update",)),
    "builtins.set": _SET_READERS,
    "builtins.frozenset": _SET_READERS,
    "collections.Counter": frozenset(("update", "subtract")),
    "collections.OrderedDict": frozenset(("update",)),
    "collections.defaultdict": frozenset(("update",)),
    "collections.deque": frozenset(("extend", "extendleft")),
}
_COPYING_CLASSES: Final = frozenset(
    ("builtins.list", "builtins.tuple", "builtins.dict", "builtins.set", "builtins.frozenset")
    + ("collections.Counter", "collections.OrderedDict", "collections.deque")
)
_BUFFER_READERS: Final[dict[str, frozenset[str]]] = {
    "_io._IOBase": frozenset(("write",)),
    "_socket.socket": frozenset(("send", "sendall", "sendto")),
}
_BUFFER_CLASSES: Final = frozenset(("_io.BytesIO", "builtins.bytes", "builtins.bytearray"))

FILLING: Final[dict[str, str]] = {"readinto": "read", "readinto1": "read1"}
"""Methods of files that fill a buffer, and the one that gives the bytes for it."""


SPECIAL_NAMES: Final = frozenset().union(
    *_CONTAINER_READERS.values(), *_BUFFER_READERS.values(), FILLING
)
"""The names of which the next three functions can be true: a description may hold many others."""


def reads_container(description: Description, name: str) -> bool:
    """True where the method *name* only reads the containers that it is given."""
    return name in _CONTAINER_READERS.get(description.full_name, ())


def reads_buffer(description: Description, name: str) -> bool:
    """True where the method *name* takes any buffer and only reads it."""
    return any(name in _BUFFER_READERS.get(base, ()) for base in description.bases)


def fills_buffer(description: Description, name: str) -> bool:
    """True where the method *name* is one of a file that fills a buffer."""
    return FILLING.get(name) in description.methods and "_io._IOBase" in description.bases


def copying_class(description: Description) -> bool:
    """True for a builtin container class, whose call copies from its argument."""
    return description.kind == Described.CLASS and description.full_name in _COPYING_CLASSES


def buffer_class(description: Description) -> bool:
    """True for a class whose call copies from a buffer."""
    return description.kind == Described.CLASS and description.full_name in _BUFFER_CLASSES


def containers_copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """*args* with small plain containers marked to travel by value.

    What is in them that has an identity stays a reference.
    """
    return tuple(ByValue(arg, deep=False) if _is_plain(arg) else arg for arg in args)


def _is_plain(arg: Any) -> bool:
    kind = type(arg)
    if kind is dict:
        return (
            len(arg) <= _MOST
            and _PLAIN.issuperset(map(type, arg))
            and _NESTING.isdisjoint(map(type, arg.values()))
        )
    if kind is list or kind is set:
        return len(arg) <= _MOST and _PLAIN.issuperset(map(type, arg))
    return False


def buffers_copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """*args* with the bytes of local buffers in place of these."""
    return tuple(map(_bytes_of, args))


def _bytes_of(arg: Any) -> Any:
    kind = type(arg)
    if kind in _PLAIN or issubclass(kind, RemoteObject) or has_hooks(kind):
        return arg  # what has a rule of its own is read by that
    try:
        with memoryview(arg) as view:
            return view.tobytes()
    except TypeError:
        return arg


def writable_view(args: tuple[Any, ...]) -> memoryview | None:
    """The bytes of the lone local buffer in *args*, to be filled; None if it is no such thing."""
    if len(args) != 1 or issubclass(type(args[0]), RemoteObject):
        return None
    try:
        view = memoryview(args[0])
    except TypeError:
        return None
    if view.readonly or not view.c_contiguous:
        view.release()
        return None
    return view.cast("B")
