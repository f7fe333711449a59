"""A few threads for all connections."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import netobj
from netobj import aio
from netobj.blocking import crew
from netobj.servers import thread_pool
from patience import HANG, wait_until


class Works(netobj.Service):
    """Calls that end when they are told to, and say in which thread they ran."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.inside = 0
        self.lock = threading.Lock()
        self.order: list[int] = []
        self.shared: Any = None

    def exposed_wait(self) -> str:
        with self.lock:
            self.inside += 1
        assert self.gate.wait(HANG)
        return threading.current_thread().name

    def exposed_wait_too(self) -> str:
        return self.exposed_wait()

    def exposed_where(self) -> str:
        return threading.current_thread().name

    def exposed_call(self, function: Callable[[], Any]) -> Any:
        return function()

    @netobj.exposed(concurrent=True)
    def call_beside(self, function: Callable[[], Any]) -> Any:
        return function()

    @netobj.exposed(concurrent=True)
    def call_once(self, function: Callable[[], Any]) -> Any:
        with self.lock:
            self.shared = self.shared or netobj.async_(function)()
            self.inside += 1
        return self.shared.value

    @netobj.exposed(concurrent=True)
    def wait_beside(self) -> str:
        return self.exposed_wait()

    @netobj.exposed(concurrent=True)
    def open_gate(self) -> None:
        self.gate.set()

    def exposed_total(self, numbers: Callable[[], Any]) -> int:
        return sum(numbers())

    def exposed_note(self, number: int) -> None:
        self.order.append(number)

    async def exposed_later(self, number: int) -> int:
        return number

    def exposed_end(self) -> None:
        raise SystemExit("not for the threads of the server")


Serve = Callable[..., netobj.ThreadPoolServer]


@pytest.fixture
def works() -> Iterator[Works]:
    works = Works()
    yield works
    works.gate.set()


@pytest.fixture
def serve(works: Works) -> Iterator[Serve]:
    servers: list[netobj.ThreadPoolServer] = []

    def make(limit: int = 2, **kwargs: Any) -> netobj.ThreadPoolServer:
        server = netobj.ThreadPoolServer(works, hostname="localhost", nbThreads=limit, **kwargs)
        server.__enter__()
        servers.append(server)
        return server

    yield make
    works.gate.set()
    for server in servers:
        server.__exit__(None, None, None)


def join(server: Any) -> netobj.Connection:
    return netobj.connect("localhost", server.port)


def members() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("netobj crew")]


def test_few_threads_serve_many_connections(serve: Serve) -> None:
    server = serve(3)
    before = threading.active_count()
    connections = [join(server) for _ in range(30)]
    for _ in range(10):
        assert {conn.root.where()[:11] for conn in connections} == {"netobj crew"}
    assert len(members()) <= 4
    assert threading.active_count() - before < 20  # those that admitted them end by themselves
    for conn in connections:
        conn.close()
    wait_until(lambda: not server.clients)


def test_a_call_that_takes_long_holds_nobody_up(serve: Serve, works: Works) -> None:
    server = serve(3)
    with join(server) as slow, join(server) as quick:
        first = netobj.async_(slow.root.wait)()
        thread = threading.Thread(target=slow.root.wait)
        thread.start()
        wait_until(lambda: works.inside == 2)
        assert quick.root.where()
        works.gate.set()
        assert first.value
        thread.join(HANG)
        assert not thread.is_alive()


# What a blocking client of this process asks belongs to a chain in which a thread waits here, so it
# is never run by the leader: those that are to be have clients on an event loop.


async def call(awaitable: Any) -> Any:
    return await awaitable


def on_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 3 * HANG))


async def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end, "the condition did not come to hold"
        await asyncio.sleep(0.001)


def test_the_leader_runs_what_is_quick_itself(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "SLOW", HANG)
    server = serve(2)
    led: list[Any] = []
    run = crew.Crew._call

    def noted(self: crew.Crew, link: Any, request: Any) -> bool:
        led.append(request.path)
        return run(self, link, request)

    monkeypatch.setattr(crew.Crew, "_call", noted)

    async def work() -> None:
        async with aio.connect("localhost", server.port) as conn:
            await conn.root.where()  # the hello may have come along with it
            led.clear()
            for _ in range(10):
                assert (await conn.root.where()).startswith("netobj crew")
            assert led == ["where"] * 10

    on_loop(work)


def test_a_leader_that_is_held_up_gives_the_lead_away(serve: Serve, works: Works) -> None:
    server = serve(3)

    async def work() -> None:
        async with (
            aio.connect("localhost", server.port) as slow,
            aio.connect("localhost", server.port) as quick,
        ):
            await asyncio.gather(slow.root.where(), quick.root.where())
            waiting = asyncio.ensure_future(call(slow.root.wait()))
            await until(lambda: works.inside)
            assert await quick.root.where()
            too = asyncio.ensure_future(call(slow.root.wait_too()))
            await until(lambda: works.inside == 2)
            assert await quick.root.where()
            works.gate.set()
            assert await waiting != await too

    on_loop(work)


def test_before_what_took_long_the_lead_goes_on(
    serve: Serve, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(2)
    given_away: list[None] = []
    look = crew.Crew._look

    def noted(self: crew.Crew) -> None:
        if self._ticket:
            given_away.append(None)
        look(self)

    async def work() -> None:
        async with (
            aio.connect("localhost", server.port) as slow,
            aio.connect("localhost", server.port) as quick,
        ):
            works.gate.set()
            await asyncio.gather(slow.root.wait(), quick.root.where())
            monkeypatch.setattr(crew, "SLOW", -1.0)  # everything takes long
            await slow.root.wait()
            await quick.root.where()
            assert server._crew is not None
            slow_names = server._crew._slow
            await until(lambda: {"wait", "where"} <= {*slow_names})
            works.gate.clear()
            monkeypatch.setattr(crew.Crew, "_look", noted)
            waiting = asyncio.ensure_future(call(slow.root.wait()))
            await until(lambda: works.inside == 3)
            assert await quick.root.where()
            assert given_away == []  # nobody had to notice
            works.gate.set()
            await waiting
            monkeypatch.setattr(crew, "SLOW", HANG)
            await quick.root.where()
            await until(lambda: "where" not in slow_names)  # it is quick again

    on_loop(work)


def test_the_names_of_slow_calls_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "SLOW", -1.0)
    monkeypatch.setattr(crew, "_MOST_NAMES", 3)
    server = serve(2)

    async def work() -> None:
        async with aio.connect("localhost", server.port) as conn:
            for number in range(10):
                with pytest.raises(AttributeError):
                    await getattr(conn.root, f"nothing{number}")()
            assert server._crew is not None
            assert 0 < len(server._crew._slow) <= 3

    on_loop(work)


def test_when_the_others_are_busy_what_the_leader_reads_waits(serve: Serve, works: Works) -> None:
    server = serve(2)

    async def work() -> None:
        async with aio.connect("localhost", server.port) as conn:
            await conn.root.where()
            waiting = [asyncio.ensure_future(call(conn.root.wait())) for _ in range(6)]
            await until(lambda: works.inside == 2)
            await conn.ping(timeout=HANG)
            assert works.inside == 2
            works.gate.set()
            await asyncio.gather(*waiting)
            assert works.inside == 6

    on_loop(work)


def test_when_all_threads_are_busy_more_wait_and_pings_are_answered(
    serve: Serve, works: Works
) -> None:
    server = serve(2)
    with join(server) as conn, join(server) as other:
        threads = [threading.Thread(target=conn.root.wait) for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_until(lambda: works.inside == 2)
        other.ping(timeout=HANG)
        conn.ping(timeout=HANG)
        assert works.inside == 2
        assert len(members()) <= 3
        works.gate.set()
        for thread in threads:
            thread.join(HANG)
            assert not thread.is_alive()
        assert works.inside == 5


def test_callbacks_while_others_are_served(serve: Serve) -> None:
    server = serve(3)
    with join(server) as one, join(server) as other:
        inner = threading.Event()

        def back() -> str:
            assert other.root.where()  # on another connection of the same server
            inner.set()
            return str(one.root.where())  # nested, on the same

        assert one.root.call(back).startswith("netobj crew")
        assert inner.is_set()
        for _ in range(20):
            assert one.root.call(other.root.where)


def test_a_waiting_callback_holds_nobody_up(serve: Serve) -> None:
    server = serve(2)
    with join(server) as one, join(server) as other:
        gate = threading.Event()
        thread = threading.Thread(target=one.root.call, args=(lambda: gate.wait(HANG),))
        thread.start()
        assert other.root.where()
        one.ping(timeout=HANG)
        gate.set()
        thread.join(HANG)
        assert not thread.is_alive()
        assert one.root.where()  # its connection is the leader's again


def in_time(function: Callable[[], Any]) -> Any:
    """What *function* returns, unless it hangs."""
    returned: list[Any] = []
    thread = threading.Thread(target=lambda: returned.append(function()), daemon=True)
    thread.start()
    thread.join(HANG)
    assert not thread.is_alive()
    return returned[0]


@pytest.mark.parametrize("limit", [1, 3])
def test_callbacks_that_wait_for_other_calls_of_their_client(serve: Serve, limit: int) -> None:
    server = serve(limit)
    with join(server) as conn:
        together = threading.Barrier(limit)  # all threads wait for a callback

        def back() -> str:
            together.wait(HANG)
            return str(netobj.async_(conn.root.where)().value)  # of another chain

        results = [netobj.async_(conn.root.call_beside)(back) for _ in range(limit)]
        names = in_time(lambda: [result.value for result in results])
        assert {name[:11] for name in names} == {"netobj crew"}
    wait_until(lambda: len(members()) <= limit + 1)  # those who stood in have left


def test_callbacks_of_one_client_that_has_its_share_of_the_threads(serve: Serve) -> None:
    """Its calls that wait for it do not count: else those that they wait for would not begin."""
    server = serve(8)
    with join(server) as conn:

        def back() -> str:
            return str(netobj.async_(conn.root.where)().value)

        results = [netobj.async_(conn.root.call_beside)(back) for _ in range(20)]
        names = in_time(lambda: [result.value for result in results])
        assert {name[:11] for name in names} == {"netobj crew"}


def test_callbacks_that_wait_for_calls_of_other_clients(serve: Serve) -> None:
    server = serve(1)
    with join(server) as conn, join(server) as other, join(server) as third:

        def back() -> str:
            return in_time(lambda: other.root.call(lambda: in_time(third.root.where)))

        assert in_time(lambda: conn.root.call(back)).startswith("netobj crew")


def test_two_calls_that_wait_for_one_answer_of_their_client(serve: Serve, works: Works) -> None:
    server = serve(2)
    with join(server) as conn:

        def back() -> str:
            wait_until(lambda: works.inside == 2)
            waiting = netobj.async_(conn.root.wait_beside)()
            wait_until(lambda: works.inside == 3)
            assert netobj.async_(conn.root.open_gate)().value is None  # there is room for two
            return str(waiting.value)

        results = [netobj.async_(conn.root.call_once)(back) for _ in range(2)]
        names = in_time(lambda: [result.value for result in results])
        assert names[0] == names[1]


def test_calls_that_wait_for_a_stream_of_their_client(serve: Serve) -> None:
    server = serve(1)
    with join(server) as conn:

        @netobj.exposed(stream=True)
        def numbers() -> Iterator[int]:
            yield 1
            assert netobj.async_(conn.root.where)().value
            yield 2

        assert in_time(lambda: conn.root.total(numbers)) == 3


def test_who_waits_for_a_client_makes_room_for_no_more_than_itself(
    serve: Serve, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = crew.Crew._look_at_jobs

    def counted(self: crew.Crew) -> None:
        look(self)
        looks.append(works.inside)

    monkeypatch.setattr(crew.Crew, "_look_at_jobs", counted)
    server = serve(2)
    with join(server) as conn:
        gate = threading.Event()
        try:
            waiting = netobj.async_(conn.root.call_beside)(gate.wait)
            results = [netobj.async_(conn.root.wait_beside)() for _ in range(6)]
            wait_until(lambda: looks[-5:] == [2] * 5)
            assert not waiting.ready
        finally:
            gate.set()
            works.gate.set()
        assert all(result.value.startswith("netobj crew") for result in results)
        assert waiting.value


def test_ordered_calls_stay_in_order(serve: Serve, works: Works) -> None:
    server = serve(3)
    with join(server) as conn:
        note = netobj.async_(conn.root.note)
        results = [note(number) for number in range(200)]
        assert all(result.wait() is None and not result.error for result in results)
        assert works.order == list(range(200))


def test_async_methods_run_on_the_loop(serve: Serve) -> None:
    server = serve()
    with join(server) as conn:
        assert [conn.root.later(number) for number in range(5)] == list(range(5))


def test_a_bad_peer_loses_its_connection_and_nobody_else_does(serve: Serve) -> None:
    server = serve()
    with join(server) as good, join(server) as bad:
        bad.root.where()
        bad.stream.send(b"\x00\x00\x00\x02\xc1\xc1")
        wait_until(lambda: bad.closed)
        assert good.root.where()
    wait_until(lambda: not server.clients)


def test_what_is_to_end_the_process_does_not_end_a_thread(serve: Serve) -> None:
    server = serve(1, protocol_config={"propagate_SystemExit_locally": True})
    with join(server) as conn:
        for _ in range(3):
            with pytest.raises(BaseException, match="not for the threads"):
                conn.root.end()
        assert conn.root.where()


@pytest.mark.parametrize("turn", range(5))
def test_closing_while_calls_run(serve: Serve, works: Works, turn: int) -> None:
    server = serve(2)
    conn = join(server)
    idle = join(server)
    assert idle.root.where()
    result = netobj.async_(conn.root.wait)()
    thread = threading.Thread(target=_swallow, args=(conn.root.wait_too,))
    thread.start()
    wait_until(lambda: works.inside == 2)
    begun = time.monotonic()
    server.close()
    assert time.monotonic() - begun < HANG
    with pytest.raises(EOFError):
        result.value  # noqa: B018
    thread.join(HANG)
    works.gate.set()
    wait_until(lambda: not server.clients)
    wait_until(lambda: conn.closed and idle.closed)


def _swallow(function: Callable[[], object]) -> None:
    with pytest.raises(EOFError):
        function()


def test_nothing_is_left_behind(works: Works) -> None:
    works.gate.set()

    def round_trip() -> None:
        with netobj.ThreadPoolServer(works, hostname="localhost", nbThreads=2) as server:
            for _ in range(5):
                with join(server) as conn:
                    assert conn.root.where()
                    assert conn.root.call(conn.root.where)

    round_trip()
    wait_until(lambda: not members())
    gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        round_trip()
    wait_until(lambda: not members())
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


def test_a_setting_that_asks_for_one_thread_gets_it(serve: Serve) -> None:
    server = serve(protocol_config={"serve": "caller"})
    with join(server) as conn:
        names = {conn.root.where() for _ in range(10)}
        assert len(names) == 1
        assert not names.pop().startswith("netobj crew")


def test_arguments() -> None:
    server = netobj.ThreadPoolServer(netobj.Service)
    assert (server.nbThreads, server.requestBatchSize) == (thread_pool.THREADS, 10)
    with pytest.raises(ValueError, match="nbThreads"):
        netobj.ThreadPoolServer(netobj.Service, nbThreads=0)


def test_without_a_thread_for_it_nothing_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = netobj.ThreadPoolServer(netobj.Service, hostname="localhost")
    monkeypatch.setattr(crew.Crew, "_start", lambda *args, **kwargs: False)
    with pytest.raises(RuntimeError, match="no thread"):
        server.start()
    server.close()
