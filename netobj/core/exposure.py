"""``@exposed`` and ``@service``: how the author of a class says what a peer may reach.

A mark is an :class:`Exposure` in the ``__dict__`` of the function (or class, or callable) that is
marked. The access policy reads it with :func:`exposure_of`, which never runs user code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, overload

from netobj.core.lookup import MISSING, class_dict, describe, find, instance_dict, mro_of

MARK: Final = "__netobj_exposed__"
DEFAULT_PREFIX: Final = "exposed_"

_MAX_LAYERS: Final = 16  # of decorators around one function

_Markable: TypeAlias = (
    "Callable[..., Any] | property | staticmethod[..., Any] | classmethod[Any, ..., Any]"
    " | functools.partialmethod[Any] | functools.cached_property[Any]"
)
_T = TypeVar("_T", bound=_Markable)
_C = TypeVar("_C", bound=type)


class Exposure(NamedTuple):
    """What ``@exposed`` noted about one attribute."""

    prefix: str | None = None  # counts only where exposed_prefix is this; None: everywhere
    by_value: bool = False  # results travel as copies
    arguments_by_value: bool = False  # the peer's containers are copied before the call
    concurrent: bool = False  # asynchronous calls may overlap
    stream: bool = False  # the results are iterators, whose items are sent ahead of the consumer
    slow: bool = False  # where plain functions run on an event loop, this one does not


PLAIN: Final = Exposure()
"""The mark that says nothing but that an attribute is open."""


@overload
def exposed(
    target: str,
    /,
    *,
    by_value: bool = ...,
    arguments_by_value: bool = ...,
    concurrent: bool = ...,
    stream: bool = ...,
    slow: bool = ...,
    check_types: bool = ...,
) -> _Decorator: ...
@overload
def exposed(
    target: _T,
    /,
    *,
    by_value: bool = ...,
    arguments_by_value: bool = ...,
    concurrent: bool = ...,
    stream: bool = ...,
    slow: bool = ...,
    check_types: bool = ...,
) -> _T: ...
@overload
def exposed(
    *,
    by_value: bool = ...,
    arguments_by_value: bool = ...,
    concurrent: bool = ...,
    stream: bool = ...,
    slow: bool = ...,
    check_types: bool = ...,
) -> _Decorator: ...
def exposed(
    target: Any = None,
    /,
    *,
    by_value: bool = False,
    arguments_by_value: bool = False,
    concurrent: bool = False,
    stream: bool = False,
    slow: bool = False,
    check_types: bool = False,
) -> Any:
    """Mark a function, method, property, class or other callable as open to the peer.

    It can then be reached under its own name, without a prefix. ``@exposed("rpc_")`` marks it
    only for connections whose ``exposed_prefix`` is ``"rpc_"``. With *by_value* its results
    travel as copies; with *arguments_by_value* containers of the peer's are copied before the
    call, one round trip each; with *concurrent* asynchronous calls of it may overlap. With
    *stream* it returns an iterator (or is a generator, plain or asynchronous), whose items are
    sent ahead of the consumer, as many as the consumer's pace allows. With *slow* it runs in a
    thread also where plain functions run on an event loop, as a :mod:`netobj.aio` client's
    callbacks do. With *check_types* arguments and results are checked against its annotations,
    whoever calls it, see :func:`type_checked`; its name then means the function that does so.
    Goes with ``staticmethod``, ``classmethod`` and ``property`` in either order.

    The mark belongs to the function that is found under a name: a subclass that overrides a
    marked method marks its own version, or does not expose it.

    Raises ``TypeError`` for what cannot be marked: not callable, or without a ``__dict__``;
    with *check_types*: no function. ``ImportError`` where that needs what is not installed.

    >>> class Calculator:
    ...     @exposed
    ...     def add(self, a: int, b: int) -> int:
    ...         return a + b
    >>> exposure_of(vars(Calculator)["add"]).by_value
    False
    """
    marks = (by_value, arguments_by_value, concurrent, stream, slow)
    if target is None or isinstance(target, str):
        return _Decorator(Exposure(target, *marks), check_types)
    return _mark(type_checked(target, stream) if check_types else target, Exposure(None, *marks))


class _Decorator:
    """``@exposed(...)`` with its arguments, waiting for what it marks."""

    def __init__(self, exposure: Exposure, check_types: bool) -> None:
        self._exposure = exposure
        self._check_types = check_types

    def __call__(self, target: _T, /) -> _T:
        if self._check_types:
            target = type_checked(target, self._exposure.stream)
        return _mark(target, self._exposure)


def type_checked(target: _T, stream: bool = False) -> _T:
    """*target*, a function or method, which refuses what its annotations do not admit.

    Wrong arguments and results, and items of generators, raise ``TypeError``. *stream*: the items
    of the iterator that it returns are checked, too. For ``@exposed(check_types=True)`` and its
    kin. Raises ``ImportError`` where typeguard is not installed, ``TypeError`` for no function.

    >>> @type_checked
    ... def greet(name: str) -> str: return f"hello {name}"
    >>> greet(1)
    Traceback (most recent call last):
    TypeError: greet(): the argument 'name': int is not an instance of str
    """
    try:
        checking = import_module("netobj.checking")  # its typeguard is an extra, and takes its time
    except ImportError as exc:
        raise ImportError(
            "check_types=True needs typeguard on the side that declares it: "
            "python -m pip install 'netobj[types]'"
        ) from exc
    checked: _T = checking.checked(target, stream)
    return checked


_declared_concurrent = False


def any_concurrent() -> bool:
    """Whether anything was ever declared ``concurrent`` in this process."""
    return _declared_concurrent


def _mark(target: _T, exposure: Exposure) -> _T:
    global _declared_concurrent
    _declared_concurrent |= exposure.concurrent
    holder: Any = target
    while isinstance(holder, staticmethod | classmethod | property | MethodType):
        holder = _inner(holder)
    if not (callable(holder) or find(type(holder), "__get__") is not MISSING):
        raise TypeError(
            f"exposed() marks callables, properties and other descriptors, not "
            f"{describe(holder)}; name plain attributes with the prefix {DEFAULT_PREFIX!r}"
        )
    try:
        setattr(holder, MARK, exposure)
    except (AttributeError, TypeError):
        raise TypeError(
            f"exposed() cannot mark {describe(holder)}, which takes no attributes: "
            "wrap it in a function"
        ) from None
    return target


def exposure_of(attribute: object) -> Exposure | None:
    """The mark of *attribute* as it lies in its class (unbound); None if it has none.

    Looks through staticmethod, classmethod, property, bound methods and functools' method
    descriptors. The mark of a class is not that of its subclasses or instances.

    >>> exposure_of(staticmethod(exposed(lambda: 1, stream=True))).stream
    True
    >>> exposure_of(len) is None
    True
    """
    if type(attribute) is MethodType:
        attribute = attribute.__func__  # the method itself can hold no mark
    if type(attribute) is FunctionType:
        found = attribute.__dict__.get(MARK)
        return found if type(found) is Exposure else None
    for _ in range(_MAX_LAYERS):
        if type(attribute) is FunctionType:
            return exposure_of(attribute)
        found = (instance_dict(attribute) or {}).get(MARK)
        if type(found) is Exposure:
            return found
        attribute = _inner(attribute)
        if attribute is None:
            return None
    return None


# The slots of the base classes: a subclass cannot put code of its own in their place.
_SLOTS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = tuple(
    (base, base.__dict__[name].__get__)
    for base, name in (
        (staticmethod, "__func__"),
        (classmethod, "__func__"),
        (property, "fget"),
        (property, "fset"),
        (property, "fdel"),
        (MethodType, "__func__"),
    )
)
_WITH_FUNC: Final = (
    functools.partialmethod,
    functools.cached_property,
    functools.singledispatchmethod,
)


def _inner(attribute: object) -> object | None:
    """What *attribute* wraps, one layer down."""
    for base, slot in _SLOTS:
        if issubclass(type(attribute), base):
            wrapped: object | None = slot(attribute)
            if wrapped is not None:
                return wrapped
    if issubclass(type(attribute), _WITH_FUNC):
        return (instance_dict(attribute) or {}).get("func")
    return None


def unwrapped(attribute: object) -> object:
    """The function at the bottom of *attribute*, a method or what wraps one in a class."""
    for _ in range(_MAX_LAYERS):
        inner = None if type(attribute) is FunctionType else _inner(attribute)
        if inner is None:
            break
        attribute = inner
    return attribute


def service(cls: _C) -> _C:
    """Class decorator: give each ``@exposed`` attribute its prefixed alias, as RPyC does.

    An ``@exposed`` method ``foo`` becomes reachable as ``exposed_foo`` in the class as well
    (with ``@exposed("rpc_")``: as ``rpc_foo``), inherited ones included. An alias that the
    class itself defines stays. Marked classes inside are treated alike. Returns *cls*.

    >>> @service
    ... class Greeter:
    ...     @exposed
    ...     def greet(self) -> str:
    ...         return "hello"
    >>> Greeter().exposed_greet()
    'hello'
    """
    for name in {name for base in mro_of(cls) for name in class_dict(base)}:
        attribute = find(cls, name)
        exposure = exposure_of(attribute)
        if exposure is None:
            continue
        prefix = DEFAULT_PREFIX if exposure.prefix is None else exposure.prefix
        if not name.startswith(prefix):  # else it is an alias already, perhaps an inherited one
            if isinstance(attribute, type) and attribute is not cls:
                service(attribute)
            if prefix + name not in class_dict(cls):
                setattr(cls, prefix + name, attribute)
    return cls
