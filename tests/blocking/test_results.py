from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

import netobj
from netobj.blocking.io_thread import io_thread

Until = Callable[[Callable[[], object]], None]
Start = Callable[..., threading.Thread]


class Gate:
    """A call over there that ends when :meth:`open` is called here."""

    def __init__(self, here: netobj.Connection, there: netobj.Connection) -> None:
        self.here, self.there = here, there
        self.event = threading.Event()
        self.entered = threading.Event()
        self.calls = 0
        there.session.boxing.root.exposed_namespace["gate"] = self._pass
        self.call = netobj.async_(here.root.eval("gate"))

    def _pass(self, value: Any = "through") -> Any:
        self.calls += 1
        self.entered.set()
        assert self.event.wait(20)
        if isinstance(value, str) and value == "fail":
            raise LookupError("failed")
        return value

    def open(self) -> None:
        self.event.set()


@pytest.fixture
def gate(pair: Callable[..., Any]) -> Iterator[Gate]:
    made = Gate(*pair())
    yield made
    made.open()


def test_ready_looks_and_value_waits(gate: Gate, until: Until) -> None:
    result = gate.call()
    assert not result.ready
    assert not result.error
    assert not result.expired
    assert "pending" in repr(result)
    gate.open()
    assert result.value == result.value == "through"
    assert result.ready
    assert not result.error
    assert "ready" in repr(result)
    other = gate.call()
    until(lambda: other.ready)


def test_an_error_is_raised_as_often_as_it_is_asked_for(gate: Gate) -> None:
    gate.open()
    result = gate.call("fail")
    result.wait()
    assert result.ready
    assert result.error
    for _ in range(2):
        with pytest.raises(LookupError, match="failed"):
            result.value  # noqa: B018


def test_expiry(gate: Gate, until: Until) -> None:
    result = gate.call()
    result.set_expiry(0.01)
    with pytest.raises(TimeoutError, match="before its expiry"):
        result.wait()
    assert result.expired
    assert not result.ready
    assert "expired" in repr(result)
    with pytest.raises(netobj.AsyncResultTimeout):
        result.value  # noqa: B018
    gate.open()
    until(lambda: not gate.here.session.pending)
    assert not result.ready  # what comes late does not change it


def test_an_expiry_can_be_taken_back(gate: Gate) -> None:
    result = gate.call()
    result.set_expiry(1000)
    result.set_expiry(None)
    assert not result.expired
    gate.open()
    assert result.value == "through"


def test_expired_says_so_without_a_wait(gate: Gate) -> None:
    result = gate.call()
    result.set_expiry(0)
    assert result.expired
    assert not result.ready


def test_timed(gate: Gate) -> None:
    timed = netobj.timed(gate.call, 0.01)
    assert repr(timed).endswith(", 0.01)")
    with pytest.raises(netobj.AsyncResultTimeout):
        timed().value  # noqa: B018
    gate.open()
    assert netobj.timed(gate.call.proxy, 20)(7).value == 7


def test_callbacks_run_in_a_worker_or_in_the_waiting_thread(gate: Gate) -> None:
    threads: list[threading.Thread] = []
    called = threading.Event()

    def note(result: netobj.AsyncResult) -> None:
        threads.append(threading.current_thread())
        assert result.value == "through"
        called.set()

    result = gate.call()
    result.add_callback(note)
    gate.open()
    assert called.wait(20)
    result.add_callback(note)  # at once
    assert threads[1] is threading.current_thread()
    assert threads[0] is not threading.current_thread()
    assert threads[0] is not io_thread()._thread


def test_a_callback_that_raises_is_logged_and_the_next_runs(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []
    result = gate.call()

    def fail(_result: netobj.AsyncResult) -> None:
        raise ZeroDivisionError("in a callback")

    result.add_callback(fail)
    result.add_callback(seen.append)
    gate.open()
    result.wait()
    result.add_callback(seen.append)
    assert "in a callback" in caplog.text
    assert seen == [result, result]


def test_a_callback_is_not_called_when_the_wait_only_expired(gate: Gate) -> None:
    seen: list[object] = []
    result = gate.call()
    result.add_callback(seen.append)
    result.set_expiry(0.01)
    with pytest.raises(netobj.AsyncResultTimeout):
        result.wait()
    assert seen == []


def test_callbacks_are_called_once_however_many_wait(gate: Gate, in_thread: Start) -> None:
    seen: list[object] = []
    result = gate.call()
    result.add_callback(seen.append)
    threads = [in_thread(result.wait) for _ in range(5)]
    gate.open()
    for thread in threads:
        thread.join(20)
    assert seen == [result]


def test_cancel(gate: Gate, until: Until) -> None:
    seen: list[object] = []
    running, waiting = gate.call(), gate.call()
    assert gate.entered.wait(20)
    waiting.add_callback(seen.append)
    assert waiting.cancel()
    assert not waiting.cancel()
    assert waiting.error
    with pytest.raises(netobj.CallCancelled, match="cancelled on this side"):
        waiting.value  # noqa: B018
    until(lambda: seen == [waiting])
    gate.here.ping()  # the other side has heard of it
    gate.open()
    assert running.value == "through"
    until(lambda: not gate.here.session.pending)
    assert gate.calls == 1  # what was cancelled before its turn never ran
    assert not running.cancel()


def test_an_answer_and_a_cancellation_exclude_each_other(gate: Gate) -> None:
    result = gate.call()
    assert result.cancel()
    result.complete(True, "late", False)
    with pytest.raises(netobj.CallCancelled):
        result.value  # noqa: B018
    other = gate.call()
    gate.open()
    assert other.value == "through"
    assert not other.cancel()
    assert other.value == "through"


def test_callbacks_are_not_lost_when_the_wait_is_interrupted(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = threading.Event()
    result = gate.call()
    result.add_callback(lambda _: called.set())

    def interrupted(waiter: Any, _deadline: object) -> None:
        waiter.complete(True, "came", False)
        raise KeyboardInterrupt

    monkeypatch.setattr(gate.here, "wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        result.wait()
    assert called.wait(20)


def test_future(gate: Gate) -> None:
    good, bad = gate.call().future(), gate.call("fail").future()
    assert not good.done()
    gate.open()
    assert good.result(20) == "through"
    assert isinstance(bad.exception(20), LookupError)


def test_cancelling_the_future_cancels_the_call(gate: Gate, until: Until) -> None:
    first = gate.call()
    result = gate.call()
    future = result.future()
    assert gate.entered.wait(20)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(20)
    assert result.error
    gate.here.ping()  # the other side has heard of it
    gate.open()
    assert first.value == "through"
    until(lambda: not gate.here.session.pending)
    assert gate.calls == 1


def test_a_future_of_a_call_that_expires(gate: Gate) -> None:
    result = gate.call()
    result.set_expiry(0.01)
    assert isinstance(result.future().exception(20), netobj.AsyncResultTimeout)


def test_await(gate: Gate) -> None:
    async def main() -> tuple[Any, Any]:
        first = gate.call(1)
        task = asyncio.ensure_future(asyncio.gather(first, gate.call(2)))
        await asyncio.sleep(0)
        gate.open()
        return tuple(await task)

    assert asyncio.run(main()) == (1, 2)


def test_await_raises_what_the_call_raised(gate: Gate) -> None:
    async def main() -> None:
        gate.open()
        with pytest.raises(LookupError, match="failed"):
            await gate.call("fail")

    asyncio.run(main())


def test_await_ends_with_the_expiry(gate: Gate) -> None:
    async def main() -> None:
        result = gate.call()
        result.set_expiry(0.01)
        with pytest.raises(netobj.AsyncResultTimeout):
            await result

    asyncio.run(main())


def test_a_cancelled_await_cancels_the_call(gate: Gate) -> None:
    result = gate.call()

    async def wait() -> None:
        await result

    async def main() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert result.error
    with pytest.raises(netobj.CallCancelled):
        result.value  # noqa: B018


# --- results that are passed on before they are there -------------------------------------------


def test_a_pending_result_is_passed_on_without_waiting(gate: Gate, until: Until) -> None:
    double = netobj.async_(gate.here.root.eval("lambda x, y=0: 2 * x + y"))
    first = gate.call(10)
    second = double(first)
    third = double(first, y=second)
    assert not third.ready
    gate.open()
    assert (third.value, second.value, first.value) == (40, 20, 10)
    assert double(first).value == 20  # now by its value
    until(lambda: gate.here.session.flush_releases() or not gate.there.session.boxing.answers)


def test_a_synchronous_call_with_a_pending_result(gate: Gate, in_thread: Start) -> None:
    double = gate.here.root.eval("lambda x: 2 * x")
    first = gate.call(10)
    seen: list[int] = []
    thread = in_thread(lambda: seen.append(double(first)))
    gate.here.ping()
    assert seen == []
    gate.open()
    thread.join(20)
    assert seen == [20]


def test_what_depends_on_a_failed_result_fails_with_its_error(gate: Gate) -> None:
    absolute = netobj.async_(gate.here.root.eval("abs"))
    first = gate.call("fail")
    second = absolute(first)
    third = absolute(second)
    gate.open()
    for result in (third, second, first):
        with pytest.raises(LookupError, match="failed"):
            result.value  # noqa: B018
    late = absolute(first)  # the error is here: nothing is sent
    assert late.error
    with pytest.raises(LookupError, match="failed"):
        late.value  # noqa: B018
    with pytest.raises(LookupError, match="failed"):
        gate.here.root.eval("abs")(first)
    with pytest.raises(LookupError, match="failed"):
        netobj.async_(first).real().value  # noqa: B018


def test_a_result_that_was_cancelled_or_has_expired_is_passed_on_as_that(
    gate: Gate, until: Until
) -> None:
    absolute = netobj.async_(gate.here.root.eval("abs"))
    cancelled, expired = gate.call(1), gate.call(2)
    assert cancelled.cancel()
    expired.set_expiry(0)
    assert expired.expired
    with pytest.raises(netobj.CallCancelled):
        absolute(cancelled).value  # noqa: B018
    gate.open()
    until(lambda: not gate.here.session.pending)
    with pytest.raises(netobj.AsyncResultTimeout):
        absolute(expired).value  # noqa: B018
    assert not expired.ready
    assert not expired.error
    until(lambda: gate.here.session.flush_releases() or not gate.there.session.boxing.answers)


def test_the_other_side_forgets_every_answer(gate: Gate, until: Until) -> None:
    gate.open()
    results = [gate.call(number) for number in range(100)]
    for number, result in enumerate(results):
        if number % 3 == 0:
            result.cancel()
        elif number % 3 == 1:
            result.set_expiry(0)
            assert result.expired or result.ready
    until(lambda: not gate.here.session.pending)
    gate.here.root.eval("1")  # carries what is left
    until(lambda: not gate.there.session.boxing.answers)
    assert not gate.there.session.running


def test_a_result_of_another_connection_goes_by_reference(
    gate: Gate, pair: Callable[..., Any]
) -> None:
    other, _ = pair()
    gate.open()
    result = gate.call(3)
    assert other.root.eval("lambda result: result")(result) is result


def test_an_expiry_that_meets_the_answer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    gate.open()
    result = gate.call(3)
    wait_for = gate.here.wait_for
    waits: list[object] = []

    def late(waiter: Any, deadline: float | None) -> None:
        waits.append(deadline)
        if len(waits) == 1:
            assert result._claim()  # the reader is about to fill the answer in
            return
        result._ticket.append(None)
        wait_for(waiter, deadline)

    monkeypatch.setattr(gate.here, "wait_for", late)
    result.set_expiry(1000)
    result.wait()
    assert result.value == 3
    assert waits[1] is None


def test_streams_are_awaited_as_what_loops_use(pair: Callable[..., Any]) -> None:
    class Rows(netobj.Service):
        @netobj.exposed(stream=True)
        def rows(self) -> Any:
            return iter("abc")

        def exposed_echo(self, stream: netobj.Duplex) -> None:
            for item in stream:
                stream.send(item)

    here, _ = pair(there=Rows)
    rows, echo = netobj.async_(here.root.rows), netobj.async_(here.root).echo.open

    async def main() -> None:
        result = rows()
        stream = await result
        assert [item async for item in stream] == ["a", "b", "c"]
        assert await result is stream
        async with await echo() as talk:
            await talk.send(1)
            assert await talk.receive() == 1

    asyncio.run(main())
    assert list(rows().value) == ["a", "b", "c"]
