"""One function per operation on a local object; each passes the policy's gate first.

:func:`perform` runs a request of the peer's in the thread of its call. Everything here may run
user code, and raises whatever that raises.
"""

from __future__ import annotations

import copy
import io
import os
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from operator import length_hint
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

from netobj.core import arrays, values
from netobj.core.access import Policy
from netobj.core.boxing import ByValue, Contents, is_numpy_array, is_numpy_scalar
from netobj.core.consts import (
    BIG_VALUE,
    BINARY_SPECIALS,
    OPEN,
    SPECIAL_INDEX,
    SPECIALS,
    Limit,
    Op,
)
from netobj.core.copies import copy_containers
from netobj.core.documents import document_of, signature_of, without_addresses
from netobj.core.events import Request
from netobj.core.exposure import (
    HIDING,
    PLACED,
    PLAIN,
    Exposure,
    Mounted,
    Run,
    any_concurrent,
    exposure_of,
)
from netobj.core.growing import check_growth
from netobj.core.lookup import MISSING, describe, find, mro_of
from netobj.core.outcomes import (
    AWAITABLE,
    STEPS,
    Awaited,
    Opened,
    Opener,
    Ruled,
    is_async,
    opener,
    streamed,
)
from netobj.core.registered import is_plain_named_tuple
from netobj.core.rules import Access, is_local
from netobj.core.session import Session
from netobj.errors import AccessDenied, NotEncodable, ProtocolError

_CALL: Final = int(Op.CALL)
_SPECIAL: Final = int(Op.SPECIAL)
_COPYABLE: Final = (list, dict, tuple, set, frozenset, bytearray)
MOST_STEPS: Final = 1000
"""Steps of the path of one request."""


def perform(
    session: Session, request: Request, adapt: Callable[[Any], Any] | None = None
) -> object:
    """The result of *request*, to be boxed; raises what the operation raises.

    *adapt* makes of the arguments, a tuple or a dict, what the thread of the call uses; those of
    an ``async def``, which will run elsewhere, stay as they are.

    An ``Awaited``, ``Streamed`` or ``Opened`` (see :mod:`netobj.core.outcomes`) says that there
    is more to do before the request can be answered. What is ``Ruled`` the front-end settles on
    the way, see ``Front.settle``.

    Raises ProtocolError for a request that no front-end of ours would make; that ends the
    request, not the connection, since everything it changed on the wire is applied already.
    """
    if (
        request.op == _CALL
        and adapt is None
        and not (request.deferred or request.given or request.kwnames)
    ):
        name = request.path
        if type(name) is str and session.root_exposure is None:
            method = session.policy.known_method(request.target, name)
            if method is not None:  # as most often
                result = method(*request.args)
                if type(result) in AWAITABLE:
                    return _awaitable(session, result, exposure_of(method))
                return result
    operation = _OPERATIONS.get(request.op)
    if operation is None:
        raise ProtocolError(f"the operation {request.op} is not one of the protocol's")
    args: tuple[Any, ...] = request.args
    path = request.path
    target = request.target
    if request.deferred:
        target = values.complete(target)
        args = values.complete(args)
        path = values.complete(path)
    if request.given and not session.config.allow_all_attrs:
        target, path = _reach(session, target, path)
        if _is_plain(target):
            if request.op == Op.GET and path is None:
                return target
            raise _no_target(session, target)
    if adapt is not None:
        path = adapt(path)
        if operation is not _call:
            args = adapt(args)
    kwargs: dict[str, Any] = {}
    if request.kwnames:
        count = len(request.kwnames)
        kwargs = dict(zip(request.kwnames, args[-count:], strict=True))
        args = args[:-count]
    if operation is _call:
        return _call(session, target, path, args, kwargs, adapt)
    if operation is _buffer and request.kept is None:
        return _buffer(session, target, path, args, kwargs, _contents)
    if operation is _copy and request.kept is None:
        return _copy(session, target, path, args, kwargs, _memory)
    return operation(session, target, path, args, kwargs)


def _reach(session: Session, target: Any, path: Any) -> tuple[object, object]:
    """Past the items of tuples that *path* begins with; returns the target and path left."""
    steps = list(path) if type(path) is tuple else [] if path is None else [path]
    while steps and issubclass(type(target), tuple) and _is_plain(target):
        step = steps.pop(0)
        if type(step) is tuple and len(step) == 1:
            target = target[step[0]]
        elif type(step) is str and step in getattr(type(target), "_fields", ()):
            target = getattr(target, step)
        else:
            raise _no_target(session, target)
    return target, tuple(steps) or None


def _is_plain(value: object) -> bool:
    """Whether *value* is of a type that travels by value, and of no class of the user's."""
    kind = type(value)
    return (
        kind in _PLAIN
        or kind in (tuple, frozenset)
        or kind in values.ENCODERS
        or is_numpy_scalar(kind)  # some of them are strs
        or (issubclass(kind, tuple) and is_plain_named_tuple(kind))
    )


def _no_target(session: Session, target: object) -> AccessDenied:
    # A str of the caller's choice would be a program: its format() reads any attribute.
    kind = type(target).__name__
    return AccessDenied(
        f"{session.side} refuses operations on a {kind!r} that travels by value: wait for the "
        "answer and use it on your side (here only items of tuples can be asked for)"
    )


def is_concurrent(session: Session, request: Request) -> bool:
    """True for a call of what is declared ``concurrent``: it may overlap others of its lane.

    Looks at what lies in the target's class, without running user code.
    """
    if not any_concurrent():  # as in most programs
        return False
    for candidate in _candidates(session, request):
        exposure = exposure_of(candidate)
        if exposure is not None:
            return exposure.concurrent
    return False


def declared_run(session: Session, request: Request) -> Run | None:
    """Where the function runs that is to be called, if that is declared.

    Looks as :func:`is_concurrent` does.
    """
    if not PLACED:  # as in most programs
        return None
    for candidate in _candidates(session, request):
        exposure = exposure_of(candidate)
        if exposure is not None:
            return exposure.run
    return session.root_exposure.run if session.root_exposure is not None else None


def runs_on_loop(session: Session, request: Request) -> bool:
    """True for what is known, without running user code, to be an ``async def``.

    And for what is declared to run on the loop that serves.
    """
    if request.op == _SPECIAL:
        index = request.args[0] if request.args else None
        return type(index) is int and 0 <= index < len(SPECIALS) and SPECIALS[index] in _LATE
    for candidate in _candidates(session, request):
        if is_async(candidate):
            return True
    return bool(PLACED) and declared_run(session, request) in _ON_LOOP


_ON_LOOP: Final = (Run.INLINE, Run.LOOP)


def _candidates(session: Session, request: Request) -> Iterator[object]:
    """What a call may lead to, as it lies in classes; nothing for most longer paths."""
    if request.op != _CALL:
        return
    name = request.path
    kind = type(request.target)
    if kind is values.Deferred:  # an answer that is not there yet
        return
    if name is None:
        yield request.target
        return
    if type(name) is tuple:
        kind, name = _owner(kind, name)
    if type(name) is str:
        for real in (name, session.config.exposed_prefix + name):
            found = find(kind, real)
            if found is not MISSING:
                yield found
        if HIDING:
            yield from session.policy.renamed(kind, name)


def _owner(kind: type, path: tuple[Any, ...]) -> tuple[type, object]:
    """The type of what holds the last step of *path*, and that step; None where nobody knows."""
    if len(path) > _MOST_NESTED:
        return kind, None
    for step in path[:-1]:
        found = find(kind, step) if type(step) is str else MISSING
        if type(found) is not Mounted:
            return kind, None
        kind = type(found.what)
    return kind, path[-1] if path else None


_MOST_NESTED: Final = 8
"""Steps of a path that are looked at in advance."""


def walk(policy: Policy, target: object, path: object) -> Any:
    """What *path* leads to from *target*, each step through the policy."""
    if path is None:
        return target
    if type(path) is str:
        return _opened(policy, path, target) or policy.getattr(target, path)
    if type(path) is not tuple:
        raise ProtocolError("a path is None, a name or a tuple of steps")
    if len(path) > MOST_STEPS:
        raise ProtocolError(f"a path has at most {MOST_STEPS} steps")
    if path:
        _opened(policy, path[0], target)
    for step in path:
        if type(step) is tuple and len(step) == 1:
            target = policy.special_method(target, "__getitem__")(step[0])
        else:
            target = opener(step, target) or policy.getattr(target, step)
    return target


def _opened(policy: Policy, step: object, target: object) -> Opener | None:
    """What leads on from the target itself to a two-way stream, if it may be called at all."""
    opened = opener(step, target)
    if opened is not None:
        policy.special_method(target, "__call__")
    return opened


Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def _get(session: Session, target: object, path: object, args: Args, kwargs: Kwargs) -> object:
    return walk(session.policy, target, path)


def _call(
    session: Session,
    target: object,
    path: object,
    args: Args,
    kwargs: Kwargs,
    adapt: Callable[[Any], Any] | None = None,
) -> object:
    policy = session.policy
    if path is None:
        function = policy.special_method(target, "__call__")
        meant: Any = target
    else:
        name = path[-1] if type(path) is tuple and path else path
        if type(name) is str and name in SPECIAL_INDEX and not session.config.allow_all_attrs:
            owner = walk(policy, target, path[:-1]) if type(path) is tuple else target
            if not issubclass(type(owner), type):  # of a class it is that of its objects
                return _special(session, owner, None, (SPECIAL_INDEX[name], *args), kwargs)
        if type(path) is str and path != OPEN:
            function = policy.getattr(target, path)
        else:
            function = walk(policy, target, path)
        if type(function) is not MethodType and policy.has_own_rules(function):
            function = policy.special_method(function, "__call__")
        meant = function
    if type(meant) is Opener:
        meant = meant.function
    exposure = exposure_of(meant)
    if exposure is None and path is not None:
        exposure = session.exposure_of_root(target)
    if adapt is not None and not (is_async(meant) or is_async(function)):
        args, kwargs = adapt(args), adapt(kwargs)
    if exposure is not None and exposure != PLAIN:
        return _call_as(session, exposure, function, args, kwargs)
    if type(function) in _SLOTS and not session.config.allow_all_attrs:
        result = _call_slot(session, function, args, kwargs)
    else:
        if type(function) is MethodType and type(function.__func__) is FunctionType:
            if not session.config.allow_all_attrs:
                check_growth(function.__self__, function.__func__.__name__, args)
        result = function(*args, **kwargs)
    return _awaitable(session, result, exposure) if type(result) in AWAITABLE else result


def _call_slot(session: Session, function: Any, args: Args, kwargs: Kwargs) -> object:
    """Call what is written in C, which knows nothing of the policy; it may be a special method."""
    name = function.__name__
    if type(function) not in (WrapperDescriptorType, MethodDescriptorType):
        obj, operands = function.__self__, args
    elif args:
        obj, operands = args[0], args[1:]
        if session.policy.has_own_rules(obj):
            raise AccessDenied(
                f"{session.side} refuses {name} of {describe(obj)}, which has its own access rule: "
                "call the object's own"
            )
    else:
        obj, operands = None, args
    if name in _THROWING and operands and not _is_exception(operands[0]):
        raise ProtocolError("a generator is thrown nothing but exceptions")
    if name not in SPECIAL_INDEX:
        return function(*args, **kwargs)
    check_growth(obj, name, operands)
    return _discreet(obj, name, function(*args, **kwargs))


def _is_exception(thrown: Any) -> bool:
    kind = type(thrown)
    return issubclass(thrown if issubclass(kind, type) else kind, Exception)


_THROWING: Final = frozenset(("throw", "athrow"))
_SLOTS: Final = frozenset(
    (MethodWrapperType, WrapperDescriptorType, MethodDescriptorType, BuiltinFunctionType)
)


def _discreet(obj: object, name: str, result: Any) -> Any:
    """What the special method *name* of *obj* has returned, without addresses and file names."""
    if name == "__hash__":
        by_address = type(obj) in _HASHED_BY_ADDRESS or find(type(obj), name) is _IDENTITY
        return hash(f"{_SECRET}{result}") if by_address else result
    if name in _TELLING and type(result) is str and not issubclass(type(obj), str):
        if issubclass(type(obj), _PLACED):
            return f"<{describe(obj)}>"
        return without_addresses(result)
    return result


_TELLING: Final = frozenset("__repr__ __str__ __format__".split())
_PLACED: Final = (ModuleType, CodeType, FrameType)
_IDENTITY: Final = object.__hash__
_SECRET: Final = os.urandom(16).hex()
_HASHED_BY_ADDRESS: Final = frozenset((MethodType, BuiltinFunctionType, MethodWrapperType))


def _awaitable(session: Session, result: Any, exposure: Exposure | None) -> object:
    """To be awaited here, unless the peer may do with it what it likes."""
    if exposure is None and type(result) not in STEPS and session.config.allow_all_attrs:
        return result
    return Awaited(result, _itself)


def _call_as(
    session: Session, exposure: Exposure, function: Any, args: Args, kwargs: Kwargs
) -> object:
    """Call *function* as its mark says."""
    if exposure.arguments_by_value:
        args = copy_containers(args)
        kwargs = dict(zip(kwargs, copy_containers(tuple(kwargs.values())), strict=True))
    if exposure.local_only:
        _check_local(session, function)
    if exposure.ruled:
        finish = partial(_finished, exposure=exposure)
        return session.link.settle(Ruled(exposure, function, args, kwargs, finish))
    result = function(*args, **kwargs)
    if type(result) in AWAITABLE:
        return _awaited(result, exposure)
    return _finished(result, exposure)


def _check_local(session: Session, function: Any) -> None:
    """Who is not on this machine may have been given what he cannot see."""
    if not is_local(session.config.endpoints):
        raise AccessDenied(f"{session.side} refuses to call {describe(function)} from elsewhere")


def _awaited(result: Any, exposure: Exposure | None) -> Awaited:
    # By itself: a function with a closure makes its cells at each call.
    return Awaited(result, lambda value: _finished(value, exposure))


def _finished(result: Any, exposure: Exposure | None) -> object:
    if exposure is None or type(result) is Opened:
        return result
    if exposure.stream:
        return streamed(result)
    return ByValue(result) if exposure.by_value else result


def _set(session: Session, target: object, path: object, args: Args, kwargs: Kwargs) -> None:
    name, value = args
    session.policy.setattr(walk(session.policy, target, path), name, value)


def _delete(session: Session, target: object, path: object, args: Args, kwargs: Kwargs) -> None:
    (name,) = args
    session.policy.delattr(walk(session.policy, target, path), name)


def _special(session: Session, target: object, path: object, args: Args, kwargs: Kwargs) -> object:
    index, *operands = args
    if type(index) is not int or not 0 <= index < len(SPECIALS):
        raise ProtocolError(f"there is no special method {index!r}")
    name = SPECIALS[index]
    obj = walk(session.policy, target, path)
    own = _SPECIALS.get(name)
    if own is not None:
        return own(session, obj, *operands)
    if name == "__call__":
        return _call(session, obj, None, tuple(operands), kwargs)
    policy = session.policy
    method = policy.special_method(obj, name)
    discreet = not (session.config.allow_all_attrs or policy.has_own_rules(obj))
    if discreet:
        check_growth(obj, name, tuple(operands))
    result = method(*operands, **kwargs)
    if name in _LATE:
        return Awaited(result, _itself)
    if discreet and (name in _TELLING or name == "__hash__"):
        return _discreet(obj, name, result)
    if result is NotImplemented and len(operands) == 1 and type(operands[0]) in _COPYABLE:
        return _reflected(session, obj, name, operands[0])
    return result


def _itself(result: object) -> object:
    return result


_LATE: Final = frozenset("__await__ __anext__ __aenter__ __aexit__".split())
"""What these special methods return is awaited where the object lives."""


def _reflected(session: Session, obj: object, name: str, operand: object) -> object:
    """What the other operand says, a copy of a container that the peer's side cannot ask."""
    reflected = _REFLECTED.get(name, "")
    method = find(type(operand), reflected)
    if method is MISSING:
        return NotImplemented
    if not session.config.allow_all_attrs:
        if session.policy.has_own_rules(obj):  # it knows nothing of it
            return NotImplemented
        check_growth(operand, reflected, (obj,))
    return method(operand, obj)


_REFLECTED: Final[dict[str, str]] = {
    **{name: name.replace("__", "__r", 1) for name in BINARY_SPECIALS},
    **{name.replace("__", "__r", 1): name for name in BINARY_SPECIALS},
    "__lt__": "__gt__",
    "__le__": "__ge__",
    "__gt__": "__lt__",
    "__ge__": "__le__",
    "__eq__": "__eq__",
    "__ne__": "__ne__",
}


def _exit(session: Session, obj: object, exc: BaseException | None = None) -> object:
    return _leave(session, obj, "__exit__", exc)


def _aexit(session: Session, obj: object, exc: BaseException | None = None) -> object:
    return Awaited(_leave(session, obj, "__aexit__", exc), _itself)


def _leave(session: Session, obj: object, name: str, exc: BaseException | None) -> Any:
    leave = session.policy.special_method(obj, name)
    if exc is None:
        return leave(None, None, None)
    if not issubclass(type(exc), BaseException if session.config.allow_all_attrs else Exception):
        raise ProtocolError("a context is left with nothing or with an exception")
    return leave(type(exc), exc, exc.__traceback__)


def _await(session: Session, obj: Any) -> object:
    begin = session.policy.special_method(obj, "__await__")
    if session.policy.has_own_rules(obj) or getattr(begin, "__name__", "") != "__await__":
        obj = _AwaitedBy(begin)
    return Awaited(obj, _itself)


class _AwaitedBy:
    """Awaits what an object's rule or the prefix means by ``__await__``."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin = begin

    def __await__(self) -> Any:
        return self._begin()


def _copied(session: Session, obj: object) -> object:
    if session.config.allow_all_attrs and not session.policy.has_own_rules(obj):
        return copy.copy(obj)
    if type(obj) in _COPYABLE and session.policy.special(obj, "__copy__"):
        return copy.copy(obj)
    return _own_copy(session, obj, "__copy__")


def _copied_deep(session: Session, obj: object) -> object:
    if session.config.allow_all_attrs and not session.policy.has_own_rules(obj):
        return copy.deepcopy(obj)
    return _deep(session, obj, {})


def _deep(session: Session, obj: Any, memo: dict[int, Any]) -> Any:
    """As ``deepcopy``, which would not ask anybody about what is in *obj*."""
    kind = type(obj)
    if id(obj) in memo:
        return memo[id(obj)]
    if kind not in _COPYABLE:
        itself = _is_plain(obj) or issubclass(kind, (type, FunctionType, BuiltinFunctionType))
        if itself and not session.policy.has_own_rules(obj):
            return obj
        return memo.setdefault(id(obj), _own_copy(session, obj, "__deepcopy__", {}))
    if not session.policy.special(obj, "__deepcopy__"):
        raise _no_copy(session, obj, "__deepcopy__")
    if kind is list or kind is set or kind is dict:
        made: Any = kind()
        memo[id(obj)] = made
        if kind is dict:
            made.update((_deep(session, k, memo), _deep(session, v, memo)) for k, v in obj.items())
        elif kind is list:
            made.extend(_deep(session, item, memo) for item in obj)
        else:
            made.update(_deep(session, item, memo) for item in obj)
        return made
    made = kind(obj) if kind is bytearray else kind(_deep(session, item, memo) for item in obj)
    return memo.setdefault(id(obj), made)  # a tuple within itself is there by now


def _own_copy(session: Session, obj: Any, name: str, *args: Any) -> object:
    try:
        method = session.policy.special_method(obj, name)
    except AttributeError as exc:
        raise _no_copy(session, obj, name) from exc
    return method(*args)


def _no_copy(session: Session, obj: object, name: str) -> AccessDenied:
    return AccessDenied(
        f"{session.side} refuses {name} of {describe(obj)}: only builtin containers and classes "
        "that define it are copied without allow_all_attrs"
    )


_SPECIALS: Final[dict[str, Callable[..., object]]] = {
    "__exit__": _exit,
    "__aexit__": _aexit,
    "__await__": _await,
    "__copy__": _copied,
    "__deepcopy__": _copied_deep,
}


def _dir(
    session: Session, target: object, path: object, args: Args, kwargs: Kwargs
) -> tuple[str, ...]:
    return tuple(session.policy.names(walk(session.policy, target, path)))


def _document(
    session: Session, target: object, path: object, args: Args, kwargs: Kwargs
) -> tuple[Any, ...]:
    obj = walk(session.policy, target, path)
    if session.policy.has_own_rules(obj):
        return (None, None)
    session.policy.attribute(obj, "__doc__", Access.GET)
    return (document_of(obj), signature_of(obj, session.config.allow_all_attrs))


def _copy(
    session: Session,
    target: object,
    path: object,
    args: Args,
    kwargs: Kwargs,
    take: Callable[[Any], bytes | Contents] = lambda array: array.tobytes(),
) -> object:
    obj = walk(session.policy, target, path)
    if args and "array" in args:
        _check_contents(session, obj, "__array__")
        obj = arrays.as_array(obj if session.config.allow_all_attrs else _own_array(session, obj))
    if args and arrays.library_of(type(obj)) in args:
        _check_contents(session, obj, "__array__")
        return (None, arrays.taken_apart(obj, take, partial(_chunk, session)))
    if type(obj) in _PLAIN or type(obj) in values.ENCODERS:  # it travels by value anyway
        return (False, obj)
    if type(obj) not in _COPYABLE:
        raise NotEncodable(
            f"copy_of copies plain data, and a {type(obj).__name__!r} object is none: register its "
            "class with netobj.by_value on both sides, or pass it by reference"
        )
    session.policy.special_method(obj, "__iter__")
    try:
        return (True, values.pack_copy(obj, _refuse_reference, session.boxing.peer_nesting))
    except _HasReferences:
        return (False, ByValue(obj))


def _own_array(session: Session, obj: Any) -> Any:
    """What *obj* itself gives as its array; numpy would ask also what is in it."""
    array = session.policy.special_method(obj, "__array__")()
    if not any(map(is_numpy_array, mro_of(type(array)))):
        raise NotEncodable(f"__array__ of {describe(obj)} returned no array")
    return array


def _chunk(session: Session, items: list[Any]) -> bytes | ByValue:
    try:
        return values.pack_copy(items, _refuse_reference, session.boxing.peer_nesting)
    except _HasReferences:
        return ByValue(items)


def _check_contents(session: Session, obj: object, name: str) -> None:
    if not session.policy.special(obj, name) or session.policy.has_own_rules(obj):
        raise AccessDenied(
            f"{session.side} refuses the contents of a {type(obj).__name__!r} object: {name} is "
            "not in safe_attrs, or the object has its own access rule"
        )


class _HasReferences(Exception):
    pass


def _refuse_reference(item: Any, _levels: int = 0) -> object:
    encoder = values.ENCODERS.get(type(item))
    if encoder is None:
        raise _HasReferences
    return encoder(item, _box_plain)


def _box_plain(item: Any) -> Any:
    return item if type(item) in _PLAIN else _refuse_reference(item)


_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))


def _buffer(
    session: Session,
    target: object,
    path: object,
    args: Args,
    kwargs: Kwargs,
    take: Callable[[object, memoryview], bytes | Contents] = lambda _, view: view.tobytes(),
) -> tuple[bytes | Contents, str, tuple[int, ...]]:
    """The bytes of an object, as *take* takes them, their format and shape."""
    obj = walk(session.policy, target, path)
    _check_contents(session, obj, "__bytes__")
    with memoryview(obj) as view:
        return take(obj, view), view.format, tuple(view.shape or ())


def _contents(obj: object, view: memoryview) -> bytes | Contents:
    """The bytes of *obj*, for a caller that waits until all of them have come.

    Those of large arrays are not copied: who changes one meanwhile, while another thread fetches
    it, has not decided what that is to get. Other objects are locked as long as a view of them
    is there (a bytearray cannot grow), so theirs are.
    """
    if view.nbytes >= BIG_VALUE and is_numpy_array(type(obj)):
        try:
            return Contents(view.cast("B"))
        except (TypeError, ValueError):  # not in one piece, or of records
            pass
    return view.tobytes()


def _memory(array: Any) -> bytes | Contents:
    """As :func:`_contents`, of an array of bytes in one piece."""
    if array.nbytes >= BIG_VALUE:
        return Contents(memoryview(array))
    data: bytes = array.tobytes()
    return data


def _fetch(session: Session, target: object, path: object, args: Args, kwargs: Kwargs) -> object:
    """Up to *count* items, and whether there are no more; an error comes after the items.

    With *begin* the target is what to iterate, and its iterator comes after these two.
    """
    count, only_ready, *begin = args
    if type(count) is not int or count < 1:
        raise ProtocolError("one item at the least can be fetched")
    count = min(count, session.config.limits[Limit.CHUNK])
    items: Iterator[Any] = walk(session.policy, target, path)
    if begin:
        items = session.policy.special_method(items, "__iter__")()
    advance = session.policy.special_method(items, "__next__")
    source = items
    if (
        session.policy.has_own_rules(items)
        or getattr(advance, "__name__", "") != "__next__"
        or not session.policy.special(items, "__iter__")  # which islice calls
    ):
        source = _advanced_by(advance)  # what the rule or the prefix means by __next__
    elif only_ready:
        # An iterator of a container stays as if it had not been asked beyond what is there.
        count = min(count, max(length_hint(items, count), 1))
    fetched: list[Any] = []
    end: object
    try:
        fetched.extend(islice(source, count))
        end = len(fetched) < count
    except Exception as exc:
        end = session.raised(exc, failed=True)
    if not begin:
        return (tuple(fetched), end)
    return (tuple(fetched), end, None if end is True else items)


def _advanced_by(advance: Callable[..., Any]) -> Iterator[Any]:
    while True:
        try:
            item = advance()
        except StopIteration:
            return
        yield item


def _instance_check(
    session: Session, target: object, path: object, args: Args, kwargs: Kwargs
) -> bool:
    return isinstance(args[0], _class_at(session, target, path, args[0]))


def _subclass_check(
    session: Session, target: object, path: object, args: Args, kwargs: Kwargs
) -> bool:
    return issubclass(args[0], _class_at(session, target, path, args[0]))


def _class_at(session: Session, target: object, path: object, subject: object) -> Any:
    policy = session.policy
    cls = walk(policy, target, path)
    if policy.has_own_rules(cls) or policy.has_own_rules(subject):
        raise AccessDenied(
            f"{session.side} refuses isinstance: the class or the object has its own access rule"
        )
    if not session.config.allow_all_attrs:
        if not (issubclass(type(cls), type) and policy.shows_specials):
            raise AccessDenied(
                f"{session.side} refuses isinstance: {describe(cls)} is no class, or "
                "allow_safe_attrs is off"
            )
    return cls


def _pickle(session: Session, target: object, path: object, args: Args, kwargs: Kwargs) -> bytes:
    if not session.config.allow_pickle:
        raise AccessDenied(
            f"{session.side} refuses pickling: its setting allow_pickle is off; netobj.copy_of "
            "copies plain data without it"
        )
    (protocol,) = args
    if type(protocol) is not int:
        raise ProtocolError("the version of a pickle is an integer")
    pickled = io.BytesIO()
    _Pickler(session, pickled, protocol).dump(walk(session.policy, target, path))
    return pickled.getvalue()


class _Pickler(pickle.Pickler):
    """Refuses objects that have rules of their own, which pickling would not ask."""

    def __init__(self, session: Session, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self._session = session

    def reducer_override(self, obj: Any) -> Any:
        if self._session.policy.has_own_rules(obj):
            raise AccessDenied(
                f"{self._session.side} refuses pickling: {describe(obj)} has its own access rule"
            )
        return NotImplemented


def _declared(
    session: Session, target: object, path: object, args: Args, kwargs: Kwargs
) -> tuple[str, ...]:
    exposure = exposure_of(walk(session.policy, target, path))
    if exposure is None and path is not None:
        exposure = session.exposure_of_root(target)
    return ("idempotent",) if exposure is not None and exposure.idempotent else ()


def _ping(session: Session, target: object, path: object, args: Args, kwargs: Kwargs) -> object:
    return args[0]


Operation = Callable[[Session, object, object, Args, Kwargs], object]

_OPERATIONS: Final[dict[int, Operation]] = {
    Op.GET: _get,
    Op.CALL: _call,
    Op.SET: _set,
    Op.DELETE: _delete,
    Op.SPECIAL: _special,
    Op.DIR: _dir,
    Op.DOCUMENT: _document,
    Op.COPY: _copy,
    Op.BUFFER: _buffer,
    Op.FETCH: _fetch,
    Op.INSTANCE_CHECK: _instance_check,
    Op.SUBCLASS_CHECK: _subclass_check,
    Op.PICKLE: _pickle,
    Op.PING: _ping,
    Op.DECLARED: _declared,
}
