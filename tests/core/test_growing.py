"""What the special methods of builtin types may make for a peer."""

from __future__ import annotations

from array import array
from collections import UserList, UserString, deque
from fractions import Fraction
from typing import Any

import pytest

from netobj.core.growing import MOST_BYTES, check_growth
from netobj.errors import LimitExceeded

HUGE = 1 << 10_000


class Shifting(int):
    """May be given more than the one operand."""

    def __lshift__(self, count: int, unit: str = "bits") -> int:
        raise AssertionError("it is not called")


HARMLESS: list[tuple[Any, str, tuple[Any, ...]]] = [
    ([0], "__mul__", (10,)),
    ([0], "__mul__", ("x",)),  # which Python refuses itself
    ({}, "__mul__", (10**9,)),
    (1, "__lshift__", (2.0,)),
    (1, "__lshift__", (10,)),
    (10, "__rlshift__", (1,)),
    (2, "__pow__", (0.5,)),
    (2, "__pow__", (10, 7)),
    (2, "__pow__", (1 << 2047, (1 << 2048) - 1)),
    (2, "__pow__", (10, None)),
    (2.0, "__pow__", (10**9,)),
    (Fraction(1, 2), "__pow__", (10,)),
    (10, "__rpow__", (2,)),
    (5, "__round__", (1,)),
    (5, "__round__", ()),
    (5, "__format__", ("10d",)),
    ("%d", "__mod__", (5,)),
    (b"%d", "__mod__", (5,)),
    ("x", "__rmod__", (5,)),
    ([0], "__len__", ()),
]
BOMBS: list[tuple[Any, str, tuple[Any, ...]]] = [
    ([0], "__mul__", (10**9,)),
    ([0], "__rmul__", (10**9,)),
    (bytearray(8), "__imul__", (10**9,)),
    (1, "__lshift__", (10**9,)),
    (Shifting(1), "__lshift__", (10**9, "bits")),
    (10**9, "__rlshift__", (1,)),
    (2, "__pow__", (10**9,)),
    (10**9, "__rpow__", (2,)),
    (2, "__pow__", (HUGE, HUGE)),
    (2, "__pow__", (10, 1 << 2048)),
    (Fraction(1, 3), "__pow__", (10**9,)),
    (5, "__round__", (-(10**9),)),
    (5, "__format__", ("1000000000d",)),
    ("%1000000000d", "__mod__", (5,)),
    (b"%1000000000d", "__mod__", (5,)),
    (5, "__rmod__", ("%1000000000d",)),
]


@pytest.mark.parametrize(("obj", "name", "operands"), HARMLESS)
def test_what_stays_small_is_done(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    check_growth(obj, name, operands)


@pytest.mark.parametrize(("obj", "name", "operands"), BOMBS)
def test_what_would_be_huge_is_refused(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    with pytest.raises(LimitExceeded, match=name):
        check_growth(obj, name, operands)


@pytest.mark.parametrize(
    ("obj", "size"),
    [
        ([0], 8),
        ((0,), 8),
        (deque([0]), 8),
        (UserList([0]), 8),
        (array("d", [0.0]), 8),
        ("x", 4),
        (UserString("x"), 4),
        (b"x", 1),
        (bytearray(1), 1),
    ],
)
def test_a_sequence_is_repeated_until_it_has_too_many_bytes(obj: Any, size: int) -> None:
    most = MOST_BYTES // size
    check_growth(obj, "__mul__", (most,))
    with pytest.raises(LimitExceeded, match=f"{MOST_BYTES + size} bytes"):
        check_growth(obj, "__mul__", (most + 1,))
