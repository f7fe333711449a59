"""Callbacks: functions of the client's that the server calls, in every combination of kinds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from pairings import Pair, Pairing


class Caller(netobj.Service):
    kept: Any = None

    @netobj.exposed
    def each(self, callback: Any, count: int) -> Any:
        return tuple([callback(n) for n in range(count)])

    @netobj.exposed
    async def each_async(self, callback: Any, count: int) -> Any:
        return tuple([await callback(n) for n in range(count)])

    @netobj.exposed
    def call_with(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        return callback(*args, **kwargs)

    @netobj.exposed
    def down(self, callback: Any, levels: int) -> int:
        return 0 if not levels else 1 + callback(levels - 1)

    @netobj.exposed
    async def down_async(self, callback: Any, levels: int) -> int:
        return 0 if not levels else 1 + await callback(levels - 1)

    @netobj.exposed
    def keep(self, callback: Any) -> None:
        type(self).kept = callback

    @netobj.exposed
    def call_kept(self, value: Any) -> Any:
        return self.kept(value)

    @netobj.exposed
    def method_of(self, thing: Any) -> Any:
        return thing.double(21)

    @netobj.exposed
    def consume(self, produce: Any, count: int) -> Any:
        return tuple(produce(count))

    @netobj.exposed
    async def consume_async(self, produce: Any, count: int) -> Any:
        return tuple([item async for item in await produce(count)])

    @netobj.exposed
    def consume_some(self, produce: Any, count: int) -> Any:
        items = iter(produce(10**9))
        taken = tuple(next(items) for _ in range(count))
        items.close()
        return taken


SERVICE = Caller
KINDS = pytest.mark.parametrize("method", ["each", "each_async"])


class Doubler:
    @netobj.exposed
    def double(self, n: int) -> int:
        return 2 * n

    def hidden(self) -> None:
        raise AssertionError("nobody may call it")


class TestCalling:
    @KINDS
    def test_a_plain_function(self, pair: Pair, method: str) -> None:
        seen = []

        def callback(n: int) -> int:
            seen.append(n)
            return n * n

        assert pair.get(getattr(pair.root, method)(callback, 4)) == (0, 1, 4, 9)
        assert seen == [0, 1, 2, 3]

    @KINDS
    def test_an_async_function(self, pair: Pair, method: str) -> None:
        async def callback(n: int) -> int:
            return n * n

        assert pair.get(getattr(pair.root, method)(callback, 4)) == (0, 1, 4, 9)

    @KINDS
    def test_errors_of_callbacks(self, pair: Pair, method: str) -> None:
        async def callback(n: int) -> int:
            raise LookupError("no", n)

        with pytest.raises(LookupError, match="no"):
            pair.get(getattr(pair.root, method)(callback, 1))

    def test_arguments_of_all_kinds(self, pair: Pair) -> None:
        mine = object()

        def callback(*args: Any, **kwargs: Any) -> Any:
            return (*args, kwargs["by_name"])

        result = pair.get(pair.root.call_with(callback, 1, mine, by_name=b"x"))
        assert result == (1, mine, b"x")

    def test_a_method_of_an_object_of_ours(self, pair: Pair) -> None:
        assert pair.get(pair.root.method_of(Doubler())) == 42
        assert pair.get(pair.root.call_with(Doubler().double, 4)) == 8

    def test_a_callback_that_is_kept_is_called_later(self, pair: Pair) -> None:
        pair.get(pair.root.keep(lambda value: ("kept", value)))
        assert pair.get(pair.root.call_kept(1)) == ("kept", 1)
        pair.get(pair.root.keep(None))

    def test_a_slow_callback_lets_others_run(self, pair: Pair) -> None:
        go_on = threading.Event()

        @netobj.exposed(slow=True)
        def slow(n: int) -> int:
            assert go_on.wait(20)
            return n

        def quick(n: int) -> int:
            return -n

        started = pair.start(pair.root.each, slow, 2)
        assert pair.get(pair.root.each(quick, 3)) == (0, -1, -2)
        assert not started.done()
        go_on.set()
        assert started.result() == (0, 1)


class TestRecursion:
    @pytest.mark.parametrize("method", ["down", "down_async"])
    def test_deep(self, pair: Pair, method: str) -> None:
        @pair.function
        def callback(levels: int) -> Any:
            below = yield getattr(pair.root, method)(callback, levels)
            return below + 1

        assert pair.get(getattr(pair.root, method)(callback, 12)) == 24

    def test_many_recursions_at_once(self, pair: Pair) -> None:
        @pair.function
        def callback(levels: int) -> Any:
            below = yield pair.root.down(callback, levels)
            return below + 1

        started = [pair.start(pair.root.each, callback, 4) for _ in range(6)]
        assert [one.result() for one in started] == [(1, 3, 5, 7)] * 6


class TestStreams:
    @pytest.mark.parametrize("method", ["consume", "consume_async"])
    @pytest.mark.parametrize("kind", ["plain", "async"])
    @pytest.mark.parametrize("stream", [True, False])
    def test_the_server_consumes(self, pair: Pair, method: str, kind: str, stream: bool) -> None:
        if (pair.server.skin, method, kind, stream) == (
            "blocking",
            "consume_async",
            "plain",
            False,
        ):
            pytest.skip("a blocking proxy has no `async for` where the object has none")

        def produce(count: int) -> Any:
            yield from range(count)

        async def produce_async(count: int) -> Any:
            for n in range(count):
                yield n

        producer = produce if kind == "plain" else produce_async
        if stream:
            producer = netobj.exposed(stream=True)(producer)
        result = pair.get(getattr(pair.root, method)(producer, 50))
        assert result == tuple(range(50))

    def test_leaving_early_closes_our_generator(self, pair: Pair) -> None:
        closed = threading.Event()

        @netobj.exposed(stream=True)
        def produce(count: int) -> Iterator[int]:
            try:
                yield from range(count)
            finally:
                closed.set()

        assert pair.get(pair.root.consume_some(produce, 3)) == (0, 1, 2)
        assert closed.wait(20)


def test_what_is_not_exposed_of_ours_is_refused(pairing: Pairing) -> None:
    class Curious(netobj.Service):
        @netobj.exposed
        def look(self, thing: Any) -> Any:
            return thing.hidden()

    pair = pairing.join(Curious)
    with pytest.raises(AttributeError, match="hidden"):
        pair.get(pair.root.look(Doubler()))


def test_the_client_has_a_service_of_its_own(pairing: Pairing) -> None:
    class Asking(netobj.Service):
        conn: Any = None
        greeted: Any = None

        def on_connect(self, conn: Any) -> None:
            type(self).conn = conn

        @netobj.exposed
        async def ask_name(self) -> Any:
            return await self.conn.root.name()

    class Named(netobj.Service):
        @netobj.exposed
        def name(self) -> str:
            return "client"

    pair = pairing.join(Asking, own=Named)
    assert pair.get(pair.root.ask_name()) == "client"
