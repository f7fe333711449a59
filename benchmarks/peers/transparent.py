"""What is written alike with netobj and with RPyC: remote objects are used as local ones are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from measuring import Operation
from peers.calling import CallingClient, consume
from peers.service import Bench, increment
from workloads import CALLBACKS, IN_FLIGHT


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


class TransparentClient(CallingClient):
    """The operations over *conn*, with the helpers of its library."""

    def __init__(
        self, conn: Any, async_: Callable[[Any], Any], buffiter: Callable[[Any], Any]
    ) -> None:
        super().__init__(conn.root)
        self._conn = conn
        self._async = async_
        self._buffiter = buffiter

    def close(self) -> None:
        self._conn.close()

    def plain(self) -> Operation:
        conn = self._conn
        return lambda: conn.root.add(1, 2)

    threads = CallingClient.bound

    def attribute(self) -> Operation:
        root = self._bench
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
        numbers = self._bench.numbers()
        return lambda: consume(numbers)

    def buffiter(self) -> Operation:
        numbers, buffiter = self._bench.numbers(), self._buffiter
        return lambda: consume(buffiter(numbers))

    def in_flight(self) -> Operation:
        add = self._async(self._bench.add)

        def call() -> None:
            results = [add(1, 2) for _ in range(IN_FLIGHT)]
            for result in results:
                result.value  # noqa: B018  waits for it

        return call

    def array(self) -> Operation:
        floats = self._bench.floats()
        return lambda: np.asarray(floats)
