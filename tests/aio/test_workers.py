"""Threads of an event loop's server: daemons, shared fairly."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from netobj.aio import workers as workers_module
from netobj.aio.workers import Workers, in_thread
from patience import HANG, wait_until


def test_work_is_done_in_order_and_told() -> None:
    share = Workers(1, "worker").share()
    done: list[Any] = []
    futures = [share.submit(done.append, number) for number in range(5)]
    assert share.submit(divmod, 7, 2).result(HANG) == (3, 1)
    assert [future.result(HANG) for future in futures] == [None] * 5
    assert done == list(range(5))
    with pytest.raises(ZeroDivisionError):
        share.submit(divmod, 1, 0).result(HANG)
    assert share.submit(threading.current_thread).result(HANG).daemon
    assert share.submit(threading.current_thread).result(HANG).name == "worker_0"
    share.shutdown()


def test_no_more_threads_than_allowed_and_some_for_others() -> None:
    workers = Workers(4, "worker")
    greedy, other = workers.share(), workers.share()
    gate = threading.Event()
    begun: list[int] = []

    def wait(number: int) -> None:
        begun.append(number)
        gate.wait(HANG)

    waiting = [greedy.submit(wait, number) for number in range(20)]
    assert other.submit(lambda: 7).result(HANG) == 7
    wait_until(lambda: len(begun) == 3)
    gate.set()
    assert [future.result(HANG) for future in waiting] == [None] * 20
    assert begun[3:] == sorted(begun[3:]) or len(begun) == 20
    workers.shutdown()


def test_an_idle_thread_is_enough_for_one() -> None:
    """What is added before it is awake has threads of its own: else it would wait for ever."""
    for _ in range(20):
        workers = Workers(3, "worker")
        share = workers.share()
        share.submit(lambda: None).result(HANG)
        wait_until(lambda workers=workers: workers._idle == 1)
        together = threading.Barrier(3)
        waiting = [share.submit(together.wait, HANG) for _ in range(3)]
        assert sorted(future.result(HANG) for future in waiting) == [0, 1, 2]
        workers.shutdown()


def test_the_end() -> None:
    workers = Workers(1, "worker")
    share = workers.share()
    gate, began = threading.Event(), threading.Event()

    def wait() -> bool:
        began.set()
        return gate.wait(HANG)

    first = share.submit(wait)
    assert began.wait(HANG)
    second: Future[Any] = share.submit(wait)
    share.shutdown()
    with pytest.raises(CancelledError):
        second.result(HANG)
    with pytest.raises(RuntimeError, match="shut down"):
        share.submit(wait)
    gate.set()
    assert first.result(HANG)
    wait_until(lambda: not workers._count)


def test_what_is_cancelled_does_not_run() -> None:
    share = Workers(1, "worker").share()
    gate = threading.Event()
    share.submit(gate.wait, HANG)
    ran: list[None] = []
    assert share.submit(ran.append, None).cancel()
    gate.set()
    assert share.submit(lambda: 1).result(HANG) == 1
    assert not ran
    share.shutdown()


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "IDLE_SECONDS", 0.01)
    workers = Workers(2, "worker")
    assert workers.share().submit(lambda: 1).result(HANG) == 1
    wait_until(lambda: not workers._count)
    assert workers.share().submit(lambda: 2).result(HANG) == 2
    workers.shutdown()


def test_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = Workers(2, "worker")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            workers.share().submit(lambda: 1)
    assert workers.share().submit(lambda: 2).result(HANG) == 2
    workers.shutdown()


def test_a_thread_of_its_own() -> None:
    assert in_thread(divmod, 7, 2).result(HANG) == (3, 1)
