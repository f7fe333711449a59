"""The threads in which plain functions run beside an event loop."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import CancelledError

import pytest

from netobj.aio import workers as module
from netobj.aio.workers import Workers
from patience import HANG, wait_until


def test_results_and_errors() -> None:
    workers = Workers(2)
    assert workers.submit(max, [3, 5], key=lambda n: -n).result(HANG) == 3
    for error in (ValueError("x"), SystemExit(3), KeyboardInterrupt()):

        def fail(error: BaseException = error) -> None:
            raise error

        assert workers.submit(fail).exception(HANG) is error
    with pytest.raises(ValueError, match="one worker"):
        Workers(0)


def test_never_more_than_the_limit_and_all_are_run() -> None:
    workers = Workers(3)
    lock = threading.Lock()
    inside = most = 0
    ran: Counter[int] = Counter()

    def work(number: int) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
            ran[number] += 1

    def add(first: int) -> None:
        for number in range(first, first + 500):
            workers.submit(work, number)

    threads = [threading.Thread(target=add, args=(n * 500,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(ran) == 2000)
    assert set(ran.values()) == {1}
    assert most <= 3
    wait_until(lambda: len(workers._tickets) == 3)


def test_what_has_not_begun_can_be_cancelled() -> None:
    workers = Workers(1)
    gate = threading.Event()
    first = workers.submit(gate.wait, HANG)
    second, third = workers.submit(abs, -1), workers.submit(abs, -2)
    wait_until(first.running)
    assert second.cancel()
    gate.set()
    assert first.result(HANG)
    assert third.result(HANG) == 2
    with pytest.raises(CancelledError):
        second.result(HANG)


@pytest.mark.parametrize("cancel", [False, True])
def test_shutting_down(cancel: bool) -> None:
    workers = Workers(1)
    gate = threading.Event()
    first, second = workers.submit(gate.wait, HANG), workers.submit(abs, -1)
    wait_until(first.running)
    workers.shutdown(cancel_futures=cancel)
    with pytest.raises(RuntimeError, match="shut down"):
        workers.submit(abs, -1)
    gate.set()
    assert first.result(HANG)
    if cancel:
        assert second.cancelled()
    else:
        assert second.result(HANG) == 1


def test_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def submit(self, job: object) -> bool:
            return False

    workers = Workers(2)
    gate = threading.Event()
    first = workers.submit(gate.wait, HANG)
    wait_until(first.running)
    with monkeypatch.context() as patch:
        patch.setattr(module, "pool", Full())
        second = workers.submit(abs, -1)  # the thread that there is will come to it
        with pytest.raises(RuntimeError, match="no thread"):
            Workers(2).submit(abs, -1)
    gate.set()
    assert second.result(HANG) == 1
