"""The proxies, and the classes made for them.

A proxy's class carries exactly the special methods that the remote class has; its methods are
found without asking, as :class:`BoundMethod` objects, which the first use puts into the proxy's
own dictionary, so that the next one finds it there without running any of our code. Everything
else is an attribute of the remote object and read from there, each time.

What keeps the meaning Python's: when an attribute that is described as a method is set or
deleted through the proxy, a bound method that was read before and is still held somewhere is
made to mean the old method for good (it fetches a reference to it first), and from then on the
name is read like any other attribute.
"""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import MethodType
from typing import Any, Final, Protocol

from netobj.core.arguments import (
    FILLING,
    buffer_class,
    buffers_copied,
    containers_copied,
    copying_class,
    fills_buffer,
    reads_buffer,
    reads_container,
    writable_view,
)
from netobj.core.boxing import ByValue, Raised
from netobj.core.config import Config
from netobj.core.consts import (
    BINARY_SPECIALS,
    COMPARE_SPECIALS,
    IN_PLACE_SPECIALS,
    REFLECTED_SPECIALS,
    SPECIAL_INDEX,
    Described,
    Op,
)
from netobj.core.describe import Description
from netobj.core.extending import base_for, describe_instances
from netobj.core.fetching import ChunkedIterator
from netobj.core.handle import Handle, RemoteMethod, RemoteObject
from netobj.core.localclass import builtin_class, local_class
from netobj.errors import AccessDenied, ConnectionLost

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)
_SPECIAL: Final = int(Op.SPECIAL)

NEVER_REMOTE: Final = frozenset(
    (
        "__array_interface__",
        "__array_struct__",
        "__array_ufunc__",
        "__array_priority__",
        "__cuda_array_interface__",
        "__dlpack__",
    )
)
"""Names that libraries probe for and that make no sense at a distance: they are not there."""


class Link(Protocol):
    """What a proxy needs of its connection; each front-end's Connection is one."""

    guard: AbstractContextManager[object]

    @property
    def config(self) -> Config:
        """The settings of this side."""

    def request(
        self, op: int, handle: Handle, path: Any, args: tuple[Any, ...], kwargs: Any = None
    ) -> Any:
        """Ask, wait, and return the answer or raise what it raised."""

    def raised(self, exc: BaseException) -> Raised:
        """*exc* marked to travel as an exception."""


class BoundMethod(RemoteMethod):
    """A method of a remote object, known by its name without having asked."""

    __slots__ = ("__weakref__",)

    def __init__(self, handle: Handle, name: str) -> None:
        self.____handle__ = handle
        self.____name__ = name
        self.____target__ = None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.____target__ is not None:
            return self.____target__(*args, **kwargs)
        handle = self.____handle__
        return handle.link.request(_CALL, handle, self.____name__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in NEVER_REMOTE:
            raise AttributeError(name)
        if self.____target__ is not None:
            return getattr(self.____target__, name)
        handle = self.____handle__
        return handle.link.request(_GET, handle, [self.____name__, name], ())

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return MethodType

    @property
    def __self__(self) -> Any:
        return proxy_for(self.____handle__)

    @property
    def __func__(self) -> Any:
        try:
            return self.__getattr__("__func__")
        except AccessDenied:
            return _function_of(self)

    @property
    def __name__(self) -> str:
        return self.____name__

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        if self.____target__ is not None:
            return self.____target__.__doc__
        handle = self.____handle__
        return handle.link.request(Op.DOCUMENT, handle, self.____name__, ())[0]

    def __eq__(self, other: object) -> Any:
        if not issubclass(type(other), BoundMethod):
            return NotImplemented
        return (
            self.____handle__ is other.____handle__  # type: ignore[attr-defined]
            and self.____name__ == other.____name__  # type: ignore[attr-defined]
        )

    def __hash__(self) -> int:
        return hash((self.____handle__.id, self.____name__))

    def __repr__(self) -> str:
        if self.____target__ is not None:
            return repr(self.____target__)
        handle = self.____handle__
        owner = handle.imported.description.full_name
        local = f"<remote method {self.____name__} of a {owner}>"
        return _remote_repr(handle, self.____name__, local)

    def ____resolve__(self) -> None:
        """Fetch a reference to what the name means now, and stay with it."""
        handle = self.____handle__
        self.____target__ = handle.link.request(_GET, handle, self.____name__, ())


class _ThrowMethod(BoundMethod):
    """``throw`` and ``athrow``: the exception travels as one, not as a reference."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        link = self.____handle__.link
        if args and isinstance(args[0], type) and issubclass(args[0], BaseException):
            value = args[1] if len(args) > 1 else None
            args = (value if isinstance(value, BaseException) else args[0](*args[1:2]),)
        if args and isinstance(args[0], BaseException):
            args = (link.raised(args[0]), *args[1:])
        return super().__call__(*args, **kwargs)


class _ContainerReader(BoundMethod):
    """A method that only reads the containers that it is given."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*containers_copied(args), **kwargs)


class _BufferReader(BoundMethod):
    """A method that only reads the buffers that it is given."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*buffers_copied(args), **kwargs)


class _BufferFiller(BoundMethod):
    """``readinto`` of a remote file: reads over there, fills here."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        view = writable_view(args)
        if view is None:
            return super().__call__(*args, **kwargs)
        handle = self.____handle__
        with view:
            data = handle.link.request(_CALL, handle, FILLING[self.____name__], (len(view),))
            if data is None:
                return None
            view[: len(data)] = data
            return len(data)


def _method_class(description: Description, name: str) -> type[BoundMethod]:
    if name in ("throw", "athrow"):
        return _ThrowMethod
    if description.kind == Described.INSTANCE:
        if reads_container(description, name):
            return _ContainerReader
        if reads_buffer(description, name):
            return _BufferReader
        if fills_buffer(description, name):
            return _BufferFiller
    return BoundMethod


class _MethodAttribute:
    """In a proxy class: where a described method is found for the first time."""

    __slots__ = ("_class", "_name")

    def __init__(self, name: str, cls: type[BoundMethod]) -> None:
        self._name = name
        self._class = cls

    def __get__(self, proxy: Netref | None, owner: type) -> Any:
        if proxy is None:
            return self
        handle = proxy.____handle__
        name = self._name
        if name in handle.hidden:
            return handle.link.request(_GET, handle, name, ())
        method = _dict_of(proxy)[name] = self._class(handle, name)
        return method


class _RemoteAttribute:
    """In a proxy class: a name that ``object`` defines, and that means the remote one's."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, proxy: Netref | None, owner: type) -> Any:
        if proxy is None:
            return self
        handle = proxy.____handle__
        return handle.link.request(_GET, handle, self._name, ())

    def __set__(self, proxy: Netref, value: object) -> None:
        raise AttributeError(self._name)


class _Document(_RemoteAttribute):
    __slots__ = ()

    def __get__(self, proxy: Netref | None, owner: type) -> Any:
        if proxy is None:
            return f"Proxies of remote {owner.__qualname__} objects."
        return document(proxy)[0]


class _ModuleName(_RemoteAttribute):
    """``__module__``: of a class or a function its own, of another object that of its class."""

    __slots__ = ("_module",)

    def __init__(self, module: str) -> None:
        super().__init__("__module__")
        self._module = module

    def __get__(self, proxy: Netref | None, owner: type) -> Any:
        if proxy is None or self._module != "builtins":
            return self._module
        return super().__get__(proxy, owner)


class NetrefType(type):
    """The class of proxy classes; it only knows how to show them."""

    def __repr__(cls) -> str:
        return f"<netref class '{cls.__module__}.{cls.__qualname__}'>"


class _Base(RemoteObject):
    """Gives proxies a dictionary of their own under the name that :class:`Netref` covers."""


_dict_of: Callable[[Any], dict[str, Any]] = _Base.__dict__["__dict__"].__get__


class Netref(_Base, metaclass=NetrefType):
    """A proxy of a remote object; see the module's docstring.

    Never made by calling the class. ``type(x)`` is the proxy class, ``x.__class__`` and
    ``isinstance`` answer as the remote object would, where this side can know.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Any:
        raise TypeError(
            f"{cls!r} is not called: proxies are made by their connection; of remote things, "
            "only classes can be the base of a local class"
        )

    def __getattr__(self, name: str) -> Any:
        if name in NEVER_REMOTE:
            raise AttributeError(f"{name} is not looked up on a remote object")
        handle = self.____handle__
        try:
            return handle.link.request(_GET, handle, name, ())
        except AccessDenied:
            if name in _STAND_INS and handle.imported.description.module == "builtins":
                return _STAND_INS[name](self)
            raise

    def __setattr__(self, name: str, value: object) -> None:
        _keep_meaning(self, name)
        handle = self.____handle__
        handle.link.request(Op.SET, handle, None, (name, value))

    def __delattr__(self, name: str) -> None:
        _keep_meaning(self, name)
        handle = self.____handle__
        handle.link.request(Op.DELETE, handle, None, (name,))

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        imported = self.____handle__.imported
        trusted = self.____handle__.link.config.trust_class_names
        return local_class(imported.description, trusted) or type(self)

    __dict__: Any = _RemoteAttribute("__dict__")
    __init__: Any = _RemoteAttribute("__init__")
    __getstate__: Any = _RemoteAttribute("__getstate__")
    __reduce__: Any = _RemoteAttribute("__reduce__")
    __doc__: Any = _Document("__doc__")

    def __repr__(self) -> str:
        return _local_repr(self.____handle__)

    def __dir__(self) -> Any:
        handle = self.____handle__
        try:
            return list(handle.link.request(Op.DIR, handle, None, ()))
        except AccessDenied:
            return list(handle.imported.description.methods)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        handle = self.____handle__
        if not handle.link.config.allow_pickle:
            raise AccessDenied(
                f"{self!r} is not pickled: this side's setting allow_pickle is off; "
                "netobj.copy_of copies plain data without it"
            )
        return pickle.loads, (handle.link.request(Op.PICKLE, handle, None, (int(protocol),)),)

    def __copy__(self) -> Any:
        handle = self.____handle__
        return handle.link.request(_SPECIAL, handle, None, (SPECIAL_INDEX["__copy__"],))

    def __deepcopy__(self, _memo: Any) -> Any:
        handle = self.____handle__
        return handle.link.request(_SPECIAL, handle, None, (SPECIAL_INDEX["__deepcopy__"],))


_CLASS_READS: Final = frozenset(SPECIAL_INDEX) - {"__dir__", "__copy__", "__deepcopy__"} | {
    "__new__"
}


def _class_getattribute(self: Netref, name: str) -> Any:
    """For proxies of classes: ``Cls.__add__`` is the method of its instances.

    The proxy's type carries what the metaclass has, for the interpreter's own look-ups, which
    do not pass through here.
    """
    if name in _CLASS_READS:
        handle = self.____handle__
        return handle.link.request(_GET, handle, name, ())
    return object.__getattribute__(self, name)


def _local_repr(handle: Handle) -> str:
    return f"<netref of a {handle.imported.description.full_name}, id {handle.id}>"


def _remote_repr(handle: Handle, path: str | None, local: str) -> str:
    """The remote repr; *local* where it is refused or the connection is lost, for debuggers."""
    try:
        text = handle.link.request(_SPECIAL, handle, path, (SPECIAL_INDEX["__repr__"],))
    except (AccessDenied, ConnectionLost):
        return local
    return str(text)


def _repr(self: Netref) -> str:
    handle = self.____handle__
    return _remote_repr(handle, None, _local_repr(handle))


def _function_of(method: Any) -> Callable[..., Any]:
    return lambda _owner, /, *args, **kwargs: method(*args, **kwargs)


_STAND_INS: Final[dict[str, Callable[[Any], Any]]] = {
    "__func__": _function_of,
    "__code__": lambda function: _function_of(function).__code__,
}
"""What a function or method shows where its own is refused: ``inspect`` (and so ``mock.patch``)
takes for granted that what passes for one has these."""


def _keep_meaning(proxy: Netref, name: str) -> None:
    handle = proxy.____handle__
    if name not in handle.imported.description.methods or name in handle.hidden:
        return
    method = _dict_of(proxy).pop(name, None)
    handle.hidden.add(name)
    if method is None:
        return
    held = weakref.ref(method)
    del method
    still = held()
    if still is not None:
        still.____resolve__()


def document(proxy: Netref) -> tuple[Any, ...]:
    """The remote docstring and signature (text or None each), fetched once."""
    handle = proxy.____handle__
    if handle.document is None:
        handle.document = handle.link.request(Op.DOCUMENT, handle, None, ())
    return handle.document


# --- special methods -------------------------------------------------------------------------


def _plain_special(index: int) -> Callable[..., Any]:
    def special(self: Netref, /, *args: Any, **kwargs: Any) -> Any:
        handle = self.____handle__
        return handle.link.request(_SPECIAL, handle, None, (index, *args), kwargs)

    return special


_CONTAINERS: Final = frozenset((list, dict, set, bytearray))


def _container_special(index: int, deep: bool) -> Callable[..., Any]:
    """For a remote builtin container: a local one on the other side travels as a copy."""

    def special(self: Netref, /, other: Any, *rest: Any) -> Any:
        handle = self.____handle__
        if type(other) in _CONTAINERS:
            other = ByValue(other, deep)
        return handle.link.request(_SPECIAL, handle, None, (index, other, *rest))

    return special


def _call(self: Netref, /, *args: Any, **kwargs: Any) -> Any:
    handle = self.____handle__
    return handle.link.request(_CALL, handle, None, args, kwargs)


def _call_of_container(self: Netref, /, *args: Any, **kwargs: Any) -> Any:
    return _call(self, *containers_copied(args), **kwargs)


def _call_of_buffer(self: Netref, /, *args: Any, **kwargs: Any) -> Any:
    return _call(self, *buffers_copied(args), **kwargs)


def _exit(self: Netref, _kind: Any, exc: BaseException | None, _traceback: Any) -> Any:
    handle = self.____handle__
    args: tuple[Any, ...] = (SPECIAL_INDEX["__exit__"],)
    if exc is not None:
        args = (*args, handle.link.raised(exc))
    return handle.link.request(_SPECIAL, handle, None, args)


def _chunked_iter(self: Netref) -> Any:
    return ChunkedIterator(self, begin=True)


def _sized_iter(self: Netref) -> Any:
    """For containers that must not change their size from here on: begin at once."""
    iterator = ChunkedIterator(self, begin=True)
    iterator.fetch()
    return iterator


def _itself(self: Netref) -> Any:
    return self


def _bytes(self: Netref) -> bytes:
    handle = self.____handle__
    data: bytes = handle.link.request(Op.BUFFER, handle, None, ())[0]
    return data


def _buffer(self: Netref, _flags: int) -> memoryview:
    handle = self.____handle__
    data, code, shape = handle.link.request(Op.BUFFER, handle, None, ())
    return memoryview(data).cast(code, shape) if data else memoryview(data)


def _array(self: Netref, dtype: Any = None, copy: Any = None) -> Any:
    import numpy  # it is numpy that calls this

    handle = self.____handle__
    data, code, shape = handle.link.request(Op.BUFFER, handle, None, ())
    array = numpy.frombuffer(bytearray(data), numpy.dtype(code)).reshape(shape)
    return array if dtype is None else array.astype(dtype)


def _instance_check(self: Netref, obj: object) -> bool:
    return _check(self, Op.INSTANCE_CHECK, isinstance, obj)


def _subclass_check(self: Netref, cls: object) -> bool:
    return _check(self, Op.SUBCLASS_CHECK, issubclass, cls)


def _check(proxy: Netref, op: Op, check: Callable[[Any, Any], bool], subject: object) -> bool:
    handle = proxy.____handle__
    known = builtin_class(handle.imported.description)
    remote = issubclass(type(subject), RemoteObject)
    if known is not None and not (remote and op is Op.SUBCLASS_CHECK):
        answer = check(subject, known)
        if answer or not remote:  # all that a remote one is, only the other side knows
            return answer
    return bool(handle.link.request(op, handle, None, (subject,)))


_SHOWN_BY_BASE: Final = frozenset(("__dir__", "__copy__", "__deepcopy__"))


def _specials(description: Description) -> dict[str, Any]:
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
        namespace.update({"__bytes__": _bytes, "__buffer__": _buffer, "__array__": _array})
    if description.kind == Described.CLASS:
        namespace["__instancecheck__"] = _instance_check
        namespace["__subclasscheck__"] = _subclass_check
        namespace["__getattribute__"] = _class_getattribute
        namespace["__mro_entries__"] = _mro_entries
        if copying_class(description):
            namespace["__call__"] = _call_of_container
        elif buffer_class(description):
            namespace["__call__"] = _call_of_buffer
    return namespace


_OWN: Final[dict[str, Callable[..., Any]]] = {
    "__call__": _call,
    "__exit__": _exit,
    "__repr__": _repr,
}
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


# --- classes and proxies -----------------------------------------------------------------------


def _mro_entries(self: Netref, _bases: tuple[object, ...]) -> tuple[type, ...]:
    description = describe_instances(self)

    def bound(handle: Handle, name: str) -> BoundMethod:
        return _method_class(description, name)(handle, name)

    return (base_for(self, description, proxy_class(description), bound, _dict_of),)


_MAX_SHARED: Final = 500
_shared: dict[Description, type] = {}
"""Proxy classes of builtins, which all connections share, by the whole description."""


def proxy_class(description: Description) -> type:
    """The class of the proxies of what *description* describes."""
    shared = description.module == "builtins" and description.kind == Described.INSTANCE
    known = _shared.get(description) if shared else None
    if known is not None:
        return known
    namespace: dict[str, Any] = {
        name: _MethodAttribute(name, _method_class(description, name))
        for name in description.methods
    }
    namespace.update(_specials(description))
    module = description.module
    namespace["__doc__"] = _Document("__doc__")
    namespace["__module__"] = _ModuleName(module)
    cls = NetrefType(description.name, (Netref,), namespace)
    if shared and len(_shared) < _MAX_SHARED:
        _shared[description] = cls
    return cls


def proxy_for(handle: Handle) -> Any:
    """The one live proxy of *handle*'s object."""
    with handle.link.guard:
        proxy = None if handle.proxy is None else handle.proxy()
        if proxy is None:
            imported = handle.imported
            if imported.proxy_class is None:
                imported.proxy_class = proxy_class(imported.description)
            proxy = object.__new__(imported.proxy_class)
            _set_handle(proxy, handle)
            handle.proxy = weakref.ref(proxy)
        return proxy


_set_handle: Callable[[Any, Handle], None] = RemoteObject.__dict__["____handle__"].__set__
