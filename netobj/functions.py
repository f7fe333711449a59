"""Services that are put together from functions, by registering them: :class:`FunctionService`.

Each service and each group in it has a class of its own, which is made with it. What is registered
lies in there as a static method with a mark, so that to the access policy, to descriptions, ``dir``
and ``help`` it is a method like any other. The user's own function is not touched: what is marked
is a copy of it, which shares its code, or a function that calls it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from netobj.core.exposure import (
    DEFAULT_PREFIX,
    MARK,
    ORIGINAL,
    PLAIN,
    Exposure,
    Mounted,
    check_kind,
    check_name,
    exposure_from,
    note,
    type_checked,
    unwrapped,
)
from netobj.core.lookup import MISSING, class_dict, describe, find
from netobj.core.outcomes import CO_GENERATOR, is_async
from netobj.core.service import Service

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from netobj.core.exposure import Options

F = TypeVar("F", bound=Callable[..., Any])


class Group:
    """A namespace in a service, which holds what its class does."""


class FunctionService(Service):
    """A service called *name* of functions that are registered one by one.

    *processes*: how many worker processes functions with ``run="process"`` use at most, by default
    as many as there are processors.

    An object of it is given to a server as it is; all connections share it. Functions that are
    registered once it serves are there for connections made after that.

    >>> import netobj
    >>> svc = FunctionService("calc")
    >>> @svc.register
    ... def add(a, b):
    ...     return a + b
    >>> @svc.register(name="slow", limit=4, queue=10, group="maths")
    ... def slow_sum(*numbers):
    ...     return sum(numbers)
    >>> with netobj.connect_thread(remote_service=svc) as conn:
    ...     conn.root.add(1, 2), conn.root.maths.slow(1, 2, 3)
    (3, 6)
    """

    ____inner__ = Service.____inner____ | {"PROCESSES", "register", "mount"}
    PROCESSES: ClassVar[int | None] = None

    def __new__(cls, name: str, **_options: Any) -> FunctionService:
        if not (type(name) is str and name.isprintable() and name):
            raise ValueError(f"a service cannot be called {name!r}")
        own: Any = type(name, (cls,), {"ALIASES": (name,), "__qualname__": name})
        made: FunctionService = super().__new__(own)
        return made

    def __init__(self, name: str, *, processes: int | None = None) -> None:
        type(self).PROCESSES = processes
        self._lock = threading.Lock()  # protects that a name is given once; held for a few steps

    @overload
    def register(
        self,
        function: F,
        /,
        *,
        group: str | None = ...,
        doc: str | None = ...,
        **options: Unpack[Options],
    ) -> F: ...
    @overload
    def register(
        self, /, *, group: str | None = ..., doc: str | None = ..., **options: Unpack[Options]
    ) -> Callable[[F], F]: ...
    def register(
        self,
        function: Any = None,
        /,
        *,
        group: str | None = None,
        doc: str | None = None,
        **options: Any,
    ) -> Any:
        """Let peers call *function*, by default under its own name; also a decorator.

        Returns it as it was. It may be any callable: a function, a builtin, a method, an ``async
        def``; a generator, plain or asynchronous, is a stream. *group*: the namespace in which it
        is, dotted for one in another; *doc* what ``help`` says in place of its docstring; the
        options are those of :func:`netobj.exposed`.

        Raises ValueError for a name that is given already, or is none; TypeError for what cannot
        be called.
        """
        if function is None:
            return lambda function: self._register(function, group, doc, options)
        return self._register(function, group, doc, options)

    def _register(self, function: Any, group: str | None, doc: str | None, options: Any) -> Any:
        if not callable(function):
            raise TypeError(f"register() takes what can be called, not {describe(function)}")
        if _yields(function):
            options = {"stream": True, **options}
        options = dict(options)
        check_types = options.pop("check_types", False)
        exposure = exposure_from(None, options)._replace(name=None)
        check_kind(function, exposure)
        name = options.get("name") or _name_of(function)
        method = _marked(function, name, doc, exposure)
        if check_types:
            method = type_checked(method, exposure.stream)
            setattr(method, ORIGINAL, functools.partial(_call_checked, function, name))
        with self._lock:
            owner = _group(type(self), group)
            method.__qualname__ = f"{owner.__qualname__}.{name}"
            _put(owner, name, staticmethod(method))
        note(exposure)
        return function

    def mount(self, name: str, what: Any, *, public: bool = False) -> None:
        """Put *what* under *name*: an object, of which peers see what they see of any object.

        With *public* they see its public methods, as they are now. It may be a FunctionService,
        with what is registered in it now or later. *name* may be dotted. Raises ValueError for a
        name that is given already, or is none; TypeError for what is no object with methods.
        """
        if isinstance(what, type | ModuleType) or find(type(what), "__get__") is not MISSING:
            raise TypeError(f"mount() takes an object with methods, not {describe(what)}")
        if public:
            for one in dir(what):
                if not one.startswith("_") and callable(method := getattr(what, one)):
                    self.register(method, name=one, group=name)
            return
        group, _, last = name.rpartition(".")
        with self._lock:
            _put(_group(type(self), group or None), last, Mounted(what))


def _group(tp: type, path: str | None) -> type:
    """The class of the group of that dotted name in *tp*, made where there is none yet."""
    for part in path.split(".") if path is not None else ():
        found = class_dict(tp).get(part, MISSING)
        if found is MISSING:
            made: Any = type(part, (Group,), {"__qualname__": f"{tp.__qualname__}.{part}"})
            _put(tp, part, Mounted(made()))
            tp = made
        elif type(found) is Mounted and isinstance(found.what, Group):
            tp = type(found.what)
        else:
            raise ValueError(f"{tp.__qualname__}.{part} is there already, and is no group")
    return tp


def _put(tp: type, name: str, attribute: Any) -> None:
    check_name(name)
    if name in class_dict(tp) or f"{DEFAULT_PREFIX}{name}" in class_dict(tp):
        raise ValueError(f"{tp.__qualname__}.{name} is registered already")
    if find(tp, name) is not MISSING:
        raise ValueError(f"{name!r} is a name of every service's own: give another with name=...")
    setattr(tp, name, attribute)


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    if name == "<lambda>" or not isinstance(name, str):
        raise ValueError(f"{describe(function)} has no name of its own: register it with name=...")
    return name


def _yields(function: Any) -> bool:
    """Whether it is a generator, plain or asynchronous."""
    while isinstance(function, functools.partial):
        function = function.func
    bottom = unwrapped(function)
    return type(bottom) is FunctionType and bool(bottom.__code__.co_flags & CO_GENERATOR)


def _marked(function: Any, name: str, doc: str | None, exposure: Exposure) -> Any:
    """What does the same as *function*, and bears the mark."""
    made: Any
    if type(function) is FunctionType:
        made = FunctionType(
            function.__code__,
            function.__globals__,
            name,
            function.__defaults__,
            function.__closure__,
        )
        made.__kwdefaults__ = function.__kwdefaults__
        functools.update_wrapper(made, function)
    elif is_async(function) and not _yields(function):

        async def made(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)
    else:

        def made(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    functools.update_wrapper(made, function, updated=())
    made.__name__ = name
    if doc is not None:
        made.__doc__ = doc
    setattr(made, ORIGINAL, function)
    setattr(made, MARK, exposure)
    return made


def _call_checked(function: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """In a worker process: call *function*, which was registered under *name*, with its checks."""
    return _checked(function, name)(*args, **kwargs)


@functools.lru_cache
def _checked(function: Any, name: str) -> Any:
    return type_checked(_marked(function, name, None, PLAIN))
