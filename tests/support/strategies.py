"""Hypothesis strategies for what travels by value, and equality to the last bit."""

from __future__ import annotations

import struct
from collections import namedtuple
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st


class Typed(NamedTuple):
    a: Any
    b: Any = None


Made = namedtuple("Made", "x")

text = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
integers = st.one_of(st.integers(), st.integers(-(2**70), 2**70), st.integers(-300, 300))
offsets = st.timedeltas(
    min_value=timedelta(hours=-23, minutes=-59), max_value=timedelta(hours=23, minutes=59)
)
fixed_zones = st.one_of(
    st.just(timezone.utc),
    offsets.map(timezone),
    st.builds(timezone, offsets, st.text(max_size=5)),
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]).map(ZoneInfo)
tzinfos = st.one_of(st.none(), fixed_zones, zones)
folds = st.integers(0, 1)
datetimes = st.builds(
    lambda moment, tz, fold: moment.replace(tzinfo=tz, fold=fold), st.datetimes(), tzinfos, folds
)
times = st.builds(lambda t, tz, fold: t.replace(tzinfo=tz, fold=fold), st.times(), tzinfos, folds)
steps = st.integers(-5, 5).filter(bool)
ranges = st.builds(range, integers, integers, steps)

hashable_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(),
    st.complex_numbers(),
    text,
    st.binary(max_size=20),
    st.just(Ellipsis),
    st.just(NotImplemented),
    st.dates(),
    datetimes,
    times,
    st.timedeltas(),
    fixed_zones,
    zones,
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    text.map(PurePosixPath),
    text.map(PureWindowsPath),
    ranges,
)


def _hashable(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=4).map(tuple),
        st.frozensets(children, max_size=4),
        st.builds(Typed, children, children),
        children.map(Made),
    )


_hashables = st.recursive(hashable_scalars, _hashable, max_leaves=10)
hashables = st.deferred(lambda: _hashables)  # deferred: their repr would be a megabyte


def _any(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=4).map(tuple),
        st.builds(Typed, children, children),
        children.map(Made),
        st.builds(slice, children, children, children),
    )


_values = st.recursive(hashables, _any, max_leaves=10)
values = st.deferred(lambda: _values)
"""Every type that travels by value, nested."""


def _containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.dictionaries(keys, children, max_size=4),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.binary(max_size=10).map(bytearray),
    )


plain_text = st.text(max_size=20)
keys = st.one_of(
    plain_text, integers, st.binary(max_size=5), st.tuples(integers, plain_text), st.dates()
)
_copied = st.recursive(
    st.one_of(plain_text, integers, st.floats(), st.none(), datetimes, st.decimals()),
    _containers,
    max_leaves=15,
).filter(lambda value: type(value) in (list, dict, set, bytearray))
containers = st.deferred(lambda: _copied)
"""What ``copy_of`` copies, nested."""


def same(a: Any, b: Any) -> bool:
    """Equal in type and content, to the last bit and the last item.

    >>> same((1, float("nan")), (1, float("nan"))), same((1,), (True,)), same(0.0, -0.0)
    (True, False, False)
    """
    return bool(_key(a) == _key(b))


def _key(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return kind, struct.pack(">d", value)
    if kind is complex:
        return kind, struct.pack(">dd", value.real, value.imag)
    if kind in (set, frozenset):
        return kind, sorted(repr(_key(item)) for item in value)
    if kind is dict:
        return kind, [(_key(key), _key(item)) for key, item in value.items()]
    if kind is slice:
        return kind, _key((value.start, value.stop, value.step))
    if issubclass(kind, tuple) and kind is not tuple:
        return kind.__name__, kind._fields, [_key(item) for item in value]
    if kind in (tuple, list):
        return kind, [_key(item) for item in value]
    if kind in (datetime, time):
        plain = value.replace(tzinfo=None)
        return kind, plain, value.fold, _key(value.tzinfo)
    if kind is timezone:
        return kind, value.__getinitargs__()
    if kind is ZoneInfo:
        return kind, value.key
    if kind is range:
        return kind, value.start, value.stop, value.step
    if kind is Decimal:
        return kind, value.as_tuple()
    return kind, value
