"""What a call may come to besides a value: each says what the front-end has to do next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from types import BuiltinFunctionType, CoroutineType, FunctionType, MethodType
from typing import Any, Final

from netobj.core.consts import OPEN
from netobj.core.exposure import Exposure, unwrapped
from netobj.core.lookup import MISSING, describe, find, type_name

CO_GENERATOR: Final = 0x20 | 0x200  # inspect.CO_GENERATOR and CO_ASYNC_GENERATOR
_CO_ASYNC: Final = 0x80 | 0x200  # inspect.CO_COROUTINE and CO_ASYNC_GENERATOR


class Awaited:
    """The result is to be awaited, on an event loop; *finish* makes the outcome of it.

    *in_order*: it is what a plain function comes to, so the next of its lane waits for it.
    """

    __slots__ = ("awaitable", "finish", "in_order")

    def __init__(
        self,
        awaitable: Awaitable[Any],
        finish: Callable[[Any], object],
        in_order: bool = False,
    ) -> None:
        self.awaitable = awaitable
        self.finish = finish
        self.in_order = in_order


class Ruled:
    """*function* is to be called as its *exposure* says, which the front-end settles.

    *finish* makes the outcome of what it returns.
    """

    __slots__ = ("args", "exposure", "finish", "function", "kwargs")

    def __init__(
        self,
        exposure: Exposure,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        finish: Callable[[Any], object],
    ) -> None:
        self.exposure = exposure
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.finish = finish

    @property
    def asynchronous(self) -> bool:
        """The function is an ``async def``."""
        function = self.function
        return is_async(function.function if type(function) is Opener else function)

    @property
    def name(self) -> str:
        """What is called, for people."""
        bottom: Any = self.function
        while type(bottom) is Opener:
            bottom = bottom.function
        bottom = unwrapped(bottom)
        if type(bottom) in (FunctionType, BuiltinFunctionType):
            return str(bottom.__qualname__)
        return describe(bottom)

    def run(self) -> object:
        """Call the function here; returns the outcome."""
        result = self.function(*self.args, **self.kwargs)
        if type(result) in AWAITABLE:
            return Awaited(result, self.finish)
        return self.finish(result)


class Streamed:
    """The items of *items*, a plain or an asynchronous iterator, are to be sent as a stream."""

    __slots__ = ("items",)

    def __init__(self, items: Any) -> None:
        self.items = items

    @property
    def asynchronous(self) -> bool:
        """The items come from an asynchronous iterator."""
        return find(type(self.items), "__anext__") is not MISSING


class Opened:
    """*function* is to be called with its end of a new two-way stream before its arguments."""

    __slots__ = ("args", "function", "kwargs")

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs

    @property
    def asynchronous(self) -> bool:
        """The function is an ``async def``."""
        return is_async(self.function)

    def converse(self, end: Any) -> None:
        """Call the function with *end*, and close that; the peer is told of what was raised."""
        try:
            self.function(end, *self.args, **self.kwargs)
        except BaseException as exc:
            end.finish(exc)
            raise
        end.finish(None)

    async def converse_async(
        self, end: Any, meant: Callable[[BaseException], BaseException]
    ) -> None:
        """The same, of an ``async def``; *meant* is what the peer is told of an exception."""
        try:
            await self.function(end, *self.args, **self.kwargs)
        except BaseException as exc:
            end.finish(meant(exc))
            raise
        end.finish(None)


UNFINISHED: Final = frozenset((Awaited, Streamed, Opened))
"""The outcomes of a call that are no values."""


def close_unawaited(outcome: object) -> None:
    """A coroutine that will never begin is closed, lest it warn that it was never awaited."""
    close = getattr(outcome.awaitable, "close", None) if type(outcome) is Awaited else None
    if close is not None:
        close()


class Opener:
    """What a peer finds under the name ``open`` of a method: opens a two-way stream to it."""

    __slots__ = ("__weakref__", "function")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Opened:
        bottom = unwrapped(self.function)
        if type(bottom) is FunctionType and bottom.__code__.co_flags & CO_GENERATOR:
            raise TypeError(
                f"{bottom.__name__} is a generator, which is iterated: a two-way stream is opened "
                "to a method that sends and receives in it"
            )
        return Opened(self.function, args, kwargs)


def opener(step: object, function: object) -> Opener | None:
    """What the *step* of a path means that leads on from a function or method, if it is that."""
    if step == OPEN and type(function) in (FunctionType, MethodType):
        if find(type(function), "open") is MISSING and not hasattr(function, "open"):
            return Opener(function)  # type: ignore[arg-type]
    return None


def streamed(result: Any) -> Streamed:
    """What a method that is declared ``stream`` has returned; TypeError if it cannot be one."""
    kind = type(result)
    if find(kind, "__aiter__") is not MISSING:
        return Streamed(result.__aiter__())
    if find(kind, "__iter__") is MISSING and find(kind, "__getitem__") is MISSING:
        raise TypeError(
            f"a method that is declared stream=True has returned a {type_name(kind)!r} object, "
            "which is not iterable: let it yield items, or return an iterator"
        )
    items: Iterator[Any] = iter(result)
    return Streamed(items)


def is_async(function: object) -> bool:
    """True for ``async def`` functions, generators among them, and methods that are such.

    >>> async def task(): ...
    >>> is_async(task), is_async(len)
    (True, False)
    """
    bottom: Any = function
    if type(bottom) is not FunctionType:
        bottom = unwrapped(function)  # anything else could run code of its own when it is looked at
    return type(bottom) is FunctionType and bool(bottom.__code__.co_flags & _CO_ASYNC)


async def _empty() -> Any:
    yield  # pragma: no cover (only its steps are looked at: it never runs)


_steps: Final = (_empty().asend(None), _empty().aclose())
for _step in _steps:
    _step.close()  # else the interpreter warns that nobody awaits it

STEPS: Final = frozenset(map(type, _steps))
"""The types of what the methods of asynchronous generators return."""
AWAITABLE: Final = STEPS | {CoroutineType}
"""The same, and of what ``async def`` functions return."""
