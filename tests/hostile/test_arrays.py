"""Arrays and data frames that a peer makes up: built from plain data, or not at all."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest

from netobj.core.rebuilding import put_together
from netobj.errors import ProtocolError

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")

HUGE = 10**11
ONE = ("array", "<i8", (1,), bytes(8))
SCALAR = ("array", "<i8", (), bytes(8))
TWO = ("array", "<i8", (2,), bytes(16))
ROWS = ("range", 0, HUGE, 1, None)
NAME = ("index", ("strings", "str", (["a"],)), None, None)

BOMBS: dict[str, Any] = {
    "an object": ("array", "|O", (1,), bytes(8)),
    "a record with an object": ("array", ("record", 8, (("a", 0, "|O"),)), (1,), bytes(8)),
    "a list of fields as text": ("array", "O,O", (1,), bytes(16)),
    "a name that numpy looks up": ("array", "object", (1,), bytes(8)),
    "a class of Python": ("array", str, (1,), bytes(8)),
    "a shape without end": ("array", "<i8", (HUGE,), b""),
    "a shape without items": ("array", "|V0", (HUGE,), b""),
    "a negative shape": ("array", "<i8", (-1,), bytes(8)),
    "many dimensions": ("array", "|u1", (1,) * 500, bytes(1)),
    "a shape that is no tuple": ("array", "<i8", 5, bytes(40)),
    "a field far away": ("array", ("record", 8, (("a", HUGE, "<i8"),)), (1,), bytes(8)),
    "a field before": ("array", ("record", 8, (("a", -8, "<i8"),)), (1,), bytes(8)),
    "fields of one name": (
        *("array", ("record", 16, (("a", 0, "<i8"), ("a", 8, "<i8"))), (1,), bytes(16)),
    ),
    "a field with a title": ("array", ("record", 8, ((("t", "a"), 0, "<i8"),)), (1,), bytes(8)),
    "a record of no size": ("array", ("record", 0, (("a", 0, "<i8"),)), (HUGE,), b""),
    "records in records": (
        *("array", ("of", ("of", ("of", "<i8", (2,)), (2,)), (HUGE,)), (1,), bytes(8)),
    ),
    "one value for all rows": ("series", SCALAR, ROWS, None),
    "one item for all rows": ("series", ONE, ROWS, None),
    "one value for all of a frame": ("frame", (SCALAR,), NAME, ROWS),
    "too few rows": ("frame", (TWO,), NAME, ROWS),
    "an interval of ranges": ("interval", ROWS, ROWS, "left"),
    "levels of ranges": ("levels", (ROWS,), (ONE,), (None,)),
    "categories of ranges": ("categories", ("array", "|i1", (1,), bytes(1)), ROWS, False),
    "a range beyond all": ("range", 0, 2**200, 1, None),
    "a range of no step": ("range", 0, 1, 0, None),
    "a name that is a list": ("range", 0, 1, 1, [1]),
    "an unknown word": ("eval", "1"),
    "a word of pandas": ("read_pickle", "/tmp/x"),
    "a frequency that is none": (
        *("index", ("array", "<M8[ns]", (1,), bytes(8)), None, "__import__('os')"),
    ),
    "no tuple": [1],
    "nothing": (),
    "objects that are too few": ("objects", "O", (HUGE,), ([1],)),
    "a zone that is text": ("zoned", ("array", "<M8[ns]", (1,), bytes(8)), "ns", "Europe/Berlin"),
    "a mask of another shape": ("masked", "Int64", ONE, ("array", "|b1", (2,), bytes(2))),
    "a mask that is no mask": ("masked", "Int64", ONE, ONE),
    "deep in itself": ("index", ("index", ("index", NAME, None, None), None, None), None, None),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_does_not_fit_is_refused_in_no_time_and_room(bomb: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    with pytest.raises(ProtocolError):
        put_together(BOMBS[bomb])
    assert time.process_time() - begun < 2.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_what_fits_is_built() -> None:
    rows = ("range", 0, 2, 1, None)
    assert list(put_together(("series", TWO, rows, None))) == [0, 0]
    assert put_together(("frame", (TWO,), NAME, rows)).shape == (2, 1)
    assert put_together(
        ("frame", (), ("index", ("objects", "O", (0,), ()), None, None), rows)
    ).shape
    assert len(put_together(("interval", rows, ("range", 1, 3, 1, None), "left"))) == 2


ANSWERS: dict[str, Any] = {
    "nothing": None,
    "a number": 5,
    "an empty tuple": (),
    "no parts": (None, ()),
    "a word alone": (None, ("array",)),
    "objects": (None, ("array", "|O", (1,), bytes(8))),
    "a negative shape": (None, ("array", "<i8", (-1,), bytes(8))),
    "a format that is code": (bytes(8), "T{O:a:}", (1,)),
    "a shape that is a list": (bytes(8), "q", [1]),
    "a shape that does not fit": (bytes(8), "q", (5,)),
    "no bytes": ("text", "q", (1,)),
    "packed text": (True, "text"),
    "packed rubbish": (True, b"\xc1"),
}


@pytest.mark.parametrize("lure", ["blocking"], indirect=True)
@pytest.mark.parametrize("what", ANSWERS)
def test_odd_answers_are_errors(lure: Any, what: str) -> None:
    def answer(request: Any) -> Any:
        if request.path == "thing":
            return client.attacker.claim("m", "T", specials=("__array__",), buffer=True)
        if request.path == "plain":
            return client.attacker.claim("m", "T", buffer=True)
        return ANSWERS[what]

    import netobj

    client = lure(answer)
    for thing in (client.root.thing, client.root.plain):
        for take in (numpy.asarray, bytes, memoryview, netobj.copy_of, netobj.classic.obtain):
            try:
                found = take(thing)
            except (ProtocolError, TypeError, ValueError, netobj.ConnectionLost):
                continue
            assert type(found) in (bytes, memoryview, numpy.ndarray)
            if isinstance(found, numpy.ndarray):
                assert found.dtype.kind != "O"
