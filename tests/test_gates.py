"""The limits of the functions of a process: keys, leases, and slots that processes share."""

from __future__ import annotations

import gc
import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

import netobj
from netobj import gates
from netobj.core.admission import Counter, Verdict
from netobj.core.exposure import Exposure, exposed, exposure_of
from netobj.core.outcomes import Opener, Ruled
from netobj.errors import Busy
from netobj.gates import Entrance, Gate, Lease, Place


def nothing() -> None:
    """Nobody is told."""


def gate(limit: int = 1, queue: int = 1) -> Gate:
    return Gate(Exposure(limit=limit, queue=queue), "f")


def test_who_has_been_let_in_is_told() -> None:
    told: list[str] = []
    one = gate()
    assert one.enter(None, Place(nothing)) is Verdict.INSIDE
    place = Place(lambda: told.append("now"))
    assert one.enter(None, place) is Verdict.WAITS
    one.leave(None)
    assert (told, place.inside, one.count()) == (["now"], True, (1, 0))


def test_each_key_has_its_own_limit_and_nothing_is_left_of_it() -> None:
    one = gate(queue=0)
    assert one.enter("a", Place(nothing)) is Verdict.INSIDE
    assert one.enter("b", Place(nothing)) is Verdict.INSIDE
    assert one.enter("a", Place(nothing)) is Verdict.FULL
    for key in "ab":
        one.leave(key)
    assert not one._admissions


def test_a_lease_ends_once() -> None:
    one = gate(limit=2)
    for _ in range(2):
        one.enter(None, Place(nothing))
    lease = Lease(one, None)
    lease.end()
    lease.end()
    assert one.count() == (1, 0)


def test_a_lease_that_is_dropped_counts_as_ended_with_the_next_call() -> None:
    one = gate(queue=0)
    one.enter(None, Place(nothing))
    lease = Lease(one, None)
    del lease
    gc.collect()
    assert one.enter(None, Place(nothing)) is Verdict.INSIDE


def ruled(function: Any) -> Ruled:
    exposure = exposure_of(function)
    assert exposure is not None
    return Ruled(exposure, function, (), {}, lambda value: value)


class Connection:
    """What gates need of one."""

    def __init__(self, endpoints: Any) -> None:
        self.session = SimpleNamespace(side="here")
        self.config = SimpleNamespace(endpoints=endpoints)


def connection(endpoints: Any = None) -> Any:
    return Connection(endpoints)


def test_bound_methods_of_all_objects_share_the_gate_of_their_function() -> None:
    class Sample:
        @exposed(limit=1)
        def method(self) -> None: ...

    first, second = Sample().method, Sample().method
    assert Entrance(ruled(first), connection()).gate is Entrance(ruled(second), connection()).gate
    opener = Ruled(Exposure(limit=1), Opener(first), (), {}, nothing)  # type: ignore[arg-type]
    assert Entrance(opener, connection()).gate is Entrance(ruled(first), connection()).gate


def test_the_gate_goes_with_its_function() -> None:
    @exposed(limit=1)
    def function() -> None: ...

    Entrance(ruled(function), connection())
    key = id(function)
    assert key in gates._gates
    del function
    gc.collect()
    assert key not in gates._gates


def test_what_takes_no_weak_reference_has_a_gate_too() -> None:
    class Callable:
        __slots__ = ("__dict__",)

        def __call__(self) -> None: ...

    function = exposed(limit=1)(Callable())
    one = Entrance(ruled(function), connection())
    assert one.gate is Entrance(ruled(function), connection()).gate
    gates._gates.pop(id(function))


@pytest.mark.parametrize("per", ["connection", "address"])
def test_who_is_counted_together(per: str) -> None:
    @exposed(limit=1, limit_per=per)
    def function() -> None: ...

    here = connection((("10.0.0.1", 1), ("10.0.0.2", 2)))
    same_address = connection((("10.0.0.1", 1), ("10.0.0.2", 3)))
    other = connection((("10.0.0.1", 1), ("10.0.0.3", 2)))
    leases = [Entrance(ruled(function), here).enter(Place(nothing))]
    leases.append(Entrance(ruled(function), other).enter(Place(nothing)))
    with pytest.raises(Busy, match=f"of this {per}, which is its limit: try again later"):
        Entrance(ruled(function), here).enter(Place(nothing))
    entrance = Entrance(ruled(function), same_address)
    if per == "address":
        with pytest.raises(Busy):
            entrance.enter(Place(nothing))
    else:
        leases.append(entrance.enter(Place(nothing)))
    assert all(leases)


def test_a_limit_that_processes_share() -> None:
    svc = netobj.FunctionService("calc")
    svc.register(len, limit=1, queue=1)
    svc.register(abs, limit=5, group="numbers", limit_per="connection")
    svc.register(min, limit=2, group="numbers", limit_per="address")
    svc.register(max)
    found = gates.shared_limits(svc)
    assert {name: exposure.limit for name, (_, exposure) in found.items()} == {
        "len": 1,
        "numbers.min": 2,
    }
    function, exposure = found["len"]
    slots = Counter(1)
    gates.use_slots(function, exposure, lambda key: slots)
    assert slots.try_take()  # by another process
    told = threading.Event()
    place = Place(told.set)
    assert Entrance(ruled(function), connection()).enter(place) is None
    gates.retry()
    assert not place.inside
    slots.give()
    gates.retry()
    assert place.inside
    assert told.is_set()
    assert slots.free == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_has_none_of_its_parents_calls() -> None:
    @exposed(limit=1)
    def function() -> None: ...

    entrance = Entrance(ruled(function), connection())
    lease = entrance.enter(Place(nothing))
    pid = os.fork()
    if not pid:  # pragma: no cover (in the child)
        free = entrance.enter(Place(nothing)) is not None
        os._exit(0 if free else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert lease is not None
    with pytest.raises(Busy):
        entrance.enter(Place(nothing))
