"""The figures that netobj is held to, with smaller numbers; the programs in benchmarks/ print them.

Counts, orders and absences are asserted; of times only those that say "not stuck", with bounds
far above what is measured.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import cancelling
import held_to
import idle
import load
import pipelining
import streams
from processes import SERVERS

PAIRINGS = [
    (client, kind) for client in ("blocking", "aio") for kind in ("ThreadedServer", "aio.Server")
]
pairings = pytest.mark.parametrize(("client", "kind"), PAIRINGS)
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the memory of processes is read from /proc"
)


def test_each_plain_spelling_is_one_round_trip() -> None:
    assert set(held_to.round_trips().values()) == {1}


def test_fresh_lists_leave_nothing_behind(scale: int) -> None:
    assert held_to.fresh_lists(1_000 * scale)["left in the server's table"] == 0


def test_threads_share_a_connection(scale: int) -> None:
    assert held_to.shared_by_threads(32, 40 * scale) == {"threads that ended": 32, "faults": 0}


def test_an_event_comes_while_the_client_is_in_its_own_code() -> None:
    assert held_to.callback_while_asleep() < 5_000


@pytest.mark.parametrize("method", ["sleep", "compute"])
def test_a_long_call_does_not_hold_up_a_quick_one(method: str) -> None:
    seconds = 2.0
    assert held_to.beside_a_long_call(method, seconds, 20) < seconds * 1000 / 2


def test_events_arrive_in_order_one_at_a_time() -> None:
    assert set(held_to.ordered_events(50).values()) == {True}


def test_calls_that_wait_for_one_another_end() -> None:
    held_to.barrier(500)  # ends, or the time limit of the test run says that it hangs


def test_dropped_objects_leave_both_tables_empty(scale: int) -> None:
    left = held_to.objects_dropped(5_000 * scale)
    assert left == {"left in the server's table": 0, "left in the client's table": 0}


def test_bad_peers_lose_their_connection_and_nobody_else_does() -> None:
    assert len(held_to.bad_peers()) == 5  # asserts inside that a bystander is served on


def test_waiting_calls_fail_with_the_connection() -> None:
    held_to.lost_connection(100)  # asserts inside that each failed with a reason


# --- streams, pipelining, cancellation -----------------------------------------------------------


@needs_proc
@pairings
def test_a_stream_takes_no_memory_and_its_producer_stops(client: str, kind: str) -> None:
    method = "plain" if kind == "ThreadedServer" else "asynchronous"
    figures = streams.measure(client, kind, method, 40_000, rest=0.05)
    assert figures["items ahead of a resting consumer"] < 5_000
    assert figures["client grew by MiB"] < 10
    assert figures["server grew by MiB"] < 10


@needs_proc
def test_idle_connections_take_little_memory(scale: int) -> None:
    assert idle.measure("asyncio", 400 * scale, 20)["KiB"] <= 16


@pairings
def test_a_pipelined_chain_is_one_round_trip(client: str, kind: str) -> None:
    figures = pipelining.measure(client, kind, 10, 0.1)
    assert figures["the chain: round trips"] == 1


@pairings
def test_calls_given_up_leave_nothing_behind(client: str, kind: str, scale: int) -> None:
    found = cancelling.measure(client, kind, cancelling.Storm(0.5 * scale, width=100, rounds=1))
    assert found["faults"] == []
    assert found["left"] == {}


# --- clients that come and go ---------------------------------------------------------------------


@needs_proc
@pytest.mark.parametrize(
    ("client", "kind"), [*(("blocking", kind) for kind in SERVERS), ("aio", "aio.Server")]
)
def test_clients_that_come_and_go_leave_nothing_behind(client: str, kind: str, scale: int) -> None:
    found = load.measure(client, kind, load.Load(1.0 * scale, clients=30))
    assert found["faults"] == []
    assert found["left"] == {}
