"""What annotations ask for, judged for many values at once.

A value is checked to the bottom, and a list of 250,000 items with a few passes of C over it: the
set of the types of its items, then what is in all of the items together. One by one they are
looked at only to say which of them is wrong, and where an annotation is more than classes and
containers: what that means, typeguard knows. Proxies are judged by :mod:`~netobj.checking.proxies`.
"""

from __future__ import annotations

import collections
import types
import typing
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import typeguard
from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError

from netobj.checking.proxies import is_remote, passes, shown
from netobj.interfaces import is_protocol

_CHUNK: Final = 1000  # items that are looked at together when the wrong one is looked for
_DEEPEST: Final = 50
_MOST_ASKED: Final = 500  # objects of one class of which typeguard takes its time (up to 0.1 ms)
_STR: Final = frozenset((str,))
_PLAIN_CONTAINERS: Final = frozenset((list, tuple, set, frozenset, dict))
_LISTS: Final = frozenset((list, tuple))
_WALKED: Final = (list, tuple, set, frozenset, deque, dict)
_NUMBERS: Final[dict[type, tuple[type, ...]]] = {
    float: (float, int),
    complex: (complex, float, int),
}
_EXTRA: Final = {"typing", "typing_extensions"}


class Check:
    """What one annotation asks for."""

    plain: type | None = None
    """A class of which each object passes, unless it is a subclass's."""

    def accepts(self, values: Collection[Any]) -> bool:
        """Whether all *values* pass."""
        raise NotImplementedError

    def complaint(self, value: Any) -> str:
        """What is wrong with *value*, which does not pass."""
        raise NotImplementedError


class _Anything(Check):
    def accepts(self, values: Collection[Any]) -> bool:
        return True


ANYTHING: Final = _Anything()


class _Nothing(Check):
    def accepts(self, values: Collection[Any]) -> bool:
        return not values

    def complaint(self, value: Any) -> str:
        return f"{_name(value)} where nothing can be"


class _Leaf(Check):
    """What only typeguard knows, value by value: of each class it is asked about the first ones."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation

    def accepts(self, values: Collection[Any]) -> bool:
        return self._fit(values, set(map(type, values)))

    def _fit(self, values: Collection[Any], kinds: set[type]) -> bool:
        """Whether those of *kinds* pass."""
        remote = set(filter(is_remote, kinds))
        for kind in kinds - remote:
            alike = values if len(kinds) == 1 else (v for v in values if type(v) is kind)
            if not all(map(self._fits, islice(alike, _MOST_ASKED))):
                return False
        return not remote or all(self._fits(v) for v in values if type(v) in remote)

    def _fits(self, value: Any) -> bool:
        if is_remote(type(value)):
            return passes(value, self._annotation)
        return _complaint(value, self._annotation) is None

    def complaint(self, value: Any) -> str:
        if is_remote(type(value)):
            return f"{_name(value)} is not {_text(self._annotation)}"
        return _complaint(value, self._annotation) or f"{_name(value)} is of another type"


class _Class(_Leaf):
    """Objects of a class."""

    def __init__(self, cls: type) -> None:
        super().__init__(cls)
        self._classes = _NUMBERS.get(cls, (cls,))
        self.plain = cls

    def accepts(self, values: Collection[Any]) -> bool:
        others = set(map(type, values))
        others.discard(self.plain)
        if not others:
            return True
        others = {kind for kind in others if is_remote(kind) or not issubclass(kind, self._classes)}
        return not others or self._fit([v for v in values if type(v) in others], others)


class _Items(Check):
    """Containers of a class whose items are all alike."""

    def __init__(self, cls: Any, item: Check) -> None:
        self._outer = _Class(cls)
        self._item = item

    def accepts(self, values: Collection[Any]) -> bool:
        if not self._outer.accepts(values):
            return False
        kinds = set(map(type, values))
        if kinds == {self._outer.plain}:
            if kinds <= _LISTS:  # as most often
                return self._item.accepts(_joined(values))
        if str in kinds and not self._item.accepts(("",)):  # it is a sequence of these
            return False
        if bytes in kinds and not self._item.accepts((0,)):
            return False
        return self._item.accepts(_joined(_walked(values, kinds)))

    def complaint(self, value: Any) -> str:
        if not self._outer.accepts((value,)):
            return self._outer.complaint(value)
        if not isinstance(value, _WALKED):
            return f"the items of {_name(value)} are of another type"
        return _complaint_of_items(self._item, value, "item")


class _Mapping(Check):
    def __init__(self, cls: Any, key: Check, value: Check) -> None:
        self._outer = _Class(cls)
        self._key = key
        self._value = value

    def accepts(self, values: Collection[Any]) -> bool:
        if not self._outer.accepts(values):
            return False
        dicts = _walked(values, set(map(type, values)), dict)
        return self._key.accepts(_joined(dicts)) and self._value.accepts(
            _joined([one.values() for one in dicts])
        )

    def complaint(self, value: Any) -> str:
        if not self._outer.accepts((value,)):
            return self._outer.complaint(value)
        if not self._key.accepts(value):
            return _complaint_of_items(self._key, value, "key")
        return _complaint_of_items(self._value, value.values(), "value")


class _Tuple(Check):
    """Tuples, each place of which has a type of its own; of named tuples the fields."""

    def __init__(self, cls: type, places: Sequence[Check]) -> None:
        self._outer = _Class(cls)
        self._places = places

    def accepts(self, values: Collection[Any]) -> bool:
        if not self._outer.accepts(values):
            return False
        tuples = _walked(values, set(map(type, values)), tuple)
        return {len(self._places)}.issuperset(map(len, tuples)) and all(
            check.accepts(list(map(itemgetter(place), tuples)))
            for place, check in enumerate(self._places)
        )

    def complaint(self, value: Any) -> str:
        if not self._outer.accepts((value,)):
            return self._outer.complaint(value)
        if len(value) != len(self._places):
            return f"a tuple of {len(value)} where one of {len(self._places)} is to be"
        place, check = next(
            (place, check)
            for place, check in enumerate(self._places)
            if not check.accepts((value[place],))
        )
        return f"item {place}: {check.complaint(value[place])}"


class _TypedDict(Check):
    """Dicts whose keys are known."""

    def __init__(self, cls: Any, fields: Mapping[str, Check]) -> None:
        self._outer = _Class(dict)
        self._required: frozenset[str] = cls.__required_keys__
        self._fields = fields

    def accepts(self, values: Collection[Any]) -> bool:
        if not self._outer.accepts(values):
            return False
        dicts = _walked(values, set(map(type, values)), dict)
        if not _STR.issuperset(
            map(type, chain.from_iterable(dicts))
        ):  # a proxy's == would be asked
            return False
        return (
            all(map(self._required.issubset, dicts))
            and self._fields.keys() >= set().union(*dicts)
            and all(
                check.accepts([one[name] for one in dicts if name in one])
                for name, check in self._fields.items()
            )
        )

    def complaint(self, value: Any) -> str:
        if not self._outer.accepts((value,)):
            return self._outer.complaint(value)
        if not _STR.issuperset(map(type, value)):
            return "a key is no str"
        missing, unknown = self._required - value.keys(), value.keys() - self._fields.keys()
        if missing:
            return f"the key {min(missing)!r} is missing"
        if unknown:
            return f"unknown key {min(unknown)[:100]!r}"
        name, check = next(
            (name, check)
            for name, check in self._fields.items()
            if name in value and not check.accepts((value[name],))
        )
        return f"key {name!r}: {check.complaint(value[name])}"


class _Union(Check):
    def __init__(self, members: Sequence[Check], annotation: Any) -> None:
        self._members = members
        self._text = _text(annotation)

    def accepts(self, values: Collection[Any]) -> bool:
        kinds = set(map(type, values))
        remote = set(filter(is_remote, kinds))
        groups = [{kind} for kind in kinds - remote] + ([remote] if remote else [])
        for group in groups:
            of_group = values if len(groups) == 1 else [v for v in values if type(v) in group]
            if not self._take_all(of_group) and not self._take_alike(of_group):
                return False
        return True

    def _take_all(self, values: Collection[Any]) -> bool:
        return any(member.accepts(values) for member in self._members)

    def _take_alike(self, values: Collection[Any]) -> bool:
        """Whether all pass: those together that contain objects of the same types."""
        alike: dict[object, list[Any]] = {}
        for value in values:
            kind = type(value)
            key: object = frozenset(map(type, value)) if kind in _PLAIN_CONTAINERS else kind
            if kind is dict:
                key = (key, frozenset(map(type, value.values())))
            alike.setdefault(key, []).append(value)
        return all(self._take_all(same) or all(map(self._fits, same)) for same in alike.values())

    def _fits(self, value: Any) -> bool:
        return any(member.accepts((value,)) for member in self._members)

    def complaint(self, value: Any) -> str:
        return f"{_name(value)} is none of {self._text}"


class _Literal(Check):
    def __init__(self, annotation: Any) -> None:
        self._meant = {(type(value), value) for value in get_args(annotation)}
        self._kinds = {kind for kind, _ in self._meant}
        self._text = _text(annotation)

    def accepts(self, values: Collection[Any]) -> bool:
        if not self._kinds.issuperset(map(type, values)):
            return False
        return self._meant.issuperset((type(value), value) for value in values)

    def complaint(self, value: Any) -> str:
        return f"{_name(value)} is not one of {self._text}"


class _Later(Check):
    """What may contain itself: looked at when it is needed."""

    def __init__(self, annotation: Callable[[], Any]) -> None:
        self._annotation = annotation
        self._check: Check | None = None

    def _found(self) -> Check:
        if self._check is None:
            self._check = check_for(self._annotation())
        return self._check

    def accepts(self, values: Collection[Any]) -> bool:
        return not values or self._found().accepts(values)

    def complaint(self, value: Any) -> str:
        return self._found().complaint(value)


def _walked(values: Iterable[Any], kinds: set[type], of: Any = _WALKED) -> list[Any]:
    """The containers among *values*, whose types are *kinds*, that are looked into."""
    inside = {kind for kind in kinds if not is_remote(kind) and issubclass(kind, of)}
    return [value for value in values if type(value) in inside]


def _joined(containers: Collection[Collection[Any]]) -> Collection[Any]:
    if len(containers) == 1:
        return next(iter(containers))
    return list(chain.from_iterable(containers))


def _complaint_of_items(check: Check, items: Iterable[Any], what: str) -> str:
    rest = list(items)
    for start in range(0, len(rest), _CHUNK):
        chunk = rest[start : start + _CHUNK]
        if not check.accepts(chunk):
            for number, item in enumerate(chunk, start):
                if not check.accepts((item,)):
                    return f"{what} {number}: {check.complaint(item)}"
    return f"a {what} is of another type"  # it is not any more: another thread has changed it


def _complaint(value: Any, annotation: Any) -> str | None:
    try:
        typeguard.check_type(
            value,
            annotation,
            forward_ref_policy=ForwardRefPolicy.ERROR,
            collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
        )
    except TypeCheckError as exc:
        return str(exc)
    return None


def _name(value: object) -> str:
    kind = type(value)
    if is_remote(kind):
        return shown(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _text(annotation: Any) -> str:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return f"a {annotation.__qualname__}"
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


# --- from annotations to checks -----------------------------------------------------------------

_UNIONS: Final = (Union, types.UnionType)
_ONE_ITEM: Final = (
    list,
    set,
    frozenset,
    deque,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Set,
    collections.abc.MutableSet,
    collections.abc.Collection,
    collections.abc.Iterable,
    collections.abc.Container,
)
_MAPPINGS: Final = (
    dict,
    collections.OrderedDict,
    collections.defaultdict,
    collections.abc.Mapping,
    collections.abc.MutableMapping,
)


def check_for(annotation: Any, depth: int = 0) -> Check:
    """What *annotation*, in which every name is resolved, asks for.

    >>> check_for(list[int]).accepts([[1, 2], [], [3]])
    True
    >>> check_for(dict[str, int | None]).complaint({"a": 1, "b": "c"})
    'value 1: str is none of int | None'
    """
    if depth > _DEEPEST:
        raise TypeError("the annotation is nested too deeply")
    if annotation is None:
        return _Class(type(None))
    if annotation is Any or annotation is object or _is_named(annotation, _OPEN):
        return ANYTHING
    if _is_named(annotation, ("NoReturn", "Never")):
        return _Nothing()
    if isinstance(annotation, str | typing.ForwardRef):
        raise NameError(f"{annotation!r} is not resolved")
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _check_for_bare(annotation, depth + 1)
    return _check_for_generic(annotation, origin, args, depth + 1)


_OPEN: Final = (
    "Self",
    "ParamSpecArgs",
    "ParamSpecKwargs",
    "Unpack",
    "LiteralString",
    "Concatenate",
)


def _is_named(annotation: Any, names: Collection[str]) -> bool:
    """Whether *annotation* is one of typing's own, wherever it was imported from."""
    for form in (annotation, type(annotation), get_origin(annotation)):
        if getattr(form, "__module__", None) in _EXTRA:
            name = getattr(form, "_name", None) or getattr(form, "__name__", None)
            if name in names:
                return True
    return False


def _check_for_bare(annotation: Any, depth: int) -> Check:
    if isinstance(annotation, TypeVar):
        if annotation.__constraints__:
            return check_for(Union[annotation.__constraints__], depth)  # noqa: UP007
        return check_for(annotation.__bound__, depth) if annotation.__bound__ else ANYTHING
    if hasattr(annotation, "__supertype__"):  # a NewType
        return check_for(annotation.__supertype__, depth)
    if hasattr(annotation, "__value__"):  # type X = ...
        return _Later(lambda: annotation.__value__)
    if typing.is_typeddict(annotation):
        hints = typing.get_type_hints(annotation)  # without Required and NotRequired
        return _TypedDict(annotation, {name: _later(hint) for name, hint in hints.items()})
    if not isinstance(annotation, type) or is_protocol(annotation):
        return _Leaf(annotation)
    if issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        hints = typing.get_type_hints(annotation)
        return _Tuple(annotation, [_later(hints.get(name, Any)) for name in annotation._fields])
    return _Class(annotation)


def _later(annotation: Any) -> Check:
    return _Later(lambda: annotation)


def _check_for_generic(annotation: Any, origin: Any, args: tuple[Any, ...], depth: int) -> Check:
    if origin is Annotated:
        return check_for(args[0], depth)
    if origin in _UNIONS:
        return _Union([check_for(arg, depth) for arg in args], annotation)
    if origin is Literal:
        return _Literal(annotation)
    if origin is tuple:
        if len(args) == 2 and args[1] is ...:
            return _Items(tuple, check_for(args[0], depth))
        if any(_is_named(arg, ("Unpack",)) for arg in args):
            return _Class(tuple)
        return _Tuple(tuple, [check_for(arg, depth) for arg in args if arg != ()])
    if origin in _ONE_ITEM and len(args) == 1:
        return _Items(origin, check_for(args[0], depth))
    if origin in _MAPPINGS and len(args) == 2:
        return _Mapping(origin, check_for(args[0], depth), check_for(args[1], depth))
    return _Leaf(annotation)


STREAMS: Final = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.Iterable,
    collections.abc.AsyncIterable,
)


def check_of_items(annotation: Any) -> tuple[Check, Check]:
    """What the items and the end of a generator are to be whose function is annotated so."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in STREAMS and args:
        end = args[2] if origin is collections.abc.Generator and len(args) > 2 else Any
        return check_for(args[0]), check_for(end)
    return ANYTHING, ANYTHING


__all__ = ["ANYTHING", "STREAMS", "Check", "check_for", "check_of_items"]
