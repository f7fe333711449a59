"""Counters that processes share, and what is left of them when one is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from patience import HANG, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

if sys.platform != "win32":
    import fcntl

    from netobj.servers.shared_slots import SharedSlots, SharedTable


@pytest.fixture
def table() -> Iterator[SharedTable]:
    made = SharedTable(workers=3)
    yield made
    made.close()


def forked(work: Callable[[], object]) -> int:
    """The process that does *work*, and ends with 0 if that succeeds."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended(pid: int) -> int:
    """How the process *pid* has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_as_many_as_the_limit(table: SharedTable) -> None:
    slots = SharedSlots(table, "oven", 2)
    assert [slots.try_take() for _ in range(3)] == [True, True, False]
    slots.give()
    assert slots.try_take()
    assert slots.counts() == [2, 0, 0]


def test_names_are_limits_of_their_own(table: SharedTable) -> None:
    names = ["bake", ("bake", "10.0.0.1"), ("bake", "10.0.0.2")]
    for name in names:
        assert SharedSlots(table, name, 1).try_take()
    for name in names:
        assert not SharedSlots(table, name, 1).try_take()


def test_the_limit_holds_for_all_processes(table: SharedTable) -> None:
    """Never more than four inside, counted apart from the slots, under a lock of its own."""
    slots = SharedSlots(table, "oven", 4)
    inside = SharedSlots(SharedTable(3), "inside", 10**9)

    def work(number: int) -> None:
        table.mine = inside._table.mine = number
        done = 0
        while done < 300:
            if slots.try_take():
                inside.try_take()
                assert sum(inside.counts()) <= 4
                inside.give()
                slots.give()
                done += 1

    pids = [forked(lambda number=number: work(number)) for number in range(3)]  # type: ignore[misc]
    assert [ended(pid) for pid in pids] == [0, 0, 0]
    assert slots.counts() == [0, 0, 0]
    inside._table.close()


def test_threads_of_one_process(table: SharedTable) -> None:
    slots = SharedSlots(table, "oven", 10**6)

    def work() -> None:
        for _ in range(300):
            assert slots.try_take()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert slots.counts() == [1200, 0, 0]


def test_slots_of_a_process_that_was_killed_come_back(table: SharedTable) -> None:
    slots = SharedSlots(table, "oven", 2)

    def work() -> None:
        table.mine = 1
        slots.try_take()
        slots.try_take()
        signal.pause()

    pid = forked(work)
    wait_until(lambda: slots.counts() == [0, 2, 0])
    assert not slots.try_take()
    os.kill(pid, signal.SIGKILL)
    assert ended(pid) == -signal.SIGKILL
    assert not slots.try_take()
    table.forget(1)
    assert slots.try_take()


def test_a_process_that_is_killed_while_it_counts_holds_nobody_up(table: SharedTable) -> None:
    slots = SharedSlots(table, "oven", 2)
    here, there = os.pipe()

    def work() -> None:
        with table._locked():
            os.write(there, b"!")
            signal.pause()

    pid = forked(work)
    assert os.read(here, 1) == b"!"
    with pytest.raises(BlockingIOError):
        fcntl.lockf(table._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    assert slots.try_take()
    os.close(here)
    os.close(there)


def test_rows_are_used_again_when_nobody_is_in() -> None:
    table = SharedTable(workers=1, rows=4)
    kept = SharedSlots(table, "kept", 1)
    assert kept.try_take()
    for number in range(100):
        slots = SharedSlots(table, number, 1)
        assert slots.try_take()
        assert not slots.try_take()
        slots.give()
    assert not kept.try_take()
    table.close()


def test_a_table_that_is_full_admits_nobody_else() -> None:
    table = SharedTable(workers=1, rows=4)
    slots = [SharedSlots(table, number, 1) for number in range(5)]
    assert [one.try_take() for one in slots] == [True] * 4 + [False]
    assert slots[4].counts() == [0]
    slots[2].give()
    assert slots[4].try_take()
    assert [one.try_take() for one in slots] == [False] * 5
    table.close()
