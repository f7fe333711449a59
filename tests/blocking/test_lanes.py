from __future__ import annotations

import threading

from netobj.blocking.lanes import Lanes


def test_only_the_first_of_a_lane_is_to_be_worked_off() -> None:
    lanes: Lanes[str] = Lanes()
    assert lanes.put(1, "a")
    assert not lanes.put(1, "b")
    assert lanes.put(2, "other")
    assert [lanes.next(1), lanes.next(1), lanes.next(1)] == ["a", "b", None]
    assert lanes.put(1, "again")
    assert lanes.next(2) == "other"


def test_a_lane_is_gone_when_it_was_worked_off() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.put(7, 1)
    lanes.next(7)
    lanes.next(7)
    assert lanes._queues == {}


def test_nothing_is_lost_or_overtaken_with_many_threads(scale: int) -> None:
    lanes: Lanes[int] = Lanes()
    seen: list[int] = []
    working = threading.Lock()
    total = 2000 * scale

    def work_off() -> None:
        while True:
            item = lanes.next(1)
            if item is None:
                return
            assert working.acquire(blocking=False), "two threads work on one lane"
            seen.append(item)
            working.release()

    threads: list[threading.Thread] = []
    for item in range(total):
        if lanes.put(1, item):
            threads.append(threading.Thread(target=work_off))
            threads[-1].start()
    for thread in threads:
        thread.join()
    assert seen == list(range(total))


def test_what_comes_next_can_be_seen() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.put(1, "a")
    assert lanes.peek(1) == "a"
    lanes.put(1, "b")
    assert [lanes.next(1), lanes.peek(1), lanes.next(1), lanes.peek(1)] == ["a", "b", "b", None]
