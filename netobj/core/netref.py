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

import copyreg
import pickle
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from netobj.core.consts import (
    SPECIAL_INDEX,
    Described,
    Op,
)
from netobj.core.describe import Description
from netobj.core.extending import base_for, describe_instances
from netobj.core.handle import Handle, RemoteObject
from netobj.core.localclass import builtin_class, local_class
from netobj.core.methods import (
    NEVER_REMOTE,
    BoundMethod,
    Nested,
    function_of,
    local_repr,
    method_class,
)
from netobj.core.specials import special_methods
from netobj.errors import AccessDenied, ProtocolError

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)
_SPECIAL: Final = int(Op.SPECIAL)


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


class _NamespaceAttribute(_MethodAttribute):
    """In a proxy class: where a namespace is found whose names are described."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(name, BoundMethod)

    def __get__(self, proxy: Netref | None, owner: type) -> Any:
        if proxy is None:
            return self
        return Nested(proxy.____handle__, [self._name])


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


def _refuse_class(cls: NetrefType) -> Any:
    # Its module's name is the peer's word, and pickle would import it.
    raise AccessDenied(f"{cls!r} is not pickled: it is made for one connection")


copyreg.pickle(NetrefType, _refuse_class)


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
        if name == "__bases__" and not handle.link.config.trust_class_names:
            return ()  # issubclass looks here: nobody gets a class of this side by saying so
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
        return local_repr(self.____handle__)

    def __dir__(self) -> Any:
        handle = self.____handle__
        try:
            names = handle.link.request(Op.DIR, handle, None, ())
        except AccessDenied:
            names = tuple(n.partition(".")[0] for n in handle.imported.description.methods)
        if type(names) is not tuple:
            raise ProtocolError("the other side's names of an object are no tuple")
        return [name for name in names if type(name) is str]

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


_STAND_INS: Final[dict[str, Callable[[Any], Any]]] = {
    "__func__": function_of,
    "__code__": lambda function: function_of(function).__code__,
}
"""What a function or method shows where its own is refused: ``inspect`` (and so ``mock.patch``)
takes for granted that what passes for one has these."""


BaseNetref = Netref  # RPyC's name for it


def _keep_meaning(proxy: Netref, name: str) -> None:
    handle = proxy.____handle__
    if name not in handle.imported.description.methods or name in handle.hidden:
        return
    method = _dict_of(proxy).pop(name, None)
    with handle.link.guard:
        handle.hidden |= {name}
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
        found = handle.link.request(Op.DOCUMENT, handle, None, ())
        if type(found) is not tuple or not _TEXTS.issuperset(map(type, found)) or len(found) != 2:
            raise ProtocolError("the other side's document of an object is malformed")
        handle.document = found
    return handle.document


_TEXTS: Final = frozenset((str, type(None)))


def _mro_entries(self: Netref, _bases: tuple[object, ...]) -> tuple[type, ...]:
    description = describe_instances(self)

    def bound(handle: Handle, name: str) -> BoundMethod:
        return method_class(description, name)(handle, name)

    return (base_for(self, description, proxy_class(description), bound, _dict_of),)


_MAX_SHARED: Final = 500
_shared: MutableMapping[Description, type] = weakref.WeakValueDictionary()
"""Proxy classes of builtins, which all connections share, by the whole description."""


def proxy_class(description: Description) -> type:
    """The class of the proxies of what *description* describes."""
    shared = _is_shared(description)
    known = _shared.get(description) if shared else None
    if known is not None:
        return known
    namespace: dict[str, Any] = {
        name: _MethodAttribute(name, method_class(description, name))
        for name in description.methods
        if "." not in name
    }
    for name in description.methods:
        first, dot, _ = name.partition(".")
        if dot and first not in namespace:
            namespace[first] = _NamespaceAttribute(first)
    namespace.update(special_methods(description))
    if description.kind == Described.CLASS:
        namespace["__mro_entries__"] = _mro_entries
    module = description.module
    namespace["__annotations__"] = _RemoteAttribute("__annotations__")  # not this package's
    namespace["__doc__"] = _Document("__doc__")
    namespace["__module__"] = _ModuleName(module)
    cls = NetrefType(description.name, (Netref,), namespace)
    if shared and len(_shared) < _MAX_SHARED:
        _shared[description] = cls
    return cls


def _is_shared(description: Description) -> bool:
    # Only what this side knows itself: the classes outlive the connection, a peer's claims not.
    if description.kind != Described.INSTANCE:
        return False
    cls = builtin_class(description)
    if cls is None:
        return False
    bases = {f"builtins.{base.__qualname__}" for base in cls.__mro__}
    return bases.issuperset(description.bases) and set(dir(cls)).issuperset(description.methods)


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
