from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest

import netobj
from netobj.calls import scope

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Until = Callable[[Callable[[], object]], None]


class Asked(netobj.Service):
    """Tells what it knows of the call that it serves."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.raised: list[type[BaseException]] = []
        self.calls = 0

    def exposed_name(self) -> str:
        call = netobj.current_call()
        return f"{call.name} in {call.where}"

    def exposed_left(self) -> float | None:
        return netobj.current_call().time_left

    def exposed_metadata(self) -> Any:
        return sorted(netobj.current_call().metadata.items())

    def exposed_back(self, function: Callable[[], Any]) -> Any:
        return function()

    def exposed_wait(self) -> None:
        call = netobj.current_call()
        self.calls += 1
        self.entered.set()
        pause = threading.Event()
        while not self.go_on.is_set():
            try:
                call.check()
            except BaseException as exc:
                self.raised.append(type(exc))
                raise
            pause.wait(0.001)

    def exposed_serves_nothing(self) -> bool:
        def look() -> None:
            with pytest.raises(RuntimeError, match="serves no call"):
                netobj.current_call()

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return True


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def here(pair: Pair, asked: Asked) -> netobj.Connection:
    return pair(there=asked)[0]


def test_the_call_that_is_served(here: netobj.Connection) -> None:
    assert here.root.name().startswith("Asked.name() in thread 'netobj worker")
    assert here.root.serves_nothing()
    with pytest.raises(RuntimeError, match="serves no call"):
        netobj.current_call()


def test_metadata_travels_and_is_not_inherited(pair: Pair) -> None:
    here, there = pair(Asked, Asked)
    back = there.root.metadata
    assert netobj.copy_of(here.root.metadata()) == []
    with netobj.metadata(user="alice", level=3):
        assert netobj.copy_of(here.root.metadata()) == [("level", 3), ("user", "alice")]
        result = netobj.async_(here.root.metadata)()
        assert here.root.back(lambda: scope.get().metadata) is None
        there.root.back(lambda: netobj.copy_of(back()))
    assert netobj.copy_of(result.value) == [("level", 3), ("user", "alice")]


def test_a_deadline_travels_and_is_inherited(pair: Pair) -> None:
    here, there = pair(Asked, Asked)
    assert here.root.left() is None
    with netobj.deadline(60):
        assert 0 < here.root.left() <= 60
        result = netobj.async_(here.root.left)()
        assert 0 < here.root.back(there.root.left) <= 60
        with netobj.deadline(1000):
            assert here.root.left() <= 60
    assert 0 < result.value <= 60
    assert 0 < netobj.timed(here.root.left, 60)().value <= 60
    assert 0 < here.async_request(1, here.root.left, timeout=60).value <= 60


def test_the_setting_and_the_deadline_both_count(pair: Pair, asked: Asked) -> None:
    here, _ = pair(there=asked, config={"sync_request_timeout": 60})
    assert 0 < here.root.left() <= 60
    with netobj.deadline(1000):
        assert 0 < here.root.left() <= 60
    with netobj.deadline(30):
        assert 0 < here.root.left() <= 30


def test_a_deadline_that_has_passed_sends_nothing(
    here: netobj.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = here.root.name
    monkeypatch.setattr(here.session, "request", None)
    with netobj.deadline(0):
        for call in (name, netobj.async_(name)):
            with pytest.raises(netobj.AsyncResultTimeout, match="before the call was sent"):
                call()
    with pytest.raises(netobj.AsyncResultTimeout, match="before the call was sent"):
        netobj.timed(name, 0)()


@pytest.mark.parametrize("how", ["cancel", "deadline", "expiry", "close", "lose"])
def test_cancellation_reaches_a_plain_function(
    pair: Pair, asked: Asked, until: Until, how: str
) -> None:
    here, there = pair(there=asked)
    if how == "deadline":
        with netobj.deadline(0.5), pytest.raises(netobj.AsyncResultTimeout):
            here.root.wait()  # begins before that, also where the machine is slow
    else:
        result = netobj.timed(here.root.wait, 0.5 if how == "expiry" else None)()
        assert asked.entered.wait(20)
        if how == "cancel":
            result.cancel()
        elif how == "close":
            here.close()
        elif how == "lose":
            there.close()
    until(lambda: asked.raised)
    late = how in ("deadline", "expiry")
    assert asked.raised in ([netobj.CallCancelled], [netobj.AsyncResultTimeout] * late)
    until(lambda: not there.session.running)


def test_a_call_whose_deadline_passed_before_its_turn_never_starts(
    pair: Pair, asked: Asked, until: Until
) -> None:
    here, there = pair(there=asked)
    first = netobj.async_(here.root.wait)()
    assert asked.entered.wait(20)
    second = netobj.timed(here.root.wait, 0.02)()
    with pytest.raises(netobj.AsyncResultTimeout):
        second.wait()
    until(lambda: len(there.session.running) == 2)
    late = next(one for one in there.session.running.values() if one.deadline is not None)
    until(lambda: late.deadline < time.monotonic())  # over there, too, which heard of it later
    asked.go_on.set()
    first.wait()
    until(lambda: not there.session.running)
    assert asked.calls == 1


def test_what_is_served_while_a_thread_waits_has_a_scope_of_its_own(pair: Pair) -> None:
    here, _ = pair(there=Asked)
    seen: list[Any] = []

    def note() -> None:
        seen.append(netobj.current_call().connection)
        seen.append(scope.get().metadata)

    with netobj.metadata(user="alice"):
        here.root.back(note)
        assert scope.get().call is None
        assert scope.get().metadata == {"user": "alice"}
    assert seen == [here, None]


def test_a_chain_holds_only_in_its_own_thread(pair: Pair) -> None:
    """What copies the context of a call into another thread begins chains of its own there."""
    chains: list[int] = []
    threads: list[int] = []

    class Copying(netobj.Service):
        def exposed_run(self, back: Callable[[], Any]) -> None:
            here = threading.get_ident()
            chains.append(scope.get().request.chain)  # type: ignore[union-attr]
            back()
            copy_context().run(back)
            thread = threading.Thread(target=copy_context().run, args=(back,))
            thread.start()
            thread.join()
            assert threading.get_ident() == here

    def back() -> None:
        chains.append(scope.get().request.chain)  # type: ignore[union-attr]
        threads.append(threading.get_ident())

    here, _ = pair(there=Copying)
    here.root.run(back)
    assert chains[:3] == [chains[0]] * 3
    assert chains[3] != chains[0]
    mine = threading.get_ident()
    assert [thread == mine for thread in threads] == [True, True, False]


def test_calls_in_one_another_are_counted_where_they_run(pair: Pair) -> None:
    theirs: list[int] = []
    mine: list[int] = []

    class Nesting(netobj.Service):
        def exposed_down(self, left: int, back: Callable[[int], Any]) -> None:
            theirs.append(scope.get().depth)
            if left:
                with netobj.metadata(left=left):
                    back(left - 1)

    def back(left: int) -> None:
        mine.append(scope.get().depth)
        here.root.down(left - 1, back)

    here, _ = pair(there=Nesting)
    for _ in range(2):
        here.root.down(4, back)
        assert (theirs, mine) == ([0, 1, 2], [0, 1])
        theirs.clear()
        mine.clear()
        assert scope.get().depth == 0
