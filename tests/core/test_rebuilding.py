"""Forms of arrays that a hostile peer makes up: an error, and neither code nor memory."""

from __future__ import annotations

import contextlib
import datetime
import random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from netobj.core import arrays
from netobj.core.rebuilding import array_from, put_together
from netobj.errors import ProtocolError

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")

INTS = ("array", "<i8", (2,), bytes(16))
MASK = ("array", "|b1", (2,), bytes(2))
RANGE = ("range", 0, 2, 1, None)
DAYS = ("array", "<M8[s]", (2,), bytes(8) + (86_400).to_bytes(8, "little"))
CODES = ("array", "|i1", (1,), bytes(1))
WORDS = ("index", ("objects", "O", (2,), (["a", "b"],)), None, None)


class Trap:
    """Must not be called, compared, or asked for anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    def __reduce__(self) -> Any:
        raise AssertionError


BAD = [
    None,
    (),
    [],
    "array",
    ("nonsense",),
    (["array"],),
    ("array", "<i8", (2,)),
    ("array", "<i8", (2,), bytes(15)),
    ("array", "<i8", (-2,), bytes(16)),
    ("array", "<i8", [2], bytes(16)),
    ("array", "<i8", (True, 2), bytes(16)),
    ("array", "<i8", (2,), bytearray(16)),
    ("array", "<i8", (1 << 70,), b""),
    ("array", "<U0", (1 << 40,), b""),
    ("array", "|V0", (1 << 40,), b""),
    ("array", "|O8", (2,), bytes(16)),
    ("array", "O", (2,), bytes(16)),
    ("array", "i8,O", (1,), bytes(16)),
    ("array", "<i8,<i8", (1,), bytes(16)),
    ("array", "(2,)i8", (1,), bytes(16)),
    ("array", "<M8[generic]", (2,), bytes(16)),
    ("array", "<M8[__import__('os')]", (2,), bytes(16)),
    ("array", "numpy.object_", (2,), bytes(16)),
    ("array", numpy.dtype("O"), (2,), bytes(16)),
    ("array", object, (2,), bytes(16)),
    ("array", {"names": ["a"], "formats": ["O"]}, (2,), bytes(16)),
    ("array", ("record", 8, (("a", 0, "|O8"),)), (2,), bytes(16)),
    ("array", ("record", 8, (("a", 100, "<i8"),)), (2,), bytes(16)),
    ("array", ("record", 8, (("a", -8, "<i8"),)), (2,), bytes(16)),
    ("array", ("record", 8, (("a", 0),)), (2,), bytes(16)),
    ("array", ("record", 8, ((b"a", 0, "<i8"),)), (2,), bytes(16)),
    ("array", ("record", -8, ()), (2,), bytes(16)),
    ("array", ("record", 8), (2,), bytes(16)),
    ("array", ["record", 8, ()], (2,), bytes(16)),
    ("array", 8, (2,), bytes(16)),
    ("array", ("of", "|O8", (1,)), (2,), bytes(16)),
    ("array", ("of", "<i8", (1 << 62,)), (0,), b""),
    ("array", ("record", 16, (("a", 0, ("of", "<i8", [2])),)), (1,), bytes(16)),
    ("objects", "O", (2,), ([1, 2, 3],)),
    ("objects", "O", (2,), ((1, 2),)),
    ("objects", "O", (2,), [[1, 2]]),
    ("objects", "i8", (2,), ([1, 2],)),
    ("masked", "object", INTS, MASK),
    ("masked", "Int64", INTS, INTS),
    ("masked", "Int64", MASK, ("array", "|b1", (1,), bytes(1))),
    ("masked", "Int64", WORDS, MASK),
    ("strings", "str", (["a", 1],)),
    ("strings", "object", (["a"],)),
    ("strings", "string[pyarrow]", (["a"],)),
    ("strings", "str", ([Trap()],)),
    ("categories", INTS, RANGE, 1),
    ("categories", ("array", "<i8", (1,), b"\x07" + bytes(7)), RANGE, False),
    ("categories", INTS, INTS, False),
    ("categories", ("array", "<f8", (2,), bytes(16)), RANGE, False),
    ("zoned", INTS, "ns", None),
    ("zoned", ("array", "<M8[ns]", (2,), bytes(16)), "ns", "dateutil//etc/passwd"),
    ("zoned", ("array", "<M8[ns]", (2,), bytes(16)), "D", Trap()),
    ("interval", RANGE, ("range", 0, 3, 1, None), "left"),
    ("interval", RANGE, RANGE, "up"),
    ("interval", RANGE, RANGE, None),
    ("range", 0, 2, 0, None),
    ("range", 0, 2.5, 1, None),
    ("range", 0, 2, 1, Trap()),
    ("range", 0, 2, 1, [1]),
    ("index", INTS, Trap(), None),
    ("index", INTS, None, "D"),
    ("index", ("array", "<M8[ns]", (2,), bytes(16)), None, "D"),
    ("index", DAYS, None, datetime.timedelta(1)),
    ("index", DAYS, None, "1D".rjust(1000, "0")),
    ("index", RANGE, None, None),
    ("levels", (RANGE,), (("array", "<i8", (1,), b"\x09" + bytes(7)),), (None,)),
    ("levels", RANGE, (), ()),
    ("levels", [RANGE], (CODES,), (None,)),
    ("levels", (RANGE,), [CODES], (None,)),
    ("levels", (RANGE,), (CODES,), [None]),
    ("series", INTS, ("range", 0, 3, 1, None), None),
    ("series", INTS, INTS, None),
    ("series", RANGE, RANGE, None),
    ("series", ("array", "<i8", (1, 2), bytes(16)), RANGE, None),
    ("frame", (INTS,), WORDS, RANGE),
    ("frame", [INTS], RANGE, RANGE),
    ("frame", (INTS, ("series", INTS, RANGE, None)), RANGE, RANGE),
]


@pytest.mark.parametrize("form", BAD, ids=lambda form: str(form)[:60])
def test_what_does_not_fit(form: Any) -> None:
    with pytest.raises(ProtocolError):
        put_together(form)


def test_forms_inside_one_another_without_end() -> None:
    form: Any = RANGE
    for _ in range(5000):
        form = ("index", ("categories", INTS, form, False), None, None)
    with pytest.raises(ProtocolError):
        put_together(form)


@pytest.mark.parametrize(
    "parts", [[], ["array"], ["frame", (), RANGE, RANGE], ["array", "O", (), b""]]
)
def test_only_arrays_are_made_where_an_array_is_wanted(parts: list[Any]) -> None:
    with pytest.raises(ProtocolError):
        array_from(parts, bytes)


def test_items_of_an_array_are_not_looked_at() -> None:
    trap = Trap()
    array = put_together(("objects", "O", (2,), ([trap, [trap]],)))
    assert array[0] is trap


GOOD = pandas.DataFrame(
    {
        "a": [1, 2],
        "b": ["x", None],
        "c": pandas.Categorical(["p", "q"]),
        "d": pandas.array([1, None], dtype="Int64"),
        "e": pandas.date_range("2020", periods=2, tz="UTC"),
    },
    index=pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)]),
)


def mutated(form: Any, rng: random.Random) -> Any:
    """*form* with something in it replaced by something else."""
    if rng.random() < 0.1 or not isinstance(form, tuple):
        return rng.choice(
            [None, -1, 1 << 40, "array", "O", "Int64", b"", (), [], INTS, RANGE, form]
        )
    at = rng.randrange(len(form)) if form else 0
    return tuple(mutated(one, rng) if i == at else one for i, one in enumerate(form))


def test_mutated_forms(scale: int) -> None:
    rng = random.Random(5)
    form = arrays.taken_apart(GOOD, lambda array: array.tobytes(), list)
    for _ in range(1000 * scale):
        changed = form
        for _ in range(rng.randrange(1, 4)):
            changed = mutated(changed, rng)
        with contextlib.suppress(ProtocolError):
            put_together(changed)


def test_text_and_zones_as_old_pandas_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    words = pandas.Series(["a", None], dtype="str")
    zoned = pandas.Series(pandas.to_datetime(["2020-01-01"]).tz_localize(ZoneInfo("Europe/Berlin")))
    fixed = zoned.dt.tz_convert(datetime.timezone(datetime.timedelta(hours=5)))
    series = (words, zoned, fixed)
    forms = [arrays.taken_apart(one, lambda array: array.tobytes(), list) for one in series]
    monkeypatch.setattr(pandas, "__version__", "2.9")
    back = [put_together(form, lambda blob: blob) for form in forms]
    assert back[0].tolist()[0] == "a"
    assert back[1].tolist() == zoned.tolist()
    assert back[2].dt.tz == fixed.dt.tz


@pytest.mark.parametrize(("step", "left"), [(1, [0, 1, 2]), (-1, [])])
def test_ranges_up_and_down(step: int, left: list[int]) -> None:
    index = put_together(("range", 0, 3, step, None), lambda blob: blob)
    assert index.tolist() == left


@pytest.mark.parametrize("form", [("range", 0, 3, 0, None), ("range", 0, True, 1, None)])
def test_ranges_that_are_none(form: Any) -> None:
    with pytest.raises(ProtocolError):
        put_together(form, lambda blob: blob)


def test_types_eight_levels_deep_come_through() -> None:
    dtype = numpy.dtype("<i8")
    for _ in range(4):
        dtype = numpy.dtype([("rows", dtype, (2,))])
    array = numpy.zeros(3, dtype)
    form = arrays.taken_apart(array, lambda data: data.tobytes(), list)
    assert put_together(form).dtype == dtype


def test_types_inside_types_are_few() -> None:
    dtype: Any = "<i8"
    for _ in range(200):
        dtype = ("of", dtype, (1,))
    with pytest.raises(ProtocolError):
        put_together(("array", dtype, (1,), bytes(8)), lambda blob: blob)
