"""What cannot be sent, said or survived, each by a name; not for pytest to look at."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, NoReturn


def raiser(error: BaseException) -> Callable[..., NoReturn]:
    """A function that raises *error*, whatever it is called with."""

    def fail(*_args: object) -> NoReturn:
        raise error

    return fail


def unspeakable(error: BaseException) -> type[Exception]:
    """A class of exceptions whose text raises *error*."""
    fail = raiser(error)
    return type("Unspeakable", (Exception,), {"__str__": fail, "__repr__": fail})


class Classless:
    """Does not say what it is."""

    __class__ = property(raiser(RuntimeError("no class")))  # type: ignore[assignment]


class Nothing:
    """Raises whatever is asked for."""

    __getattr__ = raiser(RuntimeError("no attribute"))
    __dir__ = raiser(RuntimeError("no names"))
    __len__ = __iter__ = __bool__ = __repr__ = __str__ = raiser(RuntimeError("nothing"))  # type: ignore[assignment]


class Mute:
    """Raises whatever is looked at."""

    __getattribute__ = raiser(SystemExit(4))


class Hostile(type):
    """Classes that raise whatever is asked of them."""

    __getattribute__ = raiser(RuntimeError("meta"))
    __instancecheck__ = __subclasscheck__ = raiser(RuntimeError("meta"))
    __repr__ = raiser(RuntimeError("meta"))


class OfHostile(metaclass=Hostile):
    pass


class Unhashable(Hostile):
    __hash__ = raiser(RuntimeError("hash"))  # type: ignore[assignment]


class OfUnhashable(metaclass=Unhashable):
    pass


class HostileError(Exception, metaclass=Hostile):
    pass


class ErrorWithoutParts(Exception):
    args = property(raiser(RuntimeError("args")))  # type: ignore[assignment]
    __dict__ = property(raiser(RuntimeError("dict")))  # type: ignore[assignment]
    __cause__ = __traceback__ = property(raiser(RuntimeError("cause")))  # type: ignore[assignment]


class Nowhere(datetime.tzinfo):
    utcoffset = tzname = dst = raiser(RuntimeError("zone"))


def nested(depth: int) -> tuple[Any, ...]:
    """Tuples inside of one another."""
    value: tuple[Any, ...] = ()
    for _ in range(depth):
        value = (value,)
    return value


def chained() -> Exception:
    """An exception with a long line of causes, which ends in a ring."""
    first = last = ValueError(0)
    for number in range(3000):
        error = ValueError(number)
        error.__cause__ = last
        last = error
    first.__cause__ = last
    return last


def with_attributes(**attributes: object) -> Exception:
    """An exception that has them."""
    error = ValueError("x")
    vars(error).update(attributes)
    return error


def _recurse() -> NoReturn:
    _recurse()


_ring: list[Any] = []
_ring.append((_ring,))

VALUES: dict[str, Callable[[], Any]] = {
    "an int of 20 MB": lambda: 1 << (8 * 20_000_000),
    "lone surrogates": lambda: "\ud800x",
    "many lone surrogates": lambda: "\udfff" * 100_000,
    "too many items": lambda: tuple(range(1_000_000)),
    "too many bytes in all": lambda: ("x" * 60_000,) * 1000,
    "too deep": lambda: nested(5000),
    "a ring": lambda: (_ring,),
    "no class": Classless,
    "no attributes": Nothing,
    "not even a look": Mute,
    "of a hostile class": lambda: type.__call__(OfHostile),
    "of an unhashable class": lambda: type.__call__(OfUnhashable),
    "a hostile class": lambda: OfHostile,
    "a time of no zone": lambda: datetime.datetime(2000, 1, 1, tzinfo=Nowhere()),
    "a class of a long name": type("B" * 1_000_000, (), {}),
    "a class of no module": type("B", (), {"__module__": 5}),
    "more methods than can be told": type("M", (), {f"m{n}": raiser for n in range(50_000)}),
}  # fmt: skip
ERRORS: dict[str, Callable[[], BaseException]] = {
    "whose text raises": lambda: unspeakable(ValueError("no"))(),
    "whose text exits": lambda: unspeakable(SystemExit(5))(),
    "whose text interrupts": lambda: unspeakable(KeyboardInterrupt())(),
    "whose text is out of memory": lambda: unspeakable(MemoryError())(),
    "of unspeakable things": lambda: ValueError(unspeakable(KeyboardInterrupt())()),
    "of a hostile class": lambda: type.__call__(HostileError, "x"),
    "without parts": ErrorWithoutParts,
    "with a huge argument": lambda: ValueError(1 << (8 * 20_000_000)),
    "with a deep argument": lambda: ValueError(nested(5000)),
    "with a ring": lambda: ValueError(_ring),
    "with surrogates": lambda: ValueError("\ud800"),
    "with a deep attribute": lambda: with_attributes(deep=nested(5000)),
    "with hostile attributes": lambda: with_attributes(one=Nothing(), two=Classless()),
    "with hostile notes": lambda: with_attributes(__notes__=[unspeakable(SystemExit())(), 5]),
    "of a long line": chained,
    "of a long name": lambda: type("A" * 1_000_000, (Exception,), {})("x"),
    "out of memory": lambda: MemoryError("x"),
    "too deep": lambda: RecursionError("x"),
    "an exit": lambda: SystemExit(3),
    "an interrupt": lambda: KeyboardInterrupt(),
    "the end of a generator": lambda: GeneratorExit(),
    "of no kind": lambda: BaseException("x"),
    "cancelled": asyncio.CancelledError,
    "the end of an iteration": lambda: StopIteration(5),
}
SPENT: dict[str, Callable[[], Any]] = {
    "all memory": lambda: bytearray(1 << 60),
    "all depth": _recurse,
}
MAKERS = {
    **{f"value: {name}": make for name, make in VALUES.items()},
    **{
        f"error: {name}": lambda make=make: raiser(make())()  # type: ignore[misc]
        for name, make in ERRORS.items()
    },
    **{f"spent: {name}": make for name, make in SPENT.items()},
}
