from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import netobj
from netobj.blocking import dispatch as dispatch_module
from netobj.blocking.pool import WorkerPool
from netobj.blocking.waiting import Waiter, chains
from netobj.core.events import Request
from netobj.core.numbers import numbers
from netobj.core.promises import Answer

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Start = Callable[..., threading.Thread]
Until = Callable[[Callable[[], object]], None]


class Events(netobj.Service):
    """Notes the order of calls, and whether any overlap."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.inside = 0
        self.overlap = False
        self.barrier = threading.Barrier(5)

    def exposed_note(self, number: int) -> None:
        self.inside += 1
        threading.Event().wait(0.0005)
        self.overlap |= self.inside > 1
        self.seen.append(number)
        self.inside -= 1

    @netobj.exposed(concurrent=True)
    def meet(self) -> int:
        return self.barrier.wait(20)


def test_asynchronous_calls_run_in_order_and_do_not_overlap(pair: Pair) -> None:
    service = Events()
    here, _ = pair(there=service)
    note = netobj.async_(here.root.note)
    results = [note(i) for i in range(50)]
    for result in results:
        result.wait()
    assert service.seen == list(range(50))
    assert not service.overlap


class Gated(netobj.Service):
    """A method that is quick but for one call, which waits for what its caller does."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def exposed_go(self, number: int, slow: bool) -> int:
        if slow:
            assert self.gate.wait(20)
        return number

    def exposed_open(self) -> None:
        self.gate.set()


@pytest.mark.parametrize("before", [1, 5, 100])
def test_an_answer_is_not_held_back_by_the_call_behind_it(pair: Pair, before: int) -> None:
    here, _ = pair(there=Gated())
    gated = netobj.async_(here.root)
    results = [gated.go(number, number == before) for number in range(before + 3)]
    assert [result.value for result in results[:before]] == list(range(before))
    here.root.open()
    assert [result.value for result in results[before:]] == [before, before + 1, before + 2]


def test_answers_to_quick_calls_of_a_kind_leave_together(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch_module, "_QUICK", 60)
    here, there = pair(there=Events())
    assert there.root is not None  # the hello has come
    writes: list[bytes] = []
    write = there.write
    monkeypatch.setattr(there, "write", lambda *args: writes.append(args[0]) or write(*args))
    with netobj.batch(here):
        results = [here.root.note(i) for i in range(200)]
    assert [result.value for result in results] == [None] * 200
    assert 200 // 33 <= len(writes) <= 100


def test_calls_that_are_alike() -> None:
    def call(target: object = 1, path: Any = "a", op: int = 2) -> Request:
        return Request(1, None, 1, op, target, path, (), False)

    alike = dispatch_module._is_alike
    assert alike(call(), call())
    assert alike(call(path=None), call(path=None))
    for other in (None, call(2), call(path="b"), call(path=None), call(op=3), call(path=("a",))):
        assert not alike(call(), other)
    assert not alike(call(path=("a",)), call(path=("a",)))


def test_events_from_the_other_side_run_in_order_too(pair: Pair) -> None:
    seen: list[int] = []
    done = threading.Event()

    class Source(netobj.Service):
        def exposed_start(self, callback: Any) -> None:
            send = netobj.async_(callback)
            for i in range(50):
                send(i)

    def callback(number: int) -> None:
        seen.append(number)
        if number == 49:
            done.set()

    here, _ = pair(there=Source)
    here.root.start(callback)
    assert done.wait(20)
    assert seen == list(range(50))


def test_the_calls_of_two_threads_do_not_wait_for_each_other(pair: Pair, in_thread: Start) -> None:
    here, there = pair()
    leave = threading.Event()
    there.session.boxing.root.exposed_namespace["wait"] = leave.wait
    blocked = netobj.async_(here.root.eval("wait"))(20)
    values: list[int] = []
    in_thread(lambda: values.append(netobj.async_(here.root.eval)("7").value)).join(20)
    assert values == [7]
    assert not blocked.ready
    leave.set()
    assert blocked.value is True


def test_what_is_declared_concurrent_overlaps(pair: Pair) -> None:
    here, _ = pair(there=Events)
    results = [netobj.async_(here.root.meet)() for _ in range(5)]
    assert sorted(result.value for result in results) == list(range(5))


def test_requests_wait_until_on_connect_has_run(pair: Pair, in_thread: Start) -> None:
    import socket

    from netobj.blocking.streams import SocketStream

    order: list[str] = []
    go, entered = threading.Event(), threading.Event()

    class Slow(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            entered.set()
            assert go.wait(20)
            order.append("on_connect")

        def exposed_call(self) -> None:
            order.append("call")

    one, other = socket.socketpair()
    connections: list[netobj.Connection] = []
    thread = in_thread(lambda: connections.append(netobj.connect_stream(SocketStream(one), Slow)))
    with netobj.connect_stream(SocketStream(other)) as conn:
        assert entered.wait(20)
        result = netobj.async_(conn.root.call)()
        conn.ping()
        assert order == []
        go.set()
        result.wait()
        assert order == ["on_connect", "call"]
    thread.join(20)
    connections[0].close()


def test_what_was_held_back_runs_before_what_came_later(pair: Pair) -> None:
    _, there = pair()
    dispatcher = there.dispatcher
    routed: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:

        def route_freely(request: Any, _later: bool) -> None:
            if not routed:  # it arrives in the midst of the opening
                dispatcher.route(later)
            routed.append(request)

        patch.setattr(dispatcher, "_route_freely", route_freely)
        first, second, later = (
            Request(number, None, 1, 0, None, None, (), False) for number in range(3)
        )
        dispatcher._held = [first, second]
        dispatcher.open()
        assert routed == [first, second, later]
        assert dispatcher._held is None


def test_a_job_for_a_waiter_that_leaves_at_this_very_moment_runs_in_a_worker(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair()
    waiter, chain = Waiter(here), next(numbers.chains)
    chains[chain] = [waiter]
    assign = Waiter.assign
    done = threading.Event()

    def late(found: Waiter, job: Any) -> None:
        del chains[chain]
        assign(found, job)

    monkeypatch.setattr(Waiter, "assign", late)
    monkeypatch.setattr(here.dispatcher, "run", lambda _: done.set())
    here.dispatcher.route(Request(1, chain, None, 0, None, None, (), False))
    assert done.wait(20)
    assert not waiter.jobs


def test_on_connect_may_call_the_other_root(pair: Pair) -> None:
    said: list[object] = []

    class Asking(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            said.append(conn.root.name())

    class Client(netobj.Service):
        def exposed_name(self) -> str:
            return "client"

    import socket

    from netobj.blocking.streams import SocketStream

    one, other = socket.socketpair()
    client = netobj.connect_stream(SocketStream(one), Client)
    server = netobj.connect_stream(SocketStream(other), Asking)
    assert said == ["client"]
    client.close()
    server.close()


def test_without_a_thread_the_call_is_refused(
    pair: Pair, full_pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair()
    evaluate = here.root.eval

    monkeypatch.setattr(dispatch_module, "pool", full_pool)
    with pytest.raises(netobj.Busy, match="can start no thread"):
        evaluate("1")
    with pytest.raises(netobj.Busy, match="can start no thread"):
        netobj.async_(evaluate)("1").value  # noqa: B018
    monkeypatch.undo()
    assert evaluate("1") == 1
    assert netobj.async_(evaluate)("1").value == 1


def test_a_call_that_is_to_be_refused_may_be_taken_by_a_worker_at_this_very_moment(
    pair: Pair, full_pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair()
    dispatcher = here.dispatcher
    refused: list[Any] = []

    class Taken(list[Any]):
        """What has come is gone right after a look at it."""

        def __bool__(self) -> bool:
            found = len(self) > 0
            self.clear()
            return found

    monkeypatch.setattr(dispatch_module, "pool", full_pool)
    monkeypatch.setattr(dispatcher, "overflow", Taken())
    monkeypatch.setattr(dispatcher, "_refuse", refused.append)
    dispatcher._submit((refused.append, None))
    assert len(refused) <= 1


def test_calls_that_block_run_side_by_side_though_one_worker_is_woken_at_a_time(
    pair: Pair, in_thread: Start
) -> None:
    meeting = threading.Barrier(8)

    class Meeting(netobj.Service):
        def exposed_meet(self) -> int:
            return meeting.wait(20)

    here, there = pair(there=Meeting)
    in_thread(there.serve_all)
    meet, met = here.root.meet, list[int]()
    threads = [in_thread(lambda: met.append(meet())) for _ in range(8)]
    for thread in threads:
        thread.join(20)
    assert sorted(met) == list(range(8))
    assert not there.dispatcher.overflow
    here.close()


def test_one_worker_is_woken_for_jobs_that_come_at_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, there = pair()
    dispatcher = there.dispatcher
    woken: list[Any] = []
    ran: list[tuple[int, int, int]] = []

    class Asleep(WorkerPool):
        def submit(self, job: Any) -> bool:
            woken.append(job)
            return True

    monkeypatch.setattr(dispatch_module, "pool", Asleep())

    def job(number: int) -> None:
        ran.append((number, len(woken), len(dispatcher.overflow)))

    for number in range(3):
        dispatcher._submit((job, number))
    assert len(woken) == 1
    while woken:
        function, argument = woken.pop(0)
        function(argument)
    # Each ran when another had been woken for what was left.
    assert ran == [(0, 1, 2), (1, 1, 1), (2, 1, 0)]
    dispatcher._submit((job, 3))
    assert len(woken) == 1


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_system_exit_arrives_wrapped_and_may_be_raised_there_too(
    pair: Pair, in_thread: Start, how: str
) -> None:
    here, there = pair(other_config={"propagate_SystemExit_locally": True})
    ended: list[BaseException] = []

    def serve() -> None:
        try:
            there.serve_all()
        except BaseException as exc:
            ended.append(exc)

    thread = in_thread(serve)
    fail = here.root.eval("__import__('sys').exit")
    call = fail if how == "sync" else lambda code: netobj.async_(fail)(code).value
    with pytest.raises(netobj.GenericException, match="3") as caught:
        call(3)
    assert type(caught.value).__name__ == "SystemExit"
    if how == "sync" and ended:
        assert isinstance(ended[0], SystemExit)
    here.close()
    thread.join(20)


def test_a_cancelled_call_that_has_not_started_never_does(pair: Pair, until: Until) -> None:
    service = Events()
    here, there = pair(there=service)
    leave = threading.Event()

    class Blocking(netobj.Service):
        def exposed_wait(self) -> None:
            leave.wait(20)

        def exposed_note(self, number: int) -> None:
            service.exposed_note(number)

    here, there = pair(there=Blocking)
    first = netobj.async_(here.root.wait)()
    second = netobj.async_(here.root.note)(1)
    assert second.cancel()
    here.ping()
    leave.set()
    first.wait()
    until(lambda: not there.session.running)
    assert service.seen == []


# --- requests that name answers which are not there yet -----------------------------------------


class Later(netobj.Service):
    """``async def`` methods whose answers come when the test says so."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.gates: dict[object, threading.Event] = {}

    async def exposed_make(self, name: object) -> object:
        self.gates[name] = gate = threading.Event()
        while not gate.is_set():
            await asyncio.sleep(0.001)
        return name

    def exposed_note(self, *names: object) -> tuple[object, ...]:
        self.seen.append(names)
        return names

    @netobj.exposed(concurrent=True)
    def note_soon(self, *names: object) -> tuple[object, ...]:
        self.seen.append(names)
        return names


@pytest.fixture
def later() -> Iterator[Later]:
    made = Later()
    yield made
    for gate in made.gates.values():
        gate.set()


def test_a_lane_rests_until_the_answers_are_there(pair: Pair, later: Later, until: Until) -> None:
    here, _ = pair(there=later)
    make, note = netobj.async_(here.root.make), netobj.async_(here.root.note)
    one, two = make(1), make(2)
    until(lambda: len(later.gates) == 2)
    both = note(one, two)
    behind = note("behind")
    later.gates[2].set()
    two.wait()
    assert here.root.note("beside") == ("beside",)
    assert later.seen == [("beside",)]
    later.gates[1].set()
    assert (both.value, behind.value) == ((1, 2), ("behind",))
    assert later.seen == [("beside",), (1, 2), ("behind",)]


def test_what_is_concurrent_waits_only_for_itself(pair: Pair, later: Later, until: Until) -> None:
    here, _ = pair(there=later)
    one = netobj.async_(here.root.make)(1)
    until(lambda: later.gates)
    soon = netobj.async_(here.root.note_soon)(one)
    assert netobj.async_(here.root.note)("behind").value == ("behind",)
    later.gates[1].set()
    assert soon.value == (1,)


def test_a_synchronous_call_waits_in_no_thread(
    pair: Pair, later: Later, until: Until, in_thread: Start
) -> None:
    here, there = pair(there=later)
    one = netobj.async_(here.root.make)(1)
    until(lambda: later.gates)
    seen: list[object] = []
    thread = in_thread(lambda: seen.append(here.root.note(one)))
    until(lambda: len(there.session.running) == 2)
    assert there.calls[1:] == ()  # it has not started
    later.gates[1].set()
    thread.join(20)
    assert seen == [(1,)]


def test_a_call_of_a_chain_that_was_put_off_runs_in_the_thread_that_waits(
    pair: Pair, later: Later, until: Until
) -> None:
    here, there = pair(later, netobj.SlaveService)
    threads: list[str] = []
    make = there.root.make

    def note(value: object) -> object:
        threads.append(threading.current_thread().name)
        return value

    def call_back(function: Any) -> object:
        one = netobj.async_(make)(1)
        until(lambda: later.gates)
        gate = threading.Timer(0.02, later.gates[1].set)
        gate.start()
        return function(one)

    there.session.boxing.root.exposed_namespace["call_back"] = call_back
    assert here.root.eval("call_back")(note) == 1
    assert threads == [threading.current_thread().name]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_by_hand_what_was_put_off_waits_for_who_serves(
    pair: Pair, later: Later, until: Until, in_thread: Start, how: str
) -> None:
    here, there = pair(there=later, other_config={"serve": "caller"})
    one = netobj.async_(here.root.make)(1)
    assert there.serve(20)
    until(lambda: later.gates)
    note = here.root.note if how == "sync" else netobj.async_(here.root.note)
    in_thread(lambda: note(one))
    if how == "async":
        assert there.serve(20)  # the lane, which rests
    until(lambda: len(there.session.running) == 2)
    assert not there.serve(0)
    later.gates[1].set()
    assert there.serve(20)
    assert later.seen == [(1,)]


def test_without_a_thread_what_was_put_off_is_refused_and_its_lane_too(
    pair: Pair,
    later: Later,
    until: Until,
    full_pool: WorkerPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = pair(there=later)
    make, note = netobj.async_(here.root.make), netobj.async_(here.root.note)
    one = make(1)
    until(lambda: later.gates)
    results = [note(one), note("behind")]
    until(lambda: there.session.boxing.answers[one.seq]._callbacks)  # the lane rests

    monkeypatch.setattr(dispatch_module, "pool", full_pool)
    later.gates[1].set()
    for result in results:
        with pytest.raises(netobj.Busy, match="can start no thread"):
            result.value  # noqa: B018
    monkeypatch.undo()
    assert note("after").value == ("after",)


def test_answers_may_come_while_a_request_is_looked_at(pair: Pair) -> None:
    _, _there = pair()
    answers = [Answer(), Answer(), Answer()]
    request = Request(1, 5, None, 0, None, None, (), False)
    request.awaits = tuple(answers)
    ran: list[object] = []
    dispatch_module._when_settled(request, lambda: ran.append(request))
    for answer in answers:
        assert ran == []
        answer.settle(1)
    assert ran == [request]
    assert request.awaits == ()
