"""Deadlines and cancellation: they travel, are inherited, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj import aio
from netobj.errors import AsyncResultTimeout, CallCancelled, ConnectionLost
from pairings import Pair, Pairing, wait_until


class Thing:
    """Goes by reference."""

    @netobj.exposed
    def touch(self) -> None:
        pass

    @netobj.exposed
    async def touch_async(self) -> None:
        await asyncio.sleep(0)


class Work(netobj.Service):
    """Calls that would go on for ever, and note how they ended."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[Any] = []
        self.gate = threading.Event()
        self.closed = threading.Event()
        self.things: weakref.WeakSet[Thing] = weakref.WeakSet()

    @netobj.exposed
    def work(self, name: str = "work") -> None:
        call = netobj.current_call()
        self.began.append(name)
        pause = threading.Event()
        while not call.cancelled:
            pause.wait(0.001)
        try:
            call.check()
        except Exception as exc:
            self.ended.append(type(exc))
            raise

    @netobj.exposed
    async def work_async(self, name: str = "work") -> None:
        self.began.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(name)

    @netobj.exposed
    async def stubborn(self) -> str:
        self.began.append("stubborn")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append("stubborn")
        return "all the same"

    @netobj.exposed
    def wait(self) -> Any:
        self.began.append("wait")
        assert self.gate.wait(20)
        return Thing()

    @netobj.exposed(stream=True)
    def wait_for_rows(self) -> Any:
        self.began.append("wait")
        assert self.gate.wait(20)
        return self._rows()

    def _rows(self) -> Iterator[Any]:
        try:
            for _ in range(10**9):
                yield Thing()
        finally:
            self.closed.set()

    @netobj.exposed
    def note(self, value: Any) -> Any:
        self.began.append("note")
        return value

    @netobj.exposed
    def left(self) -> float | None:
        return netobj.current_call().time_left

    @netobj.exposed
    async def left_async(self) -> float | None:
        return netobj.current_call().time_left

    @netobj.exposed
    def thing(self) -> Thing:
        thing = Thing()
        self.things.add(thing)
        return thing

    @netobj.exposed
    def callback_left(self, callback: Any) -> Any:
        return callback()

    @netobj.exposed
    async def callback_left_async(self, callback: Any) -> Any:
        return await callback()


SERVICE = Work
KINDS = pytest.mark.parametrize("kind", ["", "_async"], ids=["plain", "async"])


@pytest.fixture
def work(pairing: Pairing) -> tuple[Pair, Work]:
    service = Work()
    return pairing.join(service), service


@KINDS
class TestDeadlines:
    def test_a_call_ends_on_both_sides(self, work: tuple[Pair, Work], kind: str) -> None:
        pair, service = work
        method = getattr(pair.root, "work" + kind)
        with pytest.raises(AsyncResultTimeout), netobj.deadline(0.05):
            pair.get(method())
        wait_until(lambda: len(service.ended) == len(service.began))

    def test_what_was_called_is_let_go_before_it(self, work: tuple[Pair, Work], kind: str) -> None:
        pair, service = work
        with netobj.deadline(1000):
            thing = pair.get(pair.root.thing())
            pair.get(getattr(thing, "touch" + kind)())
        del thing

        def is_gone() -> bool:
            pair.get(pair.root.left())  # carries the release
            gc.collect()
            return not service.things

        wait_until(is_gone)

    @pytest.mark.parametrize("seconds", [math.inf, 10**12])
    def test_one_that_never_comes(self, pair: Pair, kind: str, seconds: float) -> None:
        with netobj.deadline(seconds):
            assert pair.get(getattr(pair.root, "callback_left" + kind)(lambda: 1)) == 1

    def test_it_is_a_timeout_error(self, pair: Pair, kind: str) -> None:
        with pytest.raises(TimeoutError), netobj.deadline(0.02):
            pair.get(getattr(pair.root, "work" + kind)())

    def test_a_started_call_has_it_too(self, work: tuple[Pair, Work], kind: str) -> None:
        pair, service = work
        with netobj.deadline(0.05):
            started = pair.start(getattr(pair.root, "work" + kind))
        with pytest.raises(AsyncResultTimeout):
            started.result()
        wait_until(lambda: len(service.ended) == len(service.began))

    def test_the_other_side_knows_the_time_left(self, pair: Pair, kind: str) -> None:
        left = getattr(pair.root, "left" + kind)
        assert pair.get(left()) is None
        with netobj.deadline(50):
            assert 0 < pair.get(left()) <= 50
            with netobj.deadline(1000):  # the outer one holds
                assert 0 < pair.get(left()) <= 50
            with netobj.deadline(20):
                assert 0 < pair.get(left()) <= 20
        assert pair.get(left()) is None

    def test_a_deadline_in_the_past_sends_nothing(self, work: tuple[Pair, Work], kind: str) -> None:
        pair, service = work
        with pytest.raises(AsyncResultTimeout), netobj.deadline(0):
            pair.get(getattr(pair.root, "work" + kind)())
        pair.get(pair.root.left())
        assert service.began == []

    def test_the_setting_of_the_client(self, pairing: Pairing, kind: str) -> None:
        service = Work()
        pair = pairing.join(service, own_config={"sync_request_timeout": 0.05})
        with pytest.raises(AsyncResultTimeout):
            pair.get(getattr(pair.root, "work" + kind)())
        wait_until(lambda: len(service.ended) == len(service.began))

    def test_a_callback_inherits_it(self, pair: Pair, kind: str) -> None:
        def callback() -> Any:
            return netobj.current_call().time_left

        method = getattr(pair.root, "callback_left" + kind)
        assert pair.get(method(callback)) is None
        with netobj.deadline(50):
            assert 0 < pair.get(method(callback)) <= 50


class Middle(netobj.Service):
    """Between the client and a Work service at *port*, which it asks in turn."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._far: Any = None

    def connected(self) -> Any:
        if self._far is None:
            self._far = netobj.connect("127.0.0.1", self._port)
        return self._far

    @netobj.exposed
    def far(self, name: str) -> Any:
        return getattr(self.connected().root, name)()

    @netobj.exposed
    async def far_async(self, name: str) -> Any:
        async with aio.connect("127.0.0.1", self._port) as conn:
            return await getattr(conn.root, name)()

    def on_disconnect(self, conn: Any) -> None:
        if self._far is not None:
            self._far.close()


@KINDS
@pytest.mark.parametrize("far", ["", "_async"], ids=["far plain", "far async"])
class TestTwoHops:
    def test_what_is_left_is_inherited(self, pairing: Pairing, kind: str, far: str) -> None:
        pair = pairing.join(Middle(pairing.serve(Work()).port))
        ask_far = getattr(pair.root, "far" + kind)
        assert pair.get(ask_far("left" + far)) is None
        with netobj.deadline(50):
            assert 0 < pair.get(ask_far("left" + far)) <= 50

    def test_the_end_reaches_the_farthest(self, pairing: Pairing, kind: str, far: str) -> None:
        service = Work()
        pair = pairing.join(Middle(pairing.serve(service).port))
        with pytest.raises(AsyncResultTimeout), netobj.deadline(0.2):
            pair.get(getattr(pair.root, "far" + kind)("work" + far))
        wait_until(lambda: len(service.ended) == len(service.began))


@KINDS
def test_cancelling_reaches_the_farthest(pairing: Pairing, kind: str) -> None:
    service = Work()
    pair = pairing.join(Middle(pairing.serve(service).port))
    started = pair.start(pair.root.far_async, "work" + kind)
    wait_until(lambda: service.began)
    started.cancel()
    wait_until(lambda: service.ended)


@KINDS
class TestCancelling:
    def test_what_runs_is_told(self, work: tuple[Pair, Work], kind: str) -> None:
        pair, service = work
        started = pair.start(getattr(pair.root, "work" + kind))
        wait_until(lambda: service.began)
        assert started.cancel()
        with pytest.raises(CallCancelled):
            started.result()
        wait_until(lambda: service.ended)
        assert service.ended[0] in (CallCancelled, "work")

    def test_the_end_of_the_connection_does_so(self, pairing: Pairing, kind: str) -> None:
        service = Work()
        pair = pairing.join(service)
        started = pair.start(getattr(pair.root, "work" + kind))
        wait_until(lambda: service.began)
        pair.close()
        with pytest.raises(ConnectionLost):
            started.result()
        wait_until(lambda: service.ended)

    def test_so_does_its_loss(self, pairing: Pairing, kind: str) -> None:
        service = Work()
        pair = pairing.join(service, relay=True)
        started = pair.start(getattr(pair.root, "work" + kind))
        wait_until(lambda: service.began)
        pair.relay.cut()
        with pytest.raises(ConnectionLost):
            started.result()
        wait_until(lambda: service.ended)


class TestWhatIsLeftBehind:
    def test_one_of_many(self, work: tuple[Pair, Work]) -> None:
        pair, service = work
        started = [pair.start(pair.root.work_async, str(n)) for n in range(5)]
        wait_until(lambda: len(service.began) == 5)
        started[2].cancel()
        wait_until(lambda: len(service.ended) == 1)
        assert not any(started[n].done() for n in (0, 1, 3, 4))
        for one in started:
            one.cancel()
        wait_until(lambda: len(service.ended) == 5)

    def test_what_has_not_started_never_does(self, work: tuple[Pair, Work]) -> None:
        pair, service = work
        first, second = pair.start_with(pair.root.wait, (), pair.root.note)
        wait_until(lambda: service.began)
        second.cancel()
        pair.ping()  # the cancellation is behind us
        service.gate.set()
        first.result()
        assert pair.get(pair.root.left()) is None
        assert service.began == ["wait"]

    def test_a_result_in_spite_of_it_is_dropped(self, work: tuple[Pair, Work]) -> None:
        pair, service = work
        started = pair.start(pair.root.stubborn)
        wait_until(lambda: service.began)
        started.cancel()
        with pytest.raises(CallCancelled):
            started.result()
        wait_until(lambda: service.ended)

    def test_a_late_reference_is_released(self, work: tuple[Pair, Work]) -> None:
        pair, service = work
        started = pair.start(pair.root.wait)
        wait_until(lambda: service.began)
        started.cancel()
        pair.ping()
        service.gate.set()
        with pytest.raises(CallCancelled):
            started.result()
        pair.assert_clean()

    def test_a_late_stream_is_stopped(self, work: tuple[Pair, Work]) -> None:
        pair, service = work
        started = pair.start(pair.root.wait_for_rows)
        wait_until(lambda: service.began)
        started.cancel()
        pair.ping()
        service.gate.set()
        with pytest.raises(CallCancelled):
            started.result()
        pair.assert_clean()

    def test_what_is_done_cannot_be_cancelled(self, pair: Pair) -> None:
        started = pair.start(pair.root.note, 5)
        assert started.result() == 5
        assert not started.cancel()
        assert started.result() == 5

    def test_hundreds_at_random(self, work: tuple[Pair, Work]) -> None:
        pair, service = work
        calls = [pair.start(pair.root.work_async) for _ in range(100)]
        calls += [pair.start(pair.root.note, n) for n in range(100)]
        for one in calls[::2]:
            one.cancel()
        for n, one in enumerate(calls[100:]):
            if n % 2:
                assert one.result() == n
        for one in calls:
            one.cancel()
        wait_until(lambda: len(service.ended) == service.began.count("work"))
