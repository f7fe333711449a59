"""Calls on a thread of the host program's choosing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import netobj
from patience import HANG, wait_until

KINDS = pytest.mark.parametrize("kind", [netobj.ThreadedServer, netobj.ThreadPoolServer])


class Scene(netobj.Service):
    def exposed_thread(self) -> str:
        return threading.current_thread().name

    def exposed_call(self, function: Any) -> Any:
        return function(), threading.current_thread().name

    async def exposed_later(self) -> str:
        return "later"


@KINDS
def test_plain_methods_run_where_the_host_pumps(kind: Any) -> None:
    here = threading.current_thread().name
    with (
        kind(Scene, hostname="localhost", executor=netobj.Pump()) as server,
        netobj.connect("localhost", server.port) as conn,
        netobj.connect("localhost", server.port) as other,
    ):
        results = [netobj.async_(one.root.thread)() for one in (conn, other) for _ in range(5)]
        ran = 0
        while not all(result.ready for result in results):
            ran += server.pump(timeout=HANG)
        assert {result.value for result in results} == {here}
        assert 1 <= ran <= 10
        assert server.pump() == 0
        later = netobj.async_(conn.root.later)()  # begins here, and runs on the loop
        assert server.pump(timeout=HANG) == 1
        assert later.value == "later"


class Hesitant(Scene):
    def on_connect(self, conn: Any) -> None:
        wait_until(lambda: conn.dispatcher._held)  # calls have come


@KINDS
def test_calls_that_come_before_the_service_is_ready_are_pumped(kind: Any) -> None:
    with (
        kind(Hesitant, hostname="localhost", executor=netobj.Pump()) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        result = netobj.async_(conn.root.thread)()
        assert server.pump(timeout=HANG) == 1
        assert result.value == threading.current_thread().name


def test_so_do_they_run_in_the_threads_of_the_pool() -> None:
    with (
        netobj.ThreadPoolServer(Hesitant, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert conn.root.thread().startswith("netobj crew")


@KINDS
def test_callbacks_from_what_is_pumped(kind: Any) -> None:
    here = threading.current_thread().name
    with (
        kind(Scene, hostname="localhost", executor=netobj.Pump()) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(conn.root.call(lambda: conn.root.thread()))
        )
        thread.start()
        while not answers:
            server.pump(timeout=0.01)
        thread.join(HANG)
        assert answers == [(here, here)]


def test_nothing_waits() -> None:
    pump = netobj.Pump()
    assert pump.pump() == pump.pump(timeout=0.001) == 0


def test_what_comes_meanwhile_has_the_next_turn() -> None:
    pump = netobj.Pump()
    ran: list[int] = []

    def again(number: int) -> None:
        ran.append(number)
        if number < 3:
            pump.submit(again, number + 1)

    pump.submit(again, 1)
    assert [pump.pump() for _ in range(4)] == [1, 1, 1, 0]
    assert ran == [1, 2, 3]


def test_another_thread_waits_for_something_to_run() -> None:
    pump = netobj.Pump()
    ran: list[int] = []
    thread = threading.Thread(target=lambda: ran.append(pump.pump(timeout=None)))
    thread.start()
    pump.submit(ran.append, 7)
    thread.join(HANG)
    assert ran == [7, 1]


@KINDS
def test_an_executor_of_the_standard_library(kind: Any) -> None:
    with (
        ThreadPoolExecutor(1, "host") as executor,
        kind(Scene, hostname="localhost", executor=executor) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert conn.root.thread().startswith("host")


@KINDS
def test_an_executor_that_is_shut_down(kind: Any) -> None:
    executor = ThreadPoolExecutor(1)
    with (
        kind(Scene, hostname="localhost", executor=executor) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        assert conn.root.thread()
        executor.shutdown()
        with pytest.raises(netobj.Busy):
            conn.root.thread()
        conn.ping(timeout=HANG)
        conn.close()
        wait_until(lambda: not server.connections)


def test_pumping_a_server_of_another_kind() -> None:
    server = netobj.ThreadedServer(Scene, hostname="localhost")
    with server, pytest.raises(RuntimeError, match=r"executor=netobj\.Pump\(\)"):
        server.pump()
