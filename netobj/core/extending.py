"""Local subclasses of remote classes: ``class Mine(conn.modules.m.Theirs)``.

An instance is the proxy of a new remote object of the remote class, and its Python type is the
local subclass: what the subclass defines runs here, everything else is the remote object's.
Attributes go to the remote object where it takes them, else they stay here. The remote side
sees a plain object of its own class: its methods do not find the overrides.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from netobj.core.consts import SPECIALS, Described
from netobj.core.describe import BUFFER_NAMES, BUFFERS, Description, class_name
from netobj.core.handle import RemoteObject

_SPECIALS: Final = frozenset(SPECIALS)
_BUFFERS: Final = frozenset(".".join(class_name(base)) for base in BUFFERS)

_local_set: Final[Any] = object.__setattr__
_local_delete: Final[Any] = object.__delattr__
_set_handle: Callable[[Any, Any], None] = RemoteObject.__dict__["____handle__"].__set__


def describe_instances(cls: Any) -> Description:
    """How the objects of the remote class *cls* look; asks the other side a few times.

    Raises AccessDenied where the other side does not show the insides of its classes.
    """
    own = cls.____handle__.imported.description
    bases = tuple(base for base in cls.__mro__ if _full_name(base) != "builtins.object")
    names = frozenset(name for base in bases for name in tuple(base.__dict__.keys()))
    unhashable = "__hash__" in names and cls.__hash__ is None
    full_names = tuple(map(_full_name, bases))
    return Description(
        Described.INSTANCE,
        own.module,
        own.name,
        tuple(sorted(names.intersection(own.methods))),
        tuple(sorted((names & _SPECIALS) - ({"__hash__"} if unhashable else set()))),
        full_names,
        unhashable,
        not (_BUFFERS.isdisjoint(full_names) and BUFFER_NAMES.isdisjoint(names)),
    )


def _full_name(cls: Any) -> str:
    if issubclass(type(cls), RemoteObject):
        name: str = cls.____handle__.imported.description.full_name
        return name
    return f"{cls.__module__}.{cls.__qualname__}"


class _Method:
    """In a base: a remote method that an override may call through ``super()``.

    Unlike those of plain proxies it is not kept in the proxy's dictionary, where it would go
    before the override.
    """

    __slots__ = ("_make", "_name")

    def __init__(self, make: Callable[[Any, str], Any], name: str) -> None:
        self._make = make
        self._name = name

    def __get__(self, proxy: Any, owner: type) -> Any:
        return self if proxy is None else self._make(proxy.____handle__, self._name)


def base_for(
    cls: Any,
    description: Description,
    instances: type,
    method: Callable[[Any, str], Any],
    dict_of: Callable[[Any], dict[str, Any]],
) -> type:
    """The local class that stands for the remote class *cls* among the bases of a subclass.

    *description* tells how its objects look, *instances* is the class of their proxies, *method*
    makes a bound method of a handle and a name, *dict_of* gives a proxy's own dictionary.
    """
    takes_arguments = not _is_objects_new(cls.__new__)

    remote_set: Any = instances.__setattr__
    remote_delete: Any = instances.__delattr__

    def new(local: type, /, *args: Any, **kwargs: Any) -> Any:
        if not takes_arguments:
            return _taken_over(local, cls.__new__(cls))
        return _taken_over(local, cls.__new__(cls, *args, **kwargs))

    def set_attribute(self: Any, name: str, value: object) -> None:
        if not _is_local(type(self), dict_of(self), name):
            try:
                remote_set(self, name, value)
                return
            except AttributeError:
                pass
        _local_set(self, name, value)

    def delete_attribute(self: Any, name: str) -> None:
        local = _is_local(type(self), dict_of(self), name)
        (_local_delete if local else remote_delete)(self, name)

    namespace: dict[str, Any] = {
        name: _Method(method, name) for name in description.methods if "." not in name
    }
    namespace.update(__new__=new, __setattr__=set_attribute, __delattr__=delete_attribute)
    return type(instances)(instances.__qualname__, (instances,), namespace)


def _is_objects_new(new: Any) -> bool:
    """True where *new* is ``object.__new__``, which takes no arguments beyond the class."""
    try:
        return _full_name(new.__self__) == "builtins.object"
    except AttributeError:  # written in Python
        return False


def _taken_over(local: type, remote: Any) -> Any:
    """The object of the class *local* that is the proxy of what *remote* was one of."""
    handle = remote.____handle__
    proxy: Any = object.__new__(local)
    _set_handle(proxy, handle)
    with handle.link.guard:
        handle.proxy = weakref.ref(proxy)
    return proxy


def _is_local(local: type, held: dict[str, Any], name: str) -> bool:
    """Whether the attribute *name* belongs to this side's part of an object."""
    for base in local.__mro__:
        if name in vars(base):
            return name in held or hasattr(type(vars(base)[name]), "__set__")
    return name in held
