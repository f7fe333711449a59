"""Functions that check their arguments and results against their annotations."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from itertools import count
from types import FrameType, FunctionType, MethodType
from typing import Any, Final, NamedTuple

from netobj.checking.annotations import ANYTHING, STREAMS, Check, check_for, check_of_items
from netobj.core.lookup import MISSING, describe, find

_EMPTY: Final = inspect.Parameter.empty


class Slot(NamedTuple):
    """A place where a value is checked."""

    name: str
    check: Check

    def admit(self, value: Any, function: str) -> None:
        """Raise TypeError unless *value* passes."""
        check = self.check
        if type(value) is not check.plain and not check.accepts((value,)):
            raise TypeError(f"{function}(): {self.name}: {check.complaint(value)}")


class Plan(NamedTuple):
    """What is checked at each call of one function."""

    function: str
    positional: tuple[Slot | None, ...]  # None: not annotated
    more: Slot | None  # *args
    named: Mapping[str, Slot]
    others: Slot | None  # **kwargs
    result: Slot  # of a generator: its end
    items: Check

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise TypeError unless all pass; which ones are missing or unknown, Python says."""
        function = self.function
        for slot, value in zip(self.positional, args, strict=False):
            if slot is not None:
                slot.admit(value, function)
        if self.more is not None:
            for value in args[len(self.positional) :]:
                self.more.admit(value, function)
        for name, value in kwargs.items():
            slot = self.named.get(name, self.others)
            if slot is not None:
                slot.admit(value, function)

    def item(self, number: int, value: Any) -> None:
        """Raise TypeError unless *value* passes as the item *number* of the result."""
        Slot(f"item {number} of the result", self.items).admit(value, self.function)


_NO_PLAN: Final = Plan("", (), None, {}, None, Slot("the result", ANYTHING), ANYTHING)


class Checked:
    """One function, and what is checked at its calls: known now, or at the first call."""

    def __init__(self, function: Any, stream: bool, names: Mapping[str, Any]) -> None:
        self._function = function
        self._stream = stream
        self._plan: Plan | None = None
        try:
            self._plan = self._made(names)
        except NameError:  # a class, say, that is defined further down
            pass

    def plan(self) -> Plan:
        """What is checked; TypeError for annotations that name what is not there."""
        plan = self._plan
        if plan is None:
            try:
                plan = self._plan = self._made({})
            except NameError as exc:
                raise TypeError(
                    f"{_name_of(self._function)}() cannot be checked, since its annotations do not "
                    f"resolve: {exc}. What they name has to be in the globals of the module "
                    f"{self._function.__module__!r} at run time (not only under TYPE_CHECKING)"
                ) from None
        return plan

    def _made(self, names: Mapping[str, Any]) -> Plan:
        function = self._function
        if not hasattr(inspect.unwrap(function), "__annotations__"):  # written in C, most often
            return _NO_PLAN._replace(function=_name_of(function))
        hints = typing.get_type_hints(function, None, dict(names) or None, include_extras=True)
        positional: list[Slot | None] = []
        named: dict[str, Slot] = {}
        more: dict[object, Slot] = {}
        for parameter in inspect.signature(function).parameters.values():
            name = parameter.name
            slot = None
            if name in hints:
                slot = Slot(f"the argument {name!r}", check_for(hints[name]))
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                positional.append(slot)
            if slot is None:
                continue
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                named[name] = slot
            elif parameter.kind is not parameter.POSITIONAL_ONLY:
                more[parameter.kind] = slot
        returned = hints.get("return", _EMPTY)
        end, items = self._of_result(returned)
        return Plan(
            _name_of(function),
            tuple(positional),
            more.get(inspect.Parameter.VAR_POSITIONAL),
            named,
            more.get(inspect.Parameter.VAR_KEYWORD),
            Slot("the result", end),
            items,
        )

    def _of_result(self, returned: Any) -> tuple[Check, Check]:
        """What the result, or the end of a generator, is to be, and what each of its items."""
        function = self._function
        if returned is _EMPTY or _kind_of(function) != _kind_of(inspect.unwrap(function)):
            return ANYTHING, ANYTHING  # its decorator makes something else of it
        if _kind_of(function) in (_GENERATOR, _ASYNC_GENERATOR):
            items, end = check_of_items(returned)
            return end, items
        if self._stream and (typing.get_origin(returned) or returned) in STREAMS:
            return ANYTHING, check_of_items(returned)[0]
        return check_for(returned), ANYTHING


_PLAIN: Final = 0
_COROUTINE: Final = inspect.CO_COROUTINE
_GENERATOR: Final = inspect.CO_GENERATOR
_ASYNC_GENERATOR: Final = inspect.CO_ASYNC_GENERATOR


def _kind_of(function: Any) -> int:
    code = getattr(function, "__code__", None)
    flags: int = 0 if code is None else code.co_flags
    return flags & (_COROUTINE | _GENERATOR | _ASYNC_GENERATOR)


def _name_of(function: Any) -> str:
    name: str = function.__qualname__
    return name.rpartition("<locals>.")[2]


def checked(target: Any, stream: bool = False) -> Any:
    """*target*, which refuses arguments and results that are not what its annotations say.

    A function becomes another one of the same kind: an ``async def`` stays one, and so does a
    generator, whose items are checked one by one, and whose arguments with the first. With
    *stream* so are the items of the iterator that a function returns. Static and class methods,
    properties and bound methods are made anew, with their functions checked.

    Raises TypeError for what is no function, and at the first call for annotations that name what
    is not there.

    >>> @checked
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(4)
    8
    >>> double("4")
    Traceback (most recent call last):
    TypeError: double(): the argument 'number': str is not an instance of int
    """
    names = _names_around()
    return _checked(target, lambda function: _wrapped(function, Checked(function, stream, names)))


def _checked(target: Any, wrap: Callable[[Any], Any]) -> Any:
    kind = type(target)
    if kind is FunctionType:
        return wrap(target)
    if kind in (staticmethod, classmethod):
        return kind(_checked(target.__func__, wrap))
    if kind is MethodType:
        return MethodType(_checked(target.__func__, wrap), target.__self__)
    if kind is property:
        functions = (target.fget, target.fset, target.fdel)
        fget, fset, fdel = (function and _checked(function, wrap) for function in functions)
        return property(fget, fset, fdel, target.__doc__)
    if kind is functools.cached_property:
        return functools.cached_property(_checked(target.func, wrap))
    raise TypeError(
        f"check_types=True checks functions, methods and properties, not {describe(target)}: "
        "wrap it in a function, or mark the methods of a class"
    )


def _wrapped(function: FunctionType, about: Checked) -> Any:
    """*function* with its checks, and of its kind: what runs it looks at that."""
    return functools.wraps(function)(_WRAPPERS[_kind_of(function)](function, about))


def _plain(function: Any, about: Checked) -> Any:
    plan_of = about.plan

    def call(*args: Any, **kwargs: Any) -> Any:
        plan = plan_of()
        plan.arguments(args, kwargs)
        result = function(*args, **kwargs)
        plan.result.admit(result, plan.function)
        if plan.items is ANYTHING:
            return result
        if find(type(result), "__aiter__") is not MISSING:
            return _of_async_stream(plan, result)
        if find(type(result), "__iter__") is not MISSING:
            return _of_stream(plan, result)
        return result  # which streams refuse

    return call


def _coroutine(function: Any, about: Checked) -> Any:
    plan_of = about.plan

    async def call(*args: Any, **kwargs: Any) -> Any:
        plan = plan_of()
        plan.arguments(args, kwargs)
        result = await function(*args, **kwargs)
        plan.result.admit(result, plan.function)
        return result

    return call


def _generator(function: Any, about: Checked) -> Any:
    plan_of = about.plan

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        plan = plan_of()
        plan.arguments(args, kwargs)
        return (yield from _items(plan, function(*args, **kwargs)))

    return call


def _async_generator(function: Any, about: Checked) -> Any:
    plan_of = about.plan

    async def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        plan = plan_of()
        plan.arguments(args, kwargs)
        items = function(*args, **kwargs)
        step = items.__anext__()
        try:
            for number in count():
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                plan.item(number, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as exc:
                    step = items.athrow(exc)
                else:
                    step = items.asend(sent)
        finally:
            await items.aclose()

    return call


_WRAPPERS: Final = {
    _PLAIN: _plain,
    _COROUTINE: _coroutine,
    _GENERATOR: _generator,
    _ASYNC_GENERATOR: _async_generator,
}


def _items(plan: Plan, items: Any) -> Generator[Any, Any, Any]:
    """What the generator *items* yields, as it is asked, each item checked; returns its end."""
    try:
        item = next(items)
        for number in count():
            plan.item(number, item)
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as exc:
                item = items.throw(exc)
            else:
                item = items.send(sent)
    except StopIteration as stop:
        plan.result.admit(stop.value, plan.function)
        return stop.value
    finally:
        items.close()


def _of_stream(plan: Plan, items: Any) -> Iterator[Any]:
    for number, item in enumerate(items):
        plan.item(number, item)
        yield item


async def _of_async_stream(plan: Plan, items: Any) -> AsyncIterator[Any]:
    number = 0
    async for item in items:
        plan.item(number, item)
        number += 1
        yield item


# --- the names that annotations may mean, besides the globals -----------------------------------


def _names_around() -> Mapping[str, Any]:
    """The local names where a function is declared: in a class, in a function.

    Those are needed for a moment only, and kept nowhere.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    names: dict[str, Any] = {}
    while frame is not None and frame.f_locals is not frame.f_globals:
        names = {**frame.f_locals, **names}
        in_class = "__qualname__" in frame.f_locals and "__module__" in frame.f_locals
        frame = frame.f_back if in_class else None  # which defines the class
    return names


def _is_ours(frame: FrameType) -> bool:
    home = frame.f_globals.get("__name__")
    return isinstance(home, str) and home in _OURS


_OURS: Final = frozenset(("netobj.checking.wrapping", "netobj.core.exposure", "netobj.functions"))
