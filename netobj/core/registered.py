"""Classes that travel by value because both sides said so; named tuples made by name."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, MutableMapping
from enum import Enum
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T", bound=type)

_MAX_NAMED_TUPLES: Final = 1000
_MAX_FIELDS: Final = 255  # of a named tuple that travels by value
_MAX_KEPT: Final = 10_000  # characters of the names of a class that is kept


class Registration(NamedTuple):
    """How the objects of one class become plain state and are built again from it."""

    name: str
    cls: type
    encode: Callable[[Any], object]
    decode: Callable[[Any], object]


REGISTERED: Final[dict[str, Registration]] = {}
USER_TYPES: Final[dict[type, Registration]] = {}


def by_value(
    cls: T,
    *,
    name: str | None = None,
    encode: Callable[[Any], object] | None = None,
    decode: Callable[[Any], object] | None = None,
) -> T:
    """Let the objects of exactly *cls* travel by value; usable as a class decorator.

    The other side must register a class of the same *name* (by default
    ``module.qualname``): names from the wire never import. *encode* turns an object into a
    value, *decode* builds one from it; both have defaults for enums and for dataclasses.
    Raises ``TypeError`` where there is no default, ``ValueError`` for a name in use.

    >>> from enum import Enum
    >>> @by_value
    ... class Colour(Enum):
    ...     RED = 1
    """
    default_encode, default_decode = _defaults(cls)
    encode = encode or default_encode
    decode = decode or default_decode
    if encode is None or decode is None:
        raise TypeError(
            f"by_value({cls.__qualname__}): not an enum or a dataclass; give encode= and decode="
        )
    name = name or f"{cls.__module__}.{cls.__qualname__}"
    known = REGISTERED.get(name)
    if known is not None and known.cls is not cls and known.cls.__qualname__ != cls.__qualname__:
        raise ValueError(f"by_value({cls.__qualname__}): the name {name!r} is {known.cls}'s")
    REGISTERED[name] = USER_TYPES[cls] = Registration(name, cls, encode, decode)
    return cls


def _defaults(
    cls: Any,
) -> tuple[Callable[[Any], object] | None, Callable[[Any], object] | None]:
    if issubclass(cls, Enum):
        return (lambda member: member.name), (lambda name: cls[name])
    fields = getattr(cls, "__dataclass_fields__", None)
    if fields is None:
        return None, None
    names = tuple(field for field, spec in fields.items() if spec.init)
    return (
        lambda obj: tuple((field, getattr(obj, field)) for field in names),
        lambda state: cls(**_known_fields(cls, names, state)),
    )


def _known_fields(cls: type, names: tuple[str, ...], state: Any) -> dict[str, Any]:
    """What *state* says of the fields *names*; TypeError where it is not of that form."""
    items = state if type(state) is tuple else (None,)
    pairs = [one for one in items if type(one) is tuple and len(one) == 2]
    found = {name: value for name, value in pairs if type(name) is str and name in names}
    if len(found) != len(items):
        raise TypeError(f"what came is no state of a {cls.__qualname__}")
    return found


_new_class: Final[Callable[..., Any]] = namedtuple  # by names that are known only when it runs
_named_tuples: MutableMapping[tuple[str, tuple[str, ...]], Any] = WeakValueDictionary()


def named_tuple_class(name: Any, fields: tuple[Any, ...]) -> Any:
    """A named tuple class of that name and those fields; raises ``ValueError``.

    It is shared with whoever has one of the same names at the time.
    """
    key = (name, fields)
    cls = _named_tuples.get(key)
    if cls is None:
        if type(name) is not str or any(type(field) is not str for field in fields):
            raise ValueError("a named tuple's name and fields are str")
        if len(fields) > _MAX_FIELDS:
            raise ValueError(f"a named tuple by value has at most {_MAX_FIELDS} fields")
        if len(_named_tuples) >= _MAX_NAMED_TUPLES:
            _named_tuples.clear()
        try:
            cls = _new_class(name, fields)
        except SyntaxError as exc:  # two names that the compiler takes for the same one
            raise ValueError(f"no named tuple has such fields: {exc}") from None
        if len(name) + sum(map(len, fields)) <= _MAX_KEPT:  # a peer's names, and kept for good
            _named_tuples[key] = cls
    return cls


def is_kept(name: Any, fields: Any) -> bool:
    """Whether :func:`named_tuple_class` has that class already. Raises ValueError."""
    if type(fields) is not tuple or {type(name), *map(type, fields)} != {str}:
        raise ValueError("a named tuple's name and fields are str")
    return (name, fields) in _named_tuples


def named_tuple(name: str, fields: tuple[str, ...], items: Any) -> Any:
    """The named tuple of these *items*; raises ``ValueError``."""
    cls = named_tuple_class(name, fields)
    if len(items) != len(fields):
        raise ValueError("a named tuple has as many items as fields")
    return cls._make(items)


def is_plain_named_tuple(cls: type) -> bool:
    """True for a direct named tuple class that adds no attributes to what namedtuple makes.

    And that has few enough fields to travel by value.
    """
    fields = cls.__dict__.get("_fields")
    return (
        cls.__bases__ == (tuple,)
        and type(fields) is tuple
        and len(fields) <= _MAX_FIELDS
        and set(cls.__dict__) <= _NAMED_TUPLE_DICT | set(fields)
    )


# A class that nobody holds is emptied by the collector, even while its names are read.
_SAMPLE: Final = namedtuple("_SAMPLE", ())
_NAMED_TUPLE_DICT: Final = frozenset(vars(_SAMPLE)) | {
    "__annotations__",
    "__slotnames__",  # what copy and pickle remember in a class
    "__orig_bases__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__static_attributes__",
    "__firstlineno__",
    "_field_types",
}
