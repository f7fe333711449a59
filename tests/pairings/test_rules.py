"""Limits, time limits and places of calls (``@exposed(limit=, timeout=, run=)``), on both skins."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import netobj
from netobj import gates
from netobj.core.exposure import exposure_of
from netobj.errors import AsyncResultTimeout, Busy
from pairings import Pair, Pairing, wait_until
from patience import HANG


class Inside:
    """Counts who is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.ever = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.ever += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


class Limited(netobj.Service):
    """What has rules, of each kind; ``gate`` lets go who is inside."""

    def __init__(self) -> None:
        self.inside = Inside()
        self.gate = threading.Event()
        self.ended = threading.Event()

    def _stay(self) -> None:
        with self.inside:
            assert self.gate.wait(HANG)

    async def _stay_async(self) -> None:
        with self.inside:
            while not self.gate.is_set():
                await asyncio.sleep(0.001)

    @netobj.exposed(limit=2, queue=3, concurrent=True)
    def plain(self) -> None:
        self._stay()

    @netobj.exposed(limit=2, queue=3, concurrent=True)
    async def task(self) -> None:
        await self._stay_async()

    @netobj.exposed(limit=2, queue=3, concurrent=True, run="thread")
    def in_thread(self) -> None:
        self._stay()

    @netobj.exposed(limit=1, concurrent=True)
    def fails(self, error: bool) -> None:
        with self.inside:
            if error:
                raise LookupError("in there")

    @netobj.exposed(limit=1)
    async def task_fails(self, error: bool) -> None:
        with self.inside:
            await asyncio.sleep(0)
            if error:
                raise LookupError("in there")

    @netobj.exposed(limit=1, stream=True)
    def items(self, count: int) -> Iterator[int]:
        with self.inside:
            yield from range(count)

    @netobj.exposed(limit=1, stream=True)
    async def items_async(self, count: int) -> AsyncIterator[int]:
        with self.inside:
            for n in range(count):
                yield n

    @netobj.exposed(limit=1)
    def duplex(self, end: netobj.Duplex, word: str) -> None:
        with self.inside:
            end.send(word)
            list(end)

    @netobj.exposed(limit=1)
    async def duplex_async(self, end: netobj.AsyncDuplex, word: str) -> None:
        with self.inside:
            await end.send(word)
            async for _ in end:
                pass

    @netobj.exposed(limit=1)
    def returns_coroutine(self) -> Any:
        return self._stay_async()

    @netobj.exposed(limit=1, timeout=0.01)
    def late(self) -> None:
        self._stay()
        self.ended.set()

    @netobj.exposed(limit=1, timeout=0.01)
    async def task_late(self) -> None:
        with self.inside:
            await asyncio.Event().wait()

    @netobj.exposed(timeout=HANG)
    def in_time(self, value: int) -> int:
        return value

    @netobj.exposed(timeout=HANG)
    async def task_in_time(self, value: int) -> int:
        return value

    @netobj.exposed(limit=1, limit_per="connection")
    def each(self) -> None:
        self._stay()

    @netobj.exposed(limit=1, limit_per="address")
    def each_address(self) -> None:
        self._stay()

    @netobj.exposed(run="thread")
    def thread(self) -> int:
        return threading.get_ident()

    @netobj.exposed(run="loop")
    def on_loop(self) -> bool:
        return asyncio.get_running_loop() is not None

    @netobj.exposed(run="inline")
    def inline(self, value: int) -> int:
        return value

    @netobj.exposed(limit=3)
    def back(self, callback: Any, depth: int) -> Any:
        return callback(depth)


SERVICE = Limited


@pytest.fixture
def limited(pairing: Pairing) -> tuple[Pair, Limited]:
    service = Limited()
    return pairing.join(service), service


def held(name: str) -> tuple[int, int]:
    """How many are inside of a method, and wait for that, as its gate counts."""
    method = vars(Limited)[name]
    exposure = exposure_of(method)
    assert exposure is not None
    return gates.gate_of(method, exposure, name).count()


KINDS = pytest.mark.parametrize("name", ["plain", "task", "in_thread"])


@KINDS
def test_as_many_as_the_limit_run_the_queue_waits_and_the_next_is_refused(
    limited: tuple[Pair, Limited], name: str
) -> None:
    pair, service = limited
    method = getattr(pair.root, name)
    calls = [pair.start(method) for _ in range(5)]
    wait_until(lambda: held(name) == (2, 3))
    with pytest.raises(Busy, match=rf"runs 2 calls of \S*{name}, .* and 3 wait"):
        pair.get(method())
    service.gate.set()
    for call in calls:
        call.result()
    assert (service.inside.most, service.inside.ever) == (2, 5)
    assert held(name) == (0, 0)


@KINDS
def test_who_is_cancelled_while_it_waits_makes_room(
    limited: tuple[Pair, Limited], name: str
) -> None:
    pair, service = limited
    method = getattr(pair.root, name)
    calls = [pair.start(method) for _ in range(5)]
    wait_until(lambda: held(name) == (2, 3))
    assert calls[4].cancel()
    wait_until(lambda: held(name) == (2, 2))
    calls[4] = pair.start(method)
    wait_until(lambda: held(name) == (2, 3))
    service.gate.set()
    for call in calls:
        call.result()
    assert service.inside.ever == 5


@KINDS
def test_a_deadline_passes_while_a_call_waits(limited: tuple[Pair, Limited], name: str) -> None:
    pair, service = limited
    method = getattr(pair.root, name)
    calls = [pair.start(method) for _ in range(2)]
    wait_until(lambda: held(name) == (2, 0))
    with netobj.deadline(0.01):
        late = pair.start(method)
    with pytest.raises(AsyncResultTimeout):
        late.result()
    wait_until(lambda: held(name) == (2, 0))
    service.gate.set()
    for call in calls:
        call.result()


@KINDS
def test_a_connection_that_is_lost_holds_nothing(pairing: Pairing, name: str) -> None:
    service = Limited()
    pair = pairing.join(service, relay=True)
    for _ in range(5):
        pair.start(getattr(pair.root, name))
    wait_until(lambda: held(name) == (2, 3) and service.inside.now == 2)
    pair.relay.cut()
    wait_until(lambda: held(name)[1] == 0)
    service.gate.set()
    wait_until(lambda: held(name) == (0, 0))
    assert service.inside.ever == 2


@pytest.mark.parametrize("name", ["fails", "task_fails"])
def test_a_thousand_calls_that_raise_leak_no_slot(limited: tuple[Pair, Limited], name: str) -> None:
    pair, service = limited
    method = getattr(pair.root, name)
    for _ in range(250):  # in each of the four pairings
        with pytest.raises(LookupError):
            pair.get(method(True))
    assert pair.get(method(False)) is None
    assert (service.inside.ever, held(name)) == (251, (0, 0))


@pytest.mark.parametrize("name", ["items", "items_async"])
def test_a_stream_holds_its_slot_until_it_has_ended(
    limited: tuple[Pair, Limited], name: str
) -> None:
    pair, _service = limited
    method = getattr(pair.root, name)
    items = pair.items(pair.get(method(10**9)))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    assert held(name) == (1, 0)
    with pytest.raises(Busy):
        pair.get(method(1))
    items.close()
    wait_until(lambda: held(name) == (0, 0))
    assert list(pair.items(pair.get(method(3)))) == [0, 1, 2]
    wait_until(lambda: held(name) == (0, 0))


@pytest.mark.parametrize("name", ["duplex", "duplex_async"])
def test_a_two_way_stream_does_too(limited: tuple[Pair, Limited], name: str) -> None:
    pair, _service = limited
    method = getattr(pair.root, name)
    with pair.open(method, "hello") as end:
        assert end.receive() == "hello"
        assert held(name) == (1, 0)
        with pytest.raises(Busy), pair.open(method, "hello") as other:
            other.receive()
    wait_until(lambda: held(name) == (0, 0))


def test_what_a_plain_function_returns_to_be_awaited_holds_it(
    limited: tuple[Pair, Limited],
) -> None:
    pair, service = limited
    call = pair.start(pair.root.returns_coroutine)
    wait_until(lambda: service.inside.now == 1)
    assert held("returns_coroutine") == (1, 0)
    service.gate.set()
    assert call.result() is None
    assert held("returns_coroutine") == (0, 0)


def test_a_plain_function_that_is_late_keeps_its_slot_until_it_has_ended(
    limited: tuple[Pair, Limited],
) -> None:
    pair, service = limited
    with pytest.raises(TimeoutError, match=r"Limited\.late ran longer than its time limit"):
        pair.get(pair.root.late())
    assert held("late") == (1, 0)
    with pytest.raises(Busy):
        pair.get(pair.root.late())
    service.gate.set()
    assert service.ended.wait(HANG)
    wait_until(lambda: held("late") == (0, 0))


def test_an_async_def_that_is_late_is_cancelled(limited: tuple[Pair, Limited]) -> None:
    pair, service = limited
    with pytest.raises(AsyncResultTimeout, match="task_late ran longer than its time limit"):
        pair.get(pair.root.task_late())
    assert (service.inside.now, held("task_late")) == (0, (0, 0))


@pytest.mark.parametrize("name", ["in_time", "task_in_time"])
def test_who_is_in_time_answers(limited: tuple[Pair, Limited], name: str) -> None:
    pair, _service = limited
    assert pair.get(getattr(pair.root, name)(5)) == 5


def test_a_limit_may_count_for_each_connection(
    limited: tuple[Pair, Limited], pairing: Pairing
) -> None:
    pair, service = limited
    other = pairing.connect(pair.server.port)
    calls = [pair.start(pair.root.each), other.start(other.root.each)]
    wait_until(lambda: held("each") == (2, 0))
    with pytest.raises(Busy, match="of this connection"):
        other.get(other.root.each())
    service.gate.set()
    for call in calls:
        call.result()
    other.close()


def test_a_limit_may_count_for_each_address(
    limited: tuple[Pair, Limited], pairing: Pairing
) -> None:
    pair, service = limited
    other = pairing.connect(pair.server.port)
    call = pair.start(pair.root.each_address)
    wait_until(lambda: held("each_address") == (1, 0))
    with pytest.raises(Busy, match="of this address"):
        other.get(other.root.each_address())
    service.gate.set()
    call.result()
    other.close()


def test_where_a_call_runs(limited: tuple[Pair, Limited]) -> None:
    pair, _service = limited
    assert pair.get(pair.root.thread()) != threading.main_thread().ident
    assert pair.get(pair.root.on_loop()) is True
    assert pair.get(pair.root.inline(5)) == 5


def test_a_reference_to_a_method_has_the_same_rules(limited: tuple[Pair, Limited]) -> None:
    pair, service = limited
    method = pair.get(pair.root.late)
    with pytest.raises(TimeoutError):
        pair.get(method())
    service.gate.set()
    wait_until(lambda: held("late") == (0, 0))


def test_calls_that_call_back_are_inside_of_one_another(pairing: Pairing) -> None:
    pair = pairing.join(Limited())

    def steps(depth: int) -> Any:
        inner = yield pair.root.back(callback, depth - 1) if depth else -1
        return inner + 1

    callback = pair.function(steps)
    assert pair.get(pair.root.back(callback, 2)) == 2
    assert held("back") == (0, 0)
