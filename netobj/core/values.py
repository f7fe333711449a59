"""Values <-> msgpack: what travels by value, exactly typed.

In a message a msgpack array is a tuple, and maps do not occur; inside a *copy* (see
:func:`pack_copy`) an array is a list and a map a dict. Everything else is an extension type
(:class:`netobj.core.consts.Ext`). Decoding runs no code but this module's and the standard
library's own immutable types; what needs more (registered classes, numpy) comes out as a
:class:`Deferred`, which the thread that runs the call completes with :func:`complete`.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from operator import is_, length_hint
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final, NamedTuple
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo, available_timezones

import msgpack

from netobj.core.bounds import SMALL, check_hashes, check_integer, check_keys, check_whole
from netobj.core.consts import BIG_VALUE, DEFAULT_LIMITS, Ext, Limit
from netobj.core.rebuilding import PLAIN_TYPE
from netobj.core.registered import (
    REGISTERED,
    USER_TYPES,
    is_plain_named_tuple,
)
from netobj.errors import LimitExceeded, NotEncodable, ProtocolError

Unpack = Callable[[bytes], Any]
"""Unpacks the payload of an extension value in the mode of the message around it."""

_COMPLEX: Final = struct.Struct(">dd")
_SINGLETONS: Final = (Ellipsis, NotImplemented)
_LONGEST_DTYPE: Final = 8  # of the name of a numpy scalar's type, characters


class Deferred(NamedTuple):
    """A value that is yet to be built, by *build(\\*arguments)* in the thread of its call."""

    build: Callable[..., object]
    arguments: tuple[Any, ...]


class BigValue:
    """A bytes or str of *size* bytes that follows its message in raw frames."""

    __slots__ = ("data", "is_text", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_text = False
        self.data = b""

    def value(self) -> bytes | str:
        """What arrived."""
        return self.data.decode("utf-8", "surrogatepass") if self.is_text else self.data


# --- packing ---------------------------------------------------------------------------------


SCALARS: Final = frozenset((type(None), bool, int, float))
_PLAIN: Final = SCALARS | {str, bytes, tuple}
"""The types of what may need no boxing."""


class NotPlain(Exception):
    """What was to be packed as it is has something in it that must be boxed."""


def is_plain(items: tuple[Any, ...]) -> bool:
    """Whether none of *items* needs to be boxed, as far as can be seen without a look into tuples.

    At the speed of C, and for numbers alone at twice that.

    >>> is_plain((1, "a", (2,))), is_plain((1, []))
    (True, False)
    """
    if SCALARS.issuperset(map(type, items)):
        return True
    # A tuple of so many items counts as big, too; then it is boxed, for the same result.
    return _PLAIN.issuperset(map(type, items)) and max(map(length_hint, items)) < BIG_VALUE


def is_plain_value(value: object) -> bool:
    """The same for a single value, with a look into it if it is a tuple."""
    kind = type(value)
    if kind is tuple:
        return is_plain(value)  # type: ignore[arg-type]
    return kind in SCALARS or ((kind is str or kind is bytes) and len(value) < BIG_VALUE)  # type: ignore[arg-type]


def _pack_default(value: object) -> Any:
    """msgpack asks here for what it cannot pack: the tuples that were not boxed, and numbers."""
    if type(value) is tuple:
        if SCALARS.issuperset(map(type, value)) or is_plain(value):
            return [*value]
        raise NotPlain
    if type(value) is int:
        return big_int(value)
    if isinstance(value, IntEnum):  # the wire's own tables
        return int(value)
    raise NotEncodable(f"a {type(value).__name__} reached the packer unboxed")


_free_packers: deque[msgpack.Packer] = deque()
"""Packers at rest. Popping one hands it over: a packer is used by one thread at a time, also
when a finalizer or signal handler packs something in the midst of another packing."""


def pack(boxed: object) -> bytes:
    """The msgpack of what is boxed already: scalars, lists (meaning tuples), ExtType.

    Tuples of what needs no boxing may be in it as they are; raises NotPlain for others.

    >>> pack([1, "a"]).hex()
    '9201a161'
    """
    try:
        packer = _free_packers.pop()
    except IndexError:
        packer = msgpack.Packer(strict_types=True, use_bin_type=True, default=_pack_default)
    try:
        data: bytes = packer.pack(boxed)
    except UnicodeEncodeError:
        return pack(mend_surrogates(boxed))
    except (ValueError, OverflowError) as exc:
        raise LimitExceeded(f"msgpack refuses the message: {exc}") from exc
    _free_packers.append(packer)  # not after an exception: such a packer is thrown away
    return data


def big_int(value: int) -> msgpack.ExtType:
    """An int beyond 64 bits."""
    size = (value.bit_length() + 8) // 8
    return msgpack.ExtType(Ext.BIG_INT, value.to_bytes(size, "big", signed=True))


def mend_surrogates(boxed: Any) -> Any:
    """*boxed* again, with each str that strict UTF-8 cannot hold as an extension value."""
    if type(boxed) is tuple:
        boxed = _pack_default(boxed)
    if type(boxed) is list:
        return [mend_surrogates(item) for item in boxed]
    if type(boxed) is str and not boxed.isascii():
        try:
            boxed.encode()
        except UnicodeEncodeError:
            return msgpack.ExtType(Ext.SURROGATE_STR, boxed.encode("utf-8", "surrogatepass"))
    return boxed


Box = Callable[[Any], Any]
"""Boxes one item of a compound value in the mode of the message around it."""


def _array(code: Ext, items: Any, box: Box) -> msgpack.ExtType:
    return msgpack.ExtType(code, pack([box(item) for item in items]))


def _tz(tzinfo: Any, box: Box, owner: object) -> Any:
    kind = type(tzinfo)
    if tzinfo is None or kind is timezone or (kind is ZoneInfo and tzinfo.key):
        return box(tzinfo)
    raise NotEncodable(
        f"a {type(owner).__name__} with a tzinfo of {kind.__module__}.{kind.__qualname__} cannot "
        "travel by value: give it a datetime.timezone or a zoneinfo.ZoneInfo"
    )


def _pack_time(value: time, box: Box) -> msgpack.ExtType:
    fields = (value.hour, value.minute, value.second, value.microsecond, value.fold)
    return _array(Ext.TIME, (*fields, _tz(value.tzinfo, lambda x: x, value)), box)


def _pack_datetime(value: datetime, box: Box) -> msgpack.ExtType:
    day = (value.year, value.month, value.day)
    fields = (value.hour, value.minute, value.second, value.microsecond, value.fold)
    return _array(Ext.DATETIME, (*day, *fields, _tz(value.tzinfo, lambda x: x, value)), box)


def _pack_timezone(value: timezone, box: Box) -> msgpack.ExtType:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]
    return _array(Ext.TIMEZONE, (offset, name[0] if name else None), box)


def _pack_zone(value: ZoneInfo, _box: Box) -> msgpack.ExtType:
    if not value.key:
        raise NotEncodable("a ZoneInfo without a key (made by from_file) cannot travel")
    return msgpack.ExtType(Ext.ZONE_INFO, value.key.encode())


def _text(code: Ext) -> Callable[[Any, Box], msgpack.ExtType]:
    def encode(value: Any, _box: Box) -> msgpack.ExtType:
        text = str(value).encode("utf-8", "surrogatepass")
        if len(text) > MOST_TEXT:
            raise LimitExceeded(f"the text of a {type(value).__name__} has {len(text)} bytes")
        return msgpack.ExtType(code, text)

    return encode


MOST_TEXT: Final = 16 * 1024
"""Bytes of a path or a Decimal: a path is cut into its parts, a Decimal into its digits."""


def _pack_range(value: range, box: Box) -> msgpack.ExtType:
    return _array(Ext.RANGE, _bounded(value.start, value.stop, value.step), box)


def _pack_fraction(value: Fraction, box: Box) -> msgpack.ExtType:
    return _array(Ext.FRACTION, _bounded(value.numerator, value.denominator), box)


def _bounded(*numbers: int) -> tuple[int, ...]:
    if any(number.bit_length() > MOST_BITS for number in numbers):
        raise LimitExceeded(f"the integers of a range or a Fraction have at most {MOST_BITS} bits")
    return numbers


MOST_BITS: Final = 2**10
"""Of an integer in a range or a Fraction: building these takes time that grows with the square,
and nothing else runs in the process meanwhile."""

Encoder = Callable[[Any, Box], Any]

ENCODERS: Final[dict[type, Encoder]] = {
    complex: lambda v, _: msgpack.ExtType(Ext.COMPLEX, _COMPLEX.pack(v.real, v.imag)),
    type(Ellipsis): lambda _v, _b: msgpack.ExtType(Ext.SINGLETON, b"\0"),
    type(NotImplemented): lambda _v, _b: msgpack.ExtType(Ext.SINGLETON, b"\1"),
    slice: lambda v, box: _array(Ext.SLICE, (v.start, v.stop, v.step), box),
    range: _pack_range,
    date: lambda v, box: _array(Ext.DATE, (v.year, v.month, v.day), box),
    time: _pack_time,
    datetime: _pack_datetime,
    timedelta: lambda v, box: _array(Ext.TIMEDELTA, (v.days, v.seconds, v.microseconds), box),
    timezone: _pack_timezone,
    ZoneInfo: _pack_zone,
    Decimal: _text(Ext.DECIMAL),
    Fraction: _pack_fraction,
    UUID: lambda v, _: msgpack.ExtType(Ext.UUID, v.bytes),
    PurePosixPath: _text(Ext.POSIX_PATH),
    PureWindowsPath: _text(Ext.WINDOWS_PATH),
}
"""Exact type -> encoder, for the value types that are not scalars and hold no references."""


def encode_named_tuple(value: Any, box: Box) -> msgpack.ExtType:
    """A named tuple that adds no methods: its type's name, its fields, its items."""
    items = [box(item) for item in value]
    return _array(
        Ext.NAMED_TUPLE, (type(value).__name__, list(value._fields), items), lambda item: item
    )


def encode_frozenset(value: frozenset[Any], box: Box) -> msgpack.ExtType:
    """A frozenset of values."""
    return _array(Ext.FROZENSET, value, box)


def encode_registered(value: object, box: Box) -> msgpack.ExtType:
    """An object whose class was given to ``by_value``."""
    registration = USER_TYPES[type(value)]
    state = registration.encode(value)
    return _array(Ext.USER, (registration.name, state), box)


def is_plain_numpy_scalar(value: Any) -> bool:
    """Whether the type of a numpy scalar has a short name, which records have not."""
    return value.dtype.names is None and len(value.dtype.str) <= _LONGEST_DTYPE


def encode_numpy_scalar(value: Any, _box: Box) -> msgpack.ExtType:
    """A numpy scalar of a plain dtype."""
    return msgpack.ExtType(Ext.NUMPY_SCALAR, pack([value.dtype.str, value.tobytes()]))


# --- unpacking -------------------------------------------------------------------------------


def refuse_map(_pairs: object) -> None:
    raise ProtocolError("a map stands where the protocol has none")


_HASHABLE: Final = frozenset(
    (str, int, bytes, float, bool, type(None), complex, date, datetime, time, timedelta, Decimal)
    + (Fraction, UUID, PurePosixPath, PureWindowsPath, type(Ellipsis), type(NotImplemented))
    + (timezone, ZoneInfo, range)
)


def is_hashable(value: Any) -> bool:
    """Whether *value* is a plain one, whose hash runs nothing but the standard library's code.

    >>> is_hashable((1, frozenset("a"))), is_hashable([1]), is_hashable(slice(1))
    (True, False, False)
    """
    kind = type(value)
    if kind in _HASHABLE:
        return True
    if kind is tuple or kind is frozenset or (issubclass(kind, tuple) and _is_named_tuple(kind)):
        return all(map(is_hashable, value))
    return False


def _is_named_tuple(kind: type) -> bool:
    return kind is not Deferred and is_plain_named_tuple(kind)


_NO_KEY: Final = "a {} cannot be a key or a member in a copy"


def _is_late_key(key: Any) -> bool:
    """Whether *key* is hashed only where the call runs; ProtocolError where it may be no key."""
    if type(key) is str or is_hashable(key):
        return False
    if not _waits(key):
        raise ProtocolError(_NO_KEY.format(type(key).__name__))
    return True


def _waits(item: Any) -> bool:
    """Whether *item* is, or holds, what is complete only where the call runs."""
    kind = type(item)
    if kind is Deferred or kind is BigValue:
        return True
    return issubclass(kind, tuple) and any(map(_waits, item))


def _build_dict(pairs: list[tuple[Any, Any]], most_keys: int) -> dict[Any, Any] | Deferred:
    others = [key for key, _ in pairs if type(key) is not str]
    if others:
        check_keys(others, most_keys)
        if any(list(map(_is_late_key, others))):  # of each: some raise
            return Deferred(_complete_dict, (pairs,))
        check_hashes(others)
    return dict(pairs)


def _complete_dict(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    keys = [complete(key) for key, _ in pairs]
    _check_completed(keys)
    return dict(zip(keys, [complete(item) for _, item in pairs], strict=True))


def build_members(code: int, items: Any, most_keys: int) -> Any:
    """The set or frozenset of *items*. Raises ProtocolError."""
    kind = HASHING[code]
    check_keys(items, most_keys)
    if any(list(map(_is_late_key, items))):  # of each: some raise
        return Deferred(_complete_members, (kind, items))
    check_hashes(items)
    return kind(items)


HASHING: Final[dict[int, Callable[[Any], Any]]] = {Ext.FROZENSET: frozenset, Ext.SET: set}
"""Extension values whose items the receiver must hash."""


def _complete_members(kind: Callable[[Any], Any], items: Any) -> Any:
    members = [complete(item) for item in items]
    _check_completed(members)
    return kind(members)


def _check_completed(keys: list[Any]) -> None:
    check_hashes([key for key in keys if is_hashable(key)])


ExtHook = Callable[[int, bytes], Any]


def unpack_message(
    data: bytes, ext_hook: ExtHook, max_items: int, count: Callable[[Any], Any] | None = None
) -> Any:
    """The msgpack *data* with arrays as tuples; raises ProtocolError, nothing else.

    *count* is called with each array and returns it.
    """
    try:
        if len(data) > SMALL:
            check_whole(data)
        return msgpack.unpackb(
            data,
            use_list=False,
            ext_hook=ext_hook,
            list_hook=count,
            object_pairs_hook=refuse_map,
            strict_map_key=False,
            max_array_len=max_items,
            max_map_len=0,
        )
    except UNPACKING as exc:
        raise malformed(exc) from exc


def unpack_copy(
    data: bytes,
    ext_hook: ExtHook,
    max_items: int,
    max_keys: int = DEFAULT_LIMITS[Limit.KEYS],
    count: Callable[[Any], Any] | None = None,
) -> Any:
    """The msgpack *data* with arrays as lists and maps as dicts; raises ProtocolError.

    *count* is called with each array, and twice with the pairs of each map.
    """

    def build_dict(pairs: list[tuple[Any, Any]]) -> Any:
        if count is not None:
            count(count(pairs))
        return _build_dict(pairs, max_keys)

    try:
        if len(data) > SMALL:
            check_whole(data)
        return msgpack.unpackb(
            data,
            use_list=True,
            ext_hook=ext_hook,
            list_hook=count,
            object_pairs_hook=build_dict,
            strict_map_key=False,
            max_array_len=max_items,
            max_map_len=max_items,
        )
    except UNPACKING as exc:
        raise malformed(exc) from exc


UNPACKING: Final = (
    RecursionError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    ArithmeticError,
    struct.error,
)
"""What unpacking raises of bytes that are none of ours (ArithmeticError: OverflowError,
ZeroDivisionError and decimal's own)."""


def malformed(exc: Exception) -> ProtocolError:
    """What is raised in the place of *exc*, one of these."""
    if isinstance(exc, RecursionError):
        return ProtocolError("the message is nested too deeply")
    return ProtocolError(f"the message is malformed: {type(exc).__name__}: {exc}")


def _ints(items: Any, count: int) -> Any:
    if len(items) != count or any(type(item) is not int for item in items):
        raise ValueError(f"{count} integers were due")
    if any(item.bit_length() > MOST_BITS for item in items):
        raise ValueError(f"integers of at most {MOST_BITS} bits were due")
    return items


def _decode_datetime(data: bytes, unpack: Unpack) -> object:
    *fields, fold, tz = unpack(data)
    _ints((*fields, fold), 8)
    return _with_zone(datetime(*fields, fold=fold), tz)


def _decode_time(data: bytes, unpack: Unpack) -> object:
    *fields, fold, tz = unpack(data)
    _ints((*fields, fold), 5)
    return _with_zone(time(*fields, fold=fold), tz)


def _with_zone(value: Any, tz: Any) -> object:
    if tz is None or type(tz) is timezone:
        return value.replace(tzinfo=tz)
    if type(tz) is Deferred and tz.build is _zone:
        return Deferred(_replace_zone, (value, *tz.arguments))
    raise ValueError("a time zone was due")


def _replace_zone(value: Any, key: str) -> object:
    return value.replace(tzinfo=_zone(key))


def _zone(key: str) -> ZoneInfo:
    """The zone of that name, if this machine knows it; a name from a peer opens no other file."""
    if not _zones:
        _zones.update(available_timezones())  # reads a directory of hundreds of files
    if key not in _zones:
        raise NotEncodable(f"the time zone {key!r} is not known on this machine: install tzdata")
    return ZoneInfo(key)


_zones: set[str] = set()


def _decode_timezone(data: bytes, unpack: Unpack) -> timezone:
    offset, name = unpack(data)
    if name is None:
        return timezone(offset)
    return timezone(offset, name)


def _decode_user(data: bytes, unpack: Unpack) -> Deferred:
    name, state = unpack(data)
    return Deferred(_build_registered, (name, state))


def _build_registered(name: str, state: object) -> object:
    registration = REGISTERED.get(name) if type(name) is str else None
    if registration is None:
        raise NotEncodable(
            f"the peer sent a {name!r} by value and no class of that name is registered on this "
            "side: call netobj.by_value(cls) here, too"
        )
    return registration.decode(complete(state))


def _decode_numpy_scalar(data: bytes, unpack: Unpack) -> Deferred:
    dtype, raw = unpack(data)
    if type(dtype) is not str or type(raw) is not bytes or len(dtype) > _LONGEST_DTYPE:
        raise ValueError("a numpy scalar is a dtype and bytes")
    if not PLAIN_TYPE.fullmatch(dtype):  # any other name may mean anything to numpy
        raise ValueError("a numpy scalar has a type of plain data")
    return Deferred(_build_numpy_scalar, (dtype, raw))


def _build_numpy_scalar(dtype: str, raw: bytes) -> object:
    import numpy  # an extra: here only where the peer, told that we have it, sent one

    kind = numpy.dtype(dtype)
    if not kind.itemsize:  # an empty text, which frombuffer() does not take
        return numpy.zeros((), kind)[()]
    return numpy.frombuffer(raw, kind, 1)[0]


def _fixed(size: int, data: bytes) -> bytes:
    if len(data) != size:
        raise ValueError(f"{size} bytes were due, {len(data)} came")
    return data


def _decode_surrogates(data: bytes, _unpack: Unpack) -> str:
    return data.decode("utf-8", "surrogatepass")


def _decode_path(cls: Callable[[str], object]) -> Callable[[bytes, Unpack], object]:
    return lambda data, _unpack: cls(_short(data).decode("utf-8", "surrogatepass"))


def _decode_uuid(data: bytes, _unpack: Unpack) -> UUID:
    # UUID() takes three times as long, most of it to find out which of its arguments was given.
    value = _new(UUID)
    _put(value, "int", int.from_bytes(_fixed(16, data), "big"))
    _put(value, "is_safe", SafeUUID.unknown)
    return value


_new: Final = object.__new__
_put: Final = object.__setattr__  # a UUID's own refuses


def _decode_decimal(data: bytes, _unpack: Unpack) -> Decimal:
    return Decimal(_short(data).decode("ascii"))


def _short(data: bytes) -> bytes:
    if len(data) > MOST_TEXT:
        raise ValueError(f"the text of a path or a Decimal has at most {MOST_TEXT} bytes")
    return data


def _slice_parts(data: bytes, unpack: Unpack) -> slice:
    start, stop, step = unpack(data)
    return slice(start, stop, step)


def decode_integer(data: bytes, most_bits: int) -> int:
    """The integer beyond 64 bits in *data*. Raises ProtocolError."""
    check_integer(data, most_bits)
    return int.from_bytes(data, "big", signed=True)


Decoder = Callable[[bytes, Unpack], Any]

DECODERS: Final[dict[int, Decoder]] = {
    Ext.COMPLEX: lambda data, _: complex(*_COMPLEX.unpack(data)),
    Ext.SURROGATE_STR: _decode_surrogates,
    Ext.SINGLETON: lambda data, _: _SINGLETONS[_fixed(1, data)[0]],
    Ext.SLICE: _slice_parts,
    Ext.RANGE: lambda data, unpack: range(*_ints(unpack(data), 3)),
    Ext.DATE: lambda data, unpack: date(*_ints(unpack(data), 3)),
    Ext.TIME: _decode_time,
    Ext.DATETIME: _decode_datetime,
    Ext.TIMEDELTA: lambda data, unpack: timedelta(*_ints(unpack(data), 3)),
    Ext.TIMEZONE: _decode_timezone,
    Ext.ZONE_INFO: lambda data, _: Deferred(_zone, (data.decode(),)),
    Ext.DECIMAL: _decode_decimal,
    Ext.FRACTION: lambda data, unpack: Fraction(*_ints(unpack(data), 2)),
    Ext.UUID: _decode_uuid,
    Ext.POSIX_PATH: _decode_path(PurePosixPath),
    Ext.WINDOWS_PATH: _decode_path(PureWindowsPath),
    Ext.NUMPY_SCALAR: _decode_numpy_scalar,
    Ext.USER: _decode_user,
    Ext.TUPLE: lambda data, unpack: tuple(unpack(data)),
    Ext.BYTEARRAY: lambda data, _: bytearray(data),
}

LEAVES: Final[dict[int, Decoder]] = {
    code: DECODERS[code]
    for code in (Ext.COMPLEX, Ext.SURROGATE_STR, Ext.SINGLETON, Ext.DECIMAL, Ext.UUID)
}
"""Decoders of values that hold no others, and need no code to be completed."""


# --- copies of containers --------------------------------------------------------------------


def pack_copy(value: object, box_other: Callable[[Any, int], Any], deepest: int) -> bytes:
    """The msgpack of *value* with its containers by value, recursively.

    Lists, dicts, tuples, sets, frozensets and bytearrays are copied; *box_other* gets what is
    neither a container nor a plain value, and inside how many tuples and sets it is. Raises
    NotEncodable for a container that contains itself and for a key or a member that is no plain
    value, LimitExceeded beyond msgpack's own limits or where more than *deepest* tuples and sets
    are inside one another.
    """
    depth = 0

    def default(item: Any) -> Any:
        nonlocal depth
        kind = type(item)
        code = _COPIED.get(kind)
        if code is not None:
            depth += 1
            if depth > deepest:
                raise LimitExceeded(f"more than {deepest} levels of tuples and sets")
            if kind is not tuple:
                _check_keys(item)
            packed = msgpack.ExtType(code, packer_pack(list(item)))
            depth -= 1
            return packed
        if kind is int:
            return big_int(item)
        return box_other(item, depth)

    def mark_buffers(item: Any, level: int = 0) -> Any:
        """*item* with its buffers as extension values: msgpack would make bytes of them."""
        if level > _MAX_LEVELS:
            raise RecursionError("recursion")  # long before the stack is at its end
        kind = type(item)
        if kind is list or kind is tuple:
            if _MARKED.isdisjoint(map(type, item)):
                return item
            return kind([mark_buffers(part, level + 1) for part in item])
        if kind is dict:
            _check_keys(item)
            if _MARKED.isdisjoint(map(type, item.values())):
                return item
            return {key: mark_buffers(part, level + 1) for key, part in item.items()}
        if kind is bytearray:
            return msgpack.ExtType(Ext.BYTEARRAY, bytes(item))
        return box_other(item, 0) if kind is memoryview else item

    def packer_pack(item: object) -> bytes:
        data: bytes = msgpack.packb(
            item, strict_types=True, use_bin_type=True, default=default, unicode_errors=errors
        )
        return data

    errors: str | None = None
    try:
        return packer_pack(mark_buffers(value))
    except UnicodeEncodeError as exc:
        raise NotEncodable(f"a str with a lone surrogate cannot travel in a copy: {exc}") from exc
    except (RecursionError, ValueError) as exc:
        if "recursion" in str(exc):
            raise NotEncodable(
                "a container that contains itself cannot be copied, nor one hundreds of levels deep"
            ) from None
        raise LimitExceeded(f"the copy exceeds a limit: {exc}") from exc


def _check_keys(keys: Any) -> None:
    if not _HASHABLE.issuperset(map(type, keys)):
        for key in keys:
            if not is_hashable(key):
                raise NotEncodable(_NO_KEY.format(type(key).__name__))


CONTAINERS: Final = (list, dict, set, bytearray)
"""The builtin containers that may travel as copies instead of references."""

_MAX_LEVELS: Final = 300
_MARKED: Final = frozenset((list, dict, tuple, bytearray, memoryview))
_COPIED: Final[dict[type, Ext]] = {tuple: Ext.TUPLE, set: Ext.SET, frozenset: Ext.FROZENSET}
COPIED_CODES: Final = frozenset(_COPIED.values())
"""What of a copy holds copies again; the payload of every other code is as outside of copies."""


# --- completing ------------------------------------------------------------------------------


def complete(value: Any) -> Any:
    """*value* with each Deferred in it built; runs registered constructors.

    >>> complete((1, Deferred(int, ("7",))))
    (1, 7)
    """
    kind = type(value)
    if kind is Deferred:
        return value.build(*value.arguments)
    if kind is BigValue:
        return value.value()
    if kind is tuple:
        return tuple(map(complete, value))
    if kind is list:  # it may be one of this side's own, which has come home
        items = list(map(complete, value))
        return value if all(map(is_, items, value)) else items
    if kind is dict:
        pairs = [(complete(key), complete(item)) for key, item in value.items()]
        same = all(map(is_, (key for key, _ in pairs), value))
        same = same and all(map(is_, (item for _, item in pairs), value.values()))
        return value if same else dict(pairs)
    if kind is slice:
        return slice(complete(value.start), complete(value.stop), complete(value.step))
    if issubclass(kind, tuple):  # a named tuple; isinstance would ask a proxy for its class
        return kind._make(map(complete, value))  # type: ignore[attr-defined]
    return value
