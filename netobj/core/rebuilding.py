"""Arrays and data frames from the parts that :mod:`netobj.core.arrays` made of them elsewhere.

What is built is decided by the table here: a tuple's first item is looked up in it, the names of
types must have one of the known shapes, and lengths are compared before memory is taken. So nothing
that a peer sends runs code. What does not fit is a ProtocolError.
"""

from __future__ import annotations

import datetime
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from zoneinfo import ZoneInfo

from netobj.core.arrays import LABELS, MASKED
from netobj.errors import ProtocolError

PLAIN_TYPE: Final = re.compile(
    r"[<>|][biufcSUVMm]\d{1,9}(\[\d{0,9}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
)
"""How numpy names the types of plain data; a name of another form may mean anything."""
_UNITS: Final = frozenset(("s", "ms", "us", "ns"))
_DEEPEST: Final = 8  # records inside one another
_MOST_COUNTED: Final = 1_000_000  # of the numbers of a range that pandas writes down
_MOST_ROWS: Final = 2**62


class _Together:
    def __init__(self, open_chunk: Callable[[bytes], Any]) -> None:
        self._open_chunk = open_chunk

    def any(self, form: Any, *allowed: str) -> Any:
        if type(form) is not tuple or not form or type(form[0]) is not str:
            raise ProtocolError("an array or a data frame is malformed")
        word, *parts = form
        builder = _BUILDERS.get(word)
        if builder is None or (allowed and word not in allowed):
            raise ProtocolError(f"a data frame has a part {word[:20]!r} in a wrong place")
        count, build = builder
        _require(len(parts) == count)
        return build(self, *parts)

    def values(self, form: Any) -> Any:
        return self.any(form, *_COLUMNS)

    def indexes(self, form: Any) -> Any:
        return self.any(form, "range", "index", "levels")

    def written(self, form: Any) -> Any:
        """An index that is going to be written down, number by number, if it is a range."""
        index = self.indexes(form)
        _require(form[0] != "range" or len(index) <= _MOST_COUNTED)
        return index

    def column(self, form: Any, rows: Any) -> Any:
        """The values of a column; a single one would be repeated for all of the rows."""
        array = self.values(form)
        _require(array.ndim == 1 and len(array) == len(rows))
        return array

    def array(self, kind: Any, shape: Any, data: Any) -> Any:
        return _array_in(kind, shape, [data])

    def objects(self, kind: Any, shape: Any, chunks: Any) -> Any:
        import numpy

        _require(kind in ("O", "T"))
        items = self.items(chunks)
        _require(len(items) == _size(shape))
        array = numpy.fromiter(items, dtype=object, count=len(items)).reshape(shape)
        strings = getattr(getattr(numpy, "dtypes", None), "StringDType", None)
        if kind == "T" and strings is not None and all(type(item) is str for item in items):
            return array.astype(strings())
        return array

    def items(self, chunks: Any) -> list[Any]:
        _require(type(chunks) is tuple)
        items: list[Any] = []
        for chunk in chunks:
            found = self._open_chunk(chunk) if type(chunk) is bytes else chunk
            _require(type(found) is list)
            items += found
        return items

    def masked(self, name: Any, data: Any, mask: Any) -> Any:
        import pandas

        _require(name in MASKED)
        values, missing = self.any(data, "array"), self.any(mask, "array")
        _require(missing.dtype.kind == "b" and values.shape == missing.shape and values.ndim == 1)
        _require(values.dtype.kind in "biuf")
        array = pandas.array(values, dtype=name)
        array[missing] = pandas.NA
        return array

    def strings(self, name: Any, chunks: Any) -> Any:
        import numpy
        import pandas

        _require(name in ("str", "string"))
        items = self.items(chunks)
        _require({str, type(None)}.issuperset(map(type, items)))
        if name == "str" and _is_old(pandas):
            return numpy.fromiter(items, dtype=object, count=len(items))
        return pandas.array(items, dtype=name)

    def categories(self, codes: Any, categories: Any, ordered: Any) -> Any:
        import pandas

        _require(type(ordered) is bool)
        numbers = self.any(codes, "array")
        _require(numbers.dtype.kind == "i" and numbers.ndim == 1)
        kinds = pandas.CategoricalDtype(self.written(categories), ordered)
        return pandas.Categorical.from_codes(numbers, dtype=kinds)

    def zoned(self, moments: Any, unit: Any, zone: Any) -> Any:
        import pandas

        array = self.any(moments, "array")
        _require(unit in _UNITS and array.dtype.kind == "M" and array.ndim == 1)
        _require(type(zone) in (ZoneInfo, datetime.timezone))
        if type(zone) is ZoneInfo and _is_old(pandas):
            zone = zone.key  # as its own: of pytz
        return pandas.DatetimeIndex(array, tz="UTC").tz_convert(zone).array

    def interval(self, left: Any, right: Any, closed: Any) -> Any:
        import pandas

        _require(closed in ("left", "right", "both", "neither"))
        ends = self.written(left), self.written(right)
        return pandas.arrays.IntervalArray.from_arrays(*ends, closed=closed)

    def range(self, start: Any, stop: Any, step: Any, name: Any) -> Any:
        import pandas

        _require({type(start), type(stop), type(step)} == {int} and step != 0)
        _require(max(abs(start), abs(stop), abs(step)) < _MOST_ROWS)
        return pandas.RangeIndex(start, stop, step, name=_known_label(name))

    def index(self, values: Any, name: Any, frequency: Any) -> Any:
        import pandas

        array = self.values(values)
        index = pandas.Index(array, dtype=array.dtype, name=_known_label(name))
        if frequency is not None:
            _require(isinstance(index, (pandas.DatetimeIndex, pandas.TimedeltaIndex)))
            _require(type(frequency) is str and len(frequency) < 50)
            index.freq = frequency
        return index

    def levels(self, levels: Any, codes: Any, names: Any) -> Any:
        import pandas

        _require(type(levels) is type(codes) is type(names) is tuple)
        return pandas.MultiIndex(
            levels=[self.written(level) for level in levels],
            codes=[self.any(one, "array") for one in codes],
            names=list(map(_known_label, names)),
        )

    def series(self, values: Any, index: Any, name: Any) -> Any:
        import pandas

        labels = self.indexes(index)
        array = self.column(values, labels)
        return pandas.Series(array, labels, dtype=array.dtype, name=_known_label(name))

    def frame(self, columns: Any, names: Any, index: Any) -> Any:
        import pandas

        _require(type(columns) is tuple)
        labels, rows = self.indexes(names), self.indexes(index)
        _require(len(labels) == len(columns))
        arrays = (self.column(one, rows) for one in columns)
        series = {
            at: pandas.Series(array, rows, dtype=array.dtype) for at, array in enumerate(arrays)
        }
        frame = pandas.DataFrame(series, index=rows)
        frame.columns = labels
        return frame


_BUILDERS: Final[dict[str, tuple[int, Callable[..., Any]]]] = {
    "array": (3, _Together.array),
    "categories": (3, _Together.categories),
    "frame": (3, _Together.frame),
    "index": (3, _Together.index),
    "interval": (3, _Together.interval),
    "levels": (3, _Together.levels),
    "masked": (3, _Together.masked),
    "objects": (3, _Together.objects),
    "range": (4, _Together.range),
    "series": (3, _Together.series),
    "strings": (2, _Together.strings),
    "zoned": (3, _Together.zoned),
}


_COLUMNS: Final = "array objects masked strings categories zoned interval".split()


def put_together(form: Any, open_chunk: Callable[[bytes], Any] = bytes) -> Any:
    """The object that :func:`taken_apart` made *form* of.

    *open_chunk* makes a list of the bytes of a copy. Raises ProtocolError for what is no such form.
    """
    with _clear_errors():
        return _Together(open_chunk).any(form)


def array_from(parts: list[Any], open_chunk: Callable[[bytes], Any]) -> Any:
    """The array that is in *parts*, the items of a form; empties them.

    Nobody else should have the bytes in there: then the array stands in their memory.
    """
    with _clear_errors():
        if parts[0] != "array":
            return _Together(open_chunk).any(tuple(parts), "objects")
        _, kind, shape, *data = parts
        parts.clear()
        return _array_in(kind, shape, data)


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except (ImportError, ProtocolError):
        raise
    except Exception as exc:  # what numpy and pandas raise is theirs to know
        raise ProtocolError(f"an array or a data frame does not fit together: {exc}") from exc


def _array_in(kind: Any, shape: Any, data: list[Any]) -> Any:
    import numpy

    dtype, size = numpy.dtype(_type(kind)), _size(shape)
    _require(len(data) == 1 and type(data[0]) is bytes and len(data[0]) == size * dtype.itemsize)
    if not data[0]:
        _require(size == 0)
        return numpy.empty(shape, dtype)
    # Writable, and where nobody else has the bytes, as after a long way, in their own memory.
    return numpy.frombuffer(io.BytesIO(data.pop()).getbuffer(), dtype).reshape(shape)


def _is_old(pandas: Any) -> bool:
    """True before pandas 3: text is objects, zones are pytz's."""
    return int(pandas.__version__.partition(".")[0]) < 3


def _require(condition: bool) -> None:
    if not condition:
        raise ProtocolError("an array or a data frame is malformed")


def _size(shape: Any) -> int:
    return math.prod(_known_shape(shape))


def _known_shape(shape: Any) -> Any:
    _require(type(shape) is tuple and all(type(one) is int and one >= 0 for one in shape))
    return shape


def _type(form: Any, depth: int = 0) -> Any:
    """What ``numpy.dtype`` is made of: of a str only those that name one type of plain data."""
    _require(depth <= _DEEPEST)
    if type(form) is str:
        _require(PLAIN_TYPE.fullmatch(form) is not None)
        return form
    _require(type(form) is tuple and len(form) == 3)
    word, size, what = form
    if word == "of":
        return _type(size, depth + 1), _known_shape(what)
    _require(word == "record" and type(size) is int and type(what) is tuple)
    _require(all(type(field) is tuple and len(field) == 3 for field in what))
    names, offsets, kinds = zip(*what, strict=True) if what else ((), (), ())
    _require(all(type(one) is str for one in names) and all(type(one) is int for one in offsets))
    formats = [_type(kind, depth + 1) for kind in kinds]
    return {"names": list(names), "formats": formats, "offsets": list(offsets), "itemsize": size}


def _known_label(name: Any) -> Any:
    _require(all(type(one) in LABELS for one in _leaves(name)))
    return name


def _leaves(name: Any) -> Iterable[Any]:
    if type(name) is not tuple:
        return (name,)
    return [leaf for one in name for leaf in _leaves(one)]


__all__ = ["array_from", "put_together"]
