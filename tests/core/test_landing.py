"""Big values on their way in: any pieces, no copies, no more memory than is fair."""

from __future__ import annotations

import gc
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.core import landing as landing_module
from netobj.core.landing import Landing

MIB = 2**20


def land(landing: Landing, data: bytes, pieces: list[tuple[bool, int]]) -> bytes:
    """Let *data* arrive, copied (True) or in place (False), so many bytes at a time."""
    for in_place, size in [*pieces, (True, len(data)), (True, len(data))]:
        piece = data[landing.filled : landing.filled + size]
        if not in_place:
            landing.put(piece)
        elif piece:
            room = landing.room(size)
            count = min(len(room), len(piece))
            assert count
            room[:count] = piece[:count]
            landing.advance(count)
    while landing.filled < len(data):
        landing.put(data[landing.filled :])
    return landing.value()


@given(st.binary(max_size=300), st.lists(st.tuples(st.booleans(), st.integers(0, 80))))
def test_all_pieces_come_together(data: bytes, pieces: list[tuple[bool, int]]) -> None:
    value = land(Landing(len(data)), data, pieces)
    assert type(value) is bytes
    assert value == data


@given(st.binary(max_size=300), st.lists(st.tuples(st.booleans(), st.integers(0, 80))))
def test_also_in_memory_that_grows(data: bytes, pieces: list[tuple[bool, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing_module, "AHEAD", 7)
        assert land(Landing(len(data)), data, pieces) == data


def test_a_room_is_no_larger_than_asked_for_and_than_what_is_missing() -> None:
    landing = Landing(10)
    assert len(landing.room(4)) == 4
    landing.advance(3)
    assert len(landing.room(100)) == 7


def test_a_room_is_gone_once_something_is_in_it() -> None:
    landing = Landing(10)
    room = landing.room(10)
    landing.advance(10)
    landing.value()
    with pytest.raises(ValueError, match="released"):
        room[0] = 1


def test_the_value_is_not_copied() -> None:
    size = 4 * MIB
    piece = b"x" * MIB
    tracemalloc.start()
    try:
        landing = Landing(size)
        for _ in range(4):
            room = landing.room(MIB)
            room[:] = piece
            landing.advance(len(room))
        value = landing.value()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert value == piece * 4
    assert peak < 1.25 * size


def test_half_of_one_is_garbage_like_any_other() -> None:
    landing = Landing(10 * MIB)
    landing.put(b"x" * MIB)
    circle: list[object] = [landing]
    circle.append(circle)
    del landing, circle
    gc.collect()  # what goes wrong in it is a warning, and warnings are errors here


def test_no_more_is_allocated_than_some_or_a_multiple_of_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landing_module, "AHEAD", 1000)
    allocated: list[int] = []

    def blank(size: int) -> io.BytesIO:
        allocated.append(size)
        return io.BytesIO(bytes(size))

    monkeypatch.setattr(landing_module, "_blank", blank)
    landing = Landing(2**40)
    assert allocated == [1000]
    landing.put(b"a" * 1000)
    assert allocated == [1000]
    landing.put(b"b")
    assert allocated == [1000, 4000]
    landing.put(b"c" * 3000)
    assert allocated == [1000, 4000, 16000]


def test_memory_comes_as_it_is_and_is_nobody_elses() -> None:
    one, other = landing_module._blank(MIB), landing_module._blank(MIB)
    for file in (one, other):
        assert len(file.getbuffer()) == MIB
    one.getbuffer()[:] = b"x" * MIB
    other.getbuffer()[:] = b"y" * MIB
    assert one.getvalue() == b"x" * MIB
