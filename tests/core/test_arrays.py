"""Arrays and data frames: taken apart, and put together again in netobj.core.rebuilding."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from netobj.core import arrays
from netobj.core.rebuilding import array_from, put_together
from netobj.errors import NotEncodable

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")


def apart(obj: Any) -> arrays.Form:
    return arrays.taken_apart(obj, lambda array: array.tobytes(), list)


def back(obj: Any) -> Any:
    return put_together(apart(obj))


ARRAYS = {
    "two dimensions": numpy.arange(6.0).reshape(2, 3),
    "Fortran's order": numpy.asfortranarray(numpy.arange(6).reshape(2, 3)),
    "a slice": numpy.arange(10)[::-2],
    "transposed": numpy.arange(24).reshape(2, 3, 4).T,
    "no dimension": numpy.array(5.5),
    "nothing": numpy.zeros((0, 3)),
    "bool": numpy.array([True, False]),
    "half": numpy.arange(3, dtype="f2"),
    "long": numpy.arange(3, dtype="g"),
    "complex": numpy.arange(3) * 1j,
    "big-endian": numpy.arange(3, dtype=">i4"),
    "text": numpy.array(["ab", "\u00e9", ""]),
    "bytes": numpy.array([b"ab", b""]),
    "dates": numpy.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    "ticks": numpy.array([1, 2], dtype="m8[25us]"),
    "void": numpy.array([b"abc", b"def"], dtype="V3"),
    "records": numpy.array(
        [(1, (2.5, 3.5), ("x", True))],
        dtype=[("a", "<i4"), ("b", "f8", (2,)), ("c", [("d", "U3"), ("e", "?")])],
    ),
    "aligned": numpy.zeros(2, numpy.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "objects": numpy.array([1, "a", None, [2, 3], {"b": (4,)}], dtype=object),
    "objects in rows": numpy.array([[1, "a"], [None, 2.5]], dtype=object),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays(array: Any) -> None:
    got = back(array)
    assert type(got) is numpy.ndarray
    assert got.dtype == array.dtype
    assert got.shape == array.shape
    assert str(got) == str(array)
    assert got.flags.writeable
    assert not numpy.shares_memory(got, array)
    assert str(array_from(list(apart(array)), bytes)) == str(array)


def test_strings_of_numpy_2() -> None:
    if not hasattr(numpy, "dtypes") or not hasattr(numpy.dtypes, "StringDType"):
        pytest.skip("this numpy has no such type")
    array = numpy.array(["a", "long " * 10], dtype=numpy.dtypes.StringDType())
    assert back(array).dtype == array.dtype
    assert back(array).tolist() == array.tolist()


def test_the_memory_of_the_bytes_is_the_array_s() -> None:
    parts = list(apart(numpy.arange(1000)))
    array = array_from(parts, bytes)
    assert parts == []
    assert array.sum() == 499500


@pytest.mark.parametrize(
    "array",
    [
        numpy.zeros(1, dtype=[("a", object)]),
        numpy.zeros(2, dtype="V0"),
    ],
    ids=["objects in records", "items without bytes"],
)
def test_arrays_that_are_no_plain_data(array: Any) -> None:
    with pytest.raises(NotEncodable):
        apart(array)


ZONE = timezone(timedelta(hours=5, minutes=30))
INDEXES = {
    "range": pandas.RangeIndex(3, 30, 9, name="r"),
    "numbers": pandas.Index([5, 3, 4], name=("a", 1)),
    "text": pandas.Index(["x", "y", "z"], name="t"),
    "objects": pandas.Index([1, "y", None], dtype=object),
    "dates": pandas.date_range("2020-01-01", periods=3, freq="D", name="d"),
    "irregular dates": pandas.DatetimeIndex(["2020-01-01", "2020-01-05", "2020-01-06"]),
    "zoned dates": pandas.date_range("2020-03-29", periods=3, freq="h", tz="Europe/Berlin"),
    "durations": pandas.timedelta_range("1h", periods=3, freq="h"),
    "categories": pandas.CategoricalIndex(["a", "b", "a"], ordered=True),
    "intervals": pandas.interval_range(0, 3, closed="left"),
    "levels": pandas.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", None]),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_indexes(index: Any) -> None:
    pandas.testing.assert_index_equal(back(index), index, exact=True)
    assert getattr(back(index), "freq", None) == getattr(index, "freq", None)


COLUMNS = {
    "int64": [1, 2, 3],
    "float64": [1.5, float("nan"), 2.0],
    "bool": [True, False, True],
    "object": [1, "a", None],
    "Int64": [1, None, 3],
    "UInt8": [1, None, 3],
    "Float32": [1.5, None, 3],
    "boolean": [True, None, False],
    "string": ["a", None, "c"],
    "str": ["a", "b", "c"],
    "category": ["a", None, "a"],
    "datetime64[ns]": [datetime(2020, 1, 1), None, datetime(2021, 1, 1)],
    "datetime64[s]": [datetime(2020, 1, 1), None, datetime(2021, 1, 1)],
    "datetime64[ns, Europe/Berlin]": [datetime(2020, 1, 1), None, datetime(2020, 7, 1)],
    "datetime64[us, UTC+05:30]": [datetime(2020, 1, 1, tzinfo=ZONE)] * 3,
    "timedelta64[ns]": [timedelta(1), None, timedelta(2)],
    "interval": pandas.arrays.IntervalArray.from_breaks([0, 1, 2, 3]),
}


def series_of(kind: str, **options: Any) -> Any:
    given = {} if kind in ("interval", "datetime64[us, UTC+05:30]") else {"dtype": kind}
    return pandas.Series(COLUMNS[kind], **given, **options)


@pytest.mark.parametrize("kind", COLUMNS)
def test_series(kind: str) -> None:
    series = series_of(kind, index=["x", "y", "z"], name="n")
    pandas.testing.assert_series_equal(back(series), series)


def test_frames() -> None:
    frame = pandas.DataFrame({kind: series_of(kind) for kind in COLUMNS})
    frame.index = INDEXES["levels"]
    pandas.testing.assert_frame_equal(back(frame), frame)


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame(),
        pandas.DataFrame(index=[1, 2]),
        pandas.DataFrame(columns=["a", "b"]),
        pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
        pandas.DataFrame([[1, 2]], columns=pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pandas.DataFrame([[1, 2]], columns=numpy.array([3, 4])),
    ],
    ids=["empty", "rows only", "columns only", "names twice", "names in levels", "numbers"],
)
def test_frames_of_odd_shapes(frame: Any) -> None:
    pandas.testing.assert_frame_equal(back(frame), frame)


@pytest.mark.parametrize(
    "obj",
    [
        pandas.Series(pandas.period_range("2020", periods=2, freq="M")),
        pandas.Series(pandas.arrays.SparseArray([0, 0, 1])),
        pandas.Series([1], name=Decimal(1)),
        pandas.DataFrame({object(): [1]}).columns[:1].rename(object()),
    ],
    ids=["periods", "sparse", "an odd name", "a name that is an object"],
)
def test_what_is_no_plain_data_of_pandas(obj: Any) -> None:
    with pytest.raises(NotEncodable):
        apart(obj)


def test_items_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK", 3)
    array = numpy.array([*range(10)], dtype=object)
    assert apart(array)[-1] == ([0, 1, 2], [3, 4, 5], [6, 7, 8], [9])
    assert back(array).tolist() == list(range(10))


class OwnArray(numpy.ndarray):  # type: ignore[misc]
    pass


class OwnFrame(pandas.DataFrame):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    ("kind", "library"),
    [
        (numpy.ndarray, "numpy"),
        (pandas.DataFrame, "pandas"),
        (pandas.Series, "pandas"),
        (pandas.RangeIndex, "pandas"),
        (OwnArray, None),
        (OwnFrame, None),
        (numpy.ma.MaskedArray, None),
        (list, None),
        (type("ndarray", (), {"__module__": "numpy"}), None),
    ],
)
def test_library_of(kind: type, library: str | None) -> None:
    assert arrays.library_of(kind) == library


def test_nothing_is_imported_to_find_out() -> None:
    code = (
        "import sys; from netobj.core import arrays, rebuilding; arrays.library_of(list); "
        "print(arrays.known(), {'numpy', 'pandas'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "('numpy', 'pandas') set()\n"


def test_a_name_that_is_no_plain_data() -> None:
    with pytest.raises(NotEncodable, match="is no plain data"):
        arrays.taken_apart(pandas.Series([1], name=len), lambda array: array.tobytes(), list)


class Basket:
    def item(self) -> str:
        raise AssertionError("user code ran")


def test_a_name_with_a_method_like_that_of_numpys_scalars() -> None:
    with pytest.raises(NotEncodable, match="'Basket' is no plain data"):
        apart(pandas.Series([1], name=Basket()))


def test_a_name_that_is_a_scalar_of_numpys() -> None:
    series = pandas.Series([1], name=numpy.int64(5))
    assert arrays.taken_apart(series, lambda array: array.tobytes(), list)[-1] == 5
