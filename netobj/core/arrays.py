"""Arrays and data frames as plain values: numpy's and pandas's own classes, without pickle.

:func:`taken_apart` makes tuples of values, names and bytes; :mod:`netobj.core.rebuilding` builds
the object from them on the other side.

=====================  ==========================================================================
``array``              type, shape, bytes in C's order
``objects``            type ("O" or "T"), shape, items
``masked``             name of pandas's type, array of values, array of what is missing
``strings``            name of pandas's type, items, None for what is missing
``categories``         array of codes, index of categories, ordered
``zoned``              array of moments in UTC, unit, time zone
``interval``           left, right, which ends are inside
``range``              start, stop, step, name
``index``              values, name, frequency or None
``levels``             indexes, arrays of codes, names
``series``             values, index, name
``frame``              values of each column, index of columns, index of rows
=====================  ==========================================================================

Items are a tuple of chunks, each a list or the bytes of a copy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final

from netobj.errors import NotEncodable

Form = tuple[Any, ...]
Take = Callable[[Any], Any]
"""Makes of a one-dimensional array of bytes what is to travel as ``bytes``."""
PackItems = Callable[[list[Any]], Any]
"""Makes of a list what travels as one chunk of items."""

CHUNK: Final = 100_000  # items
MASKED: Final = frozenset(
    "Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float32 Float64 boolean".split()
)
LABELS: Final = frozenset((type(None), bool, int, float, str, bytes))


@lru_cache(maxsize=1)
def known() -> tuple[str, ...]:
    """Which of the libraries are installed here."""
    return tuple(name for name in ("numpy", "pandas") if find_spec(name) is not None)


def library_of(kind: type) -> str | None:
    """Whose class *kind* is, if its objects can be taken apart; imports nothing."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and kind is getattr(numpy, "ndarray", None):
        return "numpy"
    if pandas is not None and any(kind is getattr(pandas, name, None) for name in _PANDAS):
        return "pandas"
    return None


_PANDAS: Final = (
    "DataFrame Series Index RangeIndex DatetimeIndex TimedeltaIndex CategoricalIndex IntervalIndex "
    "MultiIndex"
).split()


class _Apart:
    def __init__(self, take: Take, pack_items: PackItems) -> None:
        self._take = take
        self._pack_items = pack_items

    def any(self, obj: Any) -> Form:
        kind = type(obj)
        if library_of(kind) == "numpy":
            return self.array(obj)
        if kind.__name__ == "DataFrame":
            columns = tuple(self.values(obj.iloc[:, at]) for at in range(obj.shape[1]))
            return "frame", columns, self.index(obj.columns), self.index(obj.index)
        if kind.__name__ == "Series":
            return "series", self.values(obj), self.index(obj.index), _label(obj.name)
        return self.index(obj)

    def array(self, array: Any) -> Form:
        import numpy

        if array.dtype.hasobject or array.dtype.kind == "T":
            if array.dtype.kind not in "OT":
                raise NotEncodable("an array of records that hold objects is no plain data")
            return "objects", array.dtype.kind, array.shape, self.items(array.reshape(-1).tolist())
        flat = numpy.ascontiguousarray(array).reshape(-1)
        if flat.size and not array.dtype.itemsize:
            raise NotEncodable("an array whose items have no bytes is no plain data")
        data = flat.view("u1") if flat.size else numpy.empty(0, "u1")
        return "array", _type_form(array.dtype), array.shape, self._take(data)

    def items(self, items: list[Any]) -> Form:
        return tuple(
            self._pack_items(items[start : start + CHUNK]) for start in range(0, len(items), CHUNK)
        )

    def values(self, column: Any) -> Form:
        """What is in a column or an index."""
        import numpy
        import pandas

        dtype, values = column.dtype, column.array
        if isinstance(dtype, numpy.dtype):
            return self.array(column.to_numpy())
        if isinstance(dtype, pandas.StringDtype):
            name = "string" if dtype.na_value is pandas.NA else "str"
            items = values.to_numpy(dtype=object, na_value=None).tolist()
            return "strings", name, self.items(items)
        if isinstance(dtype, pandas.CategoricalDtype):
            kinds = self.index(dtype.categories)
            return "categories", self.array(values.codes), kinds, bool(dtype.ordered)
        if isinstance(dtype, pandas.DatetimeTZDtype):
            moments = self.array(values.to_numpy(dtype=f"M8[{dtype.unit}]"))
            return "zoned", moments, dtype.unit, _zone(dtype.tz)
        if isinstance(dtype, pandas.IntervalDtype):
            ends = self.index(values.left), self.index(values.right)
            return "interval", *ends, dtype.closed
        if dtype.name in MASKED and hasattr(dtype, "numpy_dtype"):
            data = values.to_numpy(dtype=dtype.numpy_dtype, na_value=0)
            return "masked", dtype.name, self.array(data), self.array(values.isna())
        raise NotEncodable(f"pandas data of the type {dtype.name!r} is no plain data here")

    def index(self, index: Any) -> Form:
        kind = type(index).__name__
        if kind == "RangeIndex":
            return "range", index.start, index.stop, index.step, _label(index.name)
        if kind == "MultiIndex":
            levels = tuple(map(self.index, index.levels))
            codes = tuple(map(self.array, index.codes))
            return "levels", levels, codes, tuple(map(_label, index.names))
        return "index", self.values(index), _label(index.name), getattr(index, "freqstr", None)


def taken_apart(obj: Any, take: Take, pack_items: PackItems) -> Form:
    """*obj*, of a class that :func:`library_of` knows, as plain values.

    Raises NotEncodable for what holds more than data: records of objects, types of extensions.
    """
    return _Apart(take, pack_items).any(obj)


def as_array(obj: Any) -> Any:
    """What ``numpy.asarray`` makes of *obj* here, where it lives."""
    import numpy

    return numpy.asarray(obj)


def _type_form(dtype: Any) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return "of", _type_form(base), tuple(shape)
    if dtype.names is None:
        return dtype.str
    fields = tuple(
        (name, dtype.fields[name][1], _type_form(dtype.fields[name][0])) for name in dtype.names
    )
    return "record", dtype.itemsize, fields


def _label(name: Any) -> Any:
    """The name of a column or an index: a value, or a tuple of such."""
    if type(name) is tuple:
        return tuple(map(_label, name))
    if type(name) in LABELS:
        return name
    if hasattr(type(name), "dtype") and hasattr(name, "item"):  # a scalar of numpy's
        return _label(name.item())
    raise NotEncodable(f"a column or index named by a {type(name).__name__!r} is no plain data")


def _zone(zone: Any) -> Any:
    from zoneinfo import ZoneInfo

    named = getattr(zone, "zone", None)  # pytz's, which older versions of pandas use
    return ZoneInfo(named) if type(named) is str else zone


__all__ = ["CHUNK", "LABELS", "MASKED", "Form", "as_array", "known", "library_of", "taken_apart"]
