from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import netobj
from netobj.core.flow import Flow

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Start = Callable[..., threading.Thread]
Until = Callable[[Callable[[], object]], None]


class Slow(netobj.Service):
    """A stream whose items come when the test says so."""

    def __init__(self) -> None:
        self.go_on = threading.Semaphore(0)

    @netobj.exposed(stream=True)
    def items(self) -> Iterator[int]:
        for number in range(3):
            assert self.go_on.acquire(timeout=20)
            yield number

    def exposed_free(self) -> None:
        self.go_on.release()


@pytest.fixture
def slow(pair: Pair) -> tuple[netobj.Connection, Slow]:
    service = Slow()
    return pair(there=service)[0], service


def flow_of(stream: Any) -> Flow:
    flow = stream._flow
    assert type(flow) is Flow
    return flow


def test_waiting_ends_when_there_is_something(slow: Any, in_thread: Start) -> None:
    here, _service = slow
    stream = here.root.items()
    seen: list[int] = []
    thread = in_thread(lambda: seen.extend(stream))
    for _ in range(3):
        here.root.free()  # this thread and the other one take turns in reading
    thread.join(20)
    assert seen == [0, 1, 2]
    assert flow_of(stream)._subscribers == []


def test_a_change_before_anybody_is_told_is_not_lost(
    slow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = slow
    flow = flow_of(here.root.items())
    looked: list[bool] = []

    def ready() -> bool:
        looked.append(True)
        return len(looked) > 1  # it came between the first look and the subscription

    here.wait_until(ready, flow)
    assert len(looked) == 3
    assert flow._subscribers == []


def test_closing_here_ends_the_wait_of_another_thread(
    slow: Any, in_thread: Start, until: Until
) -> None:
    here, service = slow
    stream = here.root.items()
    seen: list[int] = []
    thread = in_thread(lambda: seen.extend(stream))
    until(lambda: flow_of(stream)._subscribers)
    stream.close()
    thread.join(20)
    assert seen == []
    service.go_on.release()


def test_a_deadline_ends_the_wait(slow: Any) -> None:
    here, service = slow
    stream = here.root.items()
    with netobj.deadline(0.02), pytest.raises(netobj.AsyncResultTimeout, match="stream"):
        next(stream)
    service.go_on.release(3)
    assert list(stream) == [0, 1, 2]


def test_waiting_in_the_thread_that_reads_is_refused(slow: Any) -> None:
    here, service = slow
    stream = here.root.items()
    assert here._reader.acquire(timeout=20)
    here._reader_thread = threading.get_ident()
    try:
        with pytest.raises(netobj.ReentrantCall):
            next(stream)
    finally:
        here._reader_thread = 0
        here._reader.release()
    service.go_on.release(3)
    assert list(stream) == [0, 1, 2]


def test_waiting_on_an_event_loop(slow: Any, in_thread: Start) -> None:
    here, service = slow

    async def main() -> list[int]:
        stream = await netobj.async_(here.root.items)()
        assert type(stream) is netobj.AsyncIncoming
        for _ in range(3):
            asyncio.get_running_loop().call_soon(service.go_on.release)
        return [number async for number in stream]

    assert asyncio.run(main()) == [0, 1, 2]


def test_a_deadline_ends_the_wait_on_an_event_loop(slow: Any) -> None:
    here, service = slow

    async def main() -> list[int]:
        stream = await netobj.async_(here.root.items)()
        with netobj.deadline(0.02):
            with pytest.raises(netobj.AsyncResultTimeout, match="stream"):
                await anext(stream)
            with pytest.raises(netobj.AsyncResultTimeout, match="stream"):  # which is over already
                await anext(stream)
        assert flow_of(stream)._subscribers == []
        service.go_on.release(3)
        with netobj.deadline(60):
            return [number async for number in stream]

    assert asyncio.run(main()) == [0, 1, 2]


def test_a_loop_that_has_ended_is_no_harm_to_the_connection(slow: Any, until: Until) -> None:
    here, service = slow
    stream = here.root.items()
    flow = flow_of(stream)

    async def wait_for_ever() -> None:
        await here.wait_until_async(lambda: False, flow)

    loop = asyncio.new_event_loop()
    task = loop.create_task(wait_for_ever())
    loop.run_until_complete(asyncio.sleep(0))
    subscribers = list(flow._subscribers)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert flow._subscribers == []
    loop.close()
    for changed in subscribers:  # told at this very moment
        changed()
    service.go_on.release(3)
    assert list(stream) == [0, 1, 2]


def test_the_end_of_the_connection_ends_the_waits(
    slow: Any, in_thread: Start, until: Until
) -> None:
    here, service = slow
    stream = here.root.items()
    raised: list[type[BaseException]] = []

    def wait() -> None:
        try:
            next(stream)
        except BaseException as exc:
            raised.append(type(exc))

    thread = in_thread(wait)
    until(lambda: flow_of(stream)._subscribers)
    here.close()
    thread.join(20)
    assert raised == [netobj.ConnectionLost]
    service.go_on.release(3)


def test_a_late_stream_that_nobody_wants_is_stopped(pair: Pair, until: Until) -> None:
    made = threading.Event()
    closed = threading.Event()

    class Late(netobj.Service):
        @netobj.exposed(stream=True)
        def numbers(self) -> Iterator[int]:
            assert made.wait(20)
            return self.generate()

        def generate(self) -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                closed.set()

    here, there = pair(there=Late)
    result = netobj.async_(here.root.numbers)()
    until(lambda: there.calls)
    assert result.cancel()
    made.set()
    assert closed.wait(20)
    until(lambda: not len(here.session.flows))
    until(lambda: not len(there.session.flows))
