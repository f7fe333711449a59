"""Calls side by side, in order, and what is known of those under way."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest

import netobj
from pairings import Pair, Pairing, wait_until


class Works(netobj.Service):
    """Calls that end when they are told to."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.order: list[Any] = []
        self.overlapping = 0
        self.inside = 0

    def gate(self, name: str) -> threading.Event:
        return self.gates.setdefault(name, threading.Event())

    @netobj.exposed
    def open_gate(self, name: str) -> None:
        self.gate(name).set()

    @netobj.exposed
    def wait(self, name: str) -> str:
        assert self.gate(name).wait(20)
        return name

    @netobj.exposed
    async def wait_async(self, name: str) -> str:
        while not self.gate(name).is_set():
            await asyncio.sleep(0.001)
        return name

    @netobj.exposed
    def quick(self, value: Any) -> Any:
        return value

    @netobj.exposed
    async def quick_async(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def note(self, value: Any) -> None:
        self.inside += 1
        self.overlapping += self.inside > 1
        self.order.append(value)
        self.inside -= 1

    @netobj.exposed
    async def note_async(self, value: Any) -> None:
        self.order.append(value)
        await asyncio.sleep(0)

    @netobj.exposed
    def noted(self) -> Any:
        return tuple(self.order), self.overlapping

    @netobj.exposed
    def thread(self) -> int:
        return threading.get_ident()

    @netobj.exposed
    def current(self) -> Any:
        return self.tell(netobj.current_call())

    @netobj.exposed
    async def current_async(self) -> Any:
        await asyncio.sleep(0)
        return self.tell(netobj.current_call())

    def tell(self, call: netobj.Call) -> Any:
        assert call.connection in self.served
        left = call.time_left
        return {
            "name": call.name,
            "peer": call.peer,
            "user": call.metadata.get("user"),
            "metadata": dict(call.metadata),
            "credentials": call.credentials,
            "left": left,
            "cancelled": call.cancelled,
            "checked": call.check(),
            "where": call.where,
        }

    def on_connect(self, conn: Any) -> None:
        self.served = [conn]

    def on_disconnect(self, conn: Any) -> None:
        self.served.clear()


SERVICE = Works
WAITS = pytest.mark.parametrize("method", ["wait", "wait_async"])
CURRENT = pytest.mark.parametrize("method", ["current", "current_async"])


class TestSideBySide:
    @WAITS
    @pytest.mark.parametrize("quick", ["quick", "quick_async"])
    def test_a_slow_call_does_not_hold_up_quick_ones(
        self, pairing: Pairing, method: str, quick: str
    ) -> None:
        pair = pairing.join(Works())
        started = pair.start(getattr(pair.root, method), "gate")
        for n in range(20):
            assert pair.get(getattr(pair.root, quick)(n)) == n
        assert not started.done()
        pair.get(pair.root.open_gate("gate"))
        assert started.result() == "gate"

    def test_slow_async_calls_run_side_by_side(self, pair: Pair) -> None:
        started = [pair.start(pair.root.wait_async, str(n)) for n in range(50)]
        for n in reversed(range(50)):
            pair.get(pair.root.open_gate(str(n)))
            assert started[n].result() == str(n)

    def test_more_calls_than_a_pool_has_workers(self, pair: Pair) -> None:
        started = [pair.start(pair.root.quick, n) for n in range(500)]
        assert [one.result() for one in started] == list(range(500))

    def test_threads_share_a_connection(self, pair: Pair) -> None:
        results: dict[int, list[int]] = {}

        def work(number: int) -> None:
            results[number] = [pair.get(pair.root.quick(n * number)) for n in range(25)]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert results == {number: [n * number for n in range(25)] for number in range(8)}


class TestOrder:
    @pytest.mark.parametrize("method", ["note", "note_async"])
    def test_asynchronous_calls_of_a_thread_start_in_order(self, pair: Pair, method: str) -> None:
        if pair.client.skin == "aio":
            pytest.skip("tasks run side by side; what depends on order awaits")
        started = [pair.start(getattr(pair.root, method), n) for n in range(200)]
        for one in started:
            one.result()
        assert pair.get(pair.root.noted()) == (tuple(range(200)), 0)


class TestCurrentCall:
    @CURRENT
    def test_is_known_to_the_method(self, pair: Pair, method: str) -> None:
        told = pair.act("copy_of", pair.get(getattr(pair.root, method)()))
        assert method in told["name"]
        assert told["metadata"] == {}
        assert told["credentials"] is None
        assert told["left"] is None
        assert told["cancelled"] is False
        assert told["where"]

    @CURRENT
    def test_the_peer_is_the_clients_end(self, pair: Pair, method: str) -> None:
        told = pair.act("copy_of", pair.get(getattr(pair.root, method)()))
        assert told["peer"] == pair.client.connection.config.endpoints[0]

    @CURRENT
    def test_metadata_travels(self, pair: Pair, method: str) -> None:
        with netobj.metadata(user="alice", number=3, raw=b"x"):
            told = pair.act("copy_of", pair.get(getattr(pair.root, method)()))
        assert told["metadata"] == {"user": "alice", "number": 3, "raw": b"x"}
        told = pair.act("copy_of", pair.get(getattr(pair.root, method)()))
        assert told["metadata"] == {}

    @CURRENT
    def test_metadata_travels_with_started_calls(self, pair: Pair, method: str) -> None:
        with netobj.metadata(user="bob"):
            started = pair.start(getattr(pair.root, method))
        assert pair.act("copy_of", started.result())["user"] == "bob"

    @CURRENT
    def test_the_time_left_travels(self, pair: Pair, method: str) -> None:
        with netobj.deadline(60):
            told = pair.act("copy_of", pair.get(getattr(pair.root, method)()))
        assert 0 < told["left"] <= 60

    def test_there_is_none_outside_of_calls(self, pair: Pair) -> None:
        with pytest.raises(RuntimeError, match="current_call"):
            netobj.current_call()


class TestUnderWay:
    @WAITS
    def test_both_sides_list_what_runs(self, pair: Pair, method: str) -> None:
        started = pair.start(getattr(pair.root, method), "gate")
        wait_until(lambda: pair.served.calls and pair.served.calls[0].where)
        (call,) = pair.served.calls
        assert method in call.name
        assert call.since > 0
        there = pair.served.dump_pending()
        assert method in there
        assert call.where in there
        here = pair.client.connection.dump_pending()
        assert f"root.{method}" in here
        assert "since" in here
        pair.get(pair.root.open_gate("gate"))
        started.result()
        wait_until(lambda: not pair.served.calls)
        assert "nothing is under way" in pair.client.connection.dump_pending()

    def test_a_call_that_was_given_up_is_told_from_one_that_is_waited_for(
        self, pair: Pair, caplog: pytest.LogCaptureFixture
    ) -> None:
        with netobj.deadline(0.05), pytest.raises(netobj.AsyncResultTimeout):
            pair.get(pair.root.wait("gate"))
        here = pair.client.connection.dump_pending()
        assert re.search(r"gave up root\.wait\(\) \[request \d+\] made .* not answered yet", here)
        assert "waits for" not in here
        pair.get(pair.root.open_gate("gate"))
        wait_until(lambda: "nothing is under way" in pair.client.connection.dump_pending())
        assert "AsyncResultTimeout" not in caplog.text  # it is the caller's own affair

    def test_the_server_lists_its_connections(self, pairing: Pairing) -> None:
        pair = pairing.join(Works)
        other = pairing.connect(pair.server.port)
        wait_until(lambda: len(pair.server.connections) == 2)
        other.close()
        wait_until(lambda: pair.server.connections == (pair.served,))

    def test_ping(self, pair: Pair) -> None:
        started = pair.start(pair.root.wait, "gate")
        pair.ping()
        pair.get(pair.root.open_gate("gate"))
        started.result()
