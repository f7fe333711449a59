"""What is written alike with netobj and with RPyC: remote objects are used as local ones are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from measuring import Operation
from peers.service import Bench, increment
from workloads import CALLBACKS, ECHOED, IN_FLIGHT, NESTED


class ExposedBench:
    """The operations under the names that a service of either shows."""

    exposed_attribute = Bench.attribute
    exposed_add = Bench.add
    exposed_nested = Bench.nested
    exposed_fresh_list = Bench.fresh_list
    exposed_fresh_object = Bench.fresh_object
    exposed_callbacks = Bench.callbacks
    exposed_numbers = Bench.numbers
    exposed_echo = Bench.echo
    exposed_floats = Bench.floats


class TransparentClient:
    """The operations over *conn*, with the helpers of its library."""

    def __init__(
        self, conn: Any, async_: Callable[[Any], Any], buffiter: Callable[[Any], Any]
    ) -> None:
        self._conn = conn
        self._async = async_
        self._buffiter = buffiter

    def close(self) -> None:
        self._conn.close()

    def plain(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.add(1, 2)

    def bound(self) -> Operation:
        add = self._conn.root.add
        return lambda: add(1, 2)

    threads = bound

    def nested(self) -> Operation:
        nested = self._conn.root.nested
        return lambda: nested(*NESTED)

    def attribute(self) -> Operation:
        root = self._conn.root
        return lambda: root.attribute

    def fresh_list(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.fresh_list()

    def fresh_object(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.fresh_object()

    def callbacks(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.callbacks(increment, CALLBACKS)

    def iterate(self) -> Operation:
        numbers = self._conn.root.numbers()
        return lambda: _consume(numbers)

    def buffiter(self) -> Operation:
        numbers, buffiter = self._conn.root.numbers(), self._buffiter
        return lambda: _consume(buffiter(numbers))

    def in_flight(self) -> Operation:
        add = self._async(self._conn.root.add)

        def call() -> None:
            results = [add(1, 2) for _ in range(IN_FLIGHT)]
            for result in results:
                result.value  # noqa: B018  waits for it

        return call

    def echo(self) -> Operation:
        data, echo = os.urandom(ECHOED), self._conn.root.echo
        return lambda: echo(data)

    def array(self) -> Operation:
        floats = self._conn.root.floats()
        return lambda: np.asarray(floats)


def _consume(items: Any) -> None:
    for _ in items:
        pass
