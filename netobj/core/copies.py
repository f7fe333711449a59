"""Copies of remote containers: one request, no pickle."""

from __future__ import annotations

from typing import Any, Final

from netobj.core import arrays, values
from netobj.core.consts import Op
from netobj.core.handle import RemoteMethod, RemoteObject
from netobj.core.rebuilding import put_together
from netobj.errors import ProtocolError

_COPY: Final = int(Op.COPY)


def fetch_copy(ref: Any) -> Any:
    """A copy of the plain data behind *ref*; what is no remote object is returned as it is.

    Raises NotEncodable (from the other side) for what is no plain data.
    """
    kind = type(ref)
    if not issubclass(kind, RemoteObject):
        return ref
    handle = ref.____handle__
    path = ref.____name__ if issubclass(kind, RemoteMethod) else None
    return copy_in(handle.link, handle.link.request(_COPY, handle, path, arrays.known()))


def copy_in(link: Any, answer: tuple[Any, Any]) -> Any:
    """The copy that an *answer* to ``COPY`` on the connection *link* holds."""
    if type(answer) is not tuple or len(answer) != 2:
        raise ProtocolError("the other side's answer is no copy")
    packed, value = answer
    if packed and type(value) is not bytes:
        raise ProtocolError("the other side's copy is not packed")
    if packed is None:
        return put_together(value, lambda blob: unpacked(link, blob))
    return unpacked(link, value) if packed else value


def unpacked(link: Any, blob: bytes) -> Any:
    """The plain data that travelled as *blob* over the connection *link*."""
    return values.complete(link.session.boxing.unpack_blob(blob))


_CONTAINERS: Final = frozenset(
    f"builtins.{name}" for name in ("list", "dict", "set", "frozenset", "tuple", "bytearray")
)


def copy_containers(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """*args* with each remote builtin container in them replaced by a copy."""
    return tuple(fetch_copy(arg) if _is_container(arg) else arg for arg in args)


def _is_container(arg: Any) -> bool:
    return (
        issubclass(type(arg), RemoteObject)
        and not issubclass(type(arg), RemoteMethod)
        and arg.____handle__.imported.description.full_name in _CONTAINERS
    )


def copied(value: Any) -> Any:
    """*value* with its plain containers copied, recursively; other objects stay what they are.

    >>> rows = [{"a": (1, [2])}]
    >>> copied(rows) == rows, copied(rows)[0] is rows[0]
    (True, False)
    """
    kind = type(value)
    if kind is dict:
        return {copied(key): copied(item) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(map(copied, value))
    return bytearray(value) if kind is bytearray else value
