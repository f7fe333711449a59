"""The connection ends in the midst of everything: all that waits fails, nothing is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj.errors import ConnectionLost
from pairings import Pair, Pairing, wait_until


class Fragile(netobj.Service):
    def __init__(self) -> None:
        self.began = 0
        self.ended: list[Any] = []
        self.disconnected: list[Any] = []
        self.gate = threading.Event()

    def on_disconnect(self, conn: Any) -> None:
        self.disconnected.append(conn)

    @netobj.exposed
    def wait(self) -> None:
        self.began += 1
        call = netobj.current_call()
        wait_until(lambda: call.cancelled or self.gate.is_set())
        self.ended.append("wait")

    @netobj.exposed
    async def wait_async(self) -> None:
        self.began += 1
        try:
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
        finally:
            self.ended.append("wait_async")

    @netobj.exposed
    def call_back(self, callback: Any) -> None:
        self.began += 1
        try:
            callback()
        except Exception as exc:
            self.ended.append(type(exc))

    @netobj.exposed
    async def call_back_async(self, callback: Any) -> None:
        self.began += 1
        try:
            await callback()
        except Exception as exc:
            self.ended.append(type(exc))
        except asyncio.CancelledError:
            self.ended.append(ConnectionLost)
            raise

    @netobj.exposed
    def things(self, count: int) -> Any:
        return tuple([[n] for n in range(count)])

    @netobj.exposed
    def generator(self) -> Iterator[int]:
        yield from range(1000)

    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value


SERVICE = Fragile
KINDS = pytest.mark.parametrize("kind", ["", "_async"], ids=["plain", "async"])


@pytest.fixture
def fragile(pairing: Pairing) -> tuple[Pair, Fragile]:
    service = Fragile()
    return pairing.join(service, relay=True), service


class TestCut:
    @KINDS
    def test_calls_that_wait_fail_with_the_reason(
        self, fragile: tuple[Pair, Fragile], kind: str
    ) -> None:
        pair, service = fragile
        count = 1 if pair.client.skin == "blocking" and not kind else 20
        started = [pair.start(getattr(pair.root, "wait" + kind)) for _ in range(count)]
        wait_until(lambda: service.began == count)
        pair.relay.cut()
        for one in started:
            with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1"):
                one.result()
        wait_until(lambda: len(service.ended) == count)

    @KINDS
    def test_so_do_callbacks(self, fragile: tuple[Pair, Fragile], kind: str) -> None:
        pair, service = fragile
        inside = threading.Event()
        go_on = threading.Event()

        @netobj.exposed(slow=True)
        def callback() -> None:
            inside.set()
            assert go_on.wait(20)

        started = pair.start(getattr(pair.root, "call_back" + kind), callback)
        assert inside.wait(20)
        pair.relay.cut()
        with pytest.raises(ConnectionLost):
            started.result()
        wait_until(lambda: service.ended == [ConnectionLost])
        go_on.set()

    def test_what_is_used_afterwards_fails_at_once(self, fragile: tuple[Pair, Fragile]) -> None:
        pair, _ = fragile
        thing = pair.get(pair.root.things(1))[0]
        generator = pair.get(pair.root.generator())
        assert pair.next(generator) == 0
        pair.relay.cut()
        wait_until(lambda: pair.client.connection.closed and pair.served.closed)
        for use in (
            lambda: pair.get(thing.append(1)),
            lambda: pair.get(pair.root.echo(1)),
            lambda: pair.next(generator),
            lambda: pair.act("len", thing),
            lambda: pair.start(pair.root.echo, 1).result(),
            lambda: pair.ping(),
        ):
            with pytest.raises(ConnectionLost):
                use()

    def test_with_references_both_ways(self, fragile: tuple[Pair, Fragile]) -> None:
        pair, _ = fragile
        things = pair.get(pair.root.things(500))
        mine = [[n] for n in range(500)]
        assert pair.get(pair.root.echo(tuple(mine))) == tuple(mine)
        pair.relay.cut()
        wait_until(lambda: pair.client.connection.closed and pair.served.closed)
        assert len(things) == 500

    def test_the_service_hears_of_it_once(self, fragile: tuple[Pair, Fragile]) -> None:
        pair, service = fragile
        pair.relay.cut()
        wait_until(lambda: service.disconnected)
        wait_until(lambda: pair.server.connections == ())
        pair.close()
        assert service.disconnected == [pair.served]

    def test_others_are_served_on(self, fragile: tuple[Pair, Fragile], pairing: Pairing) -> None:
        pair, _ = fragile
        other = pairing.connect(pair.server.port)
        pair.relay.cut()
        wait_until(lambda: len(pair.server.connections) == 1)
        assert other.get(other.root.echo("still there")) == "still there"
        other.close()


class TestClose:
    @KINDS
    def test_of_the_client(self, fragile: tuple[Pair, Fragile], kind: str) -> None:
        pair, service = fragile
        started = pair.start(getattr(pair.root, "wait" + kind))
        wait_until(lambda: service.began)
        pair.close()
        with pytest.raises(ConnectionLost, match="closed on this side"):
            started.result()
        wait_until(lambda: service.ended)
        pair.close()  # twice does no harm
        wait_until(lambda: service.disconnected)

    @KINDS
    def test_of_the_server(self, fragile: tuple[Pair, Fragile], kind: str) -> None:
        pair, service = fragile
        started = pair.start(getattr(pair.root, "wait" + kind))
        wait_until(lambda: service.began)
        pair.server.close()
        with pytest.raises(ConnectionLost, match="said goodbye"):
            started.result()
        wait_until(lambda: service.ended)
        with pytest.raises(ConnectionLost):
            pair.get(pair.root.echo(1))

    def test_calls_that_were_not_started_say_so(self, pairing: Pairing) -> None:
        service = Fragile()
        pair = pairing.join(service)
        first, second = pair.start_with(pair.root.wait, (), pair.root.echo)
        wait_until(lambda: len(pair.served.session.running) == 2)
        pair.server.close()
        with pytest.raises(ConnectionLost):
            first.result()
        with pytest.raises(ConnectionLost, match="not started"):
            second.result()
