from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netobj.blocking import waiting
from netobj.blocking.waiting import Latch, Waiter, chains, find_waiter, lane_of_thread
from netobj.core.numbers import Numbers, numbers


class FakeConnection:
    def __init__(self) -> None:
        self.interrupted: list[Waiter] = []

    def interrupt_reader(self, waiter: Waiter) -> None:
        self.interrupted.append(waiter)


@pytest.fixture
def chain() -> Iterator[int]:
    number = next(numbers.chains)
    yield number
    chains.pop(number, None)


def test_complete_wakes_the_thread_that_sleeps(in_thread: Callable[..., Any]) -> None:
    waiter = Waiter(FakeConnection())
    waiter.prepare_sleep()
    in_thread(waiter.complete, True, "answer", False)
    while not waiter.done:
        waiter.sleep(20)
    assert (waiter.ok, waiter.answer, waiter.deferred) == (True, "answer", False)


def test_a_wake_before_the_sleep_is_not_lost() -> None:
    waiter = Waiter(FakeConnection())
    waiter.wake()  # nobody sleeps yet
    waiter.prepare_sleep()
    waiter.wake()
    waiter.wake()
    waiter.sleep(-1)  # returns at once


def test_a_sleep_ends_by_its_time() -> None:
    waiter = Waiter(FakeConnection())
    waiter.prepare_sleep()
    waiter.sleep(0.001)
    assert not waiter.done


def test_a_job_interrupts_the_reader_only() -> None:
    connection = FakeConnection()
    waiter = Waiter(connection)
    waiter.assign((print, 1))
    assert connection.interrupted == []
    waiter.reading = True
    waiter.assign((print, 2))
    assert connection.interrupted == [waiter]
    assert [argument for _, argument in waiter.jobs] == [1, 2]


def test_finish_wakes_the_reader_too() -> None:
    connection = FakeConnection()
    waiter = Waiter(connection)
    waiter.finish()
    assert waiter.done
    assert connection.interrupted == []
    waiter.reading = True
    waiter.finish()
    assert connection.interrupted == [waiter]


def test_the_innermost_waiter_of_the_chain_is_found(chain: int) -> None:
    connection = FakeConnection()
    outer, inner = Waiter(connection), Waiter(connection)
    assert find_waiter(chain, connection, 1, False) is None
    chains[chain] = [outer]
    assert find_waiter(chain, connection, 1, False) is outer
    chains[chain].append(inner)
    assert find_waiter(chain, connection, 1, False) is inner


def test_who_asks_in_the_same_process_is_not_who_waits_to_serve(chain: int) -> None:
    here, there = FakeConnection(), FakeConnection()
    outer, asker = Waiter(here), Waiter(there)
    asker.seq = 17
    chains[chain] = [outer, asker]
    assert find_waiter(chain, here, 17, True) is outer
    assert find_waiter(chain, here, 17, False) is asker
    assert find_waiter(chain, there, 17, True) is asker


def test_each_thread_has_a_lane_of_its_own(in_thread: Callable[..., Any]) -> None:
    lanes: list[int] = []
    in_thread(lambda: lanes.extend([lane_of_thread(), lane_of_thread()])).join()
    assert lanes[0] == lanes[1] != lane_of_thread() == lane_of_thread()


def test_numbers_are_renewed_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Numbers()
    monkeypatch.setattr(waiting, "numbers", fresh)
    monkeypatch.setattr(waiting, "chains", {1: []})
    process, first = fresh.process, next(fresh.chains)
    waiting.after_fork_in_child()
    assert waiting.chains == {}
    assert fresh.process != process
    assert abs(next(fresh.chains) - first) > 1


def test_kept_exceptions_are_let_go_where_they_were_kept() -> None:
    class FakeSession:
        def __init__(self) -> None:
            self.gone: list[int] = []

        def let_go(self, kept: list[int]) -> None:
            self.gone += kept

    waiter = Waiter(FakeConnection())
    one, other = FakeSession(), FakeSession()
    waiter.keep_for(one).append(1)  # type: ignore[arg-type]
    waiter.keep_for(other).extend([2, 3])  # type: ignore[arg-type]
    waiter.let_go()
    assert (one.gone, other.gone, waiter.kept_exceptions) == ([1], [2, 3], None)


def test_a_latch_lets_all_go_on_who_wait() -> None:
    latch = Latch()
    assert not latch.wait(0)
    assert not latch.wait(0.001)
    went_on: list[bool] = []
    threads = [threading.Thread(target=lambda: went_on.append(latch.wait(None))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert went_on == []
    latch.set()
    for thread in threads:
        thread.join(20)
    assert went_on == [True] * 5
    assert latch.is_set
    assert latch.wait(0)
