"""What is written alike with all peers where an object stands for the server's and has its methods.

What a peer lacks or does in its own way, its module says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from measuring import Operation
from workloads import ECHOED, NESTED

BY_VALUE = "everything goes by value"
HOLDS_NOTHING = {"fresh_list": BY_VALUE, "fresh_object": BY_VALUE}
"""What is lacking where the server's objects cannot be referred to."""


class CallingClient:
    """The operations over *bench*, whose methods are called as those of a local object are."""

    def __init__(self, bench: Any) -> None:
        self._bench = bench

    def plain(self) -> Operation:
        bench = self._bench
        return lambda: bench.add(1, 2)

    def bound(self) -> Operation:
        add = self._bench.add
        return lambda: add(1, 2)

    def nested(self) -> Operation:
        nested = self._bench.nested
        return lambda: nested(*NESTED)

    def buffiter(self) -> Operation:
        bench = self._bench
        return lambda: consume(bench.numbers())

    def echo(self) -> Operation:
        data, echo = os.urandom(ECHOED), self._bench.echo
        return lambda: echo(data)

    def array(self) -> Operation:
        floats = self._bench.floats
        return lambda: np.frombuffer(floats())


def consume(items: Iterable[object]) -> None:
    """Go through all *items*."""
    for _ in items:
        pass
