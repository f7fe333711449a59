from __future__ import annotations

import os
import threading

import pytest

from netobj.interceptors import buckets
from netobj.interceptors.buckets import Buckets, Rate

SECOND = 1_000_000_000


def test_so_many_at_once_and_then_one_at_each_interval() -> None:
    limit = Buckets(Rate(10, 1.0, burst=3))
    assert [limit.take("a", 0) for _ in range(4)] == [0, 0, 0, 0.1]
    assert limit.take("a", SECOND // 20) == 0.05
    assert limit.take("a", SECOND // 10) == 0
    assert limit.take("a", SECOND // 10) == 0.1
    assert [limit.take("a", 9 * SECOND) for _ in range(4)] == [0, 0, 0, 0.1]


def test_who_is_refused_pays_nothing_and_each_key_has_its_own() -> None:
    limit = Buckets(Rate(1, 1.0, burst=1))
    assert limit.take("a", 0) == 0
    assert {limit.take("a", 0) for _ in range(100)} == {1.0}
    assert limit.take("b", 0) == 0
    assert limit.take("a", SECOND) == 0


@pytest.mark.parametrize("amount", [3, 7, 1000, 999_999])
def test_odd_numbers_give_the_whole_burst(amount: int) -> None:
    limit = Buckets(Rate(amount, 1.0, burst=amount))
    assert {limit.take("a", 17) for _ in range(amount)} == {0}
    assert limit.take("a", 17) > 0


def test_a_clock_that_stands_or_steps_back_gives_nothing_away() -> None:
    limit = Buckets(Rate(1, 1.0, burst=1))
    assert limit.take("a", 5 * SECOND) == 0
    assert limit.take("a", 4 * SECOND) == 2.0


def test_full_buckets_are_forgotten() -> None:
    limit = Buckets(Rate(1, 1.0, burst=5))
    for number in range(10 * buckets._FEWEST):
        limit.take(number, number * SECOND // 10)
    assert len(limit) <= buckets._FEWEST + 1


def test_names_that_are_made_up_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "_MOST", 3000)
    limit = Buckets(Rate(1, 3600.0, burst=2))
    assert limit.take("empty", 0) + limit.take("empty", 0) == 0
    for number in range(20_000):
        limit.take(number, 1)
        assert len(limit) <= 3001
    assert limit.take("empty", 1) > 0


def test_threads_get_what_there_is_and_no_more() -> None:
    limit = Buckets(Rate(1, 3600.0, burst=100))
    taken: list[float] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        taken.extend(limit.take("a") for _ in range(50))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(0.0) == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_wait_for_a_lock_that_was_held_when_it_was_made() -> None:
    limit = Buckets(Rate(1, 1.0, burst=1))
    with limit._lock:
        child = os.fork()
        if not child:
            os._exit(int(limit.take("a")))
    assert os.waitpid(child, 0)[1] == 0
