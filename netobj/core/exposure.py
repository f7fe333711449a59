"""``@exposed`` and ``@service``: how the author of a class says what a peer may reach.

A mark is an :class:`Exposure` in the ``__dict__`` of the function (or class, or callable) that is
marked. The access policy reads it with :func:`exposure_of`, which never runs user code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from importlib import import_module
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypedDict, TypeVar, overload

from netobj.core.lookup import MISSING, class_dict, describe, find, instance_dict, mro_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

MARK: Final = "__netobj_exposed__"
ORIGINAL: Final = "__netobj_original__"
"""In a function that stands for another one: that one, which can be found by its name."""
DEFAULT_PREFIX: Final = "exposed_"

_MAX_LAYERS: Final = 16  # of decorators around one function
_CO_ASYNC: Final = 0x80 | 0x200  # inspect.CO_COROUTINE and CO_ASYNC_GENERATOR
_CO_GENERATOR: Final = 0x20 | 0x200  # inspect.CO_GENERATOR and CO_ASYNC_GENERATOR

_Markable: TypeAlias = (
    "Callable[..., Any] | property | staticmethod[..., Any] | classmethod[Any, ..., Any]"
    " | functools.partialmethod[Any] | functools.cached_property[Any]"
)
_T = TypeVar("_T", bound=_Markable)
_C = TypeVar("_C", bound=type)


class Run(Enum):
    """Where a call runs."""

    INLINE = "inline"  # in the thread, or on the loop, that serves
    THREAD = "thread"  # in a worker thread
    PROCESS = "process"  # in a worker process
    LOOP = "loop"  # on an event loop


class LimitPer(Enum):
    """Whose calls a limit counts together."""

    FUNCTION = "function"  # everybody's
    CONNECTION = "connection"
    ADDRESS = "address"  # of the peer


class Exposure(NamedTuple):
    """What ``@exposed`` noted about one attribute."""

    prefix: str | None = None  # counts only where exposed_prefix is this; None: everywhere
    by_value: bool = False  # results travel as copies
    arguments_by_value: bool = False  # the peer's containers are copied before the call
    concurrent: bool = False  # asynchronous calls may overlap
    stream: bool = False  # the results are iterators, whose items are sent ahead of the consumer
    name: str | None = None  # the peer's name for it, in place of its own
    limit: int | None = None  # calls that may run at once
    queue: int = 0  # calls that may wait for that; the next is refused
    limit_per: LimitPer = LimitPer.FUNCTION
    timeout: float | None = None  # seconds that a call may run
    run: Run | None = None  # None: where such functions run by default
    local_only: bool = False  # only peers on this machine see it
    idempotent: bool = False  # a call whose fate is unknown may be made again

    @property
    def ruled(self) -> bool:
        """There is more to do than to call it, which the front-end does."""
        return self.limit is not None or self.timeout is not None or self.run is not None


PLAIN: Final = Exposure()
"""The mark that says nothing but that an attribute is open."""


class Options(TypedDict, total=False):
    """What :func:`exposed` takes by name."""

    by_value: bool
    arguments_by_value: bool
    concurrent: bool
    stream: bool
    name: str | None
    limit: int | None
    queue: int
    limit_per: LimitPer | str
    timeout: float | None
    run: Run | str | None
    local_only: bool
    idempotent: bool
    check_types: bool
    slow: bool


@overload
def exposed(target: str, /, **options: Unpack[Options]) -> _Decorator: ...
@overload
def exposed(target: _T, /, **options: Unpack[Options]) -> _T: ...
@overload
def exposed(**options: Unpack[Options]) -> _Decorator: ...
def exposed(target: Any = None, /, **options: Any) -> Any:
    """Mark a function, method, property, class or other callable as open to the peer.

    It can then be reached under its own name, without a prefix. ``@exposed("rpc_")`` marks it
    only for connections whose ``exposed_prefix`` is ``"rpc_"``. By name it takes:

    - *by_value*: its results travel as copies.
    - *arguments_by_value*: containers of the peer's are copied before the call, each in one round
      trip.
    - *concurrent*: asynchronous calls of it may overlap.
    - *stream*: it returns an iterator (or is a generator, plain or asynchronous), whose items are
      sent ahead of the consumer, as many as the consumer's pace allows.
    - *name*: the peer's name for it; its own name is then not open.
    - *limit*: so many calls of it run at once, at most; *queue* (default 0) more wait for that in
      their order, and the next raises :class:`netobj.Busy`. *limit_per* says whose calls count
      together: ``"function"`` (all), ``"connection"`` or ``"address"``.
    - *timeout*: seconds that a call may run; then its caller gets a ``TimeoutError``.
    - *run*: where it runs: ``"inline"`` (in the thread or on the loop that serves), ``"thread"``
      (in a worker), ``"process"`` (in a worker process) or ``"loop"`` (on an event loop).
    - *local_only*: only peers on this machine see it.
    - *idempotent*: calling it twice does no more than calling it once, so a connection that comes
      back (``reconnect``) may repeat a call whose fate is unknown.
    - *slow*: the same as ``run="thread"``.
    - *check_types*: arguments and results are checked against its annotations, whoever calls it
      (see :func:`type_checked`): what has the name is then a function that does so.

    Goes with ``staticmethod``, ``classmethod`` and ``property`` in either order. The mark belongs
    to the function that is found under a name: a subclass that overrides a marked method marks
    its own version, or does not expose it.

    Raises ``TypeError`` for what cannot be marked (not callable, or without a ``__dict__``; with
    *check_types*, no function), ``ValueError`` for options that mean nothing, or that do not go
    together, ``ImportError`` where *check_types* needs what is not installed.

    >>> class Calculator:
    ...     @exposed
    ...     def add(self, a: int, b: int) -> int:
    ...         return a + b
    ...     @exposed(name="sum", limit=4, queue=10)
    ...     def add_all(self, *numbers: int) -> int:
    ...         return sum(numbers)
    >>> exposure_of(vars(Calculator)["add"]).by_value
    False
    """
    check_types = options.pop("check_types", False)
    if target is None or isinstance(target, str):
        return _Decorator(exposure_from(target, options), check_types)
    return _Decorator(exposure_from(None, options), check_types)(target)


def exposure_from(prefix: str | None, options: Any) -> Exposure:
    """The mark that *options*, see :class:`Options`, mean. Raises TypeError and ValueError.

    >>> exposure_from(None, {"run": "thread"}).run
    <Run.THREAD: 'thread'>
    """
    fields = dict(options)
    if fields.pop("slow", False):
        if fields.setdefault("run", Run.THREAD) not in (Run.THREAD, "thread"):
            raise ValueError(f"exposed: slow=True means run='thread', not {fields['run']!r}")
    for option, kind in (("run", Run), ("limit_per", LimitPer)):
        if isinstance(fields.get(option), str):
            fields[option] = _choice(kind, option, fields[option])
    unknown = fields.keys() - Exposure._fields
    if unknown:
        raise TypeError(f"exposed() takes no argument {', '.join(sorted(map(repr, unknown)))}")
    exposure = Exposure(prefix, **fields)
    _check(exposure)
    return exposure


def _choice(kind: type[Enum], option: str, value: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(one.value) for one in kind)
        raise ValueError(f"exposed: {option}={value!r} is none of {known}") from None


def _check(exposure: Exposure) -> None:
    """Raises ValueError for what means nothing."""
    limit, queue = exposure.limit, exposure.queue
    timeout: Any = exposure.timeout
    if not (exposure.run is None or isinstance(exposure.run, Run)):
        raise ValueError(f"exposed: run={exposure.run!r} is no netobj.core.exposure.Run")
    if not isinstance(exposure.limit_per, LimitPer):
        raise ValueError(f"exposed: limit_per={exposure.limit_per!r} is no LimitPer")
    if exposure.name is not None:
        check_name(exposure.name)
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"exposed: limit={limit!r} is no number of calls, 1 or more")
    if type(queue) is not int or queue < 0:
        raise ValueError(f"exposed: queue={queue!r} is no number of calls, 0 or more")
    if limit is None and (queue or exposure.limit_per is not LimitPer.FUNCTION):
        raise ValueError("exposed: queue and limit_per belong to a limit, which is not given")
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise ValueError(f"exposed: timeout={timeout!r} is no number of seconds above 0")
    if exposure.stream and timeout is not None:
        raise ValueError("exposed: timeout does not go with stream, whose pace is the consumer's")
    if exposure.stream and exposure.run is Run.PROCESS:
        raise ValueError("exposed: run='process' does not go with stream: return a list")


def check_name(name: str) -> None:
    """Raises ValueError for what cannot be a peer's name of anything."""
    if not name.isidentifier() or (name.startswith("__") and name.endswith("__")):
        raise ValueError(f"exposed: name={name!r} is no name of an attribute")


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
PLACED: Final[list[Exposure]] = []
"""Empty until anything was declared that says where it runs: most programs never look further."""
HIDING: Final[list[Exposure]] = []
"""Empty until anything was declared that hides a name: by another name, or from remote peers."""
when_hiding: Final[list[Callable[[], object]]] = []
"""What is to be called when that happens for the first time."""


def any_concurrent() -> bool:
    """Whether anything was ever declared ``concurrent`` in this process."""
    return _declared_concurrent


def note(exposure: Exposure) -> None:
    """Let those know who look only where it is worth it. Each step may be done twice."""
    global _declared_concurrent
    _declared_concurrent |= exposure.concurrent
    if exposure.run is not None and not PLACED:
        PLACED.append(exposure)
    if (exposure.name is not None or exposure.local_only) and not HIDING:
        HIDING.append(exposure)
        for tell in when_hiding:
            tell()


def _mark(target: _T, exposure: Exposure) -> _T:
    holder: Any = target
    while isinstance(holder, staticmethod | classmethod | property | MethodType):
        holder = _inner(holder)
    if not (callable(holder) or find(type(holder), "__get__") is not MISSING):
        raise TypeError(
            f"exposed() marks callables, properties and other descriptors, not "
            f"{describe(holder)}; name plain attributes with the prefix {DEFAULT_PREFIX!r}"
        )
    check_kind(holder, exposure)
    if exposure.ruled:
        _check_called(target)
    try:
        setattr(holder, MARK, exposure)
    except (AttributeError, TypeError):
        raise TypeError(
            f"exposed() cannot mark {describe(holder)}, which takes no attributes: "
            "wrap it in a function"
        ) from None
    note(exposure)
    return target


def _check_called(target: object) -> None:
    """Raises ValueError for what is not called by its name, so that no rule could be kept."""
    if isinstance(target, property | functools.cached_property):
        raise ValueError("exposed: limit, timeout and run are for what is called: no property is")
    bottom = unwrapped(target)
    if type(bottom) is FunctionType and bottom.__name__[:2] == bottom.__name__[-2:] == "__":
        raise ValueError(
            f"exposed: limit, timeout and run do not hold for {bottom.__name__}: give a method of "
            "another name"
        )


def check_kind(function: object, exposure: Exposure) -> None:
    """Raises ValueError where *exposure* makes no sense for such a *function*."""
    bottom = unwrapped(function)
    flags = bottom.__code__.co_flags if type(bottom) is FunctionType else 0
    if flags & _CO_ASYNC and exposure.run in (Run.THREAD, Run.PROCESS):
        raise ValueError("exposed: an async def runs on an event loop, not in a thread or process")
    if flags & _CO_GENERATOR and exposure.run is Run.PROCESS:
        raise ValueError("exposed: a generator cannot run in another process: return a list")


class Mounted(property):
    """In a class: the object *what*, open under a name to whom the mark lets in."""

    def __init__(self, what: object, exposure: Exposure = PLAIN) -> None:
        def get(_owner: object) -> object:
            return what

        setattr(get, MARK, exposure)
        super().__init__(get)
        self.what = what
        if not MOUNTED:
            MOUNTED.append(True)


MOUNTED: Final[list[bool]] = []
"""Empty until anything was mounted: most programs never look for it."""


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
            alias = prefix + (exposure.name or name)
            if alias not in class_dict(cls):
                setattr(cls, alias, attribute)
    return cls
