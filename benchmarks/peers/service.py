"""What every server does, in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workloads import FLOATS, ITEMS

NUMBERS = list(range(ITEMS))


class Thing:
    """An object of a user's class."""

    def __init__(self, number: int) -> None:
        self.number = number


class Bench:
    """The operations that servers show."""

    attribute = 7

    def add(self, a: int, b: int) -> int:
        return a + b

    def nested(self, *values: Any) -> int:
        return len(values)

    def fresh_list(self) -> list[int]:
        return [1, 2, 3]

    def fresh_object(self) -> Thing:
        return Thing(7)

    def callbacks(self, callback: Callable[[int], int], count: int) -> int:
        total = 0
        for number in range(count):
            total += callback(number)
        return total

    def numbers(self) -> list[int]:
        return NUMBERS

    def echo(self, data: bytes) -> bytes:
        return data

    def floats(self) -> Any:
        return FLOATS_ARRAY


class BytesBench(Bench):
    """The same, for those that know no arrays: as bytes."""

    def floats(self) -> bytes:
        return FLOATS_ARRAY.tobytes()


FLOATS_ARRAY = np.random.default_rng(1).random(FLOATS)  # not to be compressed


def increment(number: int) -> int:
    """What clients let the server call."""
    return number + 1
