"""Peers fall silent, as stopped processes and half-open connections do: the heartbeat finds it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import killed
import netobj
from faulty import ANSWERS, QUESTIONS, Fault, FaultyWire
from killed import HANG, WAITING, Ends
from patience import wait_until
from processes import SERVERS, server_process
from remains import nothing_left

SOON = {"heartbeat_interval": 0.1, "heartbeat_timeout": 1.0, "log_exceptions": False}
KEPT = {"ThreadPoolServer": 21}


def waits_in_threads(port: int, then: Callable[[], None]) -> Ends:
    """Have calls and callbacks wait, do what is *then* to be done, and wait for their ends."""
    ends = Ends(2 * WAITING)
    with netobj.connect("127.0.0.1", port, config=SOON) as conn:
        assert conn.root.ready() == 1

        def wait(number: int) -> None:
            try:
                conn.root.wait()
            except netobj.ConnectionLost as exc:
                ends.note(number, "call" if "silent" in str(exc) else str(exc))

        threads = [threading.Thread(target=wait, args=(n,), daemon=True) for n in range(WAITING)]
        for thread in threads:
            thread.start()
        for number in range(WAITING):
            result = netobj.async_(conn.root.wait)()
            result.add_callback(lambda result, n=WAITING + number: ends.note(n, "callback"))
        wait_until(lambda: len(conn.session.pending) == 2 * WAITING)
        then()
        ends.wait(0)
        for thread in threads:
            thread.join(HANG)
    return ends


def waits_on_loop(port: int, then: Callable[[], None]) -> Ends:
    """The same from tasks."""
    return asyncio.run(_waits_on_loop(port, then))


async def _waits_on_loop(port: int, then: Callable[[], None]) -> Ends:
    ends = Ends(2 * WAITING)
    async with netobj.aio.connect("127.0.0.1", port, config=SOON) as conn:
        assert await conn.root.ready() == 1

        async def wait(number: int) -> None:
            try:
                await conn.root.wait()
            except netobj.ConnectionLost as exc:
                ends.note(number, "call" if "silent" in str(exc) else str(exc))

        tasks = [asyncio.create_task(wait(n)) for n in range(2 * WAITING)]
        for task in tasks[WAITING:]:
            task.add_done_callback(lambda _: ends.note(-1, "callback"))
        while len(conn.session.pending) < 2 * WAITING:
            await asyncio.sleep(0.001)
        then()
        await asyncio.wait(tasks, timeout=HANG)
    return ends


WAITS = {"blocking": waits_in_threads, "aio": waits_on_loop}


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no SIGSTOP")
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("client", WAITS)
def test_a_stopped_server_is_found(client: str, kind: str) -> None:
    with nothing_left(), server_process(killed.__file__, kind) as server:
        ends = WAITS[client](server.port, lambda: os.kill(server.pid, signal.SIGSTOP))
    assert ends.ends == {"call": 2 * WAITING if client == "aio" else WAITING, "callback": WAITING}


class Sleeper(netobj.Service):
    """Its methods wait, for ever or for callbacks."""

    def __init__(self) -> None:
        self.inside = 0
        self.ended: list[type] = []
        self.disconnected = 0

    def on_disconnect(self, conn: Any) -> None:
        self.disconnected += 1

    @netobj.exposed
    def ready(self) -> int:
        return 1

    @netobj.exposed
    async def wait(self) -> None:
        await asyncio.Event().wait()

    @netobj.exposed(concurrent=True)
    def call(self, callback: Any) -> None:
        self.inside += 1
        try:
            callback()
        except Exception as exc:
            self.ended.append(type(exc))


@pytest.fixture(params=["ThreadedServer", "ThreadPoolServer", "AsyncServer"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    kind = getattr(netobj, request.param)
    with kind(Sleeper(), hostname="127.0.0.1", protocol_config=SOON) as server:
        with netobj.connect("127.0.0.1", server.port) as conn:  # its thread has begun
            assert conn.root.ready() == 1
        wait_until(lambda: server.service.disconnected == 1 and not server.connections)
        server.service.disconnected = 0
        yield server


@pytest.mark.parametrize("client", WAITS)
def test_a_half_open_connection_is_found_by_the_client(server: Any, client: str) -> None:
    with nothing_left(KEPT.get(type(server).__name__, 0)):
        with FaultyWire(server.port) as wire:
            ends = WAITS[client](wire.port, wire.die)
            assert sum(ends.ends.values()) == 2 * WAITING + (client == "aio") * WAITING
        wait_until(lambda: not server.connections)
    wait_until(lambda: server.service.disconnected == 1)


def test_and_by_the_server(server: Any) -> None:
    service = server.service
    with nothing_left(KEPT.get(type(server).__name__, 0)), FaultyWire(server.port) as wire:
        gate = threading.Event()
        conn = netobj.connect("127.0.0.1", wire.port, config={"log_exceptions": False})
        for _ in range(5):
            netobj.async_(conn.root.call)(lambda: gate.wait(HANG))
        wait_until(lambda: service.inside == 5)
        wire.die()
        wait_until(lambda: service.ended == [netobj.ConnectionLost] * 5)
        wait_until(lambda: not server.connections)
        gate.set()
        conn.close()  # which the other end does not hear of
    assert service.disconnected == 1


@pytest.mark.parametrize("direction", [QUESTIONS, ANSWERS])
def test_a_peer_that_dies_amid_its_hello(server: Any, direction: str) -> None:
    faults = {direction: Fault(at=20, how="dead")}
    left = nothing_left(KEPT.get(type(server).__name__, 0))
    with left, FaultyWire(server.port, **faults) as wire:
        conn = netobj.connect("127.0.0.1", wire.port, config=SOON)
        with pytest.raises(netobj.ConnectionLost):
            conn.root.ready()
        wait_until(lambda: not server.connections)
        conn.close()
