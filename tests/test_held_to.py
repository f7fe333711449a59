"""The figures that the core is held to, with smaller numbers; benchmarks/held_to.py prints them.

Counts, orders and absences are asserted; of times only those that say "not stuck", with bounds
far above what is measured.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "held_to.py"


@pytest.fixture(scope="module")
def held_to() -> ModuleType:
    spec = importlib.util.spec_from_file_location("held_to", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_plain_spelling_is_one_round_trip(held_to: ModuleType) -> None:
    assert set(held_to.round_trips().values()) == {1}


def test_fresh_lists_leave_nothing_behind(held_to: ModuleType, scale: int) -> None:
    assert held_to.fresh_lists(1_000 * scale)["left in the server's table"] == 0


def test_threads_share_a_connection(held_to: ModuleType, scale: int) -> None:
    assert held_to.shared_by_threads(32, 40 * scale) == {"threads that ended": 32, "faults": 0}


def test_an_event_comes_while_the_client_is_in_its_own_code(held_to: ModuleType) -> None:
    assert held_to.callback_while_asleep() < 5_000


@pytest.mark.parametrize("method", ["sleep", "compute"])
def test_a_long_call_does_not_hold_up_a_quick_one(held_to: ModuleType, method: str) -> None:
    seconds = 2.0
    assert held_to.beside_a_long_call(method, seconds, 20) < seconds * 1000 / 2


def test_events_arrive_in_order_one_at_a_time(held_to: ModuleType) -> None:
    assert set(held_to.ordered_events(50).values()) == {True}


def test_calls_that_wait_for_one_another_end(held_to: ModuleType) -> None:
    held_to.barrier(500)  # ends, or the time limit of the test run says that it hangs


def test_dropped_objects_leave_both_tables_empty(held_to: ModuleType, scale: int) -> None:
    left = held_to.objects_dropped(5_000 * scale)
    assert left == {"left in the server's table": 0, "left in the client's table": 0}


def test_bad_peers_lose_their_connection_and_nobody_else_does(held_to: ModuleType) -> None:
    assert len(held_to.bad_peers()) == 5  # asserts inside that a bystander is served on


def test_waiting_calls_fail_with_the_connection(held_to: ModuleType) -> None:
    held_to.lost_connection(100)  # asserts inside that each failed with a reason
