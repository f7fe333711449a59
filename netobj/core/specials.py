"""The special methods of proxy classes: what Python looks for on a type, not on an object."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Final

from netobj.core.arguments import buffer_class, buffers_copied, containers_copied, copying_class
from netobj.core.boxing import ByValue
from netobj.core.consts import (
    BINARY_SPECIALS,
    COMPARE_SPECIALS,
    IN_PLACE_SPECIALS,
    OPEN,
    REFLECTED_SPECIALS,
    SPECIAL_INDEX,
    Described,
    Op,
)
from netobj.core.copies import unpacked
from netobj.core.describe import Description
from netobj.core.fetching import ChunkedIterator
from netobj.core.handle import Handle, RemoteObject
from netobj.core.localclass import builtin_class
from netobj.core.methods import local_repr, remote_repr, thrown_by
from netobj.core.quiet import may_ask
from netobj.core.rebuilding import array_from
from netobj.errors import ProtocolError

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)
_SPECIAL: Final = int(Op.SPECIAL)


_CODE: Final = re.compile(r"[@=<>]?[?bBhHiIlLqQefdg]")
"""Formats of items of which numpy makes numbers."""


def _repr(self: RemoteObject) -> str:
    handle = self.____handle__
    return remote_repr(handle, None, local_repr(handle))


def _str(self: RemoteObject) -> Any:
    handle = self.____handle__
    if not may_ask():
        return local_repr(handle)
    return handle.link.request(_SPECIAL, handle, None, (SPECIAL_INDEX["__str__"],))


def _plain_special(index: int) -> Callable[..., Any]:
    def special(self: RemoteObject, /, *args: Any, **kwargs: Any) -> Any:
        handle = self.____handle__
        return handle.link.request(_SPECIAL, handle, None, (index, *args), kwargs)

    return special


_CONTAINERS: Final = frozenset((list, dict, set, bytearray))


def _container_special(index: int, deep: bool) -> Callable[..., Any]:
    """For a remote builtin container: a local one on the other side travels as a copy."""

    def special(self: RemoteObject, /, other: Any, *rest: Any) -> Any:
        handle = self.____handle__
        if type(other) in _CONTAINERS:
            other = ByValue(other, deep)
        return handle.link.request(_SPECIAL, handle, None, (index, other, *rest))

    return special


def _call(self: RemoteObject, /, *args: Any, **kwargs: Any) -> Any:
    handle = self.____handle__
    return handle.link.request(_CALL, handle, None, args, kwargs)


def _call_of_container(self: RemoteObject, /, *args: Any, **kwargs: Any) -> Any:
    return _call(self, *containers_copied(args), **kwargs)


def _call_of_buffer(self: RemoteObject, /, *args: Any, **kwargs: Any) -> Any:
    return _call(self, *buffers_copied(args), **kwargs)


def _exit(self: RemoteObject, _kind: Any, exc: BaseException | None, _traceback: Any) -> Any:
    handle = self.____handle__
    leave = SPECIAL_INDEX["__exit__"]
    if exc is None:
        return handle.link.request(_SPECIAL, handle, None, (leave,))
    with handle.link.thrown(exc) as thrown:
        return handle.link.request(_SPECIAL, handle, None, (leave, thrown))


# --- what is awaited -----------------------------------------------------------------------------


def _awaited_special(index: int) -> Callable[..., Any]:
    def special(self: RemoteObject, /) -> Any:
        handle = self.____handle__
        return handle.link.request_async(_SPECIAL, handle, None, (index,))

    return special


def _await(self: RemoteObject) -> Any:
    handle = self.____handle__
    index = SPECIAL_INDEX["__await__"]
    return handle.link.request_async(_SPECIAL, handle, None, (index,)).__await__()


def _aexit(self: RemoteObject, _kind: Any, exc: BaseException | None, _traceback: Any) -> Any:
    handle = self.____handle__
    leave = SPECIAL_INDEX["__aexit__"]
    if exc is None:
        return handle.link.request_async(_SPECIAL, handle, None, (leave,))
    return _leave_with(handle, leave, exc)


async def _leave_with(handle: Handle, leave: int, exc: BaseException) -> Any:
    with handle.link.thrown(exc) as thrown:
        return await handle.link.request_async(_SPECIAL, handle, None, (leave, thrown))


# --- asynchronous generators, pulled by threads --------------------------------------------------


def _next(self: RemoteObject) -> Any:
    return _pull(self, _SPECIAL, None, (SPECIAL_INDEX["__anext__"],))


def _send(self: RemoteObject, value: Any, /) -> Any:
    """As ``send`` of a generator: ``asend`` over there."""
    return _pull(self, _CALL, "asend", (value,))


def _throw(self: RemoteObject, kind: Any, /, *error: Any) -> Any:
    """As ``throw`` of a generator: ``athrow`` over there."""
    exc = thrown_by((kind, *error))
    if exc is None:
        raise TypeError(f"throw() takes an exception, not a {type(kind).__name__}")
    with self.____handle__.link.thrown(exc) as thrown:
        return _pull(self, _CALL, "athrow", (thrown,))


def _close(self: RemoteObject) -> None:
    """As ``close`` of a generator: ``aclose`` over there."""
    handle = self.____handle__
    handle.link.request(_CALL, handle, "aclose", ())


def _pull(self: RemoteObject, op: int, path: str | None, args: tuple[Any, ...]) -> Any:
    handle = self.____handle__
    try:
        return handle.link.request(op, handle, path, args)
    except StopAsyncIteration:
        raise StopIteration from None


def _open(self: RemoteObject, /, *args: Any, **kwargs: Any) -> Any:
    """Call the function with a new two-way stream before *args*; returns this side's end of it."""
    handle = self.____handle__
    return handle.link.request(_CALL, handle, [OPEN], args, kwargs)


# --- iteration -----------------------------------------------------------------------------------


def _chunked_iter(self: RemoteObject) -> Any:
    return ChunkedIterator(self, begin=True)


def _sized_iter(self: RemoteObject) -> Any:
    """For containers that must not change their size from here on: begin at once."""
    iterator = ChunkedIterator(self, begin=True)
    iterator.fetch()
    return iterator


def _itself(self: RemoteObject) -> Any:
    return self


def _bytes(self: RemoteObject) -> bytes:
    handle = self.____handle__
    return _contents(handle)[0]


def _buffer(self: RemoteObject, _flags: int) -> memoryview:
    data, code, shape = _contents(self.____handle__)
    return memoryview(data).cast(code, shape) if data else memoryview(data)


def _contents(handle: Handle) -> tuple[bytes, Any, tuple[int, ...]]:
    """The bytes of a buffer, the format of its items, its shape."""
    answer = handle.link.request(Op.BUFFER, handle, None, ())
    if type(answer) is not tuple or tuple(map(type, answer)) != (bytes, str, tuple):
        raise ProtocolError("the other side's answer is no buffer")
    if any(type(size) is not int or size < 0 for size in answer[2]):
        raise ProtocolError("the shape of the other side's buffer is malformed")
    return answer


def _buffer_of_array(self: RemoteObject, _flags: int) -> memoryview:
    """As numpy asks for it: it is fetched memory, and may be written to as that of an array."""
    data, code, shape = _contents(self.____handle__)
    if not data:
        return memoryview(data)
    parts = [data]
    del data
    return io.BytesIO(parts.pop()).getbuffer().cast(code, shape)


def _array(self: RemoteObject, dtype: Any = None, copy: Any = None) -> Any:
    """For what the other side's numpy makes an array of."""
    handle = self.____handle__
    answer = handle.link.request(Op.COPY, handle, None, ("array", "numpy"))
    if type(answer) is not tuple or len(answer) != 2 or answer[0] is not None:
        raise ProtocolError("the other side's answer is no array")
    if type(answer[1]) is not tuple or not answer[1]:
        raise ProtocolError("the other side's answer is no array")
    parts = list(answer[1])
    del answer
    array = array_from(parts, lambda blob: unpacked(handle.link, blob))
    return array if dtype is None else array.astype(dtype)


def _array_of_buffer(self: RemoteObject, dtype: Any = None, copy: Any = None) -> Any:
    import numpy  # it is numpy that calls this

    data, code, shape = _contents(self.____handle__)
    if not _CODE.fullmatch(code):
        raise TypeError(f"items of the format {code!r} are none of numpy's")
    parts = [data]
    del data
    # Writable, and where nobody else has the bytes, as after a long way, in their own memory.
    memory = io.BytesIO(parts.pop()).getbuffer()
    array = numpy.frombuffer(memory, numpy.dtype(code)).reshape(shape)
    return array if dtype is None else array.astype(dtype)


def _instance_check(self: RemoteObject, obj: object) -> bool:
    return _check(self, Op.INSTANCE_CHECK, isinstance, obj)


def _subclass_check(self: RemoteObject, cls: object) -> bool:
    return _check(self, Op.SUBCLASS_CHECK, issubclass, cls)


def _check(proxy: RemoteObject, op: Op, check: Callable[[Any, Any], bool], subject: object) -> bool:
    handle = proxy.____handle__
    known = builtin_class(handle.imported.description)
    remote = issubclass(type(subject), RemoteObject)
    if known is not None and not (remote and op is Op.SUBCLASS_CHECK):
        answer = check(subject, known)
        if answer or not remote:  # all that a remote one is, only the other side knows
            return answer
    return bool(handle.link.request(op, handle, None, (subject,)))


_CLASS_READS: Final = frozenset(SPECIAL_INDEX) - {"__dir__", "__copy__", "__deepcopy__"} | {
    "__new__"
}


def _class_getattribute(self: RemoteObject, name: str) -> Any:
    """For proxies of classes: ``Cls.__add__`` is the method of its instances.

    The proxy's type carries what the metaclass has, for the interpreter's own look-ups, which
    do not pass through here.
    """
    if name in _CLASS_READS:
        handle = self.____handle__
        return handle.link.request(_GET, handle, name, ())
    return object.__getattribute__(self, name)


_SHOWN_BY_BASE: Final = frozenset(("__dir__", "__copy__", "__deepcopy__"))


def special_methods(description: Description) -> dict[str, Any]:
    """The namespace of special methods of the proxies of what *description* describes."""
    container = description.kind == Described.INSTANCE and is_container(description)
    namespace: dict[str, Any] = {}
    for name in description.specials:
        if name in _SHOWN_BY_BASE:
            continue
        index = SPECIAL_INDEX[name]
        own = _OWN.get(name)
        if own is not None:
            namespace[name] = own
        elif container and name in _OPERATORS:
            namespace[name] = _container_special(index, deep=name in COMPARE_SPECIALS)
        elif container and name == "__iter__":
            changing = description.full_name in _CHANGING_NAMES
            namespace[name] = _chunked_iter if changing else _sized_iter
        elif name == "__iter__" and description.full_name in _ITERATOR_NAMES:
            namespace[name] = _itself
        else:
            namespace[name] = _plain_special(index)
    if description.unhashable:
        namespace["__hash__"] = None
    elif "__hash__" not in namespace:
        namespace["__hash__"] = object.__hash__
    if description.buffer:
        view = _buffer_of_array if "__array__" in namespace else _buffer
        namespace.update({"__bytes__": _bytes, "__buffer__": view})
        namespace.setdefault("__array__", _array_of_buffer)
    if description.kind == Described.CLASS:
        namespace["__instancecheck__"] = _instance_check
        namespace["__subclasscheck__"] = _subclass_check
        namespace["__getattribute__"] = _class_getattribute
        if copying_class(description):
            namespace["__call__"] = _call_of_container
        elif buffer_class(description):
            namespace["__call__"] = _call_of_buffer
    namespace.update(_MORE.get(description.full_name, {}))
    return namespace


_OWN: Final[dict[str, Callable[..., Any]]] = {
    "__aenter__": _awaited_special(SPECIAL_INDEX["__aenter__"]),
    "__aexit__": _aexit,
    "__array__": _array,
    "__anext__": _awaited_special(SPECIAL_INDEX["__anext__"]),
    "__await__": _await,
    "__call__": _call,
    "__exit__": _exit,
    "__repr__": _repr,
    "__str__": _str,
}
_MORE: Final[dict[str, dict[str, Any]]] = {
    "builtins.async_generator": {
        "__aiter__": _itself,
        "__iter__": _itself,
        "__next__": _next,
        "close": _close,
        "send": _send,
        "throw": _throw,
    },
    "builtins.function": {OPEN: _open},
    "builtins.method": {OPEN: _open},
}
"""What the proxies of some types can do that these cannot."""

_OPERATORS: Final = BINARY_SPECIALS | REFLECTED_SPECIALS | IN_PLACE_SPECIALS | COMPARE_SPECIALS
_CONTAINER_NAMES: Final = frozenset(
    "builtins." + name
    for name in "list dict set frozenset tuple bytearray dict_keys dict_values dict_items".split()
) | frozenset("collections." + name for name in "deque Counter OrderedDict defaultdict".split())


_CHANGING_NAMES: Final = frozenset(("builtins.list", "builtins.bytearray"))
"""Containers whose iterators do not mind that these change."""

_ITERATOR_NAMES: Final = frozenset(
    "builtins." + name for name in "generator zip map filter enumerate reversed".split()
) | frozenset(
    "itertools." + name
    for name in "chain count cycle islice repeat starmap takewhile dropwhile product".split()
)


def is_container(description: Description) -> bool:
    """True for builtin containers, whose iteration has no effects of its own."""
    return description.full_name in _CONTAINER_NAMES
