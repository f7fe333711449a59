"""Streams: items sent ahead of the consumer, as its pace allows (``@exposed(stream=True)``)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import netobj
from netobj.core.flow import FIRST_CREDIT, MOST_CREDIT
from netobj.errors import ConnectionLost
from pairings import Pair, Pairing, wait_until


class Thing:
    """Goes by reference."""

    @netobj.exposed
    def name(self) -> str:
        return "thing"


class Rows(netobj.Service):
    """Each kind of producer; what they have done is seen in ``made`` and ``closed``."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = threading.Event()
        self.go_on = threading.Event()
        self.threads: set[int] = set()

    @netobj.exposed(stream=True)
    def plain(self, count: int, stop_at: int = -1) -> Iterator[Any]:
        try:
            for n in range(count):
                if n == stop_at:
                    raise LookupError("in the middle", n)
                self.made += 1
                self.threads.add(threading.get_ident())
                yield n
        finally:
            self.closed.set()

    @netobj.exposed(stream=True)
    async def asynchronous(self, count: int, stop_at: int = -1) -> AsyncIterator[Any]:
        try:
            for n in range(count):
                if n == stop_at:
                    raise LookupError("in the middle", n)
                self.made += 1
                yield n
        finally:
            self.closed.set()

    @netobj.exposed(stream=True)
    def slow_plain(self, count: int) -> Iterator[int]:
        for n in range(count):
            yield n
            assert self.go_on.wait(20)
            self.go_on.clear()

    @netobj.exposed(stream=True)
    async def slow_asynchronous(self, count: int) -> AsyncIterator[int]:
        for n in range(count):
            yield n
            while not self.go_on.is_set():
                await asyncio.sleep(0.001)
            self.go_on.clear()

    @netobj.exposed(stream=True)
    async def forever(self) -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    @netobj.exposed(stream=True)
    def of_list(self) -> Any:
        return ["a", ("b", 2), None]

    @netobj.exposed(stream=True)
    async def of_list_async(self) -> Any:
        return ["a", ("b", 2), None]

    @netobj.exposed(stream=True)
    def things(self, count: int) -> Iterator[Any]:
        for _ in range(count):
            yield Thing()

    @netobj.exposed(stream=True)
    def echo(self, *values: Any) -> Iterator[Any]:
        yield from values

    @netobj.exposed(stream=True)
    def big(self, count: int) -> Iterator[bytes]:
        for n in range(count):
            self.made += 1
            yield bytes([n % 256]) * 65536

    @netobj.exposed(stream=True)
    def not_sendable(self) -> Iterator[Any]:
        yield 1
        value: Any = frozenset()
        for _ in range(100):
            value = frozenset({value})
        yield value

    @netobj.exposed(stream=True)
    def no_iterator(self) -> Any:
        return 5

    @netobj.exposed(stream=True)
    def who(self) -> Iterator[Any]:
        call = netobj.current_call()
        yield call.metadata.get("user")
        yield call.cancelled

    @netobj.exposed
    def quick(self) -> str:
        return "quick"


SERVICE = Rows
KINDS = pytest.mark.parametrize("method", ["plain", "asynchronous"])


@pytest.fixture
def rows(pairing: Pairing) -> tuple[Pair, Rows]:
    service = Rows()
    return pairing.join(service), service


class TestItems:
    @KINDS
    @pytest.mark.parametrize("count", [0, 1, FIRST_CREDIT, FIRST_CREDIT + 1, 3000])
    def test_all_come_in_order(self, pair: Pair, method: str, count: int) -> None:
        assert list(pair.items(getattr(pair.root, method)(count))) == list(range(count))

    @pytest.mark.parametrize("method", ["of_list", "of_list_async"])
    def test_of_what_is_an_iterable(self, pair: Pair, method: str) -> None:
        assert list(pair.items(getattr(pair.root, method)())) == ["a", ("b", 2), None]

    def test_after_the_end_there_is_nothing(self, pair: Pair) -> None:
        items = pair.items(pair.root.plain(2))
        assert list(items) == [0, 1]
        assert list(items) == []

    def test_references(self, pair: Pair) -> None:
        names = [pair.get(thing.name()) for thing in pair.items(pair.root.things(100))]
        assert names == ["thing"] * 100

    def test_references_that_nobody_takes_are_released(self, pair: Pair) -> None:
        items = pair.items(pair.root.things(1000))
        next(items)
        items.close()
        del items
        pair.assert_clean()

    def test_what_comes_home_is_itself(self, pair: Pair) -> None:
        mine = object()
        assert list(pair.items(pair.root.echo(mine, 1, b"x"))) == [mine, 1, b"x"]

    def test_big_items(self, pair: Pair) -> None:
        for n, item in enumerate(pair.items(pair.root.big(40))):
            assert item == bytes([n]) * 65536

    def test_several_at_once_with_calls_between(self, pair: Pair) -> None:
        one, two = pair.items(pair.root.plain(300)), pair.items(pair.root.asynchronous(300))
        for n in range(300):
            assert (next(one), next(two)) == (n, n)
            if n % 50 == 0:
                assert pair.get(pair.root.quick()) == "quick"
        assert list(one) == list(two) == []

    def test_a_plain_generator_runs_where_calls_run(self, rows: tuple[Pair, Rows]) -> None:
        pair, service = rows
        assert len(list(pair.items(pair.root.plain(500)))) == 500
        assert threading.get_ident() not in service.threads

    def test_the_producer_knows_its_call(self, pair: Pair) -> None:
        with netobj.metadata(user="alice"):
            items = pair.items(pair.root.who())
            assert list(items) == ["alice", False]


class TestPace:
    @pytest.mark.parametrize("method", ["slow_plain", "slow_asynchronous"])
    def test_an_item_does_not_wait_for_the_next(self, rows: tuple[Pair, Rows], method: str) -> None:
        pair, service = rows
        items = pair.items(getattr(pair.root, method)(5))
        for n in range(5):
            assert next(items) == n
            service.go_on.set()
        assert list(items) == []

    @pytest.mark.parametrize("method", ["slow_plain", "slow_asynchronous"])
    def test_a_deadline_ends_the_waiting_for_an_item(
        self, rows: tuple[Pair, Rows], method: str
    ) -> None:
        pair, service = rows
        items = pair.items(getattr(pair.root, method)(2))
        assert next(items) == 0
        with netobj.deadline(0.05), pytest.raises(netobj.AsyncResultTimeout, match="a stream"):
            next(items)
        service.go_on.set()
        assert next(items) == 1  # nothing was lost
        service.go_on.set()
        assert list(items) == []

    @KINDS
    def test_a_slow_consumer_stops_the_producer(self, rows: tuple[Pair, Rows], method: str) -> None:
        pair, service = rows
        items = pair.items(getattr(pair.root, method)(100_000))
        for n in range(1000):
            assert next(items) == n
        wait_until(lambda: not_moving(service))
        assert 1000 <= service.made <= 1000 + 2 * MOST_CREDIT
        assert next(items) == 1000
        items.close()

    def test_big_items_are_not_sent_far_ahead(self, rows: tuple[Pair, Rows]) -> None:
        pair, service = rows
        items = pair.items(pair.root.big(10_000))
        for _ in range(30):
            next(items)
        wait_until(lambda: not_moving(service))
        assert service.made <= 30 + 2 * FIRST_CREDIT
        items.close()

    def test_a_stopped_stream_holds_up_nothing_else(self, rows: tuple[Pair, Rows]) -> None:
        pair, service = rows
        streams = [pair.items(pair.root.plain(100_000)) for _ in range(10)]
        for stream in streams:
            assert next(stream) == 0
        wait_until(lambda: not_moving(service))
        assert pair.get(pair.root.quick()) == "quick"
        for stream in streams:
            stream.close()


def not_moving(service: Rows) -> bool:
    """Nothing is produced for a moment; a producer that goes on is found out by the bounds."""
    before = service.made
    threading.Event().wait(0.02)
    return service.made == before


class TestEnds:
    @KINDS
    def test_an_error_arrives_behind_the_items(self, pair: Pair, method: str) -> None:
        items = pair.items(getattr(pair.root, method)(1000, 500))
        assert [next(items) for _ in range(500)] == list(range(500))
        with pytest.raises(LookupError, match="in the middle") as caught:
            next(items)
        assert caught.value.args == ("in the middle", 500)
        assert list(items) == []

    @pytest.mark.parametrize("method", ["plain", "asynchronous", "forever"])
    def test_closing_early_runs_the_finally(self, rows: tuple[Pair, Rows], method: str) -> None:
        pair, service = rows
        arguments = () if method == "forever" else (100_000,)
        items = pair.items(getattr(pair.root, method)(*arguments))
        next(items)
        assert not service.closed.is_set()
        items.close()
        assert service.closed.wait(20)
        assert service.made < 100_000

    @pytest.mark.parametrize("method", ["plain", "asynchronous", "forever"])
    def test_so_does_dropping_the_stream(self, rows: tuple[Pair, Rows], method: str) -> None:
        pair, service = rows
        arguments = () if method == "forever" else (100_000,)
        items = pair.items(getattr(pair.root, method)(*arguments))
        next(items)
        del items
        pair.assert_clean()
        assert service.closed.wait(20)

    def test_what_cannot_travel_ends_the_stream(self, pair: Pair) -> None:
        items = pair.items(pair.root.not_sendable())
        assert next(items) == 1
        with pytest.raises(ValueError, match="nested"):
            next(items)

    def test_what_is_no_iterator_is_an_error_of_the_call(self, pair: Pair) -> None:
        with pytest.raises(TypeError, match="int"):
            list(pair.items(pair.root.no_iterator()))

    @pytest.mark.parametrize("method", ["plain", "asynchronous", "forever"])
    def test_a_dead_peer_ends_it(self, pairing: Pairing, method: str) -> None:
        service = Rows()
        pair = pairing.join(service, relay=True)
        arguments = () if method == "forever" else (10**9,)
        items = pair.items(getattr(pair.root, method)(*arguments))
        next(items)
        pair.relay.cut()
        with pytest.raises(ConnectionLost):
            for _ in items:
                pass
        assert service.closed.wait(20)


def test_items_do_not_cost_a_round_trip_each(pairing: Pairing) -> None:
    pair = pairing.join(Rows, relay=True)
    count = 5_000
    assert sum(1 for _ in pair.items(pair.root.plain(count))) == count
    assert pair.relay.round_trips < count / 5
